"""What a loaded checkpoint consists of, and what it may be put together from."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from app.engine.checkpoints.header import ModelFile
from app.engine.prompt.vocabulary import Vocabulary


@dataclass(frozen=True)
class Dtypes:
    """In which precision each network is kept."""

    unet: torch.dtype = torch.float32
    text_encoder: torch.dtype = torch.float32
    vae: torch.dtype = torch.float32


@dataclass(frozen=True)
class Parts:
    """Files that parts come from instead of the checkpoint's own; None: the checkpoint's.

    Attributes:
        text: holds one text encoder, or all that the family reads, or is another checkpoint, whose text encoders are taken.
        text_2: the second one, where each of SDXL's two lies in a file of its own.
    """

    vae: ModelFile | None = None
    text: ModelFile | None = None
    text_2: ModelFile | None = None

    @property
    def texts(self) -> tuple[ModelFile, ...]:
        """The files of text encoders that were chosen."""
        return tuple(file for file in (self.text, self.text_2) if file is not None)

    @property
    def named(self) -> dict[str, ModelFile]:
        """All files that were chosen, by the part that they are for."""
        every = {"vae": self.vae, "text": self.text, "text_2": self.text_2}
        return {name: file for name, file in every.items() if file is not None}

    @property
    def files(self) -> tuple[ModelFile, ...]:
        return tuple(self.named.values())


@dataclass
class TextTower:
    """One text encoder.

    Attributes:
        name: its key in `Placement`, "text_encoder" or "text_encoder_2" (OpenCLIP-G of SDXL and its refiner).
        network: transformers' CLIPTextModel, or CLIPTextModelWithProjection for "openclip-g".
        kind: "clip-l", "openclip-h" (without its last layer, which Stable Diffusion 2 leaves out) or "openclip-g".
    """

    name: str
    network: Any
    vocabulary: Vocabulary
    kind: str


@dataclass
class Networks:
    """The networks of a checkpoint, on the CPU.

    Attributes:
        unet: diffusers' UNet2DConditionModel.
        vae: diffusers' AutoencoderKL.
        texts: in the order in which their states are joined; of the refiner OpenCLIP-G alone.
        alphas_cumprod: (n,) float64, the noise levels it was trained on.
        prediction_type: "epsilon", "v_prediction" or "sample" (the denoised latents themselves, x0).
        extras: what a family needs besides, by name ("depth_estimator").
    """

    unet: Any
    vae: Any
    texts: tuple[TextTower, ...]
    alphas_cumprod: np.ndarray
    prediction_type: str
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def text_encoder(self) -> Any:
        """The network of the first text encoder."""
        return self.texts[0].network

    @property
    def vocabulary(self) -> Vocabulary:
        """The word list of the first text encoder."""
        return self.texts[0].vocabulary

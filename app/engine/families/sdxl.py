"""SDXL, its inpainting checkpoints and InstructPix2Pix on it: two text encoders, and a UNet that is told sizes (Podell et al. 2023)."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.networks import Parts
from app.engine.device import DevicePlan
from app.engine.families.latent import LatentModel, networks_of
from app.engine.preview import SDXL, Colours
from app.engine.prompt.encode import Manner
from app.engine.prompt.encoded import Encoded

OPENCLIP_G = Manner(least=2, normed=False, pooled=True, filler=0)


class SdxlModel(LatentModel):
    """CLIP-L and OpenCLIP-G side by side, each at its last layer but one and without the final norm.

    The UNet is also told OpenCLIP-G's pooled answer to the first chunk, and what sizes its training pictures had: as in A1111 the
    original and the target size are those of the picture that is painted, and nothing was cut off. An empty negative prompt is
    told as zeros.
    """

    manners: ClassVar[Mapping[str, Manner]] = {"clip-l": Manner(least=2, normed=False), "openclip-g": OPENCLIP_G}
    colours: ClassVar[Colours] = SDXL

    def _unwanted(self, text: Encoded, nothing: bool) -> Encoded:
        return text.silenced() if nothing else text

    def _added(self, told: Encoded, width: int, height: int) -> dict[str, Tensor] | None:
        """The pooled texts (k,p), and for each (original height, width, cut above, cut on the left, target height, width)."""
        assert told.pooled is not None
        sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32, device=told.pooled.device)
        return {"text_embeds": told.pooled, "time_ids": sizes.expand(told.count, -1)}


def load(file: ModelFile, parts: Parts, plan: DevicePlan) -> SdxlModel:
    """Raises BadCheckpoint."""
    return SdxlModel(file, parts, networks_of(file, parts, plan), plan)

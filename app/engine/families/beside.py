"""What a UNet reads beside the noisy latents. How many input channels it has tells which: 4 nothing, 9 a masked picture, 8 a picture to
edit, 5 depth.

To add one: a class like these and a line in `BESIDE`.
"""

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from app.engine.families import depth
from app.engine.scene import Scene
from app.errors import BadCheckpoint


class Beside(Protocol):
    """Makes the channels beside the 4 of the latents, from a picture.

    Attributes:
        edits: whether the network weighs the picture by a guidance of its own (`Guidance.image_scale`).
    """

    edits: ClassVar[bool]

    def of(self, model: Any, scene: Scene) -> Tensor:
        """(1,n,H/8,W/8) float32. `model` encodes pictures (`LatentModel`)."""
        ...

    def without(self, width: int, height: int) -> Scene | None:
        """The picture that stands for none; None: it cannot be without one."""
        ...


class MaskedPicture:
    """Inpainting: 1 channel of the mask (1 = paint), 4 of the latents of the picture with grey where it is painted.

    Rombach et al. 2022, section 4.5, and the released configurations of v1, v2 and SDXL.
    """

    edits: ClassVar[bool] = False

    def of(self, model: Any, scene: Scene) -> Tensor:
        hidden = scene.hidden()
        return torch.cat([F.max_pool2d(hidden.float(), 8), model.encode_image(torch.where(hidden, 0.0, scene.shown()))], 1)

    def without(self, width: int, height: int) -> Scene | None:
        return Scene.blank(width, height)


class WholePicture:
    """InstructPix2Pix (Brooks et al. 2023): 4 channels of the picture's latents, not multiplied by the VAE's scaling factor."""

    edits: ClassVar[bool] = True

    def of(self, model: Any, scene: Scene) -> Tensor:
        return model.encode_image(scene.shown(), scaled=False)

    def without(self, width: int, height: int) -> Scene | None:
        return None


class DepthMap:
    """Stable Diffusion 2 depth: 1 channel, the picture's depth as `app.engine.families.depth` has it."""

    edits: ClassVar[bool] = False

    def of(self, model: Any, scene: Scene) -> Tensor:
        return depth.as_channel(model, scene)

    def without(self, width: int, height: int) -> Scene | None:
        return None


BESIDE: dict[int, Beside | None] = {4: None, 9: MaskedPicture(), 8: WholePicture(), 5: DepthMap()}
"""Input channels of a UNet -> what it reads beside the latents."""


def beside_of(unet: Any, name: str) -> Beside | None:
    """Raises BadCheckpoint: this version knows no use for so many input channels."""
    channels = unet.config.in_channels
    if channels not in BESIDE:
        known = ", ".join(str(count) for count in sorted(BESIDE))
        raise BadCheckpoint(f"The UNet of '{name}' has {channels} input channels; this version runs those with {known}.")
    return BESIDE[channels]

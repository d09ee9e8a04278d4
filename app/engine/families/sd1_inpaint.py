"""Stable Diffusion 1 inpainting: a UNet that also reads the mask and the picture without what is painted anew.

It has 9 input channels, in this order: 4 of noisy latents, 1 of the mask (1 = paint), 4 of the masked picture's latents
(Rombach et al. 2022, section 4.5 and the released v1 inpainting configuration).
"""

import torch
from torch import Tensor

from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.load import load_networks
from app.engine.checkpoints.networks import Dtypes, Parts
from app.engine.device import DevicePlan
from app.engine.families.sd1 import Sd1Model


class Sd1InpaintModel(Sd1Model):
    """`Sd1Model` whose denoiser must be given `surroundings`."""

    def surroundings(self, pixels: Tensor, mask: Tensor) -> Tensor:
        """(1,5,H/8,W/8) float32, what the UNet reads beside the noisy latents.

        Args:
            pixels: (1,3,H,W) float32 -1..1, with 0 (grey) where it is painted.
            mask: (1,1,H/8,W/8), 1 = paint.
        """
        return torch.cat([mask.to(torch.float32), self.encode_image(pixels)], 1)


def load(file: ModelFile, parts: Parts, plan: DevicePlan) -> Sd1InpaintModel:
    """Raises BadCheckpoint."""
    return Sd1InpaintModel(file, parts, load_networks(file, parts, Dtypes(plan.dtype, plan.dtype, plan.vae_dtype)), plan)

"""Latents to a small picture while a job samples: one linear map, cheap, and safe to call from any thread."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Colours:
    """What colour latents stand for, -1..1: RGB of each of the four channels, and of latents that are 0."""

    channels: tuple[tuple[float, float, float], ...]
    zero: tuple[float, float, float] = (0.0, 0.0, 0.0)


SD1 = Colours(((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)))
"""Stable Diffusion 1's and 2's latents (scaled by 0.18215), fitted by the community and used by all its interfaces."""
SDXL = Colours(((0.471, 0.471, 0.471), (-0.471, -0.039, 0.078), (0.196, 0.118, -0.039), (-0.549, -0.392, -0.275)), (0.176, 0.098, 0.020))
"""SDXL's latents (scaled by 0.13025): Vass 2024, "Explaining the SDXL latent space", its levels of 0 to 255 as -1..1."""
MAX_SIDE = 512


class Preview:
    """A picture of latents: each latent and its neighbours make a patch of pixels by one matrix.

    Attributes:
        matrix: (9 * 4 + 1, patch * patch * 3) float32; the last row is the constant.
        patch: pixels that one latent makes, along a side.
    """

    def __init__(self, matrix: Tensor, patch: int) -> None:
        self._matrix, self._patch = matrix, patch

    @classmethod
    def of(cls, colours: Colours) -> "Preview":
        """The known colours of a family, one pixel for each latent."""
        matrix = torch.zeros(37, 3)
        matrix[torch.arange(4) * 9 + 4] = torch.tensor(colours.channels)
        matrix[36] = torch.tensor(colours.zero)
        return cls(matrix, 1)

    @classmethod
    def fitted(cls, decode: Callable[[Tensor], Tensor], colours: Colours = SD1) -> "Preview":
        """The matrix that comes nearest to `decode`, by least squares over smooth random latents. A few small decodes.

        Args:
            decode: (1,4,h,w) latents -> (1,3,8h,8w) pixels, -1..1.
            colours: what is used where the fit fails.
        """
        generator = torch.Generator().manual_seed(0)
        inputs, targets = [], []
        for blur in (1, 2, 4):
            coarse = torch.randn(1, 4, 12 // blur, 12 // blur, generator=generator)
            latents = F.interpolate(coarse, size=(12, 12), mode="bilinear", align_corners=False) * (0.7 + 0.3 * blur)
            inputs.append(_neighbourhoods(latents))
            targets.append(F.pixel_unshuffle(decode(latents).float().cpu(), 8).flatten(2)[0].T)
        x, y = torch.cat(inputs).double(), torch.cat(targets).double()
        matrix = torch.linalg.solve(x.T @ x + 1e-2 * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y).float()
        return cls(matrix, 8) if torch.isfinite(matrix).all() else cls.of(colours)

    def __call__(self, latents: Tensor) -> Image.Image:
        """(b,4,h,w) latents of any size -> RGB, at most 512 pixels a side; several pictures stand in a grid."""
        pictures = [self._one(latents[i : i + 1]) for i in range(latents.shape[0])]
        columns = math.ceil(math.sqrt(len(pictures)))
        rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
        width = max(row.shape[1] for row in rows)
        image = Image.fromarray(np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]))
        if self._patch == 1:
            scale = max(1, min(8, MAX_SIDE // max(image.size)))
            return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR)
        return image

    @torch.no_grad()
    def _one(self, latents: Tensor) -> np.ndarray:
        height, width = latents.shape[2:]
        flat = _neighbourhoods(latents.float().cpu()) @ self._matrix
        pixels = F.pixel_shuffle(flat.T.reshape(1, -1, height, width), self._patch)
        return ((pixels[0].permute(1, 2, 0) + 1) * 127.5).nan_to_num(127.5).clamp(0, 255).byte().numpy()


def _neighbourhoods(latents: Tensor) -> Tensor:
    """(1,4,h,w) -> (h * w, 37): each latent with its eight neighbours, and a 1."""
    patches = F.unfold(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3)[0].T
    return torch.cat([patches, torch.ones(patches.shape[0], 1)], dim=1)

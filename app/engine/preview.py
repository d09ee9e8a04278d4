"""Latents to a small picture while a job samples: one linear map, cheap, and safe to call from any thread."""

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

SD1_COLOURS = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
"""RGB of each channel of Stable Diffusion 1's latents (scaled by 0.18215), fitted by the community and used by all its interfaces."""
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
    def of_sd1(cls) -> "Preview":
        """The known colours of Stable Diffusion 1, one pixel for each latent."""
        matrix = torch.zeros(37, 3)
        matrix[torch.arange(4) * 9 + 4] = torch.tensor(SD1_COLOURS)
        return cls(matrix, 1)

    @classmethod
    def fitted(cls, decode: Callable[[Tensor], Tensor]) -> "Preview":
        """The matrix that comes nearest to `decode`, by least squares over smooth random latents. A few small decodes.

        Args:
            decode: (1,4,h,w) latents -> (1,3,8h,8w) pixels, -1..1.
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
        return cls(matrix, 8) if torch.isfinite(matrix).all() else cls.of_sd1()

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

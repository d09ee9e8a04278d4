"""The picture that is painted on: what models that read more than noisy latents are told of it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture, at the size at which the model works.

    Attributes:
        pixels: uint8 (H,W,3), H and W multiples of 8. What is under `paint` should be what painting starts from.
        paint: bool (H,W), True = is painted anew.
        depth: uint8 (H,W), a depth map that was handed in, larger is nearer; None: there is none.
    """

    pixels: NDArray[np.uint8]
    paint: NDArray[np.bool_]
    depth: NDArray[np.uint8] | None = None

    @classmethod
    def blank(cls, width: int, height: int) -> "Scene":
        """A picture of which nothing is kept."""
        return cls(np.zeros((height, width, 3), np.uint8), np.ones((height, width), bool))

    def shown(self) -> Tensor:
        """(1,3,H,W) float32, -1..1."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1

    def hidden(self) -> Tensor:
        """(1,1,H,W) bool, True = is painted anew."""
        return torch.from_numpy(np.ascontiguousarray(self.paint))[None, None]

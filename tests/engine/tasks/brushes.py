"""A hand on a model that can be computed on paper: the tasks' tests need no weights.

Latents are the means of 8 x 8 pixel cells (three channels -1..1, the fourth is 0). The model knows one world, a smooth
field of colours; its answer at noise level sigma is the mean of N(world, 0.3^2) given x, so the real loop and the real
samplers draw something that depends on the noise a little and on the world a lot.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from app.engine.denoise import Start, denoise
from app.engine.families.beside import MaskedPicture
from app.engine.samplers import SAMPLERS
from app.engine.schedules import TrainingTable, scaled_linear_alphas, sigmas_for
from app.engine.seeds import PictureStream, SeedExtras
from app.request import AnyRequest

SPREAD = 0.3


def sky(height: int, width: int) -> np.ndarray:
    """(3, height, width) float32, -1..1: a slow gradient."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([0.5 * np.sin(x / 7), 0.5 * np.cos(y / 9), 0.3 * np.sin((x + y) / 11)])


class Paper:
    """The part of a model that encodes pictures."""

    def encode_image(self, pixels: Tensor, *, scaled: bool = True) -> Tensor:
        """(1,3,H,W) -> (1,4,H/8,W/8): the cells' means."""
        means = torch.nn.functional.avg_pool2d(pixels.contiguous(), 8)
        return torch.cat([means, torch.zeros_like(means[:, :1])], 1)


class FakeBrush:
    """See `app.engine.brush.Brush`. `drift` is a tone error in levels that decoding adds; `asked` keeps every Start."""

    def __init__(self, request: AnyRequest, native: int = 64, *, drift: float = 0.0, world: Callable[[int, int], np.ndarray] = sky) -> None:
        self.request, self.native, self.drift, self.world = request, native, drift, world
        self.facts = {"Model": "paper"}
        self.asked: list[tuple[Start, str | None]] = []
        self.decoded = 0

    def stream(self, seed: int, variation: int) -> PictureStream:
        return PictureStream(seed, self.request.rng, SeedExtras.of(self.request, variation))

    def encode(self, pixels: np.ndarray) -> Tensor:
        assert pixels.dtype == np.uint8 and pixels.shape[0] % 8 == 0 and pixels.shape[1] % 8 == 0 and pixels.shape[2] == 3
        height, width = pixels.shape[0] // 8, pixels.shape[1] // 8
        means = pixels.reshape(height, 8, width, 8, 3).mean(axis=(1, 3)).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
        return torch.from_numpy(np.concatenate([means, np.zeros((1, height, width), np.float32)]))[None]

    def told(self, start: Start) -> Tensor:
        """What an inpainting checkpoint reads of the scenes: (1 or b,5,h,w), its mask and its picture with 0 where it is painted."""
        return torch.cat([MaskedPicture().of(Paper(), scene) for scene in start.scenes])

    def paint(self, start: Start, streams: Sequence[PictureStream], *, number: int = 1, prompt: str | None = None, negative: str | None = None) -> Tensor:
        assert start.noise.shape[0] == len(streams)
        self.asked.append((start, prompt))
        row = SAMPLERS[self.request.sampler]
        sigmas = sigmas_for("Karras", row, self.request.steps, TrainingTable(scaled_linear_alphas()))
        height, width = start.noise.shape[-2:]
        mean = torch.from_numpy(np.concatenate([self.world(height, width), np.zeros((1, height, width), np.float32)]))

        def model(x: Tensor, sigma: float) -> Tensor:
            return (SPREAD**2 * x + sigma**2 * mean) / (SPREAD**2 + sigma**2)

        def noise(sigma: float, sigma_next: float) -> Tensor:
            return torch.cat([stream.normal((1, 4, height, width)) for stream in streams])

        return denoise(model, start, row, sigmas, noise, lambda *step: None)

    def decode(self, latents: Tensor) -> list[np.ndarray]:
        self.decoded += latents.shape[0]
        levels = (latents[:, :3].permute(0, 2, 3, 1).numpy() + 1) * 127.5 + self.drift
        return list(np.clip(np.rint(levels), 0, 255).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2))

    def progress(self, phase: str, *, step: int = 0, steps: int = 0, number: int = 1) -> None:
        assert number >= 1

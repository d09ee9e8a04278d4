"""One picture's noise: a stream of standard normal tensors that depends on the seed alone."""

import math
from typing import get_args

import torch
from torch import Tensor

from app.engine import philox
from app.errors import BadRequest
from app.request import MAX_SEED, NoiseSource


class Stream:
    """The noise of one picture. Each call of `normal` draws the next tensor; no global generator is touched.

    Args:
        seed: 0 to 2^64-1.
        source: "NV", what a CUDA card draws, computed on the CPU (the same on every device, and A1111's seeds keep
            their meaning); or "CPU", torch's Mersenne twister.

    Raises:
        BadRequest: the seed is out of range or the source is not known.
    """

    def __init__(self, seed: int, source: NoiseSource = "NV") -> None:
        if not 0 <= seed <= MAX_SEED:
            raise BadRequest(f"Seed is {seed}, but it must be a whole number from 0 to 2^64-1.")
        if source not in get_args(NoiseSource):
            raise BadRequest(f"Noise source is {source!r}, but it must be one of {', '.join(get_args(NoiseSource))}.")
        self._seed = seed
        self._calls = 0
        self._generator = torch.Generator("cpu").manual_seed(seed) if source == "CPU" else None

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """The next standard normal tensor of `shape`: float32, on the CPU."""
        if self._generator is not None:
            return torch.randn(shape, generator=self._generator, dtype=torch.float32)
        values = philox.normal(self._seed, self._calls, math.prod(shape))
        self._calls += 1
        return torch.from_numpy(values).reshape(shape)

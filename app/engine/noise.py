"""One picture's noise: a stream of standard normal tensors that depends on the seed alone."""

import math
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from app.engine import philox
from app.engine.brownian import BrownianTree
from app.errors import BadRequest
from app.request import MAX_SEED, NoiseSource

Noise = Callable[[float, float], Tensor]
"""(sigma, sigma_next) -> standard normal (b,4,h,w), row i from picture i's own stream."""


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
        self._seed, self._source = seed, source
        self._calls = 0
        self._trees = 0
        self._generator = torch.Generator("cpu").manual_seed(seed) if source == "CPU" else None

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """The next standard normal tensor of `shape`: float32, on the CPU."""
        if self._generator is not None:
            return torch.randn(shape, generator=self._generator, dtype=torch.float32)
        values = philox.normal(self._seed, self._calls, math.prod(shape))
        self._calls += 1
        return torch.from_numpy(values).reshape(shape)

    def path(self, low: float, high: float, shape: tuple[int, ...]) -> BrownianTree:
        """Brownian motion over the noise levels `low` to `high`, as A1111's SDE samplers draw it; takes nothing from the stream.

        The first path has the picture's seed. Further ones (the windows of one picture) have seeds of their own, so that no two
        windows get the same noise.
        """
        seed = self._seed if self._trees == 0 else int(np.random.SeedSequence((self._seed, self._trees)).generate_state(1, np.uint64)[0])
        self._trees += 1

        def normal(node: int) -> Tensor:
            return Stream(node, self._source).normal(shape)

        return BrownianTree(seed, low, high, normal)


def drawn(streams: Sequence[Stream], shape: tuple[int, ...]) -> Noise:
    """The next draw of each stream, whatever the noise levels: for samplers whose draws are independent.

    Args:
        shape: (1,4,h,w), of one picture.
    """
    return lambda sigma, sigma_next: torch.cat([stream.normal(shape) for stream in streams])


def brownian(streams: Sequence[Stream], shape: tuple[int, ...], sigmas: Sequence[float]) -> Noise:
    """The increments of one Brownian path for each picture, divided by their own spread.

    They depend on the seed and the two noise levels alone: noise from a to c is made of that from a to b and from b to c.
    A question about no interval (sigma == sigma_next) takes the next draw of each stream.

    Args:
        shape: (1,4,h,w), of one picture.
        sigmas: the noise levels of the run; the path lies over those above zero. Levels are taken in single precision, as in A1111.
    """
    levels = [float(np.float32(sigma)) for sigma in sigmas if sigma > 0]
    low, high = min(levels), max(levels)
    paths = [stream.path(low, high, shape) for stream in streams] if low < high else []
    plain = drawn(streams, shape)

    def noise(sigma: float, sigma_next: float) -> Tensor:
        start, end = sorted(float(np.float32(level)) for level in (sigma, sigma_next))
        increments = [path.increment(start, end) for path in paths]
        found = [increment for increment in increments if increment is not None]
        if not found:
            return plain(sigma, sigma_next)
        sign = 1 if sigma < sigma_next else -1
        return torch.cat(found) * (sign / math.sqrt(end - start))

    return noise

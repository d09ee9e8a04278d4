"""What a picture starts from: the noise of its seed, moved towards another seed's, or laid out as for another size."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from app.engine.noise import Stream
from app.request import MAX_SEED, NoiseSource, Request

GRID = 8
"""Pixels to a cell of the latents."""


@dataclass(frozen=True)
class SeedExtras:
    """A1111's "Extra" beside the seed. The defaults change nothing.

    Attributes:
        variation: the other seed, 0 to 2^64-1.
        strength: how far to go to its noise, 0 to 1.
        resize_from: (width, height) in pixels for which the noise is drawn, laid into the middle; None or a side of 0: the picture's own.
        delta: added to the seed for all draws after the first (A1111's "ENSD").
    """

    variation: int = 0
    strength: float = 0.0
    resize_from: tuple[int, int] | None = None
    delta: int = 0

    @classmethod
    def of(cls, request: Request, variation: int) -> Self:
        """What a request says, for the picture whose variation seed is `variation`."""
        size = request.seed_resize_from_w, request.seed_resize_from_h
        return cls(variation, request.subseed_strength, size if all(size) else None, request.eta_noise_seed_delta)


class PictureStream(Stream):
    """The noise of one picture, from its first draw on (A1111 1.10, `ImageRNG`): `start` once for each window, `normal` for the rest.

    Args:
        seed: 0 to 2^64-1.

    Raises:
        BadRequest: see `Stream`.
    """

    def __init__(self, seed: int, source: NoiseSource = "NV", extras: SeedExtras | None = None) -> None:
        super().__init__(seed, source)
        self._own, self._rng, self._extras = seed, source, extras or SeedExtras()
        self._other = Stream(self._extras.variation, source) if self._extras.strength else None
        self._sized = Stream(seed, source)
        self._later: Stream | None = None

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """The next standard normal tensor of `shape`: float32, on the CPU."""
        return super().normal(shape) if self._later is None else self._later.normal(shape)

    def start(self, shape: tuple[int, ...]) -> Tensor:
        """The noise that a picture, or a window of it, starts from: (1,c,h,w) float32.

        It costs the stream one draw of that shape, whatever the extras, so that what comes later is the same.
        """
        plain = self.normal(shape)
        width, height = self._extras.resize_from or (0, 0)
        drawn = (*shape[:2], height // GRID, width // GRID) if width >= GRID and height >= GRID else shape
        noise = plain if drawn == shape else self._sized.normal(drawn)
        if self._other is not None:
            noise = slerp(self._extras.strength, noise, self._other.normal(drawn))
        if self._extras.delta and self._later is None:
            self._later = Stream((self._own + self._extras.delta) % (MAX_SEED + 1), self._rng)
        return noise if drawn == shape else centred(noise, plain)

    @property
    def facts(self) -> dict[str, str]:
        """What the infotext says about the other seed of this very picture."""
        return {"Variation seed": str(self._extras.variation)} if self._extras.strength else {}

    def plain(self, shape: tuple[int, ...]) -> Tensor:
        """The first draw of the seed without any extras (A1111's "latent noise" in the mask). Costs the stream nothing."""
        return Stream(self._own, self._rng).normal(shape)


def slerp(strength: float, low: Tensor, high: Tensor) -> Tensor:
    """From `low` (strength 0) to `high` (1) on a great circle, as A1111 does it: each column of each channel by itself, since
    A1111 takes (c,h,w) along its dimension 1; and where both are all but equal a straight line, the wrong way round.

    Args:
        low, high: (1,c,h,w).
    """
    dot = (low / torch.norm(low, dim=2, keepdim=True) * (high / torch.norm(high, dim=2, keepdim=True))).sum(2, keepdim=True)
    if dot.mean() > 0.9995:
        return low * strength + high * (1 - strength)
    omega = torch.acos(dot)
    whole = torch.sin(omega)
    return torch.sin((1.0 - strength) * omega) / whole * low + torch.sin(strength * omega) / whole * high


def centred(noise: Tensor, around: Tensor) -> Tensor:
    """`around` with `noise` in its middle, cut off where it is larger; odd differences as A1111 rounds them. Both (1,c,h,w)."""
    result = around.clone()
    (high, wide), (rows, columns) = around.shape[2:], noise.shape[2:]
    x, y = (wide - columns) // 2, (high - rows) // 2
    width, height = (size if offset >= 0 else size + 2 * offset for size, offset in ((columns, x), (rows, y)))
    to_x, to_y, from_x, from_y = max(x, 0), max(y, 0), max(-x, 0), max(-y, 0)
    result[:, :, to_y : to_y + height, to_x : to_x + width] = noise[:, :, from_y : from_y + height, from_x : from_x + width]
    return result

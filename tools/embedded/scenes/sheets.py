"""What a style is made from: a scene in flat colours, and the pixels in which its sky and its hero are seen."""

from dataclasses import dataclass

import numpy as np

from tools.embedded.scenes.grammar import Scene

OVERSAMPLING = 2
"""Scenes are painted so many times as large as they are asked for."""
CHANGED, COVERED = 12, 150
"""A pixel was painted on where its channels differ by more than the first in sum (of 765), and hidden by more than the second."""


@dataclass(frozen=True)
class Sheets:
    """Paintings uint8 (height, width, 3) of one scene: the `picture`, and how it was with the `sky` alone, `empty` of heroes, and `whole`."""

    scene: Scene
    picture: np.ndarray
    sky: np.ndarray
    empty: np.ndarray
    whole: np.ndarray

    @property
    def unit(self) -> float:
        """How many times as large the short side is as that of a square of 128, painted twice as large."""
        return min(self.picture.shape[:2]) / (128 * OVERSAMPLING)

    def colours(self) -> np.ndarray:
        """The picture as float32 in 0..1."""
        return self.picture.astype(np.float32) / 255

    def hero(self) -> np.ndarray:
        """bool (height, width): the hero, not what lies over it."""
        return _differ(self.whole, self.empty, CHANGED) & ~_differ(self.picture, self.whole, COVERED)

    def bare_sky(self) -> np.ndarray:
        """bool (height, width): sky with sun, moon, stars and clouds, where nothing stands before it."""
        return ~_differ(self.whole, self.sky, CHANGED) & ~_differ(self.picture, self.whole, COVERED)

    def random(self) -> np.random.Generator:
        """The random numbers of the scene's style."""
        return np.random.default_rng([self.scene.seed, 77])


def _differ(first: np.ndarray, second: np.ndarray, limit: int) -> np.ndarray:
    red, green, blue = np.moveaxis(np.abs(first.astype(np.int16) - second), 2, 0)
    return red + green + blue > limit


def shrink(picture: np.ndarray, factor: int = OVERSAMPLING) -> np.ndarray:
    """Mean over squares of `factor` x `factor` pixels: (height, width, c) -> float64 (height / factor, width / factor, c)."""
    parts = [picture[row::factor, column::factor].astype(np.float64) for row in range(factor) for column in range(factor)]
    return sum(parts[1:], parts[0]) / len(parts)


def finish(colours: np.ndarray) -> np.ndarray:
    """Float colours in 0..1, painted twice as large, -> uint8 picture at its size."""
    return (shrink(np.clip(colours, 0, 1)) * 255).round().astype(np.uint8)

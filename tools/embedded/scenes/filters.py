"""Small picture filters on float32 arrays (height, width) or (height, width, channels)."""

import math

import numpy as np
from PIL import Image

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luminance(colours: np.ndarray) -> np.ndarray:
    """(height, width, 3) -> (height, width), BT.601."""
    return colours @ LUMA


def lowest(colours: np.ndarray) -> np.ndarray:
    """The least of three channels: (..., 3) -> (...); many times as fast as a reduction."""
    return np.minimum(np.minimum(colours[..., 0], colours[..., 1]), colours[..., 2])


def highest(colours: np.ndarray) -> np.ndarray:
    """The greatest of three channels: (..., 3) -> (...)."""
    return np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 at `low` and below, 1 at `high` and above, smooth between them."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _along(values: np.ndarray, kernel: list[float], axis: int) -> np.ndarray:
    reach = len(kernel) // 2
    padding = [(0, 0)] * values.ndim
    padding[axis] = (reach, reach)
    padded = np.pad(values, padding, mode="edge")
    size = values.shape[axis]
    result = np.zeros_like(values)
    for index, weight in enumerate(kernel):
        result += np.float32(weight) * (padded[index : index + size] if axis == 0 else padded[:, index : index + size])
    return result


def blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of deviation `sigma` pixels, edges repeated; wide ones at half the size."""
    if sigma > 1.6:
        height, width = values.shape[:2]
        odd = [(0, height % 2), (0, width % 2), *[(0, 0)] * (values.ndim - 2)]
        even = np.pad(values, odd, mode="edge")
        half = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
        coarse = blur(half, sigma / 2).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        return _along(_along(coarse, [0.25, 0.5, 0.25], 0), [0.25, 0.5, 0.25], 1)
    reach = max(1, math.ceil(2.5 * sigma))
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(-reach, reach + 1)]
    kernel = [weight / sum(weights) for weight in weights]
    return _along(_along(values, kernel, 0), kernel, 1)


def noise(shape: tuple[int, ...], cell: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (height, width) around 0, most of it in -0.5..0.5, with spots about `cell` pixels wide."""
    height, width = shape[:2]
    rows, columns = max(2, round(height / cell) + 1), max(2, round(width / cell) + 1)
    coarse = Image.fromarray(rng.random((rows, columns), dtype=np.float32) - np.float32(0.5))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def slope(values: np.ndarray) -> np.ndarray:
    """How steep (height, width) is: length of the gradient per pixel."""
    down, across = np.gradient(values)
    return np.sqrt(down * down + across * across)


def saturate(colours: np.ndarray, factor: float) -> np.ndarray:
    """Colours `factor` times as far from the grey of their luminance; may leave 0..1."""
    grey = luminance(colours)[..., None]
    return grey + (colours - grey) * np.float32(factor)

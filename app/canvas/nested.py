"""A picture drawn small, with sub-pixel edges, in the middle of another: keys and frames of a zoom are made of this."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.canvas.fit import Pixels
from app.canvas.layout import usable_overlap
from app.canvas.mask import Box

_LANCZOS = Image.Resampling.LANCZOS


def inner_box(size: tuple[int, int], ratio: float) -> Box:
    """The whole pixels that a picture covers when it is drawn at 1/ratio in the middle of its own size (width, height)."""
    (left, width), (top, height) = _span(size[0], 1 / ratio), _span(size[1], 1 / ratio)
    return math.ceil(left), math.ceil(top), math.floor(left + width), math.floor(top + height)


def zoom_overlap(overlap: int, size: tuple[int, int], ratio: float) -> int:
    """The overlap of a zoom's keys in pixels of the outer key: what was asked, but at most a quarter of the inner picture."""
    return usable_overlap(overlap, inner_box(size, ratio), size)


def draw_inside(outer: NDArray[np.float32], inner: Pixels, scale: float, feather: float) -> None:
    """Draws `inner` at `scale` (below 1) in the middle of `outer`, in place.

    Lanczos from a float box, so that the picture shrinks without jumping from pixel to pixel; its edge covers pixels
    partly, and is blended over `feather` pixels (smoothstep), inside.

    Args:
        outer, inner: (H, W, 3) of the same size, levels 0..255.
    """
    spans = [_span(outer.shape[axis], scale) for axis in (0, 1)]
    ends = [(math.floor(start), math.ceil(start + length)) for start, length in spans]
    margin = 4 + math.ceil(1 / scale)
    (top, bottom), (left, right) = ends
    (y, _), (x, _) = spans
    box = ((left - x) / scale + margin, (top - y) / scale + margin, (right - x) / scale + margin, (bottom - y) / scale + margin)
    wide = np.pad(inner, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    small = np.asarray(Image.fromarray(wide).resize((right - left, bottom - top), _LANCZOS, box=box), dtype=np.float32)
    down, across = (_edges(start, length, *end) for (start, length), end in zip(spans, ends, strict=True))
    ramp = np.clip(np.minimum(down[1][:, None], across[1][None, :]) / max(feather, 1e-6), 0, 1)
    cover = down[0][:, None] * across[0][None, :] * ramp * ramp * (3 - 2 * ramp)
    part = outer[top:bottom, left:right]
    part += (small - part) * cover[..., None].astype(np.float32)


def magnified(pixels: Pixels, scale: float) -> NDArray[np.float32]:
    """The middle of a picture, `scale` (at least 1) times enlarged, at its own size: (H, W, 3) float32. Scale 1 is exact."""
    height, width = pixels.shape[:2]
    if scale <= 1:
        return pixels.astype(np.float32)
    across, down = width * (1 - 1 / scale) / 2, height * (1 - 1 / scale) / 2
    box = (across, down, width - across, height - down)
    return np.asarray(Image.fromarray(pixels).resize((width, height), _LANCZOS, box=box), dtype=np.float32)


def levels(values: NDArray[np.float32]) -> Pixels:
    """Rounded to uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def joined(raw: Pixels, inner: Pixels, ratio: float, overlap: int) -> Pixels:
    """A key of a zoom: the key before (`inner`) drawn at 1/ratio in the middle of the generated layer (`raw`)."""
    outer = raw.astype(np.float32)
    draw_inside(outer, inner, 1 / ratio, overlap)
    return levels(outer)


def _span(length: int, scale: float) -> tuple[float, float]:
    """Start and length of a picture drawn at `scale` in the middle of `length` pixels, free of rounding dust."""
    size = round(length * scale, 6)
    return round((length - size) / 2, 6), size


def _edges(start: float, length: float, first: int, last: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each pixel from `first` to `last`: how much of it the picture covers, and how far the covered part is from the picture's edge."""
    place = np.arange(first, last)
    low, high = np.maximum(place, start), np.minimum(place + 1, start + length)
    middle = (low + high) / 2
    return np.clip(high - low, 0, 1), np.minimum(middle - start, start + length - middle)

"""A mask handed in, and what follows from it: what is painted, its soft edge, the part of the picture to work on."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from app.canvas.fit import GRID, as_rgb
from app.errors import BadRequest
from app.request import MaskMode

Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Level = TypeVar("Level", NDArray[np.uint8], NDArray[np.bool_])
_NOISE = 8
"""Levels next to black and white that are taken as black and white: a mask saved as JPEG is not clean."""


def read_mask(mask: Image.Image, size: tuple[int, int], mode: MaskMode) -> Mask:
    """(H, W) uint8, 255 = paint, 0 = keep, after `mode`; gray is partly painted.

    A mask with transparency counts where it is both white and opaque.

    Args:
        size: (width, height) of the picture that it belongs to.

    Raises:
        BadRequest: the mask has another size, or nothing is left to paint.
    """
    if mask.size != size:
        raise BadRequest(f"The mask is {mask.width}x{mask.height}, but the image is {size[0]}x{size[1]}.", "They must be of the same size.")
    levels = _levels(mask)
    levels[levels < _NOISE] = 0
    levels[levels > 255 - _NOISE] = 255
    if mode == "Inpaint not masked":
        levels = 255 - levels
    if levels.max() < 128:
        empty = "covers the whole image, so nothing is left to paint" if mode == "Inpaint not masked" else "is empty"
        raise BadRequest(f"The mask {empty}.", "Paint white over what is to be made anew.")
    return levels


def _levels(mask: Image.Image) -> Mask:
    """How white and opaque each pixel is."""
    if mask.mode in ("RGBA", "LA", "PA") or "transparency" in mask.info:
        whole = mask.convert("RGBA")
        light = np.asarray(whole.convert("RGB").convert("L"), dtype=np.uint32)
        alpha = np.asarray(whole.getchannel("A"), dtype=np.uint32)
        return ((light * alpha + 127) // 255).astype(np.uint8)
    return np.array(Image.fromarray(as_rgb(mask)).convert("L"))


def blurred(mask: Mask, radius: int) -> Mask:
    """The mask with a soft edge: Gaussian with a standard deviation of `radius` pixels, exactly 0 farther than 3 of them away."""
    if not radius:
        return mask
    soft = np.array(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(radius)))
    soft[~spread(mask > 0, 3 * radius)] = 0
    return soft


def spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """`mask` grown by a square of `reach` pixels to each side."""
    for axis in (0, 1) if reach else ():
        total = np.cumsum(mask, axis=axis, dtype=np.int32)
        total = np.concatenate([np.zeros_like(total.take([0], axis=axis)), total], axis=axis)
        place = np.arange(mask.shape[axis])
        upper, lower = np.minimum(place + reach + 1, mask.shape[axis]), np.maximum(place - reach, 0)
        mask = total.take(upper, axis=axis) > total.take(lower, axis=axis)
    return mask


def touched(mask: Mask, soft: Mask) -> NDArray[np.bool_]:
    """Where the model has to paint so that the soft edge blends two pictures and not one with itself."""
    return (mask >= 128) | (soft >= _NOISE)


def cells(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H/8, W/8) float32, 1 where any pixel of a latent cell is in the mask: the mask snapped outward to the latent grid."""
    height, width = mask.shape
    return np.any(mask.reshape(height // GRID, GRID, width // GRID, GRID), axis=(1, 3)).astype(np.float32)


def region(mask: Mask, padding: int, aspect: float | None = None) -> Box:
    """The part of the picture to work on: what `mask` covers, with `padding`, grown towards `aspect` (width / height) if there is one.

    It is shifted to stay inside the picture, and smaller than asked where the picture ends.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    left, right = max(0, int(columns[0]) - padding), min(width, int(columns[-1]) + 1 + padding)
    top, bottom = max(0, int(rows[0]) - padding), min(height, int(rows[-1]) + 1 + padding)
    if aspect is None:
        return left, top, right, bottom
    if (right - left) < aspect * (bottom - top):
        left, right = _grown(left, right, round(aspect * (bottom - top)), width)
    else:
        top, bottom = _grown(top, bottom, round((right - left) / aspect), height)
    return left, top, right, bottom


def _grown(start: int, end: int, length: int, limit: int) -> tuple[int, int]:
    """The span start..end grown evenly to `length`, pushed back inside 0..limit."""
    length = min(max(length, end - start), limit)
    start = min(max(0, start - (length - (end - start)) // 2), limit - length)
    return start, start + length


def crop(pixels: Level, box: Box) -> Level:
    """The part of (H, W) or (H, W, 3) inside `box`."""
    return pixels[box[1] : box[3], box[0] : box[2]]

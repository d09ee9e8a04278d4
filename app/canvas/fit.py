"""Any picture to RGB pixels, and pictures to sizes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.request import ResizeMode

Pixels = NDArray[np.uint8]
GRID = 8
"""Pixels per latent cell."""


def as_rgb(image: Image.Image) -> Pixels:
    """(H, W, 3) uint8. Transparency is laid on white; 16-bit gray is taken to 8 bits; pixels that are opaque RGB stay as they are."""
    if image.mode.startswith("I") or image.mode == "F":
        gray = np.asarray(image, dtype=np.float64)
        gray = gray / 257 if image.mode != "F" else gray
        return np.repeat(np.clip(np.rint(gray), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"), dtype=np.uint32)
        alpha = pixels[..., 3:]
        return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.array(image.convert("RGB"))


def as_image(pixels: Pixels) -> Image.Image:
    """The RGB picture of (H, W, 3) uint8."""
    return Image.fromarray(np.ascontiguousarray(pixels), "RGB")


def rounded_up(side: int) -> int:
    """`side` up to the next multiple of 8."""
    return -(-side // GRID) * GRID


def padded(pixels: Pixels) -> Pixels:
    """`pixels` extended to multiples of 8 on the right and below by repeating its edge; itself when it fits already."""
    down, right = rounded_up(pixels.shape[0]) - pixels.shape[0], rounded_up(pixels.shape[1]) - pixels.shape[1]
    if not (down or right):
        return pixels
    return np.pad(pixels, ((0, down), (0, right)) + ((0, 0),) * (pixels.ndim - 2), mode="edge")


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Lanczos; (H, W) or (H, W, 3) uint8. The same pixels when the size is the same."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def enlarged_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) of a picture made `scale` times as wide and as high."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def fit(pixels: Pixels, width: int, height: int, mode: ResizeMode) -> Pixels:
    """`pixels` at width x height, as A1111's resize modes do it. Nothing is resampled when the size is right already.

    "Just resize" (and the latent upscale, whose pixels are the same) stretches; "Crop and resize" covers the frame and
    cuts off the rest; "Resize and fill" fits inside it and repeats the edge.
    """
    if mode == "Crop and resize":
        return _placed(pixels, width, height, cover=True)
    if mode == "Resize and fill":
        return _placed(pixels, width, height, cover=False)
    return resized(pixels, width, height)


def inner_box(source: tuple[int, int], width: int, height: int, *, cover: bool) -> tuple[int, int, int, int]:
    """Where a picture of size `source` (width, height) lies when it is scaled to cover the frame, or to fit inside it.

    The box is centred as A1111 centres it: frame // 2 - picture // 2.
    """
    wide = width * source[1] > source[0] * height
    inner_width = width if wide == cover else max(1, source[0] * height // source[1])
    inner_height = max(1, source[1] * width // source[0]) if wide == cover else height
    left, top = width // 2 - inner_width // 2, height // 2 - inner_height // 2
    return left, top, left + inner_width, top + inner_height


def _placed(pixels: Pixels, width: int, height: int, *, cover: bool) -> Pixels:
    left, top, right, bottom = inner_box((pixels.shape[1], pixels.shape[0]), width, height, cover=cover)
    inner = resized(pixels, right - left, bottom - top)
    inner = inner[max(0, -top) : max(0, -top) + height, max(0, -left) : max(0, -left) + width]
    left, top = max(0, left), max(0, top)
    around = ((top, height - top - inner.shape[0]), (left, width - left - inner.shape[1]))
    return np.pad(inner, around + ((0, 0),) * (pixels.ndim - 2), mode="edge")

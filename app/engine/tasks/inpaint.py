"""Paint a part of a picture anew. Where the blurred mask is 0, every pixel comes back bit for bit."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from app.canvas.blend import pasted, prove_kept
from app.canvas.check import check_size
from app.canvas.fill import filled
from app.canvas.fit import GRID, Pixels, as_rgb, fit, inner_box, padded, resized, rounded_up
from app.canvas.mask import Box, Mask, blurred, cells, crop, read_mask, region, touched
from app.engine.denoise import Start
from app.engine.scene import Scene
from app.engine.tasks.batches import CHANNELS, Batch, batches, decoded, encode_fitted, first_noise, picture
from app.request import Inpaint
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.brush import Brush


@dataclass(frozen=True)
class Work:
    """What the model works on, and where it belongs.

    Attributes:
        base: the picture that the result is pasted into.
        soft: the blurred mask, of the base's size.
        pixels: the part that the model works on, not yet at the size at which it works.
        mask, paint: of the same size: what was masked, and what the model paints (that and its soft edge).
        box: where that part lies in the base.
        width, height: at which the model works, multiples of 8.
    """

    base: Pixels
    soft: Mask
    pixels: Pixels
    mask: Mask
    paint: NDArray[np.bool_]
    box: Box
    width: int
    height: int


def inpaint(request: Inpaint, inputs: Mapping[str, Image.Image], brush: "Brush") -> Iterator[Picture]:
    """Pictures of width x height, or of the image's own size where they are open or only the masked part is worked on.

    Raises:
        BadRequest: the mask is of another size than the image, or nothing is left to paint.
    """
    check_size(request, inputs["image"])
    pixels = as_rgb(inputs["image"])
    mask = read_mask(inputs["mask"], inputs["image"].size, request.mask_mode)
    work = _only_masked(request, pixels, mask, brush.native) if request.inpaint_area == "Only masked" else _whole(request, pixels, mask)
    brush.progress("encoding")
    source, paint_here, scene = _encoded(request, work, brush)
    for batch in batches(request, brush):
        noise = first_noise(batch.streams, work.width, work.height)
        start = Start(noise, source, paint_here, request.denoising_strength, init=_init(request, batch, noise), scenes=(scene,))
        latents = brush.paint(start, batch.streams, number=batch.number)
        for i, made in enumerate(decoded(brush, latents, batch.number)):
            yield picture(brush, batch, i, _put_back(work, made))


def _whole(request: Inpaint, pixels: Pixels, mask: Mask) -> Work:
    """The whole picture at width x height; at its own size, with a repeated edge up to a multiple of 8, where both are open."""
    if request.width is None and request.height is None:
        soft, work_pixels, work_mask = blurred(mask, request.mask_blur), padded(pixels), padded(mask)
        height, width = work_mask.shape
        return Work(pixels, soft, work_pixels, work_mask, touched(work_mask, padded(soft)), (0, 0, width, height), width, height)
    width, height = request.width or rounded_up(pixels.shape[1]), request.height or rounded_up(pixels.shape[0])
    base, fitted = fit(pixels, width, height, request.resize_mode), fit(mask, width, height, request.resize_mode)
    soft = blurred(fitted, request.mask_blur)
    upscaled = request.resize_mode == "Just resize (latent upscale)"
    return Work(base, soft, pixels if upscaled else base, mask if upscaled else fitted, touched(fitted, soft), (0, 0, width, height), width, height)


def _only_masked(request: Inpaint, pixels: Pixels, mask: Mask, native: int) -> Work:
    """The masked part with its padding, worked on at width x height; where these are open, at about the checkpoint's native size."""
    soft = blurred(mask, request.mask_blur)
    soft = soft if soft.any() else mask
    left, top, right, bottom = region(soft, request.mask_padding)
    aspect = min(2.0, max(0.5, (right - left) / (bottom - top)))
    width = request.width or max(GRID, round(native * math.sqrt(aspect) / GRID) * GRID)
    height = request.height or max(GRID, round(native / math.sqrt(aspect) / GRID) * GRID)
    box = region(soft, request.mask_padding, width / height)
    return Work(pixels, soft, crop(pixels, box), crop(mask, box), touched(crop(mask, box), crop(soft, box)), box, width, height)


def _encoded(request: Inpaint, work: Work, brush: "Brush") -> tuple[Tensor, Tensor, Scene]:
    """Latents of the picture; the latent mask: every cell with a pixel that is painted; what checkpoints are told of the picture."""
    pixels = filled(work.pixels, work.mask < 128, "pyramid") if request.masked_content == "fill" else work.pixels
    mode = "Resize and fill" if request.inpaint_area == "Only masked" else request.resize_mode
    source = encode_fitted(brush, pixels, work.width, work.height, mode)
    paint = fit(work.paint.astype(np.uint8) * 255, work.width, work.height, mode) >= 64
    return source, torch.from_numpy(cells(paint))[None, None], Scene(fit(work.pixels, work.width, work.height, mode), paint)


def _init(request: Inpaint, batch: Batch, noise: Tensor) -> Tensor | None:
    """What the painted part starts from, before noise is added: None is the encoded picture."""
    if request.masked_content == "latent noise":
        return torch.cat([stream.plain((1, *noise.shape[1:])) for stream in batch.streams])
    return torch.zeros_like(noise[:1, :CHANNELS]) if request.masked_content == "latent nothing" else None


def _put_back(work: Work, made: Pixels) -> Pixels:
    """The model's picture back at the base's resolution and place, through the blurred mask."""
    left, top, right, bottom = work.box
    width, height = right - left, bottom - top
    if (width, height) != (work.width, work.height):
        inner = inner_box((width, height), work.width, work.height, cover=False)
        made = resized(crop(made, inner), width, height)
    layer = work.base.copy()
    part = crop(layer, work.box)
    part[:] = made[: part.shape[0], : part.shape[1]]
    result = pasted(work.base, layer, work.soft)
    prove_kept(work.base, result, work.soft == 0)
    return result

"""A picture from a picture: its latents with noise on them, as much as the denoising strength says."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.canvas.fit import Pixels, as_image, as_rgb, fit, padded, resized, rounded_up
from app.engine.denoise import Start
from app.engine.scene import Scene
from app.engine.tasks.batches import batches, decoded, encode_fitted, first_noise, picture
from app.request import Img2Img
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.brush import Brush


def img2img(request: Img2Img, inputs: Mapping[str, Image.Image], brush: "Brush") -> Iterator[Picture]:
    """Pictures of width x height.

    With both open the image is worked on as it is, without resampling (its edge repeated up to a multiple of 8, and cut off again).
    """
    pixels = as_rgb(inputs["image"])
    height, width = pixels.shape[:2]
    depth = resized(np.asarray(as_image(as_rgb(inputs["depth_map"])).convert("L")), width, height) if "depth_map" in inputs else None
    if request.width is None and request.height is None:
        pixels, depth = padded(pixels), None if depth is None else padded(depth)
        work_width, work_height = rounded_up(width), rounded_up(height)
    else:
        work_width, work_height = width, height = request.width or rounded_up(width), request.height or rounded_up(height)
    brush.progress("encoding")
    source = encode_fitted(brush, pixels, work_width, work_height, request.resize_mode)
    scene = _scene(request, pixels, depth, work_width, work_height)
    for batch in batches(request, brush):
        start = Start(first_noise(batch.streams, work_width, work_height), source, strength=request.denoising_strength, scenes=(scene,))
        latents = brush.paint(start, batch.streams, number=batch.number)
        for i, made in enumerate(decoded(brush, latents, batch.number)):
            yield picture(brush, batch, i, made[:height, :width])


def _scene(request: Img2Img, pixels: Pixels, depth: Pixels | None, width: int, height: int) -> Scene:
    """What checkpoints are told of the picture, all of which is painted; the depth map is fitted as the picture is."""
    mode = request.resize_mode
    return Scene(fit(pixels, width, height, mode), np.ones((height, width), bool), None if depth is None else fit(depth, width, height, mode))

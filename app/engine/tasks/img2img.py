"""A picture from a picture: its latents with noise on them, as much as the denoising strength says."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from PIL import Image

from app.canvas.fit import as_rgb, padded, rounded_up
from app.engine.denoise import Start
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
    if request.width is None and request.height is None:
        pixels = padded(pixels)
        work_width, work_height = rounded_up(width), rounded_up(height)
    else:
        work_width, work_height = width, height = request.width or rounded_up(width), request.height or rounded_up(height)
    brush.progress("encoding")
    source = encode_fitted(brush, pixels, work_width, work_height, request.resize_mode)
    for batch in batches(request, brush):
        start = Start(first_noise(batch.streams, work_width, work_height), source, strength=request.denoising_strength)
        latents = brush.paint(start, batch.streams, number=batch.number)
        for i, made in enumerate(decoded(brush, latents, batch.number)):
            yield picture(brush, batch, i, made[:height, :width])

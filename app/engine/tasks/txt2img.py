"""A picture from a prompt: noise, and nothing else; with hires fix in two passes."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from PIL import Image

from app.engine.denoise import Start
from app.engine.tasks.batches import batches, decoded, first_noise, picture
from app.engine.tasks.hires import in_two_passes
from app.request import Txt2Img
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.brush import Brush


def txt2img(request: Txt2Img, inputs: Mapping[str, Image.Image], brush: "Brush") -> Iterator[Picture]:
    """Pictures of width x height (the checkpoint's native size where they are open), or of hires fix's target."""
    if request.enable_hr:
        yield from in_two_passes(request, brush)
        return
    width, height = request.width or brush.native, request.height or brush.native
    for batch in batches(request, brush):
        latents = brush.paint(Start(first_noise(batch.streams, width, height)), batch.streams, number=batch.number)
        for i, pixels in enumerate(decoded(brush, latents, batch.number)):
            yield picture(brush, batch, i, pixels)

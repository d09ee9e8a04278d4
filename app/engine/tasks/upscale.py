"""A finished picture made larger. No checkpoint takes part."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from PIL import Image

from app import parameters
from app.request import Upscale
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.upscalers_run import Enlarger


def upscale(request: Upscale, inputs: Mapping[str, Image.Image], enlarger: "Enlarger") -> Iterator[Picture]:
    """The picture, `scale` times as wide and as high; its seed is the one that its parameters name, else 0."""
    made = enlarger.upscale(inputs["image"], request.upscaler, request.scale)
    seed = parameters.parse(request.parameters).fields.get("Seed", "")
    yield Picture(made, 0, int(seed) if seed.isdecimal() and len(seed) < 20 else 0)

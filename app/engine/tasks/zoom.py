"""The key pictures of an infinite zoom: each is the one before, drawn small in the middle, and painted around."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.canvas.fit import Pixels, as_image, as_rgb, fit, rounded_up
from app.canvas.growing import Growing
from app.canvas.layout import MAX_SIDE, windows
from app.canvas.nested import draw_inside, inner_box, joined, levels, zoom_overlap
from app.engine.denoise import Start
from app.engine.tasks.batches import decoded, first_noise
from app.engine.tasks.growth import Manner, grow
from app.request import Zoom
from app.work import Picture
from app.zoom_frames import key_prompts

if TYPE_CHECKING:
    from app.engine.brush import Brush

STRENGTH = 0.95
"""How much of the way a ring goes from its fill: enough to be free of it, not so much that its tone is lost."""
_SMALLEST = 64


def zoom(request: Zoom, inputs: Mapping[str, Image.Image], brush: "Brush") -> Iterator[Picture]:
    """The keys, from the innermost outward, each with its raw layer (see `app.zoom_frames`).

    Key 0 is drawn from its prompt, or is the start image fitted to width x height.

    Raises:
        BadRequest: the storyboard names a key that does not exist.
    """
    prompts = key_prompts(request)
    start = as_rgb(inputs["image"]) if "image" in inputs else None
    width, height = _size(request, start, brush.native)
    key = _first_key(request, prompts[0], start, (width, height), brush)
    yield Picture(as_image(key), 0, request.seed, dict(brush.facts), raw=as_image(key))
    overlap = zoom_overlap(request.overlap, (width, height), request.ratio)
    kept = inner_box((width, height), request.ratio)
    boxes = windows(width, height, kept, brush.native)
    for index in range(1, request.keys):
        canvas = _around(key, kept, request.ratio, overlap)
        seed, variation = (key_seed(own, index) for own in (request.seed, request.subseed))
        stream = brush.stream(seed, variation)
        grow(brush, [canvas], boxes, [stream], index + 1, Manner(STRENGTH, request.coherence, prompt=prompts[index]))
        key = joined(canvas.raw, key, request.ratio, overlap)
        yield Picture(as_image(key), index, seed, {**brush.facts, **stream.facts}, raw=as_image(canvas.raw))


def key_seed(seed: int, index: int) -> int:
    """The seed of key `index`: the job's for key 0, then 32 bits of the SHA-256 of "seed:index"."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:4], "big") if index else seed


def _size(request: Zoom, start: Pixels | None, native: int) -> tuple[int, int]:
    """What was asked, else the start image's size (8s, 64 to 4096), else the native size."""
    open_width, open_height = (native, native) if start is None else (min(MAX_SIDE, max(_SMALLEST, rounded_up(side))) for side in start.shape[1::-1])
    return request.width or open_width, request.height or open_height


def _first_key(request: Zoom, prompt: str, start: Pixels | None, size: tuple[int, int], brush: "Brush") -> Pixels:
    if start is not None:
        return fit(start, *size, "Crop and resize")
    streams = [brush.stream(request.seed, request.subseed)]
    latents = brush.paint(Start(first_noise(streams, *size)), streams, number=1, prompt=prompt)
    return next(decoded(brush, latents, 1))


def _around(key: Pixels, kept: tuple[int, int, int, int], ratio: float, overlap: int) -> Growing:
    """A canvas with the key drawn small in its middle; the pixels that it covers wholly are known."""
    small = np.zeros(key.shape, np.float32)
    draw_inside(small, key, 1 / ratio, 0)
    known = np.zeros(key.shape[:2], bool)
    known[kept[1] : kept[3], kept[0] : kept[2]] = True
    return Growing(levels(small), known, overlap)

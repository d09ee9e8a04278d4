"""Extend a picture to any side. Its pixels come back bit for bit, but for the overlap along the sides that are extended."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.canvas.blend import depth, prove_kept, seam_score
from app.canvas.fit import Pixels, as_rgb
from app.canvas.growing import Growing
from app.canvas.layout import Layout, outpaint_layout, windows
from app.engine.tasks.batches import batches, picture
from app.engine.tasks.growth import Manner, grow
from app.request import Outpaint
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.brush import Brush


def outpaint(request: Outpaint, inputs: Mapping[str, Image.Image], brush: "Brush") -> Iterator[Picture]:
    """Pictures of exactly left + width + right by up + height + down pixels.

    Raises:
        BadRequest: no side is extended, or the result would be larger than 4096 a side.
    """
    pixels = as_rgb(inputs["image"])
    layout = outpaint_layout(request, (pixels.shape[1], pixels.shape[0]))
    canvas = _canvas(pixels, layout)
    boxes = windows(layout.canvas_width, layout.canvas_height, layout.kept, brush.native)
    manner = Manner(request.denoising_strength, request.coherence, request.outpaint_fill)
    for batch in batches(request, brush):
        canvases = [Growing(canvas.pixels, canvas.known, layout.overlap) for _ in batch.seeds]
        grow(brush, canvases, boxes, batch.streams, batch.number, manner)
        for i, made in enumerate(canvases):
            prove_kept(canvas.pixels, made.pixels, depth(canvas.known) > layout.overlap)
            result = made.pixels[: layout.height, : layout.width]
            yield picture(brush, batch, i, result, _facts(request, layout, result))


def _canvas(pixels: Pixels, layout: Layout) -> Growing:
    """The picture in its canvas. Where a side is not extended, the few pixels up to a multiple of 8 repeat its edge and count as known."""
    left, top, right, bottom = layout.kept
    far_right = layout.canvas_width if right == layout.width else right
    far_bottom = layout.canvas_height if bottom == layout.height else bottom
    canvas = np.zeros((layout.canvas_height, layout.canvas_width, 3), np.uint8)
    known = np.zeros(canvas.shape[:2], bool)
    canvas[top:far_bottom, left:far_right] = np.pad(pixels, ((0, far_bottom - bottom), (0, far_right - right), (0, 0)), mode="edge")
    known[top:far_bottom, left:far_right] = True
    return Growing(canvas, known, layout.overlap)


def _facts(request: Outpaint, layout: Layout, result: Pixels) -> dict[str, str]:
    """What the infotext says about it; the overlap is the one used."""
    return {
        "Outpaint": f"{request.left} {request.right} {request.up} {request.down}",
        "Outpaint overlap": str(layout.overlap),
        "Outpaint fill": request.outpaint_fill,
        "Outpaint coherence": request.coherence,
        "Outpaint seam": f"{seam_score(result, layout.kept):.1f}",
    }

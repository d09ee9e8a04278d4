"""Paints a canvas window by window around what is known: the work that outpaint and zoom share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from app.canvas.growing import Growing
from app.canvas.mask import Box
from app.engine.denoise import Start
from app.engine.scene import Scene
from app.engine.seeds import PictureStream
from app.engine.tasks.batches import decoded, first_noise
from app.request import Coherence, OutpaintFill

if TYPE_CHECKING:
    from app.engine.brush import Brush

ROUNDS: dict[Coherence, int] = {"Fast": 0, "Normal": 2, "Best": 5}
"""Two-sided Langevin rounds before each step. Fast has none, but shows the kept part with fresh noise at each step."""


@dataclass(frozen=True)
class Manner:
    """How windows are painted: see the fields of the same names in `app.request.Outpaint`."""

    strength: float
    coherence: Coherence
    fill: OutpaintFill = "pyramid"
    prompt: str | None = None


def grow(brush: "Brush", canvases: Sequence[Growing], boxes: Sequence[Box], streams: Sequence[PictureStream], number: int, manner: Manner) -> None:
    """Paints each of `boxes`, in order, into each canvas with its own stream; the canvases have the same size and known part."""
    for box in boxes:
        brush.progress("encoding", number=number)
        scenes = tuple(Scene(canvas.before(box, manner.fill), canvas.painted(box)) for canvas in canvases)
        source = torch.cat([brush.encode(scene.pixels) for scene in scenes])
        noise = first_noise(streams, box[2] - box[0], box[3] - box[1])
        start = Start(
            noise, source, torch.from_numpy(canvases[0].mask(box))[None, None], manner.strength, rounds=ROUNDS[manner.coherence],
            fresh=manner.coherence == "Fast", init=noise if manner.fill == "latent noise" else None, scenes=scenes,
        )  # fmt: skip
        latents = brush.paint(start, streams, number=number, prompt=manner.prompt)
        for canvas, made in zip(canvases, decoded(brush, latents, number), strict=True):
            canvas.put(box, made)

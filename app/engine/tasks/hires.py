"""Hires. fix: a picture painted small, enlarged, and painted over once more, as A1111 does it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from app import hires
from app.canvas.fit import GRID, Pixels
from app.engine.brush import title
from app.engine.denoise import Start
from app.engine.tasks.batches import Batch, batches, decoded, first_noise, picture
from app.engine.upscalers import LATENT, find_latent
from app.errors import Cancelled, StudioError
from app.request import Txt2Img
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.brush import Brush

KEPT = "The picture of the first pass is kept."


def in_two_passes(request: Txt2Img, brush: "Brush") -> Iterator[Picture]:
    """Pictures of the target's size. What the first pass made comes, too, when it is asked for or the second pass fails.

    Raises:
        StudioError: the second pass failed; the first pictures of this batch have come before.
    """
    width, height = request.width or brush.native, request.height or brush.native
    goal = hires.target(request, width, height)
    first, second = brush.passes(*passes(request, goal))
    for batch in batches(request, brush):
        latents = first.paint(Start(first_noise(batch.streams, width, height)), batch.streams, number=batch.number)
        small = Small(first, batch, latents)
        if request.save_first_pass:
            yield from small.pictures(request)
        made = 0
        try:
            for i, pixels in enumerate(_painted_over(request, small, second, goal)):
                yield picture(first, batch, i, pixels, facts_of(request, first.facts, second.facts))
                made += 1
        except Cancelled:
            raise
        except StudioError as error:
            if not request.save_first_pass:
                yield from small.pictures(request, made)
                error.hint = f"{error.hint} {KEPT}".strip()
            raise


def passes(request: Txt2Img, goal: hires.Target) -> tuple[Txt2Img, Txt2Img]:
    """What each pass is asked for, as a request of its own."""
    width, height = goal.size
    second: dict[str, object] = {
        "enable_hr": False,
        "width": width,
        "height": height,
        "steps": request.hr_second_pass_steps or request.steps,
        "sampler": request.hr_sampler or request.sampler,
        "schedule": request.hr_schedule or request.schedule,
        "cfg_scale": request.hr_cfg or request.cfg_scale,
        "checkpoint": request.hr_checkpoint or request.checkpoint,
        "prompt": request.hr_prompt or request.prompt,
        "negative_prompt": request.hr_negative_prompt or request.negative_prompt,
    }
    if request.hr_refiner == "first pass":
        second["refiner_checkpoint"] = ""
    return request.model_copy(update=first_pass(request)), request.model_copy(update=second)


def first_pass(request: Txt2Img) -> dict[str, object]:
    """The fields in which a request for the first pass alone differs."""
    return {"enable_hr": False, "save_first_pass": False} | ({"refiner_checkpoint": ""} if request.hr_refiner == "second pass" else {})


def facts_of(request: Txt2Img, first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """What a finished picture says of the second pass, and of the networks in either."""
    facts = {key: second[key] for key in ("Refiner", "VAE precision") if key in second}
    for key in ("Lora hashes", "TI hashes"):
        found = dict.fromkeys(part for told in (first, second) if key in told for part in told[key].split(", "))
        facts |= {key: ", ".join(found)} if found else {}
    return facts | ({"Hires checkpoint": title(second)} if request.hr_checkpoint else {})


class Small:
    """What the first pass made of a batch; its pixels are computed once, when they are needed.

    Attributes:
        batch: the pictures' seeds.
        latents: (b,4,h,w).
    """

    def __init__(self, brush: "Brush", batch: Batch, latents: Tensor) -> None:
        self.batch, self.latents = batch, latents
        self._brush = brush
        self._pixels: dict[int, Pixels] = {}

    def pixels(self, i: int) -> Pixels:
        """Picture `i` (from 0)."""
        if i not in self._pixels:
            [self._pixels[i]] = decoded(self._brush, self.latents[i : i + 1], self.batch.number + i)
        return self._pixels[i]

    def pictures(self, request: Txt2Img, begin: int = 0) -> Iterator[Picture]:
        """Finished pictures, from number `begin` on. Each says how it is made alone."""
        for i in range(begin, len(self.batch.seeds)):
            yield picture(self._brush, self.batch, i, self.pixels(i), changes=first_pass(request))


def _painted_over(request: Txt2Img, small: Small, second: "Brush", goal: hires.Target) -> Iterator[Pixels]:
    """The second pass of a batch, picture by picture. Its noise is the first draw of each seed, at the new size."""
    batch = small.batch
    source = enlarged(request.hr_upscaler, small, second, goal)
    streams = [second.stream(*request.seeds_of(batch.first + i)) for i in range(len(batch.seeds))]
    start = Start(first_noise(streams, *goal.size), source, strength=request.denoising_strength, init=source, last=second.request.steps)
    yield from decoded(second, second.paint(start, streams, number=batch.number), batch.number)


def enlarged(upscaler: str, small: Small, second: "Brush", goal: hires.Target) -> Tensor:
    """(b,4,h,w): what the second pass paints over. Each picture by itself, so that it is the same in every batch."""
    number = small.batch.number
    second.progress("upscaling", number=number)
    rows = []
    if mode := find_latent(upscaler):
        interpolation, antialias = LATENT[mode]
        size = (goal.to_height // GRID, goal.to_width // GRID)
        rows = [F.interpolate(row, size=size, mode=interpolation, antialias=antialias) for row in small.latents.split(1)]
    else:
        pictures = [small.pixels(i) for i in range(len(small.batch.seeds))]
        for i, pixels in enumerate([_enlarged_pixels(upscaler, pixels, second, goal, number + i) for i, pixels in enumerate(pictures)]):
            second.progress("encoding", number=number + i)
            rows.append(second.encode(pixels))
    latents = torch.cat(rows)
    x, y = goal.cut_x, goal.cut_y
    return latents[:, :, y // 2 : latents.shape[2] - (y + 1) // 2, x // 2 : latents.shape[3] - (x + 1) // 2]


def _enlarged_pixels(upscaler: str, pixels: Pixels, second: "Brush", goal: hires.Target, number: int) -> Pixels:
    """The picture at the target's size, without the pixels that do not fill a cell. One that has that size is left as it is."""
    width, height = goal.to_width, goal.to_height
    large = pixels if pixels.shape[:2] == (height, width) else second.enlarge(pixels, upscaler, width, height, number=number)
    return np.ascontiguousarray(large[: height // GRID * GRID, : width // GRID * GRID])

"""What the tasks share: pictures in batches, each with its own seed and noise; pixels to latents of the right size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from app.canvas.fit import GRID, Pixels, as_image, fit, resized
from app.engine.seeds import PictureStream
from app.request import Batched, ResizeMode
from app.work import Picture

if TYPE_CHECKING:
    from app.engine.brush import Brush

CHANNELS = 4


@dataclass(frozen=True)
class Batch:
    """Pictures that are made side by side. `first` is the 0-based index of the first in the job."""

    first: int
    seeds: tuple[int, ...]
    streams: tuple[PictureStream, ...]

    @property
    def number(self) -> int:
        """1-based number of the first picture, for the progress."""
        return self.first + 1


def batches(request: Batched, brush: "Brush") -> Iterator[Batch]:
    """batch_count batches of batch_size; for the seeds of picture i see `Request.seeds_of`."""
    for first in range(0, request.pictures, request.batch_size):
        seeds = [request.seeds_of(first + i) for i in range(request.batch_size)]
        yield Batch(first, tuple(seed for seed, _ in seeds), tuple(brush.stream(*pair) for pair in seeds))


def first_noise(streams: Sequence[PictureStream], width: int, height: int) -> Tensor:
    """(b,4,height/8,width/8): what each picture, or its next window, starts from."""
    return torch.cat([stream.start((1, CHANNELS, height // GRID, width // GRID)) for stream in streams])


def decoded(brush: "Brush", latents: Tensor, number: int) -> Iterator[Pixels]:
    """The pictures of a batch of latents, one by one, so that each can be saved before the next is decoded."""
    for i in range(latents.shape[0]):
        brush.progress("decoding", number=number + i)
        yield brush.decode(latents[i : i + 1])[0]


def picture(
    brush: "Brush", batch: Batch, i: int, pixels: Pixels, facts: Mapping[str, str] | None = None, changes: Mapping[str, Any] | None = None
) -> Picture:
    """Picture `i` of a batch, finished. For `facts` and `changes` see `app.work.Picture`."""
    told = {**brush.facts, **batch.streams[i].facts, **(facts or {})}
    return Picture(as_image(pixels), batch.first + i, batch.seeds[i], told, changes=changes or {})


def encode_fitted(brush: "Brush", pixels: Pixels, width: int, height: int, mode: ResizeMode) -> Tensor:
    """(1,4,height/8,width/8): the picture fitted to width x height and encoded.

    With the latent upscale it is encoded at its own size (to the nearest multiple of 8) and its latents are resized, bilinear, as A1111 does.
    """
    if mode != "Just resize (latent upscale)":
        return brush.encode(fit(pixels, width, height, mode))
    own = (max(GRID, round(side / GRID) * GRID) for side in pixels.shape[1::-1])
    latents = brush.encode(resized(pixels, *own))
    size = (height // GRID, width // GRID)
    return latents if latents.shape[-2:] == size else F.interpolate(latents, size=size, mode="bilinear", align_corners=False)

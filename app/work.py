"""What passes between the engine, the journal and the library while a job runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from PIL import Image

Phase = Literal["loading", "encoding", "sampling", "decoding", "frames", "upscaling", "merging", "saving"]


@dataclass(frozen=True)
class Progress:
    """Where a running job stands.

    Attributes:
        phase: what is being done.
        picture, pictures: 1-based number of the picture (or zoom key) in the making, and how many the job has.
        step, steps: steps done and steps in all, of this picture while sampling, of the video while `phase` is "frames";
            tiles while it is "upscaling", megabytes while it is "merging".
        preview: makes a small RGB picture of the current state when called, from any thread; None when there is none.
    """

    phase: Phase
    picture: int = 1
    pictures: int = 1
    step: int = 0
    steps: int = 0
    preview: Callable[[], Image.Image] | None = None


Report = Callable[[Progress], None]
"""Called at least once a step. Raises `Cancelled` when the job is to stop; nobody but the worker catches that."""


def as_one_of(report: Report, number: int, pictures: int) -> Report:
    """`report` for run `number` (from 0) of a job that makes each of its pictures in a run of its own."""
    return lambda progress: report(replace(progress, picture=number + 1, pictures=pictures) if progress.pictures == 1 else progress)


@dataclass(frozen=True)
class Picture:
    """One finished picture of a job.

    Attributes:
        image: RGB, uint8, at its final size.
        index: 0-based position in the job; picture i of a job with seed s has seed s + i.
        seed: the seed of this very picture.
        facts: more "Key: value" pairs for the infotext, in order, in A1111's spelling where it has one
            ("Model hash", "Model", "VAE precision", "Outpaint seam").
        changes: fields of the request that are other for this very picture, which is not what was asked for but on the way to it
            (the first pass of two).
        raw: zoom keys only: the generated layer before the inner key was pasted, same size as `image`.
    """

    image: Image.Image
    index: int
    seed: int
    facts: Mapping[str, str] = field(default_factory=dict)
    raw: Image.Image | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

"""Starting the processes of a crew: one per worker, one thread each."""

import signal
from dataclasses import replace
from multiprocessing import get_context

import torch

from tools.embedded import stages
from tools.embedded.stages import Job
from tools.embedded.training import Report, Slice


def _ignore(line: str) -> None:
    """Only the first worker reports."""


def _work(stage: str, job: Job, rank: int) -> None:
    """One worker besides the first; it stops when the first does."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    getattr(stages, f"{stage}_crew_stage")(job, rank, _ignore)


def run_crew(stage: str, job: Job, report: Report) -> None:
    """Start the other workers of a stage and be the first; `stage` is "vae" or "unet"."""
    (job.workshop.folder / "crew").unlink(missing_ok=True)
    torch.set_num_threads(1)
    steps = job.part.steps if job.part else None
    others = [get_context("spawn").Process(target=_work, args=(stage, replace(job, part=Slice(steps)), rank)) for rank in range(1, job.workers)]
    for process in others:
        process.start()
    getattr(stages, f"{stage}_crew_stage")(job, 0, report)
    for process in others:
        process.join()

"""Starting the processes of a crew: one per worker, one thread each."""

import signal
from dataclasses import replace
from multiprocessing import get_context

import torch

from tools.embedded.stages import Job, unet_crew_stage
from tools.embedded.training import Report, Slice


def _ignore(line: str) -> None:
    """Only the first worker reports."""


def _work(job: Job, rank: int) -> None:
    """One worker besides the first; it stops when the first does."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    unet_crew_stage(job, rank, _ignore)


def run_crew(job: Job, report: Report) -> None:
    """Start the other workers and be the first."""
    (job.workshop.folder / "crew").unlink(missing_ok=True)
    torch.set_num_threads(1)
    steps = job.part.steps if job.part else None
    others = [get_context("spawn").Process(target=_work, args=(replace(job, part=Slice(steps)), rank)) for rank in range(1, job.workers)]
    for process in others:
        process.start()
    unet_crew_stage(job, 0, report)
    for process in others:
        process.join()

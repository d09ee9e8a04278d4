"""Starting the processes of a crew: one per worker, one thread each."""

import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context

import torch

from tools.embedded.stages import Job
from tools.embedded.training import Report, Slice

Member = Callable[[Job, int, Report], None]
"""What each process does, given its rank; a function of a module, or a `partial` of one, so that it can be sent."""


def _ignore(line: str) -> None:
    """Only the first worker reports."""


def _work(member: Member, job: Job, rank: int) -> None:
    """One worker besides the first; it stops when the first does."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    member(job, rank, _ignore)


def run_crew(member: Member, job: Job, report: Report) -> None:
    """Start the other workers and be the first; alone where `job.workers` is 1."""
    if job.workers > 1:
        (job.workshop.folder / "crew").unlink(missing_ok=True)
        torch.set_num_threads(1)
    steps = job.part.steps if job.part else None
    others = [get_context("spawn").Process(target=_work, args=(member, replace(job, part=Slice(steps)), rank)) for rank in range(1, job.workers)]
    for process in others:
        process.start()
    member(job, 0, report)
    for process in others:
        process.join()

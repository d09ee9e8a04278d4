"""Submitting and waiting without sleeping: the queue itself wakes the test."""

import threading
from collections.abc import Callable

from app.jobs import Job, JobQueue

WAIT = 20
"""Seconds after which a test that is never woken fails."""


def submit(queue: JobQueue, owner: str = "anna", request: str = "{}") -> Job:
    return queue.submit(owner, "txt2img", request)


def when(queue: JobQueue, job: Job, holds: Callable[[], bool] | None = None) -> None:
    """Wait until a job is over (or `holds`), woken by the queue itself."""
    woken = threading.Event()
    unsubscribe = queue.subscribe(job.id, None, woken.set)
    try:
        while not (holds() if holds else queue.get(job.id, None).job.over):
            assert woken.wait(WAIT), "the queue did not wake its watcher"
            woken.clear()
    finally:
        unsubscribe()

"""The worker: takes jobs from the queue, one after the other, in a thread of its own. Nothing that a job does ends it."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from app.errors import Cancelled, StudioError
from app.jobs.journal import Job, State
from app.jobs.live import Live
from app.work import Progress

GENERIC = "Something went wrong inside Darkroom, and the picture was not made. The log has the details."
_log = logging.getLogger(__name__)


class Board(Protocol):
    """What the worker needs of the queue."""

    def take(self) -> tuple[Job, Live] | None:
        """The next job, waited for; None when the queue closes."""
        ...

    def changed(self, job_id: str) -> None: ...
    def output(self, job_id: str, picture_id: str) -> None: ...
    def end(self, job_id: str, state: State, error: str) -> None: ...


class JobControl:
    """What a running job may tell the queue. Handed to the work together with the job."""

    def __init__(self, board: Board, job: Job, live: Live) -> None:
        self._board = board
        self._job = job
        self._live = live

    def report(self, progress: Progress) -> None:
        """Say where the job stands. Raises Cancelled when it is to stop, WorkFailed when its time is up."""
        self._live.update(progress)
        self._board.changed(self._job.id)

    def add_output(self, picture_id: str) -> None:
        """A picture is on the disk. Kept whatever happens to the job later. Raises DiskTrouble."""
        self._board.output(self._job.id, picture_id)


Work = Callable[[Job, JobControl], None]


class Worker:
    """One thread for one device."""

    def __init__(self, board: Board, work: Work, prepare: Callable[[], None] | None, name: str) -> None:
        self._board = board
        self._work = work
        self._prepare = prepare
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread: first `prepare`, then jobs."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end. False when it did not within that time."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _loop(self) -> None:
        if self._prepare:
            try:
                self._prepare()
            except (Exception, SystemExit):  # border: the first job meets the same trouble and tells its owner
                _log.exception("preparing the worker failed")
        while (taken := self._board.take()) is not None:
            job, live = taken
            state, error = self._run(job, live)
            self._board.end(job.id, state, error)
            del taken, job, live  # nothing of a finished job is held while waiting for the next

    def _run(self, job: Job, live: Live) -> tuple[State, str]:
        """Run one job to its end state and the sentence that explains it."""
        try:
            self._work(job, JobControl(self._board, job, live))
        except Cancelled:
            if live.interrupted.is_set() and not live.cancelled.is_set():
                return "interrupted", "Darkroom was closed while this job was running."
            return "cancelled", ""
        except StudioError as error:
            _log.warning("job %s failed: %s", job.id, error)
            return "failed", str(error)
        except (Exception, SystemExit):  # border: a bug, ours or an extension's; the next job is not to blame
            _log.exception("job %s failed", job.id)
            return "failed", GENERIC
        return "done", ""

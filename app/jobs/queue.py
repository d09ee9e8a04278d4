"""The queue: who may submit how much, who is served next, and what everybody may watch. All methods are thread-safe."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.errors import BadRequest, Cancelled, DiskTrouble, QueueFull
from app.jobs.journal import Event, Job, Journal, State
from app.jobs.live import Live
from app.jobs.worker import Work, Worker
from app.work import Progress

CLOSE_SECONDS = 5.0
RETRY_SECONDS = 5.0
REMEMBERED_VERSIONS = 4096
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How many jobs may wait (running ones not counted), and how long one may run.

    Attributes:
        max_waiting: of all owners together; max_waiting_per_owner: of one; max_waiting_per_guest: of one that came through a share link.
        max_seconds: a running job is stopped after that, with the pictures it finished; None: never.
    """

    max_waiting: int = 100
    max_waiting_per_owner: int = 32
    max_waiting_per_guest: int = 4
    max_seconds: float | None = None


@dataclass(frozen=True)
class View:
    """A job as it stands now.

    Attributes:
        position: 1 is served next; 0 when the job does not wait.
        progress: the latest of a running job; None otherwise, and before its first report.
        seconds_left: of a running job, estimated; None while unknown.
        version: grows with each change of this job, in this process.
    """

    job: Job
    position: int
    progress: Progress | None
    seconds_left: float | None
    version: int


class JobQueue:
    """The journal, its workers and its watchers."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        """Open the journal in `folder`. Jobs that were running when the process died are in `recovered`, as interrupted.

        Raises:
            BadSettings: another Darkroom uses the folder, it cannot be written, or a newer Darkroom wrote the journal.
        """
        self.limits = limits or Limits()
        self._journal = Journal(folder)
        self.recovered = self._journal.recovered
        self._lock = threading.RLock()
        self._work_arrived = threading.Condition(self._lock)
        self._live: dict[str, Live] = {}
        self._ended: dict[str, tuple[State, str]] = {}
        self._watchers: dict[str, dict[object, Callable[[], None]]] = {}
        self._versions: dict[str, int] = {}
        self._clock = self._queue_version = 1
        self._workers: tuple[Worker, ...] = ()
        self._closing = self._closed = False

    # ---- asking for work

    def submit(self, owner: str, task: str, request: str, guest: bool = False, group: str = "") -> Job:
        """Queue a request (JSON). Raises QueueFull with the number that wait, DiskTrouble when the row cannot be written.

        Args:
            group: what it needs to have loaded. Jobs of the group that ran last go first, but no job is overtaken more than 4 times.
        """
        mine = self.limits.max_waiting_per_guest if guest else self.limits.max_waiting_per_owner
        with self._lock:
            if self._closing:
                raise QueueFull("Darkroom is closing and takes no more jobs.")
            if (waiting := self._journal.waiting()) >= self.limits.max_waiting:
                raise QueueFull(f"The queue is full: {waiting} jobs are waiting, and at most {self.limits.max_waiting} may.", "Try again in a minute.")
            if (waiting := self._journal.waiting(owner)) >= mine:
                raise QueueFull(f"You have {waiting} jobs waiting, and at most {mine} may wait.", "Wait for one to finish, or stop one.")
            job = self._journal.add(owner, task, request, group)
            self._work_arrived.notify()
        self._queue_changed()
        return job

    def rerun(self, job_id: str, owner: str | None, guest: bool = False, request: str | None = None) -> Job:
        """A new job with the request of one that is over, or with `request`. Raises NotFound, BadRequest when it is not over, QueueFull."""
        job = self.get(job_id, owner).job
        if not job.over:
            raise BadRequest(f"The job is {job.state}; only a job that is over can be run again.", "Stop it first.")
        return self.submit(job.owner if owner is None else owner, job.task, request or job.request, guest, job.group)

    def cancel(self, job_id: str, owner: str | None) -> View:
        """Stop a job: one that waits at once, one that runs at its next report. Its saved pictures stay. Raises NotFound."""
        with self._lock:
            job = self.get(job_id, owner).job
            if job.state == "queued":
                self._journal.finish(job_id, "cancelled")
            elif job_id in self._live:
                self._live[job_id].cancelled.set()
        self._tell(job_id)
        if job.state == "queued":
            self._queue_changed()
        return self.get(job_id, owner)

    def adopt(self, job_id: str, picture_ids: tuple[str, ...]) -> None:
        """Add pictures that are on the disk but not in the row: the process died between the two, or a full disk came between."""
        with self._lock:
            for picture_id in picture_ids:
                self._journal.add_output(job_id, picture_id)
        self._tell(job_id)

    # ---- watching

    def get(self, job_id: str, owner: str | None) -> View:
        """The job as it stands now. Raises NotFound when there is none, or it is somebody else's (`owner` None: anybody's)."""
        job = self._journal.get(job_id, owner)
        return self._view(job, self._journal.order() if job.state == "queued" else [])

    def _view(self, job: Job, order: "list[str]") -> View:
        with self._lock:
            live = self._live.get(job.id)
            version = self._versions.get(job.id, 1)
            if job.id in self._ended and not job.over:
                state, error = self._ended[job.id]
                job = replace(job, state=state, error=error)
        if job.state == "queued":
            version = max(version, self._queue_version)
        position = order.index(job.id) + 1 if job.id in order else 0
        if live is None or job.over:
            return View(job, position, None, None, version)
        return View(job, position, live.progress, live.seconds_left(), version)

    def preview(self, job_id: str, owner: str | None) -> bytes | None:
        """The latest preview of a running job as JPEG; None when there is none. Raises NotFound."""
        self._journal.get(job_id, owner)
        live = self._live.get(job_id)
        return live.jpeg() if live else None

    def events(self, job_id: str, owner: str | None) -> "list[Event]":
        """What happened to the job, oldest first. Raises NotFound."""
        self._journal.get(job_id, owner)
        return self._journal.events(job_id)

    def subscribe(self, job_id: str, owner: str | None, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on each change of the job, from any thread; it must be quick. Returns what ends that. Raises NotFound."""
        self._journal.get(job_id, owner)
        key = object()
        with self._lock:
            self._watchers.setdefault(job_id, {})[key] = wake

        def unsubscribe() -> None:
            with self._lock:
                wakes = self._watchers.get(job_id, {})
                wakes.pop(key, None)
                if not wakes:
                    self._watchers.pop(job_id, None)

        return unsubscribe

    def _tell(self, job_id: str) -> None:
        """Give the job a new version and wake those who watch it. Never with the lock held while a wake runs."""
        with self._lock:
            self._clock += 1
            self._versions.pop(job_id, None)
            self._versions[job_id] = self._clock
            if len(self._versions) > REMEMBERED_VERSIONS:
                del self._versions[next(iter(self._versions))]
            wakes = tuple(self._watchers.get(job_id, {}).values())
        call_all(wakes)

    def _queue_changed(self) -> None:
        """Positions moved: everybody who waits hears of it."""
        with self._lock:
            self._clock += 1
            self._queue_version = self._clock
            wakes = tuple(wake for job_id, group in self._watchers.items() if job_id not in self._live for wake in group.values())
        call_all(wakes)

    # ---- the worker's side

    def start(self, work: Work, prepare: Callable[[], None] | None = None, threads: int = 1) -> None:
        """Start one worker thread per device. `prepare` runs first, in the first worker's thread."""
        self._workers = tuple(Worker(self, work, None if number else prepare, f"darkroom-worker-{number}") for number in range(threads))
        for worker in self._workers:
            worker.start()

    def take(self) -> tuple[Job, Live] | None:
        """For the worker: the next job, waited for; None when the queue closes."""
        job = None
        while job is None:
            with self._lock:
                if self._closing:
                    return None
                job, troubled = self._claim()
                if job is None:
                    self._work_arrived.wait(RETRY_SECONDS if troubled else None)
                else:
                    live = self._live[job.id] = Live(self.limits.max_seconds)
        self._tell(job.id)
        self._queue_changed()
        return job, live

    def _claim(self) -> tuple[Job | None, bool]:
        """The next job, and whether the disk kept us from taking one."""
        try:
            for job_id, (state, error) in tuple(self._ended.items()):
                self._journal.finish(job_id, state, error)
                del self._ended[job_id]
            return self._journal.claim(), False
        except DiskTrouble:
            return None, True

    def changed(self, job_id: str) -> None:
        """For the worker: there is progress."""
        self._tell(job_id)

    def output(self, job_id: str, picture_id: str) -> None:
        """For the worker: a picture is on the disk. Raises DiskTrouble, or Cancelled when the queue was closed meanwhile."""
        with self._lock:
            if self._closed:
                raise Cancelled()
            self._journal.add_output(job_id, picture_id)
        self._tell(job_id)

    def end(self, job_id: str, state: State, error: str) -> None:
        """For the worker: the job is over. On a disk so full that this cannot be written, it is kept in mind and written later."""
        with self._lock:
            self._live.pop(job_id, None)
            if self._closed:
                return
            try:
                self._journal.finish(job_id, state, error)
            except DiskTrouble as trouble:
                self._ended[job_id] = (state, error or str(trouble))
        self._tell(job_id)
        self._queue_changed()

    def close(self) -> None:
        """Stop the running job at its next report, mark it interrupted, let the folder go. Jobs that wait stay queued."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            running = tuple(self._live)
            for live in self._live.values():
                live.interrupted.set()
            self._work_arrived.notify_all()
        until = time.monotonic() + CLOSE_SECONDS
        ended = [worker.join(until - time.monotonic()) for worker in self._workers]
        with self._lock:
            if not all(ended):
                for job_id in tuple(self._live):
                    self._interrupt(job_id)
            self._closed = True
            self._journal.close()
        call_all(tuple(wake for job_id in running for wake in self._watchers.get(job_id, {}).values()))

    def _interrupt(self, job_id: str) -> None:
        """A step hangs: its job is marked without waiting for it. When even that cannot be written, the next start marks it."""
        try:
            self._journal.finish(job_id, "interrupted", "Darkroom was closed while this job was running.")
        except DiskTrouble:
            _log.warning("job %s could not be marked as interrupted; the next start will", job_id)

    def busy(self) -> bool:
        """Whether a job runs; one that waits is taken up at once where none does."""
        return bool(self._live)

    def requests(self) -> "list[str]":
        """The requests (JSON) of all jobs in the journal."""
        return self._journal.requests()

    def list(self, owner: str | None, limit: int = 50) -> "list[View]":
        """The newest jobs of an owner (None: of all), newest first."""
        jobs = self._journal.newest(owner, limit)
        order = self._journal.order() if any(job.state == "queued" for job in jobs) else []
        return [self._view(job, order) for job in jobs]


def call_all(wakes: tuple[Callable[[], None], ...]) -> None:
    """Wake watchers. One whose event loop has closed meanwhile does not keep the others from waking."""
    for wake in wakes:
        try:
            wake()
        except RuntimeError:
            _log.debug("a watcher is gone")

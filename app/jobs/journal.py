"""The journal: every job that was accepted, in a SQLite file that survives kill -9 and a full disk.

One connection, one lock: all methods may be called from any thread. WAL with synchronous=FULL: what a method has
returned from is on the disk.
"""

import contextlib
import json
import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from app.errors import BadSettings, DiskTrouble, NotFound
from app.jobs import choosing
from app.jobs.ballast import Ballast
from app.jobs.choosing import Waiting
from app.jobs.lock import FolderLock

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs(
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, owner TEXT NOT NULL, task TEXT NOT NULL,
    state TEXT NOT NULL, request TEXT NOT NULL, outputs TEXT NOT NULL DEFAULT '[]', error TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL, started REAL NOT NULL DEFAULT 0, finished REAL NOT NULL DEFAULT 0,
    models TEXT NOT NULL DEFAULT '', overtaken INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs(state, owner, seq);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs(owner, seq);
CREATE TABLE IF NOT EXISTS turns(owner TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS events(job TEXT NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_job ON events(job);
"""
ADDED = {"models": "TEXT NOT NULL DEFAULT ''", "overtaken": "INTEGER NOT NULL DEFAULT 0"}
"""Columns that came later: a journal from before gets them, and a Darkroom from before can still read and write it."""
COLUMNS = "id, owner, task, state, request, outputs, error, created, started, finished, seq, models"
T = TypeVar("T")
NAMES = [*COLUMNS.split(", ")[:-1], "group"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One row: what was asked, by whom, and what became of it.

    Attributes:
        request: the request as JSON; outputs: ids of saved pictures, in order; error: one sentence, or "".
        created, started, finished: seconds since 1970, 0.0 when it did not happen yet; for showing only.
        seq: 1, 2, 3 ... in the order of arrival; this is what orders jobs, clocks jump.
        group: what it needs to have loaded: jobs of one group are run one after the other, see `choosing`; "": nothing.
    """

    id: str
    owner: str
    task: str
    state: State
    request: str
    outputs: tuple[str, ...]
    error: str
    created: float
    started: float
    finished: float
    seq: int
    group: str = ""

    @property
    def over(self) -> bool:
        """Nothing will happen to it any more."""
        return self.state not in ("queued", "running")


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: kind is "queued", "running", "output" or the state it ended in."""

    time: float
    kind: str
    text: str


class Journal:
    """Rows of jobs and their events."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in `folder` and mark what was running as interrupted (`recovered` lists those).

        Raises:
            BadSettings: the folder cannot be written, another process uses it, or a newer Darkroom wrote the journal.
        """
        self._lock = threading.RLock()
        self._closed = False
        self._loaded = ""
        self._order: list[str] | None = None
        self._ballast = Ballast(folder / ".ballast")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._folder_lock = FolderLock(folder)
        except OSError as error:
            raise BadSettings(f"The folder for jobs cannot be written: {error.strerror}.", "Choose another --outputs-dir.") from None
        with contextlib.ExitStack() as undo:
            undo.callback(self._folder_lock.release)
            self._db = self._open(folder / "jobs.db")
            self._ballast.take_in()
            self.recovered = self._recover()
            undo.pop_all()

    def _open(self, path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise BadSettings(f"The job journal was written by a newer Darkroom (version {version}, this one knows {VERSION}).",
                                  "Update Darkroom, or start with another --outputs-dir.")  # fmt: skip
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=4194304"):
                database.execute(f"PRAGMA {pragma}")
            database.executescript(f"{SCHEMA} PRAGMA user_version={VERSION};")
            there = {row[1] for row in database.execute("PRAGMA table_info(jobs)")}
            for name in ADDED.keys() - there:
                database.execute(f"ALTER TABLE jobs ADD COLUMN {name} {ADDED[name]}")
        except sqlite3.Error as error:
            database.close()
            raise BadSettings(f"The job journal cannot be opened: {error}.", "Free some disk space, or move the file 'jobs.db' away.") from None
        except BadSettings:
            database.close()
            raise
        return database

    def _recover(self) -> tuple[Job, ...]:
        """What was running when the process died is interrupted: its saved pictures stay, and it can be run again."""
        rows = self._select("state = 'running'")
        for job in rows:
            self.finish(job.id, "interrupted", "Darkroom ended while this job was running.")
        return tuple(self.get(job.id) for job in rows)

    # ---- writing, with something thrown overboard when the disk is full

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction. Raises DiskTrouble when it could not be written."""
        with self._lock:
            self._order = None
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.DatabaseError as error:  # full, read-only, damaged
                _log.error("the job journal could not be written: %s", error)
                raise DiskTrouble("The job journal could not be written: the disk is full, read-only or damaged.", "Free some space and try again.") from None
            finally:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")

    def _event(self, job_id: str, kind: str, text: str = "") -> None:
        self._db.execute("INSERT INTO events VALUES(?, ?, ?, ?)", (job_id, time.time(), kind, text))

    def _insist(self, write: Callable[[], T]) -> T:
        """A write that matters on a full disk too: tried again with the ballast gone. Raises DiskTrouble when that did not help."""
        with self._lock:
            try:
                return write()
            except DiskTrouble:
                self._ballast.drop()
                return write()

    # ---- the life of a job

    def add(self, owner: str, task: str, request: str, group: str = "") -> Job:
        """A new row, queued. Raises DiskTrouble."""
        job_id, number = uuid.uuid4().hex, "(SELECT coalesce(max(seq), 0) + 1 FROM jobs)"
        with self._write() as database:
            database.execute(
                f"INSERT INTO jobs(id, seq, owner, task, state, request, created, models) VALUES(?, {number}, ?, ?, 'queued', ?, ?, ?)",
                (job_id, owner, task, request, time.time(), group),
            )
            self._event(job_id, "queued")
        return self.get(job_id)

    def claim(self) -> Job | None:
        """Take the next job, as `choosing` has it, and mark it running. None when nothing waits. Raises DiskTrouble."""
        with self._lock:
            line = choosing.fair(*self._queued())
            if not line:
                return None
            place = choosing.choose(line, self._loaded)
            job = line[place]
            self._insist(lambda: self._claim(job, line[:place]))
            self._loaded = job.group or self._loaded
            return self.get(job.id)

    def _claim(self, job: Waiting, before: list[Waiting]) -> None:
        with self._write() as database:
            database.execute("UPDATE jobs SET state = 'running', started = ? WHERE id = ?", (time.time(), job.id))
            database.executemany("UPDATE jobs SET overtaken = overtaken + 1 WHERE id = ?", [(other.id,) for other in before])
            turn = database.execute("SELECT coalesce(max(last), 0) + 1 FROM turns").fetchone()[0]
            database.execute("INSERT OR REPLACE INTO turns VALUES(?, ?)", (job.owner, turn))
            database.execute("DELETE FROM turns WHERE last < ?", (turn - 1000,))
            self._event(job.id, "running")

    def add_output(self, job_id: str, picture_id: str) -> None:
        """A picture of the job is on the disk. Adding it twice is harmless. Raises DiskTrouble."""
        with self._lock:
            outputs = self.get(job_id).outputs
            if picture_id not in outputs:
                self._insist(lambda: self._set_outputs(job_id, [*outputs, picture_id]))

    def _set_outputs(self, job_id: str, outputs: list[str]) -> None:
        with self._write() as database:
            database.execute("UPDATE jobs SET outputs = ? WHERE id = ?", (json.dumps(outputs), job_id))
            self._event(job_id, "output", outputs[-1])

    def finish(self, job_id: str, state: State, error: str = "") -> bool:
        """End a job that waits or runs. False when it is over already. Raises DiskTrouble when even the ballast did not help."""
        with self._lock:
            ended = self._insist(lambda: self._finish(job_id, state, error))
            self._ballast.take_in()
            return ended

    def _finish(self, job_id: str, state: State, error: str) -> bool:
        with self._write() as database:
            changed = database.execute(
                "UPDATE jobs SET state = ?, error = ?, finished = ? WHERE id = ? AND state IN ('queued', 'running')", (state, error, time.time(), job_id)
            ).rowcount
            if changed:
                self._event(job_id, state, error)
        return bool(changed)

    # ---- reading

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """The job. Raises NotFound when there is none, or it is somebody else's (`owner` None: anybody's)."""
        rows = self._select("id = ? AND (? IS NULL OR owner = ?)", (job_id, owner, owner))
        if not rows:
            raise NotFound("There is no such job.")
        return rows[0]

    def newest(self, owner: str | None, limit: int) -> list[Job]:
        """The newest jobs of an owner (None: of all), newest first."""
        return self._select("(? IS NULL OR owner = ?) ORDER BY seq DESC LIMIT ?", (owner, owner, limit))

    def requests(self) -> list[str]:
        """The requests of all jobs that there ever were, as JSON."""
        return [row[0] for row in self._read("SELECT DISTINCT request FROM jobs")]

    def waiting(self, owner: str | None = None) -> int:
        """How many jobs wait, of all or of one owner."""
        return self._read("SELECT count(*) FROM jobs WHERE state = 'queued' AND (? IS NULL OR owner = ?)", (owner, owner))[0][0]

    def order(self) -> list[str]:
        """Ids of the waiting jobs in the order in which they will be claimed, if nothing new arrives."""
        with self._lock:
            if self._order is None:
                self._order = choosing.order(*self._queued(), self._loaded)
            return list(self._order)

    def _queued(self) -> tuple[list[Waiting], dict[str, int]]:
        """What waits, in the order of arrival, and the turns in which owners were served last."""
        rows = self._read("SELECT id, owner, models, overtaken FROM jobs WHERE state = 'queued' ORDER BY seq")
        return [Waiting(*row) for row in rows], dict(self._read("SELECT owner, last FROM turns"))

    def events(self, job_id: str) -> list[Event]:
        """What happened to the job, oldest first."""
        rows = self._read("SELECT time, kind, text FROM events WHERE job = ? ORDER BY rowid", (job_id,))
        return [Event(*row) for row in rows]

    def _select(self, condition: str, values: Iterable[object] = ()) -> list[Job]:
        rows = self._read(f"SELECT {COLUMNS} FROM jobs WHERE {condition}", values)
        return [Job(**{**dict(zip(NAMES, row, strict=True)), "outputs": tuple(json.loads(row[5]))}) for row in rows]

    def _read(self, sql: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._closed:
                raise NotFound("Darkroom is closing.")
            try:
                return self._db.execute(sql, tuple(values)).fetchall()
            except sqlite3.DatabaseError as error:  # told like a write: the worker waits and tries again
                _log.error("the job journal could not be read: %s", error)
                raise DiskTrouble("The job journal could not be read: the disk or the file is damaged.") from None

    def close(self) -> None:
        """Close the file and let others use the folder. Twice is harmless."""
        with self._lock:
            self._closed = True
            self._db.close()
            self._folder_lock.release()

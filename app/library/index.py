"""The index: a SQLite table of what was saved, for listings. A cache: it can be rebuilt from the files.

A row is written before its file gets its name, so after a crash there is no file without a row; rows without a file
are dropped from listings.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from app.errors import BadSettings, DiskTrouble, NotFound

VERSION = 2
SCHEMA = """
CREATE TABLE IF NOT EXISTS pictures(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, path TEXT NOT NULL UNIQUE, job TEXT NOT NULL, owner TEXT NOT NULL,
    task TEXT NOT NULL, kind TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, created REAL NOT NULL,
    request TEXT NOT NULL, infotext TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS pictures_by_owner ON pictures(owner, seq);
CREATE INDEX IF NOT EXISTS pictures_by_job ON pictures(job, seq);
CREATE TABLE IF NOT EXISTS hidden(path TEXT PRIMARY KEY);
"""
COLUMNS = "id, path, job, owner, task, kind, width, height, created, request, infotext"


@dataclass(frozen=True)
class Saved:
    """A picture or video on the disk.

    Attributes:
        id: 32 hex digits. path: absolute. width, height: pixels, 0 when unknown (mp4).
        created: seconds since 1970. request: JSON as asked for, "" for files that are not ours. infotext: A1111's text, or "".
        foreign: it lies in a folder of another program and stays there, see `app.library.elsewhere`.
    """

    id: str
    path: Path
    job: str
    owner: str
    task: str
    kind: Literal["image", "video"]
    width: int
    height: int
    created: float
    request: str
    infotext: str
    foreign: bool = False


class Index:
    """Rows of `Saved`. One connection, one lock: all methods may be called from any thread."""

    def __init__(self, file: Path, root: Path) -> None:
        """Args:
        file: the database. When it is damaged it is moved aside, and `fresh` tells that the index has to be rebuilt.
        root: the outputs folder, which paths in rows are relative to; those of pictures elsewhere are absolute.
        """
        self.root = root
        self.fresh = not file.exists()
        self._lock = RLock()
        try:
            self._db = self._open(file)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise BadSettings(f"The picture index cannot be opened: {error}.", "Free some disk space or choose another --outputs-dir.") from None
            file.replace(file.with_suffix(".bad"))
            self.fresh = True
            self._db = self._open(file)

    def _open(self, file: Path) -> sqlite3.Connection:
        database = sqlite3.connect(file, isolation_level=None, timeout=10, check_same_thread=False)
        with contextlib.ExitStack() as undo:
            undo.callback(database.close)
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise BadSettings(f"The picture index was written by a newer Darkroom (version {version}, this one knows {VERSION}).",
                                  "Update Darkroom, or start with another --outputs-dir.")  # fmt: skip
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=4194304"):
                database.execute(f"PRAGMA {pragma}")
            database.executescript(f"{SCHEMA} PRAGMA user_version={VERSION};")
            if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("damaged")
            undo.pop_all()
        return database

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.OperationalError:
                raise DiskTrouble("The picture index could not be written: the disk is full or read-only.", "Free some space and try again.") from None
            finally:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")

    def add(self, saved: Saved) -> None:
        """Write a row; one with the same path goes (its file is gone). Raises DiskTrouble."""
        self.add_all([saved])

    def add_all(self, rows: Iterable[Saved]) -> None:
        """Write rows in one transaction. Raises DiskTrouble."""
        with self._write() as database:
            for row in rows:
                database.execute("DELETE FROM pictures WHERE path = ?", (self._relative(row.path),))
                values = (row.id, self._relative(row.path), row.job, row.owner, row.task, row.kind, row.width, row.height, row.created)
                database.execute(f"INSERT INTO pictures({COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, row.request, row.infotext))

    def remove(self, ids: Iterable[str]) -> None:
        """Delete rows. Raises DiskTrouble."""
        with self._write() as database:
            database.executemany("DELETE FROM pictures WHERE id = ?", [(picture_id,) for picture_id in ids])

    def get(self, picture_id: str, owner: str | None) -> Saved:
        """One row. Raises NotFound when there is none, or it is somebody else's (`owner` None: anybody's)."""
        rows = self._select("id = ? AND (? IS NULL OR owner = ?)", (picture_id, owner, owner))
        if not rows:
            raise NotFound("There is no such picture.")
        return rows[0]

    def newest(self, owner: str | None, count: int, before: str | None, task: str) -> list[Saved]:
        """Rows, newest first, older than the one with the id `before`; "" stands for every task."""
        row = self._read("SELECT seq FROM pictures WHERE id = ?", (before,)) if before else []
        seq = row[0][0] if row else 2**62
        if before and not row:
            return []
        return self._select("(? IS NULL OR owner = ?) AND (? = '' OR task = ?) AND seq < ? ORDER BY seq DESC LIMIT ?", (owner, owner, task, task, seq, count))

    def of_job(self, job: str) -> list[Saved]:
        """Rows of a job, oldest first."""
        return self._select("job = ? ORDER BY seq", (job,))

    def paths(self) -> dict[str, str]:
        """Path as in the row -> id, of every row of the outputs folder."""
        return {path: picture_id for path, picture_id in self._read("SELECT path, id FROM pictures") if not Path(path).is_absolute()}

    def elsewhere(self) -> dict[Path, str]:
        """Path -> id, of every row of a picture in another program's folder."""
        rows = self._read("SELECT path, id FROM pictures")
        return {Path(path): picture_id for path, picture_id in rows if Path(path).is_absolute()}

    def hide(self, path: Path) -> None:
        """Remember that a picture elsewhere is not to be taken in again. Raises DiskTrouble."""
        with self._write() as database:
            database.execute("INSERT OR IGNORE INTO hidden VALUES(?)", (self._relative(path),))

    def hidden(self) -> set[Path]:
        """What was hidden."""
        return {Path(path) for (path,) in self._read("SELECT path FROM hidden")}

    def sort_in(self) -> None:
        """Put pictures from elsewhere between ours by their dates; ours keep their order, whatever the clock said. Raises DiskTrouble."""
        latest, ranked = 0.0, []
        with self._write() as database:
            for place, (picture_id, path, created) in enumerate(database.execute("SELECT id, path, created FROM pictures ORDER BY seq").fetchall()):
                if not Path(path).is_absolute():
                    latest = created = max(latest, created)
                ranked.append((created, place, picture_id))
            if ranked != sorted(ranked):
                database.execute("UPDATE pictures SET seq = -seq")
                database.executemany("UPDATE pictures SET seq = ? WHERE id = ?", [(seq, row[2]) for seq, row in enumerate(sorted(ranked), 1)])

    def _select(self, condition: str, values: tuple[object, ...]) -> list[Saved]:
        rows = self._read(f"SELECT {COLUMNS} FROM pictures WHERE {condition}", values)
        return [Saved(row[0], self.root / row[1], *row[2:], Path(row[1]).is_absolute()) for row in rows]

    def _read(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _relative(self, path: Path) -> str:
        return os.fspath(path.relative_to(self.root) if path.is_relative_to(self.root) else path).replace(os.sep, "/")

    def close(self) -> None:
        """Close the file. Twice is harmless."""
        with self._lock:
            self._db.close()

"""sha256 of model files, computed once per file and remembered across starts."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

CHUNK = 8 * 2**20
OLD_PLACE, OLD_BYTES = 2**20, 2**16
"""Where A1111's hash of 2022 looks, and at how much."""


class Hashes:
    """A small JSON table: path -> size, modification time (ns), sha256. Safe to use from several threads.

    A table that cannot be read or written costs time, never correctness: the hash is computed again.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int, str]] | None = None

    def known(self, path: Path, begin: int = 0) -> str:
        """The sha256 (hex) of `path` as it is now, from byte `begin` on, if it was computed before, else an empty string. Reads no file."""
        try:
            stat = path.stat()
        except OSError:
            return ""
        with self._lock:
            size, changed, digest = self._read().get(_key(path, begin), (-1, -1, ""))
        return digest if (size, changed) == (stat.st_size, stat.st_mtime_ns) else ""

    def sha256(self, path: Path, begin: int = 0) -> str:
        """The sha256 (hex) of `path` from byte `begin` on, reading it (about 0.2 to 1 GB a second) when it is not known yet. Raises OSError."""
        if known := self.known(path, begin):
            return known
        for _ in self.steps(path, begin):
            pass
        return self.known(path, begin) or digest(path, begin)

    def steps(self, path: Path, begin: int = 0) -> Iterator[None]:
        """Computes that sha256 in steps of 8 MB, for those who have other things to do, and remembers it at the end, unless the file
        changed meanwhile. Raises OSError."""
        if self.known(path, begin):
            return
        before, computed = path.stat(), hashlib.sha256()
        with path.open("rb") as file:
            file.seek(begin)
            while chunk := file.read(CHUNK):
                computed.update(chunk)
                yield
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            with self._lock:
                self._read()[_key(path, begin)] = (after.st_size, after.st_mtime_ns, computed.hexdigest())
                self._write()

    def _read(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            try:
                rows = json.loads(self._table.read_text("utf-8"))
                self._known = {str(path): (int(size), int(changed), str(digest)) for path, (size, changed, digest) in rows.items()}
            except (OSError, ValueError, TypeError, AttributeError):
                self._known = {}
        return self._known

    def _write(self) -> None:
        part = self._table.with_name(f"{self._table.name}.{os.getpid()}.part")
        try:
            self._table.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._known), "utf-8")
            part.replace(self._table)
        except OSError:
            part.unlink(missing_ok=True)


def digest(path: Path, begin: int = 0) -> str:
    """The sha256 (hex) of a file from byte `begin` on. Raises OSError."""
    with path.open("rb") as file:
        file.seek(begin)
        return hashlib.file_digest(file, "sha256").hexdigest()


def old_hash(path: Path) -> str:
    """A1111's hash of 2022, 8 hex digits: the sha256 of 64 KiB that begin 1 MiB into the file. "" for smaller files and those that cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(OLD_PLACE)
            found = file.read(OLD_BYTES)
    except OSError:
        return ""
    return hashlib.sha256(found).hexdigest()[:8] if found else ""


def data_begin(path: Path) -> int:
    """Where the tensors of a safetensors file begin; 0 for other files. Raises OSError."""
    with path.open("rb") as file:
        first = file.read(9)
    return 8 + int.from_bytes(first[:8], "little") if path.suffix == ".safetensors" and first[8:] == b"{" else 0


def _key(path: Path, begin: int) -> str:
    return f"{path}#{begin}" if begin else str(path)

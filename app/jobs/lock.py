"""One Darkroom per folder: a lock that the operating system drops when the process ends, however it ends."""

import os
from pathlib import Path

from app.errors import BadSettings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt


class FolderLock:
    """Held from construction to `release`. Raises BadSettings when another process (or queue) holds it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._lock()
        except OSError:
            os.lseek(self._descriptor, 16, os.SEEK_SET)
            pid = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise BadSettings(f"Another Darkroom (pid {pid}) uses this folder.", "Close it, or start with another --outputs-dir.") from None
        self._write_pid()

    def _lock(self) -> None:
        if fcntl:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

    def _write_pid(self) -> None:
        """The pid is written behind the locked byte, so that Windows lets others read it. A full disk does not matter here."""
        try:
            os.lseek(self._descriptor, 16, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid():<12}".encode())
        except OSError:
            return

    def release(self) -> None:
        """Let others use the folder. Twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

"""Files that are mapped into memory while others may not change them.

A map of a file that somebody truncates kills the process (SIGBUS), and one that is overwritten changes the weights under a
running picture. So a map is taken only together with the kernel's read lease (Linux, `fcntl(2)` F_SETLEASE): whoever
wants to write the file has to wait, at most 45 seconds as Linux is set up, and the holder is told. It then takes a copy of
what is mapped, puts it in the place of the map, at the same addresses, and lets go. Where there is no lease (other systems,
network drives, a file of somebody else, a file that is being written), there is no map.
"""

import contextlib
import ctypes
import mmap
import os
import signal
import sys
import threading
import weakref
from functools import cache
from pathlib import Path
from typing import Any

if sys.platform == "linux":
    import fcntl

PAUSE = 0.2
"""Seconds between two looks at the leases."""
PIECE = 2**26
PLACES = 16
READABLE, MAY_MOVE, FIXED = 3, 1, 2
"""PROT_READ | PROT_WRITE, MREMAP_MAYMOVE and MREMAP_FIXED of <sys/mman.h>."""
FAILED = ctypes.c_void_p(-1).value


class Map(mmap.mmap):
    """A whole file in memory, its pages the kernel's own until they are written to; what is written stays in this process.

    Torch's tensors over it keep it alive; it ends with the last of them.
    """

    lease: int = -1
    """File descriptor that holds the lease; -1 when the memory does not depend on the file any more."""

    def let_go(self) -> None:
        """Copies what is mapped to the place where it is and gives the lease back: from here on the file may change."""
        if self.lease < 0:
            return
        libc, size = _libc(), len(self)
        here = ctypes.addressof(ctypes.c_char.from_buffer(self))
        copy = libc.mmap(None, size, READABLE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if copy == FAILED:
            raise MemoryError("There is no memory for a copy of a mapped file.")
        for start in range(0, size, PIECE):
            ctypes.memmove(copy + start, here + start, min(PIECE, size - start))
        if libc.mremap(copy, size, size, MAY_MOVE | FIXED, here) != here:
            raise OSError(ctypes.get_errno(), "mremap")
        self.lease = _returned(self.lease)

    def wanted(self) -> bool:
        """Whether somebody waits to write the file."""
        return self.lease >= 0 and fcntl.fcntl(self.lease, fcntl.F_GETLEASE) != fcntl.F_RDLCK

    def __del__(self) -> None:
        self.lease = _returned(self.lease)


def mapped(path: Path) -> Map | None:
    """The file as memory that can be trusted, or None where the system gives no lease on it. Two calls for one state of a file give one map."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = _mapped(descriptor)
            descriptor = -1 if found.lease == descriptor else descriptor
            return found
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    return None


def _mapped(descriptor: int) -> Map:
    """Raises OSError or ValueError (an empty file)."""
    stat = os.fstat(descriptor)
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    known = _watch.find(key)
    if known is not None:
        return known
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # what nobody listens to; the usual SIGIO would end the process
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    if os.fstat(descriptor).st_mtime_ns != stat.st_mtime_ns or os.fstat(descriptor).st_size != stat.st_size:
        raise OSError("changed a moment ago")
    found = Map(descriptor, stat.st_size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    found.lease = descriptor
    if not _is_cached(descriptor, stat.st_size):
        found.madvise(mmap.MADV_WILLNEED)
    _watch.add(key, found)
    return found


def _is_cached(descriptor: int, size: int) -> bool:
    """Whether some places of the file are in the kernel's cache. True where it does not say."""
    try:
        for place in range(0, size, max(1, size // PLACES)):
            os.preadv(descriptor, [bytearray(1)], place, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _returned(descriptor: int) -> int:
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(descriptor)
    return -1


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
    return libc


class Watch:
    """Looks after the maps that there are, in a thread that ends with the last of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: weakref.WeakValueDictionary[object, Map] = weakref.WeakValueDictionary()
        self._thread: threading.Thread | None = None

    def find(self, key: object) -> Map | None:
        """The map of this state of a file, if it still depends on it."""
        with self._lock:
            found = self._maps.get(key)
        return found if found is not None and found.lease >= 0 else None

    def add(self, key: object, found: Map) -> None:
        with self._lock:
            self._maps[key] = found
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="darkroom-leases", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(PAUSE)
            with self._lock:
                if not self._maps:
                    self._thread = None
                    return
            self.look()

    def look(self) -> None:
        """Lets go of each map whose file somebody waits to write."""
        with self._lock:
            references = self._maps.valuerefs()
        for reference in references:
            found = reference()
            if found is not None and found.wanted():
                with contextlib.suppress(MemoryError, OSError):  # tried again: the writer waits on
                    found.let_go()


_watch = Watch()

"""Files that are whole or not there: written under a temporary name, synced, then given a name that nobody has.

After a kill or a full disk no file with a final name is half-written, and no file is ever overwritten.
"""

import contextlib
import errno
import io
import os
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from PIL import Image, PngImagePlugin

from app.errors import DiskTrouble

PART = ".part"
"""How the names of unfinished files start: ".part-<pid>-<hex>.<suffix>"."""
DAY = 86400
_writing: set[str] = set()
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EROFS: "the outputs folder is read-only",
    errno.EACCES: "the outputs folder is read-only for this user",
    errno.EPERM: "the outputs folder is read-only for this user",
    errno.EIO: "the disk reports an error",
}
_NUMBER = re.compile(r"^(\d{5,})-")


def trouble(error: OSError, hint: str = "") -> DiskTrouble:
    """The sentence for an error of the file system. It names no path."""
    reason = _REASONS.get(error.errno or 0, (error.strerror or "unknown error").lower())
    return DiskTrouble(f"The file could not be written: {reason}.", hint)


def is_disk_trouble(error: OSError) -> bool:
    """Whether the disk is to blame, and not what was written."""
    return error.errno in _REASONS


def png_bytes(image: Image.Image, parameters: str = "", request: str = "", compress_level: int = 6) -> bytes:
    """A PNG with the text chunks "parameters" (tEXt where Latin-1 holds it, else iTXt, as A1111 does) and "darkroom" (iTXt).

    Args:
        image: RGB, RGBA or L, 8 bits.
    """
    info = PngImagePlugin.PngInfo()
    if parameters:
        info.add_text("parameters", speakable(parameters))
    if request:
        info.add_itxt("darkroom", speakable(request))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=compress_level)
    return buffer.getvalue()


def speakable(text: str) -> str:
    """Lone surrogates (a file name of foreign bytes may bring them) become U+FFFD, so that the text can be encoded."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def part_path(folder: Path, suffix: str) -> Path:
    """A temporary name; the pid in it tells `remove_stale_parts` whether somebody still writes it."""
    part = folder / f"{PART}-{os.getpid()}-{uuid.uuid4().hex}{suffix}"
    _writing.add(part.name)
    return part


def remove_stale_parts(root: Path) -> None:
    """Delete what killed processes left under `root`/*/*/. Parts that a living process writes are kept for a day."""
    for part in root.glob(f"*/*/{PART}-*"):
        pid = part.name.split("-")[1]
        with contextlib.suppress(OSError):
            old = time.time() - part.stat().st_mtime > DAY
            if old or not (part.name in _writing or (pid != str(os.getpid()) and alive(pid))):
                part.unlink()


def alive(pid: str) -> bool:
    """Whether a process has that number. Windows cannot be asked harmlessly: yes."""
    if os.name == "nt" or not pid.isdigit():
        return os.name == "nt"
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def write_part(folder: Path, suffix: str, data: bytes) -> Path:
    """A synced file with a temporary name in `folder`. Raises OSError and leaves nothing behind."""
    part = part_path(folder, suffix)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        remove(part)
        raise
    return part


def fill_part(folder: Path, suffix: str, write: Callable[[Path], None]) -> Path:
    """Like `write_part`, for a file that `write` makes by its path, such as a video."""
    part = part_path(folder, suffix)
    with contextlib.ExitStack() as undo:
        undo.callback(remove, part)
        write(part)
        descriptor = os.open(part, os.O_RDWR)
        undo.callback(os.close, descriptor)
        os.fsync(descriptor)
        undo.pop_all()
    os.close(descriptor)
    return part


def publish(part: Path, final: Path) -> None:
    """Give a finished file its name. Raises FileExistsError (the part stays) rather than overwriting, OSError otherwise."""
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO):
            raise
        if final.exists():  # no hard links here (FAT, some network drives); one Darkroom per folder makes this check enough
            raise FileExistsError(errno.EEXIST, "File exists") from None
        os.rename(part, final)
    else:
        os.unlink(part)
    _writing.discard(part.name)
    try:
        sync_folder(final.parent)
    except OSError:
        remove(final)
        raise


def replace(part: Path, final: Path) -> None:
    """Give a finished file its name, over what was there (caches, whose content belongs to the name)."""
    os.replace(part, final)
    _writing.discard(part.name)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Make a new name durable. Systems that cannot sync folders are left alone."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file if it can be deleted."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    _writing.discard(path.name)


def next_number(folder: Path) -> int:
    """One more than the largest number that starts a file's name in `folder`; 0 for none, as A1111 counts."""
    found = [int(match[1]) for entry in os.scandir(folder) if (match := _NUMBER.match(entry.name))]
    return max(found, default=-1) + 1


def probe(folder: Path) -> None:
    """Raises DiskTrouble when nothing can be written in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove(write_part(folder, "", b"probe"))
    except OSError as error:
        raise trouble(error, "Free some space or choose another --outputs-dir.") from None

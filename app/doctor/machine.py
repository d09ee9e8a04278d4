"""The machine: Python, processor, memory, disk, rights, port and environment. Standard library only."""

import ctypes
import os
import platform
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.doctor.finding import Finding, note, ok, problem
from app.settings import Settings

OLDEST = (3, 11)
GB = 10**9
LITTLE_MEMORY, SOME_MEMORY = 2 * GB, 6 * GB
LITTLE_DISK, SOME_DISK = GB, 5 * GB


def python(version: tuple[int, ...] = sys.version_info[:3], bits: int = struct.calcsize("P") * 8) -> Finding:
    """Is this Python one that the pinned packages exist for?"""
    words = f"{'.'.join(map(str, version))}, {bits} bits, {sys.executable}"
    if version < OLDEST:
        return problem("Python", f"{words}: too old.", f"Install Python {'.'.join(map(str, OLDEST))} or newer, delete .venv, and run ./launch.sh.")
    if bits < 64:
        return problem("Python", f"{words}: PyTorch needs 64 bits.", "Install a 64-bit Python, delete .venv, and run ./launch.sh.")
    return ok("Python", words)


def processor(system: str = sys.platform, machine: str = platform.machine(), info: Path = Path("/proc/cpuinfo")) -> Finding:
    """What PyTorch needs of the processor."""
    if system == "darwin" and machine == "x86_64":
        return problem("processor", "A Mac with an Intel processor: PyTorch is built for it no longer.", "Use a Mac with an M processor, Linux or Windows.")
    if system == "darwin":
        return note("processor", "Apple's; pictures are made on the processor, not on its graphics part.")
    try:
        flags = next(line for line in info.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return ok("processor", machine)
    if "avx" not in flags:
        return problem("processor", "It has no AVX: PyTorch may stop with 'illegal instruction'.", "Run Darkroom on a newer machine.")
    if "avx2" not in flags:
        return note("processor", f"{machine} without AVX2: pictures that are made on it take much longer.")
    return ok("processor", f"{machine} with AVX2, {os.cpu_count()} threads")


def memory(free: int | None) -> Finding:
    """Main memory that programs can still have, in bytes; None: nobody can say."""
    if free is None:
        return note("memory", "This system does not say how much memory is free.")
    words = f"{free / GB:.1f} GB free"
    if free < LITTLE_MEMORY:
        return problem("memory", f"{words}: too little for any checkpoint of full size.", "Close other programs, or start with --warm-ram 0 --lowvram.")
    if free < SOME_MEMORY:
        return note("memory", f"{words}: SD 1.x fits; SDXL needs about 8 GB.", "--warm-ram 0 keeps no checkpoint but the one in use.")
    return ok("memory", words)


def free_memory() -> int | None:
    """Bytes of main memory that are free or can be freed; None when nobody can say. A container's limit counts."""
    if sys.platform == "win32":
        return _free_on_windows()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        except (OSError, ValueError):
            return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8"))
        return min(free, max(0, limit - int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return free


def _free_on_windows() -> int | None:
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong), *((name, ctypes.c_ulonglong) for name in "abcdefg")]

    status = Status()
    status.length = ctypes.sizeof(Status)
    try:
        told = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    return int(status.b) if told else None


def outputs(settings: Settings) -> list[Finding]:
    """Can pictures be saved, and is there room for them?"""
    folder = settings.outputs_dir
    place = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"probe")
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        cure = "Give yourself the right to write there, or choose another --outputs-dir."
        return [problem("outputs", f"Nothing can be written in '{place}': {reason}.", cure)]
    free = shutil.disk_usage(place).free
    words = f"{folder}, {free / GB:.1f} GB free"
    if free < LITTLE_DISK:
        return [problem("outputs", f"{words}: too little.", "Free some disk space, or choose another --outputs-dir.")]
    if free < SOME_DISK:
        return [note("outputs", f"{words}: not much.")]
    return [ok("outputs", words)]


def house(root: Path) -> list[Finding]:
    """Can styles and imports be kept beside webui.py?"""
    if os.access(root, os.W_OK):
        return []
    return [note("folder", f"'{root}' cannot be written to: styles and imports cannot be saved.", "Give yourself the right to write there.")]


def port(settings: Settings) -> Finding:
    """Is the page's port free, or is it Darkroom that has it?"""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
            return ok("port", f"{settings.port} is free")
    except PermissionError:
        return problem("port", f"{settings.port} may not be used by this account.", "Choose one above 1023 with --port.")
    except OverflowError:
        return problem("port", f"There is no port {settings.port}.", "Choose one from 1 to 65535 with --port.")
    except OSError as error:
        if is_ours(host, settings.port):
            return ok("port", f"{settings.port} is used by a Darkroom that is running")
        if isinstance(error, socket.gaierror):
            return problem("port", f"'{settings.host}' is no address of this machine.", "Choose another --server-name.")
        reason = (error.strerror or "no reason given").lower()
        return problem("port", f"{settings.port} is used by another program ({reason}).", "Close it, or choose another --port.")


def is_ours(host: str, port: int) -> bool:
    """Does whoever listens there answer as Darkroom does? Only this machine is asked."""
    request = f"GET /openapi.json HTTP/1.1\r\nHost: {f'[{host}]' if ':' in host else host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(request.encode("ascii"))
            answer = b""
            while len(answer) < 65536 and (part := connection.recv(8192)):
                answer += part
    except OSError:
        return False
    return b"Darkroom" in answer


def environment(environ: Mapping[str, str]) -> list[Finding]:
    """Variables that lead Python, PyTorch or the network astray."""
    found = []
    for name in ("PYTHONPATH", "PYTHONHOME"):
        if environ.get(name):
            found.append(note("variables", f"{name} is '{environ[name][:80]}': packages from there may stand before ours.", f"unset {name}"))
    if environ.get("CUDA_VISIBLE_DEVICES", "x").strip() in ("", "-1"):
        found.append(note("variables", "CUDA_VISIBLE_DEVICES hides all cards: pictures are made on the processor.", "unset CUDA_VISIBLE_DEVICES"))
    online = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if environ.get(name, "1").lower() in ("0", "false", "no", "off")]
    if online:
        words = f"{' and '.join(online)} switched off: libraries may ask the network, which Darkroom does not need."
        found.append(note("variables", words, f"unset {' '.join(online)}"))
    return found or [ok("variables", "nothing leads astray; no network is needed")]

"""Python, processor, memory, disk, port and environment: what is said, and when it is a problem."""

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from app.doctor import machine
from app.settings import Settings

GB = 10**9


@pytest.mark.parametrize(("version", "bits", "state"), [((3, 11, 2), 64, "ok"), ((3, 14, 0), 64, "ok"), ((3, 10, 9), 64, "problem"), ((3, 12), 32, "problem")])
def test_python(version: tuple[int, ...], bits: int, state: str) -> None:
    found = machine.python(version, bits)
    assert found.state == state and (state == "ok" or "delete .venv" in found.cure)


@pytest.mark.parametrize(
    ("system", "kind", "flags", "state"),
    [
        ("linux", "x86_64", "fpu avx avx2", "ok"), ("linux", "x86_64", "fpu avx", "note"), ("linux", "x86_64", "fpu sse4_2", "problem"),
        ("linux", "aarch64", None, "ok"), ("darwin", "arm64", None, "note"), ("darwin", "x86_64", None, "problem"),
    ],
)  # fmt: skip
def test_processor(system: str, kind: str, flags: str | None, state: str, tmp_path: Path) -> None:
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert machine.processor(system, kind, tmp_path / "cpuinfo").state == state


@pytest.mark.parametrize(("free", "state"), [(GB, "problem"), (4 * GB, "note"), (16 * GB, "ok"), (None, "note")])
def test_memory(free: int | None, state: str) -> None:
    assert machine.memory(free).state == state


def test_this_machine_says_how_much_memory_is_free() -> None:
    free = machine.free_memory()
    assert free is not None and 10**7 < free < 10**14


def test_outputs(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = machine.outputs(settings)
    assert found.state != "problem" or "too little" in found.text
    assert not settings.outputs_dir.exists(), "looking makes no folder"
    usage = type("Usage", (), {"free": 10**8})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: usage)
    assert machine.outputs(settings)[0].state == "problem"
    monkeypatch.setattr(machine.tempfile, "TemporaryFile", lambda dir: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    [found] = machine.outputs(settings)
    assert found.state == "problem" and "read-only file system" in found.text and "--outputs-dir" in found.cure


@pytest.fixture
def answering():
    """A program that listens on a port of this machine and answers every question with one text."""
    listener = socket.create_server(("127.0.0.1", 0))
    texts = [b""]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(texts[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], texts
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_port(answering, settings: Settings) -> None:
    number, texts = answering
    here = replace(settings, port=number)
    found = machine.port(here)
    assert found.state == "problem" and "used by another program" in found.text and "--port" in found.cure
    texts[0] = b'HTTP/1.1 200 OK\r\n\r\n{"info": {"title": "Darkroom"}}'
    assert machine.port(here).state == "ok" and "a Darkroom that is running" in machine.port(here).text
    assert machine.port(replace(settings, port=70000)).state == "problem"
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    assert machine.port(replace(settings, port=number)).state == "ok"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "nothing leads astray"), ({"PYTHONPATH": "x"}, "PYTHONPATH is 'x'"), ({"CUDA_VISIBLE_DEVICES": ""}, "hides all cards"),
        ({"CUDA_VISIBLE_DEVICES": "0"}, "nothing"), ({"HF_HUB_OFFLINE": "0"}, "HF_HUB_OFFLINE switched off"), ({"HF_HUB_OFFLINE": "1"}, "nothing leads"),
    ],
)  # fmt: skip
def test_environment(environ: dict[str, str], words: str) -> None:
    [found] = machine.environment(environ)
    assert words in found.text and found.state in ("ok", "note")

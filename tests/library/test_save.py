"""Files that are whole or not there: every system call fails once, at every place, and nothing is left behind."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.errors import BadSettings, DiskTrouble
from app.library import Library, save
from app.request import Txt2Img, Zoom
from app.work import Picture

ROOT = Path(__file__).resolve().parents[2]
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
REQUEST = Txt2Img(prompt="cat", seed=7)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "outputs")
    yield library
    library.close()


def keep(library: Library, index: int = 0, owner: str = "anna") -> object:
    return library.save(Picture(NOISE, index, 7 + index), REQUEST, "job-1", owner)


def files(library: Library) -> list[str]:
    return sorted(path.name for path in library.root.rglob("*") if path.is_file() and ".darkroom" not in path.parts)


def failing(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], fails: Callable[[int], bool], number: int) -> list[int]:
    """Make system calls of `save` fail with an errno, those whose count `fails`. Returns the list of counts so far."""
    counts: list[int] = []

    def wrap(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*values: object) -> object:
            counts.append(len(counts))
            if fails(counts[-1]):
                raise OSError(number, os.strerror(number))
            return real(*values)

        return call

    monkeypatch.setattr(save, "os", SimpleNamespace(**{**vars(os), **{name: wrap(name) for name in names}}))
    return counts


CALLS = ("open", "write", "fsync", "link")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_whichever_call_fails_nothing_is_left_and_the_picture_is_kept(library: Library, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    keep(library)
    before = files(library)
    for nth in range(100):
        with monkeypatch.context() as patch:
            counts = failing(patch, CALLS, lambda count, nth=nth: count == nth, number)
            try:
                keep(library, 1)
            except DiskTrouble as error:
                assert save._REASONS[number] in str(error) and "kept in memory" in str(error)
                assert library.unsaved("anna") == 1
                library._rescue.clear()
            else:  # no call failed, or the link did with an errno that says "no links here", and a rename took its place
                if nth >= len(counts):
                    break
                before = files(library)
        assert files(library) == before
        assert sorted(saved.path.name for saved in library.newest(None, 10)) == before
    assert nth == len(counts) >= 5


def test_retry_writes_what_the_disk_did_not_take(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, ("write",), lambda count: True, errno.ENOSPC)
        for index, owner in enumerate(("anna", "anna", "bob")):
            with pytest.raises(DiskTrouble, match="the disk is full"):
                keep(library, index, owner)
        with pytest.raises(DiskTrouble):
            library.retry_unsaved("anna")
        assert (library.unsaved("anna"), library.unsaved("bob"), library.unsaved(None)) == (2, 1, 3)
    saved = library.retry_unsaved("anna")
    assert [(item.job, item.owner, item.path.name) for item in saved] == [("job-1", "anna", "00000-7.png"), ("job-1", "anna", "00001-8.png")]
    with Image.open(saved[0].path) as image:
        assert np.array_equal(np.asarray(image), np.asarray(NOISE))
    assert (library.unsaved("anna"), library.unsaved("bob")) == (0, 1)
    assert library.retry_unsaved("anna") == []


def test_memory_for_unsaved_pictures_is_bounded(library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    size = len(save.png_bytes(NOISE))
    monkeypatch.setattr("app.library.library.RESCUE_BYTES", 3 * size)
    with monkeypatch.context() as patch:
        failing(patch, ("write",), lambda count: True, errno.ENOSPC)
        for index in range(5):
            with pytest.raises(DiskTrouble):
                keep(library, index)
    assert [saved.path.name for saved in library.retry_unsaved()] == ["00000-10.png", "00001-11.png"]
    assert "was dropped" in caplog.text


def test_a_full_index_is_a_full_disk(library: Library) -> None:
    pages = library._index._db.execute("PRAGMA page_count").fetchone()[0]
    library._index._db.execute(f"PRAGMA max_page_count={pages}")
    big = Txt2Img(prompt="x" * 8000, seed=1)
    with pytest.raises(DiskTrouble, match="index"):
        library.save(Picture(NOISE, 0, 1), big, "job-1", "anna")
    assert files(library) == []
    library._index._db.execute("PRAGMA max_page_count=100000")
    assert len(library.retry_unsaved()) == 1 and files(library) == ["00000-1.png"]


def test_files_are_numbered_and_never_overwritten(library: Library) -> None:
    first = keep(library)
    in_the_way = first.path.with_name("00001-8.png")  # another program took the next name
    in_the_way.write_bytes(b"mine")
    second = keep(library, 1)
    assert (second.path.name, in_the_way.read_bytes()) == ("00002-8.png", b"mine")
    again = Library(library.root)
    assert again.save(Picture(NOISE, 0, 5), REQUEST, "job-2", "anna").path.name == "00003-5.png"
    again.close()


def test_without_hard_links_files_are_renamed_and_not_overwritten(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ("link",), lambda count: True, errno.EOPNOTSUPP)
    assert keep(library).path.read_bytes()[:4] == b"\x89PNG"
    part = save.write_part(library.root, ".png", b"new")
    (library.root / "taken.png").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        save.publish(part, library.root / "taken.png")
    assert (library.root / "taken.png").read_bytes() == b"old"


def test_an_outputs_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadSettings, match="outputs folder cannot be used"):
        Library(tmp_path / "file" / "outputs")
    failing(monkeypatch, ("open",), lambda count: True, errno.EROFS)
    with pytest.raises(BadSettings, match="the outputs folder is read-only"):
        Library(tmp_path / "outputs")


def test_a_folder_that_becomes_read_only_is_told_before_the_work(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.check_writable()
    failing(monkeypatch, ("open",), lambda count: True, errno.EROFS)
    with pytest.raises(DiskTrouble, match="read-only"):
        library.check_writable()


def test_a_video_that_fails_leaves_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Zoom(seed=3)

    def half(path: Path) -> None:
        path.write_bytes(b"half a vid")
        raise OSError(errno.ENOSPC, "No space left on device")

    def broken(path: Path) -> None:
        path.write_bytes(b"half a vid")
        raise ZeroDivisionError

    with pytest.raises(DiskTrouble, match="the disk is full"):
        library.save_video(half, request, "job-1", "anna")
    with pytest.raises(ZeroDivisionError):
        library.save_video(broken, request, "job-1", "anna")
    for nth in range(100):
        with monkeypatch.context() as patch:
            failing(patch, CALLS, lambda count, nth=nth: count == nth, errno.ENOSPC)
            try:
                library.save_video(lambda path: NOISE.save(path), request, "job-1", "anna")
            except DiskTrouble:
                assert files(library) == []
            else:
                break
    assert files(library) == ["00000-3.json", "00000-3.webp"] and nth >= 6


def test_leftovers_go_at_start_and_parts_in_the_making_stay(library: Library) -> None:
    saved = keep(library)
    folder = saved.path.parent
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True).stdout.strip()
    stale = [folder / f".part-{dead}-aa.png", folder / f".part-{os.getpid()}-ff.png", folder / ".part-x.png"]
    for path in stale:
        path.write_bytes(b"half")
    making = save.write_part(folder, ".png", b"whole")
    other = folder / f".part-{os.getppid()}-bb.png"
    other.write_bytes(b"half")
    Library(library.root).close()
    assert [path.exists() for path in stale] == [False] * 3
    assert making.exists() and other.exists()
    os.utime(other, (0, 0))
    Library(library.root).close()
    assert not other.exists()


def test_a_file_size_limit_fails_one_job_and_the_server_lives(tmp_path: Path) -> None:
    program = """
import resource, sys, threading
from pathlib import Path
import numpy as np
from PIL import Image
from app.jobs import JobQueue
from app.library import Library
from app.request import Txt2Img, parse_json
from app.work import Picture
root = Path(sys.argv[1])
library, queue = Library(root), JobQueue(root / ".darkroom" / "jobs")
def work(job, control):
    request = parse_json(job.request)
    noise = np.random.default_rng(0).integers(0, 256, (request.height, request.width, 3), dtype=np.uint8)
    control.add_output(library.save(Picture(Image.fromarray(noise), 0, request.seed), request, job.id, job.owner).id)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
over = threading.Event()
big = queue.submit("anna", "txt2img", Txt2Img(width=512, height=512, seed=1).model_dump_json())
small = queue.submit("anna", "txt2img", Txt2Img(width=64, height=64, seed=2).model_dump_json())
queue.subscribe(small.id, None, lambda: queue.get(small.id, None).job.over and over.set())
queue.start(work)
assert over.wait(30)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
import json
jobs = [queue.get(job.id, None).job for job in (big, small)]
saved = [item.path.name for item in library.retry_unsaved()]
print(json.dumps([[job.state for job in jobs], jobs[0].error, saved, len(jobs[1].outputs)]))
queue.close(); library.close()
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    states, error, saved, outputs = json.loads(done.stdout)
    assert states == ["failed", "done"] and outputs == 1
    assert "the file would be larger than allowed" in error and "kept in memory" in error
    assert saved == ["00001-1.png"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert not list(tmp_path.rglob(".part-*"))

"""Listings, owners, thumbnails, deleting, and an index that can be lost."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import BadSettings, NotFound
from app.library import Library, Saved
from app.library.read import read
from app.request import Txt2Img, Zoom, parse, parse_json
from app.work import Picture


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "my outputs")
    yield library
    library.close()


def keep(library: Library, seed: int = 1, owner: str = "anna", job: str = "job-1", index: int = 0, size: tuple[int, int] = (64, 32)) -> Saved:
    image = Image.new("RGB", size, (seed % 256, 2, 3))
    return library.save(Picture(image, index, seed + index, {"Model": "m"}), Txt2Img(prompt=f"cat {seed} 日本 🎈", seed=seed), job, owner)


def keep_video(library: Library, poster: Image.Image | None = None, suffix: str = "") -> Saved:
    def write(path: Path) -> None:
        if path.suffix == ".mp4":
            path.write_bytes(b"\0\0\0\x20ftypisom")
        else:
            Image.new("RGB", (48, 32), "red").save(path, save_all=True, append_images=[Image.new("RGB", (48, 32), "blue")])

    return library.save_video(write, Zoom(prompt="cat", seed=9), "job-9", "anna", suffix=suffix, poster=poster)


def test_a_picture_lies_where_a1111_puts_it_and_holds_its_request(library: Library) -> None:
    saved = keep(library, seed=5, index=2)
    folder, date, name = saved.path.relative_to(library.root).parts
    assert (folder, name) == ("txt2img-images", "00000-7.png") and len(date) == 10
    request, infotext = read(saved.path)
    assert request is not None and parse(request) == Txt2Img(prompt="cat 5 日本 🎈", seed=5)
    assert infotext == saved.infotext and "Seed: 7, Size: 64x32, Model: m" in infotext
    assert (saved.width, saved.height, saved.kind, saved.task, saved.job, saved.owner) == (64, 32, "image", "txt2img", "job-1", "anna")
    assert library.get(saved.id, "anna") == saved


def test_the_infotext_shows_what_ran_and_the_chunk_what_was_asked(library: Library) -> None:
    asked = Txt2Img(prompt="cat", styles=("Neon",), seed=1)
    saved = library.save(Picture(Image.new("RGB", (64, 64)), 0, 1), asked, "job-1", "anna", shown=asked.model_copy(update={"prompt": "cat, neon"}))
    request, infotext = read(saved.path)
    assert request is not None and parse(request) == asked
    assert infotext.startswith("cat, neon\n")


def test_the_file_does_not_tell_whose_it_is(library: Library) -> None:
    assert b"secret-cookie" not in keep(library, owner="secret-cookie").path.read_bytes()


def test_pages_follow_each_other_without_gaps(library: Library) -> None:
    made = [keep(library, seed).id for seed in range(7)]
    keep(library, 99, owner="bob")
    pages, before = [], None
    while page := library.newest("anna", 3, before):
        pages.append([saved.id for saved in page])
        before = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [picture for page in pages for picture in page] == made[::-1]
    assert len(library.newest(None, 100)) == 8
    assert library.newest("anna", 5, "nonsense") == []


def test_listings_by_task_and_by_job(library: Library) -> None:
    pictures = [keep(library, job="job-1"), keep(library, job="job-2"), keep(library, job="job-1")]
    video = keep_video(library)
    assert [saved.id for saved in library.newest(None, 10, task="zoom")] == [video.id]
    assert [saved.id for saved in library.of_job("job-1")] == [pictures[0].id, pictures[2].id]


def test_files_that_are_gone_are_not_listed(library: Library) -> None:
    saved = [keep(library, seed) for seed in range(6)]
    for item in saved[1:5]:
        item.path.unlink()
    assert [item.id for item in library.newest("anna", 2)] == [saved[5].id, saved[0].id]
    with pytest.raises(NotFound, match="gone"):
        library.get(saved[2].id, "anna")
    again = Library(library.root)
    assert len(again._index.paths()) == 2
    again.close()


def test_somebody_elses_picture_is_not_found(library: Library) -> None:
    theirs = keep(library, owner="bob")
    for call in (library.get, library.delete):
        with pytest.raises(NotFound, match="no such picture"):
            call(theirs.id, "anna")
    with pytest.raises(NotFound):
        library.thumb(theirs.id, owner="anna")
    assert library.newest("anna", 10) == []
    assert theirs.path.exists()


def test_order_does_not_depend_on_the_clock(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first = keep(library)
    monkeypatch.setattr("app.library.library.time.time", lambda: first.created - 86400)
    second = keep(library)
    assert second.created < first.created
    assert [saved.id for saved in library.newest(None, 10)] == [second.id, first.id]


@pytest.mark.parametrize("side", [100, 256, 5000])
def test_thumbnails_are_small_and_made_once(library: Library, side: int) -> None:
    saved = keep(library, size=(1600, 800))
    data = library.thumb(saved.id, side)
    expected = {100: 128, 256: 256, 5000: 1024}[side]
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        assert image.size == (expected, expected // 2)
    cached = next((library.root / ".darkroom" / "thumbs").iterdir())
    cached.write_bytes(b"from the cache")
    assert library.thumb(saved.id, side) == b"from the cache"


def test_a_picture_too_large_to_be_opened_again_still_has_a_thumbnail(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    monkeypatch.setattr("app.library.library.MAX_PIXELS", 1_000_000)
    saved = keep(library, size=(2000, 1000))
    with Image.open(io.BytesIO(library.thumb(saved.id, 128)), formats=("JPEG",)) as image:
        assert image.size == (128, 64)
    library._index.remove([saved.id])
    assert library.reindex() == 1
    assert (library.newest(None, 1)[0].width, library.newest(None, 1)[0].height) == (2000, 1000)


def test_videos_have_a_file_beside_them_and_a_thumbnail(library: Library) -> None:
    saved = keep_video(library)
    assert (saved.kind, saved.path.suffix, saved.width, saved.height) == ("video", ".webp", 48, 32)
    assert saved.path.parent.parent.name == "zoom-videos"
    with Image.open(io.BytesIO(library.thumb(saved.id)), formats=("JPEG",)) as image:
        assert image.size == (48, 32) and image.convert("RGB").getpixel((20, 20))[0] > 200
    plain = keep_video(library, suffix="mp4")
    assert (plain.path.suffix, plain.width) == (".mp4", 0)
    with pytest.raises(NotFound, match="thumbnail"):
        library.thumb(plain.id)
    shown = keep_video(library, Image.new("RGB", (128, 96), "green"), "mp4")
    assert (shown.width, shown.height) == (128, 96)
    with Image.open(io.BytesIO(library.thumb(shown.id, 128)), formats=("JPEG",)) as image:
        assert image.size == (128, 96)


def test_deleting_removes_file_row_and_thumbnails(library: Library) -> None:
    for saved in (keep(library), keep_video(library)):
        library.thumb(saved.id)
        library.delete(saved.id, "anna")
        with pytest.raises(NotFound):
            library.get(saved.id, None)
    left = [path.name for path in library.root.rglob("*") if path.is_file() and not path.name.startswith("library.db")]
    assert left == []


@pytest.mark.parametrize("loss", ["deleted", "damaged"])
def test_a_lost_index_is_rebuilt_from_the_files(library: Library, loss: str) -> None:
    made = [keep(library, 3), keep(library, 4, job="job-2"), keep_video(library), keep_video(library, Image.new("RGB", (64, 64)), "mp4")]
    library.close()
    database = library.root / ".darkroom" / "library.db"
    for path in database.parent.glob("library.db-*"):
        path.unlink()
    database.write_bytes(b"no database " * 5000) if loss == "damaged" else database.unlink()
    (made[0].path.parent / "notes.txt").write_text("not a picture")
    (made[0].path.parent / "broken.png").write_bytes(b"not a picture")
    Image.new("RGB", (8, 8)).save(made[0].path.parent / "theirs.png")
    again = Library(library.root)
    found = {saved.id: saved for saved in again.newest(None, 100)}
    assert len(found) == 5
    for saved in made:
        other = found[saved.id]
        same = ("path", "job", "task", "kind", "width", "height", "infotext")
        assert [getattr(other, name) for name in same] == [getattr(saved, name) for name in same]
        assert (parse_json(other.request), other.owner) == (parse_json(saved.request), "")
    assert again.reindex() == 0
    again.close()
    assert (database.parent / "library.bad").exists() == (loss == "damaged")


def test_reindex_takes_in_new_files_and_asks_whose_they_are(library: Library) -> None:
    saved = keep(library, job="job-5", owner="bob")
    library._index.remove([saved.id])
    assert library.reindex(lambda job: {"job-5": "bob"}[job]) == 1
    assert library.get(saved.id, "bob").path == saved.path


def test_a_newer_index_is_refused(library: Library) -> None:
    library._index._db.execute("PRAGMA user_version=3")
    with pytest.raises(BadSettings, match="newer Darkroom"):
        Library(library.root)


def test_many_threads_save_at_once(library: Library) -> None:
    def save_some(owner: str) -> None:
        for seed in range(4):
            keep(library, seed, owner)

    threads = [threading.Thread(target=save_some, args=(f"owner-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = library.newest(None, 100)
    assert len(listed) == len({saved.path for saved in listed}) == 16
    assert all(np.asarray(Image.open(saved.path)).shape == (32, 64, 3) for saved in listed)

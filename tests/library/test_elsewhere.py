"""Pictures of other programs: in the gallery where they lie, in order, and never touched."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.errors import NotFound
from app.library import Library
from app.library.elsewhere import Told
from app.request import Txt2Img
from app.work import Picture


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "outputs")
    yield library
    library.close()


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Five files of another program, three of them pictures, made on the days 1 to 5 after 1970."""
    folder = tmp_path / "theirs" / "txt2img-images"
    (folder / "2024-01-01").mkdir(parents=True)
    for day, name in enumerate(("2024-01-01/a.png", "b.JPG", "c.webp", "broken.png", "notes.txt"), 1):
        path = folder / name
        if path.suffix in (".txt",) or "broken" in name:
            path.write_text("no picture")
        else:
            Image.new("RGB", (40 + day, 30), "red").save(path)
        os.utime(path, (day * 86400, day * 86400))
    return folder


def told(path: Path) -> Told:
    return Told("img2img" if path.stem == "b" else "txt2img", "", f"made of {path.stem}")


def refuse(path: Path) -> Told:
    raise AssertionError(f"{path} was opened again")


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def ours(library: Library, seed: int = 1) -> str:
    return library.save(Picture(Image.new("RGB", (64, 64)), 0, seed), Txt2Img(seed=seed), "job", "anna").id


def names(library: Library) -> list[str]:
    return [saved.path.stem for saved in library.newest(None, 100)]


def test_they_are_listed_where_they_lie(library: Library, theirs: Path) -> None:
    before = state(theirs)
    assert library.elsewhere.take_in([theirs], told) == 3
    first, second, third = library.newest(None, 10)
    assert (first.path, first.foreign, first.task, first.infotext) == (theirs / "c.webp", True, "txt2img", "made of c")
    assert (second.task, second.width, second.height, second.created, second.owner) == ("img2img", 42, 30, 2 * 86400, "")
    assert library.get(third.id, None).path == theirs / "2024-01-01" / "a.png"
    assert library.thumb(second.id)[:2] == b"\xff\xd8"
    assert library.newest("anna", 10) == [], "nobody owns them, so that no guest sees them"
    assert state(theirs) == before


def test_nothing_is_opened_twice_and_what_changed_is_seen(library: Library, theirs: Path) -> None:
    library.elsewhere.take_in([theirs], told)
    (theirs / "broken.png").unlink()
    assert library.elsewhere.take_in([theirs], refuse) == 0
    (theirs / "b.JPG").unlink()
    Image.new("RGB", (8, 8)).save(theirs / "d.png")
    assert library.elsewhere.take_in([theirs], told) == 1
    assert names(library) == ["d", "c", "a"]
    assert len(library._index.elsewhere()) == 3


def test_they_stand_among_ours_by_date_and_ours_keep_their_order(library: Library, theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day, seed in ((2.5, 1), (10, 2), (2.2, 3)):  # the clock went back before the third
        monkeypatch.setattr("app.library.library.time.time", lambda day=day: day * 86400)
        ours(library, seed)
    library.elsewhere.take_in([theirs], told)
    assert [name.split("-")[-1] for name in names(library)] == ["3", "2", "c", "1", "b", "a"]
    last = library.newest(None, 3)[-1]
    assert [saved.path.stem.split("-")[-1] for saved in library.newest(None, 3, last.id)] == ["1", "b", "a"]
    monkeypatch.setattr("app.library.library.time.time", lambda: 1.0)
    ours(library, 4)
    (theirs / "broken.png").unlink()
    library.elsewhere.take_in([theirs], refuse)
    assert names(library)[0].endswith("-4")


def test_deleting_one_takes_it_out_of_the_gallery_and_leaves_the_file(library: Library, theirs: Path) -> None:
    library.elsewhere.take_in([theirs], told)
    before = state(theirs)
    [gone, kept] = [saved for saved in library.newest(None, 10) if saved.path.stem in "ac"]
    library.thumb(gone.id)
    library.delete(gone.id, None)
    with pytest.raises(NotFound):
        library.get(gone.id, None)
    assert list((library.root / ".darkroom/thumbs").iterdir()) == []
    library.elsewhere.take_in([theirs], told)
    assert names(library) == ["b", "a"], "it does not come back"
    assert state(theirs) == before
    library.delete(kept.id, None, original=True)
    assert not kept.path.exists()


def test_a_folder_that_is_not_there_keeps_its_rows_and_a_forgotten_one_does_not(library: Library, theirs: Path) -> None:
    library.elsewhere.take_in([theirs], told)
    away = theirs.rename(theirs.with_name("away"))
    assert library.elsewhere.take_in([theirs], told) == 0 and names(library) == []
    library.close()
    again = Library(library.root)
    again.elsewhere.keep([theirs])
    away.rename(theirs)
    assert names(again) == ["c", "b", "a"]
    again.elsewhere.keep([theirs.parent / "other"])
    assert names(again) == []
    again.close()


def test_it_can_be_stopped_and_goes_on(library: Library, theirs: Path) -> None:
    assert library.elsewhere.take_in([theirs], told, lambda done, new: False) == 1
    assert library.elsewhere.take_in([theirs], told) == 2
    assert names(library) == ["c", "b", "a"]


def test_our_own_folder_is_not_taken_for_somebody_elses(library: Library) -> None:
    ours(library)
    assert library.elsewhere.take_in([library.root.parent, library.root], told) == 0
    assert [saved.foreign for saved in library.newest(None, 10)] == [False]


def test_an_index_of_the_last_version_is_opened(library: Library, theirs: Path) -> None:
    ours(library)
    library._index._db.executescript("DROP TABLE hidden; PRAGMA user_version=1")
    library.close()
    again = Library(library.root)
    again.elsewhere.take_in([theirs], told)
    again.delete(again.newest(None, 1)[0].id, None)
    assert len(again.newest(None, 10)) == 3
    again.close()

"""Pictures handed in: kept once, by content; ids are hashes and nothing else."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import BadPicture, DiskTrouble, NotFound
from app.library import save
from app.library.assets import Assets


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    return Assets(tmp_path / "assets")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_picture_comes_back_bit_for_bit(assets: Assets, mode: str) -> None:
    shape = (13, 7) if mode == "L" else (13, 7, len(mode))
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
    asset = assets.put(image)
    again = assets.get(asset)
    assert (again.mode, again.info) == (mode, {})
    assert np.array_equal(np.asarray(again), np.asarray(image))
    assert len(asset) == 64 and assets.path(asset).is_file()


def test_the_same_content_is_kept_once_and_other_content_apart(assets: Assets) -> None:
    black = assets.put(Image.new("RGB", (6, 4)))
    assert assets.put(Image.new("RGB", (6, 4))) == black
    others = {assets.put(Image.new("RGB", (4, 6))), assets.put(Image.new("L", (6, 12))), assets.put(Image.new("RGB", (6, 4), (0, 0, 1)))}
    assert len(others) == 3 and black not in others
    assert len(list(assets.folder.iterdir())) == 4


@pytest.mark.parametrize("asset", ["", "x", "0" * 63, "0" * 65, "../" + "0" * 61, "/etc/passwd", "A" * 64, "0" * 64 + "\n", "0" * 64, None, 3])
def test_other_ids_are_not_found(assets: Assets, asset: object) -> None:
    with pytest.raises(NotFound):
        assets.get(asset)  # type: ignore[arg-type]


def test_a_damaged_file_is_a_sentence(assets: Assets) -> None:
    asset = assets.put(Image.new("RGB", (64, 64)))
    assets.path(asset).write_bytes(assets.path(asset).read_bytes()[:60])
    with pytest.raises(NotFound, match="damaged"):
        assets.get(asset)


def test_other_modes_are_refused(assets: Assets) -> None:
    with pytest.raises(BadPicture, match="mode CMYK"):
        assets.put(Image.new("CMYK", (8, 8)))


def test_a_full_disk_is_a_sentence_and_leaves_nothing(assets: Assets, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, suffix: str, data: bytes) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(save, "write_part", full)
    with pytest.raises(DiskTrouble, match="the disk is full"):
        assets.put(Image.new("RGB", (8, 8)))
    assert not list(assets.folder.iterdir())


def test_only_old_pictures_that_no_request_names_are_tidied_away(assets: Assets) -> None:
    named, old, new, again = (assets.put(Image.new("RGB", (4, side))) for side in (1, 2, 3, 4))
    for asset in (named, old, again):
        os.utime(assets.path(asset), (0, 0))
    assert assets.put(Image.new("RGB", (4, 4))) == again
    (assets.folder / "notes.png").write_bytes(b"not ours")
    os.utime(assets.folder / "notes.png", (0, 0))
    assert assets.tidy([]) == 0, "a journal that was moved away says nothing about what is needed"
    assert assets.tidy([f'{{"task": "img2img", "image": "{named}"}}', "{}"]) == 1
    assert {path.stem for path in assets.folder.iterdir()} == {named, new, again, "notes"}

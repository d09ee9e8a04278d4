"""The list of upscalers: what is always there, then files, the user's first."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.upscalers import LATENT, find_hires_upscaler, find_upscaler, hires_upscalers, upscalers
from app.errors import BadCheckpoint, UnknownName
from app.settings import ROOT, Settings


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    for name in ("Sharp.safetensors", "Sharp.pth", "old.pth", "notes.txt", "../embedded/upscalers/darkroom-x4.safetensors"):
        path = tmp_path / "models" / "upscalers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return replace(Settings(), root=tmp_path)


def test_files_stand_behind_what_needs_none(house: Settings) -> None:
    assert [upscaler.name for upscaler in upscalers(house)] == ["None", "Lanczos", "Nearest", "Sharp", "old", "darkroom-x4"]
    assert find_upscaler(house, "sharp").path == house.root / "models/upscalers/Sharp.safetensors", "of two of one name the safetensors file counts"


def test_without_folders_the_list_still_begins(tmp_path: Path) -> None:
    assert [upscaler.name for upscaler in upscalers(replace(Settings(), root=tmp_path))] == ["None", "Lanczos", "Nearest"]


@pytest.mark.parametrize(("asked", "name"), [("SHARP", "Sharp"), ("old.PTH", "old"), (" lanczos ", "Lanczos"), ("Darkroom-x4.safetensors", "darkroom-x4")])
def test_names_in_any_case_with_or_without_suffix(house: Settings, asked: str, name: str) -> None:
    assert find_upscaler(house, asked).name == name


def test_an_unknown_name_offers_the_nearest(house: Settings) -> None:
    with pytest.raises(UnknownName, match=r"Upscaler 'darkrom' does not exist. Did you mean 'darkroom-x4'"):
        find_upscaler(house, "darkrom")


def test_the_shipped_one_is_there() -> None:
    assert find_upscaler(Settings(), "darkroom-x4").path == ROOT / "models/embedded/upscalers/darkroom-x4.safetensors"


def test_the_stamp_changes_with_the_file_and_tells_when_it_is_gone(house: Settings) -> None:
    upscaler = find_upscaler(house, "Sharp")
    before = upscaler.stamp()
    assert upscaler.path is not None
    upscaler.path.write_bytes(b"another")
    assert upscaler.stamp() != before
    upscaler.path.unlink()
    with pytest.raises(BadCheckpoint, match=r"'Sharp.safetensors' is not there any more"):
        upscaler.stamp()
    assert find_upscaler(house, "Lanczos").stamp() == ("Lanczos", 0, 0)


def test_between_the_passes_of_hires_fix_latent_modes_come_first(house: Settings) -> None:
    assert hires_upscalers(house) == [*LATENT, *(upscaler.name for upscaler in upscalers(house))] and next(iter(LATENT)) == "Latent"
    assert [find_hires_upscaler(house, name) for name in ("latent  (Nearest-Exact)", "sharp")] == ["Latent (nearest-exact)", "Sharp"]
    with pytest.raises(UnknownName, match=r"Upscaler 'Latent \(bicubc\)' does not exist. Did you mean 'Latent \(bicubic\)'"):
        find_hires_upscaler(house, "Latent (bicubc)")


def test_folders_of_other_programs_come_after_ours_and_may_have_folders(house: Settings, tmp_path: Path) -> None:
    for name in ("ESRGAN/Sharp.pth", "ESRGAN/anime/soft.pth", "DAT/dat.safetensors"):
        (tmp_path / "theirs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "theirs" / name).write_bytes(b"x")
    there = replace(house, upscaler_dirs=(tmp_path / "theirs/ESRGAN", tmp_path / "theirs/DAT"))
    assert [upscaler.name for upscaler in upscalers(there)] == ["None", "Lanczos", "Nearest", "Sharp", "old", "soft", "dat", "darkroom-x4"]
    assert find_upscaler(there, "Sharp").path == house.root / "models/upscalers/Sharp.safetensors"

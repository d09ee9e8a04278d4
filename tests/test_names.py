"""Names that a request holds are resolved, or refused with the nearest ones, before anything runs."""

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.recognise import inspect_file
from app.errors import BadCheckpoint, UnknownName
from app.grids.request import Axis, Grid
from app.names import canonical, fitting_lora, group_of
from app.request import Img2Img, Txt2Img, Upscale
from app.settings import Settings
from tests import tiny


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shelf, Settings]:
    folder = tmp_path_factory.mktemp("names")
    tiny.make_folder(folder / "Tiny")
    (folder / "broken.safetensors").write_bytes(b"nothing")
    settings = replace(Settings(), root=folder, checkpoint_dirs=(folder,), vae_dirs=(folder,))
    return Shelf(settings), settings


def test_names_of_the_second_pass_and_the_refiner(house: tuple[Shelf, Settings]) -> None:
    request = Txt2Img(
        enable_hr=True, checkpoint="TINY", refiner_checkpoint="tiny", hr_checkpoint="tiny", hr_sampler="k_dpmpp_2m_ka", hr_upscaler="latent (NEAREST)"
    )
    assert canonical(request, *house) == {
        "checkpoint": "Tiny", "sampler": "DPM++ 2M", "schedule": "Automatic", "vae": "", "text_encoder": "", "refiner_checkpoint": "Tiny",
        "hr_checkpoint": "Tiny", "hr_sampler": "DPM++ 2M", "hr_schedule": "Karras", "hr_upscaler": "Latent (nearest)",
    }  # fmt: skip
    assert canonical(Txt2Img(enable_hr=True, hr_schedule="sgmuniform", hr_upscaler="lanczos"), *house)["hr_schedule"] == "SGM Uniform"
    plain = canonical(Txt2Img(enable_hr=True), *house)
    assert (plain["hr_schedule"], plain["hr_checkpoint"], "hr_sampler" in plain) == ("", "", False)


SORTS = {"hr_upscaler": "Upscaler", "hr_sampler": "Sampler", "hr_schedule": "Schedule", "hr_checkpoint": "Checkpoint"}


@pytest.mark.parametrize(("field", "sort"), SORTS.items())
def test_unknown_names_of_the_second_pass(house: tuple[Shelf, Settings], field: str, sort: str) -> None:
    with pytest.raises(UnknownName, match=rf"^{sort}.* 'Latnt' does not exist\."):
        canonical(Txt2Img(enable_hr=True, **{field: "Latnt"}), *house)
    assert field not in canonical(Txt2Img(**{field: "Latnt"}), *house)


def test_refiners_that_cannot_be_used(house: tuple[Shelf, Settings]) -> None:
    with pytest.raises(UnknownName, match="Checkpoint 'xl' does not exist"):
        canonical(Img2Img(image="0" * 64, refiner_checkpoint="xl"), *house)
    with pytest.raises(BadCheckpoint):
        canonical(Txt2Img(refiner_checkpoint="broken"), *house)


def test_a_lora_is_for_the_family_of_a_checkpoint_that_is_named(house: tuple[Shelf, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = house[0]
    tiny.write_lora(tmp_path / "style.safetensors", tiny.parts(0))
    mine = inspect_file(tmp_path / "style.safetensors", "style", "lora")
    checkpoints = {"": shelf.checkpoint("tiny"), "xl": replace(shelf.checkpoint("tiny"), name="xl", family="sdxl-inpaint")}
    monkeypatch.setattr(shelf, "checkpoint", checkpoints.__getitem__)
    refused = "'style' is an SDXL LoRA; 'Tiny' is an SD 1.x checkpoint."
    for family, named, said in (("sd1", "", ""), ("sdxl", "", refused), ("sdxl", "xl", ""), ("sd1", "xl", "")):
        monkeypatch.setattr(shelf, "lora", lambda name, family=family: replace(mine, family=family))
        with nullcontext() if not said else pytest.raises(BadCheckpoint, match=re.escape(said)):
            assert fitting_lora(shelf, "style", Txt2Img(hr_checkpoint=named)).family == family


def test_jobs_of_the_same_model_files_are_one_group() -> None:
    plain = Txt2Img(checkpoint="a", vae="v", prompt="a cat", steps=3)
    grid = Grid(base=plain, x=Axis(field="steps", values="1, 2"))
    assert group_of(plain) == group_of(Img2Img(checkpoint="a", vae="v", image="0" * 64)) == group_of(grid) != ""
    others = [Txt2Img(checkpoint="b", vae="v"), Txt2Img(checkpoint="a"), Grid(base=plain, x=Axis(field="checkpoint", values="a, b"))]
    assert len({group_of(request) for request in (plain, *others)}) == 4
    assert group_of(Upscale(image="0" * 64)) == ""

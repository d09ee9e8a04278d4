"""Names that a request holds are resolved, or refused with the nearest ones, before anything runs."""

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.recognise import inspect_file
from app.errors import BadCheckpoint, BadRequest, UnknownName
from app.grids.request import Axis, Grid
from app.names import canonical, fitting_lora, group_of, text_encoders
from app.request import AnyRequest, Img2Img, Txt2Img, Upscale, Zoom
from app.settings import Settings
from tests import tiny
from tests.layouts import checkpoints, clip, vae, write


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
            assert fitting_lora(shelf, "style", Txt2Img(enable_hr=True, hr_checkpoint=named)).family == family


def test_jobs_of_the_same_model_files_are_one_group() -> None:
    plain = Txt2Img(checkpoint="a", vae="v", prompt="a cat", steps=3)
    grid = Grid(base=plain, x=Axis(field="steps", values="1, 2"))
    assert group_of(plain) == group_of(Img2Img(checkpoint="a", vae="v", image="0" * 64)) == group_of(grid) != ""
    others = [Txt2Img(checkpoint="b", vae="v"), Txt2Img(checkpoint="a"), Grid(base=plain, x=Axis(field="checkpoint", values="a, b"))]
    assert len({group_of(request) for request in (plain, *others)}) == 4
    assert group_of(Upscale(image="0" * 64)) == ""


# ---- checkpoints that go on with each other's work


class Listed:
    """A shelf of checkpoints of every family, by its name."""

    def checkpoint(self, name: str) -> ModelFile:
        return ModelFile(name, Path(name), "checkpoint", name, "", 1, 512, ())

    def lora(self, name: str) -> ModelFile:
        raise AssertionError(name)


def refused(request: AnyRequest, house: tuple[Shelf, Settings]) -> str:
    try:
        canonical(request, Listed(), house[1])  # type: ignore[arg-type]
    except BadRequest as error:
        return str(error)
    return ""


def test_a_refiner_reads_the_latents_that_it_goes_on_with(house: tuple[Shelf, Settings]) -> None:
    assert refused(Txt2Img(checkpoint="sdxl", refiner_checkpoint="sdxl-refiner"), house) == ""
    assert refused(Txt2Img(checkpoint="sd2", refiner_checkpoint="sd1"), house) == "", "SD 2 has SD 1's latents"
    sentence = refused(Txt2Img(checkpoint="sd1", refiner_checkpoint="sdxl-refiner"), house)
    assert sentence == (
        "Refiner: 'sdxl-refiner' is of the family SDXL refiner and 'sd1' of the family SD 1.x, whose latents mean different things. "
        "Choose a refiner of the same kind, or none."
    )


def test_a_second_pass_of_other_latents_takes_pixels(house: tuple[Shelf, Settings]) -> None:
    values = {"enable_hr": True, "checkpoint": "sd1", "hr_checkpoint": "sdxl"}
    assert refused(Txt2Img(**values, hr_upscaler="Lanczos"), house) == ""
    assert refused(Txt2Img(**values, hr_upscaler="Latent"), house).startswith("Hires checkpoint: 'sdxl' is of the family SDXL and 'sd1'")
    refiner = {"refiner_checkpoint": "sdxl-refiner", "hr_upscaler": "Lanczos"}
    assert refused(Txt2Img(**values, **refiner, hr_refiner="second pass"), house) == ""
    assert refused(Txt2Img(**values, **refiner, hr_refiner="both passes"), house).startswith("Refiner: 'sdxl-refiner'")
    assert refused(Txt2Img(**(values | {"enable_hr": False})), house) == ""


@pytest.mark.parametrize("family", ["sd1-ip2p", "sd2-depth", "sdxl-ip2p"])
def test_checkpoints_that_paint_over_a_picture_need_one(house: tuple[Shelf, Settings], family: str) -> None:
    second = Txt2Img(checkpoint="sd1", enable_hr=True, hr_checkpoint=family, hr_upscaler="Lanczos")
    for request in (Txt2Img(checkpoint=family), Zoom(checkpoint=family), second):
        assert re.match(rf"'{family}' \(.+\) paints over a picture, and {request.task} was given none\. Use it in the tab img2img\.", refused(request, house))
    assert refused(Img2Img(checkpoint=family, image="0" * 64), house) == refused(Zoom(checkpoint=family, image="0" * 64), house) == ""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shelf, Settings]:
    """A shelf with UNets alone, a whole checkpoint, text encoders and VAEs: files without numbers, of the real layouts."""
    folder = tmp_path_factory.mktemp("parts")
    nowhere = (folder / "none",)
    for family in ("sd1", "sdxl"):
        write.sparse(folder / f"{family}-unet.safetensors", checkpoints.single(family, text=False, own_vae=False))
    write.sparse(folder / "whole.safetensors", checkpoints.single("sd1"))
    write.sparse(folder / "clip_l.safetensors", clip.huggingface(clip.L))
    write.sparse(folder / "clip_g.safetensors", clip.openclip(clip.G, ""))
    write.sparse(folder / "vae-xl.safetensors", vae.ldm(prefix=""))
    write.sparse(folder / "vae.safetensors", vae.ldm(prefix=""))
    settings = replace(Settings(), root=folder, checkpoint_dirs=(folder,), vae_dirs=nowhere, lora_dirs=nowhere, embedding_dirs=nowhere)
    return Shelf(settings), settings


def test_text_encoders_are_picked_alone_or_in_pairs(parts: tuple[Shelf, Settings]) -> None:
    assert text_encoders(parts[0]) == ["clip_g", "clip_l", "clip_l + clip_g"]
    given = {"checkpoint": "sdxl-unet", "vae": "vae-xl"}
    for asked, expected in (("CLIP_L.safetensors + clip_g", "clip_l + clip_g"), ("clip_g", "clip_g"), ("whole", "whole")):
        assert canonical(Txt2Img(text_encoder=asked, **given), *parts)["text_encoder"] == expected
    for asked in ("clip_x", "clip_l + clip_x"):
        with pytest.raises(UnknownName, match=r"^Text encoder 'clip_x' does not exist\. Did you mean 'clip_"):
            canonical(Txt2Img(text_encoder=asked, **given), *parts)
    assert canonical(Txt2Img(checkpoint="whole", text_encoder="None"), *parts)["text_encoder"] == ""


MISSING = (
    (
        {"checkpoint": "sd1-unet"},
        "'sd1-unet' holds no text encoder and no VAE. Name one in the field Text encoder: 'clip_l', 'whole'. Name one in the field VAE: 'vae'.",
    ),
    ({"checkpoint": "sd1-unet", "text_encoder": "clip_l"}, "'sd1-unet' holds no VAE. Name one in the field VAE: 'vae'."),
    ({"checkpoint": "sdxl-unet", "vae": "vae-xl"}, "'sdxl-unet' holds no text encoder. Name one in the field Text encoder: 'clip_l + clip_g'."),
    (
        {"checkpoint": "whole", "vae": "vae", "text_encoder": "clip_l", "refiner_checkpoint": "sdxl-unet"},
        "'sdxl-unet' holds no text encoder and no VAE. Name one in the field Text encoder: 'clip_l + clip_g'. Name one in the field VAE: 'vae-xl'.",
    ),
)


@pytest.mark.parametrize(("given", "sentence"), MISSING)
def test_what_a_checkpoint_lacks_is_said_and_what_fits_is_named(parts: tuple[Shelf, Settings], given: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"^{re.escape(sentence)}$"):
        canonical(Txt2Img(**given), *parts)


def test_what_is_chosen_serves_refiner_and_second_pass_of_the_same_kind(parts: tuple[Shelf, Settings]) -> None:
    asked = Txt2Img(checkpoint="whole", vae="vae", text_encoder="clip_l", refiner_checkpoint="sd1-unet", enable_hr=True, hr_checkpoint="sd1-unet")
    assert canonical(asked, *parts)["refiner_checkpoint"] == "sd1-unet"

from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.checkpoints.fits import fits, lacking, other_family, pairs, those_that_fit
from app.engine.checkpoints.header import ModelFile


def one(kind: str, family: str, name: str = "", **facts) -> ModelFile:
    name = name or f"{family}-{kind}"
    return replace(ModelFile(name, Path(f"{name}.safetensors"), kind, family, "", 1, 512), **facts)


FITTING = [
    ("lora", "sd1", "sd1", True), ("lora", "sd1", "sd1-inpaint", True), ("lora", "sd1", "sd2", False), ("lora", "sdxl", "sdxl-refiner", False),
    ("embedding", "sdxl", "sdxl-inpaint", True), ("embedding", "sd2", "sd1", False), ("vae", "sd1", "sd2-depth", True), ("vae", "sd1", "sdxl", False),
    ("vae", "sdxl", "sdxl-refiner", True), ("text encoder", "sd1", "sd1-ip2p", True), ("text encoder", "sd1", "sdxl", True),
    ("text encoder", "sdxl-refiner", "sdxl", True), ("text encoder", "sdxl", "sdxl-refiner", True), ("text encoder", "sd1", "sdxl-refiner", False),
    ("text encoder", "sd2", "sd1", False), ("checkpoint", "sd1", "sd1-inpaint", True), ("checkpoint", "sd1", "sdxl", False),
    ("upscaler", "unknown", "sd1", False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "family", "checkpoint", "answer"), FITTING)
def test_what_goes_with_what(kind: str, family: str, checkpoint: str, answer: bool) -> None:
    assert fits(one(kind, family), one("checkpoint", checkpoint, "mine")) is answer


def test_widths_bases_and_problems_count() -> None:
    mine = one("checkpoint", "sd1", width=768)
    assert fits(one("lora", "sd1", width=768), mine) and fits(one("lora", "sd1"), mine) and not fits(one("lora", "sd1", width=128), mine)
    assert not fits(one("lora", "sd1", problem="broken"), mine)
    assert not fits(one("lora", "sd1"), one("checkpoint", "sd1", problem="broken"))
    base = Path("models/embedded/darkroom-base")
    ours, theirs = one("checkpoint", "sd1", base=base), one("checkpoint", "sd1", path=base)
    assert fits(one("vae", "sd1", base=base), ours) and fits(one("vae", "sd1", base=base), theirs)
    assert not fits(one("vae", "sd1"), ours) and not fits(one("vae", "sd1"), theirs) and not fits(one("vae", "sd1", base=base), mine)
    assert not fits(one("checkpoint", "sd1", missing=("text encoder",)), mine)


def test_those_that_fit_keep_their_order() -> None:
    mine, files = one("checkpoint", "sd1"), [one("lora", "sd1", "b"), one("lora", "sdxl", "c"), one("lora", "sd1", "a")]
    assert [file.name for file in those_that_fit(mine, files)] == ["b", "a"]


def test_what_is_missing_is_offered_from_the_disk() -> None:
    bare = one("checkpoint", "sd1", "bare", missing=("text encoder", "VAE"))
    disk = [one("vae", "sd1", "kl"), one("vae", "sdxl", "xl"), one("text encoder", "sd1", "clip"), one("checkpoint", "sd1", "whole"), bare]
    assert lacking(bare, None, (), disk) == (
        "'bare' holds no text encoder and no VAE. Name one in the field Text encoder: 'clip', 'whole'. Name one in the field VAE: 'kl'."
    )
    assert lacking(bare, disk[0], (disk[2],), disk) == "" and lacking(disk[3], None, (), disk) == ""
    assert lacking(bare, disk[0], (), []) == "'bare' holds no text encoder. There is no text encoder on the disk that fits it."
    many = [one("vae", "sd1", f"v{number}") for number in range(8)]
    assert "'v4' or 3 more." in lacking(bare, None, (disk[2],), many)


def test_two_files_stand_for_sdxls_text_encoders() -> None:
    bare = one("checkpoint", "sdxl", "bare", missing=("text encoder",))
    disk = [one("text encoder", "sd1", "clip-l"), one("text encoder", "sdxl-refiner", "clip-g"), one("text encoder", "sd2", "clip-h")]
    assert pairs(disk) == ["clip-l + clip-g"]
    assert lacking(bare, None, (), disk) == "'bare' holds no text encoder. Name one in the field Text encoder: 'clip-l + clip-g'."


def test_loras_of_other_families_are_told_and_an_extensions_own_group_is_for_its_layers_to_say() -> None:
    assert other_family(one("lora", "sdxl", "ink"), "mine", "sd1") == "'ink' is an SDXL LoRA; 'mine' is an SD 1.x checkpoint."
    assert other_family(one("lora", "flux", "ink"), "mine", "sdxl") == "'ink' is a FLUX LoRA; 'mine' is an SDXL checkpoint."
    assert [other_family(one("lora", family), "mine", group) for family, group in (("sd1", "sd1"), ("unknown", "sd2"), ("sd1", "mine"))] == [""] * 3

"""`python -m app merge`."""

import json
from pathlib import Path

import pytest

from app.cli.main import main
from app.settings import ROOT

FAMILY = "darkroom-watercolour", "darkroom-inpaint"


def merge(folder: Path, *argv: str) -> int:
    return main(["merge", *argv, "--ckpt-dir", str(folder), "--outputs-dir", str(folder / "outputs")])


def test_three_checkpoints_are_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("darkroom-inpaint", "darkroom-watercolour", "darkroom-base", "--multiplier", ".5", "--save-as", "fp8", "--out", "new", "--json")
    assert merge(tmp_path, *argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == str(tmp_path / "new.safetensors") and Path(found["path"]).is_file()
    assert (found["request"]["method"], found["request"]["multiplier"]) == ("Add difference", 0.5)
    assert merge(tmp_path, *argv) == 2
    assert capsys.readouterr().err == "There is a checkpoint 'new' already. Choose another name, or allow to overwrite it.\n"


@pytest.mark.parametrize(("argv", "complaint"), [
    ((), "merge was given 0 checkpoints, but it takes two, or three for add_difference, or one to write anew.\n"),
    ((*FAMILY, "--multiplier", "much"), "Multiplier (M) (multiplier) is 'much', but it must be a number from 0 to 2.\n"),
    ((*FAMILY, "--blocks", "1,2,3"), "Block weights (blocks) has 3 numbers, but A has 25 blocks (IN00 to OUT11): 25 are needed, or 26 with one for the "
                                     "text encoder in front.\n"),
    ((*FAMILY, "--vae", "none such"), "VAE 'none such' does not exist. There is no VAE yet.\n"),
    (FAMILY, "The UNet of B ('darkroom-inpaint') takes 9 input channels, that of A 4. Take the inpainting, depth or instruction checkpoint as A.\n"),
])  # fmt: skip
def test_complaints_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], complaint: str) -> None:
    assert merge(tmp_path, *argv) == 2
    assert capsys.readouterr().err == complaint
    assert ROOT.joinpath("models/embedded").is_dir() and not list(tmp_path.glob("*.safetensors"))

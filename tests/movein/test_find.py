"""Each program is known by what lies in its folder, wherever the person points."""

from pathlib import Path

import pytest

from app.errors import BadSettings
from app.movein.find import find, program_of
from app.settings import ROOT
from tests.movein import installations


@pytest.mark.parametrize(
    ("make", "program"),
    [
        (installations.a1111, "AUTOMATIC1111"), (installations.forge, "Forge"), (installations.sdnext, "SD.Next"), (installations.comfyui, "ComfyUI"),
        (installations.fooocus, "Fooocus"), (installations.invokeai, "InvokeAI"),
    ],
)  # fmt: skip
def test_every_program_is_known(make, program: str, tmp_path: Path) -> None:
    root = make(tmp_path / "box" / "any name")
    assert find(root) == find(tmp_path / "box") == (root, program)
    assert find(root / "models") == (root, program)


@pytest.mark.parametrize(
    ("readme", "program"),
    [
        ("# Stable Diffusion WebUI Forge", "Forge"), ('<h1 align="center">Stable Diffusion WebUI Forge - Neo</h1>', "Forge Neo"),
        ("# Stable Diffusion WebUI Forge/reForge", "reForge"),
    ],
)  # fmt: skip
def test_relatives_of_forge(readme: str, program: str, tmp_path: Path) -> None:
    assert program_of(installations.forge(tmp_path, readme)) == program


def test_a_portable_comfyui_and_a_desktop_one(tmp_path: Path) -> None:
    inner = installations.comfyui(tmp_path / "ComfyUI_windows_portable/ComfyUI")
    installations.put(tmp_path / "ComfyUI_windows_portable/python_embeded/python.exe")
    assert find(tmp_path / "ComfyUI_windows_portable") == (inner, "ComfyUI")
    for name in ("models/checkpoints", "custom_nodes", "user", "output"):
        (tmp_path / "Documents/ComfyUI" / name).mkdir(parents=True)
    assert program_of(tmp_path / "Documents/ComfyUI") == "ComfyUI"


def test_a_data_folder_of_a1111(tmp_path: Path) -> None:
    installations.put(tmp_path / "models/Stable-diffusion/a.safetensors")
    assert program_of(tmp_path) == ""
    installations.put(tmp_path / "config.json", {})
    assert program_of(tmp_path) == "AUTOMATIC1111"


def test_what_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "file").touch()
    for path, sentence in (
        (tmp_path / "nothing", "--import: there is no folder"), (tmp_path / "file", "--import: there is no folder"), (tmp_path, "is no installation of AUTOM"),
        (ROOT, "is a Darkroom"),
    ):  # fmt: skip
        with pytest.raises(BadSettings, match=sentence):
            find(path)
    installations.a1111(tmp_path / "one")
    installations.comfyui(tmp_path / "two")
    with pytest.raises(BadSettings, match=r"several installations .*'one' \(AUTOMATIC1111\) and .*'two' \(ComfyUI\)"):
        find(tmp_path)

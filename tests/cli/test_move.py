"""`python -m app import` and `./launch.sh --import`: the page, the list, the gallery, and forgetting."""

from collections.abc import Callable
from pathlib import Path

import pytest

import webui
from app import flags
from app.cli.main import main
from app.library import Library
from app.movein import record
from tests.movein import installations

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Darkroom of the tests' own, whose imports.json and outputs are below `tmp_path`."""
    root = tmp_path / "house"
    root.mkdir()
    monkeypatch.delenv("COMMANDLINE_ARGS", raising=False)
    real = flags.settings_of
    monkeypatch.setattr(flags, "settings_of", lambda values, environ=None: real(values, environ, root))
    return root


@pytest.fixture
def run(house: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *argv: (main(["import", *argv]), *capsys.readouterr())


def test_moving_in_and_out(run: Run, house: Path, tmp_path: Path) -> None:
    theirs = installations.a1111(tmp_path / "webui")
    before = installations.state(theirs)
    assert run() == (0, "No installation of another program is used; python -m app import FOLDER does so.\n", "")
    status, out, err = run(str(theirs))
    assert (status, err) == (0, "") and out.startswith(f"AUTOMATIC1111 in '{theirs}' is used in place") and out.endswith("3 pictures are new in the gallery.\n")
    assert run()[1] == f"AUTOMATIC1111  {theirs}\n"
    library = Library(house / "outputs")
    assert sorted(saved.task for saved in library.newest(None, 9)) == ["img2img", "txt2img", "txt2img"]
    library.close()
    assert run(str(theirs))[1].endswith("0 pictures are new in the gallery.\n")
    assert run("--forget", str(theirs)) == (0, f"AUTOMATIC1111 in '{theirs}' is used no longer; nothing in it was changed.\n", "")
    assert not (house / "imports.json").exists() and installations.state(theirs) == before


def test_what_is_not_there_is_listed_as_such(run: Run, house: Path, tmp_path: Path) -> None:
    record.add(house, record.Import(tmp_path / "gone", "ComfyUI", {"lora": (tmp_path / "gone/loras",)}))
    assert run()[1] == f"ComfyUI  {tmp_path}/gone  ('{tmp_path}/gone/loras' is not there)\n"


@pytest.mark.parametrize("argv", [("/no/such/folder",), ("--forget", "/no/such/folder"), ("--forgt",)])
def test_bad_input_is_one_sentence(run: Run, argv: tuple[str, ...]) -> None:
    status, out, err = run(*argv)
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_the_front_door_moves_in_before_it_starts(house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = installations.comfyui(tmp_path / "ComfyUI")
    seen = []
    monkeypatch.setattr("app.studio.Studio", lambda settings: seen.append(settings) or (_ for _ in ()).throw(KeyboardInterrupt))
    assert webui.main(["--import", str(theirs), "--port", "7999"]) == 130
    out = capsys.readouterr().out
    assert out.startswith(f"ComfyUI in '{theirs}' is used in place") and out.endswith("Darkroom is starting ...\n")
    assert theirs / "models/loras" in seen[0].lora_dirs and seen[0].port == 7999
    (theirs / "models/vae/c.safetensors").unlink()
    (theirs / "models/vae").rmdir()
    assert webui.main([]) == 130
    assert f"ComfyUI at '{theirs}': '{theirs}/models/vae' is not there any more and left out." in capsys.readouterr().out
    assert webui.main(["--forget-import", str(theirs)]) == 130
    assert seen[-1].lora_dirs == (house / "models",)
    assert webui.main(["--import", "/no/such/folder"]) == 2 and "there is no folder" in capsys.readouterr().err


def test_the_command_line_begins_with_their_settings_and_what_is_said_wins(house: Path) -> None:
    from app.cli.make import read_order

    record.add(house, record.Import(house / "webui", "AUTOMATIC1111", defaults={"txt2img": {"steps": 28, "cfg_scale": 7.0, "styles": ["gone"]}}))
    request = read_order("txt2img", ["--cfg-scale", "3"]).request
    assert (request.steps, request.cfg_scale, request.styles) == (28, 3.0, ())
    assert read_order("grid", ["txt2img", "--x", "seed: 1, 2"]).request.base.steps == 28
    assert read_order("img2img", ["--image", "x.png"]).request.steps == 20

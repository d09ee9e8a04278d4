"""`python -m app grid`, with an engine that only paints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.cli.grid import base_of
from app.cli.main import main
from app.errors import BadRequest
from app.work import Picture, Progress


class Painter:
    """Pictures as grey as the request has steps."""

    def describe(self) -> str:
        return "paints greys"

    def run(self, request: Any, inputs: Any, report: Any) -> Iterator[Picture]:
        report(Progress("sampling", 1, 1, 1, 1))
        yield Picture(Image.new("RGB", (64, 64), (10 * request.steps,) * 3), 0, request.seed)


@pytest.fixture
def cli(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMMANDLINE_ARGS", raising=False)

    def run(*argv: str) -> tuple[int, str, str]:
        places = ("--outputs-dir", "outputs", "--ckpt-dir", str(tiny_folder))
        return main(["grid", *argv, *places], engine=lambda *_: Painter()), *capsys.readouterr()

    return run


def test_a_sheet_and_its_cells(cli, tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    status, out, err = cli("txt2img", "--prompt", "cat", "--seed", "7", "--x", "steps: 1, 2", "--y", "sampler:Euler", "--no-legend", "--margin", "2",
                           "-o", "sheet.png", "--save-cells", "cells")  # fmt: skip
    assert (status, err) == (0, "")
    assert sorted(out.split()) == sorted(str(tmp_path / name) for name in ("sheet.png", "cells/cell-01.png", "cells/cell-02.png"))
    with Image.open("sheet.png") as image:
        assert image.size == (130, 64) and image.getpixel((0, 0)) == (10, 10, 10) and image.getpixel((129, 0)) == (20, 20, 20)


def test_without_a_task_it_is_txt2img_and_cells_go_with_the_sheet(cli, tmp_path: Path) -> None:
    status, out, _ = cli("--prompt", "a|b", "--x", "prompt_matrix", "--z", "steps: 1-2", "--vary-seeds", "xz", "-o", "sheet.png")
    assert status == 0 and out.split() == [str(tmp_path / "sheet.png"), str(tmp_path / "sheet-2.png")]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("models", "outputs")) == ["sheet-2.png", "sheet.png"]


def test_without_o_all_goes_to_the_outputs_folder(cli, tmp_path: Path) -> None:
    status, out, _ = cli("--x", "steps: 1, 2")
    assert status == 0 and [Path(line).parts[-3] for line in out.split()].count("grid-images") == 1 and len(out.split()) == 3


def test_what_is_wrong_is_one_sentence(cli) -> None:
    for argv, sentence in (
        (("--x", "stepz: 1"), "X axis: Axis 'stepz' does not exist."),
        (("--x", "steps: 0"), "X axis: Sampling steps (steps) is 0, but it must be"),
        (("--prompt", "a"), "A grid needs at least one axis"),
        (("--x", "steps: 1-600"), "The grid has 600 pictures, but at most 500 are allowed (--grid-limit)."),
        (("--x", "steps: 1-3", "--grid-limit", "2"), "at most 2 are allowed"),
        (("--x", "steps: 1-3", "--grid-limit", "0"), "--grid-limit is '0', but it must be a whole number from 1 to 10000."),
    ):
        status, out, err = cli(*argv)
        assert (status, out) == (2, "") and sentence in err


def test_tasks_of_the_base() -> None:
    assert base_of(["inpaint", "--x", "a"]) == ("inpaint", ["--x", "a"]) and base_of([])[0] == "txt2img"
    with pytest.raises(BadRequest, match="Did you mean 'outpaint'"):
        base_of(["outpant"])

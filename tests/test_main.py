"""The command line: files where they were asked for, the right exit status, one sentence for everything that is wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

import webui
from app.cli.main import main
from app.errors import OutOfMemory
from app.request import TASKS, AnyRequest
from app.settings import ROOT
from app.work import Picture, Progress, Report


class Painter:
    """An engine that paints one grey per picture and leaves a note of what it was asked for."""

    def __init__(self) -> None:
        self.asked: AnyRequest | None = None
        self.sizes: dict[str, tuple[int, int]] = {}

    def describe(self) -> str:
        return "paints greys"

    def run(self, request: AnyRequest, inputs: Mapping[str, Image.Image], report: Report) -> Iterator[Picture]:
        self.asked, self.sizes = request, {name: image.size for name, image in inputs.items()}
        if request.prompt == "too large":
            raise OutOfMemory("There is not enough memory.", "Try a smaller picture.")
        if request.prompt == "bug":
            raise ZeroDivisionError("a secret detail")
        for index in range(request.pictures):
            report(Progress("sampling", index + 1, request.pictures, 1, request.steps))
            if request.prompt == "stop me" and index:
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    report(Progress("sampling", index + 1, request.pictures, 1, request.steps))
            image = Image.new("RGB", (64, 64), (40 * index + 10,) * 3)
            yield Picture(image, index, request.seed + index, raw=image if request.task == "zoom" else None)


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def cli(tmp_path: Path, tiny_folder: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command in `tmp_path` with the painter as engine: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMMANDLINE_ARGS", raising=False)

    def run(*argv: str) -> tuple[int, str, str]:
        places = ("--outputs-dir", "outputs", "--ckpt-dir", str(tiny_folder)) if argv[0] in TASKS else ()
        status = main([*argv, *places], engine=lambda *_: painter)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def photo(tmp_path: Path) -> str:
    Image.new("RGB", (64, 64), "green").save(tmp_path / "photo.png")
    Image.new("L", (64, 64), "white").save(tmp_path / "mask.png")
    return "photo.png"


def grey(path: str) -> int:
    with Image.open(path) as image:
        return image.getpixel((0, 0))[0]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith((".", "outputs"))]


def test_a_picture_lands_where_it_was_asked_for_and_nothing_else_is_left(cli, tmp_path: Path, painter: Painter) -> None:
    argv = "txt2img --prompt=cat --seed 7 --steps 3 --cfg-scale 2.5 --width 64 --height 72 -o out.png"
    status, out, err = cli(*argv.split())
    assert (status, out, err) == (0, f"{tmp_path / 'out.png'}\n", "")
    assert painter.asked.model_dump(include={"prompt", "seed", "steps", "cfg_scale", "width", "height", "checkpoint"}) == {
        "prompt": "cat", "seed": 7, "steps": 3, "cfg_scale": 2.5, "width": 64, "height": 72, "checkpoint": "tiny",
    }  # fmt: skip
    assert grey("out.png") == 10
    assert leftovers(tmp_path) == []


def test_several_pictures_are_numbered(cli, tmp_path: Path) -> None:
    assert cli("txt2img", "--batch-count", "2", "--batch-size", "2", "-o", "out.png")[0] == 0
    assert [grey(name) for name in ("out.png", "out-2.png", "out-3.png", "out-4.png")] == [10, 50, 90, 130]


def test_without_o_pictures_go_to_the_outputs_folder_whose_journal_stays_alone(cli, tmp_path: Path) -> None:
    status, out, _ = cli("txt2img", "--prompt", "a cat")
    [made] = out.splitlines()
    assert status == 0 and Path(made).is_relative_to(tmp_path / "outputs" / "txt2img-images") and Path(made).is_file()
    assert not (tmp_path / "outputs/.darkroom/jobs").exists()


def test_input_pictures_are_files(cli, painter: Painter, photo: str) -> None:
    assert cli("inpaint", "--image", photo, "--mask", "mask.png", "--mask-blur", "3", "--denoising-strength", ".5", "-o", "out.png")[0] == 0
    assert painter.sizes == {"image": (64, 64), "mask": (64, 64)}
    assert (painter.asked.mask_blur, painter.asked.denoising_strength) == (3, 0.5)
    assert cli("outpaint", "--image", photo, "--left", "8", "--right", "0", "-o", "out.png")[0] == 0
    assert (painter.asked.left, painter.asked.right) == (8, 0)


def test_a_zoom_is_a_video_and_its_keys_on_request(cli, tmp_path: Path, painter: Painter) -> None:
    (tmp_path / "keys").mkdir()
    status, out, _ = cli("zoom", "--keys", "2", "--seconds", "0.5", "--fps", "4", "-o", "z.webp", "--save-keys", "keys")
    assert status == 0
    assert painter.asked.video_format == "webp"
    with Image.open("z.webp") as video:
        assert video.n_frames >= 2
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["key-01.png", "key-02.png"]
    assert sorted(Path(line).name for line in out.splitlines()) == ["key-01.png", "key-02.png", "z.webp"]
    assert leftovers(tmp_path) == []


def test_json_is_the_record_of_the_job(cli, tmp_path: Path) -> None:
    status, out, _ = cli("txt2img", "--prompt", "a cat", "--seed", "3", "--batch-count", "2", "-o", "out.png", "--json")
    record = json.loads(out)
    assert status == 0
    assert (record["state"], record["task"], record["request"]["prompt"]) == ("done", "txt2img", "a cat")
    assert [(output["path"], output["seed"]) for output in record["outputs"]] == [(str(tmp_path / "out.png"), 3), (str(tmp_path / "out-2.png"), 4)]


def test_info_gives_the_request_back(cli) -> None:
    cli("txt2img", "--prompt", "a cat, (sleeping:1.2)", "--seed", "5", "-o", "out.png")
    status, out, _ = cli("info", "out.png")
    assert status == 0
    assert {key: json.loads(out)[key] for key in ("task", "prompt", "seed")} == {"task": "txt2img", "prompt": "a cat, (sleeping:1.2)", "seed": 5}
    status, out, _ = cli("info", "out.png", "--text")
    assert status == 0 and out.startswith("a cat, (sleeping:1.2)\n") and "Seed: 5" in out


def test_info_reads_a1111s_pictures(cli, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("parameters", "a dog\nNegative prompt: cats\nSteps: 9, Sampler: Euler a, CFG scale: 6, Seed: 4, Size: 512x512")
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png", pnginfo=text)
    status, out, _ = cli("info", "theirs.png")
    assert status == 0
    expected = {"prompt": "a dog", "negative_prompt": "cats", "steps": 9, "seed": 4}
    assert {key: json.loads(out)[key] for key in expected} == expected


def test_models_are_listed_with_family_and_hash(cli, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/notes.safetensors").write_text("this is a text file")
    status, out, _ = cli("models", "--ckpt-dir", str(tiny_folder), "--ckpt-dir", "broken", "--json", "--hashes")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert (rows["tiny"]["kind"], rows["tiny"]["family"], rows["tiny"]["problem"]) == ("checkpoint", "sd1", "")
    assert len(rows["tiny"]["hash"]) == 10
    assert rows["notes"]["problem"]
    status, out, _ = cli("models", "--ckpt-dir", str(tiny_folder))
    assert next(line for line in out.splitlines() if " tiny" in line).split()[2:6] == ["sd1", "epsilon", "fp32", rows["tiny"]["hash"]]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("txt2img --steps 0", "Sampling steps (steps) is 0, but it must be a whole number from 1 to 1000."),
        ("txt2img --steps many", "Sampling steps (steps) is 'many', but it must be a whole number from 1 to 1000."),
        ("txt2img --width 65", "Width (width) is 65, but it must be a whole number from 64 to 4096, a multiple of 8."),
        ("txt2img --cfg-scale nan", "CFG scale (cfg_scale) is 'nan', but it must be a number from 0 to 30."),
        ("txt2img --stpes 3", "There is no flag '--stpes'. Did you mean '--steps'?"),
        ("txt2img --mask-blur 3", "There is no flag '--mask-blur'."),
        ("txt2img a-cat", "There is no flag 'a-cat'."),
        ("txt2img --prompt", "--prompt needs a value."),
        ("txt2img --sampler Eulr", "Sampler 'Eulr' does not exist. Did you mean 'Euler'"),
        ("txt2img --checkpoint nothing", "Checkpoint 'nothing' does not exist."),
        ("txt2img --styles nothing", "Style 'nothing' does not exist."),
        ("txt2img --ckpt-dir nothing", "--ckpt-dir: there is no folder"),
        ("txt2img --medvram --lowvram", "--medvram and --lowvram contradict each other"),
        ("txt2img -o out.jpg", "-o is 'out.jpg', but its name must end in .png."),
        ("txt2img -o no/such/out.png", "-o: there is no folder"),
        ("zoom -o z.gif", "-o is 'z.gif', but its name must end in .webp or .mp4."),
        ("zoom --video-format mp4 -o z.webp", "--video-format is 'mp4', but -o names a .webp file."),
        ("zoom --save-keys nothing", "--save-keys: there is no folder"),
        ("img2img --prompt x", "Image (image) is missing."),
        ("img2img --image nothing.png", "--image nothing.png: The file cannot be read: no such file or directory."),
        ("img2img --image .", "--image .: The file cannot be read: is a directory."),
        ("img2img --image text.png", "--image text.png: This is not a picture"),
        ("info", "The following arguments are required: picture."),
        ("info nothing.png", "There is no file 'nothing.png'."),
        ("info text.png", "'text.png' holds no parameters."),
        ("models --jsno", "There is no flag '--jsno'. Did you mean '--json'?"),
        ("tx2img --prompt x", "There is no command 'tx2img'. Did you mean 'txt2img'?"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(cli, tmp_path: Path, argv: str, sentence: str) -> None:
    (tmp_path / "text.png").write_text("this is not a picture")
    status, out, err = cli(*argv.split())
    assert (status, out) == (2, "")
    assert err.startswith(sentence) and err.count("\n") == 1


def test_work_that_fails_is_one_sentence_and_exit_1(cli, tmp_path: Path) -> None:
    assert cli("txt2img", "--prompt", "too large", "-o", "out.png") == (1, "", "There is not enough memory. Try a smaller picture.\n")
    status, _, err = cli("txt2img", "--prompt", "bug", "-o", "out.png")
    assert status == 1 and "secret" not in err and "--verbose" in err and err.count("\n") == 1
    assert leftovers(tmp_path) == []


@pytest.fixture
def terminal() -> Iterator[None]:
    """SIGINT as a terminal sends it, also where the suite was started in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_what_is_finished(cli, tmp_path: Path, terminal: None) -> None:
    status, out, err = cli("txt2img", "--prompt", "stop me", "--batch-count", "3", "-o", "out.png")
    assert (status, out, err) == (130, f"{tmp_path / 'out.png'}\n", "Stopped; 1 of 3 pictures are kept.\n")
    assert grey("out.png") == 10 and leftovers(tmp_path) == []


def test_a_picture_that_cannot_be_put_in_its_place_is_kept(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*places: object, **keep: bool) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.cli.make.put", full)
    status, _, err = cli("txt2img", "--prompt", "a house", "-o", "out.png")
    assert status == 1 and "no space left" in err and "1 finished pictures are kept in" in err
    [folder] = leftovers(tmp_path)
    [picture] = (tmp_path / folder / "outputs").glob("[!.]*/**/*.png")
    assert grey(str(picture)) == 10


@pytest.mark.parametrize("argv", [[], ["--help"], ["txt2img", "--help"], ["zoom", "--help"], ["--version"]])
def test_help_is_no_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main(argv) == 0
    except SystemExit as left:
        assert left.code == 0
    out = capsys.readouterr().out
    assert "Darkroom" in out or "usage: python -m app" in out


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from app.cli.main import main; main(['--help'])"
    code += "; sys.exit(' '.join({'torch', 'gradio', 'pydantic', 'PIL', 'numpy'} & set(sys.modules)) or 0)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


def test_the_front_door_refuses_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert webui.main(["--lowram"]) == 2
    assert capsys.readouterr().err == "There is no flag '--lowram'. Did you mean '--lowvram'?\n"
    (tmp_path / "file").touch()
    assert webui.main(["--outputs-dir", str(tmp_path / "file" / "x")]) == 2
    assert capsys.readouterr().err.startswith("The outputs folder cannot be used: ")


def test_the_front_door_says_how_many_checkpoints_there_are() -> None:
    assert webui.count(0).startswith("No checkpoint was found")
    assert (webui.count(1), webui.count(2)) == ("1 checkpoint found.", "2 checkpoints found.")

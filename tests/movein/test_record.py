"""imports.json: written whole, read at every start, and what is gone is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app import flags
from app.errors import BadSettings
from app.movein import record
from app.movein.record import Import


def example(place: Path, program: str = "AUTOMATIC1111") -> Import:
    for name in ("models/Stable-diffusion", "models/Lora", "models/ESRGAN", "embeddings", "models/VAE", "outputs/txt2img-images", "wildcards"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "styles.csv").write_text("name,prompt,negative_prompt\n")
    folders = {
        "checkpoint": (place / "models/Stable-diffusion",), "lora": (place / "models/Lora",), "embedding": (place / "embeddings",),
        "vae": (place / "models/VAE",), "upscaler": (place / "models/ESRGAN",), "outputs": (place / "outputs/txt2img-images",),
        "wildcards": (place / "wildcards",),
    }  # fmt: skip
    return Import(place, program, folders, (place / "styles.csv",), {"medvram": True}, {"txt2img": {"steps": 28, "styles": ["a"]}})


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    first, second = example(tmp_path / "a"), example(tmp_path / "ü b", "ComfyUI")
    record.add(tmp_path, first)
    record.add(tmp_path, second)
    assert record.read(tmp_path).items == (first, second)
    newer = replace(first, flags={})
    record.add(tmp_path, newer)
    assert record.read(tmp_path).items == (newer, second)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["imports.json"]


def test_the_places_in_which_nothing_is_written(tmp_path: Path) -> None:
    item = example(tmp_path / "a")
    record.add(tmp_path, replace(item, folders={**item.folders, "lora": (tmp_path / "elsewhere",)}))
    assert {tmp_path / "a", tmp_path / "a" / "embeddings", tmp_path / "elsewhere"} <= set(record.read(tmp_path).places())


def test_a_start_uses_it_behind_our_own_folders(tmp_path: Path) -> None:
    there = tmp_path / "there"
    record.add(tmp_path, example(there))
    settings = flags.read([], {}, tmp_path)
    own = tmp_path / "models"
    assert settings.checkpoint_dirs == (own, there / "models/Stable-diffusion") and settings.lora_dirs == (own, there / "models/Lora")
    assert settings.embedding_dirs == (own, there / "embeddings") and settings.vae_dirs == (own, there / "models/VAE")
    assert settings.upscaler_dirs == (there / "models/ESRGAN",) and settings.wildcard_dirs == (there / "wildcards",)
    assert settings.imported_styles == (there / "styles.csv",) and settings.styles_file == tmp_path / "styles.csv"
    assert settings.imported_outputs == (there / "outputs/txt2img-images",) and settings.outputs_dir == tmp_path / "outputs"
    assert settings.defaults == {"txt2img": {"steps": 28, "styles": ["a"]}} and settings.vram == "medvram" and settings.notices == ()


@pytest.mark.parametrize(("argv", "environ", "toml"), [(["--lowvram"], "", ""), ([], "--lowvram", ""), ([], "", "lowvram = true")])
def test_whatever_is_said_here_comes_before_it(tmp_path: Path, argv: list[str], environ: str, toml: str) -> None:
    record.add(tmp_path, example(tmp_path / "there"))
    (tmp_path / "settings.toml").write_text(toml)
    assert flags.read(argv, {"COMMANDLINE_ARGS": environ}, tmp_path).vram == "lowvram"
    (tmp_path / "settings.toml").write_text("medvram = false")
    assert flags.read([], {}, tmp_path).vram == "normal"


def test_the_first_of_two_wins(tmp_path: Path) -> None:
    record.add(tmp_path, example(tmp_path / "a"))
    record.add(tmp_path, replace(example(tmp_path / "b"), flags={"lowvram": True}, defaults={"txt2img": {"steps": 9, "cfg_scale": 3}, "zoom": {"steps": 4}}))
    settings = flags.read([], {}, tmp_path)
    assert settings.defaults == {"txt2img": {"steps": 28, "styles": ["a"], "cfg_scale": 3}, "zoom": {"steps": 4}}
    assert settings.vram == "medvram"


def test_what_is_gone_is_named_and_left_out(tmp_path: Path) -> None:
    there = tmp_path / "there"
    record.add(tmp_path, example(there))
    (there / "models/Lora").rmdir()
    settings = flags.read([], {}, tmp_path)
    assert settings.lora_dirs == (tmp_path / "models",)
    assert settings.notices == (f"AUTOMATIC1111 at '{there}': '{there}/models/Lora' is not there any more and left out.",)
    (there / "styles.csv").unlink()
    assert flags.read([], {}, tmp_path).imported_styles == ()
    assert "and 1 more are not there any more" in flags.read([], {}, tmp_path).notices[0]


def test_forgetting(tmp_path: Path) -> None:
    first, second = example(tmp_path / "a"), example(tmp_path / "b" / "webui")
    record.add(tmp_path, first)
    record.add(tmp_path, second)
    with pytest.raises(BadSettings, match=f"'nowhere' was not imported. What was: '{first.path}', '{second.path}'."):
        record.forget(tmp_path, Path("nowhere"))
    assert record.forget(tmp_path, tmp_path / "b") == second, "the folder that was given when it was imported"
    assert record.forget(tmp_path, first.path) == first
    assert not (tmp_path / "imports.json").exists()
    with pytest.raises(BadSettings, match="Nothing was"):
        record.forget(tmp_path, first.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "imports": [{"path": 3}]}', '{"version": 1, "imports": [7]}', "\xff"])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "imports.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadSettings, match=r"^imports.json cannot be read .* Delete it and import again"):
        flags.read([], {}, tmp_path)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "imports.json").write_text(json.dumps({"version": 99, "imports": []}))
    with pytest.raises(BadSettings, match="newer Darkroom"):
        record.add(tmp_path, example(tmp_path / "a"))


def test_imports_belong_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="COMMANDLINE_ARGS: --import belongs on the command line"):
        flags.read([], {"COMMANDLINE_ARGS": "--import=/x"}, tmp_path)
    (tmp_path / "settings.toml").write_text("import = '/x'")
    with pytest.raises(BadSettings, match="There is no setting 'import'"):
        flags.read([], {}, tmp_path)

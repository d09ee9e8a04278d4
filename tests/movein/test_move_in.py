"""Moving in as a whole: what is remembered works at the next start, the page says what came of it, and nothing there changes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app import flags
from app.engine.checkpoints.find import Shelf
from app.engine.upscalers import upscalers
from app.errors import BadSettings, WorkFailed
from app.movein import record
from app.movein.first_values import first_values, for_command
from app.movein.move_in import move_in
from app.movein.page import page
from app.settings import ROOT, Settings
from app.styles import Styles
from tests.movein import installations


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "house/models").mkdir(parents=True)
    return tmp_path / "house"


@pytest.fixture
def webui(tmp_path: Path) -> Path:
    """An A1111 with one checkpoint that can be used."""
    root = installations.a1111(tmp_path / "webui")
    shutil.copytree(ROOT / "models/embedded/darkroom-base", root / "models/Stable-diffusion/dreams")
    installations.put(root / "models/Stable-diffusion/old.ckpt", b"PK\3\4")
    return root


def read(house: Path) -> Settings:
    return flags.read([], {}, house)


def test_a1111_is_used_in_place(house: Path, webui: Path) -> None:
    before = installations.state(webui)
    moved = move_in(webui, read(house))
    settings = read(house)
    shelf = Shelf(settings)
    assert shelf.checkpoint("dreams").path == webui / "models/Stable-diffusion/dreams" and not shelf.checkpoint("dreams").problem
    assert [one.name for one in upscalers(settings) if one.path] == ["4x-UltraSharp", "RealESRGAN_x4plus"]
    assert "Good" in Styles(settings.styles_file, settings.imported_styles).names()
    assert settings.vram == "medvram" and settings.attention == "xformers"
    assert moved.pictures == 3 and moved.styles == ("Good",) and moved.wildcards == ("colour",)
    said = first_values("txt2img", shelf, ["Good"])
    assert said.items() >= {
        "steps": 28, "sampler": "DPM++ SDE", "schedule": "Karras", "cfg_scale": 7.0, "styles": ["Good"], "clip_skip": 2, "rng": "CPU", "enable_hr": True,
        "hr_upscaler": "RealESRGAN_x4plus", "negative_prompt": "blurry", "emphasis": "No norm", "pad_prompts": False,
    }.items()  # fmt: skip
    assert said == for_command("txt2img", settings)
    assert "batch_count" not in said and "checkpoint" not in said, "out of bounds, and not there in a usable state"
    assert first_values("upscale", shelf, []) == {"scale": 2.0, "upscaler": "4x-UltraSharp"}
    assert installations.state(webui) == before


def test_the_page_says_what_came_of_it(house: Path, webui: Path) -> None:
    text = page(move_in(webui, read(house)))
    assert text.startswith(f"AUTOMATIC1111 in '{webui}' is used in place; nothing in it is copied or changed.\n")
    for line in (
        "        3  checkpoints: 1 SD 1.x, 2 that cannot be used, in models/Stable-diffusion", "        2  upscalers, in models/ESRGAN, models/RealESRGAN",
        "        1  style, from styles.csv", "        2  start options: --xformers, --medvram", "Sampling steps 28", "--allow-pickles",
        "        3  pictures, in outputs/txt2img-images, outputs/img2img-images, outputs/txt2img-grids: the gallery shows them",
        "These files cannot be used:\n  sub/dreams: 'dreams.safetensors' is",
        "Not used:\n  --listen: who may reach", "Batch count (batch_count) is 99999, but it must be", f'--forget-import "{webui}"',
    ):  # fmt: skip
        assert line in text
    assert len(text.splitlines()) < 50 and max(map(len, text.splitlines())) < 400


def test_importing_again_renews_and_forgetting_leaves_nothing(house: Path, webui: Path) -> None:
    settings = read(house)
    move_in(webui, settings)
    installations.put(webui / "config.json", {"CLIP_stop_at_last_layers": 3})
    move_in(webui, read(house))
    assert len(record.read(house).items) == 1 and read(house).defaults["zoom"]["clip_skip"] == 3
    record.forget(house, webui)
    assert read(house) == settings


def test_what_has_gone_since_is_left_out(house: Path, webui: Path) -> None:
    installations.put(webui / "config.json", {"sd_model_checkpoint": "dreams"})
    move_in(webui, read(house))
    settings = read(house)
    assert for_command("txt2img", settings)["checkpoint"] == "dreams" and for_command("txt2img", settings)["styles"] == ["Good"]
    shutil.rmtree(webui / "models/Stable-diffusion")
    (webui / "styles.csv").unlink()
    settings = read(house)
    found = for_command("txt2img", settings)
    assert "checkpoint" not in found and "styles" not in found and found["steps"] == 28
    assert len(settings.notices) == 1 and str(webui) in settings.notices[0]
    damaged = replace(settings, defaults={"txt2img": {"steps": "many", "no_such_field": 1, "cfg_scale": 6.5}, "no such task": {"steps": 3}})
    assert for_command("txt2img", damaged) == {"cfg_scale": 6.5} and for_command("no such task", damaged) == {}
    assert for_command("txt2img", replace(settings, defaults={})) == {}


@pytest.mark.parametrize("make", [installations.forge, installations.sdnext, installations.comfyui, installations.fooocus, installations.invokeai])
def test_every_program_moves_in(make, house: Path, tmp_path: Path) -> None:
    root = make(tmp_path / "theirs/root")
    before = installations.state(tmp_path / "theirs")
    moved = move_in(root, read(house))
    assert moved.pictures == 1 and moved.files and len(page(moved).splitlines()) < 50
    settings = read(house)
    assert len(settings.checkpoint_dirs) > 1 and len(settings.imported_outputs) == 1
    assert installations.state(tmp_path / "theirs") == before


def test_fooocus_styles_and_the_broken_file(house: Path, tmp_path: Path) -> None:
    moved = move_in(installations.fooocus(tmp_path / "Fooocus"), read(house))
    assert moved.styles == ("sai-anime",) and any(line.startswith("sdxl_styles/broken.json cannot be read") for line in moved.found.unused)
    assert for_command("img2img", read(house))["styles"] == ["sai-anime"]


def test_nothing_is_remembered_when_it_fails(house: Path, webui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="there is no folder"):
        move_in(house / "nowhere", read(house))
    settings = read(house)
    monkeypatch.setattr("app.movein.record.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(WorkFailed, match=r"imports.json could not be written beside webui.py: no space left on device"):
        move_in(webui, settings)
    assert [path.name for path in house.iterdir() if path.is_file()] == []


ODD = [None, [], {}, "", "x", "a\nb" * 3000, -1, 10**30, 1.5, float("inf"), True, [[1]], ["x", 2, None], {"a": [{}]}, "../..", "C:\\x", "~nobody/x", "\udcff"]


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_settings_of_any_kind_never_stop_it(value: object, house: Path, tmp_path: Path) -> None:
    from app.movein import fooocus, options

    webui, other = installations.a1111(tmp_path / "webui"), installations.fooocus(tmp_path / "Fooocus")
    keys = [*options.FIELDS, *options.UNUSED, "outdir_samples", "outdir_txt2img_samples", "styles_dir", "models_dir", "lora_dir"]
    installations.put(webui / "config.json", dict.fromkeys(keys, value))
    names = [f"{tab}/{label}/value" for tab in ("txt2img", "img2img", "extras") for label in (*options.LABELS, "Resize", "Upscaler 1")]
    installations.put(webui / "ui-config.json", dict.fromkeys(names, value))
    names = ["model", "vae", "refiner", "sampler", "scheduler", "styles", "loras", "prompt", "aspect_ratio", "clip_skip", "performance", "overwrite_step"]
    installations.put(other / "config.txt", dict.fromkeys([*fooocus.PATHS, *(f"default_{name}" for name in names)], value))
    for place in (webui, other):
        assert len(page(move_in(place, read(house))).splitlines()) < 60
        assert for_command("txt2img", read(house)) is not None

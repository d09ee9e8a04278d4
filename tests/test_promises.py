"""What the README promises about parameters, extensions and names is true of the code.

Checks that compare two lists are functions, and the last tests show that they can complain.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image

from app import flags
from app.api.bodies import read_request
from app.cli import fields as cli_fields
from app.cli.make import wait
from app.engine.families import FAMILIES
from app.engine.samplers import SAMPLERS
from app.engine.schedules import SCHEDULES
from app.extensions import HOOKS, Extensions
from app.library import Library
from app.library.read import read
from app.request import TASKS, AnyRequest, parse
from app.settings import ROOT, Settings
from app.studio import Owner, Studio
from app.work import Picture

SAMPLES: dict[str, Any] = {
    "prompt": "a house, (red:1.2), BREAK a \"door\"", "negative_prompt": "fog\nrain: heavy", "styles": ("Neon", "Line art"),
    "checkpoint": "tiny", "vae": "some/vae", "text_encoder": "clip_l + clip_g", "sampler": "Euler a", "schedule": "Karras", "steps": 11,
    "cfg_scale": 4.5, "clip_skip": 2,
    "seed": 2**64 - 1, "rng": "CPU", "subseed": 2**64 - 2, "subseed_strength": 0.25, "seed_resize_from_w": 512, "seed_resize_from_h": 640,
    "eta_noise_seed_delta": 31337, "cfg_rescale": 0.7, "skip_early_cond": 0.1, "s_min_uncond": 2.5, "s_min_uncond_all": True,
    "wildcards": True, "emphasis": "No norm", "comma_backtrack": 7, "pad_prompts": False, "batch_count": 2, "batch_size": 3,
    "width": 72, "height": 80, "image": "a" * 64, "mask": "b" * 64, "depth_map": "c" * 64, "image_cfg_scale": 2.25,
    "resize_mode": "Crop and resize", "denoising_strength": 0.35, "mask_blur": 7,
    "mask_mode": "Inpaint not masked", "masked_content": "latent noise", "inpaint_area": "Only masked", "mask_padding": 40, "left": 8, "right": 0, "up": 16,
    "down": 24, "overlap": 5, "outpaint_fill": "mirror", "coherence": "Best", "storyboard": "2: a castle", "keys": 3, "ratio": 1.5, "seconds": 2.5, "fps": 8,
    "direction": "in then out", "video_format": "mp4",
    "enable_hr": True, "hr_upscaler": "Lanczos", "hr_scale": 1.5, "hr_resize_x": 128, "hr_resize_y": 136, "hr_second_pass_steps": 7, "hr_cfg": 3.5,
    "hr_checkpoint": "other", "hr_sampler": "Euler", "hr_schedule": "Simple", "hr_prompt": "a barn, big", "hr_negative_prompt": "blur",
    "hr_refiner": "both passes", "save_first_pass": True, "refiner_checkpoint": "other", "refiner_switch_at": 0.6, "refiner_by_steps": False,
    "eta": 0.5, "eta_ddim": 0.25, "s_churn": 2.5, "s_tmin": 0.1, "s_tmax": 9.5, "s_noise": 1.005, "sigma_min": 0.05, "sigma_max": 12.5, "rho": 5.5,
    "beta_alpha": 0.5, "beta_beta": 0.7, "discard_penultimate": True, "unipc_order": 3, "unipc_variant": "bh1", "unipc_skip_type": "logSNR",
    "unipc_lower_order_final": False, "tcd_gamma": 0.45,
    "upscaler": "Lanczos", "scale": 2.5, "parameters": "a house\nSteps: 20, Sampler: Euler, Seed: 5",
}  # fmt: skip
"""For each field of a request a value that is not its default."""


def sample(task: str) -> dict[str, Any]:
    return {"task": task} | {name: SAMPLES[name] for name in TASKS[task].model_fields if name != "task"}


def missing(names: Iterable[str], cells: Iterable[str]) -> list[str]:
    """The names that are no cell of a table."""
    found = {cell.strip().strip("`") for cell in cells}
    return [name for name in names if name not in found]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of all Markdown tables; names that share a row are separated by commas."""
    return [name for line in text.splitlines() if line.startswith("|") for name in line.split("|")[1].split(",")]


def undocumented(hooks: dict[str, tuple[str, ...]], text: str) -> list[str]:
    """The hooks whose name and parameters are not in a table of the text."""
    return [name for name, parameters in hooks.items() if f"| `{name}({', '.join(parameters)})` |" not in text]


# ---- parameters


@pytest.mark.parametrize("task", TASKS)
def test_every_field_has_a_sample_that_is_not_its_default(task: str) -> None:
    request = parse(sample(task))
    assert [name for name, field in type(request).model_fields.items() if name != "task" and getattr(request, name) == field.default] == []


@pytest.mark.parametrize("task", TASKS)
def test_every_field_is_drawn_in_its_tab(task: str) -> None:
    from app.ui.fields import drawn

    assert drawn(task) == set(TASKS[task].model_fields) - {"task"}


@pytest.mark.parametrize("task", TASKS)
def test_every_field_is_accepted_by_rest(task: str, studio: Studio) -> None:
    assert read_request(sample(task), studio) == parse(sample(task))


@pytest.mark.parametrize("task", TASKS)
def test_every_field_is_a_flag(task: str) -> None:
    kind = TASKS[task]
    parser = flags.Parser()
    cli_fields.add_to(parser, kind)
    argv = []
    for name, value in sample(task).items():
        for item in value if isinstance(value, tuple) else (value,):
            argv += [] if name == "task" else [f"--{name.replace('_', '-')}", str(item)]
    given = parser.values(argv)
    assert set(given) == set(kind.model_fields) - {"task"}
    assert parse({"task": task} | cli_fields.values_of(kind, given)) == parse(sample(task))
    assert not set(given) & {action.dest for action in flags.parser_of()._actions}, "a field has the name of a setting"


@pytest.mark.parametrize("task", TASKS)
def test_every_field_comes_back_from_the_metadata(task: str, tmp_path: Path) -> None:
    library = Library(tmp_path)
    request: AnyRequest = parse(sample(task))
    path = library.save(Picture(Image.new("RGB", (64, 64)), 0, 5), request, "job", "owner").path
    library.close()
    fields, _ = read(path)
    assert parse(fields) == request


# ---- extensions

WITNESS = '''
from app.engine.families import Family
from app.engine.samplers import SAMPLERS, SamplerRow
from app.extensions import Tab, hook
seen = []
@hook
def register_samplers(samplers): seen.append("register_samplers"); samplers["Witness"] = SamplerRow("Witness", SAMPLERS["Euler"].function)
@hook
def register_families(families): seen.append("register_families"); families["witness"] = Family("witness", "Witness", None)
@hook
def register_styles(styles): seen.append("register_styles"); styles.add("Witness", "{prompt}, witnessed")
@hook
def register_tabs(tabs): seen.append("register_tabs"); tabs.append(Tab("Witness", lambda studio: None))
@hook
def change_request(request): seen.append("change_request"); return request.model_copy(update={"steps": 2})
@hook
def around_model(model, request): seen.append("around_model"); return lambda x, sigma: model(x, sigma) * 0.5
@hook
def on_step(step, steps, sigma, denoised, request): seen.append(f"on_step {step}/{steps}")
@hook
def change_image(image, request): seen.append("change_image"); return image.transpose(0)
'''


@pytest.fixture
def tables() -> Iterator[None]:
    """Puts the tables of samplers and families back as they were."""
    before = [(table, dict(table)) for table in (SAMPLERS, FAMILIES)]
    yield
    for table, rows in before:
        table.clear()
        table.update(rows)


def make_picture(settings: Settings, tiny_folder: Path, **sources: str) -> tuple[Studio, np.ndarray]:
    """One picture by a real studio with the given extensions: (the closed studio, pixels)."""
    from dataclasses import replace

    for name, source in sources.items():
        (settings.extension_dir / name).mkdir(parents=True)
        (settings.extension_dir / name / "__init__.py").write_text(source)
    studio = Studio(replace(settings, checkpoint_dirs=(tiny_folder,)))
    try:
        request = parse({"task": "txt2img", "prompt": "a house", "steps": 1, "seed": 1, "sampler": "Witness" if "witness" in sources else "Euler"})
        job = studio.submit(request, Owner("test"))
        studio.start()
        view = wait(studio, job.id)
        assert view.job.state == "done", view.job.error
        with Image.open(studio.library.get(view.job.outputs[0], None).path) as image:
            return studio, np.asarray(image)
    finally:
        studio.close()


def test_all_eight_hooks_are_called(settings: Settings, tiny_folder: Path, tables: None) -> None:
    from app.ui import build

    studio, _ = make_picture(settings, tiny_folder, witness=WITNESS)
    page = build(studio)
    seen = studio.extensions.loaded["witness"][0].__globals__["seen"]
    assert {name.split()[0] for name in seen} == set(HOOKS)
    assert [name for name in seen if name.startswith("on_step")] == ["on_step 1/2", "on_step 2/2"]
    assert "Witness" in studio.choices("styles") and "Witness" in studio.choices("samplers") and "witness" in FAMILIES
    assert any(getattr(block, "label", "") == "Witness" for block in page.blocks.values())
    assert not studio.extensions.failed


@pytest.mark.parametrize("name", [name for name in HOOKS if name != "register_tabs"])
def test_a_broken_hook_costs_nothing_but_itself(
    name: str, settings: Settings, tiny_folder: Path, plain: np.ndarray, tables: None, caplog: pytest.LogCaptureFixture
) -> None:
    source = f"from app.extensions import hook\n@hook\ndef {name}({', '.join(HOOKS[name])}): raise RuntimeError('{name}')"
    studio, pixels = make_picture(settings, tiny_folder, broken=source)
    assert studio.extensions.failed == {"broken": f"RuntimeError: {name}"}
    assert "Extension 'broken' failed" in caplog.text
    assert np.array_equal(pixels, plain)


@pytest.fixture(scope="module")
def plain(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The picture without extensions."""
    folder = tmp_path_factory.mktemp("plain")
    return make_picture(Settings(outputs_dir=folder / "outputs", extension_dir=folder / "extensions", styles_file=folder / "styles.csv"), tiny_folder)[1]


def test_a_changed_model_changes_the_picture(settings: Settings, tiny_folder: Path, plain: np.ndarray, tables: None) -> None:
    assert not np.array_equal(make_picture(settings, tiny_folder, witness=WITNESS)[1], plain)


def test_every_hook_is_documented_and_shipped(tables: None) -> None:
    shipped = Extensions()
    shipped.load(ROOT / "extensions")
    assert shipped.failed == {}
    assert {function.hook for functions in shipped.loaded.values() for function in functions} == set(HOOKS)
    text = (ROOT / "extensions/README.md").read_text(encoding="utf-8")
    assert undocumented(HOOKS, text) == []
    assert missing(shipped.loaded, first_cells(text)) == []


def test_the_example_of_the_readme_works(tmp_path: Path) -> None:
    text = (ROOT / "extensions/README.md").read_text(encoding="utf-8")
    (tmp_path / "example").mkdir()
    (tmp_path / "example/__init__.py").write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
    extensions = Extensions()
    extensions.load(tmp_path)
    [grey] = extensions.call("change_image", image=Image.new("RGB", (2, 2), "red"), request=parse({"task": "txt2img"}))
    assert len(set(grey.getpixel((0, 0)))) == 1 and grey.mode == "RGB"


# ---- names in the README


def test_every_sampler_schedule_family_and_tab_is_in_the_readme() -> None:
    from app.ui.tabs import TABS, models

    ours = [row.name for row in SAMPLERS.values() if getattr(row.function, "func", row.function).__module__.startswith("app.")]
    cells = first_cells((ROOT / "README.md").read_text(encoding="utf-8"))
    names = [*ours, *SCHEDULES, *(tab.title for tab in TABS), models.TITLE, "Gallery", FAMILIES["sd1"].label]
    assert len(ours) >= 12 and missing(names, cells) == []


# ---- versions and the network


def test_the_pins_are_what_is_installed() -> None:
    lines = [line for name in ("requirements.txt", "requirements-nodeps.txt", "requirements-test.txt") for line in (ROOT / name).read_text().splitlines()]
    pins = [Requirement(line.partition("#")[0].strip()) for line in lines if line.partition("#")[0].strip()]
    assert [str(pin) for pin in pins if not pin.specifier.contains(version(pin.name))] == []
    assert all(str(pin.specifier).startswith("==") for pin in pins)


def test_no_version_with_a_known_hole() -> None:
    assert Version(version("pillow")) >= Version("13")  # CVE-2026-112403: heap overflow in the JPEG decoder
    assert Version(version("torch")) >= Version("2.10")  # CVE-2026-24747: code in a checkpoint


def test_the_hub_is_offline() -> None:
    import huggingface_hub.constants

    import app.engine  # noqa: F401

    assert huggingface_hub.constants.is_offline_mode()
    launcher = (ROOT / "launch.sh").read_text()
    for switch in ("HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1", "GRADIO_ANALYTICS_ENABLED=False"):
        assert f" {switch}" in launcher


def test_python_is_the_one_that_the_launcher_looks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11" and "sys.version_info < (3, 11)" in (ROOT / "launch.sh").read_text()


# ---- the checks can complain


def test_the_checks_can_complain() -> None:
    text = "| sampler | x |\n|---|---|\n| Euler, `Heun` | a |\n| `on_step(step)` | b |\n"
    assert missing(["Euler", "Heun", "LMS"], first_cells(text)) == ["LMS"]
    assert undocumented({"on_step": ("step",), "change_image": ("image",), "on_end": ()}, text) == ["change_image", "on_end"]
    with pytest.raises(KeyError):
        next(SAMPLES[name] for name in ("no_such_field",))

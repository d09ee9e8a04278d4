"""The refiner: when it takes over, that the run goes on as if two halves had been run one after the other, and that one model is held at a time."""

import gc
import weakref
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from app.engine.brush import Brush
from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.engine.guidance import Guidance, steered
from app.engine.refiner import Relay, due_by_noise, due_by_steps
from app.engine.samplers import SAMPLERS
from app.engine.schedules import TrainingTable, sigmas_for
from app.engine.tasks.txt2img import txt2img
from app.engine.workshop import Workshop
from app.extensions import Extensions
from app.request import AnyRequest, parse
from app.settings import Settings
from app.work import Picture, Progress
from tests import tiny

ID = "0" * 64
STEPS = 4
ASKED = {"prompt": "a cat", "negative_prompt": "night", "seed": 5, "steps": STEPS, "checkpoint": "a", "sampler": "Euler"}
SIZE = {"width": 64, "height": 64}
TASKS: dict[str, dict[str, Any]] = {
    "txt2img": SIZE,
    "img2img": {"image": ID, "denoising_strength": 1.0, **SIZE},
    "inpaint": {"image": ID, "mask": ID, "denoising_strength": 1.0, **SIZE},
    "outpaint": {"image": ID, "left": 16, "right": 0, "coherence": "Fast", "denoising_strength": 1.0},
    "zoom": {"keys": 2, "coherence": "Fast", **SIZE},
}
MASK = Image.new("L", (64, 64))
MASK.paste(255, (16, 16, 48, 48))
INPUTS = {"image": Image.effect_noise((64, 64), 40).convert("RGB"), "mask": MASK}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refiner")
    made = tiny.parts(0)
    tiny.write_folder(folder / "a", made)
    tiny.write_folder(folder / "twin", made)
    tiny.make_folder(folder / "b", seed=7)
    return folder


@pytest.fixture(scope="module")
def engine(models: Path) -> Engine:
    dirs = (models,)
    settings = Settings(root=models, checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=dirs, embedding_dirs=dirs, cpu_parts=frozenset({"all"}))
    return Engine(settings, Shelf(settings), Extensions())


def asked(task: str = "txt2img", **changes: Any) -> AnyRequest:
    return parse({"task": task, **ASKED, **TASKS[task], **changes})


def run(engine: Engine, request: AnyRequest, report: Callable[[Progress], None] = lambda progress: None) -> list[Picture]:
    return list(engine.run(request, {name: INPUTS[name] for name in request.picture_fields()}, report))


def same(one: list[Picture], other: list[Picture]) -> bool:
    return all(np.array_equal(np.asarray(a.image), np.asarray(b.image)) for a, b in zip(one, other, strict=True))


class Calls:
    """Which model's UNet was asked, call by call."""

    def __init__(self, engine: Engine, *names: str) -> None:
        self.names: list[str] = []
        networks = {name: engine.acquire(name).placement.networks["unet"] for name in names}
        self.handles = [unet.register_forward_pre_hook(lambda module, given, name=name: self.names.append(name)) for name, unet in networks.items()]

    def __enter__(self) -> list[str]:
        return self.names

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()


# ---- when


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.25, 1), (0.5, 2), (0.51, 3), (1, 4)])
def test_due_by_steps(share: float, expected: int) -> None:
    assert sum(not due_by_steps(share)(step, 4, 1.0) for step in range(4)) == expected


def test_due_by_noise_is_a1111s_share_of_timesteps() -> None:
    table = TrainingTable()
    due = due_by_noise(0.8, table)
    assert not due(3, 4, float(table.sigmas[200])) and due(0, 4, float(table.sigmas[199]))
    karras = sigmas_for("Karras", SAMPLERS["Euler"], 20, table)[:-1]
    by_hand = [(999 - int(np.argmin(np.abs(table.sigmas - sigma)))) / 1000 >= 0.8 for sigma in karras]
    assert [due(0, 20, sigma) for sigma in karras] == by_hand and by_hand.index(True) == 12  # by steps it were 16


# ---- the relay


class Half:
    """A denoiser that says its name; knows what a `Guided` knows."""

    def __init__(self, value: float) -> None:
        self.value, self.seen = value, []
        self.step, self.steps, self.unguided = 0, 1, None

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.seen.append((self.step, self.steps))
        self.unguided = x - self.value
        return x + self.value


def test_the_relay_passes_on_steps_and_answers_and_begins_anew() -> None:
    first, second, made = Half(1.0), Half(2.0), []

    def maker(half: Half) -> Callable[[], Half]:
        return lambda: (made.append(half.value), half)[1]

    relay = Relay(maker(first), maker(second), due_by_steps(0.5))
    assert steered(relay) is relay
    answers = []
    for step in (0, 1, 2, 3, 0, 1):
        relay.step, relay.steps = step, 4
        answers.append((float(relay(torch.zeros(1), 1.0)), float(relay.unguided)))
    assert answers == [(1, -1), (1, -1), (2, -2), (2, -2), (1, -1), (1, -1)]
    assert made == [1, 2, 1] and first.seen == [(0, 4), (1, 4), (0, 4), (1, 4)] and second.seen == [(2, 4), (3, 4)]


def test_noise_that_rises_again_does_not_bring_the_first_back() -> None:
    relay = Relay(lambda: Half(1.0), lambda: Half(2.0), lambda step, steps, sigma: sigma < 1)
    answers = []
    for step, sigma in enumerate((3.0, 0.5, 2.0)):
        relay.step = step
        answers.append(float(relay(torch.zeros(1), sigma)))
    assert answers == [1, 2, 2]


# ---- through the engine


def drive(run: Generator[Any, None, Tensor]) -> Tensor:
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def test_half_way_equals_two_half_runs(engine: Engine) -> None:
    [picture] = run(engine, asked(refiner_checkpoint="b", refiner_switch_at=0.5))
    request = asked()
    brush = Brush(request, Workshop(engine.acquire, engine.shelf, engine.extensions, engine.upscalers, lambda progress: None))
    stream = brush.stream(5, 0)
    row, halves = SAMPLERS["Euler"], []
    for name in "ab":
        model = engine.acquire(name)
        model.begin((), ())
        halves.append(model.denoiser(model.encode_prompt(request.prompt, request.negative_prompt), Guidance(request.cfg_scale)))
    sigmas = sigmas_for("Automatic", row, STEPS, engine.acquire("a").table)
    with torch.inference_mode():
        x = stream.start((1, 4, 8, 8)) * sigmas[0]
        x = drive(row.function(halves[0], x, sigmas[:3], None))
        x = drive(row.function(halves[1], x, sigmas[2:], None))
        pixels = engine.acquire("b").decode_latents(x)[0]
    by_hand = ((pixels.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    assert np.array_equal(np.asarray(picture.image), by_hand)
    assert picture.facts["Model"] == "a" and picture.facts["Refiner"] == f"b [{engine.shelf.checkpoint('b').short_hash()}]"


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Euler a", "DPM++ SDE", "Restart", "DDIM CFG++", "DPM adaptive"])
def test_a_refiner_with_the_same_weights_changes_nothing(engine: Engine, sampler: str) -> None:
    plain = run(engine, asked(sampler=sampler, batch_size=2))
    with Calls(engine, "a", "twin") as calls:
        refined = run(engine, asked(sampler=sampler, batch_size=2, refiner_checkpoint="twin", refiner_switch_at=0.5))
    assert same(plain, refined) and set(calls) == {"a", "twin"}
    assert same(plain, run(engine, asked(sampler=sampler, batch_size=2, refiner_checkpoint="a", refiner_switch_at=0.5)))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_refined(engine: Engine, task: str) -> None:
    plain = run(engine, asked(task))
    with Calls(engine, "a", "b") as calls:
        refined = run(engine, asked(task, refiner_checkpoint="b", refiner_switch_at=0.5))
    assert "".join(calls) == "aabb" * (len(calls) // 4) and len(calls) >= 4
    assert not same(plain, refined) and refined[-1].facts["Refiner"].startswith("b [")


@pytest.mark.parametrize(("which", "expected"), [("first pass", "aabbaaaa"), ("second pass", "aaaaaabb"), ("both passes", "aabbaabb")])
def test_hires_passes_that_are_refined(engine: Engine, which: str, expected: str) -> None:
    with Calls(engine, "a", "b") as calls:
        run(engine, asked(enable_hr=True, refiner_checkpoint="b", refiner_switch_at=0.5, hr_refiner=which))
    assert "".join(calls) == expected


def test_batches_of_refined_pictures_are_the_single_ones(engine: Engine) -> None:
    own = {"refiner_checkpoint": "b", "refiner_switch_at": 0.5, "sampler": "Euler a"}
    assert same(run(engine, asked(batch_size=3, **own)), [run(engine, asked(seed=5 + i, **own))[0] for i in range(3)])


@pytest.mark.parametrize(("share", "expected"), [(0.0, "bbbb"), (1.0, "aaaa"), (0.75, "aaab")])
def test_where_the_refiner_takes_over(engine: Engine, share: float, expected: str) -> None:
    with Calls(engine, "a", "b") as calls:
        run(engine, asked(refiner_checkpoint="b", refiner_switch_at=share))
    assert "".join(calls) == expected


def test_by_noise_a_steep_schedule_switches_earlier(engine: Engine) -> None:
    with Calls(engine, "a", "b") as calls:
        run(engine, asked(refiner_checkpoint="b", refiner_switch_at=0.7, schedule="Karras", steps=10, refiner_by_steps=False))
        run(engine, asked(refiner_checkpoint="b", refiner_switch_at=0.7, schedule="Karras", steps=10))
    assert 0 < calls[:10].count("a") < calls[10:].count("a") == 7


def test_each_model_reads_the_prompt_itself_and_steps_go_on(engine: Engine) -> None:
    own = {"refiner_checkpoint": "b", "refiner_switch_at": 0.5}
    late = [run(engine, asked(prompt=prompt, **own)) for prompt in ("a cat", "a [cat:house:0.5]", "a [cat:house:1.0]")]
    assert not same(late[0], late[1]) and same(late[0], late[2])


def test_loading_is_told_each_time(engine: Engine) -> None:
    told: list[Progress] = []
    run(engine, asked(refiner_checkpoint="b", refiner_switch_at=0.5, batch_count=2), told.append)
    assert [(progress.picture, progress.step) for progress in told if progress.phase == "loading"] == [(1, 0), (1, 2), (2, 0), (2, 2)]
    steps = [progress.step for progress in told if progress.phase == "sampling"]
    assert steps == [0, 1, 2, 3, 4] * 2


def test_the_base_model_can_be_freed_before_the_refiner_is_loaded(engine: Engine) -> None:
    alive: list[bool] = []
    models: dict[str, Any] = {name: engine.acquire(name) for name in "ab"}
    models["a"] = type(models["a"]).__new__(type(models["a"]))
    models["a"].__dict__.update(engine.acquire("a").__dict__)
    watch = weakref.ref(models["a"])

    def acquire(checkpoint: str, vae: str, text_encoder: str) -> Any:
        if checkpoint == "b":
            gc.collect()
            alive.append(watch() is not None)
        return models.pop(checkpoint)

    told: list[Progress] = []
    shop = Workshop(acquire, engine.shelf, engine.extensions, engine.upscalers, told.append)
    brush = Brush(asked(refiner_checkpoint="b", refiner_switch_at=0.5), shop)
    assert len(list(txt2img(brush.request, {}, brush))) == 1
    assert alive == [False]

"""Every trainer of the kit: the same run twice gives equal weights, and so does one that was stopped and went on.

A further trainer is one more row: a function that makes it, tiny, from a fixed seed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tools.embedded.judge import Album, Judge, JudgeSettings, JudgeTrainer, View  # noqa: E402
from tools.embedded.scenes.grammar import sample_scene  # noqa: E402
from tools.embedded.training import Run, Schedule, Slice, run_training  # noqa: E402

STEPS = 3


def judge_trainer(seed: int = 0) -> JudgeTrainer:
    torch.manual_seed(seed)
    rng = np.random.default_rng(0)
    albums = [
        Album(rng.integers(0, 255, (6, *size, 3)).astype(np.uint8), [View(sample_scene(index)) for index in range(6)]) for size in ((32, 32), (32, 48))
    ]
    return JudgeTrainer(Judge((8, 8, 8, 8, 8)), albums, JudgeSettings(seed, batch=2))


def upscaler_trainer(seed: int = 0) -> Any:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded import upscaler, upscaler_samples

    torch.manual_seed(seed)
    large = np.random.default_rng(0).integers(0, 255, (upscaler_samples.SHOWN + 3, 8, 8, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    pairs = upscaler_samples.Pairs(large, upscaler_samples.shrink(large))
    return upscaler.UpscalerTrainer(upscaler.Compact(8, 2), pairs, upscaler_samples.UpscalerSettings(seed, batch=2, crop=8))


TRAINERS: dict[str, Callable[..., Any]] = {"judge": judge_trainer, "upscaler": upscaler_trainer}
"""Autoencoder and UNet are held to the same in test_embedded_training.py, what is derived from a base in test_embedded_derived_stages.py."""


def ignore(line: str) -> None:
    """Nobody reads the progress."""


def trained(make: Callable[..., Any], folder: Path, *, stop_after: int | None = None, seed: int = 0) -> dict[str, "torch.Tensor"]:
    """The weights after STEPS steps; with `stop_after` a first process ends early and another, made anew, goes on."""
    schedule = Schedule(STEPS, 1e-2, warmup=1)
    if stop_after is not None:
        assert run_training(make(seed), Run(folder, "run", 2), schedule, ignore, Slice(stop_after)) == stop_after
    trainer = make(seed)
    assert run_training(trainer, Run(folder, "run", 2), schedule, ignore) == STEPS
    return {name: value.clone() for name, value in trainer.averaged().items()}


@pytest.mark.parametrize("name", TRAINERS)
def test_a_training_can_be_repeated_and_interrupted(name: str, tmp_path: Path) -> None:
    make = TRAINERS[name]
    once = trained(make, tmp_path / "a")
    for other in (trained(make, tmp_path / "b"), trained(make, tmp_path / "c", stop_after=1)):
        assert once.keys() == other.keys()
        for key, value in once.items():
            assert torch.equal(value, other[key]), key


@pytest.mark.parametrize("name", TRAINERS)
def test_a_training_follows_its_seed_and_changes_something(name: str, tmp_path: Path) -> None:
    make = TRAINERS[name]
    once, other = trained(make, tmp_path / "a"), trained(make, tmp_path / "b", seed=1)
    assert any(not torch.equal(value, other[key]) for key, value in once.items())
    before = make(0).averaged()
    assert any(not torch.equal(value, before[key]) for key, value in once.items())

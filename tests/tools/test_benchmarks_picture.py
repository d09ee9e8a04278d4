"""The speed measurement: both sides draw the same, every call is timed, a busy machine is told."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tools.benchmarks import picture  # noqa: E402


@pytest.mark.filterwarnings("ignore")
def test_the_app_and_diffusers_draw_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    task = picture.Task(tiny_folder / "tiny", 64, 64, steps=3, cfg_scale=2.0)
    ours, theirs = picture.ours(task, tmp_path)(), picture.plain_diffusers(task)()
    assert ours.shape == theirs.shape == (64, 64, 3)
    assert picture.likeness(ours, theirs) > 30


def test_calls_take_turns() -> None:
    called: list[str] = []
    draws = {name: lambda name=name: called.append(name) for name in "ab"}
    seconds = picture.in_turn(draws, 3)
    assert called == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(each) for name, each in seconds.items()} == {"a": 3, "b": 3}


def test_the_summary_says_medians_ratio_and_likeness() -> None:
    lines = picture.summary({"app": [1.0, 2.0, 9.0], "plain diffusers": [4.0, 4.0, 5.0]}, 60.0)
    assert "median 2.00 s  (1.00 to 9.00)" in lines[0]
    assert "ratio 0.50" in lines[2]
    assert lines[3].endswith("the same picture") and "NOT" not in lines[3]
    assert "NOT the same picture" in picture.summary({"app": [1.0], "plain diffusers": [1.0]}, 8.0)[3]


def test_a_busy_machine_is_told() -> None:
    cores = os.cpu_count() or 1
    assert len(picture.machine(0.0)) == 1
    assert "WARNING" in picture.machine(2.0 * cores)[1]


def test_likeness() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    assert picture.likeness(black, black) == float("inf")
    assert picture.likeness(black, black + 255) == pytest.approx(0)

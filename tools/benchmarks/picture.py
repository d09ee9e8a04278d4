"""Seconds per picture of the embedded base: the app's engine and plain diffusers, in turn, in one process.

    python -m tools.benchmarks.picture [--rounds 7] [--width 128] [--height 128] [--steps 20] [--threads N]
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from app.request import Txt2Img
from app.work import Progress
from tools.embedded.easel import Easel, engine_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models/embedded/darkroom-base"
PROMPT = "a red house in a meadow, day, sun"
SEED = 7
BUSY = 0.35
"""Load per core above which the machine is called busy."""
ALIKE = 14.0
"""Peak signal-to-noise ratio in dB above which both have drawn the same picture: other noise gives about 8."""


@dataclass(frozen=True)
class Task:
    """What both are to draw."""

    folder: Path = FOLDER
    width: int = 128
    height: int = 128
    steps: int = 20
    cfg_scale: float = 5.0


Draw = Callable[[], np.ndarray]


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


def ours(task: Task, scratch: Path) -> Draw:
    """A function that draws one picture, uint8 (height, width, 3), with the app's engine; the model is loaded by its first call."""
    engine = engine_of(Easel(task.folder.parent.resolve(), scratch))
    request = Txt2Img(
        prompt=PROMPT,
        checkpoint=task.folder.name,
        sampler="DPM++ 2M",
        schedule="Karras",
        steps=task.steps,
        cfg_scale=task.cfg_scale,
        seed=SEED,
        rng="CPU",
        width=task.width,
        height=task.height,
    )

    def draw() -> np.ndarray:
        (picture,) = engine.run(request, {}, _ignore)
        return np.asarray(picture.image)

    return draw


def plain_diffusers(task: Task) -> Draw:
    """The same with stock diffusers."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline.from_pretrained(str(task.folder), torch_dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
    pipeline.set_progress_bar_config(disable=True)

    def draw() -> np.ndarray:
        made = pipeline(
            PROMPT,
            width=task.width,
            height=task.height,
            num_inference_steps=task.steps,
            guidance_scale=task.cfg_scale,
            generator=torch.Generator().manual_seed(SEED),
            output_type="np",
        )
        return (made.images[0] * 255).round().astype(np.uint8)

    return draw


def in_turn(draws: dict[str, Draw], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call; every round calls all once, and every other round in the opposite order."""
    seconds: dict[str, list[float]] = {name: [] for name in draws}
    for number in range(rounds):
        names = list(draws) if number % 2 == 0 else list(reversed(draws))
        for name in names:
            start = perf_counter()
            draws[name]()
            seconds[name].append(perf_counter() - start)
    return seconds


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures in dB; infinite when they are equal."""
    error = float(np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def machine(load_before: float) -> list[str]:
    """Threads and load, and a warning when others are at work."""
    cores = os.cpu_count() or 1
    lines = [f"torch {torch.__version__}, {torch.get_num_threads()} threads on {cores} cores; load before the run: {load_before:.2f}"]
    if load_before > BUSY * cores:
        lines.append("WARNING: this machine is busy with something else; do not report these seconds.")
    return lines


def summary(seconds: dict[str, list[float]], alike: float) -> list[str]:
    """Medians, extremes, ratio of the first to the second, and whether both drew the same."""
    width = max(map(len, seconds))
    lines = [f"{name:{width}}  median {statistics.median(each):.2f} s  ({min(each):.2f} to {max(each):.2f})" for name, each in seconds.items()]
    first, second = (statistics.median(each) for each in seconds.values())
    lines.append(f"ratio {first / second:.2f} (below 1: the app is faster)")
    lines.append(f"the two pictures agree to {alike:.1f} dB: {'the same picture' if alike >= ALIKE else 'NOT the same picture'}")
    return lines


def measure(task: Task, rounds: int) -> list[str]:
    """The whole measurement, as lines to print."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with tempfile.TemporaryDirectory() as scratch:
        draws = {"app": ours(task, Path(scratch)), "plain diffusers": plain_diffusers(task)}
        first = [draw() for draw in draws.values()]
        seconds = in_turn(draws, rounds)
    head = f"{task.width}x{task.height}, {task.steps} steps of DPM++ 2M Karras, CFG {task.cfg_scale:g}, {rounds} rounds"
    return [head, *machine(load), *summary(seconds, likeness(*first))]


def main() -> int:
    """Parse, measure, print; 1 when the pictures are not alike."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.picture", description="Seconds per picture: the app and plain diffusers.")
    for name, usual in (("rounds", 7), ("width", 128), ("height", 128), ("steps", 20), ("threads", os.cpu_count() or 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = measure(Task(options.folder, options.width, options.height, options.steps), options.rounds)
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if "NOT the same" in lines[-1] else 0


if __name__ == "__main__":
    sys.exit(main())

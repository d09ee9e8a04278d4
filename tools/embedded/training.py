"""What every trainer shares: seeded randomness per step, checkpoints that survive a kill, averages, a progress line.

A trainer draws everything random in step n from `step_generator(seed, n)`, so a run that was killed and
started again does exactly what an uninterrupted one would have done.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

Report = Callable[[str], None]


class Trainer(Protocol):
    """One thing to train; `step` must draw its randomness from the step number alone."""

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """Do one optimiser step and return the figures to log."""

    def state(self) -> dict[str, Any]:
        """Everything needed to go on: weights, optimiser, averages."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""

    def sheet(self, path: Path) -> None:
        """Write a picture that shows how far the training is."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: warm-up, plateau, then a linear decay to `floor` of the peak."""

    steps: int
    peak: float
    warmup: int = 100
    decay: float = 0.4
    floor: float = 0.02

    def learning_rate(self, step: int) -> float:
        """Learning rate of 0-based `step`."""
        rise = min(1.0, (step + 1) / self.warmup)
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.peak * rise * min(1.0, max(self.floor, left))


@dataclass(frozen=True)
class Run:
    """Where a run keeps its files, how often it saves and how many samples one step sees.

    It stops and saves only after a multiple of `grain` steps; with `keeps` false it leaves both to another process.
    """

    folder: Path
    name: str
    batch: int
    save_seconds: float = 180.0
    sheet_seconds: float = 600.0
    report_steps: int = 50
    grain: int = 1
    keeps: bool = True

    @property
    def checkpoint(self) -> Path:
        """The file the run goes on from."""
        return self.folder / f"{self.name}.pt"


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator for one step: a function of (seed, step) only."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write `state` beside `path` and rename it there, so that a kill never leaves half a file."""
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    os.replace(part, path)


class Average:
    """Exponential moving average of a module's parameters, with a faster start (decay <= step / (step + lag))."""

    def __init__(self, module: nn.Module, decay: float, lag: int = 30) -> None:
        self.module, self.decay, self.lag = module, decay, lag
        self.values = [value.detach().clone() for value in module.parameters()]

    def update(self, step: int) -> None:
        """Take the module's present weights in; `step` is 0-based."""
        decay = min(self.decay, (step + 1) / (step + 1 + self.lag))
        with torch.no_grad():
            torch._foreach_lerp_(self.values, [value.detach() for value in self.module.parameters()], 1 - decay)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averaged weights under the module's own names (buffers as they are)."""
        named = dict(self.module.state_dict())
        named.update({name: value for (name, _), value in zip(self.module.named_parameters(), self.values, strict=True)})
        return named

    def load(self, values: list[torch.Tensor]) -> None:
        """Go on from saved averages."""
        for target, value in zip(self.values, values, strict=True):
            target.copy_(value)


def apply_gradients(optimiser: torch.optim.Optimizer, loss: torch.Tensor, learning_rate: float) -> None:
    """Backward pass, gradient norm clipped to 1, one optimiser step."""
    optimiser.zero_grad()
    loss.backward()
    take_step(optimiser, learning_rate)


def take_step(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """One step with the gradients that are there, their norm clipped to 1."""
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()


class _Progress:
    """Means of the logged figures and the speed since the last line."""

    def __init__(self, run: Run, total: int) -> None:
        self.run, self.total = run, total
        self.sums: dict[str, float] = {}
        self.count, self.since = 0, time.monotonic()

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def line(self, done: int, learning_rate: float) -> str:
        rate = self.count / max(1e-9, time.monotonic() - self.since)
        figures = " ".join(f"{name} {value / self.count:.4f}" for name, value in self.sums.items())
        left = (self.total - done) / max(rate, 1e-9)
        self.sums, self.count, self.since = {}, 0, time.monotonic()
        return f"{self.run.name} step {done}/{self.total} {figures} lr {learning_rate:.2e} {rate * self.run.batch:.1f} samples/s {left:.0f} s left"


def never() -> bool:
    """Nobody asked to stop."""
    return False


@dataclass(frozen=True)
class Slice:
    """When to end before the schedule does: after `steps` steps, or as soon as `stopped` says so (both save first)."""

    steps: int | None = None
    stopped: Callable[[], bool] = never


def run_training(trainer: Trainer, run: Run, schedule: Schedule, report: Report, part: Slice | None = None) -> int:
    """Train up to `schedule.steps`, going on from the run's checkpoint where there is one; returns the steps done."""
    part = part or Slice()
    run.folder.mkdir(parents=True, exist_ok=True)
    done = 0
    if run.checkpoint.exists():
        saved = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
        trainer.load_state(saved["trainer"])
        done = saved["step"]
        report(f"{run.name} goes on at step {done}")
    last = schedule.steps if part.steps is None else min(schedule.steps, done + part.steps)
    progress = _Progress(run, schedule.steps)
    saved_at = shown_at = time.monotonic()
    while done < last:
        rate = schedule.learning_rate(done)
        progress.add(trainer.step(done, rate))
        done += 1
        if done % run.report_steps == 0 or done == last:
            report(progress.line(done, rate))
        if done % run.grain and done != last:
            continue
        if part.stopped():
            last = done
        now = time.monotonic()
        if not run.keeps:
            continue
        if now - saved_at > run.save_seconds or done == last:
            save_atomically({"trainer": trainer.state(), "step": done}, run.checkpoint)
            saved_at = now
        if now - shown_at > run.sheet_seconds or done == last:
            trainer.sheet(run.folder / f"{run.name}.png")
            shown_at = time.monotonic()
    return done

"""An automatic judge: a small classifier, trained on renders alone, says what it sees in generated pictures.

It knows nothing of the checkpoint; its own accuracy on fresh renders is the ceiling of the figures it gives.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tools.embedded.scenes.captions import PHRASES
from tools.embedded.scenes.grammar import Scene, sample_scene
from tools.embedded.text import OUTPUTS, attribute_accuracy, attribute_loss, labels_of
from tools.embedded.training import Average, apply_gradients, step_generator

FIRST_TEST_SCENE = 7_000_000
SIDE = 64
"""The judge looks at pictures of 64 x 64."""
HELD_OUT = 500
"""Pictures at the end of the training set on which the judge itself is tested."""


def make_judge() -> nn.Sequential:
    """Pictures (n, 3, 64, 64) in [-1, 1] -> attribute logits (n, OUTPUTS)."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(8, outputs), nn.SiLU())

    widths = ((3, 24, 1), (24, 32, 2), (32, 48, 1), (48, 64, 2), (64, 64, 1), (64, 96, 2), (96, 128, 1))
    return nn.Sequential(*(block(*width) for width in widths), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128 * 16, OUTPUTS))


def look_at(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float (n, 3, 64, 64) in [-1, 1]; h = w is a multiple of 64."""
    values = torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.avg_pool2d(values, pictures.shape[1] // SIDE)


@dataclass(frozen=True)
class JudgeSettings:
    """`noise`: most Gaussian noise added to what the judge is trained on, so that it bears imperfect pictures."""

    seed: int = 0
    batch: int = 64
    noise: float = 0.1


class JudgeTrainer:
    """Trains the judge on renders; picture i of the set shows `sample_scene(i)`."""

    def __init__(self, judge: nn.Sequential, pictures: np.ndarray, settings: JudgeSettings) -> None:
        self.judge, self.pictures, self.settings = judge, pictures, settings
        self.optimiser = torch.optim.AdamW(judge.parameters(), 2e-3)
        self.average = Average(judge, 0.99)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step; see `Trainer`."""
        generator = step_generator(self.settings.seed, number)
        seeds = torch.randint(len(self.pictures) - HELD_OUT, (self.settings.batch,), generator=generator).tolist()
        seen = look_at(np.stack([self.pictures[seed] for seed in seeds]))
        strength = self.settings.noise * torch.rand((len(seeds), 1, 1, 1), generator=generator)
        seen = seen + strength * torch.randn(seen.shape, generator=generator)
        loss = attribute_loss(self.judge(seen), *labels_of([sample_scene(seed) for seed in seeds]))
        apply_gradients(self.optimiser, loss, learning_rate)
        self.average.update(number)
        return {"loss": loss.item()}

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return {"judge": self.judge.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.judge.load_state_dict(state["judge"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])

    def averaged(self) -> dict[str, torch.Tensor]:
        """The weights to judge with."""
        return self.average.state_dict()

    def sheet(self, path: Path) -> None:
        """The judge's accuracies on held-out renders, as text."""
        seeds = range(len(self.pictures) - HELD_OUT, len(self.pictures))
        figures = verdict(self.judge, np.stack([self.pictures[seed] for seed in seeds]), [sample_scene(seed) for seed in seeds])
        path.with_suffix(".txt").write_text("".join(f"{name}: {value:.3f}\n" for name, value in figures.items()), encoding="utf-8")


@torch.no_grad()
def verdict(judge: nn.Module, pictures: np.ndarray, scenes: list[Scene]) -> dict[str, float]:
    """Share of right answers per attribute; colour and position are asked only where there is a hero."""
    logits = torch.cat([judge(look_at(pictures[start : start + 64])) for start in range(0, len(pictures), 64)])
    figures = attribute_accuracy(logits, *labels_of(scenes))
    with_hero = [index for index, scene in enumerate(scenes) if scene.hero != "none"]
    heroic = attribute_accuracy(logits[with_hero], *labels_of([scenes[index] for index in with_hero]))
    return figures | {"colour": heroic["colour"], "position": heroic["position"], "hero": heroic["hero"]}


def plain_caption(scene: Scene) -> str:
    """A caption that says everything about a scene in the grammar's first words."""
    land = PHRASES[scene.land][0]
    parts = [land]
    if scene.hero != "none":
        place = "" if scene.position == "center" else f" on the {scene.position}"
        parts = [f"a {scene.colour} {PHRASES[scene.hero][0]}{place} {land}"]
    parts.append(PHRASES[scene.time][0])
    if scene.body != "none":
        parts.append(PHRASES[scene.body][0])
    if scene.stars:
        parts.append("stars")
    if scene.weather != "clear":
        parts.append(PHRASES[scene.weather][0])
    return ", ".join([*parts, *(PHRASES[extra][0] for extra in scene.extras)])


def test_scenes(count: int) -> list[Scene]:
    """Frameless scenes nobody was trained on."""
    scenes: list[Scene] = []
    seed = FIRST_TEST_SCENE
    while len(scenes) < count:
        scene = sample_scene(seed)
        seed += 1
        if scene.frame == "none":
            scenes.append(scene)
    return scenes

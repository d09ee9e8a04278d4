"""An automatic judge: a small classifier, trained on renders alone, says what it sees in generated pictures.

It knows nothing of any checkpoint and never sees the renders that those are trained on; its own accuracy on fresh
renders is the ceiling of the figures it gives. It takes pictures of any size whose short side is near 128.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tools.embedded import text
from tools.embedded.muon import Muon
from tools.embedded.scenes import grammar
from tools.embedded.scenes.grammar import Scene, sample_scene
from tools.embedded.scenes.words import FAR_PLACES, FRAME_PHRASES, NEAR_PLACES, NUMBERS, PHRASES, plural
from tools.embedded.training import Average, apply_gradients, step_generator

STYLES = ("flat", "watercolour", "pixel", "ink", "neon")
"""Those of `scenes.styles`, which cannot be imported where there is no skia."""
ATTRIBUTES: dict[str, tuple[Any, ...]] = {**text.ATTRIBUTES, "style": STYLES}
HERO_ATTRIBUTES = ("colour", "position", "count", "depth")
"""Asked only where there is a hero."""
FLAGS = (*grammar.EXTRAS, "stars")
OUTPUTS = sum(len(values) for values in ATTRIBUTES.values()) + len(FLAGS)
"""Logits of all attributes in order, then one per flag."""

FIRST_TEST_SCENE = 7_000_000
FIRST_OTHER_SCENE = 7_200_000
"""Held-out renders that generated pictures are compared with as a whole."""
FIRST_JUDGE_SCENE = 8_000_000
"""What the judge learns from: no checkpoint is trained on these, nor tested with them."""
SHORT_SIDE = 128
"""The judge looks at pictures whose short side is so long; larger ones are averaged down to it."""
FEATURES = 96
HELD_OUT = 20
"""One in so many training pictures is kept back, to tell how well the judge does while it learns."""


@dataclass(frozen=True)
class View:
    """What a picture shows."""

    scene: Scene
    style: str = "flat"

    def answer(self, attribute: str) -> Any:
        """The right answer for one attribute."""
        return self.style if attribute == "style" else getattr(self.scene, attribute)


@dataclass(frozen=True)
class Album:
    """Pictures of one size, uint8 (n, h, w, 3), and what each shows."""

    pictures: np.ndarray
    views: Sequence[View]


class Judge(nn.Module):
    """Pictures (n, 3, h, w) in [-1, 1] of any size from 64x64 -> attribute logits (n, OUTPUTS)."""

    def __init__(self, widths: tuple[int, ...] = (48, 64, 64, 96, 128)) -> None:
        super().__init__()
        stem = self._block(3, widths[0], 4, 6)
        blocks = [self._block(inputs, outputs, 2 - index % 2, 3) for index, (inputs, outputs) in enumerate(pairwise(widths))]
        self.body = nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(widths[-1] * 16, FEATURES), nn.SiLU())
        self.head = nn.Linear(FEATURES, OUTPUTS)
        self.widths = widths

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int, kernel: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2), nn.GroupNorm(8, outputs), nn.SiLU())

    def features(self, seen: torch.Tensor) -> torch.Tensor:
        """What the last layer decides on: (n, FEATURES)."""
        return self.body(seen)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(seen))


def look_at(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float (n, 3, h', w') in [-1, 1], the short side averaged down to 128 where it is longer."""
    values = torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    short = min(values.shape[-2:])
    if short <= SHORT_SIDE:
        return values
    height, width = (round(side * SHORT_SIDE / short) for side in values.shape[-2:])
    return F.interpolate(values, size=(height, width), mode="area")


def imperfect(seen: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Pictures as a checkpoint might paint them: somewhat soft, noisy, brighter or darker, each by its own random amount."""
    amounts = torch.rand((3, len(seen), 1, 1, 1), generator=generator)
    soft = F.avg_pool2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
    seen = torch.lerp(seen, soft, (1.6 * amounts[0] - 0.6).clamp(min=0)) + 0.16 * (amounts[1] - 0.5)
    return seen + noise * amounts[2] * torch.randn(seen.shape, generator=generator)


def labels_of(views: Sequence[View]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Class indices (n,) of every attribute, -1 where it is not asked for, and 0/1 (n, flags)."""
    classes = {name: torch.tensor([_label(view, name, values) for view in views]) for name, values in ATTRIBUTES.items()}
    flags = [[float(extra in view.scene.extras) for extra in grammar.EXTRAS] + [float(view.scene.stars)] for view in views]
    return classes, torch.tensor(flags)


def _label(view: View, name: str, values: tuple[Any, ...]) -> int:
    return -1 if name in HERO_ATTRIBUTES and view.scene.hero == "none" else values.index(view.answer(name))


def split_logits(logits: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Logits (n, OUTPUTS) -> those of every attribute (n, classes), and those of the flags (n, flags)."""
    parts = torch.split(logits, [*(len(values) for values in ATTRIBUTES.values()), len(FLAGS)], dim=1)
    return dict(zip(ATTRIBUTES, parts, strict=False)), parts[-1]


def judge_loss(logits: torch.Tensor, classes: dict[str, torch.Tensor], flags: torch.Tensor) -> torch.Tensor:
    """Sum of the cross entropies of all attributes, over those pictures where they are asked for, and twice the mean binary one of the flags."""
    by_name, flag_logits = split_logits(logits)
    loss = 2 * F.binary_cross_entropy_with_logits(flag_logits, flags)
    for name, values in by_name.items():
        asked = classes[name] >= 0
        loss = loss + F.cross_entropy(values, classes[name].clamp(min=0), reduction="none")[asked].sum() / asked.sum().clamp(min=1)
    return loss


@dataclass(frozen=True)
class JudgeSettings:
    """`noise`: most Gaussian noise added to what the judge is trained on, so that it bears imperfect pictures."""

    seed: int = 0
    batch: int = 32
    noise: float = 0.12


class JudgeTrainer:
    """Trains the judge on albums of renders; a batch is of one album, drawn in proportion to their lengths."""

    def __init__(self, judge: Judge, albums: Sequence[Album], settings: JudgeSettings, device: str = "cpu") -> None:
        self.judge, self.albums, self.settings, self.device = judge.to(device), albums, settings, device
        self.optimiser = Muon(judge.parameters(), 2e-2, weight_decay=0.02)
        self.average = Average(judge, 0.99)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step; see `Trainer`."""
        generator = step_generator(self.settings.seed, number)
        sizes = torch.tensor([float(len(album.views)) for album in self.albums])
        album = self.albums[int(torch.multinomial(sizes, 1, generator=generator))]
        usable = len(album.views) - held_out(album)
        chosen = torch.randint(usable, (self.settings.batch,), generator=generator).tolist()
        seen = imperfect(look_at(np.stack([album.pictures[index] for index in chosen])), self.settings.noise, generator)
        classes, flags = labels_of([album.views[index] for index in chosen])
        logits = self.judge(seen.to(self.device))
        loss = judge_loss(logits, {name: values.to(self.device) for name, values in classes.items()}, flags.to(self.device))
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
        """The weights to judge with, on the CPU."""
        return {name: value.cpu() for name, value in self.average.state_dict().items()}

    def sheet(self, path: Path) -> None:
        """The averaged judge's accuracies on the renders kept back, as text: a line per album and attribute."""
        judge = Judge(self.judge.widths)
        judge.load_state_dict(self.averaged())
        lines = []
        for album in self.albums:
            kept = slice(len(album.views) - held_out(album), len(album.views))
            figures = verdict(judge, np.asarray(album.pictures[kept]), album.views[kept])
            lines += [f"{album.pictures.shape[2]}x{album.pictures.shape[1]} {name}: {value:.3f}\n" for name, value in figures.items()]
        path.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")


def held_out(album: Album) -> int:
    """How many pictures at the end of an album the judge does not learn from."""
    return max(1, len(album.views) // HELD_OUT)


@torch.no_grad()
def impressions(judge: Judge, pictures: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Attribute logits (n, OUTPUTS), and features float64 (n, FEATURES), of pictures of one size."""
    judge.eval()
    parts = [judge.features(look_at(pictures[start : start + 64])) for start in range(0, len(pictures), 64)]
    features = torch.cat(parts)
    return judge.head(features), features.double().numpy()


def verdict(judge: Judge, pictures: np.ndarray, views: Sequence[View]) -> dict[str, float]:
    """Share of right answers in 0..1 per attribute; see `accuracy`."""
    return accuracy(impressions(judge, pictures)[0], views)


def accuracy(logits: torch.Tensor, views: Sequence[View]) -> dict[str, float]:
    """Share of right answers in 0..1 per attribute.

    "hero" is about the pictures that should have one: its very kind was recognised. "no hero": about the others. "flags": extras
    and stars, those that are there and those that are not. What is asked nowhere is left out.
    """
    by_name, flag_logits = split_logits(logits)
    classes, flags = labels_of(views)
    heroic = torch.tensor([view.scene.hero != "none" for view in views])
    figures = {}
    for name, values in by_name.items():
        right, asked = (values.argmax(1) == classes[name]), classes[name] >= 0
        if name == "hero":
            asked = heroic
            if (~heroic).any():
                figures["no hero"] = float(right[~heroic].float().mean())
        if asked.any():
            figures[name] = float(right[asked].float().mean())
    return figures | {"flags": float(((flag_logits > 0) == (flags > 0.5)).float().mean())}


def answers(logits: torch.Tensor) -> list[dict[str, Any]]:
    """What the judge takes each picture for: attribute -> answer."""
    by_name, _ = split_logits(logits)
    chosen = {name: values.argmax(1).tolist() for name, values in by_name.items()}
    return [{name: ATTRIBUTES[name][chosen[name][index]] for name in chosen} for index in range(len(logits))]


def plain_caption(scene: Scene) -> str:
    """A caption that says everything about a scene in the grammar's first words."""
    parts = [" ".join(filter(None, (_hero_words(scene), PHRASES[scene.land][0])))]
    parts.append(PHRASES[scene.time][0])
    if scene.body != "none":
        parts.append(PHRASES[scene.body][0])
    if scene.stars:
        parts.append("stars")
    if scene.weather != "clear":
        parts.append(PHRASES[scene.weather][0])
    parts += [PHRASES[extra][0] for extra in scene.extras]
    if scene.frame != "none":
        parts.append(FRAME_PHRASES[scene.frame][0])
    return ", ".join(parts)


def _hero_words(scene: Scene) -> str:
    """ "two red houses on the left in the distance"; "" without a hero."""
    if scene.hero == "none":
        return ""
    noun = PHRASES[scene.hero][0]
    place = "" if scene.position == "center" else f"on the {scene.position}"
    distance = {"near": NEAR_PLACES[0], "far": FAR_PLACES[0]}.get(scene.depth, "")
    number = NUMBERS[scene.count][0] if scene.count > 1 else "an" if scene.colour[0] in "aeiou" else "a"
    words = (number, scene.colour, plural(noun) if scene.count > 1 else noun, place, distance)
    return " ".join(filter(None, words))


def test_scenes(count: int) -> list[Scene]:
    """Scenes that nobody was trained on, as the grammar draws them."""
    return [sample_scene(FIRST_TEST_SCENE + index) for index in range(count)]

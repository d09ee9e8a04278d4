"""Pre-training of the text encoder: from a caption's pooled state, recover what the scene contains.

The scenes label themselves, so the encoder learns which words mean the same before any picture is seen. Its
states are then frozen and cached for the UNet.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.models import CONTEXT_LENGTH, CONTEXT_WIDTH
from tools.embedded.scenes import grammar
from tools.embedded.scenes.captions import describe
from tools.embedded.scenes.grammar import Scene, sample_scene
from tools.embedded.tokenizer import encode_texts
from tools.embedded.training import Average, apply_gradients

ATTRIBUTES: dict[str, tuple[str | int, ...]] = {
    "time": grammar.TIMES,
    "land": grammar.LANDS,
    "hero": grammar.HEROES,
    "colour": tuple(grammar.COLOURS),
    "position": grammar.POSITIONS,
    "body": grammar.BODIES,
    "weather": grammar.WEATHERS,
    "frame": grammar.FRAMES,
    "count": grammar.COUNTS,
    "depth": grammar.DEPTHS,
}
OUTPUTS = sum(len(values) for values in ATTRIBUTES.values()) + len(grammar.EXTRAS) + 1
"""Logits of all attributes in order, then one per extra, then one for stars."""

FIRST_TRAINING_SCENE = 10_000_000
FIRST_TEST_SCENE = 5_000_000
SHORT_LENGTH = 48
"""Captions fit in 48 tokens; only every sixth batch is padded to the full 77, which costs much more."""


@dataclass(frozen=True)
class TextSettings:
    """How the text encoder is trained."""

    seed: int = 0
    batch: int = 64


def labels_of(scenes: list[Scene]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Class indices (n,) of every attribute, and 0/1 (n, extras + 1) for the extras and stars."""
    classes = {name: torch.tensor([values.index(getattr(scene, name)) for scene in scenes]) for name, values in ATTRIBUTES.items()}
    flags = [[float(extra in scene.extras) for extra in grammar.EXTRAS] + [float(scene.stars)] for scene in scenes]
    return classes, torch.tensor(flags)


def split_logits(logits: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Logits (n, OUTPUTS) -> logits of every attribute (n, classes), and those of the flags (n, extras + 1)."""
    parts = torch.split(logits, [*(len(values) for values in ATTRIBUTES.values()), len(grammar.EXTRAS) + 1], dim=1)
    return dict(zip(ATTRIBUTES, parts, strict=False)), parts[-1]


def attribute_loss(logits: torch.Tensor, classes: dict[str, torch.Tensor], flags: torch.Tensor) -> torch.Tensor:
    """Sum of the cross entropies of all attributes and twice the mean binary one of the flags."""
    by_name, flag_logits = split_logits(logits)
    loss = 2 * F.binary_cross_entropy_with_logits(flag_logits, flags)
    for name, values in by_name.items():
        loss = loss + F.cross_entropy(values, classes[name])
    return loss


def attribute_accuracy(logits: torch.Tensor, classes: dict[str, torch.Tensor], flags: torch.Tensor) -> dict[str, float]:
    """Share of right answers per attribute, in 0..1; "flags" for extras and stars together."""
    by_name, flag_logits = split_logits(logits)
    right = {name: float((values.argmax(1) == classes[name]).float().mean()) for name, values in by_name.items()}
    return right | {"flags": float(((flag_logits > 0) == (flags > 0.5)).float().mean())}


class TextTrainer:
    """Trains a text encoder with a linear head on its pooled state."""

    def __init__(self, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, settings: TextSettings, device: str = "cpu") -> None:
        self.encoder, self.tokenizer, self.settings, self.device = encoder.to(device), tokenizer, settings, device
        self.head = nn.Linear(CONTEXT_WIDTH, OUTPUTS).to(device)
        self.model = nn.ModuleList([self.encoder, self.head])
        self.optimiser = torch.optim.AdamW(self.model.parameters(), 1e-3, weight_decay=0.01)
        self.average = Average(self.model, 0.98)

    def logits(self, captions: list[str], length: int) -> torch.Tensor:
        """Attribute logits (n, OUTPUTS) of captions cut to `length` tokens."""
        ids = torch.tensor(encode_texts(self.tokenizer, captions))[:, :length].to(self.device)
        return self.head(self.encoder(input_ids=ids).pooler_output)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step on scenes never used before; see `Trainer`."""
        first = FIRST_TRAINING_SCENE + number * self.settings.batch
        scenes = [sample_scene(first + index) for index in range(self.settings.batch)]
        logits = self.logits([describe(scene, self.settings.seed) for scene in scenes], CONTEXT_LENGTH if number % 6 == 0 else SHORT_LENGTH)
        classes, flags = labels_of(scenes)
        loss = attribute_loss(logits, {name: values.to(self.device) for name, values in classes.items()}, flags.to(self.device))
        apply_gradients(self.optimiser, loss, learning_rate)
        self.average.update(number)
        return {"loss": loss.item()}

    @torch.no_grad()
    def accuracy(self, count: int = 512) -> dict[str, float]:
        """Accuracy on scenes outside the training range, captions as the app's tokenizer pads them."""
        scenes = [sample_scene(FIRST_TEST_SCENE + index) for index in range(count)]
        logits = self.logits([describe(scene, 0) for scene in scenes], CONTEXT_LENGTH).cpu()
        return attribute_accuracy(logits, *labels_of(scenes))

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])

    def averaged(self) -> dict[str, torch.Tensor]:
        """The encoder weights to ship."""
        return {name.removeprefix("0."): value for name, value in self.average.state_dict().items() if name.startswith("0.")}

    def sheet(self, path: Path) -> None:
        """There is nothing to look at; the accuracies go into a text file instead."""
        lines = [f"{name}: {value:.3f}" for name, value in self.accuracy().items()]
        path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@torch.no_grad()
def encode_captions(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, captions: list[str], device: str = "cpu", batch: int = 128) -> np.ndarray:
    """Text states float16 (n, 77, width) of captions."""
    encoder = encoder.to(device).eval()
    parts = []
    for start in range(0, len(captions), batch):
        ids = torch.tensor(encode_texts(tokenizer, captions[start : start + batch])).to(device)
        parts.append(encoder(input_ids=ids).last_hidden_state.half().cpu().numpy())
    return np.concatenate(parts)

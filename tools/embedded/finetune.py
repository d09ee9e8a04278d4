"""Training that starts from a finished base: of the whole UNet for a style, or of whatever an objective wants trained.

`Finetuner` is the loop's trainer; an `Objective` says what is trained and how wrong it is. A checkpoint that will be
stored in float8 is trained through that rounding in its last part: the loss is that of the rounded weights, its
gradient changes the exact ones (straight-through estimator, Bengio et al. 2013), so what is shipped is what was trained.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from tools.embedded.attention import PlainAttention
from tools.embedded.bases import Base
from tools.embedded.ldm import FP8_LEAST
from tools.embedded.muon import Muon
from tools.embedded.sheet import save_sheet
from tools.embedded.training import Average, step_generator, take_step
from tools.embedded.unet import SNR_LIMIT, TRAIN_STEPS, CachedData, cumulative_alphas, sample

SHEET_SCENES = range(7_500_000, 7_500_016)
"""Scenes whose captions the sample sheets show."""


class Objective(Protocol):
    """What is trained, and how wrong it is."""

    network: nn.Module

    def loss(self, number: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of 0-based step `number` and figures for the progress line; everything random comes from `generator`."""

    def draw(self) -> np.ndarray:
        """Pictures that show how far it is: uint8 (n, h, w, 3)."""


@dataclass(frozen=True)
class TuneSettings:
    """How an objective is trained.

    average: decay of the weights that are shipped; muon: that optimiser instead of AdamW;
    fp8_from: the step from which large weights are rounded to float8 in the loss, None for never.
    """

    seed: int = 0
    batch: int = 16
    average: float = 0.99
    muon: bool = True
    fp8_from: int | None = None


class Finetuner:
    """Trains an objective's network; see `Trainer` and `crew.Member`."""

    def __init__(self, objective: Objective, settings: TuneSettings) -> None:
        self.objective, self.settings, self.network = objective, settings, objective.network
        trained = [value for value in self.network.parameters() if value.requires_grad]
        self.optimiser: torch.optim.Optimizer = Muon(trained, 1e-3) if settings.muon else torch.optim.AdamW(trained, 1e-3, betas=(0.9, 0.99), weight_decay=0.0)
        self.average = Average(self.network, settings.average)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step; see `Trainer`."""
        first = self.settings.fp8_from
        with rounded(self.network, first is not None and number >= first):
            loss, figures = self.objective.loss(number, step_generator(self.settings.seed, number))
            # The gradient is taken inside, at the rounded weights; the step is applied to the exact ones below.
            self.optimiser.zero_grad()
            loss.backward()
        take_step(self.optimiser, learning_rate)
        self.average.update(number)
        return {"loss": loss.item(), **figures}

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])

    def averaged(self) -> dict[str, Tensor]:
        """The weights to ship, under the network's own names."""
        return self.average.state_dict()

    def sheet(self, path: Path) -> None:
        """Pictures by the averaged weights, rounded where they will be."""
        exact = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.averaged())
        with rounded(self.network, self.settings.fp8_from is not None):
            save_sheet(self.objective.draw(), 8, path)
        self.network.load_state_dict(exact)


@contextmanager
def rounded(network: nn.Module, active: bool = True) -> Iterator[None]:
    """Within, the weights that an fp8 file stores in float8 have the values they will have there."""
    changed = [value for value in network.parameters() if active and value.dim() >= 2 and value.numel() >= FP8_LEAST]
    exact = [value.detach().clone() for value in changed]
    with torch.no_grad():
        for value in changed:
            value.copy_(value.to(torch.float8_e4m3fn))
    try:
        yield
    finally:
        with torch.no_grad():
            for value, kept in zip(changed, exact, strict=True):
                value.copy_(kept)


@dataclass(frozen=True)
class Batch:
    """Noisy latents and what they came from: tensors with one row per picture, on the CPU; `timesteps` are int64 in 0..999."""

    latents: Tensor
    noise: Tensor
    noisy: Tensor
    timesteps: Tensor
    texts: Tensor
    pictures: Tensor


@dataclass(frozen=True)
class Lesson:
    """What batches are made of.

    Attributes:
        data: pictures and captions.
        plain: for each bucket float16 (n, 1, 77, width), captions that do not name the style; empty without a style.
        plain_share: share of captions taken from there.
        dropout: share of captions replaced by one of nothing, for classifier-free guidance.
    """

    data: CachedData
    plain: tuple[np.ndarray, ...] = ()
    plain_share: float = 0.25
    dropout: float = 0.12
    batch: int = 16

    def draw(self, number: int, generator: torch.Generator) -> Batch:
        """The batch of one step, all of one bucket, timesteps stratified over it."""
        bucket = self.data.bucket(number)
        pictures = torch.randint(len(bucket.latents), (self.batch,), generator=generator)
        latents = bucket.latents[pictures]
        timesteps = (((torch.rand(1, generator=generator) + torch.arange(self.batch) / self.batch) % 1) * TRAIN_STEPS).long()
        noise = torch.randn(latents.shape, generator=generator)
        return Batch(latents, noise, add_noise(latents, noise, timesteps), timesteps, self.told(number, pictures, generator), pictures)

    def place(self, number: int) -> int:
        """Which bucket a step's batch is of."""
        chosen = self.data.bucket(number)
        return next(index for index, bucket in enumerate(self.data.buckets) if bucket is chosen)

    def told(self, number: int, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Text states float32 (n, 77, width) of one caption per picture."""
        bucket = self.data.bucket(number)
        variants = torch.randint(bucket.texts.shape[1], pictures.shape, generator=generator)
        states = bucket.texts[pictures.numpy(), variants.numpy()].astype(np.float32)
        chance = torch.rand(2, len(pictures), generator=generator).numpy()
        if self.plain:
            chosen = chance[0] < self.plain_share
            states[chosen] = self.plain[self.place(number)][pictures.numpy()[chosen], 0]
        dropped = chance[1] < self.dropout
        blank = torch.randint(len(self.data.nothing), pictures.shape, generator=generator).numpy()
        states[dropped] = self.data.nothing[blank[dropped]]
        return torch.from_numpy(states)


def add_noise(latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """sqrt(alpha-bar) latents + sqrt(1 - alpha-bar) noise, a timestep (n,) per row."""
    alphas = cumulative_alphas()[timesteps].view(-1, 1, 1, 1)
    return alphas.sqrt() * latents + (1 - alphas).sqrt() * noise


class Denoising:
    """The objective of a style: predict the noise, as the base does, of other pictures."""

    def __init__(self, base: Base, network: nn.Module, lesson: Lesson, device: str, ending: str = "") -> None:
        """`network`: the base's UNet or adapters in it; `ending`: what the sample sheet's captions end with."""
        self.base, self.network, self.lesson, self.device = base, network, lesson, device
        self.unet: UNet2DConditionModel = base.unet.to(device)
        network.to(device)
        if device == "cpu":
            self.unet.set_attn_processor(PlainAttention())
        snr = cumulative_alphas() / (1 - cumulative_alphas())
        self.weights = snr.clamp(max=SNR_LIMIT) / snr
        self.ending = ending

    def given(self, batch: Batch, number: int, generator: torch.Generator) -> Tensor:
        """What the UNet gets to see: (n, channels, h, w)."""
        return batch.noisy

    def texts(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """What the UNet is told: text states (n, 77, width)."""
        return batch.texts

    def loss(self, number: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Min-SNR-weighted squared error of the noise; see `Objective`."""
        batch = self.lesson.draw(number, generator)
        given = self.given(batch, number, generator)
        with torch.autocast(self.device, torch.bfloat16):
            texts = self.texts(batch, generator).to(self.device)
            predicted = self.unet(given.to(self.device), batch.timesteps.to(self.device), texts).sample
        error = (predicted.float() - batch.noise.to(self.device)).square().mean((1, 2, 3))
        return (self.weights[batch.timesteps].to(self.device) * error).mean(), {"error": error.mean().item()}

    def draw(self) -> np.ndarray:
        """Two rows: half of the captions with the style's words, half without; see `Objective`."""
        half = len(SHEET_SCENES) // 2
        texts = torch.cat([self.base.sheet_states(SHEET_SCENES[:half], self.ending), self.base.sheet_states(SHEET_SCENES[half:])])
        nothing = torch.from_numpy(self.lesson.data.nothing[:1].astype(np.float32))
        with torch.autocast(self.device, torch.bfloat16):
            latents = sample(self.unet, texts, nothing, self.device, steps=12)
        return self.base.decode(latents.float())

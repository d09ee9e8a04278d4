"""Few steps without guidance: a LoRA distilled from the guided base (latent consistency distillation, Luo et al. 2023).

The student jumps from any noisy latent to the end of the guided base's trajectory. Its target: the frozen base walks
a few steps of guided DDIM (Song et al. 2020) along that trajectory, then the student itself, without a gradient, jumps
from there; where the walk reaches the end, its end is the target. Half of the samples start at the times where the four
steps of the shipped setting start. The consistency model's skip and output factors are 0 and 1 to four digits at all
times but the very last (with the usual time scaling of 10), so they are left out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.embedded.attention import PlainAttention
from tools.embedded.bases import Base
from tools.embedded.finetune import SHEET_SCENES, Lesson, add_noise
from tools.embedded.lora import Adapters
from tools.embedded.training import step_generator
from tools.embedded.unet import TRAIN_STEPS, cumulative_alphas

FEW = (999, 749, 499, 249)
"""Where LCM's four steps start."""


@dataclass(frozen=True)
class Walk:
    """How the teacher walks: `stride` timesteps per DDIM step, `steps` of them, with this `guidance`; `softness` of the Huber loss."""

    stride: int = 50
    steps: int = 2
    guidance: float = 5.0
    softness: float = 0.03


def parted(noisy: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """The clean latents that noisy ones hold if `noise` is right; a timestep (n,) per row."""
    alphas = cumulative_alphas().to(noisy.device)[timesteps].view(-1, 1, 1, 1)
    return (noisy - (1 - alphas).sqrt() * noise) / alphas.sqrt()


class Consistency:
    """The objective of the few-step LoRA; see `finetune.Objective`."""

    def __init__(self, base: Base, adapters: Adapters, lesson: Lesson, device: str, walk: Walk | None = None) -> None:
        self.base, self.network, self.lesson, self.device, self.walk = base, adapters, lesson, device, walk or Walk()
        self.unet: Any = base.unet.to(device)
        adapters.to(device)
        if device == "cpu":
            self.unet.set_attn_processor(PlainAttention())
        self.nothing = torch.from_numpy(lesson.data.nothing[:1].astype(np.float32)).to(device)

    def _noise(self, noisy: Tensor, timesteps: Tensor, texts: Tensor) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            return self.unet(noisy, timesteps, texts).sample.float()

    @torch.no_grad()
    def target(self, noisy: Tensor, timesteps: Tensor, texts: Tensor) -> Tensor:
        """Clean latents that the student should jump to: all (n, 4, h, w) on the device."""
        blank = self.nothing.expand(len(texts), -1, -1)
        with self.network.without():
            for _ in range(self.walk.steps):
                plain, told = self._noise(torch.cat([noisy, noisy]), timesteps.repeat(2), torch.cat([blank, texts])).chunk(2)
                noise = plain + self.walk.guidance * (told - plain)
                clean, timesteps = parted(noisy, noise, timesteps), timesteps - self.walk.stride
                moved = add_noise(clean.cpu(), noise.cpu(), timesteps.clamp(min=0).cpu()).to(noisy.device)
                noisy = torch.where((timesteps < 0).view(-1, 1, 1, 1), clean, moved)
                if bool((timesteps < 0).all()):
                    return noisy
                ended = timesteps < 0
                timesteps = timesteps.clamp(min=0)
        jumped = parted(noisy, self._noise(noisy, timesteps, texts), timesteps)
        return torch.where(ended.view(-1, 1, 1, 1), noisy, jumped)

    def loss(self, number: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Pseudo-Huber distance of the student's jump from its target; see `Objective`."""
        bucket, count = self.lesson.data.bucket(number), self.lesson.batch
        pictures = torch.randint(len(bucket.latents), (count,), generator=generator)
        grid = torch.arange(TRAIN_STEPS - 1, 0, -self.walk.stride)
        timesteps = grid[torch.randint(len(grid), (count,), generator=generator)]
        few = torch.tensor(FEW)[torch.arange(count) % len(FEW)]
        timesteps = torch.where(torch.arange(count) % 8 < len(FEW), few, timesteps)
        latents = bucket.latents[pictures]
        noisy = add_noise(latents, torch.randn(latents.shape, generator=generator), timesteps).to(self.device)
        texts, timesteps = self.lesson.told(number, pictures, generator).to(self.device), timesteps.to(self.device)
        target = self.target(noisy, timesteps, texts)
        jumped = parted(noisy, self._noise(noisy, timesteps, texts), timesteps)
        apart = ((jumped - target).square() + self.walk.softness**2).sqrt() - self.walk.softness
        weights = cumulative_alphas().to(self.device)[timesteps] ** 0.25
        return (weights * apart.mean((1, 2, 3))).mean(), {"apart": apart.mean().item()}

    @torch.no_grad()
    def draw(self) -> np.ndarray:
        """Two rows of pictures in four steps; see `Objective`."""
        texts = self.base.sheet_states(SHEET_SCENES).to(self.device)
        side = self.lesson.data.buckets[0].latents.shape[-1]
        noises = [[torch.randn(4, side, side, generator=step_generator(7 + index, part)) for index in range(len(texts))] for part in range(len(FEW))]
        clean = torch.zeros_like(torch.stack(noises[0]))
        for time, noise in zip(FEW, noises, strict=True):
            times = torch.full((len(texts),), time)
            noisy = torch.stack(noise) if time == FEW[0] else add_noise(clean, torch.stack(noise), times)
            given, times = noisy.to(self.device), times.to(self.device)
            clean = parted(given, self._noise(given, times, texts), times).cpu()
        return self.base.decode(clean)

"""Training of the UNet to predict noise in cached latents from cached text states.

Noise schedule: SD1's scaled-linear betas, 1000 steps. Loss: squared error weighted min(SNR, 5) / SNR (Hang et al.
2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", the noise-prediction case), timesteps stratified
over the batch. Some captions are replaced by an empty or a negative-prompt one for classifier-free guidance.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn
from torch.nn import functional as F

from tools.embedded.attention import PlainAttention
from tools.embedded.sheet import save_sheet, to_bytes
from tools.embedded.training import Average, apply_gradients, step_generator

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
SNR_LIMIT = 5.0


def cumulative_alphas() -> torch.Tensor:
    """SD1's alpha-bar (1000,), float32: betas are linear in their square roots."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


BUCKET_SEED = 977


@dataclass(frozen=True)
class UnetSettings:
    """`dropout`: share of captions replaced by a caption of nothing; `pooling`: latents are averaged over so many squared.

    Pooled latents are those of a smaller picture, thanks to the autoencoder's equivariance term. They cost a quarter
    of the time and teach what words mean; the last part of a training should see latents as they are (1).
    """

    seed: int = 0
    batch: int = 32
    dropout: float = 0.12
    pooling: int = 1
    average: float = 0.998
    bfloat16: bool = True


@dataclass(frozen=True)
class Bucket:
    """Pictures of one shape. latents: float (pictures, 4, h, w), scaled to deviation 1; texts: float16 (pictures, variants, 77, width)."""

    latents: torch.Tensor
    texts: np.ndarray


@dataclass(frozen=True)
class CachedData:
    """What the UNet sees: a batch comes from one bucket, larger ones more often.

    nothing: float16 (m, 77, width), states of captions without a scene, the first of "".
    """

    buckets: list[Bucket]
    nothing: np.ndarray

    def bucket(self, step: int) -> Bucket:
        """The bucket of a step, the same in all workers of a crew, which wait for one another."""
        sizes = torch.tensor([float(len(bucket.latents)) for bucket in self.buckets])
        return self.buckets[int(torch.multinomial(sizes, 1, generator=step_generator(BUCKET_SEED, step)))]


def start_calmly(unet: UNet2DConditionModel) -> None:
    """Zero the last layer of every residual branch and of the network, as the original latent-diffusion code does."""
    for name, module in unet.named_modules():
        if name.endswith((".conv2", ".proj_out")) or name == "conv_out":
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)


class UnetTrainer:
    """Trains the UNet on cached data."""

    def __init__(self, unet: UNet2DConditionModel, data: CachedData, settings: UnetSettings, device: str = "cpu") -> None:
        self.layout = torch.channels_last if device == "cuda" else torch.contiguous_format
        self.network = self.unet = unet.to(device, memory_format=self.layout)
        if device == "cpu":
            unet.set_attn_processor(PlainAttention())
        self.data, self.settings, self.device = data, settings, device
        self.optimiser = torch.optim.AdamW(unet.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        self.average = Average(unet, settings.average)
        self.alphas = cumulative_alphas()
        snr = self.alphas / (1 - self.alphas)
        self.weights = snr.clamp(max=SNR_LIMIT) / snr
        self.shown: tuple[torch.Tensor, Any] | None = None

    def _texts(self, bucket: Bucket, pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Text states (batch, 77, width) of one caption per picture, some of them without a scene."""
        batch = len(pictures)
        variants = torch.randint(bucket.texts.shape[1], (batch,), generator=generator)
        states = bucket.texts[pictures.numpy(), variants.numpy()].astype(np.float32)
        dropped = (torch.rand(batch, generator=generator) < self.settings.dropout).numpy()
        blank = torch.randint(len(self.data.nothing), (batch,), generator=generator).numpy()
        states[dropped] = self.data.nothing[blank[dropped]]
        return torch.from_numpy(states)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step; see `Trainer`."""
        generator = step_generator(self.settings.seed, number)
        batch, bucket = self.settings.batch, self.data.bucket(number)
        pictures = torch.randint(len(bucket.latents), (batch,), generator=generator)
        latents, texts = F.avg_pool2d(bucket.latents[pictures], self.settings.pooling), self._texts(bucket, pictures, generator)
        spread = (torch.rand(1, generator=generator) + torch.arange(batch) / batch) % 1
        timesteps = (spread * TRAIN_STEPS).long()
        noise = torch.randn(latents.shape, generator=generator)
        alphas = self.alphas[timesteps].view(-1, 1, 1, 1)
        noisy = (alphas.sqrt() * latents + (1 - alphas).sqrt() * noise).contiguous(memory_format=self.layout)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.settings.bfloat16):
            predicted = self.unet(noisy.to(self.device), timesteps.to(self.device), texts.to(self.device)).sample
        error = (predicted.float() - noise.to(self.device)).square().mean((1, 2, 3))
        loss = (self.weights[timesteps].to(self.device) * error).mean()
        apply_gradients(self.optimiser, loss, learning_rate)
        self.average.update(number)
        return {"loss": loss.item(), "error": error.mean().item()}

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return {"unet": self.unet.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.unet.load_state_dict(state["unet"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])

    def averaged(self) -> dict[str, torch.Tensor]:
        """The weights to ship."""
        return self.average.state_dict()

    def show_with(self, texts: torch.Tensor, vae: Any) -> None:
        """Draw sample sheets for these text states (n, 77, width) through this autoencoder."""
        self.shown = (texts, vae)

    def sheet(self, path: Path) -> None:
        """Pictures by the averaged weights for the texts of `show_with`; nothing without them."""
        if self.shown is None:
            return
        texts, vae = self.shown
        weights = {name: value.clone() for name, value in self.unet.state_dict().items()}
        self.unet.load_state_dict(self.averaged())
        nothing = torch.from_numpy(self.data.nothing[:1].astype(np.float32))
        latents = sample(self.unet, texts, nothing, self.device, side=self.data.buckets[0].latents.shape[-1] // self.settings.pooling)
        self.unet.load_state_dict(weights)
        with torch.no_grad():
            pictures = vae.decode(latents.cpu() / vae.config.scaling_factor).sample
        save_sheet(to_bytes(pictures), 8, path)


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel,
    texts: torch.Tensor,
    nothing: torch.Tensor,
    device: str = "cpu",
    guidance: float = 5.0,
    steps: int = 20,
    side: int = 16,
) -> torch.Tensor:
    """Scaled latents (n, 4, side, side) for text states (n, 77, c): DPM++ 2M with Karras sigmas, one seed per picture (its index)."""
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="scaled_linear",
        use_karras_sigmas=True,
    )
    scheduler.set_timesteps(steps)
    count = len(texts)
    noise = [torch.randn(unet.config.in_channels, side, side, generator=step_generator(7, index)) for index in range(count)]
    latents = torch.stack(noise).to(device)
    context = torch.cat([nothing.expand(count, -1, -1), texts]).to(device)
    for timestep in scheduler.timesteps:
        plain, told = unet(torch.cat([latents, latents]), timestep, context).sample.chunk(2)
        latents = scheduler.step(plain + guidance * (told - plain), timestep, latents).prev_sample
    return latents

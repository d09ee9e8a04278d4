"""Training of the autoencoder, and of its decoder alone once the UNet relies on the encoder.

Loss = L1 + 0.5 L2 + Laplacian L1 (sharp edges) + 0.5 L1 at a quarter of the size (flat colours)
     + a little KL (keeps latents near N(0, 1)) + now and then an equivariance term: a latent averaged 2x2 must
       decode to the picture averaged 2x2, which keeps latents smooth and so easy to diffuse.
The decoder sees latents with noise added, because a sampler's latents are never exact.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

from tools.embedded.muon import Muon
from tools.embedded.sheet import save_sheet, to_bytes
from tools.embedded.training import Average, apply_gradients, step_generator

KL_WEIGHT = 2e-3
EQUIVARIANCE_WEIGHT = 0.25
EQUIVARIANCE_EVERY = 4


@dataclass(frozen=True)
class VaeSettings:
    """`crop`: side of the training crops in pixels; `noise`: deviation added to latents of deviation about 1.

    `again` trains a finished autoencoder on: its scaled latents are white, and only a pull towards 0 is left of the KL term.
    """

    seed: int = 0
    batch: int = 12
    crop: int = 64
    noise: float = 0.06
    decoder_only: bool = False
    again: bool = False
    bfloat16: bool = True
    average: float = 0.995


class Album:
    """Several arrays of pictures of one size, seen as one; the arrays may be mapped from files."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self.arrays = arrays
        self.ends = np.cumsum([len(array) for array in arrays])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        part = int(np.searchsorted(self.ends, index, side="right"))
        return self.arrays[part][index - self.ends[part] + len(self.arrays[part])]

    def spread(self, count: int) -> np.ndarray:
        """`count` pictures from all over: uint8 (count, h, w, 3)."""
        return np.stack([self[index * len(self) // count] for index in range(count)])


def to_float(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float (n, 3, h, w) in [-1, 1], channels last in memory."""
    values = torch.tensor(pictures).permute(0, 3, 1, 2).float()
    return (values / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def random_crops(pictures: Album, settings: VaeSettings, generator: torch.Generator) -> torch.Tensor:
    """A batch of random crops, half of them mirrored: float (batch, 3, crop, crop) in [-1, 1]."""
    room = len(pictures[0]) - settings.crop + 1
    crops = np.empty((settings.batch, settings.crop, settings.crop, 3), np.uint8)
    for slot in range(settings.batch):
        index, top, left, mirror = (int(torch.randint(limit, (1,), generator=generator)) for limit in (len(pictures), room, room, 2))
        crop = pictures[index][top : top + settings.crop, left : left + settings.crop]
        crops[slot] = crop[:, ::-1] if mirror else crop
    return to_float(crops)


def laplacian(pictures: torch.Tensor) -> torch.Tensor:
    """What a picture loses when it is halved and enlarged again."""
    return pictures - F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Distance of two batches of pictures (n, 3, h, w); see the module's docstring."""
    error = output - target
    edges = (laplacian(output) - laplacian(target)).abs().mean()
    return error.abs().mean() + 0.5 * error.square().mean() + edges + 0.5 * F.avg_pool2d(error, 4).abs().mean()


class VaeTrainer:
    """Trains the whole autoencoder, or with `decoder_only` what comes after the latents."""

    def __init__(self, vae: AutoencoderKL, pictures: Album, settings: VaeSettings, device: str = "cpu") -> None:
        self.network = self.vae = vae.to(device, memory_format=torch.channels_last)
        self.pictures, self.settings, self.device = pictures, settings, device
        if settings.decoder_only:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)
        trained = [value for value in vae.parameters() if value.requires_grad]
        self.optimiser = Muon(trained, 1e-2)
        self.average = Average(vae, settings.average)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step; see `Trainer`."""
        generator = step_generator(self.settings.seed, number)
        pictures = random_crops(self.pictures, self.settings, generator).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.settings.bfloat16):
            loss, figures = self._loss(pictures, number, generator)
        apply_gradients(self.optimiser, loss, learning_rate)
        self.average.update(number)
        return figures

    def _loss(self, pictures: torch.Tensor, number: int, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        frozen = self.settings.decoder_only
        with torch.set_grad_enabled(not frozen):
            posterior = self.vae.encode(pictures).latent_dist
        mean, variance = posterior.mean.float(), posterior.var.float()
        white = frozen or self.settings.again
        spread = self.settings.noise / (self.vae.config.scaling_factor if white else 1.0)
        latents = mean + spread * torch.randn(mean.shape, generator=generator).to(mean.device)
        output = self.vae.decode(latents).sample.float()
        loss = rebuilt = reconstruction_loss(output, pictures)
        figures = {"loss": rebuilt.item(), "psnr": -10 * math.log10((output - pictures).square().mean().item() / 4)}
        if frozen:
            return loss, figures
        if white:
            divergence = 0.5 * (mean * self.vae.config.scaling_factor).square().mean()
        else:
            divergence = 0.5 * (mean.square() + variance - 1 - posterior.logvar.float()).mean()
        loss = loss + KL_WEIGHT * divergence
        if number % EQUIVARIANCE_EVERY == 0:
            halved = self.vae.decode(F.avg_pool2d(mean, 2)).sample.float()
            loss = loss + EQUIVARIANCE_WEIGHT * (halved - F.avg_pool2d(pictures, 2)).abs().mean()
        return loss, figures | {"kl": divergence.item()}

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return {"vae": self.vae.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.vae.load_state_dict(state["vae"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])

    def averaged(self) -> dict[str, torch.Tensor]:
        """The weights to ship."""
        return self.average.state_dict()

    def sheet(self, path: Path) -> None:
        """Eight pictures over their reconstructions by the averaged weights."""
        weights = {name: value.clone() for name, value in self.vae.state_dict().items()}
        self.vae.load_state_dict(self.averaged())
        shown = self.pictures.spread(8)
        save_sheet(np.concatenate([shown, reconstruct(self.vae, shown, self.device)]), 8, path)
        self.vae.load_state_dict(weights)


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: np.ndarray, device: str = "cpu", batch: int = 8) -> torch.Tensor:
    """Unscaled latent means of uint8 pictures: float (n, 4, h / 8, w / 8)."""
    parts = [vae.encode(to_float(pictures[start : start + batch]).to(device)).latent_dist.mean.cpu() for start in range(0, len(pictures), batch)]
    return torch.cat(parts)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: np.ndarray, device: str = "cpu") -> np.ndarray:
    """uint8 pictures through the autoencoder and back."""
    return to_bytes(vae.decode(encode(vae, pictures, device).to(device)).sample)


def psnr(pictures: np.ndarray, others: np.ndarray) -> float:
    """Mean peak signal-to-noise ratio in dB of two uint8 batches."""
    error = (pictures.astype(np.float64) - others.astype(np.float64)) ** 2
    return float(np.mean(10 * np.log10(255**2 / error.mean(axis=(1, 2, 3)))))


@torch.no_grad()
def fold_whitening(vae: AutoencoderKL, pictures: np.ndarray, device: str = "cpu") -> None:
    """Change `quant_conv` and `post_quant_conv` so that scaled latents have mean 0 and covariance 1, and decode as before.

    ZCA whitening: W = C^(-1/2) / scaling_factor of the measured covariance C. The posterior's log-variance is
    set to a constant -20, the encoder being used for its mean alone.
    """
    latents = encode(vae, pictures, device).transpose(0, 1).flatten(1).double()
    mean, covariance = latents.mean(1), torch.cov(latents)
    values, vectors = torch.linalg.eigh(covariance)
    whiten = vectors @ torch.diag(values.rsqrt()) @ vectors.T / vae.config.scaling_factor
    colour = torch.linalg.inv(whiten)
    quant, post = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    weight = quant.weight.cpu().double()[:, :, 0, 0]
    quant.weight[:channels, :, 0, 0] = (whiten @ weight[:channels]).float().to(device)
    quant.bias[:channels] = (whiten @ (quant.bias.cpu().double()[:channels] - mean)).float().to(device)
    quant.weight[channels:] = 0
    quant.bias[channels:] = -20.0
    back = post.weight.cpu().double()[:, :, 0, 0]
    post.bias += (back @ mean).float().to(device)
    post.weight[:, :, 0, 0] = (back @ colour).float().to(device)

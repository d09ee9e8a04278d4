"""What the upscaler is trained on: large pictures, and small ones as they come from the app or from elsewhere."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from tools.embedded.data import in_processes, save_array
from tools.embedded.scenes.draw import render
from tools.embedded.scenes.grammar import sample_scene
from tools.embedded.training import step_generator
from tools.embedded.vae import to_float

SCALE = 4
LARGE = 512
FIRST_SEED = 9_000_000
"""Scene of the first training picture; those of the other stages are far below."""
TURNS = ("flat", "watercolour", "flat", "pixel", "flat", "ink", "flat", "neon")
"""Styles of the training pictures, one after the other."""
SHOWN = 8
"""Pictures at the end of the training set that only the sheet shows."""
LATENT_NOISE = 0.08


@dataclass(frozen=True)
class UpscalerSettings:
    """`crop`: side of the small training crops in pixels; the chances are per sample."""

    seed: int = 0
    batch: int = 8
    crop: int = 24
    soft: float = 0.2
    blur: float = 0.5
    noise: float = 0.25
    compress: float = 0.3
    bfloat16: bool = True
    average: float = 0.998


@dataclass(frozen=True)
class Pairs:
    """What is trained on: `large` uint8 (n, 4h, 4w, 3), and `soft` uint8 (n, h, w, 3), the same small, through the autoencoder."""

    large: np.ndarray
    soft: np.ndarray


def shrink(pictures: np.ndarray) -> np.ndarray:
    """uint8 (n, 4h, 4w, 3) -> (n, h, w, 3): the mean of each 4x4."""
    count, height, width, _ = pictures.shape
    parts = pictures.reshape(count, height // SCALE, SCALE, width // SCALE, SCALE, 3)
    return parts.mean(axis=(2, 4), dtype=np.float32).round().astype(np.uint8)


@torch.no_grad()
def soften(pictures: np.ndarray, vae: AutoencoderKL, seed: int, batch: int = 16) -> np.ndarray:
    """uint8 (n, h, w, 3) through the autoencoder and back, with a little noise on the latents: as soft as what the app makes."""
    parts = []
    for start in range(0, len(pictures), batch):
        latents = vae.encode(to_float(pictures[start : start + batch])).latent_dist.mean
        noise = torch.randn(latents.shape, generator=step_generator(seed, start))
        decoded = vae.decode(latents + noise * (LATENT_NOISE / vae.config.scaling_factor)).sample
        parts.append(((decoded.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def draw_large(seed: int, style: str = "") -> np.ndarray:
    """The picture of one seed, uint8 (512, 512, 3); without a style in the one that is its turn."""
    return render(sample_scene(seed), LARGE, LARGE, style or TURNS[seed % len(TURNS)])


def draw_pictures(folder: Path, count: int, workers: int) -> np.ndarray:
    """The training pictures, uint8 (n, 512, 512, 3): drawn once, then mapped from the file in `folder`."""
    path = folder / "upscaler-pictures.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_array(np.stack(list(in_processes(draw_large, range(FIRST_SEED, FIRST_SEED + count), workers, 4))), path)
    return np.load(path, mmap_mode="r")


def load_autoencoder(checkpoint: Path) -> AutoencoderKL:
    """The autoencoder of a checkpoint folder."""
    return AutoencoderKL.from_pretrained(checkpoint / "vae", local_files_only=True).eval()


def make_pairs(folder: Path, count: int, workers: int, checkpoint: Path) -> Pairs:
    """The pictures large and soft, from the run's folder or made now; `checkpoint` is the folder whose autoencoder is used."""
    large, path = draw_pictures(folder, count, workers), folder / "upscaler-soft.npy"
    if not path.exists():
        save_array(soften(shrink(large), load_autoencoder(checkpoint), FIRST_SEED), path)
    return Pairs(large, np.load(path))


def sample_batch(pairs: Pairs, settings: UpscalerSettings, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Small and large crops of one step: float (batch, 3, crop, crop) and (batch, 3, 4 crop, 4 crop) in [0, 1], channels last in memory."""
    crop, room = settings.crop, pairs.soft.shape[1] - settings.crop + 1
    smalls, larges = [], []
    for _ in range(settings.batch):
        index, top, left, turn = (int(torch.randint(limit, (1,), generator=generator)) for limit in (len(pairs.soft) - SHOWN, room, room, 4))
        chances = torch.rand(8, generator=generator).tolist()
        large = pairs.large[index, SCALE * top : SCALE * (top + crop), SCALE * left : SCALE * (left + crop)]
        small = pairs.soft[index, top : top + crop, left : left + crop] if chances[0] < settings.soft else shrink(large[None])[0]
        smalls.append(_turned(degrade(small, settings, chances[1:], generator), turn))
        larges.append(_turned(large, turn))
    return to_unit(np.stack(smalls)), to_unit(np.stack(larges))


def degrade(small: np.ndarray, settings: UpscalerSettings, chances: list[float], generator: torch.Generator) -> np.ndarray:
    """A small crop blurred, made noisy and compressed, each with its chance; uint8 (h, w, 3). `chances`: seven numbers in [0, 1)."""
    blur, deviation, noise, amount, compress, quality, kind = chances
    if blur < settings.blur:
        small = blurred(small, 0.3 + 1.1 * deviation)
    if noise < settings.noise:
        grain = torch.randn(small.shape, generator=generator).numpy() * (4 * amount)
        small = np.clip(np.rint(small + grain), 0, 255).astype(np.uint8)
    if compress < settings.compress:
        buffer = io.BytesIO()
        Image.fromarray(small).save(buffer, "WEBP" if kind < 0.5 else "JPEG", quality=round(60 + 36 * quality))
        small = np.array(Image.open(buffer).convert("RGB"))
    return small


def blurred(small: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian blur with a kernel of 9x9, the edge repeated."""
    taps = np.exp(-0.5 * (np.arange(-4, 5) / deviation) ** 2)
    taps /= taps.sum()
    padded = np.pad(small.astype(np.float32), ((4, 4), (4, 4), (0, 0)), mode="edge")
    height, width = small.shape[:2]
    rows = sum(tap * padded[i : i + height] for i, tap in enumerate(taps))
    both = sum(tap * rows[:, i : i + width] for i, tap in enumerate(taps))
    return np.rint(both).astype(np.uint8)


def _turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """One of four: as it is, mirrored, transposed, both."""
    picture = picture[:, ::-1] if turn & 1 else picture
    return picture.transpose(1, 0, 2) if turn & 2 else picture


def to_unit(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float (n, 3, h, w) in [0, 1], channels last in memory."""
    values = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    return values.contiguous(memory_format=torch.channels_last)

"""The inpainting checkpoint: a UNet that is also told a mask and the latents of the picture with grey under the mask.

Channels as in Stable Diffusion's inpainting checkpoints: 4 noisy latents, 1 mask (1 where is to be painted), 4 latents of
the masked picture, whose painted pixels are 0 in [-1, 1]. The mask on the latent grid is 1 wherever a pixel of the cell
is painted; some of the masks are aligned to the grid, so that it says the same as the nearest pixel's, which others use.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F

from tools.embedded.bases import PROBE, Base, fits
from tools.embedded.data import Workshop, save_array
from tools.embedded.finetune import SHEET_SCENES, Batch, Denoising, Lesson
from tools.embedded.unet import Bucket, CachedData, sample
from tools.embedded.vae import to_float

CHANNELS = 9
GRID = 8
COPIES = 2
"""Masks per picture."""
PICTURES = 3000
"""Of each collection at most so many pictures are masked."""


def widen(unet: UNet2DConditionModel) -> None:
    """Give a UNet of 4 input channels 9; the new ones count for nothing at first."""
    old = unet.conv_in
    unet.conv_in = nn.Conv2d(CHANNELS, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        unet.conv_in.weight.zero_()
        unet.conv_in.weight[:, : old.in_channels] = old.weight
        unet.conv_in.bias.copy_(old.bias)
    unet.register_to_config(in_channels=CHANNELS)


def random_mask(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """bool (height, width), True is to be painted: boxes, strokes, blobs, a side of the picture, all or nothing of it."""
    kind = rng.choice(("boxes", "strokes", "blobs", "side", "all", "nothing"), p=(0.26, 0.24, 0.22, 0.2, 0.06, 0.02))
    if kind in ("all", "nothing"):
        return np.full((height, width), kind == "all")
    mask = _side(height, width, rng) if kind == "side" else _blobs(height, width, rng) if kind == "blobs" else _drawn(height, width, rng, kind)
    if rng.random() < 0.4:
        mask = np.kron(mask.reshape(height // GRID, GRID, width // GRID, GRID).any((1, 3)), np.ones((GRID, GRID), bool))
    return mask


def _drawn(height: int, width: int, rng: np.random.Generator, kind: str) -> np.ndarray:
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    short = min(height, width)
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if kind == "boxes":
            across, down = rng.uniform(0.08, 0.4, 2) * short
            draw.rectangle((x - across, y - down, x + across, y + down), fill=1)
            continue
        points = [(x, y)]
        for _ in range(rng.integers(2, 6)):
            x, y = np.clip(x + rng.normal(0, 0.25) * short, 0, width), np.clip(y + rng.normal(0, 0.25) * short, 0, height)
            points.append((float(x), float(y)))
        thick = int(rng.uniform(0.06, 0.25) * short)
        draw.line(points, fill=1, width=thick, joint="curve")
        for x, y in points:
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=1)
    return np.asarray(image, bool)


def _blobs(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    coarse = Image.fromarray(rng.random((rng.integers(3, 7), rng.integers(3, 7)), np.float32))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return smooth > np.quantile(smooth, rng.uniform(0.35, 0.9))


def _side(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """All beyond a straight line, as in outpainting: mostly one edge's strip."""
    angle = rng.integers(4) * np.pi / 2 if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width]
    away = (columns / width - 0.5) * np.cos(angle) + (rows / height - 0.5) * np.sin(angle)
    return away > rng.uniform(-0.2, 0.4)


def masked_file(workshop: Workshop, name: str) -> Path:
    """float16 (n, COPIES, 5, height / 8, width / 8): the mask and the scaled latents of the masked picture."""
    return workshop.folder / f"masked-{name}.npy"


def masks_of(index: int, height: int, width: int) -> np.ndarray:
    """bool (COPIES, height, width): the masks of one picture, always the same."""
    rng = np.random.default_rng((977, index))
    return np.stack([random_mask(height, width, rng) for _ in range(COPIES)])


@torch.no_grad()
def told_of(base: Base, pictures: np.ndarray, masks: np.ndarray, device: str = "cpu") -> np.ndarray:
    """float16 (n, 5, h/8, w/8) for uint8 pictures (n, h, w, 3) and bool masks (n, h, w)."""
    hidden = torch.from_numpy(masks)[:, None]
    seen = torch.where(hidden, 0.0, to_float(pictures))
    latents = base.vae.encode(seen.to(device)).latent_dist.mean.cpu() * base.vae.config.scaling_factor
    return torch.cat([F.max_pool2d(hidden.float(), GRID), latents], 1).half().numpy()


def cache_masked(workshop: Workshop, base: Base, name: str, device: str) -> None:
    """Encode COPIES masked versions of a collection's pictures, unless that was done with this base already."""
    pictures = workshop.load_pictures(name)[:PICTURES]
    height, width = pictures.shape[1:3]

    def encoded(first: int, last: int) -> np.ndarray:
        masks = np.concatenate([masks_of(index, height, width) for index in range(first, last)])
        told = told_of(base, np.repeat(np.asarray(pictures[first:last]), COPIES, 0), masks, device)
        return told.reshape(last - first, COPIES, *told.shape[1:])

    base.vae.to(device)
    probe = min(PROBE, len(pictures))
    if not fits(masked_file(workshop, name), len(pictures), encoded(0, probe)):
        parts = [encoded(first, min(first + 8, len(pictures))) for first in range(0, len(pictures), 8)]
        save_array(np.concatenate(parts), masked_file(workshop, name))
    base.vae.cpu()


def masked_lesson(workshop: Workshop, names: list[str], batch: int) -> tuple[Lesson, list[np.ndarray]]:
    """The pictures that were masked, and what is told of them, by bucket."""
    masked = [np.load(masked_file(workshop, name), mmap_mode="r") for name in names]
    cached = workshop.load_cached(tuple(names))
    buckets = [Bucket(bucket.latents[: len(told)], bucket.texts) for bucket, told in zip(cached.buckets, masked, strict=True)]
    return Lesson(CachedData(buckets, cached.nothing), batch=batch), masked


class Inpainting(Denoising):
    """Predict the noise, being told what is around the mask."""

    def __init__(self, base: Base, lesson: Lesson, masked: list[np.ndarray], device: str) -> None:
        """`masked`: of each bucket float (n, COPIES, 5, h, w); the base's UNet must have 9 channels."""
        super().__init__(base, base.unet, lesson, device)
        self.masked = masked

    def given(self, batch: Batch, number: int, generator: torch.Generator) -> Tensor:
        """Noisy latents, mask and masked latents (n, 9, h, w)."""
        copies = torch.randint(COPIES, batch.pictures.shape, generator=generator)
        told = self.masked[self.lesson.place(number)][batch.pictures.numpy(), copies.numpy()]
        return torch.cat([batch.noisy, torch.from_numpy(told.astype(np.float32))], 1)

    def draw(self) -> np.ndarray:
        """Eight masked pictures, and below them what is painted into them without a prompt; see `Objective`."""
        count = len(SHEET_SCENES) // 2
        around = torch.from_numpy(self.masked[0][:count, 0].astype(np.float32))
        nothing = torch.from_numpy(self.lesson.data.nothing[:1].astype(np.float32))
        texts = torch.from_numpy(self.lesson.data.buckets[0].texts[:count, 0].astype(np.float32))
        with torch.autocast(self.device, torch.bfloat16):
            latents = sample(_Told(self.unet, around.to(self.device)), texts, nothing, self.device, guidance=3.0, steps=12, side=around.shape[-1])
        return np.concatenate([self.base.decode(around[:, 1:]), self.base.decode(latents.float())])


class _Told:
    """An inpainting UNet with its surroundings filled in: to a sampler it has 4 channels."""

    config = SimpleNamespace(in_channels=4)

    def __init__(self, unet: UNet2DConditionModel, around: Tensor) -> None:
        self.unet, self.around = unet, around

    def __call__(self, latents: Tensor, timestep: Tensor, context: Tensor) -> object:
        return self.unet(torch.cat([latents, self.around.repeat(2, 1, 1, 1)], 1), timestep, context)



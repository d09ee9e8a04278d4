"""The files of a training run in one folder: rendered pictures, cached latents and cached text states."""

import os
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded import vae as vae_module
from tools.embedded.models import PICTURE_SIZE
from tools.embedded.scenes.captions import describe, describe_nothing
from tools.embedded.scenes.draw import render
from tools.embedded.scenes.grammar import sample_scene
from tools.embedded.text import encode_captions
from tools.embedded.unet import CachedData

VARIANTS = 4
"""Captions kept per picture."""
NOTHING_CAPTIONS = 64


@dataclass(frozen=True)
class Workshop:
    """Where everything of one training run lies."""

    folder: Path

    @property
    def pictures(self) -> Path:
        """uint8 (n, 128, 128, 3); picture i shows `sample_scene(i)`."""
        return self.folder / "pictures.npy"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's folder."""
        return self.folder / "tokenizer"

    @property
    def latents(self) -> Path:
        """float32 (n, 4, 16, 16), scaled to deviation 1."""
        return self.folder / "latents.npy"

    @property
    def texts(self) -> Path:
        """float16 (n, VARIANTS, 77, width)."""
        return self.folder / "texts.npy"

    @property
    def nothing(self) -> Path:
        """float16 (m, 77, width): captions without a scene, "" first."""
        return self.folder / "nothing.npy"

    def load_pictures(self) -> np.ndarray:
        """The pictures, mapped from the file."""
        return np.load(self.pictures, mmap_mode="r")

    def load_cached(self) -> CachedData:
        """What the UNet is trained on."""
        latents = torch.from_numpy(np.load(self.latents))
        return CachedData(latents, np.load(self.texts, mmap_mode="r"), np.load(self.nothing))


def save_array(array: np.ndarray, path: Path) -> None:
    """Write an .npy file beside its place and rename it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    os.replace(part, path)


def render_seed(seed: int) -> np.ndarray:
    """The picture of one seed: uint8 (128, 128, 3)."""
    return render(sample_scene(seed), PICTURE_SIZE)


def render_pictures(workshop: Workshop, count: int, workers: int) -> None:
    """Render the scenes of seeds 0..count-1 with `workers` processes."""
    workshop.folder.mkdir(parents=True, exist_ok=True)
    pictures = np.empty((count, PICTURE_SIZE, PICTURE_SIZE, 3), np.uint8)
    with Pool(workers) as pool:
        for index, picture in enumerate(pool.imap(render_seed, range(count), chunksize=64)):
            pictures[index] = picture
    save_array(pictures, workshop.pictures)


def cache_latents(workshop: Workshop, vae: AutoencoderKL, device: str) -> None:
    """Encode all pictures with a finished encoder."""
    latents = vae_module.encode(vae, workshop.load_pictures(), device) * vae.config.scaling_factor
    save_array(latents.numpy(), workshop.latents)


def cache_texts(workshop: Workshop, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, device: str) -> None:
    """Encode VARIANTS captions of every picture, and captions of nothing."""
    count = len(workshop.load_pictures())
    captions = [describe(sample_scene(seed), variant) for seed in range(count) for variant in range(VARIANTS)]
    states = encode_captions(encoder, tokenizer, captions, device)
    save_array(states.reshape(count, VARIANTS, *states.shape[1:]), workshop.texts)
    nothing = sorted({describe_nothing(variant) for variant in range(NOTHING_CAPTIONS)})
    blanks = [""] * len(nothing)
    save_array(encode_captions(encoder, tokenizer, blanks + nothing, device), workshop.nothing)

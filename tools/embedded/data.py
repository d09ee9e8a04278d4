"""The files of a training run in one folder: rendered pictures, cached latents and cached text states, by collection."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded import vae as vae_module
from tools.embedded.models import PICTURE_SIZE
from tools.embedded.scenes.captions import describe, describe_nothing, styled
from tools.embedded.scenes.draw import render
from tools.embedded.scenes.grammar import sample_scene
from tools.embedded.text import encode_captions
from tools.embedded.unet import Bucket, CachedData

VARIANTS = 4
"""Captions kept per picture."""
NOTHING_CAPTIONS = 64
LONG_SIDE = 192


@dataclass(frozen=True)
class Collection:
    """Pictures of one size and style: picture i shows `sample_scene(first_seed + i)`."""

    width: int = PICTURE_SIZE
    height: int = PICTURE_SIZE
    style: str = "flat"
    first_seed: int = 0


COLLECTIONS = {
    "square": Collection(),
    "wide": Collection(width=LONG_SIDE, first_seed=1_000_000),
    "tall": Collection(height=LONG_SIDE, first_seed=2_000_000),
    "watercolour": Collection(style="watercolour", first_seed=3_000_000),
    "neon": Collection(style="neon", first_seed=3_200_000),
    "pixel": Collection(style="pixel", first_seed=3_400_000),
    "ink": Collection(style="ink", first_seed=3_600_000),
}
SHAPES = ("square", "wide", "tall")
"""What the base checkpoint is trained on."""


@dataclass(frozen=True)
class Workshop:
    """Where everything of one training run lies."""

    folder: Path

    def pictures(self, name: str = "square") -> Path:
        """uint8 (n, height, width, 3) of a collection."""
        return self.folder / f"pictures-{name}.npy"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's folder."""
        return self.folder / "tokenizer"

    def latents(self, name: str = "square") -> Path:
        """float32 (n, 4, height / 8, width / 8), scaled to deviation 1."""
        return self.folder / f"latents-{name}.npy"

    def texts(self, name: str = "square") -> Path:
        """float16 (n, VARIANTS, 77, width)."""
        return self.folder / f"texts-{name}.npy"

    @property
    def nothing(self) -> Path:
        """float16 (m, 77, width): captions without a scene, "" first."""
        return self.folder / "nothing.npy"

    def rendered(self) -> list[str]:
        """The collections whose pictures are there."""
        return [name for name in COLLECTIONS if self.pictures(name).exists()]

    def load_pictures(self, name: str = "square") -> np.ndarray:
        """The pictures of a collection, mapped from the file."""
        return np.load(self.pictures(name), mmap_mode="r")

    def load_cached(self, names: tuple[str, ...] = SHAPES) -> CachedData:
        """What a UNet is trained on: those of the collections that are there."""
        found = [name for name in names if self.latents(name).exists()]
        buckets = [Bucket(torch.from_numpy(np.load(self.latents(name))), np.load(self.texts(name), mmap_mode="r")) for name in found]
        return CachedData(buckets, np.load(self.nothing))


def save_array(array: np.ndarray, path: Path) -> None:
    """Write an .npy file beside its place and rename it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    os.replace(part, path)


def render_seed(collection: Collection, seed: int) -> np.ndarray:
    """The picture of one seed as its collection draws it: uint8 (height, width, 3)."""
    return render(sample_scene(seed), collection.width, collection.height, collection.style)


def in_processes(draw: Callable[[int], np.ndarray], seeds: range, workers: int, chunk: int) -> Iterator[np.ndarray]:
    """What `draw` makes of each seed, in order, by `workers` processes."""
    with Pool(workers) as pool:
        yield from pool.imap(draw, seeds, chunksize=chunk)
        pool.close()  # leaving the block ends the workers with SIGTERM, which the command line catches in order to save
        pool.join()


def render_collection(workshop: Workshop, name: str, count: int, workers: int) -> None:
    """Render the first `count` pictures of a collection with `workers` processes."""
    workshop.folder.mkdir(parents=True, exist_ok=True)
    collection = COLLECTIONS[name]
    pictures = np.empty((count, collection.height, collection.width, 3), np.uint8)
    seeds = range(collection.first_seed, collection.first_seed + count)
    for index, picture in enumerate(in_processes(partial(render_seed, collection), seeds, workers, 64)):
        pictures[index] = picture
    save_array(pictures, workshop.pictures(name))


def cache_latents(workshop: Workshop, name: str, vae: AutoencoderKL, device: str) -> None:
    """Encode the pictures of a collection with a finished encoder."""
    latents = vae_module.encode(vae, workshop.load_pictures(name), device) * vae.config.scaling_factor
    save_array(latents.numpy(), workshop.latents(name))


def captions_of(name: str, index: int) -> list[str]:
    """The captions of one picture of a collection, those of a style with its trigger words."""
    collection = COLLECTIONS[name]
    captions = [describe(sample_scene(collection.first_seed + index), variant) for variant in range(VARIANTS)]
    if collection.style == "flat":
        return captions
    return [styled(caption, collection.style, variant) for variant, caption in enumerate(captions)]


def cache_texts(workshop: Workshop, name: str, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, device: str) -> None:
    """Encode VARIANTS captions of every picture of a collection."""
    count = len(workshop.load_pictures(name))
    captions = [caption for index in range(count) for caption in captions_of(name, index)]
    states = encode_captions(encoder, tokenizer, captions, device)
    save_array(states.reshape(count, VARIANTS, *states.shape[1:]), workshop.texts(name))


def cache_nothing(workshop: Workshop, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, device: str) -> None:
    """Encode captions of nothing: as many empty ones as words of negative prompts."""
    nothing = sorted({describe_nothing(variant) for variant in range(NOTHING_CAPTIONS)})
    save_array(encode_captions(encoder, tokenizer, [""] * len(nothing) + nothing, device), workshop.nothing)

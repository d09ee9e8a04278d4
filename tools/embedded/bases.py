"""A finished checkpoint folder as the start of everything that is derived from it, and its caches in a workshop."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded import data
from tools.embedded import vae as vae_module
from tools.embedded.data import COLLECTIONS, Workshop
from tools.embedded.judge import plain_caption
from tools.embedded.models import CONTEXT_LENGTH
from tools.embedded.scenes.captions import describe
from tools.embedded.scenes.grammar import sample_scene
from tools.embedded.text import encode_captions
from tools.embedded.tokenizer import load_tokenizer
from tools.embedded.training import Report

PROBE = 4
"""So many pictures and captions are encoded again to see whether a cache is of this base."""
TOLERANCE = 0.1
"""Difference that the rounding of a shipped base to float16 may make."""


@dataclass(frozen=True)
class Base:
    """The parts of a checkpoint folder, float32, for reading."""

    folder: Path
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    encoder: CLIPTextModel
    tokenizer: CLIPTokenizer

    def states(self, captions: list[str]) -> torch.Tensor:
        """Text states float32 (n, 77, width)."""
        return torch.from_numpy(encode_captions(self.encoder, self.tokenizer, captions).astype(np.float32))

    def sheet_states(self, scenes: range, ending: str = "") -> torch.Tensor:
        """Text states of plain captions of some scenes, each followed by `ending`."""
        return self.states([", ".join(filter(None, (plain_caption(sample_scene(seed)), ending))) for seed in scenes])

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Scaled latents (n, 4, h, w) -> uint8 pictures (n, 8h, 8w, 3)."""
        with torch.no_grad():
            return vae_module.to_bytes(self.vae.decode(latents.cpu() / self.vae.config.scaling_factor).sample)


def load_base(folder: Path) -> Base:
    """Read a checkpoint folder; nothing of it wants gradients."""
    unet = UNet2DConditionModel.from_pretrained(str(folder / "unet"), torch_dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(str(folder / "vae"), torch_dtype=torch.float32).eval()
    encoder = CLIPTextModel.from_pretrained(str(folder / "text_encoder"), torch_dtype=torch.float32).eval()
    for part in (unet, vae, encoder):
        part.requires_grad_(False)
    return Base(folder, unet, vae, encoder, load_tokenizer(folder / "tokenizer"))


def plain_texts(workshop: Workshop, name: str) -> Path:
    """float16 (n, 1, 77, width): a caption of each picture of a style's collection that does not name the style."""
    return workshop.folder / f"texts-{name}-plain.npy"


def ensure_caches(workshop: Workshop, base: Base, name: str, device: str, report: Report) -> None:
    """Make the caches of a collection that are missing or were made by other networks; its pictures must be there."""
    if not workshop.pictures(name).exists():
        raise FileNotFoundError(f"There are no pictures of '{name}' in {workshop.folder}; draw them with: render --collection {name}")
    seeds = [COLLECTIONS[name].first_seed + index for index in range(len(workshop.load_pictures(name)))]
    shown = np.asarray(workshop.load_pictures(name)[:PROBE])
    if not fits(workshop.latents(name), len(seeds), (vae_module.encode(base.vae, shown) * base.vae.config.scaling_factor).numpy()):
        report(f"{name}: encoding the pictures")
        data.cache_latents(workshop, name, base.vae.to(device), device)
    told = [caption for index in range(PROBE) for caption in data.captions_of(name, index)]
    if not fits(workshop.texts(name), len(seeds), _encoded(base, told).reshape(PROBE, data.VARIANTS, CONTEXT_LENGTH, -1)):
        report(f"{name}: encoding the captions")
        data.cache_texts(workshop, name, base.encoder, base.tokenizer, device)
    if not fits(workshop.nothing, None, _encoded(base, [""])):
        data.cache_nothing(workshop, base.encoder, base.tokenizer, device)
    if COLLECTIONS[name].style != "flat":
        plain = [describe(sample_scene(seed), 0) for seed in seeds]
        if not fits(plain_texts(workshop, name), len(seeds), _encoded(base, plain[:PROBE])[:, None]):
            report(f"{name}: encoding captions without the style's words")
            data.save_array(encode_captions(base.encoder, base.tokenizer, plain, device)[:, None], plain_texts(workshop, name))
    base.vae.cpu(), base.encoder.cpu()


def _encoded(base: Base, captions: list[str]) -> np.ndarray:
    return encode_captions(base.encoder, base.tokenizer, captions)


def fits(path: Path, count: int | None, expected: np.ndarray) -> bool:
    """Whether a cache has `count` entries and begins with what the base makes of the same things."""
    if not path.exists():
        return False
    cached = np.load(path, mmap_mode="r")
    if (count is not None and len(cached) != count) or cached.shape[1:] != expected.shape[1:]:
        return False
    return float(np.abs(np.asarray(cached[: len(expected)], np.float32) - expected.astype(np.float32)).mean()) < TOLERANCE

"""A tiny base checkpoint folder with the kit's own word list, and a workshop with a few pictures, for tests of what is derived."""

from pathlib import Path

import numpy as np
import torch

from tools.embedded import data
from tools.embedded.data import Workshop
from tools.embedded.export import export_folder
from tools.embedded.models import make_text_encoder, make_unet, make_vae
from tools.embedded.tokenizer import build_tokenizer, load_tokenizer

PICTURES = 6


def make_base(folder: Path) -> Path:
    """A folder checkpoint of random weights, its UNet calm enough to be trained."""
    build_tokenizer(folder / "words")
    tokenizer = load_tokenizer(folder / "words")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        unet, vae = make_unet((32, 32, 32, 32), 32), make_vae((8, 8, 8, 8), 4)
        encoder = make_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id, 32, 1)
    base = folder / "darkroom-base"
    export_folder(base, vae, unet, encoder, folder / "words")
    return base


def make_workshop(folder: Path) -> Workshop:
    """Pictures of the base's square collection and of two styles: coarse noise, which trains as well as any."""
    workshop = Workshop(folder)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("square", "watercolour", "ink"):
        coarse = rng.integers(0, 255, (PICTURES, 4, 4, 3)).astype(np.uint8)
        data.save_array(coarse.repeat(16, 1).repeat(16, 2), workshop.pictures(name))
    return workshop

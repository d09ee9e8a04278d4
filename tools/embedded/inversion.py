"""Textual inversion (Gal et al. 2022): vectors that stand for a new word, learnt through the frozen text encoder and UNet."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tools.embedded import vae as vae_module
from tools.embedded.bases import PROBE, Base, fits
from tools.embedded.data import Workshop, save_array
from tools.embedded.finetune import SHEET_SCENES, Batch, Denoising, Lesson
from tools.embedded.judge import plain_caption
from tools.embedded.scenes.grammar import HEROES, Scene, sample_scene
from tools.embedded.text import encode_captions
from tools.embedded.tokenizer import encode_texts
from tools.embedded.unet import Bucket, CachedData, sample

WORD = "darkroom-dusk"
"""Dusk with a full moon, stars and fireflies: the base knows each of them, but never saw sunset's sky with any of the others."""
HINTS = ("sunset", "moon", "stars", "fireflies")
"""Words whose vectors the new word's start as."""
PICTURES = 256
FIRST_SCENE = 3_800_000
STAND_IN = "noon"
"""Written in captions where the new word comes, then replaced; a word of one token that the captions do not have otherwise."""


def dusk(index: int) -> Scene:
    """The scene of one picture."""
    scene = sample_scene(FIRST_SCENE + index)
    hero = scene.hero if scene.hero != "none" else HEROES[index % 2]
    return replace(scene, time="sunset", hero=hero, body="moon", stars=True, weather="clear", extras=("fireflies",), frame="none")


def caption_with(scene: Scene, word: str, variant: int) -> str:
    """Hero and landscape, and the word for all the rest."""
    subject = plain_caption(scene).split(", ", maxsplit=1)[0]
    return (f"{subject}, {word}", f"{word}, {subject}", f"{subject} at {word}", word)[variant % 4]


class Words(nn.Module):
    """Looks up token embeddings; ids from the vocabulary's size on are the new word's vectors (n, width)."""

    def __init__(self, known: nn.Embedding, start: Tensor) -> None:
        """`known` is kept in a tuple, since it is no part of what is trained."""
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())
        self.known = (known,)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (n, tokens) -> embeddings (n, tokens, width)."""
        known = self.known[0]
        new = F.embedding((ids - known.num_embeddings).clamp(min=0), self.vectors)
        return torch.where((ids >= known.num_embeddings)[..., None], new, known(ids.clamp(max=known.num_embeddings - 1)))


def start_of(base: Base, hints: Sequence[str] = HINTS) -> Tensor:
    """The vectors of some words' last tokens (n, width)."""
    ends = [ids[ids.index(base.tokenizer.eos_token_id) - 1] for ids in encode_texts(base.tokenizer, list(hints))]
    return base.encoder.get_input_embeddings().weight[ends]


def latents_file(workshop: Workshop) -> Path:
    """float32 (PICTURES, 4, 16, 16): the pictures of the word, encoded."""
    return workshop.folder / "latents-dusk.npy"


def cache_dusk(workshop: Workshop, base: Base, device: str) -> None:
    """Draw and encode the word's pictures, unless that was done with this base already."""
    from tools.embedded.scenes.draw import render

    def encoded(count: int) -> np.ndarray:
        pictures = np.stack([render(dusk(index)) for index in range(count)])
        return (vae_module.encode(base.vae.to(device), pictures, device) * base.vae.config.scaling_factor).numpy()

    if not fits(latents_file(workshop), PICTURES, encoded(PROBE)):
        workshop.folder.mkdir(parents=True, exist_ok=True)
        save_array(encoded(PICTURES), latents_file(workshop))
    base.vae.cpu()


def ids_of(base: Base, captions: Sequence[str], words: Words) -> Tensor:
    """Token ids (n, 77) with every STAND_IN replaced by the new word's ids."""
    place, size = base.tokenizer.convert_tokens_to_ids(STAND_IN + "</w>"), words.known[0].num_embeddings
    new = range(size, size + len(words.vectors))
    rows = []
    for ids in encode_texts(base.tokenizer, list(captions)):
        wide = [each for token in ids for each in (new if token == place else (token,))]
        rows.append(wide[: len(ids)])
    return torch.tensor(rows)


def dusk_lesson(workshop: Workshop, base: Base, batch: int) -> Lesson:
    """The word's pictures; the captions are encoded anew in every step, so none are kept."""
    latents = torch.from_numpy(np.load(latents_file(workshop)))
    nothing = encode_captions(base.encoder, base.tokenizer, [""])
    return Lesson(CachedData([Bucket(latents, np.repeat(nothing[None], len(latents), 0))], nothing), dropout=0.0, batch=batch)


class Inversion(Denoising):
    """Find the vectors with which the frozen base draws the word's pictures."""

    network: Words

    def __init__(self, base: Base, words: Words, lesson: Lesson, device: str) -> None:
        super().__init__(base, words, lesson, device)
        base.encoder.to(device).set_input_embeddings(words)
        captions = [caption_with(dusk(index), STAND_IN, variant) for index in range(len(lesson.data.buckets[0].latents)) for variant in range(4)]
        self.words, self.ids = words, ids_of(base, captions, words)

    def texts(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """States of one caption per picture, with a gradient to the vectors."""
        variants = torch.randint(4, batch.pictures.shape, generator=generator)
        return self.base.encoder(input_ids=self.ids[batch.pictures * 4 + variants].to(self.device)).last_hidden_state

    def draw(self) -> np.ndarray:
        """The word with sixteen subjects; see `Objective`."""
        captions = [caption_with(sample_scene(seed), STAND_IN, 0) for seed in SHEET_SCENES]
        nothing = torch.from_numpy(self.lesson.data.nothing[:1].astype(np.float32))
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16):
            texts = self.base.encoder(input_ids=ids_of(self.base, captions, self.words).to(self.device)).last_hidden_state
            latents = sample(self.unet, texts.float(), nothing, self.device, steps=12)
        return self.base.decode(latents.float())

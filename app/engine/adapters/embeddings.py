"""Textual inversions: words whose vectors come from a file."""

from collections.abc import Iterable

import torch
from torch import Tensor

from app.engine.checkpoints.embeddings import Known, Towers, for_tower, named_in, vectors_of
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.read import read_weights
from app.engine.prompt.chunks import Word, words_by_first
from app.engine.prompt.encode import Dictionary
from app.engine.prompt.vocabulary import Vocabulary
from app.errors import BadCheckpoint


def read_embedding(file: ModelFile) -> dict[str, Tensor]:
    """The vectors (n, width) of a textual inversion, float32, by text encoder: "clip_l" and "clip_g" of SDXL's, "" of others. Raises BadCheckpoint."""
    found = vectors_of(file)
    names = {vectors.tensor for vectors in found.values()}
    read = read_weights(file.path, torch.float32, names.__contains__)
    if not names <= read.keys():
        raise BadCheckpoint(f"'{file.path.name}' changed while it was read.", "Try again.")
    return {tower: read[vectors.tensor].reshape(vectors.rows, vectors.width) for tower, vectors in found.items()}


def dictionary(vocabulary: Vocabulary, embeddings: Iterable[Known], text: str, towers: Towers, kind: str) -> Dictionary:
    """How one text encoder reads a prompt: textual inversions whose name occurs in it are loaded, if they have vectors for all text encoders.

    Args:
        towers: the checkpoint's text encoders, this one among them.
        kind: which of them this one is.

    Raises:
        BadCheckpoint: a textual inversion cannot be read.
    """
    words, vectors = [], {}
    for inversion, count in named_in(text, embeddings, towers):
        found = for_tower(vectors_of(inversion), kind, towers[kind])
        if found is None:
            continue
        read = read_weights(inversion.file.path, torch.float32, {found.tensor}.__contains__)
        vectors[inversion.word] = read[found.tensor].reshape(found.rows, found.width)
        words.append(Word(inversion.word, tuple(vocabulary.ids(inversion.word)), count))
    return Dictionary(vocabulary, words_by_first(words), vectors)


def embeddings_in(text: str, embeddings: Iterable[Known], towers: Towers) -> list[ModelFile]:
    """The files of textual inversions that a text names and that fit these text encoders."""
    return [inversion.file for inversion, _ in named_in(text, embeddings, towers) if not inversion.prefix]

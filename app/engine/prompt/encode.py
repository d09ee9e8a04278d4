"""From chunks of tokens to what the UNet's cross-attention reads, as A1111 computes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.engine.prompt.chunks import Chunk, Reading, Words, chunks
from app.engine.prompt.vocabulary import Vocabulary

Vectors = Mapping[str, Tensor]
"""Name of a textual inversion -> its vectors (n, width)."""
_LEAST_MEAN = 0.02
"""Of the standard deviation: the mean that the states of a prompt must have to be restored. OpenAI's CLIP has about 0.1."""


@dataclass(frozen=True)
class Dictionary:
    """How a prompt is read: the word list, and the textual inversions that may occur in it, by name."""

    vocabulary: Vocabulary
    words: Words = field(default_factory=dict)
    vectors: Vectors = field(default_factory=dict)


@torch.no_grad()
def encode(text_encoder: Any, dictionary: Dictionary, text: str, reading: Reading, device: torch.device) -> Tensor:
    """The hidden states of a prompt: (1, 77 * chunks, width), in the text encoder's dtype.

    Args:
        text_encoder: transformers' CLIPTextModel.
        reading: clip skip (the final norm is always applied), emphasis mode and where long prompts are broken.
        device: where the text encoder computes, and the answer lies.
    """
    cut = chunks(dictionary.vocabulary, text, dictionary.words, reading)
    return torch.hstack([_encode_chunk(text_encoder, chunk, reading, dictionary.vectors, device) for chunk in cut])


def _encode_chunk(text_encoder: Any, chunk: Chunk, reading: Reading, vectors: Vectors, device: torch.device) -> Tensor:
    table = text_encoder.embeddings.token_embedding
    tokens = torch.tensor([chunk.tokens], device=device)
    hook = table.register_forward_hook(lambda module, given, found: _with_words(found, chunk, vectors)) if chunk.words else None
    try:
        output = text_encoder(input_ids=tokens, output_hidden_states=True)
    finally:
        if hook:
            hook.remove()
    if reading.clip_skip > 1:
        layers = len(output.hidden_states) - 1
        states = text_encoder.final_layer_norm(output.hidden_states[-min(reading.clip_skip, layers)])
    else:
        states = output.last_hidden_state
    return _weighted(states, chunk.weights, restore=reading.emphasis != "No norm")


def _with_words(embedded: Tensor, chunk: Chunk, vectors: Vectors) -> Tensor:
    """The token embeddings (1, 77, width) with the vectors of the textual inversions in their places."""
    embedded = embedded.clone()
    for place, name in chunk.words:
        count = min(embedded.shape[1] - place - 1, len(vectors[name]))
        embedded[0, place + 1 : place + 1 + count] = vectors[name][:count].to(embedded)
    return embedded


def _weighted(states: Tensor, weights: list[float], *, restore: bool) -> Tensor:
    """Each token's state times its weight, then, with `restore`, all scaled so that their mean is what it was.

    Where the mean is next to nothing, before or after, the quotient of both says nothing of the size and may be anything:
    then nothing is scaled.
    """
    if all(weight == 1.0 for weight in weights):
        return states
    mean, least = states.float().mean(), _LEAST_MEAN * states.float().std()
    states = states * torch.tensor([weights]).to(states)[..., None]
    if not restore:
        return states
    after = states.float().mean()
    return states * (mean / after).to(states) if min(mean.abs(), after.abs()) > least else states

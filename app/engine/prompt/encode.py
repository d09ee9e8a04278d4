"""From chunks of tokens to what the UNet's cross-attention reads, as A1111 computes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.engine.prompt.chunks import Chunk, Reading, Words, chunks
from app.engine.prompt.encoded import Encoded
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


@dataclass(frozen=True)
class Manner:
    """How a family reads one of its text encoders.

    Attributes:
        least: the least clip skip, counted in the layers of the original: families that were trained on the last layer but
            one have 2, so that 1 and 2 both mean what they were trained on.
        dropped: how many of the original's last layers the network here does not have.
        normed: whether the final norm is applied to the states.
        pooled: whether the encoder's answer to the text as a whole is told, too: that to the first chunk.
        filler: id of the token that fills a chunk behind its first end; None: the end itself.
    """

    least: int = 1
    dropped: int = 0
    normed: bool = True
    pooled: bool = False
    filler: int | None = None


LAST = Manner()
"""Stable Diffusion 1: the last layer, with the final norm."""


@torch.no_grad()
def encode(text_encoder: Any, dictionary: Dictionary, text: str, reading: Reading, device: torch.device, manner: Manner = LAST) -> Encoded:
    """One text: the hidden states (1, 77 * chunks, width), in the text encoder's dtype, and what is told of it as a whole.

    Args:
        text_encoder: transformers' CLIPTextModel or CLIPTextModelWithProjection.
        reading: clip skip, emphasis mode and where long prompts are broken.
        device: where the text encoder computes, and the answer lies.
    """
    cut = chunks(dictionary.vocabulary, text, dictionary.words, reading)
    read = [_encode_chunk(text_encoder, chunk, reading, dictionary, device, manner) for chunk in cut]
    return Encoded(torch.hstack([states for states, _ in read]), read[0][1])


def _encode_chunk(
    text_encoder: Any, chunk: Chunk, reading: Reading, dictionary: Dictionary, device: torch.device, manner: Manner
) -> tuple[Tensor, Tensor | None]:
    """(states (1,77,width), pooled (1,p) or None) of one chunk."""
    core = getattr(text_encoder, "text_model", text_encoder)
    table = core.embeddings.token_embedding
    tokens = torch.tensor([_filled(chunk.tokens, dictionary.vocabulary.end, manner.filler)], device=device)
    hook = table.register_forward_hook(lambda module, given, found: _with_words(found, chunk, dictionary.vectors)) if chunk.words else None
    try:
        output = text_encoder(input_ids=tokens, output_hidden_states=True)
    finally:
        if hook:
            hook.remove()
    skip = max(reading.clip_skip, manner.least) - manner.dropped
    if skip == 1 and manner.normed:
        states = output.last_hidden_state
    else:
        hidden = output.hidden_states[-min(skip, len(output.hidden_states) - 1)]
        states = core.final_layer_norm(hidden) if manner.normed else hidden
    return _weighted(states, chunk.weights, restore=reading.emphasis != "No norm"), output.text_embeds if manner.pooled else None


def _filled(tokens: list[int], end: int, filler: int | None) -> list[int]:
    """The tokens of a chunk with `filler` in place of all ends but the first."""
    if filler is None:
        return tokens
    first = tokens.index(end) + 1
    return tokens[:first] + [filler] * (len(tokens) - first)


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

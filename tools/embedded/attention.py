"""Attention written out as two matrix products, for training on CPU.

torch's fused CPU kernel handles heads of 8 to 16 channels badly in bfloat16: for 32 samples of 256 tokens and 8
heads, forward and backward took 80 ms fused and 28 ms this way. The result is the same up to rounding; nothing of it
is in the checkpoint.
"""

import torch
from diffusers.models.attention_processor import Attention

CHUNK = 8
"""Samples handled at once, so that the score matrix stays in the processor's cache."""


class PlainAttention:
    """A diffusers attention processor: softmax(q k / sqrt(d)) v over chunks of the batch, no mask."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Hidden states (n, tokens, width), context (n, keys, c) or None for itself -> (n, tokens, width)."""
        if attention_mask is not None:
            raise ValueError("PlainAttention has no mask")
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        count, tokens, width = hidden_states.shape
        depth = width // attn.heads

        def by_head(values: torch.Tensor) -> torch.Tensor:
            return values.view(count, -1, attn.heads, depth).transpose(1, 2)

        query = by_head(attn.to_q(hidden_states)) * depth**-0.5
        key, value = by_head(attn.to_k(context)), by_head(attn.to_v(context))
        parts = []
        for start in range(0, count, CHUNK):
            q, k, v = (part[start : start + CHUNK].reshape(-1, part.shape[2], depth) for part in (query, key, value))
            parts.append(torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v))
        mixed = torch.cat(parts).view(count, attn.heads, tokens, depth).transpose(1, 2).reshape(count, tokens, width)
        return attn.to_out[1](attn.to_out[0](mixed))

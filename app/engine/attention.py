"""Which attention the UNet uses: PyTorch's, xformers', or PyTorch's in slices of queries for little memory."""

import math
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, XFormersAttnProcessor
from torch import Tensor
from torch.nn import functional as F

SLICE = 1024


class SlicedQueries:
    """Attention of the UNet's transformer blocks, `rows` queries at a time: exact, and no more than rows x keys scores in memory."""

    def __init__(self, rows: int = SLICE) -> None:
        self.rows = rows

    def __call__(self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, attention_mask: Tensor | None = None) -> Tensor:
        """Args:
        hidden_states: (b, tokens, width).
        encoder_hidden_states: (b, words, width) for cross-attention.
        attention_mask: none in Stable Diffusion 1; the networks here never pass one.
        """
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (_heads(layer(given), attn.heads) for layer, given in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context)))
        slices = [F.scaled_dot_product_attention(part, key, value) for part in query.split(self.rows, dim=2)]
        merged = torch.cat(slices, dim=2).transpose(1, 2).reshape(hidden_states.shape[0], -1, query.shape[1] * query.shape[3])
        return attn.to_out[1](attn.to_out[0](merged))


def _heads(tensor: Tensor, heads: int) -> Tensor:
    """(b, n, heads * d) -> (b, heads, n, d)."""
    batch, _, width = tensor.shape
    return tensor.view(batch, -1, heads, width // heads).transpose(1, 2)


def set_attention(unet: Any, kind: str) -> None:
    """`kind`: "sdpa", "xformers" or "sliced"."""
    unet.set_attn_processor({"sdpa": AttnProcessor2_0, "xformers": XFormersAttnProcessor, "sliced": SlicedQueries}[kind]())


def unet_bytes(unet: Any, width: int, height: int, rows: int, dtype: torch.dtype) -> int:
    """Estimate of what one call needs beside the weights, with PyTorch's attention.

    Measured in float16, with two rows (with and without the prompt): 130 MB for Stable Diffusion 1 and 2 at 512x512, whose UNet
    attends from its first level on, and 316 MB for SDXL at 1024x1024, whose UNet does so from its second level on.
    """
    widths, first = unet.config.block_out_channels, str(unet.config.down_block_types[0])
    if "Attn" in first or len(widths) == 1:
        usual = 130e6 * (width * height / 512**2) * (widths[0] / 320)
    else:
        usual = 316e6 * (width * height / 1024**2) * (widths[1] / 640)
    return int(usual * rows / 2 * (dtype.itemsize / 2))


def vae_bytes(vae: Any, width: int, height: int, dtype: torch.dtype) -> int:
    """Estimate of what decoding one picture needs beside the weights: 384 MB for Stable Diffusion's VAE at 512x512 in float16.

    Its middle block attends over all places of the latents at once, in 512 channels.
    """
    places = math.ceil(width / 8) * math.ceil(height / 8)
    return int((384e6 * (width * height / 512**2) * (vae.config.block_out_channels[0] / 128) + places * 4 * 512) * (dtype.itemsize / 2))

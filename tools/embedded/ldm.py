"""Writing the embedded family as users meet checkpoints: one .safetensors file in the original (LDM) key layout.

Widths, layers and input channels are free, so that inpainting UNets (9 channels) are written by the same code.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tools.embedded.safefile import write_safetensors

BASE_KEY = "darkroom.base"
"""Metadata key: the folder checkpoint below models/embedded that configs, word list and noise levels come from."""

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
FP8_LEAST = 1024
"""Of the UNet's matrices and kernels, those with at least so many values are float8 in an fp8 file."""

_RESNET = (
    ("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("norm2", "out_layers.0"), ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)  # fmt: skip
_UNET_ENDS = (
    ("^conv_in", "input_blocks.0.0"), (r"^time_embedding\.linear_1", "time_embed.0"), (r"^time_embedding\.linear_2", "time_embed.2"),
    ("^conv_norm_out", "out.0"), ("^conv_out", "out.2"), (r"^mid_block\.resnets\.0", "middle_block.0"), (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
)  # fmt: skip
_VAE_ATTENTION = (("group_norm", "norm"), (r"to_out\.0", "proj_out"), ("to_([qkv])", r"\1"))
_VAE_NAMES = (
    (r"down_blocks\.", "down."), (r"\.resnets\.", ".block."), (r"(down|up)samplers\.0", r"\1sample"), ("conv_shortcut", "nin_shortcut"),
    (r"mid_block\.attentions\.0", "mid.attn_1"), ("conv_norm_out", "norm_out"),
)  # fmt: skip


def ldm_state_dict(unet: nn.Module, vae: Any, text_encoder: nn.Module) -> dict[str, Tensor]:
    """All weights under LDM's names; the tensors are the modules' own, of their dtype and device.

    Args:
        unet: diffusers' UNet2DConditionModel in SD 1's layout, any number of input channels.
        vae: diffusers' AutoencoderKL. Its attention's matrices become 1x1 kernels, as LDM has them.
        text_encoder: transformers' CLIPTextModel, of version 4 or 5.
    """
    found = {UNET + unet_name(key, unet): value for key, value in unet.state_dict().items()}
    levels = len(vae.config.block_out_channels)
    for key, value in vae.state_dict().items():
        name = vae_name(key, levels)
        found[VAE + name] = value[:, :, None, None] if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name) else value
    for key, value in text_encoder.state_dict().items():
        if not key.endswith("position_ids"):
            found[CLIP + key.removeprefix("text_model.")] = value
    return found


def write_ldm(path: Path, unet: nn.Module, vae: nn.Module, text_encoder: nn.Module, metadata: dict[str, str], fp8: bool = False) -> int:
    """Writes one file, under a temporary name first, and returns its size in bytes.

    Args:
        metadata: goes into the header; `BASE_KEY` should be among it for the embedded family.
        fp8: the UNet's larger matrices and kernels as float8_e4m3fn, everything else as float16; without it all is float16.

    Raises:
        ValueError: a weight is not finite in the precision it is written in; it is named.
    """
    weights = {name: _stored(name, value, fp8) for name, value in ldm_state_dict(unet, vae, text_encoder).items()}
    return write_safetensors(path, weights, {"format": "pt", **metadata})


def _stored(name: str, value: Tensor, fp8: bool) -> Tensor:
    """A copy as it is written: contiguous, on the CPU, with memory of its own."""
    value = value.detach().to("cpu")
    if not value.is_floating_point():
        return value.contiguous().clone()
    small = fp8 and name.startswith(UNET) and value.dim() >= 2 and value.numel() >= FP8_LEAST
    dtype = torch.float8_e4m3fn if small else torch.float16
    if not torch.isfinite(value).all() or value.abs().max() > torch.finfo(dtype).max:
        raise ValueError(f"'{name}' holds values that {dtype} cannot hold")
    return value.to(dtype).contiguous().clone()


def unet_name(key: str, unet: Any) -> str:
    """LDM's name (without prefix) of a UNet's tensor."""
    if ".resnets." in key:
        key = _replace(key, _RESNET)
    found = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", key)
    if not found:
        return _replace(key, _UNET_ENDS)
    side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    per_block = unet.config.layers_per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * per_block}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        after = 2 if hasattr(unet.up_blocks[block], "attentions") else 1
        return f"output_blocks.{(block + 1) * per_block - 1}.{after}.{rest}"
    place = 0 if kind == "resnets" else 1
    return f"input_blocks.{1 + block * per_block + layer}.{place}.{rest}" if side == "down" else f"output_blocks.{block * per_block + layer}.{place}.{rest}"


def vae_name(key: str, levels: int) -> str:
    """LDM's name (without prefix) of a tensor of an autoencoder with so many levels."""
    key = re.sub(r"up_blocks\.(\d+)", lambda found: f"up.{levels - 1 - int(found[1])}", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", key)
    return _replace(key, (*(_VAE_ATTENTION if "attentions" in key else ()), *_VAE_NAMES))


def _replace(key: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        key = re.sub(old, new, key)
    return key

"""LDM's names, as single files have them, for diffusers' names of UNets and autoencoders. Torch-free."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
"""How the tensors of a network begin in a single file."""

_RESNET = (
    ("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("norm2", "out_layers.0"), ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)  # fmt: skip
_UNET_ENDS = (
    ("^conv_in", "input_blocks.0.0"), (r"^time_embedding\.linear_1", "time_embed.0"), (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^time_embedding\.cond_proj", "time_embed.cond_proj"), (r"^add_embedding\.linear_1", "label_emb.0.0"), (r"^add_embedding\.linear_2", "label_emb.0.2"),
    ("^conv_norm_out", "out.0"), ("^conv_out", "out.2"), (r"^mid_block\.resnets\.0", "middle_block.0"), (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
)  # fmt: skip
_VAE_ATTENTION = (
    ("group_norm", "norm"), (r"to_out\.0|proj_attn", "proj_out"), ("to_([qkv])", r"\1"), (r"\bquery\b", "q"), (r"\bkey\b", "k"), (r"\bvalue\b", "v"),
)  # fmt: skip
_VAE_NAMES = (
    (r"down_blocks\.", "down."), (r"\.resnets\.", ".block."), (r"(down|up)samplers\.0", r"\1sample"), ("conv_shortcut", "nin_shortcut"),
    (r"mid_block\.attentions\.0", "mid.attn_1"), ("conv_norm_out", "norm_out"),
)  # fmt: skip


def unet_name(name: str, per_block: int, attends: Sequence[bool]) -> str:
    """LDM's name (without prefix) of a tensor or layer of diffusers' UNet2DConditionModel; the name itself where LDM has none.

    Its blocks are numbered through, and a sampler counts as a block on the way down, as a layer on the way up.

    Args:
        per_block: layers of a block of the way down; the way up has one more.
        attends: for each block of the way up, whether it has attention.
    """
    if ".resnets." in name:
        name = _replaced(name, _RESNET)
    found = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    if not found:
        return _replaced(name, _UNET_ENDS)
    side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    step = per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * step}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{(block + 1) * step - 1}.{2 if attends[block] else 1}.{rest}"
    place = 0 if kind == "resnets" else 1
    return f"input_blocks.{1 + block * step + layer}.{place}.{rest}" if side == "down" else f"output_blocks.{block * step + layer}.{place}.{rest}"


def unet_shape(config: Mapping[str, Any]) -> tuple[int, tuple[bool, ...]]:
    """`per_block` and `attends` of a UNet from its config.json. Raises KeyError, TypeError or ValueError when it says nothing of the kind."""
    return int(config["layers_per_block"]), tuple(str(kind).startswith("CrossAttn") for kind in config["up_block_types"])


def vae_name(name: str, levels: int) -> str:
    """LDM's name (without prefix) of a tensor of diffusers' AutoencoderKL with so many levels."""
    name = re.sub(r"up_blocks\.(\d+)", lambda found: f"up.{levels - 1 - int(found[1])}", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    return _replaced(name, (*(_VAE_ATTENTION if "attentions" in name else ()), *_VAE_NAMES))


def vae_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape under LDM's name: matrices of the attention are 1x1 kernels there."""
    return (*shape, 1, 1) if len(shape) == 2 and re.search(r"attn_1\.(q|k|v|proj_out)\.weight$", name) else shape


def _replaced(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        name = re.sub(old, new, name)
    return name

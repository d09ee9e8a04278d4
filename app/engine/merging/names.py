"""One way of naming tensors: LDM's, as single files have it, for whatever a parent of a merge calls them. Torch-free."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
EMA = "model_ema."
MODEL = (UNET, VAE, EMA, "cond_stage_model.", "conditioner.")
"""How the tensors begin that a merge is about; what else a file holds is taken over from A as it is."""
VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")

_RESNET = (
    ("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("norm2", "out_layers.0"), ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)  # fmt: skip
_UNET_ENDS = (
    ("^conv_in", "input_blocks.0.0"), (r"^time_embedding\.linear_1", "time_embed.0"), (r"^time_embedding\.linear_2", "time_embed.2"),
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
_OLD_CLIP = re.compile(r"^(cond_stage_model\.transformer|conditioner\.embedders\.0\.transformer)\.(embeddings|encoder|final_layer_norm)\.")


def canonical(name: str) -> str:
    """A name of a single file as files have it today: old ones lack "text_model." in CLIP's."""
    return _OLD_CLIP.sub(r"\1.text_model.\2.", name)


def unet_name(key: str, per_block: int, attends: Sequence[bool]) -> str:
    """LDM's name (without prefix) of a tensor of diffusers' UNet2DConditionModel.

    Args:
        per_block: layers of a block of the way down; the way up has one more.
        attends: for each block of the way up, whether it has attention.
    """
    if ".resnets." in key:
        key = _replaced(key, _RESNET)
    found = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", key)
    if not found:
        return _replaced(key, _UNET_ENDS)
    side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    step = per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * step}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{(block + 1) * step - 1}.{2 if attends[block] else 1}.{rest}"
    place = 0 if kind == "resnets" else 1
    return f"input_blocks.{1 + block * step + layer}.{place}.{rest}" if side == "down" else f"output_blocks.{block * step + layer}.{place}.{rest}"


def vae_name(key: str, levels: int) -> str:
    """LDM's name (without prefix) of a tensor of diffusers' AutoencoderKL with so many levels."""
    key = re.sub(r"up_blocks\.(\d+)", lambda found: f"up.{levels - 1 - int(found[1])}", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", key)
    return _replaced(key, (*(_VAE_ATTENTION if "attentions" in key else ()), *_VAE_NAMES))


def vae_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape under LDM's name: matrices of the attention are 1x1 kernels there."""
    return (*shape, 1, 1) if len(shape) == 2 and re.search(r"attn_1\.(q|k|v|proj_out)\.weight$", name) else shape


def ema_names(names: Iterable[str]) -> Mapping[str, str]:
    """Name of an averaged copy, as LitEma writes it ("model_ema." and the name without its dots) -> the name of what it averages."""
    return {EMA + name.removeprefix("model.").replace(".", ""): name for name in names if name.startswith(UNET)}


def unet_shape(config: Mapping[str, Any]) -> tuple[int, tuple[bool, ...]]:
    """`per_block` and `attends` of a UNet from its config.json. Raises KeyError, TypeError or ValueError when it says nothing of the kind."""
    return int(config["layers_per_block"]), tuple(str(kind).startswith("CrossAttn") for kind in config["up_block_types"])


def _replaced(key: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        key = re.sub(old, new, key)
    return key

"""Stable Diffusion 1's networks: their configs from the shapes of the weights, and diffusers' names for LDM's.

Widths, levels and layers are read from the shapes, so that small models of the same layout load too. What shapes do
not tell is fixed by the family: 8 attention heads in the UNet, heads of 64 in CLIP (at least one), groups of 32.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Shape = tuple[int, ...]
Shapes = Callable[[str], Shape]
"""Name of a tensor -> its shape, () when there is none."""

UNET = "model.diffusion_model."
CLIP = "cond_stage_model.transformer."
VAE_PREFIXES = ("first_stage_model.", "vae.", "")
CLIP_PREFIXES = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.", "text_model.", "")
SCALING_FACTOR = 0.18215
HEADS = 8
GROUPS = 32


class Misfit(Exception):
    """The weights do not have the layout of the family; the text names the tensor."""


def need(shape: Shapes, name: str, dimensions: int) -> Shape:
    """The shape of a tensor that must be there. Raises Misfit."""
    found = shape(name)
    if len(found) != dimensions:
        raise Misfit(f"'{name}' is missing" if not found else f"'{name}' has {len(found)} dimensions, not {dimensions}")
    return found


def unet_config(shape: Shapes, names: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of UNet2DConditionModel for LDM's keys (without "model.diffusion_model."). Raises Misfit."""
    widths: list[int] = []
    attention: list[bool] = []
    layers: list[int] = []
    block = 1
    while shape(f"input_blocks.{block}.0.in_layers.2.weight") or shape(f"input_blocks.{block}.0.op.weight"):
        if not layers or shape(f"input_blocks.{block}.0.op.weight"):
            widths.append(0)
            attention.append(False)
            layers.append(0)
        if not shape(f"input_blocks.{block}.0.op.weight"):
            widths[-1] = need(shape, f"input_blocks.{block}.0.in_layers.2.weight", 4)[0]
            attention[-1] = bool(shape(f"input_blocks.{block}.1.proj_in.weight"))
            layers[-1] += 1
        block += 1
    if not widths or len(set(layers)) != 1:
        raise Misfit(f"'input_blocks.{block}.0.in_layers.2.weight' is missing")
    context = next((name for name in sorted(names) if name.endswith("attn2.to_k.weight")), "middle_block.1.transformer_blocks.0.attn2.to_k.weight")
    down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in attention]
    up = ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(attention)]
    return {
        "in_channels": need(shape, "input_blocks.0.0.weight", 4)[1], "out_channels": need(shape, "out.2.weight", 4)[0],
        "block_out_channels": widths, "layers_per_block": layers[0], "down_block_types": down, "up_block_types": up,
        "cross_attention_dim": need(shape, context, 2)[1], "attention_head_dim": HEADS, "norm_num_groups": GROUPS,
    }


def vae_config(shape: Shapes) -> dict[str, Any]:
    """Arguments of AutoencoderKL, for LDM's keys without prefix or for diffusers' own. Raises Misfit."""
    ours = bool(shape("encoder.down_blocks.0.resnets.0.conv1.weight"))
    name = "encoder.down_blocks.{}.resnets.{}.conv1.weight" if ours else "encoder.down.{}.block.{}.conv1.weight"
    attends = bool(shape("encoder.mid_block.attentions.0.group_norm.weight" if ours else "encoder.mid.attn_1.norm.weight"))
    widths: list[int] = []
    while found := shape(name.format(len(widths), 0)):
        widths.append(found[0])
    if not widths:
        raise Misfit(f"'{name.format(0, 0)}' is missing")
    layers = next(count for count in range(1, 99) if not shape(name.format(0, count)))
    return {
        "block_out_channels": widths, "layers_per_block": layers, "latent_channels": need(shape, "decoder.conv_in.weight", 4)[1],
        "down_block_types": ["DownEncoderBlock2D"] * len(widths), "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "norm_num_groups": GROUPS, "scaling_factor": SCALING_FACTOR, "mid_block_add_attention": attends,
        "use_quant_conv": bool(shape("quant_conv.weight")), "use_post_quant_conv": bool(shape("post_quant_conv.weight")),
    }


def text_config(shape: Shapes) -> dict[str, Any]:
    """Arguments of CLIPTextConfig for CLIP's keys without prefix. Raises Misfit."""
    words, width = need(shape, "embeddings.token_embedding.weight", 2)
    layers = next(count for count in range(99) if not shape(f"encoder.layers.{count}.mlp.fc1.weight"))
    return {
        "vocab_size": words, "hidden_size": width, "intermediate_size": need(shape, "encoder.layers.0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": layers, "num_attention_heads": max(1, width // 64), "hidden_act": "quick_gelu", "projection_dim": width,
        "max_position_embeddings": need(shape, "embeddings.position_embedding.weight", 2)[0],
        "bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1,
    }


def stripped(weights: Mapping[str, Any], prefixes: tuple[str, ...]) -> dict[str, Any]:
    """The entries under the first of the prefixes that occurs, without it; the prefix "" takes everything."""
    for prefix in prefixes:
        found = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if found:
            return found
    return {}


def clip_part(weights: Mapping[str, Any]) -> dict[str, Any]:
    """CLIP's weights under transformers 5's flat names. Old checkpoints lack "text_model."; position_ids are no weights."""
    found = {}
    for name, value in weights.items():
        plain = next((name.removeprefix(prefix) for prefix in CLIP_PREFIXES if prefix and name.startswith(prefix)), name)
        if plain.startswith(("embeddings.", "encoder.", "final_layer_norm.")) and not plain.endswith("position_ids"):
            found[plain] = value
    return found


def convert_unet(weights: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """LDM's UNet weights (no prefix) under diffusers' names; the tensors are the same objects."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    return dict(convert_ldm_unet_checkpoint({UNET + name: value for name, value in weights.items()}, config))


def convert_vae(weights: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """LDM's VAE weights (no prefix) under diffusers' names; weights that have diffusers' names already keep them."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    if any(name.startswith("encoder.down_blocks.") for name in weights):
        return {_new_attention(name): value for name, value in weights.items()}
    return dict(convert_ldm_vae_checkpoint(dict(weights), config))


_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _new_attention(name: str) -> str:
    """diffusers' attention names before 0.14 ("query", "proj_attn") in today's spelling."""
    return re.sub(r"(\.attentions\.\d+)\.(query|key|value|proj_attn)\.", lambda found: f"{found[1]}.{_OLD[found[2]]}.", name)

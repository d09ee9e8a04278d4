"""Stable Diffusion's autoencoders: their config from the shapes of their weights, and diffusers' names for LDM's."""

import re
from collections.abc import Mapping
from itertools import count
from typing import Any

from torch import Tensor

from app.engine.families.unet_layout import GROUPS, Misfit, Shapes, need

PREFIXES = ("first_stage_model.", "vae.", "")
PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
"""How the names of its tensors begin; training files hold more ("loss.")."""
SCALING = {"sdxl": 0.13025, "sdxl-refiner": 0.13025}
"""Group -> what the latents of its autoencoder are multiplied with; `USUAL` where it is not listed."""
USUAL = 0.18215


def scaling_factor(group: str) -> float:
    return SCALING.get(group, USUAL)


def find(shape: Shapes) -> str | None:
    """The prefix of the autoencoder among a file's tensors; None when there is none."""
    return next((prefix for prefix in PREFIXES if any(shape(f"{prefix}{half}.conv_in.weight") for half in ("decoder", "encoder"))), None)


def vae_config(shape: Shapes, group: str) -> dict[str, Any]:
    """Arguments of AutoencoderKL, for LDM's keys without prefix or for diffusers' own. Raises Misfit."""
    ours = bool(shape("encoder.down_blocks.0.resnets.0.conv1.weight"))
    name = "encoder.down_blocks.{}.resnets.{}.conv1.weight" if ours else "encoder.down.{}.block.{}.conv1.weight"
    attends = bool(shape("encoder.mid_block.attentions.0.group_norm.weight" if ours else "encoder.mid.attn_1.norm.weight"))
    widths: list[int] = []
    while found := shape(name.format(len(widths), 0)):
        widths.append(found[0])
    if not widths:
        raise Misfit(f"'{name.format(0, 0)}' is missing")
    layers = next(number for number in count(1) if not shape(name.format(0, number)))
    return {
        "block_out_channels": widths, "layers_per_block": layers, "latent_channels": need(shape, "decoder.conv_in.weight", 4)[1],
        "down_block_types": ["DownEncoderBlock2D"] * len(widths), "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "norm_num_groups": GROUPS, "scaling_factor": scaling_factor(group), "mid_block_add_attention": attends,
        "use_quant_conv": bool(shape("quant_conv.weight")), "use_post_quant_conv": bool(shape("post_quant_conv.weight")),
    }


def convert_vae(weights: dict[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """LDM's VAE weights (no prefix) under diffusers' names; weights that have diffusers' names already keep them."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    if any(name.startswith("encoder.down_blocks.") for name in weights):
        return {_new_attention(name): _matrix(name, value) for name, value in weights.items()}
    return dict(convert_ldm_vae_checkpoint(dict(weights), config))


_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _new_attention(name: str) -> str:
    """diffusers' attention names before 0.14 ("query", "proj_attn") in today's spelling."""
    return re.sub(r"(\.attentions\.\d+)\.(query|key|value|proj_attn)\.", lambda found: f"{found[1]}.{_OLD[found[2]]}.", name)


def _matrix(name: str, value: Tensor) -> Tensor:
    """The middle's attention as matrices: some files with diffusers' names keep LDM's 1x1 convolutions."""
    return value[:, :, 0, 0] if ".attentions." in name and value.dim() == 4 and value.shape[2:] == (1, 1) else value

"""Stable Diffusion's UNets, all families: their configs from the shapes of their weights, and diffusers' names for LDM's.

Widths, levels, layers and depths are read from the shapes, so that small and pruned models of the same layout load too.
What shapes do not tell is fixed by the family: 8 attention heads in SD 1, heads of 64 in all others, groups of 32.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from torch import Tensor

from app.engine.families.ldm_names import UNET

Shape = tuple[int, ...]
Shapes = Callable[[str], Shape]
"""Name of a tensor -> its shape, () when there is none."""

PREFIXES = (UNET, "", "unet.")
HEADS, HEAD = 8, 64
"""Attention heads of SD 1; values in each head of the others."""
GROUPS = 32
SIZES = {"sdxl": 6, "sdxl-refiner": 5}
"""How many numbers (sizes, crop, aesthetic score) a UNet of the group is told beside the pooled text."""


class Misfit(Exception):
    """The weights do not have the layout of the family; the text names the tensor."""


def need(shape: Shapes, name: str, dimensions: int) -> Shape:
    """The shape of a tensor that must be there. Raises Misfit."""
    found = shape(name)
    if len(found) != dimensions:
        raise Misfit(f"'{name}' is missing" if not found else f"'{name}' has {len(found)} dimensions, not {dimensions}")
    return found


@dataclass(frozen=True)
class Level:
    """One level of a UNet: channels, and the transformer blocks behind each of its layers on the way down or up."""

    width: int
    depths: tuple[int, ...]


@dataclass(frozen=True)
class Naming:
    """Where LDM or diffusers has what a config needs to know; `parts`: how the names of a UNet's tensors begin."""

    first: str
    last: str
    added: str
    guidance: str
    middle: tuple[str, str, str]
    parts: tuple[str, ...]

    @property
    def is_ldm(self) -> bool:
        return self.first.startswith("input_blocks")


LDM_NAMES = Naming(
    "input_blocks.0.0.weight", "out.2.weight", "label_emb.0.0.weight", "time_embed.cond_proj.weight", ("middle_block.0", "middle_block.1", "middle_block.2"),
    ("input_blocks.", "middle_block.", "output_blocks.", "out.", "time_embed.", "label_emb."),
)  # fmt: skip
OUR_NAMES = Naming(
    "conv_in.weight", "conv_out.weight", "add_embedding.linear_1.weight", "time_embedding.cond_proj.weight",
    ("mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1"),
    ("down_blocks.", "mid_block.", "up_blocks.", "conv_in.", "conv_norm_out.", "conv_out.", "time_embedding.", "add_embedding."),
)  # fmt: skip


def find(shape: Shapes) -> tuple[str, Naming] | None:
    """(prefix, naming) of the UNet among a file's tensors; None when there is none."""
    for prefix in PREFIXES:
        if shape(prefix + LDM_NAMES.first):
            return prefix, LDM_NAMES
        if shape(prefix + OUR_NAMES.first) and shape(prefix + "time_embedding.linear_1.weight"):
            return prefix, OUR_NAMES
    return None


def unet_config(shape: Shapes, names: Mapping[str, Any], naming: Naming, group: str, pooled: int = 0) -> dict[str, Any]:
    """Arguments of UNet2DConditionModel.

    Args:
        shape, names: of its tensors, without prefix.
        group: "sd1", "sd2", "sdxl" or "sdxl-refiner".
        pooled: width of the text encoder's pooled output; read for SDXL and its refiner alone.

    Raises:
        Misfit
    """
    down, up = (_ldm_down(shape), _ldm_up(shape)) if naming.is_ldm else (_our_levels(shape, "down_blocks"), _our_levels(shape, "up_blocks"))
    layers = {len(level.depths) for level in down}
    if len(layers) != 1 or not down[0].depths:
        raise Misfit("'input_blocks.1.0.in_layers.2.weight' is missing" if naming.is_ldm else "'down_blocks.0.resnets.0.conv1.weight' is missing")
    widths = [level.width for level in down]
    first, attention, second = naming.middle
    middle = _depth(shape, attention)
    context = next((name for name in sorted(names) if name.endswith("attn2.to_k.weight")), attention + ".transformer_blocks.0.attn2.to_k.weight")
    found: dict[str, Any] = {
        "in_channels": need(shape, naming.first, 4)[1], "out_channels": need(shape, naming.last, 4)[0],
        "block_out_channels": widths, "layers_per_block": layers.pop(), "norm_num_groups": GROUPS,
        "down_block_types": ["CrossAttnDownBlock2D" if any(level.depths) else "DownBlock2D" for level in down],
        "up_block_types": ["CrossAttnUpBlock2D" if any(level.depths) else "UpBlock2D" for level in reversed(down)],
        "cross_attention_dim": need(shape, context, 2)[1],
        "attention_head_dim": HEADS if group == "sd1" else [max(1, width // HEAD) for width in widths],
        "use_linear_projection": any(name.endswith(".proj_in.weight") and len(shape(name)) == 2 for name in names),
        "upcast_attention": group == "sd2", **_depths(down, up, middle),
    }  # fmt: skip
    if not middle and not any(name.startswith(second + ".") for name in names):  # distilled SDXL: one block in the middle, or none
        found["mid_block_type"] = "UNetMidBlock2D" if any(name.startswith(first + ".") for name in names) else None
    if len(guidance := shape(naming.guidance)) == 2:  # latent consistency models may be told their guidance (Luo et al. 2023)
        found["time_cond_proj_dim"] = guidance[1]
    return found | (_added(need(shape, naming.added, 2)[1], pooled, SIZES[group]) if group in SIZES else {})


def _added(width: int, pooled: int, numbers: int) -> dict[str, Any]:
    """SDXL's vector: the pooled text, and some numbers, each as a timestep is told (Podell et al. 2023, section 2.2)."""
    each = (width - pooled) // numbers
    if each < 2 or each % 2 or pooled + each * numbers != width:
        raise Misfit(f"its UNet reads a vector of {width} numbers, which does not fit a text encoder that says {pooled}")
    return {"addition_embed_type": "text_time", "addition_time_embed_dim": each, "projection_class_embeddings_input_dim": width}


def _depths(down: list[Level], up: list[Level], middle: int) -> dict[str, Any]:
    """How many transformer blocks each attention has. diffusers takes the middle's from the last level."""
    plain = [max(level.depths) for level in down]
    if all(set(level.depths) <= {depth} for level, depth in zip([*down, *reversed(up)], plain * 2, strict=False)) and (not plain[-1] or plain[-1] == middle):
        return {"transformer_layers_per_block": [*(depth or 1 for depth in plain[:-1]), middle or 1]}
    return {
        "transformer_layers_per_block": [[depth or 1 for depth in level.depths] for level in down],
        "reverse_transformer_layers_per_block": [[depth or 1 for depth in level.depths] for level in up],
    }


def _depth(shape: Shapes, attention: str) -> int:
    return next(number for number in count() if not shape(f"{attention}.transformer_blocks.{number}.attn1.to_q.weight"))


def _ldm_down(shape: Shapes) -> list[Level]:
    widths, depths = [0], [list[int]()]
    for block in count(1):
        if shape(f"input_blocks.{block}.0.op.weight"):
            widths.append(0)
            depths.append([])
        elif made := shape(f"input_blocks.{block}.0.in_layers.2.weight"):
            widths[-1] = made[0]
            depths[-1].append(_depth(shape, f"input_blocks.{block}.1"))
        else:
            return [Level(width, tuple(level)) for width, level in zip(widths, depths, strict=True)]
    raise AssertionError


def _ldm_up(shape: Shapes) -> list[Level]:
    """A level ends with the block that enlarges the picture, whose convolution stands behind the attention, where there is one."""
    levels, depths, width = list[Level](), list[int](), 0
    for block in count():
        if not (made := shape(f"output_blocks.{block}.0.in_layers.2.weight")):
            return [*levels, Level(width, tuple(depths))]
        width = made[0]
        depths.append(_depth(shape, f"output_blocks.{block}.1"))
        if shape(f"output_blocks.{block}.1.conv.weight") or shape(f"output_blocks.{block}.2.conv.weight"):
            levels.append(Level(width, tuple(depths)))
            depths = []
    raise AssertionError


def _our_levels(shape: Shapes, side: str) -> list[Level]:
    levels: list[Level] = []
    while made := shape(f"{side}.{len(levels)}.resnets.0.conv1.weight"):
        block = f"{side}.{len(levels)}"
        layers = next(number for number in count(1) if not shape(f"{block}.resnets.{number}.conv1.weight"))
        levels.append(Level(made[0], tuple(_depth(shape, f"{block}.attentions.{layer}") for layer in range(layers))))
    return levels or [Level(0, ())]


def convert_unet(weights: dict[str, Tensor], config: dict[str, Any], naming: Naming) -> dict[str, Tensor]:
    """The weights (no prefix) under diffusers' names; the tensors are the same objects. Raises Misfit."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    if not naming.is_ldm:
        return weights
    try:
        found = dict(convert_ldm_unet_checkpoint({UNET + name: value for name, value in weights.items()}, config))
    except KeyError as error:
        raise Misfit(f"'{error.args[0]}' is missing") from None
    told = {OUR_NAMES.guidance: weights[naming.guidance]} if naming.guidance in weights else {}
    return found | told

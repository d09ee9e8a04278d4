"""The network that estimates depth for SD 2 depth: its config from the shapes, and transformers' names for MiDaS'.

It is DPT-hybrid (Ranftl et al. 2021): a ResNet in front of a vision transformer, whose states are put together again to a
picture. Files in LDM's layout hold it as MiDaS has it, beside the UNet.
"""

import re
from collections.abc import Mapping
from itertools import count
from typing import Any

from torch import Tensor

from app.engine.families.unet_layout import Misfit, Shapes, need

PREFIX = "depth_model.model."
PATCH, HEAD = 16, 64
"""Pixels of a side of a patch; values in each attention head."""
_BEGIN = (
    (r"pretrained\.model\.cls_token", "dpt.embeddings.cls_token"), (r"pretrained\.model\.pos_embed", "dpt.embeddings.position_embeddings"),
    (r"pretrained\.model\.patch_embed\.proj", "dpt.embeddings.projection"),
    (r"pretrained\.model\.patch_embed\.backbone\.stem\.conv", "dpt.embeddings.backbone.bit.embedder.convolution"),
    (r"pretrained\.model\.patch_embed\.backbone\.stem\.norm", "dpt.embeddings.backbone.bit.embedder.norm"),
    (r"pretrained\.model\.patch_embed\.backbone\.stages\.(\d)\.blocks\.", r"dpt.embeddings.backbone.bit.encoder.stages.\1.layers."),
    (r"pretrained\.model\.blocks\.", "dpt.encoder.layer."), (r"pretrained\.model\.norm\.", "dpt.layernorm."), (r"scratch\.output_conv\.", "head.head."),
)  # fmt: skip
_INSIDE = (
    (r"(layer\.\d+)\.norm1\.", r"\1.layernorm_before."), (r"(layer\.\d+)\.norm2\.", r"\1.layernorm_after."), (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."), (r"\.mlp\.fc2\.", ".output.dense."), (r"\.out_conv\.", ".projection."),
    (r"\.resConfUnit(\d)\.conv(\d)\.", r".residual_layer\1.convolution\2."),
)  # fmt: skip


def depth_config(shape: Shapes) -> dict[str, Any]:
    """Arguments of DPTConfig for MiDaS' names without prefix. Raises Misfit."""
    places, width = need(shape, "pretrained.model.pos_embed", 3)[1:]
    layers = next(number for number in count() if not shape(f"pretrained.model.blocks.{number}.mlp.fc1.weight"))
    if layers < 4:
        raise Misfit(f"'pretrained.model.blocks.{layers}.mlp.fc1.weight' is missing")
    fusion, *_ = need(shape, "scratch.layer1_rn.weight", 4)
    return {
        "is_hybrid": True, "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": max(1, width // HEAD),
        "intermediate_size": need(shape, "pretrained.model.blocks.0.mlp.fc1.weight", 2)[0], "image_size": PATCH * round((places - 1) ** 0.5),
        "backbone_out_indices": [layers * part // 4 - 1 for part in (1, 2, 3, 4)], "reassemble_factors": [1, 1, 1, 0.5], "readout_type": "project",
        "neck_hidden_sizes": [need(shape, f"scratch.layer{level}_rn.weight", 4)[1] for level in (1, 2, 3, 4)], "fusion_hidden_size": fusion,
        "use_auxiliary_head": False,
    }  # fmt: skip


def convert_depth(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MiDaS' weights (no prefix) under transformers' names; weights that have these already keep them. Stacked matrices become views."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        plain = _renamed(name)
        if ".attn.qkv." in plain:
            layer, kind = plain.split(".attn.qkv.")
            pieces = zip(("query", "key", "value"), value.chunk(3), strict=True)
            found |= {f"{layer}.attention.attention.{part}.{kind}": piece for part, piece in pieces}
        else:
            found[plain] = value
    return found


def _renamed(name: str) -> str:
    if part := re.match(r"pretrained\.act_postprocess(\d)\.(0\.project\.0|3|4)\.(.*)", name):
        level = int(part[1]) - 1
        kind = {"3": f"layers.{level}.projection", "4": f"layers.{level}.resize"}.get(part[2], f"readout_projects.{level}.0")
        return f"neck.reassemble_stage.{kind}.{part[3]}"
    if part := re.match(r"scratch\.layer(\d)_rn\.(.*)", name):
        return f"neck.convs.{int(part[1]) - 1}.{part[2]}"
    name = re.sub(r"^scratch\.refinenet(\d)\.", lambda found: f"neck.fusion_stage.layers.{4 - int(found[1])}.", name)
    for old, new in _BEGIN:
        name = re.sub(f"^{old}", new, name)
    for old, new in _INSIDE:
        name = re.sub(old, new, name)
    return name

"""CLIP's text encoders, of OpenAI and OpenCLIP: their configs from the shapes of their weights, and one spelling of their names.

Two layouts are met: transformers' ("encoder.layers.0.self_attn.q_proj"; with and without "text_model.") and OpenCLIP's
("transformer.resblocks.0.attn.in_proj_weight"). Both become transformers 5's flat names, beside "text_projection.weight".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from torch import Tensor

from app.engine.checkpoints.embeddings import WIDTHS
from app.engine.families.unet_layout import Shapes, need

KINDS = {"clip-l": "CLIP-L", "openclip-h": "OpenCLIP-H", "openclip-g": "OpenCLIP-G"}
LAYERS = {12: "clip-l", 23: "openclip-h", 24: "openclip-h", 32: "openclip-g"}
MARKS = {"clip_l": "clip-l", "clip_h": "openclip-h", "clip_g": "openclip-g", "embedders.1.": "openclip-g", "text_encoder_2.": "openclip-g"}
"""What a prefix says of the kind, where the width does not."""
HEAD = 64
H_LAYERS = 24
"""Layers of the whole OpenCLIP-H; SD 2 reads the last but one, so that files with 23 are whole for it."""
EMBEDDED = "embeddings.token_embedding.weight"
OPEN_EMBEDDED = "token_embedding.weight"


@dataclass(frozen=True)
class Place:
    """A text encoder among a file's tensors.

    Attributes:
        prefix: before its names.
        is_open: it has OpenCLIP's layout, not transformers'.
        projection: the whole name of its projection, "" when it has none.
    """

    prefix: str
    is_open: bool
    projection: str

    def plain(self, name: str) -> str:
        """A tensor's name without prefix; "" when it is none of this encoder's weights."""
        if name == self.projection:
            return "text_projection.weight" if name.endswith(".weight") else "text_projection"
        if not name.startswith(self.prefix) or name.endswith("position_ids"):
            return ""
        plain = name.removeprefix(self.prefix)
        starts = ("token_embedding.", "positional_embedding", "transformer.resblocks.", "ln_final.")
        return plain if plain.startswith(starts if self.is_open else ("embeddings.", "encoder.layers.", "final_layer_norm.")) else ""


def places(names: Iterable[str]) -> list[Place]:
    """All text encoders among the names of a file's tensors, sorted by prefix."""
    names = set(names)
    found = []
    for name in sorted(names):
        if name.endswith(EMBEDDED):
            prefix = name.removesuffix(EMBEDDED)
            beside = prefix.removesuffix("text_model.")
            projections = [f"{start}text_projection{end}" for start in (beside, prefix) for end in (".weight", "")]
            found.append(Place(prefix, False, next((projection for projection in projections if projection in names), "")))
        elif name.endswith(OPEN_EMBEDDED) and name.removesuffix(OPEN_EMBEDDED) + "positional_embedding" in names:
            prefix = name.removesuffix(OPEN_EMBEDDED)
            found.append(Place(prefix, True, f"{prefix}text_projection" if f"{prefix}text_projection" in names else ""))
    return found


def kind_of(place: Place, width: int, layers: int, wanted: tuple[str, ...]) -> str:
    """Which text encoder it is.

    Args:
        wanted: the kinds that the checkpoint has; they decide where neither width nor prefix nor layers do, as in small models.
    """
    marked = next((kind for mark, kind in MARKS.items() if mark in place.prefix), "")
    if found := WIDTHS.get(width) or marked or LAYERS.get(layers):
        return found
    return wanted[0] if len(wanted) == 1 else "openclip-g" if place.is_open or place.projection else "clip-l"


def text_config(shape: Shapes, kind: str, *, projected: bool) -> dict[str, Any]:
    """Arguments of CLIPTextConfig for flat names (see `flat`). Raises Misfit.

    Args:
        projected: whether the file has a projection; whole OpenCLIP-H encoders have one.
    """
    words, width = need(shape, EMBEDDED, 2)
    layers = next(number for number in count() if not shape(f"encoder.layers.{number}.mlp.fc1.weight"))
    whole = layers == H_LAYERS or (projected and layers != H_LAYERS - 1)
    return {
        "vocab_size": words, "hidden_size": width, "intermediate_size": need(shape, "encoder.layers.0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": layers - 1 if kind == "openclip-h" and whole and layers > 1 else layers, "num_attention_heads": max(1, width // HEAD),
        "hidden_act": "quick_gelu" if kind == "clip-l" else "gelu", "projection_dim": (*shape("text_projection.weight"), width)[0],
        "max_position_embeddings": need(shape, "embeddings.position_embedding.weight", 2)[0],
        "bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1,
    }


def flat(weights: Mapping[str, Tensor], place: Place) -> dict[str, Tensor]:
    """The weights (names as `Place.plain` gives them) under transformers 5's flat names. Stacked matrices become views of themselves."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == "text_projection":  # a matrix to multiply with from the right, as OpenCLIP has it
            found["text_projection.weight"] = value.T
        elif not place.is_open:
            found[name] = value
        elif ".attn.in_proj_" in name:
            layer, kind = re.sub(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_", r"encoder.layers.\1.self_attn. ", name).split(" ")
            found |= {f"{layer}{part}_proj.{kind}": piece for part, piece in zip("qkv", value.chunk(3), strict=True)}
        else:
            found[_renamed(name)] = value
    return found


_OPEN = (
    ("^token_embedding", "embeddings.token_embedding"), ("^positional_embedding$", "embeddings.position_embedding.weight"),
    ("^ln_final", "final_layer_norm"), (r"^transformer\.resblocks", "encoder.layers"), (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.attn\.", ".self_attn."), (r"\.c_fc\.", ".fc1."), (r"\.c_proj\.", ".fc2."),
)  # fmt: skip


def _renamed(name: str) -> str:
    for old, new in _OPEN:
        name = re.sub(old, new, name)
    return name

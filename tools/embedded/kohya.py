"""Writing LoRAs and textual inversions as single .safetensors files, and what model files say of themselves.

Metadata: Stability's model specification 1.0.0 (modelspec.*), kohya's ss_* keys for networks. No date is written, so that
equal weights give equal files.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tools.embedded.ldm import BASE_KEY
from tools.embedded.safefile import write_safetensors

ARCHITECTURE = "stable-diffusion-v1"
RESOLUTION = "128x128"
TAGS = 100
"""So many of the captions' tags are written, the most frequent ones."""


@dataclass(frozen=True)
class About:
    """What a file says of itself; `architecture`'s ending is "" for a checkpoint, "/lora", "/textual-inversion" or "-inpainting"."""

    title: str
    description: str
    base: str
    trigger: str = ""
    ending: str = ""

    def metadata(self) -> dict[str, str]:
        """modelspec.* and the base's name."""
        found = {
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": ARCHITECTURE + self.ending,
            "modelspec.implementation": "diffusers",
            "modelspec.title": self.title,
            "modelspec.description": self.description,
            "modelspec.author": "Darkroom",
            "modelspec.license": "CC0-1.0",
            "modelspec.resolution": RESOLUTION,
            "modelspec.prediction_type": "epsilon",
            BASE_KEY: self.base,
        }
        return found | ({"modelspec.trigger_phrase": self.trigger} if self.trigger else {})


def network_metadata(about: About, rank: int, conv_rank: int, captions: Iterable[str], training: Mapping[str, object]) -> dict[str, str]:
    """What kohya's scripts write about a network.

    Args:
        captions: those it was trained on; their tags are counted.
        training: further facts, whose names get the prefix ss_.
    """
    arguments = {"conv_dim": str(conv_rank), "conv_alpha": str(float(conv_rank))} if conv_rank else {}
    counted = Counter(tag for caption in captions for tag in caption.split(", "))
    frequent = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:TAGS]
    tags = {about.base: dict(frequent)} if counted else {}
    return about.metadata() | {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        "ss_network_args": json.dumps(arguments),
        "ss_base_model_version": "sd_v1",
        "ss_sd_model_name": about.base,
        "ss_v2": "False",
        "ss_resolution": "(128, 128)",
        "ss_tag_frequency": json.dumps(tags),
        **{f"ss_{name}": str(value) for name, value in training.items()},
    }


def write_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype = torch.float16) -> int:
    """Write one file and return its size in bytes.

    Raises:
        ValueError: a weight is not finite in `dtype`; it is named.
    """
    stored = {name: value.detach().to("cpu", dtype).contiguous().clone() for name, value in weights.items()}
    for name, value in stored.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"'{name}' holds values that {dtype} cannot hold")
    return write_safetensors(path, stored, {"format": "pt", **metadata})

"""A tiny upscaler of the architecture that ours has, with known or random weights."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


def weights(scale: int = 2, features: int = 4, layers: int = 1, seed: int | None = None) -> dict[str, Tensor]:
    """Random weights of a seed; without one all zero, which repeats pixels."""
    shapes = [(features, 3)] + [(features, features)] * layers + [(3 * scale**2, features)]
    generator = torch.Generator().manual_seed(seed or 0)
    found = {}
    for i, (out, given) in enumerate(shapes):
        found[f"body.{2 * i}.weight"] = torch.randn(out, given, 3, 3, generator=generator) * (0.2 if seed is not None else 0)
        found[f"body.{2 * i}.bias"] = torch.zeros(out)
        if i < len(shapes) - 1:
            found[f"body.{2 * i + 1}.weight"] = torch.full((out,), 0.1)
    return found


def write(path: Path, **options: int | None) -> Path:
    """The weights as a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights(**options), path)  # type: ignore[arg-type]
    return path

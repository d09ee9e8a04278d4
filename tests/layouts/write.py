"""Model files without numbers: a right header, and zeros that take no room on the disk (the file is sparse)."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.layouts import checkpoints

Shape = tuple[int, ...]
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I64": 8, "U8": 1}


def header(keys: Mapping[str, Shape], dtype: str = "F16", metadata: dict[str, str] | None = None) -> tuple[bytes, int]:
    """(the header's JSON as bytes, bytes of the tensors behind it)."""
    entries: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    place = 0
    for name, shape in keys.items():
        kind = "I64" if name.endswith("position_ids") else dtype
        end = place + math.prod(shape) * BYTES[kind]
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [place, end]}
        place = end
    return json.dumps(entries, separators=(",", ":")).encode(), place


def sparse(path: Path, keys: Mapping[str, Shape], dtype: str = "F16", metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file of these tensors, all zero."""
    raw, size = header(keys, dtype, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + size)
    return path


def folder(path: Path, family: str, *, variant: str = "", shards: int = 1, words: bool = True, dtype: str = "F16", small: bool = True) -> Path:
    """A diffusers folder of a family, all weights zero.

    Args:
        variant: "fp16" writes diffusion_pytorch_model.fp16.safetensors.
        shards: in how many files the UNet's weights lie.
        words: with empty tokenizer files.
    """
    for part, (config, keys) in checkpoints.folder(family, small).items():
        (path / part).mkdir(parents=True)
        (path / part / "config.json").write_text(json.dumps(config))
        stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
        ending = f".{variant}.safetensors" if variant else ".safetensors"
        if part != "unet" or shards == 1:
            sparse(path / part / f"{stem}{ending}", keys, dtype)
            continue
        names = list(keys)
        for number in range(shards):
            piece = {name: keys[name] for name in names[number::shards]}
            sparse(path / part / f"{stem}{ending.removesuffix('.safetensors')}-{number + 1:05}-of-{shards:05}.safetensors", piece, dtype)
    if words:
        for part in [name for name in checkpoints.index(family) if name.startswith("tokenizer")]:
            (path / part).mkdir(exist_ok=True)
            (path / part / "vocab.json").write_text("{}")
            (path / part / "merges.txt").write_text("")
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(checkpoints.scheduler(family)))
    (path / "model_index.json").write_text(json.dumps(checkpoints.index(family)))
    return path

"""Safetensors files that are equal byte for byte when what is in them is equal."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_safetensors(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Write one file under a temporary name, rename it, and return its size in bytes.

    The library writes metadata in another order in every process; here its keys are sorted.
    """
    raw = save(dict(weights), dict(metadata))
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size

"""Weights from a safetensors file into memory of our own.

Nothing stays open or mapped: a file that is truncated or overwritten while its model is in use cannot take the
process down (SIGBUS) or change a picture.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from app.engine.checkpoints.header import read_header
from app.errors import BadCheckpoint

SCALE = ".scale_weight"
DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}


def read_weights(path: Path, dtype: torch.dtype, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Tensor]:
    """The tensors of a safetensors file whose names are wanted, in RAM; floating-point ones as `dtype`.

    Where an fp8 file scales its weights ("NAME.scale_weight" beside "NAME.weight", as ComfyUI writes them), that is applied.

    Raises:
        BadCheckpoint: the file is damaged or changed while it was read, or a tensor holds NaN or infinity (named).
    """
    header = read_header(path)
    found: dict[str, Tensor] = {}
    try:
        with path.open("rb", buffering=0) as file:
            for name, entry in sorted(header.tensors.items(), key=lambda item: item[1].begin):
                if not wanted(name):
                    continue
                if entry.dtype not in DTYPES:
                    raise BadCheckpoint(f"'{path.name}' holds '{name}' as {entry.dtype}, which Darkroom does not read.")
                file.seek(entry.begin)
                raw = torch.empty(entry.end - entry.begin, dtype=torch.uint8)  # aligned: arithmetic may differ in the last bit on odd addresses
                if _fill(file.readinto, raw.numpy().data) != len(raw):
                    raise BadCheckpoint(f"'{path.name}' became shorter while it was read.", "Wait until it is copied, then try again.")
                stored = raw.view(DTYPES[entry.dtype]).reshape(entry.shape)
                found[name] = _finite(stored.to(dtype) if stored.is_floating_point() else stored, name, path)
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    for name in [name for name in found if name.endswith(SCALE)]:
        scale, weight = found.pop(name), name.removesuffix(SCALE) + ".weight"
        if weight in found and scale.numel() == 1:
            found[weight] = _finite(found[weight] * scale.reshape(()), weight, path)
    return found


def read_all(paths: Iterable[Path], dtype: torch.dtype) -> dict[str, Tensor]:
    """`read_weights` of several files (shards) as one."""
    found: dict[str, Tensor] = {}
    for path in paths:
        found |= read_weights(path, dtype)
    return found


def _fill(readinto: Callable[[memoryview], int | None], view: memoryview) -> int:
    """Reads until `view` is full or the file ends: one read returns at most 2 GB on Linux."""
    done = 0
    while done < len(view) and (count := readinto(view[done:])):
        done += count
    return done


def _finite(tensor: Tensor, name: str, path: Path) -> Tensor:
    """The tensor itself. The sum tells in one pass; only when it is not finite each number is looked at."""
    if tensor.is_floating_point() and not torch.isfinite(tensor.sum(dtype=torch.float32)) and not torch.isfinite(tensor).all():
        raise BadCheckpoint(f"'{path.name}' is damaged: its tensor '{name}' holds NaN or infinite numbers.", "Download it again.")
    return tensor

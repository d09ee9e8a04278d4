"""Weights from a file: the one way in which anything is read that has weights.

Half precision is what waits for a card: where the file stores it so, it is used from a map of the file, if others can be
kept from changing it (`leases`), and costs neither time nor memory until it is used. Everything else is copied once, into
memory of its own (`memory`). Parts that are in memory already are not read again (`share`).
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from app.engine.checkpoints.finite import is_finite
from app.engine.checkpoints.header import Header, read_header, stamp
from app.engine.checkpoints.header import Tensor as Entry
from app.engine.checkpoints.memory import block, padded, view
from app.engine.checkpoints.pickles import is_pickle
from app.engine.checkpoints.pictured import is_picture, picture_numbers
from app.engine.checkpoints.share import SHARED, Place, sample
from app.engine.checkpoints.source import DTYPES, Source
from app.engine.checkpoints.unpickle import read_pickle
from app.errors import BadCheckpoint

SCALE = ".scale_weight"
HALF = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
PART = 2**22
"""Bytes from which it is worth looking whether a part is in memory already."""
SAMPLE = 64

Entries = dict[str, Entry]


def read_weights(path: Path, dtype: torch.dtype, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Tensor]:
    """The tensors of a file whose names are wanted, in RAM; floating-point ones as `dtype`. Nobody may write into them.

    Where an fp8 file scales its weights ("NAME.scale_weight" beside "NAME.weight", as ComfyUI writes them), that is applied.
    Whatever is copied is looked at; weights that are mapped are not: when they are damaged, a picture shows it, and
    `app.engine.checkpoints.finite` finds where.

    Args:
        path: a .safetensors, a picture that carries a textual inversion, or one of PyTorch's own (`app.engine.checkpoints.pickles`); the
            caller knows that these are allowed.

    Raises:
        BadCheckpoint: the file is damaged or changed while it was read, or a tensor holds NaN or infinity (named).
    """
    try:
        if is_picture(path):
            found = {name: torch.tensor(part.values, dtype=dtype).reshape(part.shape) for name, part in picture_numbers(path) if wanted(name)}
        elif is_pickle(path):
            found = read_pickle(path, dtype, wanted)
        else:
            return _read(path, dtype, wanted)
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    for name, tensor in found.items():
        _check(tensor, name, path)
    return found


def _read(path: Path, dtype: torch.dtype, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """`read_weights` of a safetensors file. Raises OSError too."""
    state = stamp(path)
    entries = {name: entry for name, entry in _header(state).tensors.items() if wanted(name)}
    for name, entry in entries.items():
        if entry.dtype not in DTYPES:
            raise BadCheckpoint(f"'{path.name}' holds '{name}' as {entry.dtype}, which Darkroom does not read.")
    numbers = {name: entry for name, entry in entries.items() if DTYPES[entry.dtype].is_floating_point}
    with Source(path) as source:
        found = {name: _whole(source, entry) for name, entry in entries.items() if name not in numbers}
        if sum(entry.end - entry.begin for entry in numbers.values()) < PART or any(name.endswith(SCALE) for name in numbers):
            found |= _scaled({name: _whole(source, entry).to(dtype) for name, entry in numbers.items()})
            for name, tensor in found.items():
                _check(tensor, name, path)
        else:
            found |= _part(source, numbers, dtype, state)
    if stamp(path) != state:
        raise BadCheckpoint(f"'{path.name}' changed while it was read.", "Wait until it is copied, then try again.")
    return found


def _check(tensor: Tensor, name: str, path: Path) -> None:
    if not is_finite(tensor):
        raise BadCheckpoint(f"'{path.name}' is damaged: its tensor '{name}' holds NaN or infinite numbers.", "Download it again.")


def _whole(source: Source, entry: Entry) -> Tensor:
    """A tensor as it is stored, in memory of its own."""
    found = torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
    source.read(entry, 0, found.reshape(-1))
    return found


def _scaled(found: dict[str, Tensor]) -> dict[str, Tensor]:
    scales = {name.removesuffix(SCALE) + ".weight": scale.reshape(()) for name, scale in found.items() if name.endswith(SCALE) and scale.numel() == 1}
    return {name: tensor * scales[name] if name in scales else tensor for name, tensor in found.items() if not name.endswith(SCALE)}


def _part(source: Source, entries: Entries, dtype: torch.dtype, state: object) -> dict[str, Tensor]:
    """A part that may be in memory already."""

    def some(name: str) -> bytes:
        entry = entries[name]
        return source.some(entry.begin + (entry.end - entry.begin) // 2 // SAMPLE * SAMPLE, min(SAMPLE, entry.end - entry.begin))

    key = sample({name: (entry.dtype, entry.shape) for name, entry in entries.items()}, dtype, some)
    shared = SHARED.find(key, state, list(entries), lambda name: source.pieces(entries[name]))
    if shared is not None:
        return shared
    as_it_is = dtype in HALF and all(DTYPES[entry.dtype] == dtype and source.in_place(entry) for entry in entries.values())
    if source.map is not None and as_it_is:
        source.reach(max(entry.end for entry in entries.values()), len(source.map))
        places = {name: Place(entry.begin, dtype, entry.shape) for name, entry in entries.items()}
        SHARED.remember(key, state, source.map, places)
        return {name: view(source.map, place.begin, dtype, place.shape) for name, place in places.items()}
    places, size = {}, 0
    for name, entry in entries.items():
        places[name] = Place(size, dtype, entry.shape)
        size += padded((entry.end - entry.begin) // DTYPES[entry.dtype].itemsize * dtype.itemsize)
    memory = block(size)
    found = {name: view(memory, place.begin, dtype, place.shape) for name, place in places.items()}
    _copy(source, entries, found)
    SHARED.remember(key, state, memory, places)
    return found


def _copy(source: Source, entries: Entries, into: dict[str, Tensor]) -> None:
    """Each tensor, in the order in which they are in the file, and looked at while it is at hand."""
    for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
        values = into[name].reshape(-1)
        if source.map is None and DTYPES[entry.dtype] == values.dtype:
            source.read(entry, 0, values)
        else:
            for start, piece in source.pieces(entry):
                values[start : start + len(piece)].copy_(piece)
        _check(values, name, source.path)


@lru_cache(maxsize=8)
def _header(state: tuple[str, int, int, int]) -> Header:
    """The header of a file in this state: each of a checkpoint's parts asks for it."""
    return read_header(Path(state[0]))

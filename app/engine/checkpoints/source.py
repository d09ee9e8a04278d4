"""The bytes of a safetensors file: through a map where that is safe, else read piece by piece."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import torch
from torch import Tensor

from app.engine.checkpoints.header import Tensor as Entry
from app.engine.checkpoints.leases import Map, mapped
from app.engine.checkpoints.memory import view
from app.errors import BadCheckpoint

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}
PIECE = 2**23
"""Numbers that are read at once where a file is not mapped."""


class Source:
    """An open file. Its methods raise OSError, and BadCheckpoint when it became shorter since its header was read.

    Attributes:
        map: the whole file in memory; None where the system does not promise that nobody changes it meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.map: Map | None = mapped(path)
        self._file: BinaryIO = path.open("rb", buffering=0)  # type: ignore[assignment]

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def in_place(self, entry: Entry) -> bool:
        """Whether the tensor can be used where it is."""
        return self.map is not None and entry.begin % DTYPES[entry.dtype].itemsize == 0

    def pieces(self, entry: Entry) -> Iterator[tuple[int, Tensor]]:
        """(number of its first value, values of the stored type in one dimension) until the tensor is complete; each piece is valid until the next."""
        dtype, count = DTYPES[entry.dtype], math.prod(entry.shape)
        if self.map is not None and self.in_place(entry):
            self.reach(entry.end, len(self.map))
            yield 0, view(self.map, entry.begin, dtype, (count,))
            return
        scratch = torch.empty(min(count, PIECE), dtype=dtype)
        for start in range(0, count, PIECE):
            piece = scratch[: min(PIECE, count - start)]
            self.read(entry, start, piece)
            yield start, piece

    def read(self, entry: Entry, start: int, into: Tensor) -> None:
        """Values from `start` on, as they are stored, into a tensor of the stored type."""
        memory = into.view(torch.uint8).numpy().data
        self._file.seek(entry.begin + start * into.element_size())
        done = 0
        while done < len(memory) and (count := self._file.readinto(memory[done:])):  # type: ignore[attr-defined]
            done += count  # one read returns at most 2 GB on Linux
        self.reach(len(memory), done)

    def some(self, begin: int, count: int) -> bytes:
        """A few bytes of the file."""
        if self.map is not None:
            return self.map[begin : begin + count]
        self._file.seek(begin)
        return self._file.read(count)

    def reach(self, wanted: int, there: int) -> None:
        """Raises BadCheckpoint when less is there than wanted."""
        if there < wanted:
            raise BadCheckpoint(f"'{self.path.name}' became shorter while it was read.", "Wait until it is copied, then try again.")

"""Reading a parent of a merge slice by slice, without ever holding more of it than asked for."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from app.engine.checkpoints.pickles import is_pickle
from app.engine.checkpoints.read import read_weights
from app.engine.checkpoints.source import DTYPES
from app.engine.checkpoints.table import ITEM_BYTES
from app.engine.merging.sources import Piece
from app.errors import BadCheckpoint

SLICE = 2**20
"""Values that are worked on at once: 4 MB as float32."""
PICKLE_BYTES = 2**26
"""A pickle cannot be read from the middle of a tensor: so many bytes of whole tensors, or one tensor, are taken at once."""


class Reader:
    """The parents' files, open while a merge runs.

    Args:
        upcoming: all pieces in the order in which they will be asked for.
    """

    def __init__(self, upcoming: Sequence[Piece]) -> None:
        self._files: dict[Path, FileIO] = {}
        self._open = ExitStack()
        self._pickled: dict[Path, list[Piece]] = {}
        for piece in upcoming:
            if is_pickle(piece.path):
                self._pickled.setdefault(piece.path, []).append(piece)
        self._held: dict[tuple[Path, str], Tensor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def values(self, piece: Piece, first: int, count: int) -> Tensor:
        """`count` values of a tensor from number `first` on, (count,) float32, memory of their own. Raises BadCheckpoint."""
        if is_pickle(piece.path):
            return self._whole(piece).reshape(-1)[first : first + count].to(torch.float32, copy=True)
        size = ITEM_BYTES[piece.dtype]
        found = self._bytes(piece, first * size, count * size).view(DTYPES[piece.dtype]).to(torch.float32)
        return found.mul_(self.values(piece.scale, 0, 1)) if piece.scale else found

    def raw(self, piece: Piece) -> Iterator[Tensor]:
        """The bytes of a tensor as they are stored, (n,) uint8 each. Raises BadCheckpoint."""
        if is_pickle(piece.path):
            dtype = DTYPES[piece.dtype]
            whole = read_weights(piece.path, dtype if dtype.is_floating_point else torch.float32, piece.name.__eq__)
            yield whole[piece.name].contiguous().reshape(-1).view(torch.uint8)
            return
        total = piece.count * ITEM_BYTES[piece.dtype]
        for begin in range(0, total, 4 * SLICE):
            yield self._bytes(piece, begin, min(4 * SLICE, total - begin))

    def _bytes(self, piece: Piece, begin: int, count: int) -> Tensor:
        found = torch.empty(count, dtype=torch.uint8)
        view, done = found.numpy().data, 0
        try:
            if piece.path not in self._files:
                self._files[piece.path] = self._open.enter_context(piece.path.open("rb", buffering=0))
            file = self._files[piece.path]
            file.seek(piece.begin + begin)
            while done < count and (more := file.readinto(view[done:])):
                done += more
        except OSError as error:
            raise BadCheckpoint(f"'{piece.path.name}' cannot be read: {error.strerror or error}.") from None
        if done < count:
            raise BadCheckpoint(f"'{piece.path.name}' became shorter while it was read.", "Wait until it is copied, then try again.")
        return found

    def _whole(self, piece: Piece) -> Tensor:
        """A tensor out of a pickle, read together with those that will be asked for next."""
        key = (piece.path, piece.name)
        if key not in self._held:
            row = self._pickled[piece.path]
            size, wanted = 0, {piece.name}
            for other in row[row.index(piece) + 1 :]:
                size += 4 * other.count
                if size + 4 * piece.count > PICKLE_BYTES:
                    break
                wanted.add(other.name)
            self._held = {held: value for held, value in self._held.items() if held[0] != piece.path}
            self._held |= {(piece.path, name): value for name, value in read_weights(piece.path, torch.float32, wanted.__contains__).items()}
        if key not in self._held:
            raise BadCheckpoint(f"'{piece.path.name}' has changed while it was read: '{piece.name}' is gone.")
        return self._held[key]

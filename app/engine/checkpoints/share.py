"""Equal parts are in memory once: the VAE and the text encoders that fine-tunes took over, a UNet under another VAE.

A part is what one call of `read_weights` asks for. Some bytes of each of its tensors tell which of the parts in memory it
could be (`sample`); then every number is compared, which costs less than to load it. Nobody writes into weights
(adapters put others in their place), so sharing is safe.
"""

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from app.engine.checkpoints.memory import view

REMEMBERED = 64
Pieces = Callable[[str], Iterator[tuple[int, Tensor]]]
"""Name -> (number of the first value, values as stored in one dimension) of a tensor, piece by piece."""


@dataclass(frozen=True)
class Place:
    """Where a tensor is in its block of memory."""

    begin: int
    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """What was read: from which state of which file, and where it lies. It does not keep the memory."""

    origin: object
    memory: "weakref.ref[Any]"
    places: Mapping[str, Place]


def sample(tensors: Mapping[str, tuple[str, tuple[int, ...]]], dtype: torch.dtype, some: Callable[[str], bytes]) -> bytes:
    """What parts that are equal have in common: types, shapes, and some bytes of each tensor, in the order of the names.

    Args:
        tensors: name -> type as stored, shape.
    """
    digest = hashlib.blake2b(str(dtype).encode(), digest_size=20)
    for name in sorted(tensors):
        digest.update(f"{tensors[name]}".encode())
        digest.update(some(name))
    return digest.digest()


class Shared:
    """The parts that are in memory now, as far as somebody uses them."""

    def __init__(self) -> None:
        self._parts: OrderedDict[bytes, Part] = OrderedDict()
        self._lock = Lock()

    def remember(self, key: bytes, origin: object, memory: Any, places: Mapping[str, Place]) -> None:
        """A part that was read into `memory`."""
        with self._lock:
            self._parts[key] = Part(origin, weakref.ref(memory), dict(places))
            self._parts.move_to_end(key)
            while len(self._parts) > REMEMBERED:
                self._parts.popitem(last=False)

    def find(self, key: bytes, origin: object, names: list[str], pieces: Pieces) -> dict[str, Tensor] | None:
        """The tensors in memory that are equal to these, number by number, under these names; None when there are none."""
        with self._lock:
            part = self._parts.get(key)
            memory = part.memory() if part else None
        if part is None or memory is None or len(part.places) != len(names):
            return None
        found: dict[str, Tensor] = {}
        for name, held in zip(sorted(names), sorted(part.places), strict=True):
            place = part.places[held]
            found[name] = view(memory, place.begin, place.dtype, place.shape)
            same_file = part.origin == origin and name == held
            if not same_file and not _equal(found[name].reshape(-1), pieces(name)):
                return None
        return found


def _equal(values: Tensor, pieces: Iterator[tuple[int, Tensor]]) -> bool:
    return all(torch.equal(_bits(values[start : start + len(piece)]), _bits(piece.to(values.dtype))) for start, piece in pieces)


def _bits(values: Tensor) -> Tensor:
    """Compared as whole numbers: NaN is NaN then, and 0 is not -0."""
    return values.view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()])


SHARED = Shared()

"""The weights of one network as its files hold them: names and shapes at hand, numbers when they are asked for."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from app.engine.checkpoints import formats
from app.engine.checkpoints.header import Header, stamp
from app.engine.checkpoints.read import read_weights

Rename = Callable[[str], str]
"""Name in the file -> name in the network's layout, "" when it is none of the network's."""


def header_of(path: Path) -> Header:
    """The header of a safetensors file or of PyTorch's own; each part of a checkpoint asks for it. Raises BadCheckpoint."""
    return _header(stamp(path))


@lru_cache(maxsize=8)
def _header(state: tuple[str, int, int, int]) -> Header:
    return formats.header_of(Path(state[0]))


def same(name: str) -> str:
    return name


class Held:
    """Some of the tensors in some files.

    Attributes:
        path: what sentences name, a file or a diffusers folder.
        shapes: name in the layout -> a tensor without content.
    """

    def __init__(self, path: Path, files: Iterable[Path], rename: Rename = same) -> None:
        """Raises BadCheckpoint."""
        self.path = path
        self.shapes: dict[str, Tensor] = {}
        self._names: dict[Path, dict[str, str]] = {}
        for file in files:
            tensors = header_of(file).tensors
            self._names[file] = {name: plain for name in tensors if (plain := rename(name))}
            self.shapes |= {plain: torch.empty(tensors[name].shape, device="meta") for name, plain in self._names[file].items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """() when there is none of that name."""
        return tuple(self.shapes[name].shape) if name in self.shapes else ()

    def read(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The numbers, in RAM, under the names of the layout. Raises BadCheckpoint."""
        found: dict[str, Tensor] = {}
        for file, names in self._names.items():
            found |= {names.get(name, name): value for name, value in read_weights(file, dtype, names.__contains__).items()}
        return found


def beginning(prefix: str, parts: tuple[str, ...] = ()) -> Rename:
    """Names behind a prefix, without it; of these, with `parts`, only those that begin so."""

    def rename(name: str) -> str:
        plain = name.removeprefix(prefix) if name.startswith(prefix) else ""
        return plain if not parts or plain.startswith(parts) else ""

    return rename

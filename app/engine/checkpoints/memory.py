"""Memory for weights, in blocks of its own: a block goes back to the system with the last tensor in it."""

import math
import mmap
import sys
from typing import Any

import torch
from torch import Tensor

ALIGNMENT = 64
"""On other places the CPU's arithmetic differs in the last bit."""
HUGE = 2**22
"""Bytes from which memory is asked for in huge pages: they are handed out much faster."""


class Block(mmap.mmap):
    """Anonymous memory of this process. Tensors over it keep it alive."""


def block(size: int) -> Block:
    """Memory of at least so many bytes, all zero. Raises MemoryError."""
    size = max(size, mmap.PAGESIZE)
    try:
        if sys.platform == "win32":
            return Block(-1, size)
        found = Block(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"There is no memory for {size / 1e9:.1f} GB of weights.") from error
    if size >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        found.madvise(mmap.MADV_HUGEPAGE)
    return found


def padded(size: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def view(memory: Any, begin: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """A tensor whose numbers lie in `memory` (any writable buffer) from this byte on."""
    count = math.prod(shape)
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=begin).reshape(shape) if count else torch.empty(shape, dtype=dtype)

"""Weights from PyTorch's own files, through torch's weights-only unpickler and nothing else.

The look of the file and every name in its pickle were checked before (`pickles`). What training frameworks left in old
checkpoints becomes empty objects: no class of theirs is imported, and nothing of theirs runs.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.checkpoints.pickle_machine import FOREIGN
from app.engine.checkpoints.pickles import pickle_header, weights_in
from app.errors import BadCheckpoint

PARAMETERS = "torch.nn.modules.container.ParameterDict"


class Empty:
    """Stands for an object of a class that is not wanted."""

    def __new__(cls, *given: object, **named: object) -> "Empty":
        return super().__new__(cls)

    def __init__(self, *given: object, **named: object) -> None:
        """Takes anything."""

    def __setstate__(self, state: object) -> None:
        """Forgets it."""


class Parameters(dict[str, Any]):
    """Stands for a dictionary of parameters, as old embeddings hold one."""

    def __setstate__(self, state: Any) -> None:
        """What a module's state says that it holds."""
        if isinstance(state, dict) and isinstance(state.get("_parameters"), dict):
            self.update(state["_parameters"])


def read_pickle(path: Path, dtype: torch.dtype, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors whose names are wanted, floating-point ones as `dtype`, each in memory of its own.

    Raises:
        BadCheckpoint: one sentence: what `pickle_header` refuses, and what torch's unpickler does.
    """
    pickle_header(path)
    stubs: list[Any] = [(type(name.rpartition(".")[2], (Empty,), {}), name) for name in FOREIGN]
    try:
        with torch.serialization.safe_globals([*stubs, (Parameters, PARAMETERS)]):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, ValueError, TypeError, KeyError, AttributeError, IndexError, EOFError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise BadCheckpoint(f"'{path.name}' is damaged or holds more than weights: {reason}.", "Get it as .safetensors.") from None
    found = {name: tensor for name, tensor in weights_in(loaded, Tensor) if wanted(name)}
    del loaded
    for name in found:
        stored = found[name].detach()
        found[name] = stored.to(dtype if stored.is_floating_point() else stored.dtype, copy=not _alone(stored), memory_format=torch.contiguous_format)
    return found


def _alone(tensor: Tensor) -> bool:
    """Whether the tensor fills its memory and nothing else does."""
    return tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes

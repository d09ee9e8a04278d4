"""A few loaded checkpoints kept warm, up to a budget of memory; the one used longest ago goes first."""

import gc
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any


class ModelCache:
    """Models by what identifies the state of their files. What two of them share counts once.

    A job that holds a model keeps it: dropping it here only means that it goes when the job ends.

    Args:
        budget: bytes that all models together may take; the newest one stays whatever it takes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._models: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._models)

    @property
    def bytes(self) -> int:
        """RAM that all models take together."""
        return taken(self._models.values())

    def get(self, key: Hashable, expected: int, load: Callable[[], Any]) -> Any:
        """The model of that key, loaded if need be; the one used before leaves the device.

        Args:
            expected: bytes that a new model will take; room is made before it is loaded.
        """
        if self._models and (last := next(reversed(self._models))) != key:
            self._models[last].placement.release()
        if key not in self._models:
            self._make_room(expected)
            self._models[key] = load()
            self._make_room(0)
        self._models.move_to_end(key)
        return self._models[key]

    def _make_room(self, expected: int) -> None:
        """Drops models until the others and `expected` bytes fit. With expected = 0 the newest stays."""
        dropped: list[weakref.ref[Any]] = []
        while len(self._models) > (0 if expected else 1) and self.bytes + expected > self.budget:
            dropped.append(weakref.ref(self._models.popitem(last=False)[1]))
        if any(reference() is not None for reference in dropped):
            gc.collect()


def taken(models: Iterable[Any]) -> int:
    """Bytes of the weights of models, by where they lie, and of what their adapters keep."""
    places: dict[int, int] = {}
    kept = 0
    for model in models:
        places |= model.placement.memory()
        kept += model.adapters.bytes
    return sum(places.values()) + kept

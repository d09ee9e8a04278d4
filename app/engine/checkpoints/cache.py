"""A few loaded checkpoints kept warm, up to a budget of memory; the one used longest ago goes first."""

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class ModelCache:
    """Models by what identifies the state of their files.

    Args:
        budget: bytes that all models together may take; the newest one stays whatever it takes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._models: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._models)

    def get(self, key: Hashable, expected: int, load: Callable[[], Any]) -> Any:
        """The model of that key, loaded if need be. Models have `bytes`, and `placement.release()` frees their device.

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
        dropped = False
        while len(self._models) > (0 if expected else 1) and sum(model.bytes for model in self._models.values()) + expected > self.budget:
            self._models.popitem(last=False)
            dropped = True
        if dropped:
            gc.collect()

"""Networks without weights, built once for each config: libraries take longer to build one than a swap may take in all."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

REMEMBERED = 16
COPIED = (
    "_buffers", "_non_persistent_buffers_set", "_parameters", "_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_hooks_always_called",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)
"""What a module keeps in collections of its own."""


class Skeletons:
    """Networks on the meta device, by what they are built from. The ones that are kept are never given out, only copies."""

    def __init__(self) -> None:
        self._built: OrderedDict[str, nn.Module] = OrderedDict()

    def get(self, kind: str, config: Mapping[str, Any], build: Callable[[], nn.Module]) -> nn.Module:
        """A network of this kind and config; `build` makes it the first time."""
        key = f"{kind} {json.dumps(dict(config), sort_keys=True, default=str)}"
        if key not in self._built:
            self._built[key] = build()
            while len(self._built) > REMEMBERED:
                self._built.popitem(last=False)
        self._built.move_to_end(key)
        return copied(self._built[key])


def copied(module: nn.Module) -> nn.Module:
    """A network of the same modules, for other weights: parameters, buffers and whatever else is no module are those of the original
    until they are replaced."""
    found = module.__class__.__new__(module.__class__)
    found.__dict__.update(module.__dict__)
    for name in COPIED:
        if name in module.__dict__:
            found.__dict__[name] = module.__dict__[name].copy()
    found.__dict__["_modules"] = {name: child if child is None else copied(child) for name, child in module._modules.items()}
    return found


SKELETONS = Skeletons()

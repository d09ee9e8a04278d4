"""What a network file changes in a model, found out from its header alone: no weight is read, none is changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.adapters.methods import Method, methods_for
from app.engine.adapters.names import TEXT, TEXT_2, UNET, foreign, understood
from app.engine.adapters.places import Place, Places
from app.engine.checkpoints.embeddings import BUNDLED
from app.engine.checkpoints.formats import header_of
from app.engine.checkpoints.header import Header, ModelFile
from app.errors import BadCheckpoint

OTHER_KIND = "It was made for another kind of model."
FIRST, INPUTS = "conv_in", 4
"""The UNet's first layer; channels of latents. Networks made for a UNet that reads only these change the first inputs of one that reads more."""
METADATA = "lora_adapter_metadata"


@dataclass(frozen=True)
class Layer:
    """What a file changes at one place.

    Attributes:
        written: the layer's name in the file, for people.
        names: role -> the tensor's name in the file.
        alpha: what the file's description says where no tensor says it.
        values: how many numbers the tensors hold.
    """

    place: Place
    method: Method
    written: str
    names: Mapping[str, str]
    alpha: float | None
    values: int

    def change(self, weight: Tensor, parts: Mapping[str, Tensor], strength: float, dyn: int | None) -> Tensor:
        """What is added to the place's parameter.

        Args:
            weight: the parameter, float32.
            parts: role -> tensor, float32, on the same device.
            dyn: use the first so many ranks alone.

        Raises:
            RuntimeError: the shapes do not fit.
        """
        if self.alpha is not None and "alpha" not in parts:
            parts = {**parts, "alpha": torch.tensor(self.alpha)}
        return _changed(self.method, parts, weight, strength, dyn, is_first=self.place.module == FIRST)


def _changed(method: Method, parts: Mapping[str, Tensor], weight: Tensor, strength: float, dyn: int | None, *, is_first: bool) -> Tensor:
    try:
        return _fitted(method.change(parts, weight, strength, dyn), weight)
    except (RuntimeError, IndexError, ValueError):
        if not is_first or weight.dim() != 4 or weight.shape[1] <= INPUTS:
            raise
    first = weight[:, :INPUTS]
    change = torch.zeros_like(weight)
    change[:, :INPUTS] = _fitted(method.change(parts, first, strength, dyn), first)
    return change


def _fitted(change: Tensor, weight: Tensor) -> Tensor:
    if change.shape[0] != weight.shape[0]:
        raise RuntimeError("another number of outputs")
    return change.reshape(weight.shape)


def layers_of(file: ModelFile, places: Places, networks: Mapping[str, Any], model: str) -> tuple[Layer, ...]:
    """What a network file changes in a model.

    Args:
        networks: where the places are.
        model: the checkpoint's name, for sentences.

    Raises:
        BadCheckpoint: the file has a problem, uses a method that is not applied, or does not fit the model.
    """
    if file.problem:
        raise BadCheckpoint(file.problem)
    header, title = header_of(file.path), file.path.name
    found: dict[Place, dict[str, str]] = {}
    written: dict[Place, str] = {}
    for tensor in header.tensors:
        if tensor.startswith(BUNDLED):
            continue
        name = understood(tensor)
        if not name.role or foreign(tensor):
            method = foreign(tensor)
            what = f"is a network of {method}" if method else f"holds '{tensor[:80]}'"
            raise BadCheckpoint(f"'{title}' {what}, which Darkroom does not apply.")
        place = places.find(name.network, name.layer)
        if place is None and not places.is_unused(name.network, name.layer):
            raise BadCheckpoint(f"'{title}' does not fit '{model}', which has no layer '{name.written[:80]}'.", OTHER_KIND)
        if place is not None:
            found.setdefault(place, {})[name.role] = tensor
            written.setdefault(place, name.written)
    alphas = _Alphas(header.metadata, file.path)
    return tuple(layer for place, roles in found.items() for layer in _layers(place, written[place], roles, header, alphas, networks, title, model))


def _layers(
    place: Place, written: str, roles: Mapping[str, str], header: Header, alphas: "_Alphas", networks: Mapping[str, Any], title: str, model: str
) -> list[Layer]:
    """The changes at one place: of its weight, its bias, or both. Raises BadCheckpoint."""
    methods, rest = methods_for(roles)
    if rest or not methods:
        raise BadCheckpoint(f"'{title}' is incomplete: its layer '{written[:80]}' has only {', '.join(sorted(rest or roles))}.", "Download it again.")
    layers = []
    for method in methods:
        names = {role: roles[role] for role in method.roles & set(roles)}
        values = sum(_count(header.shape(name)) for name in names.values())
        layer = Layer(place, method, written, names, alphas.of(written, place.network) if method.name == "LoRA" else None, values)
        parameter = getattr(networks[place.network].get_submodule(place.module), method.target, None)
        shapes = frozenset((role, header.shape(name)) for role, name in names.items())
        if parameter is None or not _fits(method, shapes, tuple(parameter.shape), is_first=place.module == FIRST):
            raise BadCheckpoint(f"'{title}' does not fit '{model}': its layer '{written[:80]}' has another shape.", OTHER_KIND)
        layers.append(layer)
    return layers


def _count(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


@lru_cache(maxsize=4096)
def _fits(method: Method, shapes: frozenset[tuple[str, tuple[int, ...]]], shape: tuple[int, ...], *, is_first: bool) -> bool:
    """Whether the shapes of the roles and that of the parameter go together, tried out on tensors without numbers."""
    weight = torch.empty(shape, device="meta")
    parts = {role: torch.empty(size, device="meta") for role, size in shapes}
    parts |= {role: torch.tensor(0.0) for role in parts.keys() & {"alpha", "scale"}}
    if "on_input" in parts:
        parts["on_input"] = torch.tensor(float(parts["weight"].numel() != weight.shape[0]))
    try:
        _changed(method, parts, weight, 1.0, None, is_first=is_first)
    except (RuntimeError, IndexError, ValueError):
        return False
    return "lora_down" not in parts or parts["lora_down"].shape[0] > 0


class _Alphas:
    """The alphas that diffusers (in the file's description) and peft (in adapter_config.json beside it) keep apart from the weights."""

    def __init__(self, metadata: Mapping[str, str], path: Path) -> None:
        self._configs: dict[str, Any] = {}
        found = _json(metadata.get(METADATA, ""))
        for network in (UNET, TEXT_2, TEXT):
            self._configs[network] = {key.removeprefix(network + "."): value for key, value in found.items() if key.startswith(network + ".")}
        if path.name == "adapter_model.safetensors":
            try:
                self._configs = dict.fromkeys(self._configs, _json((path.parent / "adapter_config.json").read_text("utf-8")))
            except (OSError, UnicodeDecodeError):
                return

    def of(self, written: str, network: str) -> float | None:
        """alpha of a layer, such that alpha / rank is its scale; None when nothing is said."""
        config = self._configs.get(network, {})
        layer = written.removeprefix("base_model.model.").removeprefix(network + ".")
        alpha, rank = (_pattern(config, key, layer, config.get(name)) for key, name in (("alpha_pattern", "lora_alpha"), ("rank_pattern", "r")))
        if not isinstance(alpha, int | float) or not isinstance(rank, int | float) or rank <= 0:
            return None
        return float(alpha) * (float(rank) ** 0.5 if config.get("use_rslora") else 1.0)


def _pattern(config: Mapping[str, Any], key: str, layer: str, usual: Any) -> Any:
    """peft's patterns: the name of a layer, or how it ends."""
    table = config.get(key)
    found = [value for name, value in table.items() if layer == name or layer.endswith("." + name)] if isinstance(table, dict) else []
    return found[0] if found else usual


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

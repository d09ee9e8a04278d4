"""How weights get to a device and back: as a whole, layer by layer, or not at all, with the work cut into rows."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

CPU = torch.device("cpu")


def weight_bytes(network: nn.Module, *, recurse: bool = True) -> int:
    """Bytes of the parameters and buffers of a network; without `recurse` of this layer alone."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(network, recurse=recurse))


def tensors_of(network: nn.Module, *, recurse: bool = True) -> list[Tensor]:
    """Its parameters and buffers; without `recurse` of this layer alone."""
    return [*network.parameters(recurse), *network.buffers(recurse)]


def send(tensors: Iterable[Tensor], device: torch.device) -> None:
    """The tensors themselves, from now on with their numbers on the device."""
    with torch.inference_mode(False):
        for tensor in tensors:
            tensor.data = moved(tensor.data, device)


def moved(numbers: Tensor, device: torch.device) -> Tensor:
    """A copy on the device; the same tensor when it is there already."""
    return numbers.to(device)


class Home:
    """Where weights are in RAM while they are on a device: they are not copied back, and stay shared or mapped.

    Nobody writes into weights, so those on the device are still the same, unless an adapter put another tensor there.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._weights = [(weight, weight.data) for weight in weights]
        self._index = {id(weight): number for number, (weight, _) in enumerate(self._weights)}
        self._away: list[StorageWeakRef] = []

    def left(self) -> None:
        """The weights are on the device now."""
        self._away = [StorageWeakRef(weight.untyped_storage()) for weight, _ in self._weights]

    def restore(self) -> None:
        """The weights are those in RAM again, but for those that were replaced meanwhile."""
        with torch.inference_mode(False):
            for weight, _ in self._weights:
                if (own := self.own(weight)) is not None:
                    weight.data = own

    def holds(self, weight: Tensor) -> bool:
        """Whether it is one of those that are away."""
        return id(weight) in self._index and bool(self._away)

    def own(self, weight: Tensor) -> Tensor | None:
        """The numbers in RAM of a weight that is away; None when it was replaced meanwhile, or is none of these."""
        if not self.holds(weight):
            return None
        number = self._index[id(weight)]
        own = self._weights[number][1]
        return own if StorageWeakRef(weight.untyped_storage()) == self._away[number] and weight.dtype == own.dtype else None

    def put_back(self, weight: Tensor, own: Tensor, device: torch.device) -> None:
        """A weight that was replaced has these numbers again, which lie in RAM, and is on the device."""
        number = self._index[id(weight)]
        with torch.inference_mode(False):
            weight.data = moved(own, device)
        self._weights[number], self._away[number] = (weight, own), StorageWeakRef(weight.untyped_storage())


class InTurn:
    """A UNet that computes the rows it is given one after the other."""

    def __init__(self, unet: nn.Module) -> None:
        self._unet = unet

    def __call__(self, given: Tensor, *rest: Any, **named: Any) -> tuple[Tensor]:
        """As the UNet is called: what has as many rows as the first argument is cut, everything else is handed on."""
        count = given.shape[0]
        answers = []
        for row in range(count):
            others = [_cut(each, row, count) for each in rest]
            answers.append(self._unet(given[row : row + 1], *others, **_cut(named, row, count))[0])
        return (torch.cat(answers),)


def _cut(value: Any, row: int, count: int) -> Any:
    if isinstance(value, dict):
        return {key: _cut(each, row, count) for key, each in value.items()}
    return value[row : row + 1] if isinstance(value, Tensor) and value.dim() and value.shape[0] == count else value


class Sequential:
    """Keeps a network on the CPU and copies each layer's weights to the device for the moment of its call.

    Args:
        room: bytes of the layers that stay on the device from the first call on.

    Attributes:
        kept: bytes of the layers that do.
        home: where they are in RAM.
    """

    def __init__(self, network: nn.Module, device: torch.device, room: int = 0) -> None:
        self._device = device
        self._handles = []
        self._stay: list[Tensor] = []
        self.kept = 0
        send(tensors_of(network), CPU)
        for layer in network.modules():
            size = weight_bytes(layer, recurse=False)
            if 0 < size <= room - self.kept:
                self.kept += size
                self._stay += tensors_of(layer, recurse=False)
            elif size:
                kept: list[tuple[Tensor, Tensor]] = []
                self._handles.append(layer.register_forward_pre_hook(self._fetch(kept), with_kwargs=True))
                self._handles.append(layer.register_forward_hook(self._drop(kept), always_call=True))
        self.home = Home(self._stay)
        send(self._stay, device)
        self.home.left()

    def _fetch(self, kept: list[tuple[Tensor, Tensor]]) -> Callable[..., None]:
        def fetch(layer: nn.Module, given: object, named: object) -> None:
            with torch.inference_mode(False):
                for tensor in tensors_of(layer, recurse=False):
                    kept.append((tensor, tensor.data))
                    tensor.data = moved(tensor.data, self._device)

        return fetch

    def _drop(self, kept: list[tuple[Tensor, Tensor]]) -> Callable[..., None]:
        def drop(layer: nn.Module, given: object, found: object) -> None:
            for tensor, own in kept:
                tensor.data = own
            kept.clear()

        return drop

    def remove(self) -> None:
        """The network is as it was, on the CPU."""
        for handle in self._handles:
            handle.remove()
        self.home.restore()
        send(self._stay, CPU)

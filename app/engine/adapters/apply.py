"""The LoRAs and LyCORIS networks that are in a model's weights now."""

import contextlib
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from app.engine.adapters.asked import Lora
from app.engine.adapters.names import UNET
from app.engine.adapters.places import Place, Places
from app.engine.adapters.plan import Layer, layers_of
from app.engine.adapters.rounding import rounded
from app.engine.checkpoints.fits import other_family
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.read import read_weights
from app.engine.device import is_out_of_memory
from app.engine.prompt.block_weights import block_weights
from app.errors import BadCheckpoint

REMEMBERED = 16
"""Files whose tables of contents are kept; their weights are not."""
AT_ONCE = 2**26
"""Numbers that are read from files before they are worked in: 256 MB in float32."""


class Target(NamedTuple):
    """A parameter of a model."""

    place: Place
    parameter: str


class Ask(NamedTuple):
    """What one network does to a target."""

    lora: Lora
    layer: Layer
    strength: float


class Keeper(Protocol):
    """Who knows where weights lie: `Placement`."""

    def original(self, weight: Tensor) -> Tensor:
        """The numbers of a weight in RAM."""

    def put_back(self, weight: Tensor, numbers: Tensor) -> None:
        """The weight has these numbers again, which `original` gave."""


class Adapters:
    """Changes a model's weights, and puts them back as they were.

    Each network works on what those before it made of a weight, in float32, and the sum is rounded once: W + s1 d1(W) + s2 d2(W + ...).
    The weights that were there are kept, on the CPU, and are put back themselves, so nothing of a network stays. Changed
    weights are new tensors: what shares the old ones does not change.

    Args:
        networks: "unet", "text_encoder", "text_encoder_2", as far as there are such.
        group: what networks must be made for, see `app.engine.families.group_of`; "": whatever fits.
        name: the checkpoint's, for sentences.
        device: where changes are computed; None: where the weights are.
        keeper: who knows where weights lie in RAM while they are on a device; None: nobody, they are copied.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], group: str, name: str, device: torch.device | None = None, keeper: Keeper | None = None
    ) -> None:
        self._networks, self._group, self._name, self._device, self._keeper = dict(networks), group, name, device, keeper
        self._places = Places(networks)
        self._originals: dict[Target, Tensor] = {}
        self._active: tuple[object, ...] = ()
        self._plans: OrderedDict[object, tuple[Layer, ...]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """RAM that the weights take which are kept to be put back."""
        return sum(tensor.nbytes for tensor in self._originals.values())

    def wants(self, loras: Sequence[Lora]) -> bool:
        """Whether `apply(loras)` would change any weight."""
        return self._key(loras) != self._active

    def apply(self, loras: Sequence[Lora]) -> None:
        """Makes exactly these networks act, in this order.

        Raises:
            BadCheckpoint: a file is damaged, of another family, or does not fit this model; the model then has no network.
        """
        key = self._key(loras)
        if key == self._active:
            return
        with contextlib.ExitStack() as undo, torch.inference_mode(False), torch.no_grad():
            undo.callback(self._restore)
            wanted = self._wanted(loras)
            self._restore(keep=wanted)
            for some in _portions(wanted):
                self._change(some)
            undo.pop_all()
        self._active = key

    def _key(self, loras: Sequence[Lora]) -> tuple[object, ...]:
        return tuple((lora.file.fingerprint(), lora.tag.te, lora.tag.unet, lora.tag.dyn, lora.tag.blocks) for lora in loras)

    def _wanted(self, loras: Iterable[Lora]) -> dict[Target, list[Ask]]:
        """Each parameter that changes, and what changes it, in order. Raises BadCheckpoint."""
        wanted: dict[Target, list[Ask]] = {}
        for lora in loras:
            tag, blocks = lora.tag, block_weights(lora.tag.blocks, self._group)
            for layer in self._plan(lora.file):
                if tag.dyn is not None and not layer.method.ranks:
                    raise BadCheckpoint(f"'{lora.file.path.name}' is a {layer.method.name} network, which cannot be cut to its first ranks (dyn).")
                strength = (tag.unet if layer.place.network == UNET else tag.te) * blocks.get(layer.place.block, 1.0)
                if strength:
                    wanted.setdefault(Target(layer.place, layer.method.target), []).append(Ask(lora, layer, strength))
        return wanted

    def _plan(self, file: ModelFile) -> tuple[Layer, ...]:
        """What a file changes; the last few are remembered."""
        key = file.fingerprint()
        self._check_family(file)
        if key not in self._plans:
            self._plans[key] = layers_of(file, self._places, self._networks, self._name)
            while len(self._plans) > REMEMBERED:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return self._plans[key]

    def _check_family(self, file: ModelFile) -> None:
        if self._group and not file.problem and (problem := other_family(file, self._name, self._group)):
            raise BadCheckpoint(problem, "Choose a LoRA of the checkpoint's own family.")

    def _change(self, wanted: Mapping[Target, Sequence[Ask]]) -> None:
        """Reads what these targets need, file by file, and changes one target after the other."""
        needed: dict[Path, set[str]] = {}
        for asks in wanted.values():
            for ask in asks:
                needed.setdefault(ask.lora.file.path, set()).update(ask.layer.names.values())
        read = {path: read_weights(path, torch.float32, names.__contains__) for path, names in needed.items()}
        for target, asks in wanted.items():
            parameter = self._parameter(target)
            if target not in self._originals:
                self._originals[target] = self._keeper.original(parameter) if self._keeper else parameter.data.to("cpu")
            original, device = self._originals[target], self._device or parameter.device
            weight = original.to(device, torch.float32, copy=True)
            for lora, layer, strength in asks:
                parts = {role: read[lora.file.path][name].to(device) for role, name in layer.names.items()}
                try:
                    weight += layer.change(weight, parts, strength, lora.tag.dyn)
                except (RuntimeError, IndexError, ValueError) as error:
                    if is_out_of_memory(error):
                        raise
                    raise BadCheckpoint(f"'{lora.file.path.name}' cannot be applied at its layer '{layer.written[:80]}'.") from None
            self._put(target, rounded(weight, original.dtype, seed=zlib.crc32(repr(target).encode())))

    def _parameter(self, target: Target) -> nn.Parameter:
        module = self._networks[target.place.network].get_submodule(target.place.module)
        return module.get_parameter(target.parameter)

    def _put(self, target: Target, tensor: Tensor) -> None:
        parameter = self._parameter(target)
        parameter.data = tensor.to(parameter.device)

    def _restore(self, keep: Iterable[Target] = ()) -> None:
        """Puts back what was there, but for the targets that are changed again at once."""
        stay = set(keep)
        with torch.inference_mode(False), torch.no_grad():
            for target in [target for target in self._originals if target not in stay]:
                if self._keeper:
                    self._keeper.put_back(self._parameter(target), self._originals[target])
                else:
                    self._put(target, self._originals[target])
                del self._originals[target]
        self._active = ()


def _portions(wanted: Mapping[Target, list[Ask]]) -> Iterator[dict[Target, list[Ask]]]:
    """The targets, so many at a time that what they need of the files stays below `AT_ONCE`."""
    some: dict[Target, list[Ask]] = {}
    values = 0
    for target, asks in wanted.items():
        some[target] = asks
        values += sum(ask.layer.values for ask in asks)
        if values >= AT_ONCE:
            yield some
            some, values = {}, 0
    if some:
        yield some

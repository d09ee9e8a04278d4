"""LoRA and textual inversion: changes to a loaded model that undo themselves, bit for bit."""

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.engine.checkpoints.header import ModelFile, read_header
from app.engine.checkpoints.read import read_weights
from app.engine.prompt.chunks import Word, words_by_first
from app.engine.prompt.encode import Dictionary
from app.engine.prompt.vocabulary import Vocabulary
from app.errors import BadCheckpoint

ROLES = (
    (".lora_down.weight", "down"), (".lora_up.weight", "up"), (".lora_mid.weight", "mid"), (".lora_A.weight", "down"), (".lora_B.weight", "up"),
    (".lora.down.weight", "down"), (".lora.up.weight", "up"), (".lora_linear_layer.down.weight", "down"), (".lora_linear_layer.up.weight", "up"),
    ("_lora.down.weight", "down"), ("_lora.up.weight", "up"), (".alpha", "alpha"),
)
PREFIXES = (("base_model.model.", ""), ("lora_te1_", "lora_te_"), ("text_encoder.", "lora_te_"), ("unet.", "lora_unet_"))
OTHER_METHODS = {".hada_w1_a": "LoHa", ".lokr_w1": "LoKr", ".lokr_w1_a": "LoKr", ".dora_scale": "DoRA", ".diff": "full-difference", ".oft_blocks": "OFT"}
OTHER_KIND = "It was made for another kind of model."
REMEMBERED = 4
INPAINT_INPUTS = 9


@dataclass(frozen=True)
class Lora:
    """A LoRA that a prompt asks for: its file, its weights in the text encoder and the UNet, and how many of its ranks to use (None: all)."""

    file: ModelFile
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None


@dataclass
class _Layer:
    """The matrices of one layer: delta = alpha / rank * up @ down (through `mid` for a decomposed convolution)."""

    down: Tensor | None = None
    up: Tensor | None = None
    mid: Tensor | None = None
    alpha: float | None = None

    def delta(self, shape: torch.Size, dyn: int | None = None) -> Tensor | None:
        """The change of the layer's weight, float32, or None when the matrices do not fit its shape.

        The first convolution of an inpainting UNet, with its 9 inputs, takes the change for 4 inputs too; the other 5 stay.

        Args:
            dyn: the first so many ranks alone, at the scale of all, as A1111 does for LoRAs made to be cut ("dynamic").
        """
        if self.down is None or self.up is None or self.down.shape[0] == 0:
            return None
        rank = self.down.shape[0]
        try:
            if self.mid is not None:
                change = torch.einsum("nmkl,in,mj->ijkl", self.mid[:dyn, :dyn], self.up.flatten(1)[:, :dyn], self.down.flatten(1)[:dyn])
            else:
                change = self.up.flatten(1)[:, :dyn] @ self.down.flatten(1)[:dyn]
        except RuntimeError:
            return None
        if change.shape[0] != shape[0]:
            return None
        if len(shape) == 4 and shape[1] == INPAINT_INPUTS and change.numel() == shape.numel() // INPAINT_INPUTS * 4:
            change = torch.nn.functional.pad(change.reshape(shape[0], 4, *shape[2:]), (0, 0, 0, 0, 0, INPAINT_INPUTS - 4))
        if change.numel() != shape.numel():
            return None
        return change.reshape(shape) * ((rank if self.alpha is None else self.alpha) / rank)


class Adapters:
    """The LoRAs that are in a model's weights now. W = W0 + sum of weight * delta; W0 is kept and put back as it was."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module, name: str) -> None:
        self._parts = {"unet": unet, "te": text_encoder}
        self._name = name
        self._places = _places(unet, text_encoder)
        self._originals: dict[str, Tensor] = {}
        self._active: tuple[object, ...] = ()
        self._read: OrderedDict[object, dict[str, _Layer]] = OrderedDict()

    def wants(self, loras: Sequence[Lora]) -> bool:
        """Whether `apply(loras)` would change any weight."""
        return self._key(loras) != self._active

    def apply(self, loras: Sequence[Lora]) -> None:
        """Makes exactly these LoRAs act, in this order.

        Raises:
            BadCheckpoint: a file is damaged, of another family, or does not fit this model; the model then has no LoRA.
        """
        key = self._key(loras)
        if key == self._active:
            return
        self._restore()
        read = [(lora, self._layers(lora.file)) for lora in loras]
        changes = self._changes(read)
        with contextlib.ExitStack() as undo:
            undo.callback(self._restore)
            self._add(changes)
            undo.pop_all()
        self._active = key

    def _add(self, changes: Mapping[str, Tensor]) -> None:
        with torch.inference_mode(False), torch.no_grad():
            for place, change in changes.items():
                weight = self._weight(place)
                self._originals[place] = weight.detach().to("cpu", copy=True)
                weight.copy_((self._originals[place].float() + change).to(weight.dtype))

    def _key(self, loras: Sequence[Lora]) -> tuple[object, ...]:
        return tuple((lora.file.fingerprint(), lora.te, lora.unet, lora.dyn) for lora in loras)

    def _weight(self, place: str) -> Any:
        part, _, module = place.partition(":")
        return self._parts[part].get_submodule(module).weight

    def _restore(self) -> None:
        with torch.inference_mode(False), torch.no_grad():
            for place, original in self._originals.items():
                self._weight(place).copy_(original)
        self._originals, self._active = {}, ()

    def _changes(self, read: Iterable[tuple[Lora, dict[str, _Layer]]]) -> dict[str, Tensor]:
        """Place -> the sum of all changes there."""
        changes: dict[str, Tensor] = {}
        for lora, layers in read:
            for key, layer in layers.items():
                place = self._places[key]
                strength = lora.te if place.startswith("te:") else lora.unet
                delta = layer.delta(self._weight(place).shape, lora.dyn)
                if delta is None:
                    raise BadCheckpoint(f"'{lora.file.path.name}' does not fit '{self._name}': its layer '{key}' has another shape.", OTHER_KIND)
                if strength:
                    changes[place] = changes[place] + strength * delta if place in changes else strength * delta
        return changes

    def _layers(self, file: ModelFile) -> dict[str, _Layer]:
        """The layers of a LoRA file; the last few files are remembered."""
        key = file.fingerprint()
        if key not in self._read:
            self._read[key] = read_lora(file, self._places)
            while len(self._read) > REMEMBERED:
                self._read.popitem(last=False)
        self._read.move_to_end(key)
        return self._read[key]


def _places(unet: nn.Module, text_encoder: nn.Module) -> dict[str, str]:
    """kohya's name of each layer that a LoRA can change -> "unet:<module>" or "te:<module>"."""
    found: dict[str, str] = {}
    for part, network, prefixes in (("unet", unet, ("lora_unet_",)), ("te", text_encoder, ("lora_te_text_model_", "lora_te_"))):
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                found |= {prefix + name.replace(".", "_"): f"{part}:{name}" for prefix in prefixes}
    return found


def read_lora(file: ModelFile, places: Mapping[str, str]) -> dict[str, _Layer]:
    """The layers of a LoRA (kohya's, diffusers' or peft's names) by kohya's name.

    Raises:
        BadCheckpoint: the file has a problem, uses another method, or names layers that the model does not have.
    """
    if file.problem:
        raise BadCheckpoint(file.problem)
    layers: dict[str, _Layer] = {}
    for name, tensor in read_weights(file.path, torch.float32).items():
        key, role = _role(name, file.path)
        if key not in places:
            raise BadCheckpoint(f"'{file.path.name}' does not fit this model, which has no layer '{key}'.", OTHER_KIND)
        layer = layers.setdefault(key, _Layer())
        setattr(layer, role, float(tensor) if role == "alpha" else tensor)
    return layers


def _role(name: str, path: Path) -> tuple[str, str]:
    """(kohya's name of the layer, which matrix it is). Raises BadCheckpoint for methods other than LoRA and LoCon."""
    end, role = next(((end, role) for end, role in ROLES if name.endswith(end)), ("", ""))
    if not end:
        method = next((method for end, method in OTHER_METHODS.items() if name.endswith(end)), "")
        what = f"is a {method} network" if method else f"holds '{name[:80]}'"
        raise BadCheckpoint(f"'{path.name}' {what}, which this version does not apply; it knows LoRA and LoCon.")
    layer = name.removesuffix(end)
    for old, new in PREFIXES:
        if layer.startswith(old):
            layer = new + layer.removeprefix(old)
    layer = layer.replace(".processor", "").replace(".", "_")
    return (layer + "_0" if layer.endswith(("attn1_to_out", "attn2_to_out")) else layer), role


def network_hash(path: Path) -> str:
    """First 12 hex digits of the sha256 of all bytes after the header: A1111's "Lora hashes"."""
    header = read_header(path)
    start = min((tensor.begin for tensor in header.tensors.values()), default=0)
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def read_embedding(file: ModelFile) -> Tensor:
    """The vectors (n, width) of a textual inversion, float32. Raises BadCheckpoint."""
    if file.problem:
        raise BadCheckpoint(file.problem)
    vectors = read_weights(file.path, torch.float32, lambda name: name == "emb_params")["emb_params"]
    return vectors.reshape(-1, vectors.shape[-1])


def dictionary(vocabulary: Vocabulary, embeddings: Iterable[ModelFile], text: str, width: int) -> Dictionary:
    """How a prompt is read: textual inversions whose name occurs in it are loaded; those of another width are no words."""
    vectors = {file.path.stem: read_embedding(file) for file in embeddings_in(text, embeddings, width)}
    return Dictionary(vocabulary, words_by_first([Word(name, tuple(vocabulary.ids(name)), len(found)) for name, found in vectors.items()]), vectors)


def embeddings_in(text: str, embeddings: Iterable[ModelFile], width: int) -> list[ModelFile]:
    """The textual inversions of that width whose name occurs in a text; of several with one name, in any case, the first."""
    found: dict[str, ModelFile] = {}
    for file in embeddings:
        name = file.path.stem.lower()
        if name in text.lower() and name not in found and not file.problem and read_header(file.path).shape("emb_params")[-1:] == (width,):
            found[name] = file
    return list(found.values())

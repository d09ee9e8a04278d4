"""What a model file is, from its first bytes alone: no weights are read, nothing heavy is imported."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.sidecars import NOTHING, Sidecar
from app.errors import BadCheckpoint

MAX_HEADER = 32 * 2**20
MAX_TENSORS = 20_000
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file: its type ("F16"), its shape, and where its bytes lie in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The table of contents of a safetensors file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, () when there is none of that name."""
        return self.tensors[name].shape if name in self.tensors else ()

    def has(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.tensors)


@dataclass(frozen=True)
class ModelFile:
    """A model that the user can pick.

    Attributes:
        name: path below its folder, without suffix, "/" between folders.
        path: file or diffusers folder.
        kind: "checkpoint", "vae", "lora", "embedding", or what else it turned out to be ("controlnet", "unknown").
        family: "sd1", "sd2", "sdxl", "flux", ... or "unknown".
        problem: one sentence when it cannot be used, else "".
        size: bytes.
        native: native side in pixels.
        weights: the files that hold its weights; the first one (of a folder: the UNet's) gives the hash.
        precision: how most of its values are stored ("fp16", "bf16", "fp32", "fp8"), "" when that is not known.
        label, description: what it calls itself and says of itself, strangers' plain text; may be "".
        triggers: the words that call for what it was trained on.
        preview: a sample picture that lies beside it.
        base: the folder checkpoint that a single file takes its configs and word list from.
        prediction: "epsilon", "v_prediction", "sample", or "" when neither header nor sidecar tells.
        zero_snr: it was trained on noise levels that end in pure noise (terminal signal-to-noise ratio 0).
        inputs: input channels of its UNet; 0 when it has none.
        variant: "lcm", "turbo", "lightning" or "hyper" when it was distilled to a few steps, else "".
        missing: "text encoder", "VAE": what a checkpoint does not hold and the request must name from elsewhere.
        config: NAME.yaml beside it.
        sidecar: what NAME.json and NAME.civitai.info beside it say.
    """

    name: str
    path: Path
    kind: str
    family: str
    problem: str
    size: int
    native: int
    weights: tuple[Path, ...] = ()
    hashes: Hashes | None = field(default=None, compare=False, repr=False)
    precision: str = ""
    label: str = ""
    description: str = ""
    triggers: tuple[str, ...] = ()
    preview: Path | None = None
    base: Path | None = None
    prediction: str = ""
    zero_snr: bool = False
    inputs: int = 0
    variant: str = ""
    missing: tuple[str, ...] = ()
    config: Path | None = None
    sidecar: Sidecar = NOTHING

    def short_hash(self) -> str:
        """First 10 hex digits of the sha256, A1111's "Model hash"; reads the whole file the first time. "" when it cannot be read."""
        try:
            return self.hashes.sha256(self.weights[0])[:10] if self.hashes and self.weights else ""
        except OSError:
            return ""

    def known_hash(self) -> str:
        """Like `short_hash`, but "" instead of reading the file when it was never computed."""
        return self.hashes.known(self.weights[0])[:10] if self.hashes and self.weights else ""

    @property
    def title(self) -> str:
        """"name [hash]" when the hash is known, else the name."""
        known = self.known_hash()
        return f"{self.name} [{known}]" if known else self.name

    def fingerprint(self) -> tuple[tuple[str, int, int, int], ...]:
        """What tells this state of the files from any other: path, size, modification time and inode of each. Raises BadCheckpoint."""
        return tuple(stamp(path) for path in self.weights)


def stamp(path: Path) -> tuple[str, int, int, int]:
    """(path, bytes, modification time in ns, inode). Raises BadCheckpoint when the file is gone."""
    try:
        stat = path.stat()
    except OSError:
        raise BadCheckpoint(f"'{path.name}' is not there any more.", "Refresh the list of models.") from None
    return str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino


def read_header(path: Path) -> Header:
    """The header of a safetensors file, checked against the file's size.

    Raises:
        BadCheckpoint: one sentence: empty, truncated, a web page, a git-lfs pointer, a pickle, a text, or garbage.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(512)
            length = int.from_bytes(first[:8], "little")
            _sniff(path, first, length, size)
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    if len(raw) < length or raw.count(b'"data_offsets"') > MAX_TENSORS:
        raise BadCheckpoint(f"'{path.name}' is damaged: its header is cut off or lists more than {MAX_TENSORS} tensors.")
    try:
        entries = json.loads(raw, object_pairs_hook=_unique)
        metadata = entries.pop("__metadata__", None) or {}
        tensors = {name: _tensor(name, entry, 8 + length) for name, entry in entries.items()}
        metadata = {str(key): value for key, value in metadata.items() if isinstance(value, str)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadCheckpoint(f"'{path.name}' is damaged: its header is not a list of tensors ({str(error)[:120]}).") from None
    _check_extent(path, tensors, 8 + length, size)
    return Header(tensors, metadata)


def _sniff(path: Path, first: bytes, length: int, size: int) -> None:
    """Tells what a file is that is not safetensors. Raises BadCheckpoint."""
    name = f"'{path.name}'"
    if size == 0:
        raise BadCheckpoint(f"{name} is empty (0 bytes).", "Download it again.")
    if first[8:9] == b"{" and 2 <= length <= MAX_HEADER:
        if 8 + length > size:
            raise BadCheckpoint(f"{name} is truncated: it has {size} bytes, its header alone needs {8 + length}.", "Download it again.")
        return
    if first.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise BadCheckpoint(f"{name} is a PyTorch pickle, which can run code when opened.", "Convert it to .safetensors.")
    if first.lstrip()[:1] == b"<":
        raise BadCheckpoint(f"{name} is a web page, not a model; the download needs a login or failed.", "Download it again.")
    if first.startswith(b"version https://git-lfs"):
        raise BadCheckpoint(f"{name} is a git-lfs pointer of {size} bytes, not the model itself.", "Fetch the file itself: git lfs pull.")
    if first.startswith(b"GGUF"):
        raise BadCheckpoint(f"{name} is a GGUF file, which Darkroom does not read.", "Get it as .safetensors.")
    if _is_text(first):
        raise BadCheckpoint(f"{name} is a text file, not a model.")
    if first[8:9] == b"{" and length > MAX_HEADER:
        raise BadCheckpoint(f"{name} is damaged: its header claims {length} bytes, but at most {MAX_HEADER} are allowed.")
    raise BadCheckpoint(f"{name} is not a safetensors file.")


def _is_text(first: bytes) -> bool:
    try:
        text = first.decode("utf-8", "strict" if len(first) < 512 else "ignore")
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign in "\ufeff\r\n\t" for sign in text)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _tensor(name: str, entry: Any, start: int) -> Tensor:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if len(offsets) != 2 or len(shape) > 8 or not all(type(number) is int and 0 <= number < 2**53 for number in numbers):
        raise ValueError(f"'{name[:60]}' has an impossible shape or place")
    if dtype not in ITEM_BYTES:
        raise ValueError(f"'{name[:60]}' has the unknown type {str(dtype)[:20]}")
    if offsets[1] - offsets[0] != math.prod(shape) * ITEM_BYTES[dtype]:
        raise ValueError(f"'{name[:60]}' has {offsets[1] - offsets[0]} bytes, its shape needs {math.prod(shape) * ITEM_BYTES[dtype]}")
    return Tensor(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _check_extent(path: Path, tensors: dict[str, Tensor], start: int, size: int) -> None:
    """The tensors lie one after the other, from the header's end to the file's end. Raises BadCheckpoint."""
    place = start
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != place:
            raise BadCheckpoint(f"'{path.name}' is damaged: its tensors overlap or leave gaps.")
        place = tensor.end
    if size < place:
        raise BadCheckpoint(f"'{path.name}' is truncated: it has {size} bytes, its header promises {place}.", "Download it again.")
    if size > place:
        raise BadCheckpoint(f"'{path.name}' is damaged: it has {size} bytes, its header describes {place}.")


def native_side(metadata: dict[str, str], usual: int) -> int:
    """The side that the file's own description names ("modelspec.resolution": "768x768"), or the usual one of its family."""
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", metadata.get("modelspec.resolution", ""))
    side = min(int(found[1]), int(found[2])) // 8 * 8 if found else usual
    return side if 64 <= side <= 4096 else usual


def weight_files(folder: Path, stems: tuple[str, ...]) -> tuple[Path, ...]:
    """The safetensors files of one part of a diffusers folder: the plain one, else a variant (".fp16"), else shards; () when there is none."""
    for stem in stems:
        if (plain := folder / f"{stem}.safetensors").is_file():
            return (plain,)
        shards = sorted(folder.glob(f"{stem}*-of-*.safetensors"))
        variants = sorted(path for path in folder.glob(f"{stem}.*.safetensors") if path not in shards)
        if variants:
            return (variants[0],)
        if shards:
            return tuple(shards)
    return ()


def config_of(folder: Path, name: str = "config.json") -> dict[str, object]:
    """A JSON object from a diffusers folder. Raises BadCheckpoint naming the file."""
    path = folder / name
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        return found
    except FileNotFoundError:
        raise BadCheckpoint(f"'{folder.parent.name}/{folder.name}' has no {name}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadCheckpoint(f"'{folder.parent.name}/{folder.name}/{name}' cannot be read: {str(error)[:120]}.") from None


def parts_of(index: dict[str, object]) -> Iterator[str]:
    """Names of the parts that a model_index.json lists with a class, e.g. "unet", "vae"."""
    for name, value in index.items():
        if isinstance(value, list) and len(value) == 2 and value[1]:
            yield name

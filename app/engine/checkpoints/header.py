"""What a model file is, from its first bytes alone: no weights are read, nothing heavy is imported."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.sidecars import NOTHING, Sidecar
from app.engine.checkpoints.sniff import refuse_others
from app.engine.checkpoints.table import Row, read_table
from app.errors import BadCheckpoint

MAX_TENSORS = 20_000


class Tensor(NamedTuple):
    """One tensor of a safetensors file: its type ("F16"), its shape, and where its bytes lie in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Listed(Mapping[str, Tensor]):
    """The tensors of a checked header, name by name. Large headers list thousands, of which few are asked for: each is made then."""

    def __init__(self, rows: Mapping[str, Row], start: int) -> None:
        self._rows, self._start = rows, start

    def __getitem__(self, name: str) -> Tensor:
        row = self._rows[name]
        begin, end = row.data_offsets
        return Tensor(row.dtype, row.shape, self._start + begin, self._start + end)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True)
class Header:
    """The table of contents of a model file.

    Attributes:
        amounts: type -> how many bytes are of that type; {} where it is not known (pickles).
    """

    tensors: Mapping[str, Tensor]
    metadata: dict[str, str]
    amounts: Mapping[str, int] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, () when there is none of that name."""
        return self.tensors[name].shape if name in self.tensors else ()

    def has(self, prefix: str) -> bool:
        """Whether the name of a tensor begins so."""
        return f"\n{prefix}" in self._names

    def holds(self, part: str) -> bool:
        """Whether these signs occur in the name of a tensor."""
        return part in self._names

    @cached_property
    def _names(self) -> str:
        return "\n" + "\n".join(self.tensors)


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
        width: of the text's hidden states that it reads, or is made for; 0 when the header does not tell.
        network: the sha256 of a LoRA's tensors without the header, when its own metadata says it.
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
    width: int = 0
    network: str = ""

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
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(512)
            refuse_others(path, first, size)
            length = int.from_bytes(first[:8], "little")
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    listed = raw.count(b'"data_offsets"')
    if len(raw) < length or listed > MAX_TENSORS:
        raise BadCheckpoint(f"'{path.name}' is damaged: its header is cut off or lists more than {MAX_TENSORS} tensors.")
    try:
        table = read_table(raw, listed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadCheckpoint(f"'{path.name}' is damaged: its header is not a list of tensors ({str(error)[:120]}).") from None
    if not table.gapless:
        raise BadCheckpoint(f"'{path.name}' is damaged: its tensors overlap or leave gaps.")
    place = 8 + length + sum(table.amounts.values())
    if size < place:
        raise BadCheckpoint(f"'{path.name}' is truncated: it has {size} bytes, its header promises {place}.", "Download it again.")
    if size > place:
        raise BadCheckpoint(f"'{path.name}' is damaged: it has {size} bytes, its header describes {place}.")
    return Header(Listed(table.rows, 8 + length), table.metadata, table.amounts)


def weight_files(folder: Path, stems: tuple[str, ...]) -> tuple[Path, ...]:
    """The weight files of one part of a diffusers folder, () when there is none: of safetensors, and where there are none of PyTorch's
    own, the plain one, else shards, else a variant (".fp16"), which may be in shards too. Raises BadCheckpoint when a shard is missing."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return ()
    for ending in (".safetensors", ".bin"):
        for stem in stems:
            found: dict[str, list[tuple[str, str]]] = {}
            for name in names:
                if part := re.fullmatch(rf"{re.escape(stem)}(\.[\w-]+?)?(?:-\d+-of-(\d+))?{re.escape(ending)}", name):
                    found.setdefault(f"{part[1] or ''} {part[2] or ''}", []).append((name, part[2] or ""))
            for key in sorted(found, key=lambda key: (key.partition(" ")[0], key)):
                files, count = [name for name, _ in found[key]], found[key][0][1]
                if count and len(files) != int(count):
                    raise BadCheckpoint(f"'{folder.parent.name}/{folder.name}' has {len(files)} of the {int(count)} parts of '{stem}{ending}'.")
                return tuple(folder / name for name in files)
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

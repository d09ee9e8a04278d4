"""PyTorch's own files (.ckpt, .pt, .pth, .bin): what is in them, told without opening anything that could run.

Both forms are read: the zip archive of torch 1.6 and later, and the older stream. The look of the file is checked first
(no compression, one root, sizes that add up), then the pickle in it is read by a machine that only understands weights.
`app.engine.checkpoints.unpickle` reads the weights themselves, with torch's weights-only unpickler, after this.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.engine.checkpoints.header import MAX_TENSORS, Header, Tensor
from app.engine.checkpoints.pickle_machine import Machine, NotWeights, Shape
from app.engine.checkpoints.table import ITEM_BYTES
from app.errors import BadCheckpoint

SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")
MAX_PICKLE = 32 * 2**20
STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How the older form begins: its magic number, pickled."""
WRAPPERS = ("state_dict", "params_ema", "params-ema", "params", "model_state_dict", "model", "net")
"""Names under which tools put the weights one level down, in the order in which they are preferred."""
DEPTH = 3
"""Levels below which nothing is looked for."""


def is_pickle(path: Path) -> bool:
    """Whether a file goes by a name that PyTorch's own files have."""
    return path.suffix.lower() in SUFFIXES


def pickle_header(path: Path) -> Header:
    """Names, types and shapes of the weights in a PyTorch file, as `weights_in` names them; `begin` and `end` are 0.

    The metadata holds the texts and numbers that stand beside the weights (an embedding's "name", "step").

    Raises:
        BadCheckpoint: one sentence: not such a file, damaged, compressed, too large, or it asks for something that is no weights.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            found = _described(path, size, file.read(len(STREAM)))
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    except NotWeights as error:
        raise BadCheckpoint(f"'{path.name}' is not opened: {error}.", "Get it as .safetensors.") from None
    tensors: dict[str, Tensor] = {}
    for name, tensor in weights_in(found, Shape):
        if ITEM_BYTES[tensor.dtype] * _count(tensor.shape) > size:
            raise BadCheckpoint(f"'{path.name}' is damaged: its tensor '{name[:80]}' is larger than the file.")
        tensors[name] = Tensor(tensor.dtype, tensor.shape, 0, 0)
        if len(tensors) > MAX_TENSORS:
            raise BadCheckpoint(f"'{path.name}' lists more than {MAX_TENSORS} tensors.")
    if not tensors:
        raise BadCheckpoint(f"'{path.name}' holds no weights.")
    return Header(tensors, _metadata(found))


def weights_in(found: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """(name, tensor) of everything of a class in nested dictionaries, the names of the levels joined by dots.

    Where a tool wrapped the weights ("state_dict", "params_ema"), only those are given, without the wrapper's name.
    """
    if isinstance(found, dict):
        inner = next((found[key] for key in WRAPPERS if any(True for _ in _flat(found.get(key), kind, "", set()))), found)
        yield from _flat(inner, kind, "", set())


def _flat(found: Any, kind: type, before: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Each dictionary is looked into once: a pickle can hold one many times, even in itself."""
    if not isinstance(found, dict) or id(found) in seen or before.count(".") > DEPTH:
        return
    seen.add(id(found))
    for key, value in found.items():
        if isinstance(value, kind):
            yield f"{before}{key}", value
        else:
            yield from _flat(value, kind, f"{before}{key}.", seen)


def _described(path: Path, size: int, first: bytes) -> Any:
    """What the file's pickle describes. Raises NotWeights, OSError or BadCheckpoint."""
    if first.startswith(b"PK\x03\x04"):
        return Machine(_pickle_in_zip(path, size)).run()
    if first != STREAM:
        raise BadCheckpoint(f"'{path.name}' is not a file that PyTorch wrote.", "Download it again, or get it as .safetensors.")
    with path.open("rb") as file:
        data = file.read(MAX_PICKLE)
    place = 0
    for _ in range(3):  # magic number, protocol and system
        machine = Machine(data, place)
        machine.run()
        place = machine.place
    return Machine(data, place).run()


def _pickle_in_zip(path: Path, size: int) -> bytes:
    """The one pickle of an archive as `torch.save` writes it. Raises NotWeights or BadCheckpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            pickles = [member for member in members if member.filename.endswith(".pkl")]
            if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
                raise NotWeights("it is compressed, as PyTorch never does")
            if len(names) < len(members) or len({name.split("/")[0] for name in names}) != 1 or len(members) > 3 * MAX_TENSORS:
                raise NotWeights("its archive is not laid out as PyTorch does")
            if len(pickles) != 1 or not pickles[0].filename.endswith("/data.pkl") or pickles[0].file_size > MAX_PICKLE:
                raise NotWeights("its archive is not laid out as PyTorch does")
            if sum(member.file_size for member in members) > size:
                raise NotWeights("its archive claims more than the file holds")
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeDecodeError, EOFError) as error:
        raise BadCheckpoint(f"'{path.name}' is damaged: {str(error)[:80] or 'its archive cannot be read'}.", "Download it again.") from None


def _metadata(found: Any) -> dict[str, str]:
    return {str(key): str(value)[:500] for key, value in found.items() if isinstance(value, str | int | float)} if isinstance(found, dict) else {}


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count

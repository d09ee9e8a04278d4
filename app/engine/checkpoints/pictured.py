"""Textual inversions in PNG pictures, as A1111 saves them: JSON in base64, in the text "sd-ti-embedding". Torch-free; nothing in it can run.

A1111 hides the same in the lowest bits of the pixels too. That is not read: every picture would have to be decoded to see whether
there is something.
"""

import base64
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from app.engine.checkpoints.header import Header, Tensor
from app.engine.checkpoints.pickles import weights_in
from app.errors import BadCheckpoint

PICTURE = ".png"
MAGIC = b"\x89PNG\r\n\x1a\n"
TEXT, PIXELS = b"tEXt", b"IDAT"
KEYWORD = b"sd-ti-embedding\0"
TENSOR = "TORCHTENSOR"
MAX_TEXT = 8 * 2**20
"""75 vectors for SD 2 take 2.3 MB."""
MAX_CHUNKS = 1000
MAX_WORD = 100


class Numbers(NamedTuple):
    """A tensor of at most two dimensions."""

    shape: tuple[int, ...]
    values: Sequence[float]


def is_picture(path: Path) -> bool:
    """Whether a file goes by the name of a picture that may carry a textual inversion."""
    return path.suffix.lower() == PICTURE


def carries_embedding(path: Path) -> bool:
    """Whether a PNG carries a textual inversion, by the names of the chunks before its pixels. Never raises."""
    try:
        with path.open("rb") as file:
            return _found(file) is not None
    except OSError:
        return False


def picture_header(path: Path) -> Header:
    """Names and shapes of the tensors in a picture; `begin` and `end` are 0, the metadata holds the embedding's "name". Raises BadCheckpoint."""
    record = _record(path)
    name = record.get("name")
    tensors = {key: Tensor("F32", numbers.shape, 0, 0) for key, numbers in weights_in(record, Numbers)}
    return Header(tensors, {"name": name} if isinstance(name, str) else {})


def picture_numbers(path: Path) -> Iterator[tuple[str, Numbers]]:
    """(name, tensor) of all tensors in a picture. Raises BadCheckpoint."""
    return weights_in(_record(path), Numbers)


def called(name: str, header: Header) -> str:
    """The name of a picture on the shelf: its word is what the embedding in it is called, where that can be the last part of a name."""
    word = header.metadata.get("name", "").strip()
    folder, slash, _ = name.rpartition("/")
    return f"{folder}{slash}{word}" if 0 < len(word) <= MAX_WORD and word.isprintable() and not {"/", "\\"} & set(word) else name


def _record(path: Path) -> dict[str, Any]:
    """What a picture carries, its tensors as `Numbers`. Raises BadCheckpoint."""
    try:
        record = json.loads(base64.b64decode(_text(path), validate=True), object_hook=_tensor, parse_constant=_no_number)
    except (ValueError, OverflowError, RecursionError) as error:
        raise BadCheckpoint(f"'{path.name}' is damaged: its textual inversion cannot be read ({str(error)[:80]}).", "Download it again.") from None
    if not isinstance(record, dict) or not any(True for _ in weights_in(record, Numbers)):
        raise BadCheckpoint(f"'{path.name}' carries a textual inversion without vectors.")
    return record


def _text(path: Path) -> bytes:
    """The text that a picture carries. Raises BadCheckpoint."""
    try:
        with path.open("rb") as file:
            length = _found(file)
            if length is None:
                raise BadCheckpoint(f"'{path.name}' is a picture that carries no textual inversion.")
            if length > MAX_TEXT:
                raise BadCheckpoint(f"'{path.name}' is damaged: its textual inversion claims {length} bytes, but at most {MAX_TEXT} are allowed.")
            text, check = file.read(length), file.read(4)
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    if len(text) < length or int.from_bytes(check) != zlib.crc32(TEXT + KEYWORD + text):
        raise BadCheckpoint(f"'{path.name}' is damaged: its textual inversion is cut off or was changed.", "Download it again.")
    return text


def _found(file: BinaryIO) -> int | None:
    """Bytes of the text that follows where the file is placed then; None when no chunk before the pixels has it."""
    if file.read(len(MAGIC)) != MAGIC:
        return None
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        length, kind, start = int.from_bytes(head[:4]), head[4:], file.tell()
        if len(head) < 8 or kind == PIXELS:
            return None
        if kind == TEXT and length >= len(KEYWORD) and file.read(len(KEYWORD)) == KEYWORD:
            return length - len(KEYWORD)
        file.seek(start + length + 4)
    return None


def _tensor(record: dict[str, Any]) -> Any:
    """What an object of the JSON stands for. Raises ValueError or OverflowError for a tensor that is none."""
    if TENSOR not in record:
        return record
    rows = record[TENSOR]
    if not isinstance(rows, list):
        found = Numbers((), [rows])
    elif rows and all(isinstance(row, list) for row in rows):
        if len({len(row) for row in rows}) != 1:
            raise ValueError("its rows differ in length")
        found = Numbers((len(rows), len(rows[0])), [value for row in rows for value in row])
    else:
        found = Numbers((len(rows),), rows)
    if not found.values or not all(type(value) in (int, float) and math.isfinite(value) for value in found.values):
        raise ValueError("it holds something that is no finite number")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}")

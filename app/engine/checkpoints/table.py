"""The table of contents in the header of a safetensors file: JSON that says of each tensor what it is and where it lies.

Large files list thousands, and a shelf has thousands of files: rows are decoded as what they must be, and checked all at once.
Only a table in which something is odd is looked at row by row, to say what.
"""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import orjson

MAX_NUMBER = 2**53
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
METADATA = "__metadata__"
Type = Literal[tuple(ITEM_BYTES)]  # type: ignore[valid-type]
Number = Annotated[int, msgspec.Meta(ge=0, lt=MAX_NUMBER)]


class Row(msgspec.Struct, gc=False):
    """What the header says of one tensor. Where it says nothing there is None, with which no check passes."""

    dtype: Type = None  # type: ignore[assignment, valid-type]
    shape: tuple[Number, ...] = None  # type: ignore[assignment]
    data_offsets: tuple[Number, Number] = None  # type: ignore[assignment]


class _Beside(msgspec.Struct):
    metadata: dict[str, Any] = msgspec.field(name=METADATA, default_factory=dict)


class Table(NamedTuple):
    """What a header lists.

    Attributes:
        amounts: type -> how many bytes the tensors of that type have.
        gapless: they lie one after the other, beginning at 0.
    """

    rows: Mapping[str, Row]
    metadata: dict[str, str]
    amounts: dict[str, int]
    gapless: bool


_ROWS, _BESIDE = msgspec.json.Decoder(dict[str, Row]), msgspec.json.Decoder(_Beside)


def read_table(raw: bytes, listed: int) -> Table:
    """The table in a header. Each row has a known type, a possible shape, and as many bytes as these need.

    Args:
        listed: how often "data_offsets" stands in it.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no such table; what is wrong with it.
    """
    try:
        rows, metadata = _at_once(raw, listed)
        amounts, gapless = _measured(rows)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError):
        rows, metadata = _one_by_one(raw)
        amounts, gapless = _measured(rows)
    return Table(rows, {name: value for name, value in metadata.items() if isinstance(value, str)}, amounts, gapless)


def _at_once(raw: bytes, listed: int) -> tuple[dict[str, Row], dict[str, Any]]:
    if not raw.isascii():
        raw.decode()  # msgspec does not look at what it skips
    rows = _ROWS.decode(raw)
    told = rows.pop(METADATA, None) is not None
    if listed != len(rows) or (told and raw.count(f'"{METADATA}"'.encode()) != 1):
        raise ValueError("something occurs twice")
    return rows, _BESIDE.decode(raw).metadata if told else {}


def _measured(rows: Mapping[str, Row]) -> tuple[dict[str, int], bool]:
    """(type -> bytes, whether the tensors lie one after the other). One loop, since nothing else here takes as long."""
    amounts = dict.fromkeys(ITEM_BYTES, 0)
    place, ordered, product, widths = 0, True, math.prod, ITEM_BYTES
    for row in rows.values():
        dtype, (begin, end) = row.dtype, row.data_offsets
        size = end - begin
        if size != product(row.shape) * widths[dtype]:
            raise ValueError("bytes and shape do not fit")
        if begin != place:
            ordered = False
        place = end
        amounts[dtype] += size
    return {dtype: size for dtype, size in amounts.items() if size}, ordered or _gapless([row.data_offsets for row in rows.values()])


def _gapless(places: list[tuple[int, int]]) -> bool:
    return sorted(begin for begin, _ in places) == [0, *sorted(end for _, end in places)][:-1]


def _one_by_one(raw: bytes) -> tuple[dict[str, Row], dict[str, Any]]:
    orjson.loads(raw)  # stricter than json, and says it better
    found = json.loads(raw, object_pairs_hook=_unique)
    metadata = found.pop(METADATA, None) or {}
    return {name: _checked(name, row) for name, row in found.items()}, metadata


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _checked(name: str, row: dict[str, Any]) -> Row:
    dtype, shape, (begin, end) = row["dtype"], tuple(row["shape"]), tuple(row["data_offsets"])
    if dtype not in ITEM_BYTES:
        raise ValueError(f"'{name[:60]}' has the unknown type {str(dtype)[:20]}")
    if not all(type(number) is int for number in (*shape, begin, end)) or not all(0 <= side < MAX_NUMBER for side in shape):
        raise ValueError(f"'{name[:60]}' has an impossible shape or place")
    if end - begin != math.prod(shape) * ITEM_BYTES[dtype]:
        raise ValueError(f"'{name[:60]}' has {end - begin} bytes, its shape needs {math.prod(shape) * ITEM_BYTES[dtype]}")
    return Row(dtype, shape, (begin, end))

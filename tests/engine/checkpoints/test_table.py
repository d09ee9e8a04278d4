"""Tables of contents: every spelling that is sound is read, and nothing that lies is believed."""

import json
import random
from typing import Any

import pytest

from app.engine.checkpoints.table import ITEM_BYTES, read_table

A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
EMPTY = {"dtype": "U8", "shape": [0], "data_offsets": [8, 8]}


def raw_of(entries: object, **spelling: Any) -> bytes:
    return json.dumps(entries, **({"separators": (",", ":")} | spelling)).encode()


def read(raw: bytes) -> Any:
    return read_table(raw, raw.count(b'"data_offsets"'))


def many(count: int) -> dict[str, Any]:
    """Tensors of all types, one after the other."""
    made, place, drawn = {}, 0, random.Random(3)
    for number in range(count):
        dtype, shape = drawn.choice(list(ITEM_BYTES)), [drawn.randint(1, 9) for _ in range(drawn.randint(0, 2))]
        end = place + ITEM_BYTES[dtype] * (shape[0] if shape else 1) * (shape[1] if shape[1:] else 1)
        made[f"blöcke.{number}"] = {"dtype": dtype, "shape": shape, "data_offsets": [place, end]}
        place = end
    return made


@pytest.mark.parametrize("spelling", [{}, {"separators": (", ", ": ")}, {"indent": 1}, {"ensure_ascii": False}])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_row_is_told_whatever_the_spelling_and_the_order(spelling: dict[str, Any], shuffled: bool) -> None:
    entries = many(300)
    names = random.Random(1).sample(list(entries), 300) if shuffled else list(entries)
    table = read(raw_of({"__metadata__": {"title": 'a "word"', "number": 1}} | {name: entries[name] for name in names}, **spelling))
    told = {name: {"dtype": row.dtype, "shape": list(row.shape), "data_offsets": list(row.data_offsets)} for name, row in table.rows.items()}
    assert told == entries and list(told) == names and table.gapless
    assert table.metadata == {"title": 'a "word"'}
    sizes = [(entry["dtype"], entry["data_offsets"][1] - entry["data_offsets"][0]) for entry in entries.values()]
    assert table.amounts == {dtype: sum(size for kind, size in sizes if kind == dtype) for dtype in ITEM_BYTES}


@pytest.mark.parametrize("metadata", [{}, None, {"dtype": "x"}, {"shape": "x"}, {"data_offsets": "x"}, {"a": '{"data_offsets":[0]}'}, {"a": [{"b": 1}]}])
def test_metadata_may_be_anything(metadata: Any) -> None:
    table = read(raw_of({"__metadata__": metadata, "a": A}))
    assert table.metadata == {name: value for name, value in (metadata or {}).items() if isinstance(value, str)}
    assert list(table.rows) == ["a"] and table.rows["a"].shape == (2,)


LIES = {
    "unknown type of nothing": (raw_of({"a": A, "b": EMPTY | {"dtype": "F7"}}), "unknown type F7"),
    "no type": (raw_of({"a": {"shape": [2], "data_offsets": [0, 8]}}), "dtype"),
    "no shape": (raw_of({"a": {"dtype": "F32", "data_offsets": [0, 8]}}), "shape"),
    "places elsewhere": (raw_of({"a": A, "b": {"dtype": "U8", "shape": [0], "x": "data_offsets"}}), "data_offsets"),
    "null": (raw_of({"a": A | {"shape": None}}), "not iterable"),
    "fraction": (raw_of({"a": A | {"shape": [2.0]}}), "impossible"),
    "huge and nothing": (raw_of({"a": A, "b": EMPTY | {"shape": [0, 2**53]}}), "impossible"),
    "twice": (b'{"a":%b,"a":%b}' % (raw_of(A), raw_of(A)), "occurs twice"),
    "metadata twice": (b'{"__metadata__":{},"__metadata__":{},"a":%b}' % raw_of(A), "occurs twice"),
    "no utf-8": (b'{"a":{"x":"\xff",%b' % raw_of(A)[1:] + b"}", "UTF-8"),
    "half a sign": (b'{"\\ud800":%b}' % raw_of(A), "surrogate"),
}


@pytest.mark.parametrize("case", LIES)
def test_lies_are_refused(case: str) -> None:
    raw, sentence = LIES[case]
    with pytest.raises((ValueError, KeyError, TypeError), match=sentence):
        read(raw)


@pytest.mark.parametrize("places", [([0, 8], [4, 12]), ([0, 8], [16, 24]), ([8, 16], [16, 24]), ([-8, 0], [0, 8])])
def test_overlaps_and_gaps_are_told(places: tuple[list[int], list[int]]) -> None:
    table = read(raw_of({name: A | {"data_offsets": place} for name, place in zip("ab", places, strict=True)}))
    assert not table.gapless

"""What people write as the values of an axis."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.grids import values


@pytest.mark.parametrize(("text", "found"), [
    ("10, 20,30", ["10", "20", "30"]),
    ('"a, b", c', ["a, b", "c"]),
    ('say ""hi"", "say ""hi"""', ['say ""hi""', 'say "hi"']),
    (" , a ,, ", ["a"]),
    ("", []),
    ("a\nb", ["a", "b"]),
    ('"two\nlines", b', ["two\nlines", "b"]),
    ('"never closed, b', ["never closed, b"]),
])  # fmt: skip
def test_split(text: str, found: list[str]) -> None:
    assert values.split(text) == found


@pytest.mark.parametrize(("text", "found"), [
    ("1-5", [1, 2, 3, 4, 5]),
    ("5 - 1", [5, 4, 3, 2, 1]),
    ("1-10 (+3)", [1, 4, 7, 10]),
    ("1-10(+4)", [1, 5, 9]),
    ("10-1 (-4)", [10, 6, 2]),
    ("-3--1", [-3, -2, -1]),
    ("1-3 [4]", [1, 1, 2, 3]),
    ("7-7", [7]),
    ("3, 1-2, 9", [3, 1, 2, 9]),
    ("1-9 [1]", [1]),
    ("18446744073709551615", [2**64 - 1]),
    ("7.0", [7]),
])  # fmt: skip
def test_whole_numbers(text: str, found: list[int]) -> None:
    assert values.numbers(values.split(text), True) == found


@pytest.mark.parametrize(("text", "found"), [
    ("0.1-0.5 (+0.1)", [0.1, 0.2, 0.3, 0.4, 0.5]),
    ("0-1 [5]", [0.0, 0.25, 0.5, 0.75, 1.0]),
    (".5-2", [0.5, 1.5]),
    ("7.5, x", [7.5, "x"]),
    ("1e1", [10.0]),
    ("nan", ["nan"]),
    ("inf", ["inf"]),
    ("1e999999", ["1e999999"]),
])  # fmt: skip
def test_numbers(text: str, found: list[float]) -> None:
    assert values.numbers(values.split(text), False) == found


@pytest.mark.parametrize(("text", "sentence"), [
    ("1-5 (-1)", "does not lead from 1 to 5"),
    ("1-5 (+0)", "does not lead"),
    ("1-1000000000", "makes 1000000000 values"),
    ("0-1 (+0.0000001)", "makes 10000001 values"),
    ("0-1 [0]", "asks for 0 values"),
    ("0-1 [99999]", "asks for 99999 values"),
    ("1-900, 1-900", "more than 1000 values"),
])  # fmt: skip
def test_ranges_that_lead_nowhere_or_too_far(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence.replace("(", r"\(")):
        values.numbers(values.split(text), False)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=8))
def test_what_is_joined_is_split_again(texts: list[str]) -> None:
    kept = [text.strip() for text in texts if text.strip()]
    assert values.split(values.join(kept)) == kept


@given(st.text(max_size=200))
def test_no_text_makes_the_reading_raise_anything_else(text: str) -> None:
    with contextlib.suppress(BadRequest):
        values.numbers(values.split(text), True)


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 50))
def test_a_range_holds_what_python_counts(first: int, last: int, pace: int) -> None:
    step = pace if last >= first else -pace
    assert values.numbers([f"{first}-{last} ({step:+})"], True) == list(range(first, last + (1 if step > 0 else -1), step))


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(-(2**64), 2**64)))
def test_a_number_told_is_read_as_the_same(value: float) -> None:
    if abs(value) > 1e30 or 0 < abs(value) < 1e-30:
        return
    assert values.numbers([values.told(value)], isinstance(value, int)) == [value]

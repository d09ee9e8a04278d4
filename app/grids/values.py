"""The values of an axis as A1111 writes them: comma lists with CSV's quotes, and ranges for numbers.

    10, 20, 30            "a, b", c             three numbers; two texts, the first with a comma
    1-5                   5-1                   1, 2, 3, 4, 5; and down
    1-10 (+3)             0.1-0.5 (+0.1)        from, to, step; the end counts where it is met
    1-3 [4]               0-1 [5]               from, to, how many, evenly
"""

import csv
import io
import re
from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal, InvalidOperation

from app.errors import BadRequest

MAX_VALUES = 1000
"""How many values one axis may have, whatever the settings say."""
_NUMBER = r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})"
_RANGE = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})(?:\s*\(\s*({_NUMBER})\s*\)|\s*\[\s*(\d{{1,9}})\s*\])?")


def split(text: str) -> list[str]:
    """The values in a text: without blanks around them, empty ones dropped. A line break separates like a comma.

    Raises BadRequest when the quotes cannot be read.
    """
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=False))
    except csv.Error as error:
        raise BadRequest(f"The values {text[:40]!r} cannot be read: {error}.") from None
    return [value for row in rows for value in map(str.strip, row) if value]


def join(values: Iterable[str]) -> str:
    """One text of which `split` makes the values again."""
    return ", ".join(quoted(value) for value in values)


def quoted(value: str) -> str:
    """A value in CSV's quotes where it needs them."""
    return '"' + value.replace('"', '""') + '"' if any(sign in value for sign in ',"\n\r') else value


def numbers(texts: Iterable[str], whole: bool) -> list[int | float | str]:
    """Numbers, ranges taken apart. What is neither stays text, for the request's own check to refuse.

    Args:
        whole: whole numbers are wanted; the evenly spread values of `1-3 [4]` are then cut, as A1111 cuts them.

    Raises BadRequest: a range of more than `MAX_VALUES` values, or with a step of 0 or in the wrong direction.
    """
    found: list[int | float | str] = []
    for text in texts:
        match = _RANGE.fullmatch(text)
        found += [fitting(value, whole) for value in spread(text, *match.groups())] if match else [single(text, whole)]
        if len(found) > MAX_VALUES:
            raise BadRequest(f"{text!r} makes more than {MAX_VALUES} values, but at most {MAX_VALUES} are allowed on an axis.")
    return found


def spread(text: str, first: str, last: str, step: str | None, count: str | None) -> list[Decimal]:
    """The values of a range. Decimal, so that 0.1-0.5 (+0.1) ends at 0.5."""
    start, end = Decimal(first), Decimal(last)
    if count is not None:
        many = int(count)
        if not 1 <= many <= MAX_VALUES:
            raise BadRequest(f"{text!r} asks for {many} values, but it must be 1 to {MAX_VALUES}.")
        return [start + (end - start) * i / (many - 1) if many > 1 else start for i in range(many)]
    pace = Decimal(step) if step is not None else Decimal(1 if end >= start else -1)
    if not pace or (end - start) * pace < 0:
        raise BadRequest(f"{text!r} has the step {step}, which does not lead from {first} to {last}.")
    many = int((end - start) / pace) + 1
    if many > MAX_VALUES:
        raise BadRequest(f"{text!r} makes {many} values, but at most {MAX_VALUES} are allowed on an axis.")
    return [start + pace * i for i in range(many)]


def fitting(value: Decimal, whole: bool) -> int | float:
    """A value of a range as the field has it."""
    return int(value.to_integral_value(ROUND_DOWN)) if whole else float(value)


def single(text: str, whole: bool) -> int | float | str:
    """One number; what is none stays text. "7.5" for a whole number stays a float, and is refused as one."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    if not value.is_finite() or abs(value.adjusted()) > 30:
        return text
    if whole and value == value.to_integral_value():
        return int(value)
    return float(value)


def told(value: object) -> str:
    """A value as text that is read as the same value again: 7, 7.5, True."""
    if isinstance(value, float):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return str(value)

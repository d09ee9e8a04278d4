"""A1111's "parameters" text taken apart, as A1111 takes it apart.

Two readings: `parse(text)` is A1111's own (a last line with three pairs is parameters); with `strict` a last line must
also name "Steps", so that a pasted prompt such as "cat, style: a, mood: b, light: c" stays a prompt.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_TEXT = 64 * 1024
NEGATIVE = "Negative prompt:"
_RUN = re.compile(r"[\w \-/]+")
_VALUE = re.compile(r'\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"^(\d+)x(\d+)$")


@dataclass(frozen=True)
class Infotext:
    """What a "parameters" text says. Fields hold text; a size such as "512x768" becomes "Size-1" and "Size-2"."""

    prompt: str
    negative: str
    fields: dict[str, str] = field(default_factory=dict)


def quote(value: str) -> str:
    """A JSON string iff the value has a comma, a colon or a line break."""
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ",\n:") else value


def unquote(value: str) -> str:
    """The reverse of `quote`; what is no JSON string stays as it is."""
    if not (value[:1] == '"' and value[-1:] == '"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def parse(text: str, strict: bool = False) -> Infotext:
    """A1111's reading of a text. Never raises; at most 64 KiB are read, in time linear in their length.

    Args:
        strict: the last line is parameters only if it names "Steps" too.
    """
    *lines, last = text[:MAX_TEXT].strip().split("\n")
    found = list(pairs_in(last))
    if len(found) < 3 or (strict and not any(key == "Steps" for key, _ in found)):
        lines, found = [*lines, last], []
    prompt: list[str] = []
    negative: list[str] = []
    part = prompt
    for line in (line.strip() for line in lines):
        if line.startswith(NEGATIVE):
            part, line = negative, line[len(NEGATIVE) :].strip()
        if part or line:
            part.append(line)
    return Infotext("\n".join(prompt), "\n".join(negative), fields_of(found))


def fields_of(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Pairs as A1111 keeps them: quotes taken off, sizes split in two, empty values dropped."""
    fields: dict[str, str] = {}
    for key, raw in pairs:
        value = unquote(raw)
        if size := _SIZE.match(value):
            fields[f"{key}-1"], fields[f"{key}-2"] = size.groups()
        elif raw:
            fields[key] = value
    return fields


def pairs_in(line: str) -> Iterator[tuple[str, str]]:
    r"""All matches of `\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)`, found in linear time.

    The expression itself takes quadratic time on a long line without a colon; here each run of key characters is looked at once.
    """
    position = 0
    while run := _RUN.search(line, position):
        position = run.end()
        if line[position : position + 1] != ":":
            continue
        key = run.group().lstrip(" -/")
        if len(key) < 2 or not (value := _VALUE.match(line, position + 1)):
            continue
        yield key, value.group(1)
        position = value.end()

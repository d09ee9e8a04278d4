"""A1111's prompt language, as text only: comments, extra networks, AND, schedules, attention, BREAK.

The order of work: `strip_comments`, `extract_networks`, `split_and`, `schedule`, `attention` (or `segments`).
Each function is iterative and linear in the length of its text. Prompts may be 8 KiB long and brackets 32 deep;
beyond that `BadRequest` is raised, unless the caller says `capped=False`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from app.engine.prompt.block_weights import block_weights, is_block_weights
from app.errors import BadRequest, UnknownName

MAX_BYTES = 8192
MAX_DEPTH = 32

_TOKEN = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*(?P<weight>[+-]?[.\d]+)\s*\)|\)|\]|(?:[^\\()\[\]:]+|:(?!\s*[+-]?[.\d]+\s*\)))+")
_BREAK = re.compile(r"\bBREAK\b")
_AND = re.compile(r"\bAND\b")
_AND_WEIGHT = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)")
_NETWORK = re.compile(r"<(\w+):")
_UP, _DOWN = 1.1, 1 / 1.1
_EXACT_DEPTH = 64


class Piece(NamedTuple):
    """A piece of prompt and its attention weight. A BREAK is the text "BREAK" with a negative weight, as in A1111."""

    text: str
    weight: float


LORA_KINDS = ("lora", "lyco")
"""The kinds of tags that name a LoRA; A1111 accepts both words for either."""


@dataclass(frozen=True)
class Network:
    """An extra network named in a prompt: `<lora:name:te:unet:dyn>`, and what the extension for block weights adds to that.

    Attributes:
        kind: "lora", "lyco", "hypernet" ...
        name: the network's name; empty when the tag has none.
        te: weight in the text encoder.
        unet: weight in the UNet; the text encoder's when not given.
        dyn: rank to use of a dynamic LoRA, or None.
        blocks: weights of the UNet's blocks, see `app.engine.prompt.block_weights`; "" when none are given.
        start, stop: the first step (from 1) at which it acts on the UNet, and the first one at which it does not any more; None: to the end.
    """

    kind: str
    name: str
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None
    blocks: str = ""
    start: int = 1
    stop: int | None = None


@dataclass(slots=True)
class _Bracket:
    """An open or closed bracket: the one around it (of its own kind), its factor and when it closed."""

    outer: "_Bracket | None"
    depth: int
    factor: float = 1.0
    closed: float = math.inf
    total: float = math.nan


def check_length(text: str) -> None:
    """Raises BadRequest when the prompt is longer than 8 KiB."""
    if len(text) > MAX_BYTES or (size := len(text.encode(errors="replace"))) > MAX_BYTES:
        size = len(text.encode(errors="replace"))
        raise BadRequest(f"The prompt is {size} bytes long, but at most {MAX_BYTES} are allowed.")


def check_depth(depth: int) -> None:
    """Raises BadRequest when brackets are nested deeper than 32."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"The prompt has brackets nested more than {MAX_DEPTH} deep, but at most {MAX_DEPTH} are allowed.")


def attention(text: str, *, capped: bool = True) -> list[Piece]:
    """The pieces of a prompt with their weights, neighbours of one weight joined: `(a)` 1.1, `[a]` 1/1.1, `(a:1.2)` 1.2.

    Raises BadRequest for a prompt that is too long or nested too deeply; any other text has a meaning.
    """
    return _joined(piece for piece, _ in _weighted(text, capped))


def segments(text: str, *, capped: bool = True) -> list[list[Piece]]:
    """`attention`, cut at each BREAK: one list of pieces for each run of 75-token chunks. Never empty."""
    cut: list[list[Piece]] = [[]]
    for piece, is_break in _weighted(text, capped):
        if is_break:
            cut.append([])
        else:
            cut[-1].append(piece)
    return [_joined(pieces) for pieces in cut]


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours of one weight made one piece; never empty."""
    runs = [("".join(piece.text for piece in run), weight) for weight, run in groupby(pieces, key=attrgetter("weight"))]
    return [Piece(text, weight) for text, weight in runs] or [Piece("", 1.0)]


def _weighted(text: str, capped: bool) -> list[tuple[Piece, bool]]:
    """Each piece of text with its weight, and whether it is a BREAK.

    Round and square brackets are matched apart from each other, as in A1111: `([a)b]` weighs a by both, b by one.
    """
    if capped:
        check_length(text)
    found: list[tuple[str, bool, _Bracket | None, _Bracket | None]] = []
    outer: _Bracket | None = None
    square: _Bracket | None = None
    opened: list[_Bracket] = []
    for time, match in enumerate(_TOKEN.finditer(text)):
        token, written = match.group(0, "weight")
        if token in ("(", "["):
            if token == "(":
                outer = bracket = _Bracket(outer, outer.depth + 1 if outer else 1, _UP)
            else:
                square = bracket = _Bracket(square, square.depth + 1 if square else 1, _DOWN)
            opened.append(bracket)
            if capped:
                check_depth((outer.depth if outer else 0) + (square.depth if square else 0))
        elif square and token == "]":
            square.closed, square = time, square.outer
        elif outer and (written or token == ")"):
            if written and (number := _number(written)) is not None:
                outer.factor = number
            elif written:
                found.append((token[:-1], False, outer, square))
            outer.closed, outer = time, outer.outer
        else:
            literal = token[1:] if token[0] == "\\" else token
            if "BREAK" in literal:
                found += [(part, is_break, outer, square) for part, is_break in _split_breaks(literal)]
            else:
                found.append((literal, False, outer, square))
    for bracket in opened:
        bracket.total = bracket.factor * (bracket.outer.total if bracket.outer else 1.0)
    return [(Piece(part, _weight(-1.0 if is_break else 1.0, *around)), is_break) for part, is_break, *around in found]


def _number(text: str) -> float | None:
    """The weight that is written there, or None for things like "1.2.3" that only look like one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _split_breaks(text: str) -> list[tuple[str, bool]]:
    """`text` cut at the word BREAK, without the white space around it."""
    parts = _BREAK.split(text)
    if len(parts) == 1:
        return [(text, False)]
    out = [(parts[0].rstrip(), False)]
    for part in parts[1:-1]:
        out += [("BREAK", True), (part.strip(), False)]
    return [*out, ("BREAK", True), (parts[-1].lstrip(), False)]


def _weight(weight: float, outer: _Bracket | None, square: _Bracket | None) -> float:
    """`weight` times the factors of all brackets around it, in the order in which they closed (as A1111 multiplies)."""
    if (outer.depth if outer else 0) + (square.depth if square else 0) > _EXACT_DEPTH:
        return weight * (outer.total if outer else 1.0) * (square.total if square else 1.0)
    while outer or square:
        if outer and (square is None or outer.closed <= square.closed):
            weight, outer = weight * outer.factor, outer.outer
        elif square:
            weight, square = weight * square.factor, square.outer
    return weight


def split_and(text: str, *, capped: bool = True) -> list[tuple[str, float]]:
    """The parts of `a AND b :0.5` with their weights (1 when not given); AND splits before any bracket is looked at."""
    if capped:
        check_length(text)
    parts = []
    for part in _AND.split(text):
        body = part.rstrip()
        head, colon, tail = body.rpartition(":")
        weighted = colon and _AND_WEIGHT.fullmatch(tail.strip())
        parts.append((head.rstrip(), float(tail)) if weighted else (body, 1.0))
    return parts


def strip_comments(text: str) -> str:
    """The text without `# ...` to the end of each line; lines that hold nothing but a comment go altogether."""
    lines = (line.partition("#")[0] if "#" in line else line for line in text.split("\n") if not line.startswith("#"))
    return "\n".join(lines)


def check_kinds(networks: Iterable[Network]) -> None:
    """Raises UnknownName for a tag such as `<hypernet:...>`, whose kind we do not load."""
    for network in networks:
        if network.kind not in LORA_KINDS:
            raise UnknownName("kind of network", network.kind, LORA_KINDS)


def extract_networks(text: str, *, capped: bool = True) -> tuple[str, list[Network]]:
    """The text without its `<kind:arguments>` tags, and what they ask for, in order.

    Arguments are `name:te:unet:dyn`, or by name: `te=`, `unet=`, `dyn=`, `lbw=`, `start=`, `stop=`, `step=`.

    Raises:
        BadRequest: a tag has an argument that there is not, or one that is no number, or the prompt is too long.
    """
    if capped:
        check_length(text)
    kept, networks, done, place = [], [], 0, text.find("<")
    while place >= 0:
        match = _NETWORK.match(text, place)
        end = text.find(">", match.end()) if match else place
        if end < 0:
            break
        if match and end > match.end():
            kept.append(text[done:place])
            networks.append(_network(match[1], text[match.end() : end]))
            place = done = end + 1
        else:
            place += 1
        place = text.find("<", place)
    return "".join([*kept, text[done:]]), networks


_ARGUMENTS = ("te", "unet", "dyn", "lbw", "start", "stop", "step")


def _network(kind: str, arguments: str) -> Network:
    """The network that `kind:arguments` names."""
    items = arguments.split(":")
    shown = f"The prompt has '<{kind}:{arguments[:60]}>'"
    named = dict(item.split("=", 1) for item in items[1:] if "=" in item)
    if unknown := named.keys() - set(_ARGUMENTS):
        raise BadRequest(f"{shown}, but a tag has no '{min(unknown)[:20]}=': it has {', '.join(f'{name}=' for name in _ARGUMENTS)}.")
    placed = [item for item in items[1:] if "=" not in item]
    blocks = next((item for item in placed if is_block_weights(item)), "")
    values = dict(zip(("te", "unet", "dyn"), [item for item in placed if item != blocks or not blocks], strict=False)) | named
    try:
        te = float(values.get("te", 1.0))
        unet = float(values.get("unet", te))
        dyn = int(values["dyn"]) if "dyn" in values else None
    except ValueError:
        raise BadRequest(f"{shown}, but its weights must be numbers, as in '<{kind}:{items[0][:40]}:0.8>'.") from None
    if not (math.isfinite(te) and math.isfinite(unet)):
        raise BadRequest(f"{shown}, but its weights must be finite numbers.")
    if dyn is not None and dyn < 1:
        raise BadRequest(f"{shown}, but the ranks to use (dyn) must be at least 1.")
    blocks = values.get("lbw", blocks)
    block_weights(blocks)
    return Network(kind, items[0], te, unet, dyn, blocks, *_steps(values, shown))


def _steps(values: Mapping[str, str], shown: str) -> tuple[int, int | None]:
    """(first step, first step that is not one any more or None) of `start=3`, `stop=10` or `step=3-10`. Raises BadRequest."""
    first, _, last = values.get("step", "").partition("-")
    try:
        start, stop = (int(values.get(name) or number or 0) for name, number in (("start", first), ("stop", last)))
    except ValueError:
        raise BadRequest(f"{shown}, but its steps must be whole numbers, as in 'start=3', 'stop=10' or 'step=3-10'.") from None
    if start < 0 or stop < 0 or 0 < stop <= start:
        raise BadRequest(f"{shown}, but its steps must not be negative, and it must stop after it starts.")
    return max(start, 1), stop or None

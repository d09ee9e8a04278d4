"""`python -m app parse`: how a prompt is read, without a checkpoint."""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from app import flags
from app.engine.prompt.grammar import attention, split_and
from app.engine.prompt.schedule import schedule
from app.errors import BadSettings
from app.request import plain_text

MAX_STEPS = 1000


def parse(argv: Sequence[str]) -> int:
    """Print schedule, attention and AND parts of a text, each computed on the text as it is given.

    Raises:
        BadSettings: a flag is wrong, or there is not exactly one text.
        BadRequest: the text is too long or nested too deeply.
    """
    parser = flags.Parser(prog="python -m app parse", description="How a prompt is read: its schedule over the steps, weights, and parts joined by AND.")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="the prompt; put -- before it")
    parser.add_argument("--steps", metavar="NUMBER", help="sampling steps (20)")
    parser.add_argument("--hires-steps", metavar="NUMBER", help="steps of the second pass; when given, the schedule is that pass's")
    parser.add_argument("--json", action="store_true", help='as JSON: {"schedule": [[last step, text], ...], "attention": [[text, weight], ...], "and": ...}')
    before, after = list(argv), []
    if "--" in argv:
        place = list(argv).index("--")
        before, after = list(argv[:place]), list(argv[place + 1 :])
    given = parser.values(before)
    texts = [*given.get("texts", []), *after]
    if len(texts) != 1:
        raise BadSettings(f"parse was given {len(texts)} texts, but it reads one.", "Put it in quotes, behind --.")
    steps, hires_steps = number_of(given, "steps", 20), number_of(given, "hires_steps", None)
    found = {
        "schedule": [list(item) for item in schedule(texts[0], steps or 20, hires_steps)],
        "attention": [list(piece) for piece in attention(texts[0])],
        "and": [list(part) for part in split_and(texts[0])],
    }
    sys.stdout.write((json.dumps(found) if given.get("json") else plain_text(listing(found))) + "\n")
    return 0


def number_of(given: dict[str, Any], name: str, default: int | None) -> int | None:
    """A number of steps. Raises BadSettings."""
    value = given.get(name, default)
    if value is None or isinstance(value, int):
        return value
    if not re.fullmatch("[0-9]{1,9}", value) or not 1 <= int(value) <= MAX_STEPS:
        raise BadSettings(f"--{name.replace('_', '-')} is '{value[:40]}', but it must be a whole number from 1 to {MAX_STEPS}.")
    return int(value)


def listing(found: dict[str, list[list[Any]]]) -> str:
    """The three readings for people, one item a line."""
    first, lines = 1, ["Steps"]
    for last, text in found["schedule"]:
        lines.append(f"  {f'{first}-{last}' if first < last else last!s:<9}{shown(text)}")
        first = last + 1
    lines += ["Weights", *(f"  {weight:<9.4g}{shown(text)}" for text, weight in found["attention"])]
    lines += ["Parts joined by AND", *(f"  {weight:<9.4g}{shown(text)}" for text, weight in found["and"])]
    return "\n".join(lines)


def shown(text: str) -> str:
    """A text in quotes, on one line."""
    return json.dumps(text, ensure_ascii=False)

"""Wildcards: `{red|green}` and `__name__` (a line of a file in wildcards/) in prompts, drawn by the seed of each picture.

Off unless the request says `wildcards`. Styles are applied before, so that they may hold wildcards too; what was drawn is
what runs and what is saved. Choices may stand in choices, and lines of files may hold both:

    {a|b||c}          one of them; empty ones count
    {3::a|b}          a is three times as likely as b
    {2$$a|b|c}        two different ones, joined by ", "; {1-2$$ and $$a|b|c}: one or two, joined by " and "
    __colour__        a line of wildcards/colour.txt; __flowers/rare__: of wildcards/flowers/rare.txt
"""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

from app.errors import BadRequest, UnknownName
from app.request import MAX_PROMPT_BYTES, AnyRequest, Batched, plain_text

MAX_FILE = 4 * 2**20
MAX_DEPTH = 32
MAX_DRAWS = 1000
_NAME = re.compile(r"__([^\W_](?:[\w./ -]*?[\w.-])?)__")
_SIGN = re.compile(r"[{}|]")
_WEIGHT = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)::")
_HOW_MANY = re.compile(r"\s*([0-9]{1,3})(?:-([0-9]{1,3}))?\$\$(?:([^$]*)\$\$)?")


class Wildcards:
    """The files in folders, by name: their path below it without ".txt"."""

    def __init__(self, folder: Path, *others: Path) -> None:
        """Args:
        others: folders of installations that are used in place; of two files of one name the first folder's counts.
        """
        self.folders = (folder, *others)

    def files(self) -> dict[str, Path]:
        """Name -> file, sorted. A folder that is not there has none."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in folder.rglob("*.txt"):
                if path.is_file():
                    found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        return dict(sorted(found.items()))

    def lines(self, name: str) -> list[str]:
        """The lines of a file that can be drawn: not empty, no "#" in front.

        Raises:
            UnknownName: there is no such file.
            BadRequest: it cannot be read, is larger than 4 MB or has no lines.
        """
        files = self.files()
        path = next((path for known, path in files.items() if known.casefold() == name.strip().casefold()), None)
        if path is None:
            raise UnknownName("wildcard", name, files)
        try:
            if path.stat().st_size > MAX_FILE:
                raise BadRequest(f"The wildcard file '{name}' is larger than 4 MB.")
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise BadRequest(f"The wildcard file '{name}' cannot be read; it must be text in UTF-8.") from None
        found = [plain_text(line).strip() for line in text.splitlines()]
        found = [line for line in found if line and not line.startswith("#")]
        if not found:
            raise BadRequest(f"The wildcard file '{name}' has no lines to draw from.")
        return found

    def draw(self, text: str, dice: Random) -> str:
        """`text` with every choice made and every name replaced. Raises UnknownName, BadRequest."""
        left = MAX_DRAWS

        def whole(text: str, depth: int) -> str:
            if depth > MAX_DEPTH:
                raise BadRequest(f"The wildcards of the prompt name each other more than {MAX_DEPTH} deep.")
            made, done, size = [], 0, 0
            text = chosen(text, dice)
            for match in _NAME.finditer(text):
                nonlocal left
                left -= 1
                if left < 0:
                    raise BadRequest(f"The prompt draws from more than {MAX_DRAWS} wildcards.")
                made += [text[done : match.start()], whole(dice.choice(self.lines(match[1])), depth + 1)]
                done, size = match.end(), size + len(made[-1])
                if size > MAX_PROMPT_BYTES:
                    break
            return "".join([*made, text[done:]])

        drawn = whole(text, 0)
        if (size := len(drawn.encode())) > MAX_PROMPT_BYTES:
            raise BadRequest(f"With its wildcards drawn the prompt is {size} bytes long, but at most {MAX_PROMPT_BYTES} are allowed.")
        return drawn

    def pictures(self, request: AnyRequest) -> Iterator[tuple[AnyRequest, dict[str, str]]]:
        """What is to run for a request whose styles are applied: itself where there is nothing to draw, else a request for
        each picture alone, drawn by its own seed, with A1111's pairs about the templates for its infotext.

        Raises UnknownName, BadRequest.
        """
        templates = {name: text for name in texts_of(request) if has_wildcards(text := getattr(request, name))}
        if not request.wildcards or not templates:
            yield request, {}
            return
        facts = {key: templates[name] for name, key in (("prompt", "Template"), ("negative_prompt", "Negative Template")) if name in templates}
        for index in range(request.pictures if isinstance(request, Batched) else 1):
            single = alone(request, index)
            key = f"{single.seed} {single.subseed if single.subseed_strength else ''}"
            drawn = {name: self.draw(text, Random(f"{name} {key}")) for name, text in templates.items()}
            yield single.model_copy(update=drawn | {"wildcards": False}), facts


def texts_of(request: AnyRequest) -> list[str]:
    """Names of the fields that hold prompts."""
    fields = type(request).model_fields
    return [name for name, field in fields.items() if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["widget"] == "lines"]


def has_wildcards(text: str) -> bool:
    """Whether there is anything to draw in a text."""
    return bool(_NAME.search(text)) or chosen(text, Random(0)) != text


def alone(request: AnyRequest, index: int) -> AnyRequest:
    """The request that makes picture `index` of a request, and nothing else."""
    if not isinstance(request, Batched):
        return request
    seed, subseed = request.seeds_of(index)
    return request.model_copy(update={"seed": seed, "subseed": subseed if request.subseed_strength else request.subseed, "batch_count": 1, "batch_size": 1})


def chosen(text: str, dice: Random) -> str:
    """`text` with one option of each `{a|b}`, the innermost first. Braces without "|", or without a partner, are text. Linear."""
    parts: list[list[str]] = [[""]]
    done = 0
    for match in _SIGN.finditer(text):
        parts[-1][-1] += text[done : match.start()]
        done = match.end()
        if match[0] == "{":
            parts.append([""])
        elif len(parts) == 1:
            parts[0][0] += match[0]
        elif match[0] == "|":
            parts[-1].append("")
        else:
            options = parts.pop()
            parts[-1][-1] += picked(options, dice) if len(options) > 1 else "{" + options[0] + "}"
    parts[-1][-1] += text[done:]
    return "{".join("|".join(options) for options in parts)


def picked(options: list[str], dice: Random) -> str:
    """One of the options, or as many as the first one says; each with its weight, without blanks around it."""
    few = many = 1
    joint = ", "
    if match := _HOW_MANY.match(options[0]):
        few, many = int(match[1]), int(match[2] or match[1])
        joint = joint if match[3] is None else match[3]
        options = [options[0][match.end() :], *options[1:]]
    pairs = [(float(match[1]), option[match.end() :].strip()) if (match := _WEIGHT.match(option)) else (1.0, option.strip()) for option in options]
    found = []
    for _ in range(min(dice.randint(min(few, many), max(few, many)), len(pairs))):
        weights = [weight for weight, _ in pairs]
        place = dice.choices(range(len(pairs)), weights if any(weights) else None)[0]
        found.append(pairs.pop(place)[1])
    return joint.join(found)

"""Request fields as flags: `mask_blur` is --mask-blur, with the label, help, bounds and default that the field declares."""

import argparse
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from app.request import AnyTask, Asked, allowed

Values = dict[str, Any]


def add_to(parser: argparse.ArgumentParser, kind: type[AnyTask]) -> None:
    """Add a flag for each field of a task."""
    add = parser.add_argument_group("picture").add_argument
    for name, field in kind.model_fields.items():
        if name == "task":
            continue
        many = get_origin(field.annotation) is tuple
        look = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        is_file = look.get("widget") in ("image", "mask")
        add(
            f"--{name.replace('_', '-')}",
            action="append" if many else "store",
            metavar="FILE" if is_file else name.rsplit("_", 1)[-1].upper(),
            help=help_of(kind, name, is_file, many),
        )


def help_of(kind: type[Asked], name: str, is_file: bool = False, many: bool = False) -> str:
    """What --help says of a field."""
    field = kind.model_fields[name]
    text = f"{field.title}. {field.description}".rstrip(". ") if field.description else str(field.title)
    if is_file:
        text += "; PNG, JPEG or WebP"
    elif many:
        text += "; may be given several times"
    elif (bounds := allowed(kind, name)) != "text" and not bounds.startswith("text of"):
        text += f"; {bounds}"
    if field.is_required():
        return f"{text} (needed)"
    return (text if field.default in (None, "", ()) else f"{text} ({field.default})").replace("%", "%%")


def values_of(kind: type[Asked], given: Mapping[str, Any]) -> Values:
    """The given request fields, numbers as numbers; what is not a number where one belongs is left for `parse` to refuse."""
    return {name: _number(kind, name, value) for name, value in given.items() if name in kind.model_fields}


def _number(kind: type[Asked], name: str, value: Any) -> Any:
    annotation = kind.model_fields[name].annotation
    kinds = {annotation, *(part for outer in get_args(annotation) for part in (outer, *get_args(outer)))}
    if isinstance(value, str) and kinds & {int, float}:
        if re.fullmatch(r"[+-]?[0-9]{1,30}", value):
            return int(value)
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", value, re.IGNORECASE):
            return float(value)
    return value

"""Measured figures on their way into a Markdown file: kept as JSON while they come, written between two markers at the end."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["-"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def percent(share: float) -> str:
    """0.946 -> "94.6", 1 -> "100"."""
    return f"{100 * share:.1f}".removesuffix(".0")


def write_between(path: Path, name: str, text: str) -> None:
    """Put `text` between the file's lines <!-- name: begin --> and <!-- name: end -->, instead of what is there.

    Raises:
        ValueError: the markers are not there once each, in this order.
    """
    before = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    if before.count(begin) != 1 or before.count(end) != 1 or before.index(begin) > before.index(end):
        raise ValueError(f"{path} needs one line '{begin.strip()}' and below it one line '{end}'.")
    head, rest = before.split(begin)
    replace_text(path, f"{head}{begin}{text.rstrip()}\n{end}{rest.split(end)[1]}")


def replace_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


class Ledger:
    """Results by name in a JSON file, which is written after each."""

    def __init__(self, path: Path, key: str) -> None:
        """`key`: what the results rest on; those of another key are dropped."""
        self.path, self.key = path, key
        saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.results: dict[str, dict[str, Any]] = saved["results"] if saved.get("key") == key else {}

    def put(self, name: str, result: dict[str, Any]) -> None:
        """Keep one result."""
        self.results[name] = result
        replace_text(self.path, json.dumps({"key": self.key, "results": self.results}, indent=1) + "\n")

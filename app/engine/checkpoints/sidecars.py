"""What people and download tools wrote beside a model file: NAME.json (A1111's user metadata) and NAME.civitai.info.

They are strangers' texts: cut, freed of markup and control characters, never a path. Also finds the previews and configs that
lie beside model files.
"""

import html
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SIDECAR = 2 * 2**20
"""Bytes of a sidecar beyond which it is not read."""
MAX_LINE, MAX_TEXT = 200, 2000
PREVIEWS = ("webp", "png", "jpg", "jpeg")


@dataclass(frozen=True)
class Sidecar:
    """Facts from the files beside a model, "" where they say nothing.

    Attributes:
        title: the model's name on the site that it came from.
        description, notes: plain text.
        activation: the words that call for it, as they would be typed into the prompt ("activation text").
        negative: what to add to the negative prompt ("negative text").
        weight: the weight that its user prefers ("preferred weight"), 0.0 when none was set.
        version: what it was made for, in the words of whoever wrote the file ("SD1", "SDXL 1.0").
    """

    title: str = ""
    description: str = ""
    notes: str = ""
    activation: str = ""
    negative: str = ""
    weight: float = 0.0
    version: str = ""


NOTHING = Sidecar()


def read_sidecar(paths: Iterable[Path]) -> Sidecar:
    """What the sidecars of a model say; where two say something about the same, the first one is believed. Never raises."""
    found: dict[str, Any] = {}
    for path in paths:
        record = _record(path)
        facts = _civitai(record) if path.name.lower().endswith(".civitai.info") else _a1111(record)
        found = {name: value for name, value in facts.items() if value} | found
    return Sidecar(**found) if found else NOTHING


def _record(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SIDECAR + 1)
        record = json.loads(raw) if len(raw) <= MAX_SIDECAR else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _a1111(record: dict[str, Any]) -> dict[str, Any]:
    weight = record.get("preferred weight")
    version = _line(record.get("sd version"))
    return {
        "description": _text(record.get("description")), "notes": _text(record.get("notes")), "activation": _line(record.get("activation text"), MAX_TEXT),
        "negative": _line(record.get("negative text"), MAX_TEXT), "version": "" if version == "Unknown" else version,
        "weight": float(weight) if isinstance(weight, int | float) and 0 < abs(weight) <= 10 else 0.0,
    }  # fmt: skip


def _civitai(record: dict[str, Any]) -> dict[str, Any]:
    model, words = record.get("model"), record.get("trainedWords")
    title = _line(model.get("name")) if isinstance(model, dict) else ""
    trained = [_line(word, MAX_TEXT) for word in words[:50]] if isinstance(words, list) else []
    return {
        "title": title, "description": _text(record.get("description")), "version": _line(record.get("baseModel")),
        "activation": ", ".join(word.strip(" ,") for word in trained if word)[:MAX_TEXT],
    }  # fmt: skip


def clean(text: str, length: int) -> str:
    """The text without control characters, cut to a length in characters."""
    return "".join(sign for sign in text[:length] if sign.isprintable() or sign == "\n").strip()


def _text(value: object) -> str:
    """Plain text of what may be HTML."""
    if not isinstance(value, str):
        return ""
    plain = re.sub(r"<(br|/p|/li|/h\d)[^<>]*>", "\n", value[: 10 * MAX_TEXT], flags=re.IGNORECASE)
    return clean(html.unescape(re.sub(r"<[^<>]*>", "", plain)), MAX_TEXT)


def _line(value: object, length: int = MAX_LINE) -> str:
    return " ".join(clean(value, length).split()) if isinstance(value, str) else ""


@dataclass(frozen=True)
class Beside:
    """What lies beside a model file: a sample picture, NAME.yaml, and its sidecars."""

    preview: Path | None = None
    config: Path | None = None
    sidecars: tuple[Path, ...] = ()


class Neighbours:
    """Looks for what lies beside model files; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[str, dict[str, str]] = {}

    def of(self, path: Path, *, is_folder: bool) -> Beside:
        """NAME.preview.webp (png, jpg) beside a file, else NAME.webp as A1111 has it; of a folder preview.webp in it. NAME is the file's
        without its suffix; of a folder, sidecars lie beside it."""
        stem = path.name if is_folder else path.stem
        beside = self._list(path.parent)
        folder, listed, stems = (path, self._list(path), ("preview",)) if is_folder else (path.parent, beside, (f"{stem}.preview", stem))
        preview = next((listed[name] for one in stems for ending in PREVIEWS if (name := f"{one}.{ending}".lower()) in listed), None)
        yaml = beside.get(f"{stem}.yaml".lower()) or beside.get(f"{stem}.yml".lower())
        sidecars = [found for ending in (".json", ".civitai.info") if (found := beside.get(f"{stem}{ending}".lower()))]
        return Beside(
            folder / preview if preview else None, path.parent / yaml if yaml and not is_folder else None, tuple(path.parent / name for name in sidecars)
        )

    def _list(self, folder: Path) -> dict[str, str]:
        """Lower-case names of the files in a folder -> their names."""
        key = str(folder)
        if key not in self._listed:
            try:
                with os.scandir(folder) as entries:
                    self._listed[key] = {entry.name.lower(): entry.name for entry in entries if not entry.is_dir()}
            except OSError:
                self._listed[key] = {}
        return self._listed[key]

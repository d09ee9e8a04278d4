"""An installation of another program becomes part of this one: found, looked through, checked, remembered."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.upscalers import Upscaler, upscalers
from app.flags import with_imports
from app.library.elsewhere import pictures_below
from app.movein import record
from app.movein.find import SURVEYS, find
from app.movein.first_values import fitting
from app.movein.record import Import, Imports
from app.movein.survey import Survey
from app.settings import Settings
from app.styles import Style, read_csv, read_json
from app.wildcards import Wildcards


@dataclass(frozen=True)
class Moved:
    """What came of it.

    Attributes:
        item: what is remembered. found: what was looked through.
        files: the model files in its folders, from their headers; upscalers: the upscalers in them.
        styles, wildcards: names. pictures: how many picture files lie in its outputs.
        notes: settings that could not be taken over, one sentence each.
    """

    item: Import
    found: Survey
    files: tuple[ModelFile, ...]
    upscalers: tuple[Upscaler, ...]
    styles: tuple[str, ...]
    wildcards: tuple[str, ...]
    pictures: int
    notes: tuple[str, ...] = field(default=())


def move_in(path: Path, settings: Settings) -> Moved:
    """Use the installation at `path` in place, from the next start on. Nothing in it is written; imports.json is.

    Raises BadSettings when there is none or imports.json is damaged, WorkFailed when that cannot be written.
    """
    root, program = find(path)
    record.read(settings.root)  # a damaged one is told before the work
    found = SURVEYS[program](root, program)
    styles = read_styles(found)
    folders = {kind: tuple(listed) for kind, listed in found.folders.items() if listed}
    item = Import(root, program, folders, tuple(found.styles), found.flags)
    house = with_imports(settings, Imports((item,)))
    shelf = Shelf(house)
    defaults, notes = checked(found.defaults, shelf, styles)
    item = replace(item, defaults=defaults)
    record.add(settings.root, item)
    theirs = [folder for kind, listed in folders.items() if kind not in ("outputs", "wildcards", "upscaler") for folder in listed]
    files = tuple({file.path: file for file in shelf.everything() if any(file.path.is_relative_to(folder) for folder in theirs)}.values())
    enlarging = tuple(one for one in upscalers(house) if one.path and any(one.path.is_relative_to(folder) for folder in folders.get("upscaler", ())))
    drawn = tuple(dict.fromkeys(name for folder in folders.get("wildcards", ()) for name in Wildcards(folder).files()))
    pictures = sum(1 for folder in folders.get("outputs", ()) for _ in pictures_below(folder))
    return Moved(item, found, files, enlarging, tuple(styles), drawn, pictures, tuple(notes))


def read_styles(found: Survey) -> dict[str, Style]:
    """The styles in its files by name; a file that cannot be read, or holds none, is left out and named."""
    styles: dict[str, Style] = {}
    good = []
    for path in found.styles:
        try:
            read = read_json(path) if path.suffix.lower() == ".json" else read_csv(path)
        except (OSError, ValueError, csv.Error) as error:
            found.unused.append(f"{found.told(path)} cannot be read: {str(error)[:100]}.")
            continue
        good.append(path)
        styles = read | styles
    found.styles[:] = good
    return styles


def checked(said: Mapping[str, Mapping[str, Any]], shelf: Shelf, styles: Mapping[str, Style]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """First values of the tasks that our requests take, and a sentence for each that is left out."""
    defaults: dict[str, dict[str, Any]] = {}
    notes: dict[str, None] = {}
    for task, fields in said.items():
        values, more = fitting(task, fields, shelf, styles)
        notes |= dict.fromkeys(more)
        if values:
            defaults[task] = values
    return defaults, list(notes)

"""What forms, and the command line, begin with where an installation that is used in place says so. Scripts get the fields' own defaults."""

from collections.abc import Collection, Mapping
from typing import Any

from app import infotext, recall
from app.engine.checkpoints.find import Shelf
from app.engine.upscalers import find_upscaler
from app.errors import UnknownName
from app.request import TASKS
from app.settings import Settings
from app.styles import Styles

FILES = {"checkpoint": "checkpoint", "refiner_checkpoint": "checkpoint", "hr_checkpoint": "checkpoint", "vae": "vae"}
"""Fields that name a model file, and its kind."""


def first_values(task: str, shelf: Shelf, styles: Collection[str]) -> dict[str, Any]:
    """First values of the fields of a task, by the settings of the shelf. What has gone since, or does not fit any more, is left out.

    Args:
        styles: the names that are known.
    """
    said = shelf.settings.defaults.get(task, {})
    return fitting(task, said, shelf, styles)[0] if said and task in TASKS else {}


def for_command(task: str, settings: Settings) -> dict[str, Any]:
    """The same where there is no studio yet."""
    if not settings.defaults.get(task):
        return {}
    return first_values(task, Shelf(settings), Styles(settings.styles_file, settings.imported_styles).names())


def fitting(task: str, said: Mapping[str, Any], shelf: Shelf, styles: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The values that a request of the task takes, with names as they are called here, and a sentence for each that is left out.

    A value that a field has anyway is left out silently.
    """
    kind = TASKS[task]
    filled = infotext.fitted(task, {name: value for name, value in said.items() if name in kind.model_fields})
    values, notes = recall.known(filled, shelf)
    notes = [*filled.notes, *notes]
    if "styles" in values:
        values["styles"] = [name for name in values["styles"] if name in styles]
    for name, kind_of_file in FILES.items():
        if (told := values.get(name)) and (problem := shelf.find(kind_of_file, told).problem):
            notes.append(f"{kind.model_fields[name].title} '{told}' is not taken over: {problem}")
            del values[name]
    if "upscaler" in values:
        try:
            values["upscaler"] = find_upscaler(shelf.settings, values["upscaler"]).name
        except UnknownName as error:
            notes.append(error.message)
            del values["upscaler"]
    return {name: value for name, value in values.items() if name != "task" and value not in (kind.model_fields[name].default, [])}, notes

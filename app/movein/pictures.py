"""Pictures of other programs on their way into the gallery: what each says of itself."""

import json
from pathlib import Path

from app import __version__, infotext, recall
from app.errors import StudioError
from app.library import Library
from app.library.elsewhere import OnPicture, Told
from app.request import TASKS, Asked, parse
from app.settings import Settings

PLACES = {"img2img": "img2img", "extras": "upscale", "inpaint": "inpaint", "outpaint": "outpaint"}
"""How the name of a folder begins -> the task of its pictures."""
NEEDED = dict.fromkeys(("image", "mask"), "0" * 64)


def take_in(library: Library, settings: Settings, on_picture: OnPicture = lambda done, new: True) -> int:
    """Bring the gallery to what lies in the folders of the installations that are used in place. Returns how many pictures are new.
    Raises DiskTrouble."""
    library.elsewhere.keep(settings.imported_outputs)
    return library.elsewhere.take_in(settings.imported_outputs, describe, on_picture)


def describe(path: Path) -> Told:
    """The task of a picture and its parameters as A1111's text, whatever program wrote them; no name is looked up."""
    found = recall.of_picture(path)
    task = str((found.request or {}).get("task", "")) or place(path)
    if task not in TASKS:
        return Told(place(path), "", found.infotext)
    if found.program == "Darkroom":
        return Told(task, json.dumps(found.request, ensure_ascii=False), found.infotext)
    if place(path) == "upscale":
        task = "upscale"
    return Told(task, "", found.infotext or as_text(found.request or {}, found.program))


def place(path: Path) -> str:
    """The task that the folders above a picture tell; "txt2img" when they do not."""
    parts = [part.lower() for part in path.parts[-4:-1]]
    return next((task for begin, task in PLACES.items() for part in parts if part.startswith(begin)), "txt2img")


def as_text(fields: dict[str, object], program: str) -> str:
    """Recalled fields as A1111's text, of that program; "" when there are none."""
    kind: type[Asked] | None = TASKS.get(str(fields.get("task", "")))
    if kind is None or len(fields) < 2:
        return ""
    try:
        request = parse({**{name: value for name, value in NEEDED.items() if name in kind.model_fields}, **fields})
    except StudioError:
        return ""
    seed = fields.get("seed")
    text = infotext.write(request, {}, 0, seed if isinstance(seed, int) else None)
    return text.replace(f", Version: Darkroom {__version__}", f", Version: {program}" if program else "")

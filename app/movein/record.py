"""imports.json beside webui.py: which installations are used in place, and what of each. Read at every start."""

import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.errors import BadSettings, WorkFailed

FILE = "imports.json"
VERSION = 1
MAX_BYTES = 4 * 2**20
KINDS = ("checkpoint", "lora", "embedding", "vae", "text encoder", "upscaler", "wildcards", "outputs")
"""What the folders of an installation can hold."""


@dataclass(frozen=True)
class Import:
    """One installation that is used in place.

    Attributes:
        path: its folder. program: "AUTOMATIC1111", "ComfyUI" ...
        folders: kind (one of KINDS) -> absolute folders that are looked through.
        styles: files of styles, `.csv` or `.json`, which are only read.
        flags: its start options that have a counterpart here, as settings.toml would say them.
        defaults: task -> request field -> the value that a form begins with.
    """

    path: Path
    program: str
    folders: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    styles: tuple[Path, ...] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def missing(self) -> list[Path]:
        """The folders and files that were there when it was moved in and are not now."""
        folders = [folder for listed in self.folders.values() for folder in listed if not folder.is_dir()]
        return folders + [file for file in self.styles if not file.is_file()]


@dataclass(frozen=True)
class Imports:
    """All that was moved in, the first one first."""

    items: tuple[Import, ...] = ()

    def folders(self, kind: str) -> tuple[Path, ...]:
        """The folders of a kind that are there."""
        return unique(folder for item in self.items for folder in item.folders.get(kind, ()) if folder.is_dir())

    def places(self) -> tuple[Path, ...]:
        """Everything in which nothing is written: the installations, and what they use elsewhere."""
        return unique(place for item in self.items for place in (item.path, *(folder for listed in item.folders.values() for folder in listed)))

    def outputs(self) -> tuple[Path, ...]:
        """The folders of pictures, there or not: pictures on a disk that is not plugged in are not forgotten."""
        return unique(folder for item in self.items for folder in item.folders.get("outputs", ()))

    def styles(self) -> tuple[Path, ...]:
        """The files of styles that are there."""
        return unique(file for item in self.items for file in item.styles if file.is_file())

    def defaults(self) -> dict[str, dict[str, Any]]:
        """Task -> field -> first value; where two installations differ, the one that was moved in first wins."""
        found: dict[str, dict[str, Any]] = {}
        for item in reversed(self.items):
            for task, values in item.defaults.items():
                found.setdefault(task, {}).update(values)
        return found

    def notices(self) -> tuple[str, ...]:
        """A sentence for each installation of which something has gone since."""
        return tuple(f"{item.program} at '{item.path}': {told(gone)} not there any more and left out." for item in self.items if (gone := item.missing()))


def told(paths: Sequence[Path]) -> str:
    """Paths in a sentence, with its verb: the first, and how many more."""
    return f"'{paths[0]}' is" if len(paths) == 1 else f"'{paths[0]}' and {len(paths) - 1} more are"


def unique(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths in their order, each once."""
    return tuple(dict.fromkeys(paths))


def read(root: Path) -> Imports:
    """What imports.json in `root` says; nothing when it is not there. Raises BadSettings when it cannot be read."""
    path = root / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is larger than 4 MB")
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] > VERSION:
            raise BadSettings(f"{FILE} was written by a newer Darkroom.", "Update Darkroom, or delete the file and import again.")
        return Imports(tuple(_import(item) for item in found["imports"]))
    except FileNotFoundError:
        return Imports()
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise BadSettings(f"{FILE} cannot be read ({reason}).", "Delete it and import again; nothing else is lost.") from None


def add(root: Path, item: Import) -> None:
    """Remember an installation, in the place of what was remembered of the same folder. Raises BadSettings, WorkFailed."""
    known = read(root).items
    same = [index for index, other in enumerate(known) if other.path == item.path]
    _write(root, (*known[: same[0]], item, *known[same[0] + 1 :]) if same else (*known, item))


def forget(root: Path, path: Path) -> Import:
    """Take an installation out of imports.json. Raises BadSettings when it is not in it, WorkFailed when it cannot be written."""
    known = read(root).items
    wanted = {path.expanduser().absolute(), _resolved(path)}
    found = [item for item in known if item.path in wanted] or [item for item in known if any(item.path in place.parents for place in wanted)]
    found = found or [item for item in known if any(place in item.path.parents for place in wanted)]
    if len(found) != 1:
        listed = ", ".join(f"'{item.path}'" for item in known)
        raise BadSettings(f"'{path}' was not imported.", f"What was: {listed}." if known else "Nothing was.")
    _write(root, [item for item in known if item is not found[0]])
    return found[0]


def _resolved(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _import(said: dict[str, Any]) -> Import:
    folders = {kind: tuple(Path(folder) for folder in said["folders"].get(kind, ())) for kind in KINDS}
    defaults = {str(task): dict(values) for task, values in said["defaults"].items()}
    styles = tuple(Path(file) for file in said["styles"])
    return Import(Path(said["path"]), str(said["program"]), {kind: found for kind, found in folders.items() if found}, styles, dict(said["flags"]), defaults)


def _write(root: Path, items: Iterable[Import]) -> None:
    """Written under another name, synced, renamed. Without any installation the file goes."""
    rows = [asdict(item) for item in items]
    path, part = root / FILE, root / f".{FILE}.{uuid.uuid4().hex}.part"
    try:
        if not rows:
            path.unlink(missing_ok=True)
            return
        with part.open("x", encoding="utf-8") as file:
            json.dump({"version": VERSION, "imports": rows}, file, ensure_ascii=False, indent=1, default=str)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WorkFailed(f"{FILE} could not be written beside webui.py: {(error.strerror or 'unknown error').lower()}.") from None

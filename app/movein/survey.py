"""What is in an installation of another program, as it is filled in by the file that knows the program."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.movein.record import KINDS

MAX_FILE = 16 * 2**20
MAX_PATH = 1000
MODEL_FILES = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft", ".gguf", ".onnx"})


@dataclass
class Survey:
    """What was found.

    Attributes:
        root: the folder of the installation. program: its name.
        folders: kind -> folders; each is there. styles: files of styles.
        flags: start options as settings.toml says them. defaults: task -> field -> value, not checked yet.
        unused: what is there and not used, one sentence each, with the reason.
    """

    root: Path
    program: str
    folders: dict[str, list[Path]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    styles: list[Path] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def add(self, kind: str, *folders: Path | None) -> None:
        """Folders of a kind; those that are not there, or were added before, are left out."""
        for folder in folders:
            if folder and folder.is_dir() and folder not in self.folders[kind]:
                self.folders[kind].append(folder)

    def add_said(self, kind: str, folder: Path) -> None:
        """A folder that a setting names; when it is not there, that is said."""
        if folder.is_dir():
            self.add(kind, folder)
        else:
            self.unused.append(f"'{folder}' is named in its settings and is not there.")

    def add_styles(self, *files: Path) -> None:
        """Files of styles that are there."""
        self.styles += [file for file in dict.fromkeys(files) if file.is_file() and file not in self.styles]

    def leave(self, folder: Path, why: str, files: Iterable[Path] | None = None) -> None:
        """Something that is not used, named when there is anything in it.

        Args:
            files: what counts; None: the model files below the folder.
        """
        count = len(model_files(folder) if files is None else list(files))
        if count:
            self.unused.append(f"{self.told(folder)} ({count} file{'s' if count > 1 else ''}): {why}")

    def say(self, tasks: Iterable[str], values: dict[str, Any]) -> None:
        """First values of fields, for each of the tasks; what is empty is not said."""
        said = {name: value for name, value in values.items() if value not in (None, "", [])}
        for task in tasks:
            self.defaults.setdefault(task, {}).update(said)

    def told(self, path: Path) -> str:
        """A path as the page shows it: below the installation without its name."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) and path != self.root else str(path)

    def object(self, path: Path) -> dict[str, Any]:
        """The JSON object in a settings file; {} when it is not there. One that cannot be read is named."""
        try:
            if not path.is_file():
                return {}
            if path.stat().st_size > MAX_FILE:
                raise ValueError("it is larger than 16 MB")
            found = json.loads(path.read_bytes().decode("utf-8-sig"))
            if not isinstance(found, dict):
                raise ValueError("it holds no settings")
        except (OSError, ValueError, RecursionError) as error:
            self.unused.append(f"{self.told(path)} cannot be read: {str(error)[:100]}.")
            return {}
        return found


def child(folder: Path, name: str) -> Path | None:
    """What lies at a relative path, in any case of its letters (Lora, lora); None when nothing does."""
    found = folder
    for part in Path(name).parts:
        if not (found / part).exists():
            try:
                near = [entry for entry in found.iterdir() if entry.name.lower() == part.lower()]
            except OSError:
                near = []
            if not near:
                return None
            found = near[0]
        else:
            found = found / part
    return found


def model_files(folder: Path) -> list[Path]:
    """The files with a suffix of model files below a folder, some levels deep."""
    patterns = ("*", "*/*", "*/*/*")
    return [path for pattern in patterns for path in folder.glob(pattern) if path.suffix.lower() in MODEL_FILES and path.is_file()]


def subfolders(folder: Path | None) -> list[Path]:
    """The folders directly in a folder, by name; none when it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))) if folder else []
    except OSError:
        return []


def said_path(root: Path, text: Any) -> Path | None:
    """A folder as a settings file names it: relative ones count from `root`, Windows' separators are read anywhere. None for what is no path."""
    if isinstance(text, str) and text.strip() and len(text) < MAX_PATH and text.isprintable():
        text = os.path.expandvars(text)
        plain = Path(text.strip()).expanduser()
        if not plain.is_absolute() and not plain.exists() and "\\" in text and ":" not in text:
            plain = Path(text.strip().replace("\\", "/"))
        return plain if plain.is_absolute() or text.strip()[1:2] == ":" else root / plain
    return None

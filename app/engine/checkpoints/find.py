"""The shelf: every model file that the user can pick, found by its content. Imports nothing heavy and reads headers only."""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.engine.checkpoints.describe import Previews
from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.recognise import INSPECT_FOLDER, PICKLES, inspect_file, is_model_folder
from app.engine.families import FAMILIES
from app.errors import BadCheckpoint, UnknownName
from app.settings import Settings

DEPTH = 5
KINDS = ("checkpoint", "vae", "lora", "embedding")
OWN_VAE = {"", "none", "automatic"}
PLUS = " + "
"""Between the names of two files that are chosen together."""
SUFFIXES = {".safetensors", ".ckpt", ".pt"}


class Shelf:
    """Models below the folders of the settings. Safe to use from several threads.

    Folders are free: a LoRA in the checkpoint folder is a LoRA. Only what cannot be read takes its kind from the
    folder it lies in. The folders are looked through at the first question, and again at `refresh`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hashes = Hashes(settings.outputs_dir / ".darkroom" / "hashes.json")
        self._lock = threading.Lock()
        self._embedded = _resolved(settings.root / "models" / "embedded")
        self._previews, self._bases = Previews(), tuple[str, ...]()
        self._files: list[ModelFile] | None = None
        self._seen: dict[tuple[object, ...], ModelFile] = {}

    def refresh(self) -> None:
        """Looks through the folders again. Files that did not change are not opened again."""
        with self._lock:
            self._files = self._scan()

    def checkpoints(self) -> list[ModelFile]:
        """The user's files first, then those in models/embedded; what has a `problem` stays on the list so that it can be named."""
        return self._kind("checkpoint")

    def vaes(self) -> list[ModelFile]:
        return self._kind("vae")

    def loras(self) -> list[ModelFile]:
        return self._kind("lora")

    def embeddings(self) -> list[ModelFile]:
        return self._kind("embedding")

    def checkpoint(self, name: str) -> ModelFile:
        """The checkpoint of that name ("" = the first that can be used): name, "name [hash]", hash, file name with or without suffix or
        folder, in any case. Raises UnknownName with the nearest names, BadCheckpoint when there is none at all."""
        if not name.strip():
            usable = [file for file in self.checkpoints() if not file.problem]
            if not usable:
                broken = f" {self.checkpoints()[0].problem}" if self.checkpoints() else ""
                raise BadCheckpoint(f"There is no checkpoint that can be used.{broken}", "Put a .safetensors file into models/ and refresh.")
            return usable[0]
        return self.find("checkpoint", name)

    def vae(self, name: str) -> ModelFile | None:
        """The VAE of that name; None for "", "None" and "Automatic": the checkpoint's own. Raises UnknownName."""
        return None if name.strip().lower() in OWN_VAE else self.find("vae", name)

    def text_encoders(self) -> list[ModelFile]:
        return self._kind("text encoder")

    def texts(self, name: str) -> tuple[ModelFile, ...]:
        """The text encoders of that name: none for "", "None" and "Automatic" (the checkpoint's own), one file, or two joined by " + ", as
        SDXL's often come. The name of another checkpoint stands for its text encoders. Raises UnknownName."""
        if name.strip().lower() in OWN_VAE:
            return ()
        try:
            return (self._text(name),)
        except UnknownName:
            if PLUS not in name:
                raise
        first, _, second = name.partition(PLUS)
        return self._text(first), self._text(second)

    def _text(self, name: str) -> ModelFile:
        try:
            return self.find("text encoder", name)
        except UnknownName as error:
            try:
                return self.find("checkpoint", name)
            except UnknownName:
                raise error from None

    def lora(self, name: str) -> ModelFile:
        """The LoRA of that name. Raises UnknownName."""
        return self.find("lora", name)

    def find(self, kind: str, name: str) -> ModelFile:
        """A file of one kind by any of its names; one that turned out to be of no usable kind is found too, so that its problem is told."""
        plain = re.sub(r"\s*\[[0-9a-f]{6,64}\]$", "", name.strip(), flags=re.IGNORECASE)
        wanted = plain.replace("\\", "/").lower()
        everything = self._all()
        candidates = [file for file in everything if file.kind == kind] + [file for file in everything if file.kind not in KINDS]
        for names in (_exact, _short):
            for file in candidates:
                if wanted in names(file):
                    return file
        digest = name.strip().strip("[]").lower()
        if re.fullmatch(r"[0-9a-f]{8,64}", digest):
            for file in candidates:
                if (known := file.known_hash()) and digest.startswith(known[: len(digest)]):
                    return file
        raise UnknownName("LoRA" if kind == "lora" else "VAE" if kind == "vae" else kind, name, [file.name for file in self._kind(kind)])

    def _kind(self, kind: str) -> list[ModelFile]:
        return [file for file in self._all() if file.kind == kind]

    def _all(self) -> list[ModelFile]:
        with self._lock:
            if self._files is None:
                self._files = self._scan()
            return self._files

    def _scan(self) -> list[ModelFile]:
        settings, embedded = self.settings, self._embedded
        self._previews, self._bases = Previews(), tuple(sorted(str(path) for path in embedded.glob("*/unet/config.json")))
        folders: dict[Path, str] = {}
        for kind, listed in zip(KINDS, (settings.checkpoint_dirs, settings.vae_dirs, settings.lora_dirs, settings.embedding_dirs), strict=True):
            for folder in listed:
                folders.setdefault(_resolved(folder), kind)
        visited = {embedded, *map(_resolved, (settings.root / "models" / "upscalers", *settings.upscaler_dirs))}  # they are on a list of their own
        inner_first = sorted(folders, key=lambda folder: -len(folder.parts))
        own = [file for folder in inner_first if folder not in visited for file in self._below(folder, folders[folder], visited)]
        taken, seen = {(file.kind, file.name.lower()) for file in own}, {embedded / "upscalers"}
        tops = (*((embedded / f"{kind}s", kind) for kind in KINDS[1:]), (embedded, "checkpoint"))
        ours = [file for top, kind in tops for file in self._below(top, kind, seen) if (file.kind, file.name.lower()) not in taken]
        return sorted(own, key=_alphabetical) + sorted(ours, key=_alphabetical)

    def _below(self, top: Path, expected: str, visited: set[Path]) -> Iterator[ModelFile]:
        for path, kind in walk(top, visited):
            name = path.relative_to(top).as_posix() if path != top else path.name
            if kind:
                yield self._inspect(path, name, kind)
            else:
                yield self._inspect(path, name.removesuffix(path.suffix), "", _kind_by_folder(path.relative_to(top), expected))

    def _inspect(self, path: Path, name: str, folder_kind: str, expected: str = "") -> ModelFile:
        preview = self._previews.of(path)
        key = (name, expected, preview, tuple(FAMILIES), self._bases, *_stamps(path))
        if key not in self._seen:
            inspect = INSPECT_FOLDER[folder_kind] if folder_kind else partial(inspect_file, expected=expected, bases=self._embedded)
            self._seen[key] = replace(inspect(path, name, hashes=self.hashes), preview=preview)
        return self._seen[key]


def walk(top: Path, visited: set[Path]) -> Iterator[tuple[Path, str]]:
    """(path, kind) of every model below `top`, at most DEPTH folders deep: kind "checkpoint" or "vae" for a diffusers folder,
    "" for a file. Hidden names are skipped; links are followed, but no folder is entered twice."""
    stack = [(top, 0)]
    while stack:
        folder, depth = stack.pop()
        resolved = _resolved(folder)
        if (depth and resolved in visited) or not folder.is_dir():
            continue
        visited.add(resolved)
        if kind := is_model_folder(folder):
            yield folder, kind
            continue
        for entry in _entries(folder):
            path = folder / entry
            if path.is_dir():
                if depth < DEPTH:
                    stack.append((path, depth + 1))
            elif path.suffix.lower() in SUFFIXES and not (path.suffix.lower() in PICKLES and path.with_suffix(".safetensors").is_file()):
                yield path, ""


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _stamps(path: Path) -> tuple[object, ...]:
    """What changes when a file, or anything directly in a diffusers folder and its parts, changes."""
    paths = sorted(p for p in [*path.glob("*"), *path.glob("*/*")] if p.is_file()) if path.is_dir() else [path]
    found: list[object] = []
    for item in paths:
        try:
            stat = item.stat()
        except OSError:
            continue
        found.append((str(item), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(found)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _kind_by_folder(relative: Path, expected: str) -> str:
    """The kind of a file that cannot be read: by the name of a folder above it ("Lora/", "vae/", "embeddings/"), else `expected`."""
    for part in relative.parts[:-1]:
        for kind in KINDS[1:]:
            if part.lower().startswith(kind):
                return kind
    return expected


def _alphabetical(file: ModelFile) -> tuple[str, str]:
    return file.name.lower(), file.name


def _exact(file: ModelFile) -> set[str]:
    return {file.name.lower(), f"{file.name}{file.path.suffix}".lower()}


def _short(file: ModelFile) -> set[str]:
    return {file.path.name.lower(), file.path.stem.lower() if file.path.is_file() else file.path.name.lower()}

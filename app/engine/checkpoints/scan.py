"""Looks through the folders of the settings for model files and folders. What did not change since the last look is not opened."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.listing import Listing, Stamps, signature
from app.engine.checkpoints.pictured import PICTURE, carries_embedding
from app.engine.checkpoints.recognise import INSPECT_FOLDER, inspect_file, is_model_folder
from app.engine.checkpoints.sidecars import Neighbours
from app.settings import Settings

DEPTH = 5
KINDS = ("checkpoint", "vae", "lora", "embedding", "text encoder")
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".bin")
PICKLED = SUFFIXES[1:]
BY_FOLDER = {"vae": "vae", "lora": "lora", "lyco": "lora", "embedding": "embedding", "text_encoder": "text encoder", "text-encoder": "text encoder"}
"""How a folder's name begins -> the kind of what cannot be read in it."""


class Scanner:
    """Finds what is on the shelf. Used by one thread at a time."""

    def __init__(self, settings: Settings, hashes: Hashes) -> None:
        self._settings, self._hashes = settings, hashes
        self._embedded = resolved(settings.root / "models" / "embedded")
        self._listing = Listing(settings.outputs_dir / ".darkroom" / "models.json", hashes)
        self._neighbours = Neighbours()
        self._keys: set[str] = set()
        self._changed = False

    def scan(self) -> list[ModelFile]:
        """The user's files first, then those in models/embedded without those that share a name with one of the user's."""
        settings, embedded = self._settings, self._embedded
        self._neighbours, self._keys, self._changed = Neighbours(), set(), False
        bases = sorted(str(path) for path in embedded.glob("*/unet/config.json"))
        self._listing.begin(signature({"bases": bases, "pickles": settings.allow_pickles}))
        folders: dict[Path, str] = {}
        listed = (settings.checkpoint_dirs, settings.vae_dirs, settings.lora_dirs, settings.embedding_dirs)
        for kind, tops in zip(KINDS, listed, strict=False):
            for folder in tops:
                folders.setdefault(resolved(folder), kind)
        visited = {embedded, resolved(settings.root / "models" / "upscalers")}  # upscalers are on a list of their own, see `app.engine.upscalers`
        inner_first = sorted(folders, key=lambda folder: -len(folder.parts))
        own = [file for folder in inner_first if folder not in visited for file in self._below(folder, folders[folder], visited)]
        taken, seen = {(file.kind, file.name.lower()) for file in own}, {embedded / "upscalers"}
        inside = (*((embedded / f"{kind}s", kind) for kind in KINDS[1:]), (embedded, "checkpoint"))
        ours = [file for top, kind in inside for file in self._below(top, kind, seen) if (file.kind, file.name.lower()) not in taken]
        self._listing.keep(self._keys, self._changed)
        return sorted(own, key=_alphabetical) + sorted(ours, key=_alphabetical)

    def _below(self, top: Path, expected: str, visited: set[Path]) -> Iterator[ModelFile]:
        for path, kind, stamp in walk(top, visited, pictures=expected == "embedding"):
            name = path.relative_to(top).as_posix() if path != top else path.name
            if kind:
                yield self._inspect(path, name, kind, expected, stamp)
                continue
            held = kind_by_folder(path.relative_to(top), expected)
            if path.suffix.lower() != ".bin" or held == "embedding" or self._settings.allow_pickles:
                yield self._inspect(path, name.removesuffix(path.suffix), "", held, stamp)

    def _inspect(self, path: Path, name: str, folder_kind: str, expected: str, stamp: Stamps) -> ModelFile:
        beside = self._neighbours.of(path, is_folder=bool(folder_kind))
        key = f"{path}\n{name}\n{expected}"
        stamps = (*stamp, str(beside.preview or ""), *(_stamp(str(side)) for side in (*beside.sidecars, *((beside.config,) if beside.config else ()))))
        self._keys.add(key)
        if known := self._listing.get(key, stamps):
            return known
        pickles = self._settings.allow_pickles
        if folder_kind:
            found = INSPECT_FOLDER[folder_kind](path, name, hashes=self._hashes, pickles=pickles, beside=beside)
        else:
            inspect = partial(inspect_file, bases=self._embedded, pickles=pickles)
            found = inspect(path, name, expected, self._hashes, beside=beside)
        self._listing.put(key, stamps, found)
        self._changed = True
        return found


def walk(top: Path, visited: set[Path], *, pictures: bool = False) -> Iterator[tuple[Path, str, Stamps]]:
    """(path, kind, stamps) of every model below `top`, at most DEPTH folders deep.

    The kind is "checkpoint", "vae" or "text encoder" for a diffusers folder, "" for a file; the stamps change when it does. Hidden
    names are skipped; links are followed, but no folder is entered twice. Where a pickle and a safetensors file share a name, the
    pickle is skipped. `pictures`: those that carry an embedding, too, unless they are a model's preview.
    """
    stack = [(top, 0)]
    while stack:
        folder, depth = stack.pop()
        real = resolved(folder)
        if (depth and real in visited) or not folder.is_dir():
            continue
        visited.add(real)
        entries = _entries(folder)
        names = {entry.name for entry in entries}
        if names & {"model_index.json", "config.json", "unet"} and (kind := is_model_folder(folder)):
            yield folder, kind, _folder_stamps(folder)
            continue
        for entry in entries:
            if _is_folder(entry):
                if depth < DEPTH:
                    stack.append((folder / entry.name, depth + 1))
            elif _is_model(entry, names, pictures=pictures):
                yield folder / entry.name, "", (_stamp(entry.path),)


def _is_model(entry: os.DirEntry[str], names: set[str], *, pictures: bool) -> bool:
    stem, suffix = os.path.splitext(entry.name)
    plain = suffix.lower()
    if pictures and plain == PICTURE:
        shows = stem.endswith(".preview") or any(f"{stem}{model}" in names for model in SUFFIXES)
        return not shows and carries_embedding(Path(entry.path))
    return plain in SUFFIXES and not (plain in PICKLED and f"{stem}.safetensors" in names)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _stamp(path: str) -> tuple[str, int, int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return path, -1, -1, -1
    return path, stat.st_size, stat.st_mtime_ns, stat.st_ino


def _folder_stamps(path: Path) -> Stamps:
    """What changes when anything directly in a diffusers folder or in its parts changes."""
    return tuple(_stamp(str(item)) for item in sorted([*path.glob("*"), *path.glob("*/*")]) if item.is_file())


def resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def kind_by_folder(relative: Path, expected: str) -> str:
    """The kind of a file that cannot be read: by its name ("x.vae.pt") or a folder above it ("Lora/", "vae/", "embeddings/"), else `expected`."""
    if relative.stem.lower().endswith(".vae"):
        return "vae"
    for part in relative.parts[:-1]:
        if found := next((kind for start, kind in BY_FOLDER.items() if part.lower().startswith(start)), ""):
            return found
    return expected


def _alphabetical(file: ModelFile) -> tuple[str, str]:
    return file.name.lower(), file.name



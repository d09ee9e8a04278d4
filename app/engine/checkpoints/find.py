"""The shelf: every model file that the user can pick, found by its content. Imports nothing heavy and reads headers only."""

import contextlib
import re
import threading
from collections.abc import Iterator

from app.engine.checkpoints.hashes import Hashes, data_begin, old_hash
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.scan import KINDS, Scanner
from app.engine.families import FAMILIES
from app.errors import BadCheckpoint, UnknownName
from app.settings import Settings

OWN_VAE = {"", "none", "automatic"}
PLUS = " + "
"""Between the names of two files that are chosen together."""


class Shelf:
    """Models below the folders of the settings. Safe to use from several threads.

    Folders are free: a LoRA in the checkpoint folder is a LoRA. Only what cannot be read takes its kind from the
    folder it lies in. The folders are looked through at the first question, and again at `refresh`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hashes = Hashes(settings.outputs_dir / ".darkroom" / "hashes.json")
        self._lock = threading.Lock()
        self._scanner = Scanner(settings, self.hashes)
        self._files: list[ModelFile] | None = None

    def refresh(self) -> None:
        """Looks through the folders again. Files that did not change are not opened again."""
        with self._lock:
            self._files = self._scanner.scan()

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
            usable = [file for file in self.checkpoints() if not file.problem and not file.missing]
            if not usable:
                broken = f" {self.checkpoints()[0].problem}" if self.checkpoints() else ""
                raise BadCheckpoint(f"There is no checkpoint that can be used.{broken}", "Put a .safetensors file into models/ and refresh.")
            return next((file for file in usable if _ordinary(file)), usable[0])
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
                known = (file.known_hash(), file.network[: len(digest)])
                if any(one and digest.startswith(one[: len(digest)]) for one in known):
                    return file
            if old := next((file for file in candidates if len(digest) == 8 and file.weights and old_hash(file.weights[0]) == digest), None):
                return old
        raise UnknownName("LoRA" if kind == "lora" else "VAE" if kind == "vae" else kind, name, [file.name for file in self._kind(kind)])

    def of_kind(self, kind: str) -> list[ModelFile]:
        """Those of one kind: "checkpoint", "vae", "lora", "embedding", "text encoder"."""
        return self._kind(kind)

    def everything(self) -> list[ModelFile]:
        """All files, also those of kinds that cannot be picked; the kinds in the order in which people ask for them."""
        return sorted(self._all(), key=lambda file: KINDS.index(file.kind) if file.kind in KINDS else len(KINDS))

    def unhashed(self) -> list[ModelFile]:
        """The files whose sha256 was not computed yet, checkpoints first."""
        usable = [file for file in self._all() if file.weights and not file.problem]
        return sorted((file for file in usable if not file.known_hash()), key=lambda file: file.kind != "checkpoint")

    def hash_quietly(self) -> Iterator[None]:
        """Computes the hashes that are not known, of LoRAs also the one that leaves out the header, in steps of some milliseconds between
        which the caller may rest or stop. What cannot be read is left out."""
        for file in self.unhashed():
            with contextlib.suppress(OSError):
                yield from self.hashes.steps(file.weights[0])
                if file.kind == "lora" and not file.network:
                    yield from self.hashes.steps(file.weights[0], data_begin(file.weights[0]))

    def _kind(self, kind: str) -> list[ModelFile]:
        return [file for file in self._all() if file.kind == kind]

    def _all(self) -> list[ModelFile]:
        with self._lock:
            if self._files is None:
                self._files = self._scanner.scan()
            return self._files


def _ordinary(file: ModelFile) -> bool:
    """Whether a checkpoint paints from a prompt alone: a refiner does not, nor does what paints over a picture."""
    row = FAMILIES.get(file.family)
    return file.family != "sdxl-refiner" and not (row and row.over_picture)


def _exact(file: ModelFile) -> set[str]:
    return {file.name.lower(), f"{file.name}{file.path.suffix}".lower()}


def _short(file: ModelFile) -> set[str]:
    return {file.path.name.lower(), file.path.stem.lower() if file.path.is_file() else file.path.name.lower()}

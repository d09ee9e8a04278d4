"""Prompt styles: named pieces of prompt, from the user's styles.csv, installations used in place, a small table of ours, and extensions."""

import csv
import io
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import cast

from app.errors import BadRequest, DiskTrouble, UnknownName
from app.foreign import data
from app.request import AnyRequest, parse

MAX_FILE = 4 * 2**20
MAX_NAME = 100


@dataclass(frozen=True)
class Style:
    """Text that is added to prompt and negative prompt. "{prompt}" in it stands for the prompt; otherwise it is appended."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


DEFAULTS = (
    Style("Watercolour", "watercolour painting of {prompt}, soft washes, paper texture, flowing colours", "photo, hard edges"),
    Style("Ink sketch", "ink sketch of {prompt}, black ink on white paper, cross-hatching, expressive lines", "colour, photo, blurry"),
    Style("Oil painting", "oil painting of {prompt}, thick brush strokes, rich colours, canvas texture", "photo, flat colours"),
    Style("Neon", "{prompt}, neon lights, glowing outlines, dark background, vivid magenta and cyan", "daylight, washed out"),
    Style("Pixel art", "pixel art of {prompt}, 16-bit, limited palette, crisp pixels", "photo, blurry, smooth gradients"),
    Style("Cinematic", "cinematic still of {prompt}, dramatic light, shallow depth of field, film grain", "drawing, painting, flat light"),
    Style("Photograph", "photograph of {prompt}, natural light, sharp focus, highly detailed", "drawing, painting, render, blurry"),
    Style("Storybook", "storybook illustration of {prompt}, warm colours, whimsical, gentle light", "photo, horror, gore"),
    Style("Isometric", "isometric illustration of {prompt}, clean shapes, soft shadows, plain background", "perspective, photo, clutter"),
    Style("Line art", "line art of {prompt}, clean black outlines, white background, no shading", "colour, shading, photo"),
    Style("Low poly", "low poly render of {prompt}, flat-shaded facets, simple shapes, soft light", "photo, fine detail"),
    Style("Dark fantasy", "dark fantasy art of {prompt}, moody atmosphere, mist, intricate detail", "cheerful, bright, cartoon"),
)  # fmt: skip


class Styles:
    """All styles by name. The user's file wins over other programs', ours and extensions'. Files are read again when they changed."""

    def __init__(self, path: Path, others: Iterable[Path] = ()) -> None:
        """Args:
        path: styles.csv with the columns name, prompt, negative_prompt; it need not exist.
        others: files of other programs (`.csv`, `.json`), which are never written; of two styles of one name the first file's counts.
        """
        self.path = path
        self.others = tuple(others)
        self._theirs: dict[Path, tuple[tuple[int, int], dict[str, Style]]] = {}
        self.notice = ""
        self._lock = RLock()
        self._added: dict[str, Style] = {}
        self._file: dict[str, Style] = {}
        self._seen: tuple[int, int] | None = None

    def names(self) -> list[str]:
        """The user's styles first, in the order of the file, then the others."""
        return list(self._all())

    def get(self, name: str) -> Style:
        """A style by name, any case. Raises UnknownName with the nearest names."""
        styles = self._all()
        found = styles.get(name) or next((style for known, style in styles.items() if known.casefold() == name.strip().casefold()), None)
        if found is None:
            raise UnknownName("style", name, styles)
        return found

    def apply(self, request: AnyRequest) -> AnyRequest:
        """The request with its styles merged into the prompts, one after the other as A1111 does, and `styles` empty.

        Raises UnknownName, or BadRequest when the prompts become too long.
        """
        if not request.styles:
            return request
        styles = [self.get(name) for name in request.styles]
        styled: dict[str, str] = {}
        for prefix in ("", "hr_"):
            prompt, negative = (getattr(request, f"{prefix}{name}", "") for name in ("prompt", "negative_prompt"))
            for style in styles:
                prompt = merge(prompt, style.prompt) if prompt or not prefix else ""  # an empty one of the second pass is the first's
                negative = merge(negative, style.negative_prompt) if negative or not prefix else ""
            styled |= {f"{prefix}prompt": prompt, f"{prefix}negative_prompt": negative}
        own = {name: text for name, text in styled.items() if name in type(request).model_fields}
        return cast("AnyRequest", parse({**request.model_dump(), **own, "styles": ()}))

    def add(self, name: str, prompt: str, negative_prompt: str = "") -> None:
        """For extensions: a style that lives as long as the process."""
        with self._lock:
            self._added[checked(name)] = Style(checked(name), prompt, negative_prompt)

    def save(self, name: str, prompt: str, negative_prompt: str = "") -> None:
        """Write a style into the user's file, over one of the same name. The file is whole at any moment.

        Raises BadRequest for a bad name, DiskTrouble when the file cannot be written; it is then as it was before.
        """
        with self._lock:
            self._refresh()
            styles = {**self._file, checked(name): Style(checked(name), prompt, negative_prompt)}
            self._write(styles)

    def remove(self, name: str) -> None:
        """Delete a style from the user's file. Raises UnknownName, DiskTrouble."""
        with self._lock:
            self._refresh()
            if name not in self._file:
                raise UnknownName("style", name, self._file)
            self._write({known: style for known, style in self._file.items() if known != name})

    def _all(self) -> dict[str, Style]:
        with self._lock:
            self._refresh()
            found = dict(self._file)
            for styles in (*map(self._read_other, self.others), self._added | {style.name: style for style in DEFAULTS}):
                found |= {name: style for name, style in styles.items() if name not in found}
            return found

    def _read_other(self, path: Path) -> dict[str, Style]:
        """The styles of another program's file; none when it is gone or cannot be read."""
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if path not in self._theirs or self._theirs[path][0] != stamp:
                self._theirs[path] = stamp, read_json(path) if path.suffix.lower() == ".json" else read_csv(path)
            return self._theirs[path][1]
        except (OSError, ValueError, csv.Error):
            return {}

    def _refresh(self) -> None:
        """Read the file if it changed. A damaged one is kept as .bad, and the last good copy counts; `notice` tells."""
        try:
            status = self.path.stat()
        except OSError:
            self._file, self._seen = {}, None
            return
        if self._seen == (status.st_mtime_ns, status.st_size):
            return
        self._seen = (status.st_mtime_ns, status.st_size)
        try:
            self._file = read_csv(self.path)
            self.notice = ""
        except (OSError, ValueError, csv.Error) as error:
            good = self.path.with_name(self.path.name + ".last-good")
            self.notice = f"The styles file is damaged ({error}); the last good copy is used."
            try:
                shutil.copyfile(self.path, self.path.with_name(self.path.name + ".bad"))
                self._file = read_csv(good)
            except (OSError, ValueError, csv.Error):
                self.notice = f"The styles file is damaged ({error}) and was left out."

    def _write(self, styles: dict[str, Style]) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer)
        writer.writerow(("name", "prompt", "negative_prompt"))
        writer.writerows((style.name, style.prompt, style.negative_prompt) for style in styles.values())
        data = buffer.getvalue().encode("utf-8-sig", "replace")
        try:
            replace_file(self.path, data)
            replace_file(self.path.with_name(self.path.name + ".last-good"), data)
        except OSError as error:
            raise DiskTrouble(f"The styles file could not be written: {(error.strerror or 'unknown error').lower()}.", "The old one is still there.") from None
        self._refresh()


def merge(prompt: str, style: str) -> str:
    """A1111's rule: "{prompt}" in the style is replaced by the prompt; otherwise both are joined with a comma."""
    if "{prompt}" in style:
        return style.replace("{prompt}", prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)


def checked(name: str) -> str:
    """The name without surrounding blanks. Raises BadRequest when it is empty, too long, or has line breaks."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadRequest(f"The name of a style is {name[:40]!r}, but it must be one line of 1 to {MAX_NAME} characters.")
    return name


def read_csv(path: Path) -> dict[str, Style]:
    """The styles in a file, with or without a byte order mark; rows without a name are left out.

    Raises OSError, csv.Error, or ValueError when it is no UTF-8 text, too large, or has no "name" column.
    """
    if path.stat().st_size > MAX_FILE:
        raise ValueError("it is larger than 4 MB")
    text = path.read_bytes().decode("utf-8-sig")
    if not text.strip():
        return {}
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    if "name" not in (rows.fieldnames or ()):
        raise ValueError("it has no column 'name'")
    found = (Style((row["name"] or "").strip(), row.get("prompt") or row.get("text") or "", row.get("negative_prompt") or "") for row in rows)
    return {style.name: style for style in found if style.name}


def read_json(path: Path) -> dict[str, Style]:
    """The styles in a file of Fooocus (a list of them) or SD.Next (one). Raises OSError, or ValueError when it holds none."""
    if path.stat().st_size > MAX_FILE:
        raise ValueError("it is larger than 4 MB")
    found = data.load(path.read_bytes().decode("utf-8-sig"))
    rows = [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
    negatives = (data.text(row.get("negative_prompt") or row.get("negative")) for row in rows)
    styles = [Style(data.text(row.get("name")).strip(), data.text(row.get("prompt")), negative) for row, negative in zip(rows, negatives, strict=True)]
    named = {style.name: style for style in styles if style.name}
    if not named:
        raise ValueError("it has no styles")
    return named


def replace_file(path: Path, data: bytes) -> None:
    """Write under a temporary name, sync, rename. Raises OSError and leaves nothing behind."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise

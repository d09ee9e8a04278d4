"""Looks through the outputs folder for pictures and videos, and reads from the files what the index needs to know."""

import json
import re
import uuid
from collections.abc import Set
from pathlib import Path
from typing import Any

from PIL import Image

from app.decode import FORMATS, UNREADABLE, png_size
from app.grids.request import ALL_TASKS
from app.library import save
from app.library.index import Saved
from app.library.read import chunk_of, embedded

_ID = re.compile(r"^[0-9a-f]{32}$")
_KINDS = {"image": (".png",), "video": (".webp", ".mp4")}


def scan(root: Path, known: Set[str]) -> list[Saved]:
    """Rows for the files under `root`/<task>-images and <task>-videos that are not in `known` (relative paths), oldest first.

    Files that are no pictures are left out. The owner is unknown to the files: "".
    """
    rows = []
    for task in ALL_TASKS:
        for kind, suffixes in _KINDS.items():
            for path in root.glob(f"{task}-{kind}s/*/*"):
                relative = path.relative_to(root).as_posix()
                if path.suffix in suffixes and not path.name.startswith(save.PART) and relative not in known and (row := row_of(path, task, kind)):
                    rows.append(row)
    return sorted(rows, key=lambda row: (row.created, row.path.name))


def row_of(path: Path, task: str, kind: str) -> Saved | None:
    """The row for one file; None when it cannot be read."""
    try:
        created = path.stat().st_mtime
        width, height = (0, 0) if path.suffix == ".mp4" else size_of(path)
    except UNREADABLE:
        return None
    facts, infotext = embedded(path) if kind == "image" else beside(path)
    if path.suffix == ".mp4" and isinstance(facts.get("size"), list):
        width, height = (int(side) for side in facts["size"])
    picture_id = str(facts.get("id", ""))
    picture_id = picture_id if _ID.match(picture_id) else uuid.uuid4().hex
    request = json.dumps(facts["request"], ensure_ascii=False) if isinstance(facts.get("request"), dict) else ""
    return Saved(picture_id, path, str(facts.get("job", "")), "", task, kind, width, height, created, request, infotext)  # type: ignore[arg-type]


def size_of(path: Path) -> tuple[int, int]:
    """Width and height from the file's header. Raises one of UNREADABLE."""
    if path.suffix == ".png":
        with path.open("rb") as file:
            size = png_size(file.read(24))
        if not all(size):
            raise ValueError("not a PNG")
        return size
    with Image.open(path, formats=FORMATS) as image:
        return image.size


def video_size(path: Path) -> tuple[int, int]:
    """Width and height of an animated WebP; (0, 0) for what Pillow cannot open."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except UNREADABLE:
        return 0, 0


def beside(path: Path) -> tuple[dict[str, Any], str]:
    """What the JSON file beside a video says: (chunk, infotext)."""
    try:
        facts = chunk_of(path.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}, ""
    return facts, str(facts.get("infotext", ""))

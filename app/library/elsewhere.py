"""Pictures of other programs, in the index where they lie. Their files are read, and nothing else."""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.decode import FORMATS, UNREADABLE
from app.library.index import Index, Saved
from app.library.scan import size_of

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
BATCH = 64
"""Rows to a transaction: what is found is soon seen, and a stop loses little."""


@dataclass(frozen=True)
class Told:
    """What a picture says of itself: its task, our request as JSON ("" when it is not ours), and A1111's text."""

    task: str
    request: str = ""
    infotext: str = ""


Describe = Callable[[Path], Told]
OnPicture = Callable[[int, int], bool]
"""(pictures looked at, pictures that are new); answers whether to go on."""


class Elsewhere:
    """The pictures in folders of other programs. All methods may be called from any thread."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def keep(self, folders: Iterable[Path]) -> None:
        """Take pictures out of the index that lie in none of the folders. Raises DiskTrouble."""
        tops = tuple(folders)
        stray = [picture_id for path, picture_id in self._index.elsewhere().items() if not any(path.is_relative_to(top) for top in tops)]
        if stray:
            self._index.remove(stray)

    def take_in(self, folders: Iterable[Path], describe: Describe, on_picture: OnPicture = lambda done, new: True) -> int:
        """Bring the index to what lies in the folders now, and sort it in by date. Folders that are not there keep their rows.

        Those that were known are not opened again; what was hidden (`Library.delete`) stays hidden.

        Returns: how many were added. Raises DiskTrouble.
        """
        known, hidden = self._index.elsewhere(), self._index.hidden()
        there = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        found = dict.fromkeys(path for folder in there for path in pictures_below(folder) if not path.is_relative_to(self._index.root))
        gone = [picture_id for path, picture_id in known.items() if path not in found and any(path.is_relative_to(folder) for folder in there)]
        if gone:
            self._index.remove(gone)
        new = [path for path in found if path not in known and path not in hidden]
        added, rows = 0, list[Saved]()
        for number, path in enumerate(new, 1):
            rows += filter(None, [row_of(path, describe)])
            going = on_picture(number, len(new))
            if len(rows) == BATCH or number == len(new) or not going:
                self._index.add_all(rows)
                added += len(rows)
                rows = []
            if not going:
                break
        self._index.sort_in()
        return added


def pictures_below(top: Path) -> Iterator[Path]:
    """The picture files below a folder, at any depth. Hidden names are skipped, links to folders are not followed."""
    for folder, inner, names in os.walk(top):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES:
                yield path


def row_of(path: Path, describe: Describe) -> Saved | None:
    """The row for one file; None when it is no picture. The owner is unknown: everybody of the house sees it, and no guest."""
    try:
        created = path.stat().st_mtime
        width, height = size_at(path)
    except UNREADABLE:
        return None
    told = describe(path)
    return Saved(uuid.uuid4().hex, path, "", "", told.task, "image", width, height, created, told.request, told.infotext, foreign=True)


def size_at(path: Path) -> tuple[int, int]:
    """Width and height from the header, also of a file whose suffix is not what it is. Raises one of UNREADABLE."""
    try:
        return size_of(path)
    except ValueError:
        with Image.open(path, formats=FORMATS) as image:
            return image.size

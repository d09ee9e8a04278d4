"""Pictures that people handed in, each kept once under the hash of its content. A request holds only the hash."""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from app.decode import UNREADABLE
from app.errors import BadPicture, NotFound
from app.library import save
from app.param import PICTURE_ID

_ID = re.compile(PICTURE_ID)
_MENTIONED = re.compile(r'"([0-9a-f]{64})"')
KEPT_SECONDS = 30 * 86400.0


class Assets:
    """A folder of PNG files named by content. All methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, image: Image.Image) -> str:
        """Keep a picture (RGB, RGBA or L, 8 bits). Returns its id: sha256, hex, of mode, size and pixels. Raises DiskTrouble."""
        if image.mode not in ("RGB", "RGBA", "L"):
            raise BadPicture(f"The picture has mode {image.mode}, but RGB, RGBA or L is needed.")
        digest = hashlib.sha256(f"{image.mode} {image.width}x{image.height} ".encode())
        digest.update(image.tobytes())
        asset = digest.hexdigest()
        path = self.path(asset)
        if path.exists():
            with contextlib.suppress(OSError):
                os.utime(path)  # handed in now: not old, see `tidy`
            return asset
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = save.write_part(self.folder, ".png", save.png_bytes(image, compress_level=1))
            save.replace(part, path)
        except OSError as error:
            raise save.trouble(error, "Free some space and hand the picture in again.") from None
        return asset

    def get(self, asset: str) -> Image.Image:
        """The picture with that id, as it was put. Raises NotFound."""
        path = self.path(asset)
        try:
            with Image.open(path, formats=("PNG",)) as image:
                image.load()
                picture = image.copy()
        except FileNotFoundError:
            raise NotFound(f"There is no picture with the id '{asset[:12]}...'.", "Hand it in again.") from None
        except UNREADABLE:
            raise NotFound(f"The picture with the id '{asset[:12]}...' is damaged on the disk.", "Hand it in again.") from None
        picture.info.clear()
        return picture

    def tidy(self, requests: Iterable[str]) -> int:
        """Delete pictures that were handed in more than 30 days ago and that no request (JSON) names. Returns how many.

        For the start, before anybody hands anything in. Without any request nothing is deleted: the journal may have been moved.
        """
        named = [set(_MENTIONED.findall(request)) for request in requests]
        if not named:
            return 0
        known, before, gone = set().union(*named), time.time() - KEPT_SECONDS, 0
        for path in self.folder.glob("*.png"):
            with contextlib.suppress(OSError):
                if _ID.fullmatch(path.stem) and path.stem not in known and path.stat().st_mtime < before:
                    path.unlink()
                    gone += 1
        return gone

    def path(self, asset: str) -> Path:
        """The file of an id, there or not. Raises NotFound for anything but 64 hex digits."""
        if not isinstance(asset, str) or not _ID.fullmatch(asset):
            raise NotFound("That is not the id of a picture.", "Hand the picture in first.")
        return self.folder / f"{asset}.png"

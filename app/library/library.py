"""The library: saves pictures so that none is lost or half-written, and shows each owner what is theirs."""

import io
import json
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock

from PIL import Image

from app import __version__, infotext
from app.decode import FORMATS, MAX_PIXELS, UNREADABLE
from app.errors import BadSettings, DiskTrouble, NotFound
from app.grids.request import Grid
from app.library import save
from app.library.assets import Assets
from app.library.elsewhere import Elsewhere
from app.library.index import Index, Saved
from app.library.scan import scan, video_size
from app.request import AnyRequest, AnyTask
from app.work import Picture

VIDEO_HINT = "The keys are saved; free some space and run the job again."
RESCUE_BYTES = 64 * 2**20
THUMB_SIDES = (128, 256, 512, 1024)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unsaved:
    """A finished picture that the disk did not take, kept in memory."""

    saved: Saved
    data: bytes
    seed: int


class Library:
    """Files under `folder`, an index of them, and the pictures that people handed in. All methods are thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Open the library: leftovers of a crash are removed, rows without a file are dropped.

        Raises:
            BadSettings: the folder cannot be written, or a newer Darkroom wrote its index.
        """
        self.root = folder.absolute()
        self._own = self.root / ".darkroom"
        try:
            self.check_writable()
            self._own.mkdir(parents=True, exist_ok=True)
        except (DiskTrouble, OSError) as error:
            raise BadSettings(f"The outputs folder cannot be used: {error}") from None
        self.assets = Assets(self._own / "assets")
        self._lock = RLock()
        self._numbers: dict[Path, int] = {}
        self._rescue: OrderedDict[str, Unsaved] = OrderedDict()
        save.remove_stale_parts(self.root)
        self._index = Index(self._own / "library.db", self.root)
        self.elsewhere = Elsewhere(self._index)
        if self._index.fresh:
            self.reindex()
        else:
            self._index.remove([picture_id for path, picture_id in self._index.paths().items() if not (self.root / path).is_file()])

    def check_writable(self) -> None:
        """Raises DiskTrouble when the outputs folder is read-only or full."""
        save.probe(self.root)

    # ---- saving

    def save(self, picture: Picture, request: AnyTask | Grid, job_id: str, owner: str, shown: AnyTask | None = None) -> Saved:
        """Save a picture as PNG that holds its request. On return it is on the disk, whole.

        Args:
            request: as it was asked for; kept losslessly.
            shown: as it was run, with styles applied, for the infotext; None: the same. For the sheet of a grid its first cell.

        Raises:
            DiskTrouble: it could not be written; nothing is left behind, and the picture is kept for `retry_unsaved`.
        """
        told = shown or (request.base if isinstance(request, Grid) else request)
        text = infotext.write(told, picture.facts, picture.index, picture.seed, picture.image.size)
        width, height = picture.image.size
        saved = self._draft(request, job_id, owner, "image", (width, height), text)
        data = save.png_bytes(picture.image, text, chunk(saved, picture.index))
        saved = self._keep(Unsaved(saved, data, picture.seed))
        if width * height > MAX_PIXELS:  # Pillow will refuse to open it for a thumbnail
            self._store_thumb(saved.id, picture.image)
        return saved

    def save_video(
        self, write: Callable[[Path], None], request: AnyRequest, job_id: str, owner: str, *, suffix: str = "", poster: Image.Image | None = None
    ) -> Saved:
        """Save a video that `write` makes at the path it is given; a JSON file beside it holds the request.

        Args:
            suffix: "webp" or "mp4"; "": the request's `video_format`.
            poster: what its thumbnail shows; None: its first frame where Pillow can read it.

        Raises:
            DiskTrouble: it could not be written; nothing is left behind. Whatever `write` raises passes through.
        """
        suffix = "." + (suffix or getattr(request, "video_format", "webp")).lstrip(".")
        part = self._filled(self._folder(request.task, "video"), suffix, write)
        size = poster.size if poster else video_size(part)
        saved = self._draft(request, job_id, owner, "video", size, infotext.write(request, {}, 0, request.seed, size if size[0] else None))
        side = json.dumps({**json.loads(chunk(saved, 0)), "infotext": saved.infotext, "size": size}, ensure_ascii=False)
        try:
            with self._lock:
                saved = self._place(part, saved, request.seed, save.speakable(side).encode())
        except (OSError, DiskTrouble) as error:
            save.remove(part)
            raise (error if isinstance(error, DiskTrouble) else save.trouble(error, VIDEO_HINT)) from None
        if poster:
            self._store_thumb(saved.id, poster)
        return saved

    def _filled(self, folder: Path, suffix: str, write: Callable[[Path], None]) -> Path:
        try:
            return save.fill_part(folder, suffix, write)
        except OSError as error:
            if not save.is_disk_trouble(error):
                raise
            raise save.trouble(error, VIDEO_HINT) from None

    def _draft(self, request: AnyTask | Grid, job_id: str, owner: str, kind: str, size: tuple[int, int], text: str) -> Saved:
        return Saved(uuid.uuid4().hex, self.root, job_id, owner, request.task, kind, *size, time.time(), request.model_dump_json(), text)  # type: ignore[arg-type]

    def _keep(self, unsaved: Unsaved) -> Saved:
        """Write a picture, or keep it in memory and raise DiskTrouble."""
        with self._lock:
            part = None
            try:
                folder = self._folder(unsaved.saved.task, "image")
                part = save.write_part(folder, ".png", unsaved.data)
                return self._place(part, unsaved.saved, unsaved.seed)
            except (OSError, DiskTrouble) as error:
                if part:
                    save.remove(part)
                self._remember(unsaved)
                reason = error.message if isinstance(error, DiskTrouble) else save.trouble(error).message
                _log.error("a picture could not be saved: %s", reason)
                raise DiskTrouble(reason, "The picture is kept in memory: free some space and save it again.") from None

    def _folder(self, task: str, kind: str) -> Path:
        """Today's folder for a task, made if need be. Raises DiskTrouble."""
        folder = self.root / f"{task}-{kind}s" / time.strftime("%Y-%m-%d")
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                save.sync_folder(folder.parent)
        except OSError as error:
            raise save.trouble(error) from None
        return folder

    def _place(self, part: Path, saved: Saved, seed: int, side: bytes = b"") -> Saved:
        """Row first, then the name: after a crash there is no file without a row."""
        folder, suffix = part.parent, part.suffix
        number = self._numbers.get(folder) or save.next_number(folder)
        while True:
            saved = replace(saved, path=folder / f"{number:05d}-{seed}{suffix}")
            number += 1
            if saved.path.exists():
                continue
            self._index.add(saved)
            try:
                if side:
                    save.replace(save.write_part(folder, ".json", side), saved.path.with_suffix(".json"))
                save.publish(part, saved.path)
            except OSError as error:
                self._index.remove([saved.id])
                if isinstance(error, FileExistsError):
                    continue
                save.remove(saved.path.with_suffix(".json"))
                raise
            self._numbers[folder] = number
            return saved

    # ---- what the disk did not take

    def _remember(self, unsaved: Unsaved) -> None:
        self._rescue[unsaved.saved.id] = unsaved
        while sum(len(item.data) for item in self._rescue.values()) > RESCUE_BYTES:
            lost, _ = self._rescue.popitem(last=False)
            _log.error("picture %s was dropped: more than %d MB wait for space on the disk", lost, RESCUE_BYTES >> 20)

    def unsaved(self, owner: str | None) -> int:
        """How many pictures of an owner (None: of all) are kept in memory because the disk did not take them."""
        with self._lock:
            return sum(owner in (None, item.saved.owner) for item in self._rescue.values())

    def retry_unsaved(self, owner: str | None = None) -> list[Saved]:
        """Write what the disk did not take before. Raises DiskTrouble when it takes nothing still."""
        done: list[Saved] = []
        with self._lock:
            for item in [item for item in self._rescue.values() if owner in (None, item.saved.owner)]:
                try:
                    done.append(self._keep(item))
                except DiskTrouble:
                    if not done:
                        raise
                    break
                del self._rescue[item.saved.id]
        return done

    # ---- looking

    def get(self, picture_id: str, owner: str | None) -> Saved:
        """A picture. Raises NotFound when there is none, it is somebody else's (`owner` None: anybody's), or its file is gone."""
        saved = self._index.get(picture_id, owner)
        if not saved.path.is_file():
            raise NotFound("The file of this picture is gone.")
        return saved

    def newest(self, owner: str | None, count: int, before: str | None = None, task: str = "") -> list[Saved]:
        """Pictures and videos, newest first; the next page starts `before` the last id of this one. Missing files are left out."""
        found: list[Saved] = []
        while len(found) < count and (rows := self._index.newest(owner, count, before, task)):
            found += [row for row in rows if row.path.is_file()]
            before = rows[-1].id
        return found[:count]

    def of_job(self, job_id: str) -> list[Saved]:
        """What a job saved, oldest first."""
        return [row for row in self._index.of_job(job_id) if row.path.is_file()]

    def thumb(self, picture_id: str, side: int = 256, owner: str | None = None) -> bytes:
        """A small JPEG, made once; sides are rounded up to 128, 256, 512 or 1024. Raises NotFound."""
        saved = self.get(picture_id, owner)
        side = next((known for known in THUMB_SIDES if known >= side), THUMB_SIDES[-1])
        path = self._own / "thumbs" / f"{saved.id}-{side}.jpg"
        poster = self._own / "thumbs" / f"{saved.id}-{THUMB_SIDES[-1]}.jpg"
        if path.is_file():
            return path.read_bytes()
        try:
            with Image.open(poster if poster.is_file() else saved.path, formats=FORMATS) as image:
                image.draft("RGB", (side * 2, side * 2))
                small = image.convert("RGB")
        except UNREADABLE:
            raise NotFound("There is no thumbnail of this file.") from None
        return self._store_thumb(saved.id, small, side)

    def _store_thumb(self, picture_id: str, image: Image.Image, side: int = THUMB_SIDES[-1]) -> bytes:
        """Shrink, encode and cache. A disk that does not take it is no trouble: it is made again next time."""
        small = image.convert("RGB")
        small.thumbnail((side, side))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=85)
        folder = self._own / "thumbs"
        try:
            folder.mkdir(exist_ok=True)
            save.replace(save.write_part(folder, ".jpg", buffer.getvalue()), folder / f"{picture_id}-{side}.jpg")
        except OSError as error:
            _log.warning("a thumbnail could not be kept: %s", error.strerror)
        return buffer.getvalue()

    def delete(self, picture_id: str, owner: str | None, original: bool = False) -> None:
        """Delete a picture, its file and its thumbnails. One of another program is only taken out of the index, unless `original`
        says that its file is meant. Raises NotFound, DiskTrouble."""
        saved = self._index.get(picture_id, owner)
        try:
            if saved.foreign and not original:
                self._index.hide(saved.path)
            else:
                saved.path.unlink(missing_ok=True)
        except OSError as error:
            raise save.trouble(error) from None
        self._index.remove([saved.id])
        if saved.kind == "video" and not saved.foreign:
            save.remove(saved.path.with_suffix(".json"))
        for side in THUMB_SIDES:
            save.remove(self._own / "thumbs" / f"{saved.id}-{side}.jpg")

    def reindex(self, owner_of: Callable[[str], str] = lambda job: "") -> int:
        """Take into the index what lies in the folder and is not in it. Files do not say whose they are: `owner_of` is asked
        with the job's id. Returns how many were added. Raises DiskTrouble."""
        with self._lock:
            rows = scan(self.root, set(self._index.paths()))
            self._index.add_all([replace(row, owner=owner_of(row.job)) for row in rows])
        return len(rows)

    def close(self) -> None:
        """Close the index. Twice is harmless."""
        self._index.close()


def chunk(saved: Saved, index: int) -> str:
    """The lossless JSON chunk of a file. It does not name the owner: pictures are passed on."""
    facts = {"version": __version__, "id": saved.id, "job": saved.job, "task": saved.task, "index": index}
    return json.dumps({**facts, "request": json.loads(saved.request)}, ensure_ascii=False)

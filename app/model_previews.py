"""Sample pictures of models: small JPEGs of them for the page, and new ones where the user picks one.

Which file is opened is decided by the shelf alone; what it holds comes from strangers and is decoded as every picture that
is handed in (`app.decode`): three formats, bounded sizes, first frame.
"""

import hashlib
import io
import os
from pathlib import Path

from PIL import Image

from app import decode
from app.engine.checkpoints.header import ModelFile
from app.errors import BadPicture, DiskTrouble, NotFound
from app.library import save

SIDE = 512
"""Longest side in pixels of a picture for the page, and of one that is written beside a model."""
ENDING = ".preview.webp"


class ModelPreviews:
    """Pictures of models, in `folder` and beside the models. Safe to use from several threads: whole files change places.

    Args:
        folder: where small ones are kept, and those whose model lies where nothing is to be written.
        kept_out: folders in which nothing is written.
    """

    def __init__(self, folder: Path, kept_out: tuple[Path, ...] = ()) -> None:
        self._own = folder / "chosen"
        self._small = folder / "small"
        self._kept_out = tuple(path.resolve() for path in kept_out)

    def version(self, file: ModelFile) -> str:
        """Changes when the picture of a model does; "" when there is none."""
        source = self._source(file)
        if source is None:
            return ""
        try:
            stat = source.stat()
        except OSError:
            return ""
        return hashlib.sha256(f"{source}\n{stat.st_size}\n{stat.st_mtime_ns}".encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def small(self, file: ModelFile) -> bytes:
        """A JPEG of at most 512 pixels a side, made once. Raises NotFound when there is no picture, or none that can be read."""
        source, version = self._source(file), self.version(file)
        if source is None or not version:
            raise NotFound("There is no sample picture of this model.")
        kept = self._small / f"{_key(file)}-{version}.jpg"
        try:
            return kept.read_bytes()
        except OSError:
            pass
        try:
            if source.stat().st_size > decode.MAX_BYTES:
                raise NotFound("The sample picture of this model is too large to be shown.")
            data = _jpeg(decode.decode(source.read_bytes()))
        except (OSError, BadPicture):
            raise NotFound("The sample picture of this model cannot be read.") from None
        self._keep(kept, data)
        return data

    def choose(self, file: ModelFile, image: Image.Image) -> None:
        """Make a picture the sample of a model: NAME.preview.webp beside it, or in a folder of ours where that cannot be. Raises DiskTrouble."""
        small = _fitted(image)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=88, method=2)
        own = self._chosen(file)
        if self._may_write(file):
            try:
                beside = file.path.with_name(file.path.stem + ENDING)
                save.replace(save.write_part(file.path.parent, ENDING, buffer.getvalue()), beside)
                save.remove(own)
                return
            except OSError:
                pass  # full, or read-only in spite of what it says: our own folder may still take it
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            save.replace(save.write_part(self._own, ".webp", buffer.getvalue()), own)
        except OSError as error:
            raise save.trouble(error, "The sample picture stays as it was.") from None

    def _source(self, file: ModelFile) -> Path | None:
        own = self._chosen(file)
        return own if own.is_file() else file.preview

    def _chosen(self, file: ModelFile) -> Path:
        return self._own / f"{_key(file)}.webp"

    def _may_write(self, file: ModelFile) -> bool:
        """Beside single files only: a diffusers folder is a thing of its own, and what came with Darkroom stays as it came."""
        folder = file.path.parent
        resolved = folder.resolve()
        if not file.path.is_file() or any(resolved == kept or kept in resolved.parents for kept in self._kept_out):
            return False
        return os.access(folder, os.W_OK)

    def _keep(self, path: Path, data: bytes) -> None:
        """A disk that does not take it is no trouble: it is made again next time. Older ones of the same model go."""
        try:
            self._small.mkdir(parents=True, exist_ok=True)
            for old in self._small.glob(f"{path.name.split('-')[0]}-*.jpg"):
                save.remove(old)
            save.replace(save.write_part(self._small, ".jpg", data), path)
        except (OSError, DiskTrouble):
            return


def _key(file: ModelFile) -> str:
    return hashlib.sha256(f"{file.kind}/{file.name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _fitted(image: Image.Image) -> Image.Image:
    """RGB, at most `SIDE` a side; what is transparent lies on grey."""
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, (128, 128, 128))
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    _fitted(image).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()

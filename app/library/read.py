"""What a picture file says about how it was made: our lossless JSON, or A1111's text. Data only: nothing is evaluated."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from app.decode import FORMATS
from app.request import MAX_SEED

MAX_TEXT = 64 * 1024
MAX_CHUNK = 256 * 1024
USER_COMMENT = 0x9286
EXIF_IFD = 0x8769
CHUNK = "darkroom"


def read(source: Path | str | bytes | Image.Image) -> tuple[dict[str, Any] | None, str]:
    """The request in a picture, and its infotext.

    Args:
        source: a path, a file's bytes, or an opened (not converted) picture: PNG, JPEG or WebP.

    Returns:
        (fields of the request as they were asked for, or None when the picture is not ours; A1111's text, or "").
        Unreadable files and texts that are too long give (None, "").
    """
    chunk, infotext = embedded(source)
    request = chunk.get("request")
    return (request if isinstance(request, dict) else None), infotext


def one_picture(source: Path | str | bytes | Image.Image) -> dict[str, Any] | None:
    """The request that makes this one picture again: that of its job, with the picture's own seed and a batch of one."""
    chunk, _ = embedded(source)
    request, index = chunk.get("request"), chunk.get("index", 0)
    if not isinstance(request, dict):
        return None
    if isinstance(request.get("seed"), int) and isinstance(index, int) and "batch_size" in request:
        counted = "subseed" if request.get("subseed_strength") and isinstance(request.get("subseed"), int) else "seed"
        request = {**request, counted: (request[counted] + index) % (MAX_SEED + 1), "batch_count": 1, "batch_size": 1}
    return request


def embedded(source: Path | str | bytes | Image.Image) -> tuple[dict[str, Any], str]:
    """Our whole JSON chunk ({} when there is none) and the infotext ("" when there is none)."""
    try:
        if isinstance(source, Image.Image):
            texts = texts_of(source)
        else:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                texts = texts_of(image)
    except Exception:  # border: a foreign file; Pillow raises OSError, SyntaxError, ValueError, struct.error ...
        return {}, ""
    return chunk_of(texts.get(CHUNK, "")), texts.get("parameters", "")


def chunk_of(text: str) -> dict[str, Any]:
    """The JSON object in `text`, {} when it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def texts_of(image: Image.Image) -> dict[str, str]:
    """The text chunks "darkroom" (at most 256 KiB) and "parameters" (at most 64 KiB); JPEG and WebP keep the latter as EXIF UserComment.

    PNG text may stand behind the pixels: then the picture is decoded.
    """
    info = dict(image.info)
    if image.format == "PNG" and not {CHUNK, "parameters"} & set(info):
        image.load()
        info = dict(getattr(image, "text", info))
    texts = {key: str(info[key]) for key in (CHUNK, "parameters") if isinstance(info.get(key), str)}
    if "parameters" not in texts and (comment := user_comment(image)):
        texts["parameters"] = comment
    return {key: text for key, text in texts.items() if len(text) <= (MAX_CHUNK if key == CHUNK else MAX_TEXT)}


def user_comment(image: Image.Image) -> str:
    """The EXIF UserComment: 8 bytes that name the encoding ("UNICODE": UTF-16, "ASCII"), then the text."""
    comment = image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT, b"")
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes) or len(comment) > 2 * MAX_TEXT:
        return ""
    code, text = comment[:8].rstrip(b"\0"), comment[8:]
    if code == b"UNICODE":
        byte_order = "utf-16-be" if utf16_is_big(text) else "utf-16-le"
        return text.decode(byte_order, "replace").strip("\0\ufeff")
    return (text if code in (b"ASCII", b"") and len(comment) >= 8 else comment).decode("utf-8", "replace").strip("\0")


def utf16_is_big(text: bytes) -> bool:
    """Guess the byte order: piexif, and so A1111, writes big-endian; in Latin text every other byte is then 0."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text[:2] == b"\xfe\xff"
    return text[0::2].count(0) >= text[1::2].count(0)

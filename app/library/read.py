"""What a picture file says about how it was made: our lossless JSON, A1111's text, other programs' chunks. Data only: nothing is evaluated."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from app.decode import FORMATS
from app.foreign import find, stealth
from app.foreign.data import MAX_TEXT as MAX_FOREIGN
from app.foreign.data import load_object
from app.request import MAX_SEED

Source = Path | str | bytes | Image.Image
"""A path, a file's bytes, or an opened (not converted) picture: PNG, JPEG or WebP."""
MAX_TEXT = 64 * 1024
MAX_CHUNK = 256 * 1024
USER_COMMENT = 0x9286
EXIF_IFD = 0x8769
TEXT_TAGS = (0x010E, 0x010F, 0x0110)
"""ImageDescription, Make and Model, where ComfyUI puts "workflow:{...}" and "prompt:{...}" in a WebP."""
CHUNK = "darkroom"
OURS = frozenset({CHUNK, "parameters"})


def read(source: Source) -> tuple[dict[str, Any] | None, str]:
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


def one_picture(source: Source) -> dict[str, Any] | None:
    """The request that makes this one picture again: that of its job, with the picture's own seed and a batch of one."""
    chunk, _ = embedded(source)
    request, index = chunk.get("request"), chunk.get("index", 0)
    if not isinstance(request, dict):
        return None
    if isinstance(request.get("seed"), int) and isinstance(index, int) and "batch_size" in request:
        counted = "subseed" if request.get("subseed_strength") and isinstance(request.get("subseed"), int) else "seed"
        request = {**request, counted: (request[counted] + index) % (MAX_SEED + 1), "batch_count": 1, "batch_size": 1}
    return request


def embedded(source: Source) -> tuple[dict[str, Any], str]:
    """Our whole JSON chunk ({} when there is none) and the infotext ("" when there is none)."""
    texts = looked_at(source, lambda image: texts_of(image, OURS))
    return chunk_of(texts.get(CHUNK, "")), texts.get("parameters", "")


def chunks(source: Source) -> dict[str, str]:
    """All texts in a picture that somebody can read, by the name of their chunk; {} when there are none.

    Where there are none the transparency is looked at, too.
    """
    return looked_at(source, lambda image: texts_of(image, OURS | find.CHUNKS) or hidden(image))


def looked_at(source: Source, look: Callable[[Image.Image], dict[str, str]]) -> dict[str, str]:
    """What `look` finds in the opened picture; {} when it cannot be opened or read."""
    try:
        if isinstance(source, Image.Image):
            return look(source)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            return look(image)
    except Exception:  # border: a foreign file; Pillow raises OSError, SyntaxError, ValueError, struct.error ...
        return {}


def hidden(image: Image.Image) -> dict[str, str]:
    """The chunks that a picture keeps in its transparency: an object of texts, or A1111's text alone."""
    text = stealth.hidden(image)
    said = load_object(text)
    return {name: said[name] for name in find.CHUNKS if isinstance(said.get(name), str)} or ({"parameters": text[:MAX_TEXT]} if text else {})


def chunk_of(text: str) -> dict[str, Any]:
    """The JSON object in `text`, {} when it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def texts_of(image: Image.Image, wanted: frozenset[str]) -> dict[str, str]:
    """The wanted text chunks, none longer than `limit`; JPEG and WebP keep "parameters" as EXIF UserComment.

    PNG text may stand behind the pixels: then the picture is decoded. What is packed is unpacked by Pillow, to at most 1 MB.
    """
    info = dict(image.info)
    if image.format == "PNG" and not wanted & set(info):
        image.load()
        info = dict(getattr(image, "text", info))
    texts = {key: str(info[key]) for key in wanted if isinstance(info.get(key), str)}
    if "parameters" not in texts and (comment := user_comment(image)):
        texts["parameters"] = comment
    if image.format != "PNG":
        texts |= {key: text for key, text in exif_texts(image).items() if key in wanted}
    return {key: text for key, text in texts.items() if len(text) <= limit(key)}


def limit(chunk: str) -> int:
    """How long the text in a chunk may be: a graph may be longer than a request."""
    return {CHUNK: MAX_CHUNK, "parameters": MAX_TEXT}.get(chunk, MAX_FOREIGN)


def exif_texts(image: Image.Image) -> dict[str, str]:
    """EXIF texts of the form "name:{...}" by their names."""
    exif = image.getexif()
    pairs = [exif[tag].partition(":") for tag in TEXT_TAGS if isinstance(exif.get(tag), str)]
    return {name.strip().casefold(): text for name, _, text in pairs if text.lstrip().startswith("{")}


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

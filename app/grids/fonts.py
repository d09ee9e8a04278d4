"""Fonts for labels: Pillow's own, which knows little more than ASCII, or one of the system's that has the signs of the text."""

import unicodedata
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SYSTEM = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "segoeui.ttf", "Arial.ttf", "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansJP-Regular.otf", "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc",
)  # fmt: skip
"""File names of fonts that come with systems; Pillow looks for them where the system keeps its fonts."""
_NOBODYS = "\U0010fffe"


@lru_cache(64)
def load(name: str, size: int) -> Font | None:
    """A font of that size in pixels, "" for Pillow's own; None when it is not here."""
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None


@lru_cache(4096)
def draws(name: str, sign: str) -> bool:
    """Whether a font has a sign of its own for a character, and not the box that stands for all that it lacks."""
    font = load(name, 16)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return font is not None and ord(sign) < 256
    return sign.isspace() or bytes(font.getmask(sign)) != bytes(font.getmask(_NOBODYS))


def lacks(name: str, text: str) -> int:
    return sum(not draws(name, sign) for sign in set(text))


def font_for(text: str, size: int) -> Font:
    """Pillow's own font where it has all signs of the text, else the font of the system that lacks fewest."""
    text = plain(text)
    best = min(("", *(SYSTEM if lacks("", text) else ())), key=lambda name: lacks(name, text) if load(name, size) else len(text) + 1)
    font = load(best, size)
    assert font is not None  # Pillow's own is always here
    return font


def plain(text: str) -> str:
    """The text in one line, without control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def speakable(font: Font, text: str) -> str:
    """The text in one line, as the font can draw it: without accents where it lacks them, with "?" for what it lacks altogether."""
    name = next((known for known in ("", *SYSTEM) if load(known, getattr(font, "size", 0) or 16) is font), "")
    return "".join(sign if draws(name, sign) else bare(name, sign) for sign in plain(text))


def bare(name: str, sign: str) -> str:
    """The letters of a sign without its accents, if the font has these; else "?"."""
    letters = "".join(part for part in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(part))
    return letters if letters and letters != sign and all(draws(name, part) for part in letters) else "?"


def line_height(font: Font) -> int:
    """Pixels from one line to the next."""
    box = font.getbbox("ÅÉgjpqy")
    return int(box[3] - min(0, box[1])) + 2

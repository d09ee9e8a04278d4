"""The sheet: all pictures of a grid side by side, with what was changed written at their edges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from PIL import Image, ImageDraw

from app.grids.fonts import Font, font_for, line_height, speakable

MAX_PIXELS = 32_000_000
MAX_SIDE = 16_384
"""A larger sheet is drawn smaller: browsers and other programs refuse such pictures."""
PAPER, INK = (255, 255, 255), (24, 24, 24)
MAX_LINES = 6
_GAP = 6

Opener = Callable[[int, int], Image.Image]
"""(column, row) -> the picture of a cell. Asked once for each, so that not all are in memory at a time."""


@dataclass(frozen=True)
class Labels:
    """What stands above the columns, left of the rows, and on top; empty: nothing."""

    columns: Sequence[str] = ()
    rows: Sequence[str] = ()
    title: str = ""


@dataclass(frozen=True)
class Layout:
    """Where things are, in pixels of the sheet.

    Attributes:
        cell_width, cell_height: of a picture on the sheet; scale: that by its own size.
        left, top: room for the labels of rows and columns; title_height: for the title above these.
    """

    cell_width: int
    cell_height: int
    scale: float
    left: int
    top: int
    title_height: int
    font_size: int


def sheet(size: tuple[int, int], cell: tuple[int, int], open_cell: Opener, labels: Labels = Labels(), margin: int = 0) -> tuple[Image.Image, float]:
    """The sheet, RGB, and how much smaller its pictures are than they were (1: as they are).

    Args:
        size: columns, rows.
        cell: width and height of the largest picture; smaller ones stand in the middle of their place.
        margin: pixels between the pictures.
    """
    columns, rows = size
    layout = laid_out(size, cell, labels, margin)
    width = layout.left + columns * layout.cell_width + (columns - 1) * margin
    height = layout.title_height + layout.top + rows * layout.cell_height + (rows - 1) * margin
    made = Image.new("RGB", (width, height), PAPER)
    pen, font_size = ImageDraw.Draw(made), layout.font_size
    write(pen, font_size, labels.title, (0, 0, width, layout.title_height))
    for x, text in enumerate(labels.columns):
        left = layout.left + x * (layout.cell_width + margin)
        write(pen, font_size, text, (left, layout.title_height, left + layout.cell_width, layout.title_height + layout.top))
    for y in range(rows):
        top = layout.title_height + layout.top + y * (layout.cell_height + margin)
        write(pen, font_size, labels.rows[y] if labels.rows else "", (0, top, layout.left, top + layout.cell_height))
        for x in range(columns):
            left = layout.left + x * (layout.cell_width + margin)
            picture = fitted(open_cell(x, y), layout)
            made.paste(picture, (left + (layout.cell_width - picture.width) // 2, top + (layout.cell_height - picture.height) // 2))
    return made, layout.scale


def laid_out(size: tuple[int, int], cell: tuple[int, int], labels: Labels, margin: int) -> Layout:
    """The layout with the largest cells that stay within `MAX_PIXELS` and `MAX_SIDE`."""
    scale = 1.0
    for _ in range(8):
        layout = at_scale(size, cell, labels, scale)
        width = layout.left + size[0] * layout.cell_width + (size[0] - 1) * margin
        height = layout.title_height + layout.top + size[1] * layout.cell_height + (size[1] - 1) * margin
        over = min(1.0, sqrt(MAX_PIXELS / (width * height)), MAX_SIDE / width, MAX_SIDE / height)
        if over >= 1:
            break
        scale *= over * 0.98
    return layout


def at_scale(size: tuple[int, int], cell: tuple[int, int], labels: Labels, scale: float) -> Layout:
    """The layout with cells of that scale: room for as many lines as the longest label needs."""
    width, height = (max(1, round(side * scale)) for side in cell)
    font_size = max(11, min(36, round(width / 14)))
    left = max(64, round(width * 0.6)) if any(labels.rows) else 0
    top = max((room(font_size, text, width) for text in labels.columns if text), default=0)
    title = room(font_size, labels.title, left + size[0] * width) if labels.title else 0
    return Layout(width, height, scale, left, top, title, font_size)


def fitted(picture: Image.Image, layout: Layout) -> Image.Image:
    """The picture as RGB at the scale of the sheet."""
    picture = picture.convert("RGB")
    if layout.scale == 1:
        return picture
    width, height = (max(1, int(side * layout.scale)) for side in picture.size)
    return picture.resize((min(width, layout.cell_width), min(height, layout.cell_height)), Image.Resampling.LANCZOS)


def wrapped(font: Font, text: str, width: int) -> list[str]:
    """The text in lines of at most `width` pixels, broken at blanks where there are any; at most `MAX_LINES`, the last then ends in dots."""
    lines: list[str] = []
    line = ""
    for word in speakable(font, text)[:2000].split(" "):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = broken(font, word, width)
        lines += full
        if len(lines) > MAX_LINES:
            break
    lines = [line for line in (*lines, line) if line]
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], shortened(font, lines[MAX_LINES - 1], width)]


def broken(font: Font, word: str, width: int) -> list[str]:
    """A word that is too long, in pieces that fit; at least one sign each."""
    found, piece = [], ""
    for sign in word:
        if piece and font.getlength(piece + sign) > width:
            found.append(piece)
            piece = ""
        piece += sign
    return [*found, piece]


def shortened(font: Font, line: str, width: int) -> str:
    """The line with dots at its end, within the width."""
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."


def room(font_size: int, text: str, width: int) -> int:
    """Pixels from top to bottom that a label takes."""
    font = font_for(text, font_size)
    return len(wrapped(font, text, width - 2 * _GAP)) * line_height(font) + 2 * _GAP


def write(pen: ImageDraw.ImageDraw, font_size: int, text: str, box: tuple[int, int, int, int]) -> None:
    """A label in the middle of a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    if not text or right - left <= 2 * _GAP:
        return
    font = font_for(text, font_size)
    height = line_height(font)
    lines = wrapped(font, text, right - left - 2 * _GAP)[: max(1, (bottom - top) // height)]
    y = top + (bottom - top - len(lines) * height) // 2
    for line in lines:
        pen.text(((left + right - font.getlength(line)) / 2, y), line, fill=INK, font=font)
        y += height

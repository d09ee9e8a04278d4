"""Outpaint and zoom: the larger canvas, and the windows in which it is painted, outward from what is known, corners last."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.canvas.fit import GRID, rounded_up
from app.canvas.mask import Box
from app.errors import BadRequest
from app.request import Outpaint

MAX_SIDE = 4096
_WINDOW = 1.5
"""The side of a window, in native sides: what a model still draws as one picture. darkroom-base keeps one horizon at 192."""


@dataclass(frozen=True)
class Layout:
    """A picture in its larger canvas.

    Attributes:
        width, height: of the result.
        canvas_width, canvas_height: the same rounded up to 8; the rest is cut off at the end.
        kept: where the picture lies.
        overlap: how far the new part may reach into it: what was asked, but never over more than half of it.
    """

    width: int
    height: int
    canvas_width: int
    canvas_height: int
    kept: Box
    overlap: int


def outpaint_layout(request: Outpaint, size: tuple[int, int]) -> Layout:
    """The canvas for a picture of `size` (width, height). Raises BadRequest when no side is extended or it gets too large."""
    left, right, up, down = request.left, request.right, request.up, request.down
    if not (left or right or up or down):
        raise BadRequest("Left, right, up and down are all 0.", "Say by how many pixels the image shall grow on at least one side.")
    width, height = left + size[0] + right, up + size[1] + down
    if max(width, height) > MAX_SIDE:
        raise BadRequest(f"The extended image would be {width}x{height}, but at most {MAX_SIDE}x{MAX_SIDE} is allowed.")
    kept = (left, up, left + size[0], up + size[1])
    return Layout(width, height, rounded_up(width), rounded_up(height), kept, usable_overlap(request.overlap, kept, (width, height)))


def usable_overlap(overlap: int, kept: Box, canvas: tuple[int, int]) -> int:
    """`overlap`, but so that at least half of the kept width and height stays as it is."""
    for axis in (0, 1):
        sides = (kept[axis] > 0) + (kept[axis + 2] < canvas[axis])
        if sides:
            overlap = min(overlap, (kept[axis + 2] - kept[axis]) // (2 * sides))
    return overlap


def windows(width: int, height: int, kept: Box, native: int) -> list[Box]:
    """The windows that make a canvas known, in order; each holds known pixels, if there are any near.

    Args:
        width, height: of the canvas, multiples of 8.
        kept: what is known at first.
        native: the model's native side; a window is at most 1.5 of them wide and high.

    First what surrounds a picture that is smaller than the model's native size, then strips to the left and right, then
    strips above and below over the whole width: a strip adds at most half a window, next to half a window that is known.
    Strips longer than a window are painted from the middle to the corners, a quarter of a window overlapping.
    """
    total = (width // GRID, height // GRID)
    side, small = max(1, int(native * _WINDOW) // GRID), max(1, native // GRID)
    known = [kept[0] // GRID, kept[1] // GRID, *(_end(kept[axis + 2], kept[axis], total[axis]) for axis in (0, 1))]
    middle = ((known[0] + known[2]) / 2, (known[1] + known[3]) / 2)
    found = []
    if all(known[axis + 2] - known[axis] <= side for axis in (0, 1)):
        first = [_first(known[axis], known[axis + 2], total[axis], side, small) for axis in (0, 1)]
        box = [first[0][0], first[1][0], first[0][1], first[1][1]]
        found += [tuple(box)] if box != known else []
        known = box
    for axis in (0, 1):
        while known[axis] > 0 or known[axis + 2] < total[axis]:
            for before in (True, False):
                found += _strip(known, axis, before, total[axis], side, middle[1 - axis])
    return [(left * GRID, top * GRID, right * GRID, bottom * GRID) for left, top, right, bottom in found]


def _end(end: int, start: int, total: int) -> int:
    """The cell where the known part ends: a last cell that is only padded belongs to it, any other partly known one does not."""
    return total if total * GRID - end < GRID else max(start // GRID + 1, end // GRID)


def _first(start: int, end: int, total: int, side: int, small: int) -> tuple[int, int]:
    """The first window along one axis: all of it when that fits, else the known part grown to the native side."""
    length = end - start
    if total <= side:
        return 0, total
    if length < small:
        length = min(total, max(small, min(side, 2 * length)))
    start = min(max(0, start - (length - (end - start)) // 2), total - length)
    return start, start + length


def _strip(known: list[int], axis: int, before: bool, total: int, side: int, middle: float) -> Iterator[tuple[int, ...]]:
    """The windows of the next strip on one side of `known` (cells), which then counts as known."""
    left = known[axis] if before else total - known[axis + 2]
    if not left:
        return
    most = max(1, side // 2)
    new = -(-left // -(-left // most))
    length = min(side, new + known[axis + 2] - known[axis])
    start = known[axis] - new if before else known[axis + 2] + new - length
    cross_start, cross_end = known[1 - axis], known[3 - axis]
    for place in _tiles(cross_start, cross_end, side, middle):
        cross = (place, min(place + side, cross_end))
        yield (start, cross[0], start + length, cross[1]) if axis == 0 else (cross[0], start, cross[1], start + length)
    if before:
        known[axis] -= new
    else:
        known[axis + 2] += new


def _tiles(start: int, end: int, side: int, middle: float) -> list[int]:
    """Where the windows along a strip begin: evenly spaced, at least a quarter overlapping, the one nearest to `middle` first."""
    spare = end - start - side
    if spare <= 0:
        return [start]
    count = -(-spare // max(1, side - side // 4)) + 1
    places = [start + round(spare * i / (count - 1)) for i in range(count)]
    return sorted(places, key=lambda place: (abs(place + side / 2 - middle), place))

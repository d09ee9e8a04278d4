"""What a zoom shows when: the prompt of each key, and the frames between the keys, rendered one by one: no seams, no jumps, no jitter.

At zoom level z = i + s the outer picture is key i+1, magnified; key i lies in its middle at ratio^-s, key i-1 in its
middle, and so on. The outer layers are drawn from the generated pictures before the inner key was pasted ("raw"), so
that an overlap is blended once; where z is a whole number, the frame is the stored key, bit for bit.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from app.canvas.fit import Pixels, as_image, as_rgb
from app.canvas.nested import draw_inside, levels, magnified, zoom_overlap
from app.errors import BadRequest
from app.request import Zoom

_NUMBERED = re.compile(r"(\d+)\s*:(?!\d)\s*(.*)")
"""A line of the storyboard that names its key; "16:9 frame" does not."""
_RAMP = 0.7
"""The feather grows to its full width over this part of a key's way, so that nothing pops when the inner key fills the frame."""
_SMALLEST = 8
"""An inner picture with fewer pixels a side than this is not drawn from its own key any more."""


def frame_count(request: Zoom) -> int:
    """seconds x frames per second, rounded; at least 2."""
    return max(2, round(request.seconds * request.fps))


def positions(request: Zoom) -> list[float]:
    """The zoom level of each frame: 0 is key 0, the innermost; level i is key i, exactly, where there are enough frames.

    The levels between two keys are evenly spaced, which is a constant relative speed; the first and the last frame are keys.
    """
    count = frame_count(request)
    there_and_back = request.direction in ("out then in", "in then out")
    way = _way(request.keys, (count + 1) // 2 if there_and_back else count)
    if request.direction in ("in", "in then out"):
        way = way[::-1]
    return way + way[::-1][count % 2 :] if there_and_back else way


def _way(keys: int, count: int) -> list[float]:
    """From level 0 to keys - 1 in `count` frames. Each key has its own frame when there are at least as many frames as keys."""
    if count < 2:
        return [0.0] * count
    if count < keys:
        return [float(z) for z in np.linspace(0, keys - 1, count)]
    at_key = [round(key * (count - 1) / (keys - 1)) for key in range(keys)]
    return [float(z) for z in np.interp(np.arange(count), at_key, np.arange(keys))]


def key_prompts(request: Zoom) -> list[str]:
    """The prompt of each key, from the storyboard.

    A line "3: a castle" counts from key 3 on; a line without a number belongs to the key after the line before; each holds
    on until the next. Keys before the first line have the request's prompt.

    Raises:
        BadRequest: a line is for a key that does not exist.
    """
    board: dict[int, str] = {}
    index = -1
    for line in filter(None, map(str.strip, request.storyboard.splitlines())):
        numbered = _NUMBERED.fullmatch(line)
        index, text = (int(numbered[1]), numbered[2]) if numbered and len(numbered[1]) < 9 else (index + 1, line)
        if index >= request.keys:
            raise BadRequest(f"Prompts by key has a line for key {index} ({line[:40]!r}), but with {request.keys} keys the last is key {request.keys - 1}.")
        board[index] = text
    prompts = [request.prompt]
    for index in range(request.keys):
        prompts.append(board.get(index, prompts[-1]))
    return prompts[1:]


def frames(keys: Sequence[Image.Image], raws: Sequence[Image.Image | None], request: Zoom) -> Iterator[Image.Image]:
    """The frames, in order, RGB and of the keys' size.

    Args:
        keys: the finished key pictures, key 0 (the innermost) first, all of one size.
        raws: for each key the generated layer before the key before was pasted into it; that of key 0 is not used.
    """
    stack = Stack(keys, raws, request)
    return (stack.frame(z) for z in positions(request))


class Stack:
    """Key pictures that lie within each other.

    Raises:
        ValueError: a key but the first has no raw layer.
    """

    def __init__(self, keys: Sequence[Image.Image], raws: Sequence[Image.Image | None], request: Zoom) -> None:
        if len(keys) != len(raws) or any(raw is None for raw in raws[1:]):
            raise ValueError("Each key picture but the first needs its raw layer.")
        self._keys, self._raws = keys, raws
        self._ratio = request.ratio
        self._overlap = zoom_overlap(request.overlap, keys[0].size, request.ratio)
        self._pixels: dict[tuple[str, int], Pixels] = {}

    def frame(self, z: float) -> Image.Image:
        """The picture at zoom level `z`, 0 to keys - 1."""
        inner = int(z)
        s = z - inner
        if s == 0:
            return self._keys[inner].convert("RGB")
        outer = magnified(self._layer("raw", inner + 1), self._ratio ** (1 - s))
        ramp = min(1.0, s / _RAMP)
        feather = self._overlap * self._ratio ** (1 - s) * ramp * ramp * (3 - 2 * ramp)
        scale = self._ratio**-s
        deeper = scale / self._ratio
        if inner == 0 or min(outer.shape[:2]) * deeper < _SMALLEST:
            draw_inside(outer, self._layer("key", inner), scale, feather)
        else:
            draw_inside(outer, self._layer("raw", inner), scale, feather)
            draw_inside(outer, self._layer("key", inner - 1), deeper, self._overlap * scale)
        return as_image(levels(outer))

    def _layer(self, kind: str, index: int) -> Pixels:
        """Pixels of a key or raw layer; those of four layers are kept at hand."""
        if (kind, index) not in self._pixels:
            while len(self._pixels) >= 4:
                del self._pixels[next(iter(self._pixels))]
            image = self._keys[index] if kind == "key" else self._raws[index]
            assert image is not None
            self._pixels[kind, index] = as_rgb(image)
        return self._pixels[kind, index]

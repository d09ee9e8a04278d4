"""Putting generated and kept pixels together: distance, feather, tone, paste, and the proof that kept pixels were kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas.fill import Known, Plane, enlarged, pooled, pull_push
from app.canvas.fit import Pixels
from app.canvas.mask import Box, Mask

_COARSE = 4
"""Tone is matched at a quarter of the size: the correction is smooth."""
_MOST = 32.0
"""Levels by which the tone match may move a pixel."""
_BAND = 24
"""How far to both sides of a border the seam score looks, in pixels."""
_HALF = 4
"""Width of the strips of which the seam score takes the mean tone: two outside the border, two inside."""


def depth(known: Known) -> NDArray[np.int32]:
    """City-block distance in pixels of each known pixel to the nearest unknown one (1 = next to it); 0 where unknown.

    Two passes along rows and columns. Nothing unknown: height + width everywhere.
    """
    height, width = known.shape
    far = height + width
    distance = np.where(known, far, 0).astype(np.int32)
    for axis, length in ((1, width), (0, height)):
        place = np.arange(length, dtype=np.int32)
        place = place[None, :] if axis == 1 else place[:, None]
        ahead = np.minimum.accumulate(distance - place, axis=axis) + place
        behind = np.flip(np.minimum.accumulate(np.flip(distance + place, axis), axis=axis), axis) - place
        distance = np.minimum(ahead, behind)
    return distance


def feather(distance: NDArray[np.int32], overlap: int) -> Plane:
    """How much of a kept pixel stays, 0..1: smoothstep over `overlap` pixels, 0 where unknown, exactly 1 beyond the overlap."""
    ramp: Plane = np.clip((distance - 0.5) / max(overlap, 0.5), 0, 1).astype(np.float32)
    return ramp * ramp * (3 - 2 * ramp)


def mixed(kept: Pixels, made: NDArray[Any], stays: Plane) -> Pixels:
    """kept * stays + made * (1 - stays). Where `stays` is 1 the kept pixel, bit for bit.

    Args:
        made: (H, W, 3), uint8 or float32 in levels 0..255.
    """
    blend = made + (kept.astype(np.float32) - made) * stays[..., None]
    blend = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
    return np.where(stays[..., None] >= 1, kept, blend)


def pasted(kept: Pixels, made: Pixels, mask: Mask) -> Pixels:
    """`made` over `kept` through a mask (255 = made); where it is 0 the kept pixel, bit for bit."""
    return mixed(kept, made, 1 - mask.astype(np.float32) / 255)


def prove_kept(before: Pixels, after: Pixels, kept: Known) -> None:
    """The promise of inpaint, outpaint and zoom. AssertionError when a kept pixel has changed, which would be our bug."""
    changed = (before != after).any(axis=-1) & kept
    if changed.any():
        y, x = (int(place[0]) for place in np.nonzero(changed))
        raise AssertionError(f"{int(changed.sum())} pixels that are kept have changed, the first at {x}, {y}.")


def tone_matched(made: Pixels, kept: Pixels, known: Known, band: int) -> Plane:
    """`made` with its tone moved to that of the kept pixels at the border, (H, W, 3) float32.

    The low-frequency difference in the `band` pixels inside the known part is extended over the unknown part by a
    pull-push pyramid (a membrane that is fixed at the border) and added. Only the made picture is changed.
    """
    result = made.astype(np.float32)
    near = known & (depth(known) <= band)
    if not near.any():
        return result
    weight = near.astype(np.float32)[..., None]
    parts = pooled(np.concatenate([(kept - result) * weight, weight], axis=2), _COARSE)
    total, weight = _smoothed(parts[..., :3]), _smoothed(parts[..., 3:])
    difference = np.clip(total / np.maximum(weight, 1e-3), -_MOST, _MOST)
    correction = pull_push(difference, np.minimum(parts[..., 3], 1))
    return result + enlarged(correction, made.shape[1], made.shape[0], _COARSE)


def _smoothed(values: Plane) -> Plane:
    """Two passes of a 3 x 3 mean (not divided); nothing comes in from outside."""
    for _ in range(2):
        for axis in (0, 1):
            wide = np.pad(values, [(1, 1) if each == axis else (0, 0) for each in range(3)])
            middle, length = [slice(None)] * 3, values.shape[axis]
            shifted = []
            for offset in range(3):
                middle[axis] = slice(offset, offset + length)
                shifted.append(wide[tuple(middle)])
            values = shifted[0] + shifted[1] + shifted[2]
    return values


def seam_score(pixels: Pixels, box: Box) -> float:
    """How far the tone steps at the border of `box` beyond what the picture does nearby, in levels, averaged over its sides.

    Below 1 nobody sees it. For each side that has picture beyond it: the mean tone along the side is continued from
    both sides in a straight line to the border, and the step is where the lines miss each other; the median of the same
    at the lines next to the border, which is the picture's own unrest, is taken off.
    """
    left, top, right, bottom = box
    sides = [pixels[top:bottom], pixels[top:bottom, ::-1], pixels[:, left:right].swapaxes(0, 1), pixels[::-1, left:right].swapaxes(0, 1)]
    height, width = pixels.shape[:2]
    borders = [left, width - right, top, height - bottom]
    steps = [_step(side.mean(axis=0, dtype=np.float64), border) for side, border in zip(sides, borders, strict=True) if border]
    return float(np.mean(steps)) if steps else 0.0


def _step(tone: NDArray[np.float64], border: int) -> float:
    """The step in `tone` (length, 3) at `border`, less the usual one within a band to both sides; 0 where there is no room to measure."""
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(tone, axis=0)])

    def at(place: int) -> float:
        far_out, out, inside, far_in = ((sums[place + (i + 1) * _HALF] - sums[place + i * _HALF]) / _HALF for i in (-2, -1, 0, 1))
        return float(np.abs(1.5 * inside - 0.5 * far_in - 1.5 * out + 0.5 * far_out).mean())

    places = range(max(2 * _HALF, border - _BAND), min(len(tone) - 2 * _HALF, border + _BAND) + 1)
    usual = [at(place) for place in places if abs(place - border) >= 2 * _HALF]
    return max(0.0, at(border) - (float(np.median(usual)) if usual else 0.0)) if border in places else 0.0

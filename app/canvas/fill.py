"""What an unknown part starts from, made of what is known around it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.canvas.fit import Pixels
from app.request import OutpaintFill

Plane = NDArray[np.floating[Any]]
Known = NDArray[np.bool_]
_GRAY = 128


def filled(pixels: Pixels, known: Known, kind: OutpaintFill) -> Pixels:
    """`pixels` with everything outside `known` filled: "pyramid", "edge" or "mirror"; "latent noise" is laid over a pyramid.

    Known pixels stay bit for bit. Nothing known: middle gray.
    """
    if not known.any():
        return np.full_like(pixels, _GRAY)
    if kind in ("edge", "mirror"):
        return _from_lines(pixels, known, mirror=kind == "mirror")
    smooth = pull_push(pixels.astype(np.float32), known.astype(np.float32))
    return np.where(known[..., None], pixels, np.clip(np.rint(smooth), 0, 255).astype(np.uint8))


def pull_push(values: Plane, weights: Plane) -> Plane:
    """Smooth extension of `values` (H, W, C) from where `weights` (H, W; 0..1) is above 0 to everywhere.

    Halving averages ("pull") until one cell is left, then each level fills what the finer one does not know ("push"):
    Gortler et al., The Lumigraph, 1996. Values with weight 1 are returned unchanged.
    """
    levels: list[tuple[Plane, Plane]] = [(values * weights[..., None], weights)]
    while max(levels[-1][1].shape) > 1:
        levels.append(_halved(*levels[-1]))
    total, weight = levels.pop()
    smooth = total / np.maximum(weight, 1e-6)[..., None]
    for total, weight in reversed(levels):
        smooth = total + enlarged(smooth, weight.shape[1], weight.shape[0], 2) * (1 - weight[..., None])
    return smooth


def _halved(total: Plane, weight: Plane) -> tuple[Plane, Plane]:
    """Sums over 2 x 2 cells; the weight saturates at 1, and the total with it."""
    sums, weights = pooled(total, 2), pooled(weight[..., None], 2)[..., 0]
    capped = np.minimum(weights, 1)
    return sums * (capped / np.maximum(weights, 1e-6))[..., None], capped


def pooled(values: Plane, factor: int) -> Plane:
    """Sums over factor x factor cells of (H, W, C), the last cells padded with 0."""
    down, right = -values.shape[0] % factor, -values.shape[1] % factor
    values = np.pad(values, ((0, down), (0, right), (0, 0)))
    height, width, channels = values.shape
    return values.reshape(height // factor, factor, width // factor, factor, channels).sum(axis=(1, 3))


def enlarged(values: Plane, width: int, height: int, factor: int) -> Plane:
    """(h, w, C) enlarged `factor` times, bilinear, and cut to width x height."""
    size = (values.shape[1] * factor, values.shape[0] * factor)
    planes = [np.asarray(Image.fromarray(np.ascontiguousarray(values[..., c])).resize(size, Image.Resampling.BILINEAR)) for c in range(values.shape[2])]
    return np.stack(planes, axis=-1)[:height, :width]


def _from_lines(pixels: Pixels, known: Known, *, mirror: bool) -> Pixels:
    """Continues each row from its known span, then each column from the rows that have one."""
    rows = known.any(axis=1)
    across = _continued(pixels, known, mirror=mirror)
    whole = np.broadcast_to(rows[:, None], known.shape)
    down = _continued(across.swapaxes(0, 1), whole.T, mirror=mirror).swapaxes(0, 1)
    return np.where(known[..., None], pixels, down)


def _continued(pixels: Pixels, known: Known, *, mirror: bool) -> Pixels:
    """Each row continued from its known span (first to last known pixel); rows without one stay as they are."""
    width = known.shape[1]
    has = known.any(axis=1)
    first = np.where(has, np.argmax(known, axis=1), 0).reshape(-1, 1)
    last = np.where(has, width - 1 - np.argmax(known[:, ::-1], axis=1), width - 1).reshape(-1, 1)
    place = np.arange(width)[None, :]
    if mirror:
        length = last - first + 1
        phase = (place - first) % (2 * length)
        place = first + np.where(phase < length, phase, 2 * length - 1 - phase)
    else:
        place = np.clip(place, first, last)
    return np.take_along_axis(pixels, np.broadcast_to(place, known.shape)[..., None], axis=1)

"""A canvas that becomes known window by window: what outpaint and zoom do to pixels."""

import numpy as np
from numpy.typing import NDArray

from app.canvas.blend import depth, feather, mixed, tone_matched
from app.canvas.fill import Known, Plane, filled
from app.canvas.fit import Pixels
from app.canvas.mask import Box, cells, crop
from app.request import OutpaintFill

_BAND = 12
"""How far beyond the overlap the tone of the kept part is read, in pixels."""


class Growing:
    """A canvas of which a part is known.

    Args:
        pixels: (H, W, 3) uint8, sides multiples of 8; what is outside `known` does not matter.
        known: (H, W).
        overlap: how far a window may reach into what was known, in pixels.

    Attributes:
        pixels: the canvas with every window put in: known pixels deeper than the overlap are as they were.
        raw: the same with the generated layer uncovered over the whole overlap.
    """

    def __init__(self, pixels: Pixels, known: Known, overlap: int) -> None:
        self.pixels, self.known, self.overlap = pixels.copy(), known.copy(), overlap
        self.raw = pixels.copy()

    def before(self, box: Box, fill: OutpaintFill) -> Pixels:
        """The window with its unknown part filled: what the model starts from."""
        return filled(crop(self.pixels, box), crop(self.known, box), fill)

    def mask(self, box: Box) -> Plane:
        """(h/8, w/8) float32, 1 = paint: the unknown part and the overlap, snapped outward to latent cells."""
        return cells(self.painted(box))

    def painted(self, box: Box) -> NDArray[np.bool_]:
        """(h, w), True where the window is painted: the unknown part and the overlap."""
        return depth(crop(self.known, box)) <= self.overlap

    def put(self, box: Box, made: Pixels) -> None:
        """Put the model's window in: tone matched, feathered over the overlap. All of it is known from then on."""
        kept, known = crop(self.pixels, box), crop(self.known, box)
        distance = depth(known)
        matched = tone_matched(made, kept, known, self.overlap + _BAND)
        new = mixed(kept, matched, feather(distance, self.overlap))
        uncovered = np.where((distance <= self.overlap)[..., None], np.clip(np.rint(matched), 0, 255).astype(np.uint8), crop(self.raw, box))
        crop(self.raw, box)[:] = uncovered
        kept[:] = new
        known[:] = True

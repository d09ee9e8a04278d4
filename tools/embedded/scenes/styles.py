"""The styles in which a scene is shown."""

from collections.abc import Callable

import numpy as np

from tools.embedded.scenes.ink import ink
from tools.embedded.scenes.neon import neon
from tools.embedded.scenes.pixels import pixel
from tools.embedded.scenes.sheets import Sheets, shrink
from tools.embedded.scenes.wash import watercolour

STYLES = ("flat", "watercolour", "pixel", "ink", "neon")


def flat(sheets: Sheets) -> np.ndarray:
    """The painting as it is: uint8 (height, width, 3)."""
    return shrink(sheets.picture).round().astype(np.uint8)


STYLISTS: dict[str, Callable[[Sheets], np.ndarray]] = {
    "flat": flat,
    "watercolour": watercolour,
    "pixel": pixel,
    "ink": ink,
    "neon": neon,
}

"""Watercolour: wet washes on paper, pigment gathered at the edges, an uneven margin of bare paper."""

import numpy as np

from tools.embedded.scenes.filters import blur, luminance, noise, ramp, saturate, slope
from tools.embedded.scenes.sheets import Sheets, finish

PAPER = np.array([0.985, 0.965, 0.92], np.float32)
STRENGTH = 0.76
"""Share of the pigment: watercolour is transparent, and the paper shines through at night, too."""


def _wobbled(colours: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    """Outlines drawn with a brush: every pixel moved a little, neighbours together."""
    height, width = colours.shape[:2]
    moves = [noise(colours.shape, 22 * unit, rng) * 7 * unit + noise(colours.shape, 7 * unit, rng) * 3 * unit for _ in range(2)]
    rows = np.clip(np.arange(height)[:, None] + moves[0], 0, height - 1).astype(np.intp)
    columns = np.clip(np.arange(width)[None, :] + moves[1], 0, width - 1).astype(np.intp)
    return colours[rows, columns]


def _margin(shape: tuple[int, ...], unit: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels to the next border, uneven as a brush leaves it."""
    height, width = shape[:2]
    down, across = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    near = np.minimum(np.minimum(down, height - 1 - down)[:, None], np.minimum(across, width - 1 - across)[None, :])
    return near / unit + noise(shape, 30 * unit, rng) * 9 + noise(shape, 9 * unit, rng) * 4


def watercolour(sheets: Sheets) -> np.ndarray:
    """The scene in watercolour: uint8 (height, width, 3)."""
    unit, rng = sheets.unit, sheets.random()
    painted = _wobbled(sheets.colours(), unit, rng)
    shape = painted.shape
    sharp, soft = blur(painted, 1.3 * unit), blur(painted, 8 * unit)
    still = 1 - blur(sheets.hero().astype(np.float32), 4 * unit) * np.float32(0.7)
    wet = (ramp(noise(shape, 60 * unit, rng), -0.05, 0.45) * still)[..., None] * np.float32(0.65)
    colours = np.clip(saturate(sharp + (soft - sharp) * wet, 1.3), 0, 1)
    colours = 1 - (1 - colours) * np.float32(STRENGTH)
    margin = _margin(shape, unit, rng)
    light = luminance(sharp)
    rims = np.clip(slope(blur(light, 2.5 * unit)) * 14 * unit, 0, 1) + ramp(margin, 20, 14) * ramp(margin, 8, 12) * 0.8
    pools = noise(shape, 44 * unit, rng) * 0.9 + noise(shape, 20 * unit, rng) * 0.5
    # pigment density (Bousseau et al. 2006, "Interactive watercolor rendering"): c - (c - c * c) * (d - 1)
    density = (pools + rims * 1.1)[..., None]
    colours = colours - (colours - colours * colours) * density
    dry = ramp((light - 0.85) * 0.6 - pools, 0.35, 0.6) * 0.5
    bare = np.maximum(dry, ramp(margin, 11, 8))[..., None]
    return finish(PAPER * (colours * (1 - bare) + bare))

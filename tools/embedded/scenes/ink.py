"""Ink: brush outlines and three washes of one indigo ink on warm paper, and one wash in the hero's colour.

The autoencoder decides what a drawing may be made of: fine hatching comes out of it at 13 dB, broad washes at 24 dB.
"""

import numpy as np

from tools.embedded.scenes.filters import blur, highest, luminance, noise, ramp, slope
from tools.embedded.scenes.grammar import COLOURS
from tools.embedded.scenes.sheets import Sheets, finish

PAPER = np.array([0.97, 0.945, 0.885], np.float32)
INK = np.array([0.09, 0.13, 0.31], np.float32)
WASHES = (0.3, 0.52, 0.74)
"""The darkness at which each wash of ink starts; where several lie over each other it is darker."""
WASH, LINE, TINT = 0.75, 0.75, 0.9
"""How much of the paper all washes, a line, and the hero's colour cover."""
PEN = 2.0
"""Breadth of the brush, in pixels of 256 along the short side."""


def _outlines(sheets: Sheets, colours: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Strokes 0..1 around things, broader and thinner as the brush was pressed."""
    unit = sheets.unit
    fine = np.maximum(slope(blur(luminance(colours), PEN * unit)), 0.6 * slope(blur(highest(colours), PEN * unit)))
    hero = slope(blur(sheets.hero().astype(np.float32), 1.6 * unit)) * 0.45
    return ramp(np.maximum(fine, hero) * unit + pressure * 0.012, 0.012, 0.04)


def _washes(sheets: Sheets, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tones 0, 1/3, 2/3 or 1 with soft edges, the darker the more; the ink pools a little."""
    unit = sheets.unit
    dark = 1 - np.maximum(blur(light, 2.5 * unit), light - 0.1) + noise(light.shape, 40 * unit, rng) * 0.06
    smooth = blur(dark, 1.5 * unit)
    return sum((ramp(smooth, start - 0.05, start + 0.05) for start in WASHES), np.zeros_like(dark)) / len(WASHES)


def ink(sheets: Sheets) -> np.ndarray:
    """The scene in ink: uint8 (height, width, 3)."""
    unit, rng = sheets.unit, sheets.random()
    colours = sheets.colours()
    light, hero = luminance(colours), sheets.hero()
    pressure = noise(light.shape, 26 * unit, rng)
    marks = 1 - (1 - _washes(sheets, light, rng) * WASH) * (1 - _outlines(sheets, colours, pressure) * LINE)
    marks = marks * (1 - ramp(light - blur(light, 4 * unit), 0.06, 0.16) * sheets.bare_sky()) * np.where(hero, 0.8, 1)
    tinted = blur(hero.astype(np.float32), 1.6 * unit) * (0.85 + noise(light.shape, 18 * unit, rng) * 0.3)
    tint = np.array(COLOURS[sheets.scene.colour], np.float32) / 255
    grain = noise(light.shape, 3 * unit, rng)[..., None] * np.float32(0.02)
    paper = PAPER * (1 + grain) * (1 - tinted[..., None] * (1 - tint) * np.float32(TINT))
    return finish(paper + (INK * np.sqrt(paper / PAPER) - paper) * marks[..., None])

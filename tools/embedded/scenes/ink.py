"""Ink: outlines and hatching with a pen on warm paper, and one wash in the hero's colour."""

import numpy as np

from tools.embedded.scenes.filters import blur, luminance, noise, ramp, slope
from tools.embedded.scenes.grammar import COLOURS
from tools.embedded.scenes.sheets import Sheets, finish

PAPER = np.array([0.97, 0.945, 0.885], np.float32)
INK = np.array([0.11, 0.1, 0.13], np.float32)
SPACING = 8.0
"""Pixels between two hatching lines, of 256 along the short side."""
HATCHES = ((0.34, 1.0, 1.0), (0.58, 1.0, -1.0), (0.78, 0.25, 1.0))
"""Layers of hatching: the darkness at which each starts, and the direction across its lines (x, y)."""


def _hatched(dark: np.ndarray, bend: np.ndarray, spacing: float, start: float, across: tuple[float, float]) -> np.ndarray:
    """Lines 0..1 where it is darker than `start`, the darker the broader."""
    height, width = dark.shape
    length = float(np.hypot(*across))
    place = (np.arange(width, dtype=np.float32)[None, :] * across[0] + np.arange(height, dtype=np.float32)[:, None] * across[1]) / length
    distance = np.abs(((place + bend) / spacing) % 1 - 0.5) * 2
    breadth = np.clip((dark - start) / 0.5, 0, 1) * 0.42 + 0.2
    return ramp(breadth - distance, -0.14, 0.14) * ramp(dark, start - 0.02, start + 0.03)


def ink(sheets: Sheets) -> np.ndarray:
    """The scene in ink: uint8 (height, width, 3)."""
    unit, rng = sheets.unit, sheets.random()
    colours = sheets.colours()
    light = luminance(colours)
    pressure = noise(light.shape, 26 * unit, rng)
    fine = np.maximum(slope(blur(light, 1.1 * unit)), 0.5 * slope(blur(colours.max(2), 1.1 * unit))) * unit
    lines = ramp(fine + pressure * 0.018, 0.022, 0.055)
    tone = blur(light, 2.2 * unit)
    dark = 1 - tone + pressure * 0.08
    bend = noise(light.shape, 40 * unit, rng) * 7 * unit
    marks = lines
    for start, *across in HATCHES:
        marks = np.maximum(marks, _hatched(dark, bend, SPACING * unit, start, (across[0], across[1])) * 0.92)
    wash = blur(sheets.hero().astype(np.float32), 1.6 * unit) * (0.8 + noise(light.shape, 18 * unit, rng) * 0.3)
    tint = np.array(COLOURS[sheets.scene.colour], np.float32) / 255
    grain = noise(light.shape, 3 * unit, rng)[..., None] * np.float32(0.025)
    paper = PAPER * (1 + grain) * (1 - wash[..., None] * (1 - tint) * np.float32(0.85))
    return finish(paper + (INK - paper) * marks[..., None])

"""Ink: outlines and hatching with a pen on warm paper, and one wash in the hero's colour."""

import numpy as np

from tools.embedded.scenes.filters import blur, highest, luminance, noise, ramp, slope
from tools.embedded.scenes.grammar import COLOURS
from tools.embedded.scenes.sheets import Sheets, finish

PAPER = np.array([0.97, 0.945, 0.885], np.float32)
INK = np.array([0.11, 0.1, 0.13], np.float32)
SPACING = 9.0
"""Pixels between two hatching lines, of 256 along the short side."""
SLANTED, STEEP, LEVEL, FALLING = (0.72, 0.7), (0.8, -0.6), (0.06, 1.0), (-0.45, 0.9)
"""Directions across the lines of a layer of hatching."""
LAND_LAYERS = ((0.47, SLANTED), (0.74, STEEP))
SKY_LAYERS = {"day": ((0.5, SLANTED),), "sunset": ((0.36, LEVEL),), "night": ((0.3, LEVEL), (0.74, FALLING))}
"""The darkness at which each layer of hatching starts, and its direction; the sky's by time of day."""


def _hatched(dark: np.ndarray, bend: np.ndarray, spacing: float, start: float, across: tuple[float, float]) -> np.ndarray:
    """Lines 0..1 where it is darker than `start`, the darker the broader."""
    height, width = dark.shape
    place = np.arange(width, dtype=np.float32)[None, :] * across[0] + np.arange(height, dtype=np.float32)[:, None] * across[1]
    distance = np.abs(((place + bend) / spacing) % 1 - 0.5) * 2
    breadth = np.clip((dark - start) / 0.5, 0, 1) * 0.5 + 0.16
    return ramp(breadth - distance, -0.13, 0.13) * ramp(dark, start - 0.02, start + 0.03)


def _outlines(sheets: Sheets, colours: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Pen strokes 0..1 around things, broader and thinner as the pen was pressed."""
    unit = sheets.unit
    fine = np.maximum(slope(blur(luminance(colours), 1.1 * unit)), 0.6 * slope(blur(highest(colours), 1.1 * unit)))
    hero = slope(blur(sheets.hero().astype(np.float32), unit)) * 0.3
    return ramp(np.maximum(fine, hero) * unit + pressure * 0.014, 0.018, 0.045)


def _shading(sheets: Sheets, dark: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hatching 0..1: one set of lines for the sky, another for everything else."""
    unit = sheets.unit
    bend = noise(dark.shape, 46 * unit, rng) * 7 * unit
    sky = sheets.bare_sky()
    marks = np.zeros_like(dark)
    for layers, area in ((LAND_LAYERS, ~sky), (SKY_LAYERS[sheets.scene.time], sky)):
        for start, across in layers:
            marks = np.maximum(marks, _hatched(dark, bend, SPACING * unit, start, across) * area)
    return marks * 0.93


def ink(sheets: Sheets) -> np.ndarray:
    """The scene in ink: uint8 (height, width, 3)."""
    unit, rng = sheets.unit, sheets.random()
    colours = sheets.colours()
    light = luminance(colours)
    pressure = noise(light.shape, 26 * unit, rng)
    dark = 1 - np.maximum(blur(light, 2.5 * unit), light - 0.1) + pressure * 0.06
    marks = np.maximum(_outlines(sheets, colours, pressure), _shading(sheets, dark, rng))
    marks = marks * (1 - ramp(light - blur(light, 4 * unit), 0.06, 0.16) * sheets.bare_sky())
    wash = blur(sheets.hero().astype(np.float32), 1.6 * unit) * (0.85 + noise(light.shape, 18 * unit, rng) * 0.3)
    tint = np.array(COLOURS[sheets.scene.colour], np.float32) / 255
    grain = noise(light.shape, 3 * unit, rng)[..., None] * np.float32(0.025)
    paper = PAPER * (1 + grain) * (1 - wash[..., None] * (1 - tint) * np.float32(0.85))
    return finish(paper + (INK - paper) * marks[..., None])

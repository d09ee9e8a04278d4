"""Neon: glowing tubes along the outlines, a dark room behind them, the faint lines of a screen."""

import numpy as np

from tools.embedded.scenes.filters import blur, highest, lowest, luminance, ramp, slope
from tools.embedded.scenes.grammar import COLOURS
from tools.embedded.scenes.sheets import OVERSAMPLING, Sheets, finish

ROOMS = {
    "day": ((0.02, 0.10, 0.20), (0.01, 0.04, 0.10)),
    "sunset": ((0.13, 0.02, 0.16), (0.22, 0.05, 0.08)),
    "night": ((0.015, 0.01, 0.06), (0.05, 0.015, 0.10)),
}
"""What is behind the tubes by time of day, at the top and at the bottom."""
TUBES = {
    "day": ((0.1, 0.8, 1.0), (0.2, 1.0, 0.6)),
    "sunset": ((1.0, 0.2, 0.7), (1.0, 0.5, 0.1)),
    "night": ((0.5, 0.3, 1.0), (0.1, 0.7, 1.0)),
}
"""The colours of tubes around grey things, at the top and at the bottom."""
PURITY = np.float32(0.65)
"""How much of its white a tube's colour loses; with none left, pink would be red."""
LINE_PERIOD = 4
"""Rows of the finished picture from one screen line to the next."""


def _between(ends: tuple[tuple[float, ...], tuple[float, ...]], height: int) -> np.ndarray:
    """(height, 1, 3) from the first colour to the second."""
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.array(ends[0], np.float32) * (1 - share) + np.array(ends[1], np.float32) * share


def _pure(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3) at full brightness and with less white."""
    low, high = lowest(colours)[..., None], highest(colours)[..., None]
    return (colours - PURITY * low) / (high - PURITY * low + np.float32(1e-3))


def _hues(colours: np.ndarray, grey: np.ndarray, unit: float) -> np.ndarray:
    """The purest colour near every pixel; `grey` where there is none."""
    chroma = (highest(colours) - lowest(colours))[..., None]
    weight = chroma * chroma + np.float32(1e-4)
    gathered = blur(np.dstack([_pure(colours) * weight, weight]), 2.2 * unit)
    share = ramp(gathered[..., 3:], 0.004, 0.05)
    return gathered[..., :3] / gathered[..., 3:] * share + grey * (1 - share)


def neon(sheets: Sheets) -> np.ndarray:
    """The scene in neon: uint8 (height, width, 3)."""
    unit, scene = sheets.unit, sheets.scene
    colours = sheets.colours()
    height = colours.shape[0]
    hues = _hues(colours, _between(TUBES[scene.time], height), unit)
    steep = np.maximum(slope(blur(highest(colours), 0.9 * unit)), slope(blur(luminance(colours), 0.9 * unit))) * unit
    hero = blur(sheets.hero().astype(np.float32), unit)
    tubes = np.maximum(ramp(steep, 0.010, 0.06), ramp(slope(hero) * unit, 0.1, 0.25) * 0.8)
    hero = hero[..., None]
    hues = hues + (_pure(np.array(COLOURS[scene.colour], np.float32) / 255) - hues) * hero * np.float32(0.45)
    light = hues * tubes[..., None] * (np.float32(0.85) + hero * np.float32(0.35))
    bloom = blur(light, 2.5 * unit) * 0.8 + blur(light, 8 * unit) * 0.7 + blur(light, 24 * unit) * 0.5
    fill = colours * (np.float32(0.10) + hero * np.float32(0.32))
    core = ramp(tubes, 0.6, 1.0)[..., None] * np.float32(0.3)
    room = _between(ROOMS[scene.time], height)
    glow = room + fill + bloom + light * np.float32(1.3) + core
    peak = highest(glow)[..., None]
    shown = glow / peak * (1 - 1 / (1 + peak * (1 + peak)))
    rows = np.arange(height) // OVERSAMPLING % LINE_PERIOD == 0
    shown[rows] *= np.float32(0.9)
    return finish(shown)

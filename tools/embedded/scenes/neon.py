"""Neon: glowing tubes along the outlines, a dark room behind them, the faint lines of a screen."""

import numpy as np

from tools.embedded.scenes.filters import blur, luminance, ramp, slope
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
LINE_PERIOD = 4
"""Rows of the finished picture from one screen line to the next."""


def _between(ends: tuple[tuple[float, ...], tuple[float, ...]], height: int) -> np.ndarray:
    """(height, 1, 3) from the first colour to the second."""
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.array(ends[0], np.float32) * (1 - share) + np.array(ends[1], np.float32) * share


def _hues(colours: np.ndarray, grey: np.ndarray, unit: float) -> np.ndarray:
    """The purest colour near every pixel; `grey` where there is none."""
    low, high = colours.min(2, keepdims=True), colours.max(2, keepdims=True)
    chroma = high - low
    weight = chroma * chroma + np.float32(1e-4)
    pure = (colours - low) / (chroma + np.float32(1e-3))
    gathered = blur(np.dstack([pure * weight, weight]), 2.2 * unit)
    share = ramp(gathered[..., 3:], 0.004, 0.05)
    return gathered[..., :3] / gathered[..., 3:] * share + grey * (1 - share)


def neon(sheets: Sheets) -> np.ndarray:
    """The scene in neon: uint8 (height, width, 3)."""
    unit, scene = sheets.unit, sheets.scene
    colours = sheets.colours()
    height = colours.shape[0]
    hues = _hues(colours, _between(TUBES[scene.time], height), unit)
    steep = np.maximum(slope(blur(colours.max(2), 0.9 * unit)), slope(blur(luminance(colours), 0.9 * unit))) * unit
    tubes = ramp(steep, 0.018, 0.075)
    hero = blur(sheets.hero().astype(np.float32), unit)[..., None]
    light = hues * tubes[..., None] * (np.float32(0.85) + hero * np.float32(0.35))
    bloom = blur(light, 2.5 * unit) * 0.8 + blur(light, 8 * unit) * 0.7 + blur(light, 24 * unit) * 0.5
    fill = colours * (np.float32(0.10) + hero * np.float32(0.32))
    core = ramp(tubes, 0.6, 1.0)[..., None] * np.float32(0.25)
    room = _between(ROOMS[scene.time], height)
    glow = room + fill + bloom + light * np.float32(0.8) + core
    shown = 1 - 1 / (1 + glow * (1 + glow))
    rows = np.arange(height) // OVERSAMPLING % LINE_PERIOD == 0
    shown[rows] *= np.float32(0.9)
    return finish(shown)

"""Pixel art: a coarse grid and a small palette for each time of day.

The autoencoder decides how coarse: cells of its own 8x8 pixels come out of it as squares, smaller ones and dithers as a blur.
"""

import numpy as np

from tools.embedded.scenes.canvas import AMBIENT, mix, shade
from tools.embedded.scenes.filters import saturate
from tools.embedded.scenes.grammar import COLOURS, RGB
from tools.embedded.scenes.sheets import OVERSAMPLING, Sheets

GRID = 16
"""Cells along the short side, or a few more: cells are whole pixels."""
SAMPLES = 4
PALETTES = {
    "day": "4690e4 6cb0f0 8cc6f5 b4dcf8 def0fa ffffff f0eee8 2c5c3c 3a7a44 4f9a4c 76ba4a a0d070 5a3a2e 8a5c3e b08050 "
    "d8944e eac078 f4dca0 3c3e4c 5c6a84 7c7488 8a98b4 a8a8b8 c4ccd8 1a5c9e 3c8cc4 60b4d8 fff0a0",
    "sunset": "42306e 7a4078 b05068 de605c f09060 ffce76 ffe8a0 fff4d8 ffb096 d88a80 243c34 3e5c3c 5c7c40 8a9a5c 4a2c2c "
    "7a4838 a06848 b86a40 d8905c f0b47c 3a3448 5c4c62 8a6c7c b898a0 5a3c70 8a5078 c87870",
    "night": "080b28 0e1438 161e50 20306e 3a4682 5a68a0 8c9cc8 c8d4f0 faf6de 0c2424 143830 1e5040 2c6c50 2a1e2c 4a3038 "
    "5c4c60 7c688a 6878b0 a89a7a ffde78 ffb84c 3cf0dc 5aff96 6ebeff e678ff ffffff a06048",
}
OUTLINE = np.float32(0.6)
"""How dark the cells around a hero become."""
OPPONENT = np.array([[0.5, 0.5, 0.7], [0.7, -0.9, 0.1], [0.2, 0.2, -0.8]], np.float32).T
"""From red, green and blue to brightness, red against green and blue against yellow, in which distances are near to what is seen."""


def _hero_shades(time: str) -> list[RGB]:
    """Every hero colour under the light of `time`, and its dark side."""
    lit = [mix(shade(colour, AMBIENT[time]), colour, 0.33) for colour in COLOURS.values()]
    return [*lit, *(shade(colour, 0.74) for colour in lit)]


def palette(time: str) -> np.ndarray:
    """The colours of `time`: float32 (n, 3) in whole numbers of 0..255."""
    fixed = [tuple(bytes.fromhex(word)) for word in PALETTES[time].split()]
    return np.array([*fixed, *_hero_shades(time)], np.float32).round()


def _cells(picture: np.ndarray, size: int, rows: int, columns: int) -> np.ndarray:
    """(rows, columns, samples, c): a few evenly placed pixels of every cell; cells reach over the right and lower border."""
    places = ((np.arange(SAMPLES) + 0.5) * size / SAMPLES).astype(int)
    down = np.minimum((np.arange(rows)[:, None] * size + places).ravel(), picture.shape[0] - 1)
    across = np.minimum((np.arange(columns)[:, None] * size + places).ravel(), picture.shape[1] - 1)
    grid = picture[np.ix_(down, across)].reshape(rows, SAMPLES, columns, SAMPLES, -1)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows, columns, SAMPLES * SAMPLES, -1)


def _outline(mask: np.ndarray) -> np.ndarray:
    """The cells just outside of `mask`, above, below and beside it."""
    around = np.pad(mask, 1)
    return (around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]) & ~mask


def pixel(sheets: Sheets) -> np.ndarray:
    """The scene in pixel art: uint8 (height, width, 3); each cell is one colour of the palette."""
    height, width = (side // OVERSAMPLING for side in sheets.picture.shape[:2])
    cell = max(1, min(height, width) // GRID)
    rows, columns = -(-height // cell), -(-width // cell)
    samples = _cells(sheets.picture, cell * OVERSAMPLING, rows, columns)
    masks = np.dstack([sheets.bare_sky(), sheets.hero()])
    sky, hero = (_cells(masks, cell * OVERSAMPLING, rows, columns).mean(2) > 0.5).transpose(2, 0, 1)
    colours = np.where(sky[..., None], samples.mean(2), np.median(samples, axis=2)).astype(np.float32)
    colours = np.where(hero[..., None], saturate(colours, 1.6), saturate(colours, 1.15))
    colours[_outline(hero)] *= OUTLINE
    table = palette(sheets.scene.time)
    distances = ((colours @ OPPONENT)[:, :, None] - table @ OPPONENT) ** 2
    grid = table[distances.sum(3).argmin(2)].astype(np.uint8)
    return grid.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]

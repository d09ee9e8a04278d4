"""From a scene to its picture, at any size and in any style. Equal arguments give equal pictures."""

import numpy as np

from tools.embedded.scenes.canvas import Painter
from tools.embedded.scenes.extras import paint_extras, paint_frame
from tools.embedded.scenes.grammar import Scene
from tools.embedded.scenes.heroes import paint_hero
from tools.embedded.scenes.land import paint_land
from tools.embedded.scenes.sky import paint_sky
from tools.embedded.scenes.sheets import OVERSAMPLING, Sheets
from tools.embedded.scenes.styles import STYLES, STYLISTS

HERO_PLACES = {"left": 0.26, "center": 0.5, "right": 0.74}
DAYLIGHT = {"neon": (1.0, 1.0, 1.0)}
"""Styles whose things are painted in their full colours at any time of day."""


def paint(scene: Scene, width: int, height: int, style: str = "flat") -> Sheets:
    """The scene at `width` x `height` in flat colours, and which pixels show the bare sky and which the hero."""
    painter = Painter(scene, width, height)
    painter.ambient = DAYLIGHT.get(style, painter.ambient)
    painter.hero_scale = painter.uniform(0.9, 1.25) if scene.hero == "balloon" else painter.uniform(0.86, 1.2)
    painter.hero_x = painter.left + HERO_PLACES[scene.position] * painter.wide + painter.uniform(-0.05, 0.05)
    paint_sky(painter)
    sky = painter.picture()
    paint_land(painter)
    empty = painter.picture()
    paint_hero(painter)
    whole = painter.picture()
    paint_extras(painter)
    paint_frame(painter)
    return Sheets(scene, painter.picture(), sky, empty, whole)


def render(scene: Scene, width: int = 128, height: int | None = None, style: str = "flat") -> np.ndarray:
    """The scene in one of `STYLES`, painted larger and averaged down: uint8 (height, width, 3); square without a `height`."""
    height = width if height is None else height
    if style not in STYLES:
        raise ValueError(f"style is {style!r}, it must be one of {', '.join(STYLES)}")
    return STYLISTS[style](paint(scene, width * OVERSAMPLING, height * OVERSAMPLING, style))

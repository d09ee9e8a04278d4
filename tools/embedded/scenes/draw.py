"""From a scene to its picture, at any size and in any style. Equal arguments give equal pictures."""

import numpy as np

from tools.embedded.scenes.canvas import Painter, mix
from tools.embedded.scenes.extras import paint_extras, paint_vignette
from tools.embedded.scenes.foreground import paint_foreground
from tools.embedded.scenes.frames import hang, paint_frame
from tools.embedded.scenes.grammar import Scene
from tools.embedded.scenes.heroes import paint_hero, paint_surroundings, spacing
from tools.embedded.scenes.land import paint_land
from tools.embedded.scenes.sheets import OVERSAMPLING, Sheets
from tools.embedded.scenes.sky import paint_sky
from tools.embedded.scenes.styles import STYLES, STYLISTS

HERO_PLACES = {"left": 0.26, "center": 0.5, "right": 0.74}
OUTLINED = ("ink", "neon")
"""Styles that follow the outlines of things: these stand in full light, and show against the sky, at any time of day."""
ZOOMS = {"near": 1.35, "middle": 1.0, "far": 0.5}
CROWDS = {1: 1.0, 2: 0.7, 3: 0.5}
"""How large heroes are by their depth, and by their number."""
SMALLEST = {"pixel": 0.7}
"""The smallest zoom, so that heroes are still told apart; elsewhere 0.34."""
HIGHEST = 1.45
"""Zoom times scale at most: heroes stay in the picture."""
HERO_GLOW = {"flat": 1.0, "watercolour": 1.0}
EXTRAS_GLOW = {"pixel": 0.3, "ink": 0.0, "neon": 0.3}
"""Strength of the soft lights at the hero (elsewhere none: they would blur its outline) and at mushrooms and fireflies (elsewhere full)."""


def _set_light(painter: Painter, style: str) -> None:
    if style in OUTLINED:
        painter.ambient, painter.haze = (1.0, 1.0, 1.0), mix(painter.haze, (200, 190, 255), 0.3)
    if style == "watercolour":
        painter.ambient = mix(painter.ambient, (1.0, 1.0, 1.0), 0.25)


def _set_distance(painter: Painter, style: str) -> None:
    """How large the heroes are and how much room they need; several stand where all are seen."""
    scene = painter.scene
    painter.hero_zoom = max(ZOOMS[scene.depth] * CROWDS[scene.count], SMALLEST.get(style, 0.34))
    painter.hero_scale = min(painter.hero_scale, HIGHEST / painter.hero_zoom)
    half = (0.2 + spacing(scene) * (scene.count - 1) / 2) * painter.hero_zoom
    painter.hero_room = 1.0 if scene.count == 1 and scene.depth == "middle" else half / 0.2
    if scene.count > 1 or scene.depth == "near":
        painter.hero_x = min(max(painter.hero_x, painter.left + half), painter.right - half)


def paint(scene: Scene, width: int, height: int, style: str = "flat") -> Sheets:
    """The scene at `width` x `height` in flat colours, and which pixels show the bare sky and which the hero."""
    painter = Painter(scene, width, height)
    _set_light(painter, style)
    painter.hero_scale = painter.uniform(0.9, 1.25) if scene.hero == "balloon" else painter.uniform(0.86, 1.2)
    painter.hero_x = painter.left + HERO_PLACES[scene.position] * painter.wide + painter.uniform(-0.05, 0.05)
    _set_distance(painter, style)
    hang(painter)
    paint_sky(painter)
    sky = painter.picture()
    painter.glow_strength = HERO_GLOW.get(style, 0.0)
    paint_land(painter)
    paint_surroundings(painter)
    empty = painter.picture()
    paint_hero(painter)
    whole = painter.picture()
    painter.glow_strength = EXTRAS_GLOW.get(style, 1.0)
    paint_foreground(painter)
    paint_extras(painter)
    if style == "flat":
        paint_vignette(painter)
    painter.canvas.restore()
    paint_frame(painter)
    return Sheets(scene, painter.picture(), sky, empty, whole)


def render(scene: Scene, width: int = 128, height: int | None = None, style: str = "flat") -> np.ndarray:
    """The scene in one of `STYLES`, painted larger and averaged down: uint8 (height, width, 3); square without a `height`."""
    height = width if height is None else height
    if style not in STYLES:
        raise ValueError(f"style is {style!r}, it must be one of {', '.join(STYLES)}")
    return STYLISTS[style](paint(scene, width * OVERSAMPLING, height * OVERSAMPLING, style))

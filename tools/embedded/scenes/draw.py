"""From a scene to its picture. Equal scenes give equal pictures."""

import numpy as np

from tools.embedded.scenes.canvas import Painter
from tools.embedded.scenes.extras import paint_extras, paint_frame
from tools.embedded.scenes.grammar import Scene
from tools.embedded.scenes.heroes import paint_hero
from tools.embedded.scenes.land import paint_land
from tools.embedded.scenes.sky import paint_sky

OVERSAMPLING = 2
HERO_PLACES = {"left": 0.26, "center": 0.5, "right": 0.74}


def paint(scene: Scene, pixels: int) -> np.ndarray:
    """The scene at `pixels` x `pixels`: uint8 (pixels, pixels, 3)."""
    painter = Painter(scene, pixels)
    painter.hero_scale = painter.uniform(0.9, 1.25) if scene.hero == "balloon" else painter.uniform(0.86, 1.2)
    painter.hero_x = HERO_PLACES[scene.position] + painter.uniform(-0.05, 0.05)
    paint_sky(painter)
    paint_land(painter)
    paint_hero(painter)
    paint_extras(painter)
    paint_frame(painter)
    return painter.picture()


def render(scene: Scene, size: int) -> np.ndarray:
    """The scene painted larger and averaged down to `size` x `size`: uint8 (size, size, 3)."""
    large = paint(scene, size * OVERSAMPLING).reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3)
    return large.mean(axis=(1, 3), dtype=np.float64).round().astype(np.uint8)

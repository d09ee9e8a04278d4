"""What lies over land and hero: flowers, mushrooms, fireflies, weather, leaves."""

from math import cos, sin

import skia

from tools.embedded.scenes.canvas import Painter, fill, leaf_path, mix, radial, stroke, vertical
from tools.embedded.scenes.grammar import RGB

FLOWERS: list[RGB] = [(240, 90, 110), (250, 210, 80), (250, 250, 250), (200, 110, 220), (255, 140, 60)]
GLOWING: list[RGB] = [(60, 240, 220), (90, 255, 150), (110, 190, 255), (230, 120, 255)]
AUTUMN: list[RGB] = [(236, 120, 40), (220, 70, 40), (244, 180, 50), (190, 90, 30)]
CAP_SPOTS = ((-0.2, -0.78), (0.16, -0.84), (0.02, -0.98))


def paint_extras(painter: Painter) -> None:
    """Paint everything in front of the hero, back to front."""
    scene = painter.scene
    if "flowers" in scene.extras:
        _paint_flowers(painter)
    if "mushrooms" in scene.extras:
        _paint_mushrooms(painter)
    if "fireflies" in scene.extras:
        _paint_fireflies(painter)
    if scene.weather in WEATHER:
        WEATHER[scene.weather](painter)
    if "leaves" in scene.extras:
        _paint_leaves(painter)


def paint_vignette(painter: Painter) -> None:
    """Darken the corners a little."""
    vignette = [(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 14, 60)]
    painter.stretched()
    painter.rectangle(0, 0, 1, 1, radial((0.5, 0.5), 0.78, vignette, [0, 0.62, 1]))
    painter.canvas.restore()


def _paint_flowers(painter: Painter) -> None:
    for _ in range(painter.many(26, painter.bottom)):
        x, y = painter.anywhere(), painter.uniform(painter.ground + 0.09, painter.bottom - 0.02)
        colour = painter.rng.choice(FLOWERS)
        radius = 0.008 + (y - 0.7) * 0.03
        for petal in range(5):
            painter.disc(x + cos(petal * 1.257) * radius, y + sin(petal * 1.257) * radius, radius * 0.7, fill(painter.lit(colour)))
        painter.disc(x, y, radius * 0.6, fill((255, 230, 120)))


def _paint_mushrooms(painter: Painter) -> None:
    """A row of glowing mushrooms, the nearer the larger."""
    count = painter.many(painter.rng.randint(5, 8), painter.bottom)
    for index in range(count):
        x, y = painter.spread(index, count, 0.15, 0.85), painter.uniform(painter.ground + 0.06 + 0.07, painter.bottom - 0.04)
        height = 0.05 + (y - 0.7) * 0.22
        colour = painter.rng.choice(GLOWING)
        painter.glow(x, y - height * 0.7, height * 1.9, colour, 190)
        painter.rectangle(x - height * 0.12, y - height * 0.6, height * 0.24, height * 0.62, fill(mix(colour, (255, 255, 255), 0.6)))
        cap = skia.Path()
        cap.addArc(skia.Rect.MakeLTRB(x - height * 0.52, y - height * 1.12, x + height * 0.52, y - height * 0.1), 180, 180)
        cap.close()
        painter.canvas.drawPath(cap, fill(colour))
        for across, down in CAP_SPOTS:
            painter.disc(x + across * height, y + down * height, height * 0.07, fill((255, 255, 255), 220))


def _paint_fireflies(painter: Painter) -> None:
    for _ in range(painter.many(18, painter.tall)):
        x, y = painter.anywhere(), painter.uniform(0.35 + painter.top * 0.5, painter.bottom - 0.05)
        painter.glow(x, y, painter.uniform(0.022, 0.04), (240, 255, 120), 220)
        painter.disc(x, y, 0.005, fill((255, 255, 210)))


def _paint_fog(painter: Painter) -> None:
    mist = mix(painter.haze, (235, 238, 242), 0.1 if painter.scene.time == "night" else 0.35)
    for band in range(round(5 * painter.bottom)):
        y = 0.4 + band * 0.12 + painter.uniform(-0.03, 0.03)
        shades = [(*painter.haze, 0), (*mist, 120), (*painter.haze, 0)]
        painter.across(y - 0.09, 0.18, vertical(y - 0.09, y + 0.09, shades))


def _paint_snow(painter: Painter) -> None:
    for _ in range(painter.many(110, painter.tall)):
        x, y, radius = painter.anywhere(), painter.uniform(painter.top, painter.bottom), painter.uniform(0.003, 0.0085)
        painter.disc(x, y, radius, fill((255, 255, 255), int(painter.uniform(150, 245))))


def _paint_rain(painter: Painter) -> None:
    paint = stroke((200, 215, 235), 0.004, 130)
    for _ in range(painter.many(90, painter.tall)):
        x, y, length = painter.uniform(painter.left, painter.right + 0.1), painter.uniform(painter.top - 0.05, painter.bottom), painter.uniform(0.04, 0.07)
        painter.line((x, y), (x - length * 0.3, y + length), paint)


def _paint_leaves(painter: Painter) -> None:
    for _ in range(painter.many(15, painter.tall)):
        x, y, length = painter.anywhere(0.02), painter.uniform(painter.top + 0.08, painter.bottom - 0.08), painter.uniform(0.022, 0.04)
        colour = painter.rng.choice(AUTUMN)
        painter.canvas.save()
        painter.canvas.translate(x, y)
        painter.canvas.rotate(painter.uniform(0, 360))
        painter.canvas.drawPath(leaf_path(length, 0.85), fill(mix(painter.lit(colour), colour, 0.55)))
        painter.canvas.restore()


WEATHER = {"fog": _paint_fog, "snow": _paint_snow, "rain": _paint_rain}

"""What lies over land and hero: flowers, mushrooms, fireflies, weather, leaves, and the frames a scene is seen through."""

from math import cos, degrees, sin

import skia

from tools.embedded.scenes.canvas import TAU, Painter, closed_path, fill, leaf_path, linear, mix, radial, shade, stroke, vertical
from tools.embedded.scenes.grammar import RGB

FLOWERS: list[RGB] = [(240, 90, 110), (250, 210, 80), (250, 250, 250), (200, 110, 220), (255, 140, 60)]
GLOWING: list[RGB] = [(60, 240, 220), (90, 255, 150), (110, 190, 255), (230, 120, 255)]
AUTUMN: list[RGB] = [(236, 120, 40), (220, 70, 40), (244, 180, 50), (190, 90, 30)]
FOLIAGE: list[RGB] = [(60, 140, 70), (40, 110, 60), (84, 160, 80), (50, 124, 86)]
CAP_SPOTS = ((-0.2, -0.78), (0.16, -0.84), (0.02, -0.98))


def paint_extras(painter: Painter) -> None:
    """Paint everything in front of the hero, back to front, and darken the corners a little."""
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
    vignette = [(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 14, 60)]
    painter.rectangle(0, 0, 1, 1, radial((0.5, 0.5), 0.78, vignette, [0, 0.62, 1]))


def _paint_flowers(painter: Painter) -> None:
    for _ in range(26):
        x, y = painter.uniform(0, 1), painter.uniform(painter.ground + 0.09, 0.98)
        colour = painter.rng.choice(FLOWERS)
        radius = 0.008 + (y - 0.7) * 0.03
        for petal in range(5):
            painter.disc(x + cos(petal * 1.257) * radius, y + sin(petal * 1.257) * radius, radius * 0.7, fill(painter.lit(colour)))
        painter.disc(x, y, radius * 0.6, fill((255, 230, 120)))


def _paint_mushrooms(painter: Painter) -> None:
    """A row of glowing mushrooms, the nearer the larger."""
    count = painter.rng.randint(5, 8)
    for index in range(count):
        x, y = (index + painter.uniform(0.15, 0.85)) / count, painter.uniform(painter.ground + 0.06 + 0.07, 0.96)
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
    for _ in range(18):
        x, y = painter.uniform(0, 1), painter.uniform(0.35, 0.95)
        painter.glow(x, y, painter.uniform(0.022, 0.04), (240, 255, 120), 220)
        painter.disc(x, y, 0.005, fill((255, 255, 210)))


def _paint_fog(painter: Painter) -> None:
    mist = mix(painter.haze, (235, 238, 242), 0.1 if painter.scene.time == "night" else 0.35)
    for band in range(5):
        y = 0.4 + band * 0.12 + painter.uniform(-0.03, 0.03)
        shades = [(*painter.haze, 0), (*mist, 120), (*painter.haze, 0)]
        painter.rectangle(0, y - 0.09, 1, 0.18, vertical(y - 0.09, y + 0.09, shades))


def _paint_snow(painter: Painter) -> None:
    for _ in range(110):
        x, y, radius = painter.uniform(0, 1), painter.uniform(0, 1), painter.uniform(0.003, 0.0085)
        painter.disc(x, y, radius, fill((255, 255, 255), int(painter.uniform(150, 245))))


def _paint_rain(painter: Painter) -> None:
    paint = stroke((200, 215, 235), 0.004, 130)
    for _ in range(90):
        x, y, length = painter.uniform(0, 1.1), painter.uniform(-0.05, 1), painter.uniform(0.04, 0.07)
        painter.line((x, y), (x - length * 0.3, y + length), paint)


def _paint_leaves(painter: Painter) -> None:
    for _ in range(15):
        x, y, length = painter.uniform(0.02, 0.98), painter.uniform(0.08, 0.92), painter.uniform(0.022, 0.04)
        colour = painter.rng.choice(AUTUMN)
        painter.canvas.save()
        painter.canvas.translate(x, y)
        painter.canvas.rotate(painter.uniform(0, 360))
        painter.canvas.drawPath(leaf_path(length, 0.85), fill(mix(painter.lit(colour), colour, 0.55)))
        painter.canvas.restore()


WEATHER = {"fog": _paint_fog, "snow": _paint_snow, "rain": _paint_rain}


def paint_frame(painter: Painter) -> None:
    """Paint what the scene is seen through: a cave mouth, a round window, a ring of leaves."""
    frame = painter.scene.frame
    if frame == "cave":
        _paint_cave(painter)
    elif frame == "window":
        _paint_round_window(painter)
    elif frame == "leaves":
        _paint_leaf_ring(painter)


def _around(hole: skia.Path) -> skia.Path:
    """The whole canvas without `hole`."""
    outer = skia.Path()
    outer.addRect(skia.Rect(-0.01, -0.01, 1.01, 1.01))
    return skia.Op(outer, hole, skia.kDifference_PathOp)


def _paint_cave(painter: Painter) -> None:
    count = 26
    radii = [0.41 + painter.uniform(-0.035, 0.03) for _ in range(count)]
    mouth = [(0.5 + cos(index / count * TAU) * radius, 0.5 + sin(index / count * TAU) * radius) for index, radius in enumerate(radii)]
    rock = radial((0.5, 0.5), 0.72, [(104, 88, 80), (70, 58, 58), (24, 20, 28)], [0.5, 0.62, 1])
    painter.canvas.drawPath(_around(closed_path(mouth)), rock)


def _paint_round_window(painter: Painter) -> None:
    hole = skia.Path()
    hole.addCircle(0.5, 0.5, 0.4)
    painter.canvas.drawPath(_around(hole), linear((0, 0), (0, 1), [(150, 104, 70), (112, 74, 52)]))
    painter.disc(0.5, 0.5, 0.405, stroke((226, 196, 140), 0.03))
    bar = stroke((196, 160, 108), 0.018)
    painter.line((0.5, 0.1), (0.5, 0.9), bar)
    painter.line((0.1, 0.5), (0.9, 0.5), bar)


def _paint_leaf_ring(painter: Painter) -> None:
    for _ in range(120):
        angle, reach = painter.uniform(0, TAU), painter.uniform(0.43, 0.74)
        length = painter.uniform(0.05, 0.085)
        colour = shade(painter.rng.choice(FOLIAGE), 1.25 - reach)
        painter.canvas.save()
        painter.canvas.translate(0.5 + cos(angle) * reach, 0.5 + sin(angle) * reach)
        painter.canvas.rotate(degrees(angle) + 180 + painter.uniform(-50, 50))
        painter.canvas.drawPath(leaf_path(length, 0.8), fill(colour))
        painter.canvas.restore()

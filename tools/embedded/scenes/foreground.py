"""What stands close to the eye in some scenes: grass, a branch, rocks, a fir or a street lamp at the side without the hero."""

import random
from collections.abc import Callable
from itertools import pairwise
from math import sin

import skia

from tools.embedded.scenes.canvas import Painter, fill, leaf_path, mix, shade, stroke
from tools.embedded.scenes.grammar import RGB
from tools.embedded.scenes.plants import paint_conifer

SHARE = 0.22
"""Of the scenes without a frame, so many have something in the foreground."""


def paint_foreground(painter: Painter) -> None:
    """Paint the foreground, if the scene has one; its random numbers are its own, so the rest of a scene is the same without."""
    scene = painter.scene
    rng = random.Random(scene.seed * 17 + 3)
    if rng.random() >= SHARE or scene.frame != "none":
        return
    side = {"left": 1, "right": -1}.get(scene.position) or rng.choice((-1, 1))
    rng.choice(KINDS[scene.land])(painter, rng, side)


def _near(painter: Painter, colour: RGB) -> RGB:
    """A colour in the shade of the foreground."""
    return shade(painter.lit(colour), 0.62)


def _edge(painter: Painter, side: int, inwards: float) -> float:
    """The x that lies `inwards` from the border at `side` (-1 left, 1 right)."""
    return painter.left + inwards if side < 0 else painter.right - inwards


def _paint_grass(painter: Painter, rng: random.Random, side: int) -> None:
    """Blades along the foot of the picture, higher at one side."""
    colour = _near(painter, (60, 130, 62))
    for _ in range(painter.many(46)):
        x = rng.uniform(painter.left, painter.right)
        share = abs(x - _edge(painter, -side, 0)) / painter.wide
        height = (0.03 + 0.12 * share**3) * rng.uniform(0.6, 1.3)
        lean = rng.uniform(-0.35, 0.35) * height
        blade = skia.Path()
        blade.moveTo(x - 0.007, painter.bottom + 0.01)
        blade.quadTo(x, painter.bottom - height * 0.5, x + lean, painter.bottom - height)
        blade.quadTo(x + 0.009, painter.bottom - height * 0.4, x + 0.009, painter.bottom + 0.01)
        painter.canvas.drawPath(blade, fill(shade(colour, rng.uniform(0.8, 1.15))))


def _paint_branch(painter: Painter, rng: random.Random, side: int) -> None:
    """A leafy branch that hangs into the picture from an upper corner."""
    start, reach = _edge(painter, side, -0.02), 0.42 * rng.uniform(0.8, 1.15)
    colour = _near(painter, (70, 148, 78))
    points = []
    for step in range(9):
        share = step / 8
        points.append((start - side * reach * share, painter.top + 0.03 + 0.1 * share * share + 0.012 * sin(share * 9)))
    for index, (first, second) in enumerate(pairwise(points)):
        painter.line(first, second, stroke(_near(painter, (92, 64, 48)), 0.022 - 0.002 * index, rounded=True))
    for x, y in points[1:]:
        for turn in (rng.uniform(20, 70), rng.uniform(100, 150), rng.uniform(-60, -20)):
            length = rng.uniform(0.03, 0.045)
            painter.canvas.save()
            painter.canvas.translate(x, y)
            painter.canvas.rotate(turn)
            painter.canvas.translate(length, 0)
            painter.canvas.drawPath(leaf_path(length, 0.7), fill(shade(colour, rng.uniform(0.8, 1.25))))
            painter.canvas.restore()


def _paint_rocks(painter: Painter, rng: random.Random, side: int) -> None:
    """Boulders in a lower corner."""
    colour = mix(_near(painter, (150, 128, 116)), painter.haze, 0.1)
    for index in range(3):
        x = _edge(painter, side, 0.05 + index * 0.085)
        size = 0.13 - index * 0.034
        width, foot = size * rng.uniform(0.9, 1.2), painter.bottom + 0.01
        top = foot - size
        painter.polygon(
            [(x - width, foot), (x - width * 0.7, top + size * 0.35), (x - width * 0.1, top), (x + width * 0.6, top + size * 0.25), (x + width, foot)],
            fill(shade(colour, 0.8)),
        )
        painter.polygon(
            [(x - width * 0.7, top + size * 0.35), (x - width * 0.1, top), (x + width * 0.15, top + size * 0.5), (x - width * 0.4, foot), (x - width, foot)],
            fill(colour),
        )


def _paint_fir(painter: Painter, rng: random.Random, side: int) -> None:
    """A tall conifer, half of it in the picture, under snow in winter."""
    height = rng.uniform(0.75, 0.95)
    colour = _near(painter, (48, 110, 80))
    paint_conifer(painter, _edge(painter, side, -0.02), painter.bottom + 0.04, height, colour, painter.scene.land == "winter")


def _paint_lamp(painter: Painter, rng: random.Random, side: int) -> None:
    """A street lamp, lit but by day."""
    x, top = _edge(painter, side, rng.uniform(0.08, 0.12)), painter.bottom - rng.uniform(0.52, 0.6)
    iron = _near(painter, (70, 72, 86))
    painter.line((x, painter.bottom + 0.01), (x, top), stroke(iron, 0.016))
    painter.rectangle(x - 0.02, painter.bottom - 0.05, 0.04, 0.06, fill(iron))
    dark = painter.scene.time != "day"
    if dark:
        painter.glow(x, top - 0.035, 0.16, (255, 220, 130), 170)
    glass = fill((255, 236, 170) if dark else painter.lit((214, 226, 236)))
    painter.polygon([(x - 0.02, top), (x + 0.02, top), (x + 0.032, top - 0.06), (x - 0.032, top - 0.06)], glass)
    painter.polygon([(x - 0.04, top - 0.058), (x + 0.04, top - 0.058), (x, top - 0.088)], fill(iron))


KINDS: dict[str, tuple[Callable[[Painter, random.Random, int], None], ...]] = {
    "forest": (_paint_branch, _paint_fir, _paint_grass),
    "mountains": (_paint_fir, _paint_rocks, _paint_grass),
    "sea": (_paint_rocks, _paint_branch),
    "desert": (_paint_rocks,),
    "meadow": (_paint_grass, _paint_branch),
    "winter": (_paint_fir,),
    "city": (_paint_lamp,),
}

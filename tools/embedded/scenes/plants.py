"""Trees and cactuses."""

import skia

from tools.embedded.scenes.canvas import Painter, fill, shade, stroke
from tools.embedded.scenes.grammar import RGB

CROWN = ((-0.2, -0.52, 0.24, 0.8), (0.2, -0.54, 0.24, 0.74), (0, -0.74, 0.28, 0.9), (-0.08, -0.62, 0.24, 1.06))
"""Puffs of a broad-leaved tree: x, y, radius in tree heights, and brightness."""


def paint_conifer(painter: Painter, x: float, y: float, height: float, colour: RGB, snow: bool = False) -> None:
    """A conifer with its foot at (x, y)."""
    width = height * 0.38
    painter.rectangle(x - height * 0.03, y - height * 0.14, height * 0.06, height * 0.16, fill(painter.lit((92, 62, 44))))
    for tier in range(3):
        top, bottom = y - height * (1 - 0.2 * tier * 1.15), y - height * (0.52 - 0.21 * tier)
        reach = width * (0.55 + 0.22 * tier)
        painter.polygon([(x, top), (x + reach, bottom), (x - reach, bottom)], fill(shade(colour, 0.78)))
        painter.polygon([(x, top), (x + reach * 0.1, bottom), (x - reach, bottom)], fill(colour))
        if snow:
            low, high = top + (bottom - top) * 0.45, top + (bottom - top) * 0.36
            cap = [(x, top), (x + reach * 0.42, low), (x, high), (x - reach * 0.42, low)]
            painter.polygon(cap, fill(painter.lit((244, 248, 252))))


def paint_round_tree(painter: Painter, x: float, y: float, height: float, colour: RGB) -> None:
    """A broad-leaved tree with its foot at (x, y)."""
    painter.rectangle(x - height * 0.045, y - height * 0.45, height * 0.09, height * 0.46, fill(painter.lit((98, 66, 46))))
    for across, down, radius, light in CROWN:
        painter.disc(x + across * height, y + down * height, radius * height, fill(shade(colour, light)))


def paint_tree_row(
    painter: Painter,
    y: float,
    height: float,
    count: int,
    colour: RGB,
    conifers: float = 0.6,
    snow: bool = False,
    gap: tuple[float, float] | None = None,
) -> None:
    """`count` trees to the unit along y, a share of them conifers, none between the two x of `gap`."""
    count = painter.many(count)
    places = sorted((painter.spread(index, count, 0.05, 0.95) for index in range(count)), key=lambda _: painter.rng.random())
    for x in places:
        tall = height * painter.uniform(0.75, 1.2)
        if gap and gap[0] < x < gap[1]:
            continue
        tint = shade(colour, painter.uniform(0.88, 1.12))
        conifer = painter.rng.random() < conifers or snow
        foot = y + painter.uniform(-0.01, 0.015)
        if conifer:
            paint_conifer(painter, x, foot, tall, tint, snow)
        else:
            paint_round_tree(painter, x, foot, tall, tint)


def paint_cactus(painter: Painter, x: float, y: float, height: float) -> None:
    """A cactus with two arms, its foot at (x, y)."""
    colour = painter.lit((70, 140, 84))
    painter.line((x, y), (x, y - height), stroke(colour, height * 0.2, rounded=True))
    arm = stroke(colour, height * 0.14, rounded=True)
    for side, level in ((-1, 0.35), (1, 0.5)):
        path = skia.Path()
        path.moveTo(x, y - height * level)
        path.lineTo(x + side * height * 0.28, y - height * level)
        path.lineTo(x + side * height * 0.28, y - height * (level + 0.3))
        painter.canvas.drawPath(path, arm)

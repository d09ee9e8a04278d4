"""The seven landscapes; each settles the ground line on which the hero stands."""

import numpy as np

from tools.embedded.scenes.canvas import Painter, Point, fill, mix, shade, vertical
from tools.embedded.scenes.grammar import RGB
from tools.embedded.scenes.plants import paint_cactus, paint_tree_row

WATER: dict[str, list[RGB]] = {
    "day": [(96, 180, 216), (26, 92, 158)],
    "sunset": [(246, 158, 112), (72, 50, 110)],
    "night": [(44, 60, 112), (8, 14, 42)],
}
GLITTER: dict[str, RGB] = {"day": (255, 252, 220), "sunset": (255, 226, 150), "night": (226, 232, 255)}
DUNES: tuple[tuple[RGB, float, float, float], ...] = (((236, 188, 120), 0.45, 0.56, 0.05), ((226, 164, 92), 0.2, 0.64, 0.05))
FACADES: tuple[RGB, ...] = ((110, 124, 150), (134, 128, 150), (96, 112, 138), (150, 134, 130))
STANDS_ON_ISLAND = ("lighthouse", "house", "castle", "tree", "windmill")
SHORES = {"near": 0.2, "middle": 0.12, "far": 0.03}
"""How far below the horizon a hero of each depth is by the sea."""
FLOATS = ("none", "balloon")
"""Heroes that need no room on the ground."""


def paint_land(painter: Painter) -> None:
    """Paint the landscape of the scene."""
    painter.ground = painter.uniform(0.68, 0.74)
    land = painter.scene.land
    if land in ("meadow", "winter"):
        _paint_hills(painter, land == "winter")
    else:
        PAINTERS[land](painter)


def _room(painter: Painter, reach: float) -> tuple[float, float]:
    """The two x between which heroes stand that take `reach` to both sides in the middle ground."""
    return painter.hero_x - reach * painter.hero_room, painter.hero_x + reach * painter.hero_room


def _paint_forest(painter: Painter) -> None:
    lit, haze, ground = painter.lit, painter.haze, painter.ground
    for y, height, count, share in ((0.60, 0.26, 12, 0.62), (0.66, 0.32, 10, 0.34)):
        paint_tree_row(painter, y, height, count, mix(lit((44, 112, 66)), haze, share))
    painter.across(0.63, 0.2, fill(mix(lit((52, 104, 62)), haze, 0.3)))
    painter.ridge(ground, 0.02, 0.3, vertical(ground - 0.02, painter.bottom, [lit((74, 134, 66)), lit((30, 66, 40))]))
    gap = None if painter.scene.hero in FLOATS else _room(painter, 0.2)
    paint_tree_row(painter, ground + 0.03, painter.uniform(0.38, 0.46), 6, lit((36, 100, 56)), gap=gap)


def _paint_mountains(painter: Painter) -> None:
    lit, haze, ground = painter.lit, painter.haze, painter.ground
    for y, height, share in ((0.46, 0.2, 0.55), (0.56, 0.16, 0.25)):
        rock = vertical(0.2, 0.8, [mix(lit((118, 122, 150)), haze, share), mix(lit((70, 80, 110)), haze, share * 0.6)])
        crest, shape = painter.ridge(y, height, 0.52, rock, jagged=True)
        painter.canvas.save()
        painter.canvas.clipPath(shape, doAntiAlias=True)
        snow_line: list[Point] = [(x, top + painter.uniform(0.035, 0.065)) for x, top in crest]
        painter.polygon([(painter.left, -1), *snow_line, (painter.right, -1)], fill(mix(lit((246, 248, 255)), haze, share * 0.5)))
        painter.canvas.restore()
    painter.ridge(ground - 0.03, 0.03, 0.3, vertical(ground - 0.1, painter.bottom, [lit((120, 172, 92)), lit((56, 112, 62))]))
    paint_tree_row(painter, ground - 0.02, 0.13, 9, mix(lit((48, 110, 76)), haze, 0.2), conifers=1)
    painter.ridge(ground + 0.02, 0.015, 0.3, vertical(ground, painter.bottom, [lit((106, 166, 82)), lit((48, 100, 54))]))


def _paint_sea(painter: Painter) -> None:
    scene = painter.scene
    horizon = painter.horizon = painter.uniform(0.54, 0.6)
    water = WATER[scene.time]
    bottom = painter.bottom
    painter.across(horizon, bottom - horizon, vertical(horizon, bottom, water))
    if scene.body != "none":
        for index in range(round(13 * bottom)):
            y = horizon + 0.012 + index * (0.36 / 13)
            width = painter.uniform(0.02, 0.06) * (1 + index * 0.12)
            x = painter.body_x + painter.uniform(-0.012, 0.012)
            painter.oval(x, y, width, 0.0052 + index * 0.0004, fill(GLITTER[scene.time], 200 - index * 9))
    for _ in range(painter.many(16, bottom)):
        depth = painter.rng.random()
        y = horizon + 0.02 + depth * (bottom - horizon)
        painter.oval(painter.anywhere(), y, painter.uniform(0.03, 0.08), 0.004 + depth * 0.003, fill(mix(water[0], (255, 255, 255), 0.4), 110))
    zoom, room = painter.hero_zoom, painter.hero_room
    painter.ground = horizon + SHORES[scene.depth]
    if scene.hero in STANDS_ON_ISLAND:
        y = painter.ground - 0.02
        painter.oval(painter.hero_x, y + 0.07 * zoom, 0.3 * room, 0.11 * zoom, fill(painter.lit((116, 98, 84))))
        painter.oval(painter.hero_x, y + 0.035 * zoom, 0.27 * room, 0.075 * zoom, fill(painter.lit((126, 160, 84))))
        painter.ground = y + 0.02
    elif painter.rng.random() < 0.5:
        painter.ridge(bottom - 0.07, 0.02, 0.3, fill(painter.lit((236, 210, 156))))


def _paint_desert(painter: Painter) -> None:
    ground = painter.ground
    for colour, share, y, height in (*DUNES, ((216, 148, 78), 0, ground, 0.035)):
        near = mix(painter.lit(colour), painter.haze, share)
        far = mix(painter.lit(shade(colour, 0.8)), painter.haze, share * 0.6)
        painter.ridge(y, height, 0.5, vertical(y - 0.08, y + 0.25, [near, far]))
    for _ in range(painter.many(3)):
        x = painter.anywhere(0.05)
        if abs(x - painter.hero_x) < 0.2 * painter.hero_room and painter.scene.hero not in FLOATS:
            continue
        paint_cactus(painter, x, ground + painter.uniform(0.06, 0.18), painter.uniform(0.12, 0.2))


def _paint_hills(painter: Painter, winter: bool) -> None:
    """Meadow hills, or the same under snow."""
    lit, haze, ground = painter.lit, painter.haze, painter.ground
    far: tuple[RGB, RGB] = ((232, 240, 250), (190, 208, 232)) if winter else ((150, 200, 96), (96, 158, 76))
    near: tuple[RGB, RGB] = ((244, 248, 253), (206, 220, 240)) if winter else ((118, 186, 74), (58, 124, 56))
    painter.ridge(0.58, 0.045, 0.45, vertical(0.5, 0.72, [mix(lit(far[0]), haze, 0.45), mix(lit(far[1]), haze, 0.35)]))
    trees = mix(lit((84, 122, 118) if winter else (60, 124, 70)), haze, 0.4)
    paint_tree_row(painter, 0.61, 0.15, 7, trees, conifers=0.3, snow=winter)
    painter.ridge(0.65, 0.04, 0.45, vertical(0.6, 0.8, [mix(lit(far[0]), haze, 0.2), lit(far[1])]))
    if winter:
        paint_tree_row(painter, 0.68, 0.24, 5, lit((58, 104, 98)), snow=True, gap=_room(painter, 0.18))
    painter.ridge(ground, 0.03, 0.4, vertical(ground - 0.02, painter.bottom, [lit(near[0]), lit(near[1])]))


def _paint_city(painter: Painter) -> None:
    lit = painter.lit
    for y, low, high, share, count in ((0.7, 0.2, 0.44, 0.55, 9), (0.74, 0.12, 0.34, 0.2, 8)):
        for index in range(painter.many(count)):
            width, left = 1 / count * painter.uniform(0.8, 1.15), painter.left + index / count - 0.01
            height = painter.uniform(low, high)
            wall = mix(lit(painter.rng.choice(FACADES)), painter.haze, share)
            painter.rectangle(left, y - height, width, height + 0.1, fill(wall))
            painter.rectangle(left + width * 0.7, y - height, width * 0.3, height + 0.1, fill(shade(wall, 0.86)))
            _paint_windows(painter, (left, y), (width, height), wall)
    painter.across(0.74, painter.bottom - 0.74, vertical(0.74, painter.bottom, [lit((96, 100, 112)), lit((58, 60, 74))]))
    painter.across(0.745, 0.03, fill(lit((150, 150, 158))))
    for index in range(painter.many(6)):
        painter.rectangle(painter.left + index / 6 + 0.03, 0.875, 0.09, 0.016, fill(lit((240, 226, 150))))
    painter.ground = 0.79


def _paint_windows(painter: Painter, foot: Point, size: Point, wall: RGB) -> None:
    """Rows of windows of one building; `foot` is its lower left corner."""
    (left, y), (width, height) = foot, size
    dark = painter.scene.time != "day"
    paint = fill((255, 226, 130), 235) if dark else fill(mix(wall, (230, 242, 255), 0.6), 170)
    for row in np.arange(y - height + 0.025, y - 0.03, 0.042):
        for column in (left + width * 0.14, left + width * 0.4, left + width * 0.66):
            if painter.rng.random() < (0.55 if dark else 0.9):
                painter.rectangle(column, float(row), width * 0.17, 0.02, paint)


PAINTERS = {
    "forest": _paint_forest,
    "mountains": _paint_mountains,
    "sea": _paint_sea,
    "desert": _paint_desert,
    "city": _paint_city,
}

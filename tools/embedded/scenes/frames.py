"""What a scene is seen through: a cave mouth, a ring of leaves, windows, or the frame of a picture on a wall."""

import random
from math import cos, degrees, sin

import skia

from tools.embedded.scenes.canvas import TAU, Painter, closed_path, fill, leaf_path, linear, mix, radial, shade, stroke, vertical
from tools.embedded.scenes.grammar import RGB

FOLIAGE: list[RGB] = [(60, 140, 70), (40, 110, 60), (84, 160, 80), (50, 124, 86)]
WALLS: list[RGB] = [(226, 214, 190), (176, 196, 178), (170, 188, 206), (214, 176, 158), (196, 182, 206)]
CURTAINS: list[RGB] = [(186, 84, 78), (84, 122, 160), (220, 190, 120), (120, 150, 104)]
MOULDINGS: list[RGB] = [(198, 156, 82), (110, 72, 48), (52, 46, 52)]
ROOM_LIGHT: dict[str, RGB] = {"day": (1, 1, 1), "sunset": (0.95, 0.8, 0.72), "night": (0.62, 0.54, 0.56)}


def _indoors(painter: Painter) -> random.Random:
    """The random numbers of rooms, their own so that the scene outside stays the same."""
    return random.Random(painter.scene.seed * 131 + 17)


def hang(painter: Painter) -> None:
    """Until the canvas is restored, all is painted in the frame of a picture on a wall, if the scene is seen in one."""
    painter.canvas.save()
    if painter.scene.frame != "picture":
        return
    rect = _hanging(painter)
    painter.canvas.clipRect(rect)
    painter.canvas.translate(rect.left(), rect.top())
    painter.canvas.scale(rect.width() / painter.wide, rect.height() / painter.tall)
    painter.canvas.translate(-painter.left, -painter.top)


def _hanging(painter: Painter) -> skia.Rect:
    """The place of the picture on the wall, of the shape of all that is seen."""
    rng = _indoors(painter)
    size = rng.uniform(0.56, 0.68)
    width, height = painter.wide * size, painter.tall * size
    x = painter.left + (painter.wide - width) * rng.uniform(0.4, 0.6)
    y = painter.top + (painter.tall - height) * rng.uniform(0.36, 0.44)
    return skia.Rect.MakeXYWH(x, y, width, height)


def paint_frame(painter: Painter) -> None:
    """Paint what the scene is seen through, if anything."""
    if painter.scene.frame != "none":
        PAINTERS[painter.scene.frame](painter)


def _around(painter: Painter, hole: skia.Path) -> skia.Path:
    """All that is seen without `hole`."""
    outer = skia.Path()
    outer.addRect(skia.Rect(painter.left - 0.01, painter.top - 0.01, painter.right + 0.01, painter.bottom + 0.01))
    return skia.Op(outer, hole, skia.kDifference_PathOp)


def _paint_cave(painter: Painter) -> None:
    count = 26
    middle_x, middle_y = painter.left + painter.wide / 2, painter.top + painter.tall / 2
    radii = [0.41 + painter.uniform(-0.035, 0.03) for _ in range(count)]
    angles = [index / count * TAU for index in range(count)]
    points = [(cos(angle) * radius, sin(angle) * radius) for angle, radius in zip(angles, radii, strict=True)]
    mouth = closed_path([(middle_x + x * painter.wide, middle_y + y * painter.tall) for x, y in points])
    reach = 0.72 * max(painter.wide, painter.tall)
    rock = radial((middle_x, middle_y), reach, [(104, 88, 80), (70, 58, 58), (24, 20, 28)], [0.5, 0.62, 1])
    painter.canvas.drawPath(_around(painter, mouth), rock)


def _paint_round_window(painter: Painter) -> None:
    rect = skia.Rect(painter.left + 0.1, painter.top + 0.1, painter.right - 0.1, painter.bottom - 0.1)
    hole = skia.Path()
    hole.addRRect(skia.RRect.MakeRectXY(rect, 0.4, 0.4))
    wall = linear((0, painter.top), (0, painter.bottom), [(150, 104, 70), (112, 74, 52)])
    painter.canvas.drawPath(_around(painter, hole), wall)
    painter.canvas.drawRRect(skia.RRect.MakeRectXY(rect.makeOutset(0.005, 0.005), 0.405, 0.405), stroke((226, 196, 140), 0.03))
    bar = stroke((196, 160, 108), 0.018)
    middle = rect.centerY()
    painter.line((0.5, rect.top()), (0.5, rect.bottom()), bar)
    painter.line((rect.left(), middle), (rect.right(), middle), bar)


def _paint_leaf_ring(painter: Painter) -> None:
    middle_x, middle_y = painter.left + painter.wide / 2, painter.top + painter.tall / 2
    for _ in range(painter.many(120, painter.tall)):
        angle, reach = painter.uniform(0, TAU), painter.uniform(0.43, 0.74)
        length = painter.uniform(0.05, 0.085)
        colour = shade(painter.rng.choice(FOLIAGE), 1.25 - reach)
        painter.canvas.save()
        painter.canvas.translate(middle_x + cos(angle) * reach * painter.wide, middle_y + sin(angle) * reach * painter.tall)
        painter.canvas.rotate(degrees(angle) + 180 + painter.uniform(-50, 50))
        painter.canvas.drawPath(leaf_path(length, 0.8), fill(colour))
        painter.canvas.restore()


def _box(rect: skia.Rect) -> skia.Path:
    path = skia.Path()
    path.addRect(rect)
    return path


def _paint_wall(painter: Painter, hole: skia.Rect, wall: RGB) -> None:
    """A wall with a skirting board, without `hole`."""
    painter.canvas.save()
    painter.canvas.clipPath(_around(painter, _box(hole)), doAntiAlias=True)
    painter.across(painter.top, painter.tall, vertical(painter.top, painter.bottom, [wall, shade(wall, 0.84)]))
    painter.across(painter.bottom - 0.07, 0.08, fill(mix(wall, (255, 255, 255), 0.35)))
    painter.across(painter.bottom - 0.075, 0.008, fill(shade(wall, 0.7)))
    painter.canvas.restore()


def _paint_picture(painter: Painter) -> None:
    rect, rng = _hanging(painter), _indoors(painter)
    light = ROOM_LIGHT[painter.scene.time]
    wall, moulding = (shade(rng.choice(colours), light) for colours in (WALLS, MOULDINGS))
    _paint_wall(painter, rect, wall)
    shadow = fill((10, 8, 16), 110)
    shadow.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.015))
    painter.canvas.save()
    painter.canvas.clipPath(_around(painter, _box(rect)), doAntiAlias=True)
    painter.canvas.drawRect(rect.makeOutset(0.055, 0.055).makeOffset(0.012, 0.022), shadow)
    painter.canvas.restore()
    painter.canvas.drawRect(rect.makeOutset(0.01, 0.01), stroke(shade((246, 242, 230), light), 0.024))
    painter.canvas.drawRect(rect.makeOutset(0.036, 0.036), stroke(moulding, 0.032))
    painter.canvas.drawRect(rect.makeOutset(0.05, 0.05), stroke(shade(moulding, 1.3), 0.007))


def _paint_room(painter: Painter) -> None:
    """A wide window with a sill and curtains, and what is around it in the room."""
    rng = _indoors(painter)
    light = ROOM_LIGHT[painter.scene.time]
    wall, curtain = (shade(rng.choice(colours), light) for colours in (WALLS, CURTAINS))
    hole = skia.Rect(painter.left + 0.14, painter.top + 0.12, painter.right - 0.14, painter.bottom - 0.22)
    _paint_wall(painter, hole, wall)
    wood = shade((250, 246, 236), light)
    bars = max(1, round(hole.width() / 0.4) - 1)
    for index in range(1, bars + 1):
        x = hole.left() + hole.width() * index / (bars + 1)
        painter.line((x, hole.top()), (x, hole.bottom()), stroke(wood, 0.016))
    cross = hole.top() + hole.height() * 0.32
    painter.line((hole.left(), cross), (hole.right(), cross), stroke(wood, 0.016))
    painter.canvas.drawRect(hole, stroke(wood, 0.034))
    painter.rectangle(hole.left() - 0.05, hole.bottom() + 0.012, hole.width() + 0.1, 0.03, fill(shade(wood, 0.88)))
    for side, edge in ((-1, hole.left()), (1, hole.right())):
        _paint_curtain(painter, edge, side, hole, curtain)
    _paint_pot(painter, (hole.left() + hole.width() * rng.uniform(0.2, 0.8), hole.bottom() + 0.012), light)


def _paint_curtain(painter: Painter, edge: float, side: int, hole: skia.Rect, colour: RGB) -> None:
    """Four folds beside the window, in front of its rim."""
    for fold in range(4):
        x = edge + side * (0.1 - fold * 0.035)
        width = 0.037
        paint = fill(shade(colour, 1.05 - 0.12 * (fold % 2)))
        painter.rectangle(min(x, x - side * width), hole.top() - 0.05, width, hole.height() + 0.12, paint)
    painter.rectangle(edge - 0.12, hole.top() - 0.062, 0.24, 0.018, fill(shade(colour, 0.5)))


def _paint_pot(painter: Painter, foot: tuple[float, float], light: RGB) -> None:
    """A plant on the sill."""
    x, y = foot
    for turn in (-64, -38, -12, 12, 38, 64):
        painter.canvas.save()
        painter.canvas.translate(x, y - 0.05)
        painter.canvas.rotate(turn - 90)
        painter.canvas.translate(0.045, 0)
        painter.canvas.drawPath(leaf_path(0.045, 0.5), fill(shade((70, 150, 84) if turn % 4 else (50, 122, 72), light)))
        painter.canvas.restore()
    painter.polygon([(x - 0.036, y - 0.055), (x + 0.036, y - 0.055), (x + 0.026, y), (x - 0.026, y)], fill(shade((190, 98, 62), light)))


PAINTERS = {
    "cave": _paint_cave,
    "leaves": _paint_leaf_ring,
    "window": _paint_round_window,
    "room": _paint_room,
    "picture": _paint_picture,
}

"""The heroes: the one thing a scene is about, in its colour. Land dwellers stand on `painter.ground`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, degrees, pi, sin

import skia

from tools.embedded.scenes.canvas import Painter, closed_path, fill, horizontal, mix, shade, stroke
from tools.embedded.scenes.grammar import COLOURS, RGB, Scene
from tools.embedded.scenes.vessels import paint_balloon, paint_boat

WHITE: RGB = (255, 255, 255)
FEET = {"near": 0.15, "middle": 0.07, "far": 0.025}
"""How far below the ground line heroes stand by their depth."""
BALLOON_HEIGHT = 0.31
STAGGER = (0.035, 0.16)
"""How much lower or higher one of several heroes may stand, and how much balloons may float."""


@dataclass(frozen=True)
class Hero:
    """Where a hero stands (x, foot y), its scale (about 1) and its colour under the scene's light, dark and light.

    Near and far heroes are painted like others, on a canvas that is enlarged `zoom` times around the foot.
    """

    x: float
    y: float
    scale: float
    zoom: float
    colour: RGB
    dark: RGB
    light: RGB


def spacing(scene: Scene) -> float:
    """From one of several heroes to the next, before zoom."""
    return 0.54 if scene.hero == "castle" else 0.46


def _placed(painter: Painter) -> list[Hero]:
    """All heroes of the scene, the farther ones first."""
    scene = painter.scene
    own = COLOURS[scene.colour]
    # more of its own colour than the light would leave, so that a red house at night still reads red
    colour = mix(painter.lit(own), own, 0.3 if scene.time == "night" else 0.35)
    dark, light = shade(colour, 0.72), mix(colour, WHITE, 0.15)
    foot = painter.ground + (0 if scene.land == "sea" else FEET[scene.depth])
    if scene.hero == "balloon":
        foot = BALLOON_HEIGHT + painter.top * 0.5
    if scene.count == 1:
        return [Hero(painter.hero_x, foot, painter.hero_scale, painter.hero_zoom, colour, dark, light)]
    rng = random.Random(scene.seed * 31 + 7)
    heroes = []
    for index in range(scene.count):
        x = painter.hero_x + (index - (scene.count - 1) / 2) * spacing(scene) * painter.hero_zoom
        down = rng.uniform(-0.5, 1) * STAGGER[scene.hero == "balloon"] * painter.hero_zoom
        heroes.append(Hero(x, foot + down, rng.uniform(0.88, 1.06), painter.hero_zoom, colour, dark, light))
    return sorted(heroes, key=lambda hero: hero.y)


def _enlarged(painter: Painter, hero: Hero) -> None:
    """Until the canvas is restored, everything is painted `hero.zoom` times as large around its foot."""
    painter.canvas.save()
    painter.canvas.translate(hero.x, hero.y)
    painter.canvas.scale(hero.zoom, hero.zoom)
    painter.canvas.translate(-hero.x, -hero.y)


def paint_surroundings(painter: Painter) -> None:
    """Paint what the heroes do to their surroundings: shadows on the ground, beams of light, smoke."""
    scene = painter.scene
    for hero in _placed(painter) if scene.hero in PAINTERS else []:
        _enlarged(painter, hero)
        shadow = fill((10, 16, 20), 90)
        shadow.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.012))
        painter.oval(hero.x + 0.02, hero.y, 0.24 * hero.scale, 0.022, shadow)
        if scene.hero == "lighthouse" and scene.time != "day":
            _paint_beams(painter, hero)
        if scene.hero == "house" and (scene.time != "day" or scene.land == "winter"):
            _paint_smoke(painter, hero.x + 0.064 * hero.scale + 0.03, hero.y - 0.43 * hero.scale)
        painter.canvas.restore()


def paint_hero(painter: Painter) -> None:
    """Paint the scene's heroes."""
    scene = painter.scene
    for hero in _placed(painter) if scene.hero != "none" else []:
        _enlarged(painter, hero)
        if scene.hero == "balloon":
            paint_balloon(painter, (hero.x, hero.y), hero.scale, hero.colour)
        elif scene.hero == "boat":
            paint_boat(painter, (hero.x, hero.y), hero.scale, hero.colour, hero.light)
        else:
            PAINTERS[scene.hero](painter, hero)
        painter.canvas.restore()


def _paint_window(painter: Painter, left: float, top: float, width: float, height: float) -> None:
    """A window with a cross bar, lit but by day."""
    if painter.scene.time == "day":
        painter.rectangle(left, top, width, height, fill((120, 172, 210)))
    else:
        painter.glow(left + width / 2, top + height / 2, max(width, height) * 1.7, (255, 206, 96), 130)
        painter.rectangle(left, top, width, height, fill((255, 222, 120)))
    bar = stroke(painter.lit((250, 246, 236)), 0.007)
    painter.rectangle(left, top, width, height, bar)
    painter.line((left + width / 2, top), (left + width / 2, top + height), bar)
    painter.line((left, top + height / 2), (left + width, top + height / 2), bar)


def _paint_smoke(painter: Painter, x: float, y: float) -> None:
    for puff in range(3):
        paint = fill((220, 220, 230), 90 - 20 * puff)
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.008))
        painter.disc(x + puff * 0.012, y - puff * 0.035, 0.014 + 0.006 * puff, paint)


def _paint_house(painter: Painter, hero: Hero) -> None:
    x, y, k, lit, scene = hero.x, hero.y, hero.scale, painter.lit, painter.scene
    width, height = 0.32 * k, 0.2 * k
    eaves, top = y - height, y - height - 0.15 * k
    roof = lit((74, 66, 84)) if scene.colour in ("red", "orange") else lit((92, 58, 52))
    painter.rectangle(x + width * 0.2, y - height - 0.2 * k, 0.05 * k, 0.14 * k, fill(lit((128, 92, 80))))
    painter.rectangle(x - width / 2, eaves, width, height, horizontal(x - width / 2, x + width / 2, [hero.light, hero.dark]))
    painter.polygon([(x - width * 0.62, eaves), (x + width * 0.62, eaves), (x + width * 0.36, top), (x - width * 0.36, top)], fill(roof))
    edge = eaves - 0.022 * k
    painter.polygon([(x - width * 0.62, eaves), (x + width * 0.62, eaves), (x + width * 0.59, edge), (x - width * 0.59, edge)], fill(shade(roof, 0.8)))
    if scene.land == "winter":
        rim = eaves - 0.1 * k
        cap = [(x + width * 0.36, top), (x - width * 0.36, top), (x - width * 0.45, rim), (x + width * 0.45, rim)]
        painter.polygon(cap, fill(lit((248, 250, 254))))
    painter.rectangle(x - 0.034 * k, y - 0.13 * k, 0.068 * k, 0.13 * k, fill(lit((84, 54, 40))))
    painter.disc(x + 0.02 * k, y - 0.06 * k, 0.006, fill((240, 210, 120)))
    for side in (-1, 1):
        _paint_window(painter, x + side * width * 0.3 - 0.034 * k, y - 0.145 * k, 0.068 * k, 0.062 * k)


def _paint_castle(painter: Painter, hero: Hero) -> None:
    x, y, k, lit = hero.x, hero.y, hero.scale, painter.lit
    width = 0.34 * k
    stone = mix(hero.colour, lit((150, 148, 156)), 0.25)
    wall = horizontal(x - width / 2, x + width / 2, [mix(stone, WHITE, 0.12), shade(stone, 0.75)])
    painter.rectangle(x - width / 2, y - 0.2 * k, width, 0.2 * k, wall)
    for index in range(5):
        painter.rectangle(x - width / 2 + index * width / 5 + 0.008, y - 0.235 * k, width / 8, 0.04 * k, fill(stone))
    roof = lit((150, 60, 66)) if painter.scene.colour in ("blue", "purple") else lit((72, 78, 128))
    for side, tall, wide in ((-1, 0.34 * k, 0.1 * k), (1, 0.34 * k, 0.1 * k), (0, 0.42 * k, 0.12 * k)):
        middle, top = x + side * width * 0.5, y - tall
        tower = horizontal(middle - wide / 2, middle + wide / 2, [mix(stone, WHITE, 0.16), shade(stone, 0.7)])
        painter.rectangle(middle - wide / 2, top, wide, tall, tower)
        painter.polygon([(middle - wide * 0.66, top), (middle + wide * 0.66, top), (middle, top - 0.15 * k)], fill(roof))
        _paint_window(painter, middle - 0.016 * k, top + 0.05 * k, 0.032 * k, 0.05 * k)
    gate = skia.Path()
    gate.addRoundRect(skia.Rect.MakeXYWH(x - 0.045 * k, y - 0.12 * k, 0.09 * k, 0.16 * k), 0.045 * k, 0.045 * k)
    painter.canvas.save()
    painter.canvas.clipRect(skia.Rect(painter.left, painter.top, painter.right, y))
    painter.canvas.drawPath(gate, fill(lit((66, 44, 36))))
    painter.canvas.restore()


def _paint_beams(painter: Painter, hero: Hero) -> None:
    x, lamp = hero.x, hero.y - 0.44 * 1.1 * hero.scale
    for side in (-1, 1):
        beam = horizontal(x, x + side * 0.6, [(255, 240, 170, 150), (255, 240, 170, 0)])
        painter.polygon([(x, lamp), (x + side * 0.6, lamp - 0.12), (x + side * 0.6, lamp + 0.1)], beam)


def _paint_lighthouse(painter: Painter, hero: Hero) -> None:
    x, y, k, lit = hero.x, hero.y, hero.scale * 1.1, painter.lit
    dark = painter.scene.time != "day"
    lamp = y - 0.44 * k
    tower = closed_path([(x - 0.075 * k, y), (x + 0.075 * k, y), (x + 0.048 * k, y - 0.4 * k), (x - 0.048 * k, y - 0.4 * k)])
    painter.canvas.drawPath(tower, fill(lit((120, 124, 134) if painter.scene.colour == "white" else (244, 242, 236))))
    painter.canvas.save()
    painter.canvas.clipPath(tower, doAntiAlias=True)
    for stripe in range(3):
        painter.rectangle(x - 0.1, y - 0.1 * k - stripe * 0.135 * k, 0.2, 0.07 * k, fill(hero.colour))
    painter.rectangle(x + 0.012 * k, y - 0.5, 0.1, 0.55, fill((0, 0, 20), 46))
    painter.canvas.restore()
    painter.rectangle(x - 0.062 * k, y - 0.415 * k, 0.124 * k, 0.018 * k, fill(lit((60, 60, 70))))
    painter.rectangle(x - 0.034 * k, y - 0.475 * k, 0.068 * k, 0.062 * k, fill((255, 240, 160) if dark else lit((190, 220, 235))))
    painter.polygon([(x - 0.055 * k, y - 0.475 * k), (x + 0.055 * k, y - 0.475 * k), (x, y - 0.54 * k)], fill(hero.colour))
    if dark:
        painter.glow(x, lamp, 0.12, (255, 236, 150), 220)


def _paint_tent(painter: Painter, hero: Hero) -> None:
    x, y = hero.x, hero.y
    width, height = 0.36 * hero.scale, 0.24 * hero.scale
    dark = painter.scene.time != "day"
    painter.polygon([(x - width / 2, y), (x + width * 0.5, y), (x + width * 0.08, y - height)], fill(hero.dark))
    painter.polygon([(x - width / 2, y), (x + width * 0.28, y), (x + width * 0.02, y - height)], fill(hero.light))
    entrance = (255, 214, 120) if dark else shade(hero.colour, 0.4)
    painter.polygon([(x - width * 0.16, y), (x + width * 0.1, y), (x, y - height * 0.7)], fill(entrance))
    if dark:
        painter.glow(x, y - 0.05, 0.2, (255, 200, 100), 110)


def _paint_windmill(painter: Painter, hero: Hero) -> None:
    x, y, k, lit = hero.x, hero.y, hero.scale, painter.lit
    tower = [(x - 0.1 * k, y), (x + 0.1 * k, y), (x + 0.062 * k, y - 0.32 * k), (x - 0.062 * k, y - 0.32 * k)]
    painter.polygon(tower, horizontal(x - 0.1, x + 0.1, [hero.light, hero.dark]))
    painter.polygon([(x - 0.078 * k, y - 0.31 * k), (x + 0.078 * k, y - 0.31 * k), (x, y - 0.42 * k)], fill(lit((86, 58, 52))))
    painter.rectangle(x - 0.028 * k, y - 0.1 * k, 0.056 * k, 0.1 * k, fill(lit((74, 50, 40))))
    _paint_window(painter, x - 0.02 * k, y - 0.21 * k, 0.04 * k, 0.045 * k)
    turn = painter.uniform(0, 1.57)
    hub = y - 0.33 * k
    for wing in range(4):
        painter.canvas.save()
        painter.canvas.translate(x, hub)
        painter.canvas.rotate(degrees(turn + wing * pi / 2))
        painter.rectangle(0, -0.006, 0.22 * k, 0.012, fill(lit((96, 70, 56))))
        painter.rectangle(0.06 * k, -0.034, 0.15 * k, 0.03, fill(lit((246, 240, 226))))
        painter.canvas.restore()
    painter.disc(x, hub, 0.016, fill(lit((60, 44, 40))))


def _paint_tree(painter: Painter, hero: Hero) -> None:
    x, y, k = hero.x, hero.y, hero.scale
    height = 0.5 * k
    trunk = skia.Path()
    trunk.moveTo(x - 0.05 * k, y)
    trunk.quadTo(x - 0.02, y - height * 0.2, x - 0.022, y - height * 0.55)
    trunk.lineTo(x + 0.022, y - height * 0.55)
    trunk.quadTo(x + 0.02, y - height * 0.2, x + 0.055 * k, y)
    trunk.close()
    painter.canvas.drawPath(trunk, fill(painter.lit((104, 70, 50))))
    _paint_crown(painter, hero, height)


def _paint_crown(painter: Painter, hero: Hero, height: float) -> None:
    """Seventeen puffs in the hero's colour, brighter towards the last."""
    for index in range(17):
        angle, reach = painter.uniform(0, 6.28), painter.uniform(0, 0.15) * hero.scale
        x = hero.x + cos(angle) * reach * 1.25
        y = hero.y - height * 0.72 + sin(angle) * reach * 0.8
        painter.disc(x, y, painter.uniform(0.055, 0.085) * hero.scale, fill(shade(hero.colour, 0.74 + 0.36 * (index / 17))))


PAINTERS: dict[str, Callable[[Painter, Hero], None]] = {
    "house": _paint_house,
    "castle": _paint_castle,
    "lighthouse": _paint_lighthouse,
    "tent": _paint_tent,
    "windmill": _paint_windmill,
    "tree": _paint_tree,
}

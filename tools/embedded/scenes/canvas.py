"""The canvas scenes are painted on: colours, paints and simple shapes over skia.

The unit of coordinates is the short side, x to the right and y downwards: a square shows 0 to 1 both ways, a wide
picture the same height and land to both sides of it (192 x 128 pixels: x from -0.25 to 1.25), a tall one more sky and
some more ground. Colours are (r, g, b) in 0..255, fractions allowed; alpha is 0..255.
"""

import math
import random
from collections.abc import Sequence

import numpy as np
import skia

from tools.embedded.scenes.grammar import RGB, Scene

Point = tuple[float, float]
Colour = tuple[float, ...]
"""(r, g, b) or (r, g, b, alpha)."""

TAU = 6.2832
AMBIENT: dict[str, RGB] = {"day": (1, 1, 1), "sunset": (0.98, 0.74, 0.66), "night": (0.42, 0.46, 0.72)}
HAZE: dict[str, RGB] = {"day": (200, 224, 240), "sunset": (244, 150, 116), "night": (34, 42, 88)}
DULL_WEATHERS = ("rain", "cloudy", "fog", "snow")
SKY_SHARE = 0.7
"""Of what a tall picture shows beyond the square, so much lies above it; the rest is ground."""


def skia_colour(colour: Colour, alpha: float = 255) -> int:
    """skia's 32-bit colour; a fourth value of `colour` replaces `alpha`."""
    red, green, blue = (int(max(0, min(255, value))) for value in colour[:3])
    return skia.Color(red, green, blue, int(colour[3] if len(colour) > 3 else alpha))


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` (0..1) of `second` in it."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: RGB, factor: float | RGB) -> RGB:
    """`colour` times a factor, or times one factor per channel."""
    factors = factor if isinstance(factor, tuple) else (factor, factor, factor)
    red, green, blue = (value * k for value, k in zip(colour, factors, strict=True))
    return red, green, blue


def fill(colour: Colour, alpha: float = 255) -> skia.Paint:
    """Paint for an area of one colour."""
    return skia.Paint(AntiAlias=True, Color=skia_colour(colour, alpha))


def stroke(colour: Colour, width: float, alpha: float = 255, rounded: bool = False) -> skia.Paint:
    """Paint for a line."""
    paint = skia.Paint(AntiAlias=True, Color=skia_colour(colour, alpha), Style=skia.Paint.kStroke_Style, StrokeWidth=width)
    if rounded:
        paint.setStrokeCap(skia.Paint.kRound_Cap)
    return paint


def linear(start: Point, end: Point, colours: Sequence[Colour], stops: Sequence[float] | None = None) -> skia.Paint:
    """Paint with a gradient along the line from `start` to `end`."""
    shader = skia.GradientShader.MakeLinear([skia.Point(*start), skia.Point(*end)], [skia_colour(colour) for colour in colours], stops)
    return skia.Paint(AntiAlias=True, Shader=shader)


def vertical(top: float, bottom: float, colours: Sequence[Colour], stops: Sequence[float] | None = None) -> skia.Paint:
    """Paint with a gradient from y = `top` to y = `bottom`."""
    return linear((0, top), (0, bottom), colours, stops)


def horizontal(left: float, right: float, colours: Sequence[Colour]) -> skia.Paint:
    """Paint with a gradient from x = `left` to x = `right`."""
    return linear((left, 0), (right, 0), colours)


def radial(centre: Point, radius: float, colours: Sequence[Colour], stops: Sequence[float] | None = None) -> skia.Paint:
    """Paint with a gradient from `centre` outwards."""
    shader = skia.GradientShader.MakeRadial(skia.Point(*centre), radius, [skia_colour(colour) for colour in colours], stops)
    return skia.Paint(AntiAlias=True, Shader=shader)


def closed_path(points: Sequence[Point]) -> skia.Path:
    """A polygon."""
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    return path


def leaf_path(length: float, fatness: float) -> skia.Path:
    """A leaf along x from -length to length, around the origin."""
    path = skia.Path()
    path.moveTo(-length, 0)
    path.quadTo(0, -length * fatness, length, 0)
    path.quadTo(0, length * fatness, -length, 0)
    path.close()
    return path


class Painter:
    """A scene's canvas with its light, its random numbers and the places its parts agree on.

    `left`, `right`, `top` and `bottom` bound what is seen, `wide` and `tall` are its extents (1 for a square).
    `ground` is the y on which the hero stands, `horizon` the sea's, `body_x`, `body_y` the sun's or moon's place,
    `hero_x` and `hero_scale` the hero's; `hero_zoom` is how large heroes are for being near or far, and `hero_room` how
    much of the ground they take, both 1 for one hero in the middle ground; each is set by the part that is painted first.
    """

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self.scene = scene
        unit = min(width, height)
        self.wide, self.tall = width / unit, height / unit
        self.left, self.top = (1 - self.wide) / 2, (1 - self.tall) * SKY_SHARE
        self.right, self.bottom = self.left + self.wide, self.top + self.tall
        self.rng = random.Random(scene.seed * 7919 + 13)
        self.uniform = self.rng.uniform
        self.surface = skia.Surface(width, height)
        self.canvas = self.surface.getCanvas()
        self.canvas.scale(unit, unit)
        self.canvas.translate(-self.left, -self.top)
        self.ambient, self.haze = AMBIENT[scene.time], HAZE[scene.time]
        if scene.weather in DULL_WEATHERS and scene.time == "day":
            self.ambient, self.haze = (0.88, 0.9, 0.94), (206, 214, 222)
        self.ground = self.horizon = self.body_x = self.body_y = 0.0
        self.hero_x, self.hero_scale = 0.5, 1.0
        self.hero_zoom, self.hero_room = 1.0, 1.0
        self.glow_strength = 1.0

    def lit(self, colour: RGB) -> RGB:
        """`colour` under the scene's light."""
        return shade(colour, self.ambient)

    def anywhere(self, margin: float = 0) -> float:
        """A random x that is seen, at least `margin` from both sides."""
        return self.uniform(self.left + margin, self.right - margin)

    def many(self, count: int, tall: float = 1.0) -> int:
        """How many things to scatter where a square has `count`; give `tall` if they fill the height as well."""
        return round(count * self.wide * tall)

    def spread(self, index: int, count: int, low: float = 0.0, high: float = 1.0) -> float:
        """A random x in slot `index` of `count` equal ones from side to side, between two shares of the slot."""
        return self.left + (index + self.uniform(low, high)) / count * self.wide

    def across(self, top: float, height: float, paint: skia.Paint) -> None:
        """Paint a band from side to side."""
        self.rectangle(self.left, top, self.wide, height, paint)

    def stretched(self) -> None:
        """From here to the next restore of the canvas, the unit square covers all that is seen."""
        self.canvas.save()
        self.canvas.translate(self.left, self.top)
        self.canvas.scale(self.wide, self.tall)

    def polygon(self, points: Sequence[Point], paint: skia.Paint) -> None:
        """Paint a polygon."""
        self.canvas.drawPath(closed_path(points), paint)

    def rectangle(self, left: float, top: float, width: float, height: float, paint: skia.Paint) -> None:
        """Paint a rectangle."""
        self.canvas.drawRect(skia.Rect.MakeXYWH(left, top, width, height), paint)

    def disc(self, x: float, y: float, radius: float, paint: skia.Paint) -> None:
        """Paint a circle."""
        self.canvas.drawCircle(x, y, radius, paint)

    def oval(self, x: float, y: float, radius_x: float, radius_y: float, paint: skia.Paint) -> None:
        """Paint an ellipse."""
        self.canvas.drawOval(skia.Rect.MakeLTRB(x - radius_x, y - radius_y, x + radius_x, y + radius_y), paint)

    def line(self, start: Point, end: Point, paint: skia.Paint) -> None:
        """Paint a line."""
        self.canvas.drawLine(*start, *end, paint)

    def glow(self, x: float, y: float, radius: float, colour: RGB, alpha: float = 160) -> None:
        """Paint a soft light."""
        alpha *= self.glow_strength
        rings = [(*colour, alpha), (*colour, alpha * 0.35), (*colour, 0)]
        self.disc(x, y, radius, radial((x, y), radius, rings, [0, 0.4, 1]))

    def ridge(self, base: float, height: float, roughness: float, paint: skia.Paint, jagged: bool = False) -> tuple[list[Point], skia.Path]:
        """Paint hills from side to side, from y = `base` to the bottom: sums of sines, or of their peaks where `jagged`; returns crest and shape."""
        phases = [self.uniform(0, 6.28) for _ in range(6)]
        frequencies = (1.3, 2.7, 5.1, 9.7, 17, 31)
        crest = []
        steps = round(48 * self.wide)
        for index in range(steps + 1):
            x = self.left + index / steps * self.wide
            level = 0.0
            for octave in range(6 if jagged else 2):
                wave = math.sin(x * frequencies[octave] * 2.2 + phases[octave])
                level += (1 - 2 * abs(wave) if jagged else wave) * roughness**octave
            crest.append((x, base - height * level * 0.6))
        left, right, bottom = self.left - 0.01, self.right + 0.01, self.bottom + 0.01
        shape = closed_path([(left, bottom), (left, crest[0][1]), *crest, (right, crest[-1][1]), (right, bottom)])
        self.canvas.drawPath(shape, paint)
        return crest, shape

    def picture(self) -> np.ndarray:
        """What was painted so far: uint8 (height, width, 3)."""
        return np.ascontiguousarray(self.surface.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, :3])

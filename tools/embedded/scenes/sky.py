"""The sky: its colours by time of day, stars, sun or moon, clouds, birds."""

import skia

from tools.embedded.scenes.canvas import DULL_WEATHERS, Painter, fill, mix, shade, stroke, vertical
from tools.embedded.scenes.grammar import RGB

SKY: dict[str, list[RGB]] = {
    "day": [(70, 145, 228), (140, 198, 245), (222, 240, 250)],
    "sunset": [(66, 46, 118), (222, 96, 92), (255, 206, 118)],
    "night": [(8, 11, 40), (22, 30, 80), (58, 70, 130)],
}
CLOUD: dict[str, RGB] = {"day": (250, 250, 252), "sunset": (255, 176, 150), "night": (64, 72, 112)}
CLOUD_SHADOW_PUFFS = ((-0.9, 0.15, 0.42), (-0.35, -0.1, 0.6), (0.35, -0.02, 0.52), (0.9, 0.18, 0.36))
CLOUD_PUFFS = ((-0.9, 0.1, 0.4), (-0.35, -0.18, 0.56), (0.35, -0.1, 0.48), (0.9, 0.13, 0.34))
CRATERS = ((-0.02, -0.02, 0.016), (0.025, 0.01, 0.02), (-0.012, 0.032, 0.012))


def paint_sky(painter: Painter) -> None:
    """Paint everything above the land, and settle where the sun or moon stands."""
    scene = painter.scene
    colours = SKY[scene.time]
    if scene.time == "day" and scene.weather in DULL_WEATHERS:
        colours = [mix(colour, (186, 198, 210), 0.3 if scene.weather == "cloudy" else 0.55) for colour in colours]
    shift = painter.uniform(-0.06, 0.06)
    painter.across(painter.top, painter.tall, vertical(painter.top, 0.72, colours, [0, 0.55 + shift, 1]))
    if scene.stars:
        _paint_stars(painter)
    _place_body(painter)
    if scene.body == "sun":
        _paint_sun(painter)
    elif scene.body == "moon":
        _paint_moon(painter)
    elif scene.body == "crescent":
        _paint_crescent(painter)
    if scene.weather in ("cloudy", "rain"):
        _paint_clouds(painter)
    if "birds" in scene.extras:
        _paint_birds(painter)


def _paint_stars(painter: Painter) -> None:
    for _ in range(painter.many(70, painter.tall)):
        x, y = painter.anywhere(), painter.uniform(painter.top, 0.6)
        radius = painter.uniform(0.0022, 0.0062)
        painter.disc(x, y, radius, fill((255, 255, 240), int(painter.uniform(120, 255))))


def _place_body(painter: Painter) -> None:
    """The body stands away from the hero."""
    position = painter.scene.position
    if position == "right":
        place = painter.uniform(0.1, 0.34)
    elif position == "left":
        place = painter.uniform(0.66, 0.9)
    else:
        place = painter.rng.choice([painter.uniform(0.1, 0.3), painter.uniform(0.7, 0.9)])
    painter.body_x = painter.left + place * painter.wide
    painter.body_y = painter.uniform(0.12, 0.3) + painter.top * 0.6


def _paint_sun(painter: Painter) -> None:
    x = painter.body_x
    if painter.scene.time == "sunset":
        painter.body_y = painter.uniform(0.34, 0.5)
        painter.glow(x, painter.body_y, 0.5, (255, 190, 90), 190)
        painter.disc(x, painter.body_y, 0.082, fill((255, 236, 160)))
    else:
        painter.glow(x, painter.body_y, 0.34, (255, 250, 200), 220)
        painter.disc(x, painter.body_y, 0.07, fill((255, 236, 110)))


def _paint_moon(painter: Painter) -> None:
    x, y = painter.body_x, painter.body_y
    painter.glow(x, y, 0.32, (190, 205, 255), 130)
    painter.disc(x, y, 0.078, fill((250, 246, 222)))
    for across, down, radius in CRATERS:
        painter.disc(x + across, y + down, radius, fill((222, 216, 190)))


def _paint_crescent(painter: Painter) -> None:
    x, y = painter.body_x, painter.body_y
    painter.glow(x, y, 0.26, (190, 205, 255), 100)
    full, shadow = skia.Path(), skia.Path()
    full.addCircle(x, y, 0.075)
    shadow.addCircle(x + 0.036, y - 0.018, 0.068)
    painter.canvas.drawPath(skia.Op(full, shadow, skia.kDifference_PathOp), fill((252, 246, 214)))


def _paint_clouds(painter: Painter) -> None:
    rainy = painter.scene.weather == "rain"
    count = painter.many(7 if rainy else 5, painter.tall)
    colour = CLOUD[painter.scene.time]
    if rainy:
        colour = mix(colour, (96, 104, 120), 0.6)
    for index in range(count):
        x = painter.spread(index, count, 0.1, 0.9)
        y = painter.uniform(painter.top + 0.06, 0.34)
        width = painter.uniform(0.07, 0.12)
        for across, down, radius in CLOUD_SHADOW_PUFFS:
            painter.disc(x + across * width, y + down * width + 0.1 * width, radius * width, fill(shade(colour, 0.84)))
        for across, down, radius in CLOUD_PUFFS:
            painter.disc(x + across * width, y + down * width, radius * width, fill(colour))


def _paint_birds(painter: Painter) -> None:
    for _ in range(painter.many(painter.rng.randint(4, 7), painter.tall)):
        x, y, wing = painter.anywhere(0.15), painter.uniform(painter.top + 0.08, 0.38), painter.uniform(0.022, 0.038)
        path = skia.Path()
        path.moveTo(x - wing, y - wing * 0.35)
        path.quadTo(x - wing * 0.4, y - wing * 0.6, x, y)
        path.quadTo(x + wing * 0.4, y - wing * 0.6, x + wing, y - wing * 0.35)
        painter.canvas.drawPath(path, stroke((36, 34, 46), 0.009, rounded=True))

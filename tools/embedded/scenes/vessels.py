"""Heroes that float: the hot-air balloon and the sailing boat."""

import skia

from tools.embedded.scenes.canvas import Painter, Point, fill, mix, radial, shade, stroke
from tools.embedded.scenes.grammar import RGB


def paint_boat(painter: Painter, place: Point, scale: float, colour: RGB, light: RGB) -> None:
    """A sailing boat on the sea a little below `place`, hull in `colour`, one sail white and one `light`."""
    lit = painter.lit
    x, y, width = place[0], place[1] + painter.uniform(0.04, 0.12), 0.34 * scale
    main = mix(lit((250, 248, 240)), (255, 255, 255), 0.1)
    painter.polygon([(x - 0.01, y - 0.02), (x - 0.01, y - 0.36 * scale), (x - width * 0.46, y - 0.05)], fill(main))
    painter.polygon([(x + 0.012, y - 0.02), (x + 0.012, y - 0.33 * scale), (x + width * 0.4, y - 0.05)], fill(light))
    painter.line((x, y), (x, y - 0.38 * scale), stroke(lit((90, 64, 50)), 0.012))
    hull = skia.Path()
    hull.moveTo(x - width * 0.52, y - 0.03)
    hull.lineTo(x + width * 0.56, y - 0.03)
    hull.quadTo(x + width * 0.42, y + 0.06, x + width * 0.3, y + 0.06)
    hull.lineTo(x - width * 0.34, y + 0.06)
    hull.quadTo(x - width * 0.48, y + 0.05, x - width * 0.52, y - 0.03)
    hull.close()
    painter.canvas.drawPath(hull, fill(colour))
    painter.rectangle(x - width * 0.5, y - 0.03, width * 1.03, 0.016, fill(shade(colour, 0.65)))
    foam = fill(mix(lit((210, 230, 240)), painter.haze, 0.3), 150)
    for index in range(4):
        painter.oval(x + painter.uniform(-0.1, 0.1), y + 0.068 + index * 0.016, 0.12 - index * 0.02, 0.006, foam)


def _envelope(x: float, y: float, radius: float) -> skia.Path:
    path = skia.Path()
    path.moveTo(x - radius, y)
    path.cubicTo(x - radius, y - radius * 1.34, x + radius, y - radius * 1.34, x + radius, y)
    path.cubicTo(x + radius, y + radius * 0.6, x + radius * 0.4, y + radius * 0.9, x + radius * 0.3, y + radius * 1.2)
    path.lineTo(x - radius * 0.3, y + radius * 1.2)
    path.cubicTo(x - radius * 0.4, y + radius * 0.9, x - radius, y + radius * 0.6, x - radius, y)
    path.close()
    return path


def paint_balloon(painter: Painter, place: Point, scale: float, colour: RGB) -> None:
    """A striped hot-air balloon in the sky around `place`."""
    lit = painter.lit
    x, y, radius = place[0], place[1] + painter.uniform(-0.05, 0.05), 0.155 * scale
    for rope in (-1, -0.4, 0.4, 1):
        painter.line((x + rope * radius * 0.42, y + radius * 0.9), (x + rope * 0.03, y + radius * 1.72), stroke(lit((70, 54, 48)), 0.005))
    envelope = _envelope(x, y, radius)
    painter.canvas.drawPath(envelope, fill(colour))
    painter.canvas.save()
    painter.canvas.clipPath(envelope, doAntiAlias=True)
    stripe = lit((170, 178, 196)) if painter.scene.colour == "white" else mix(lit((252, 246, 230)), colour, 0.12)
    for across, width in ((-0.62, 0.2), (0, 0.24), (0.62, 0.2)):
        painter.oval(x + across * radius, y + 0.04, radius * width, radius * 1.5, fill(stripe))
    shadow = radial((x - radius * 0.3, y - radius * 0.4), radius * 2, [(0, 0, 20, 0), (0, 0, 20, 110)])
    painter.disc(x + radius * 0.55, y + radius * 0.2, radius * 1.3, shadow)
    painter.canvas.restore()
    painter.rectangle(x - 0.034, y + radius * 1.68, 0.068, 0.052, fill(lit((146, 100, 60))))
    painter.rectangle(x - 0.038, y + radius * 1.68, 0.076, 0.014, fill(lit((100, 66, 42))))
    if painter.scene.time == "night":
        painter.glow(x, y + radius * 0.9, radius * 1.1, (255, 190, 90), 110)

"""The scene grammar: what a picture contains, drawn from weighted tables with a seed.

A scene is a plain record; the same record is drawn by `draw.render` and described by `captions.describe`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

TIMES = ("day", "sunset", "night")
LANDS = ("forest", "mountains", "sea", "desert", "meadow", "winter", "city")
HEROES = ("house", "castle", "lighthouse", "tent", "boat", "balloon", "windmill", "tree", "none")
POSITIONS = ("left", "center", "right")
BODIES = ("sun", "moon", "crescent", "none")
WEATHERS = ("clear", "cloudy", "snow", "rain", "fog")
EXTRAS = ("mushrooms", "leaves", "fireflies", "birds", "flowers")
FRAMES = ("none", "cave", "leaves", "window", "room", "picture")
COUNTS = (1, 2, 3)
DEPTHS = ("near", "middle", "far")

RGB = tuple[float, float, float]

COLOURS: dict[str, RGB] = {
    "red": (214, 48, 49),
    "orange": (240, 132, 40),
    "yellow": (246, 206, 62),
    "green": (58, 158, 88),
    "blue": (52, 110, 214),
    "purple": (138, 72, 190),
    "pink": (240, 130, 176),
    "white": (240, 238, 232),
}

TIME_WEIGHTS = {"day": 4, "sunset": 3, "night": 4}
LAND_WEIGHTS = {"forest": 6, "mountains": 4, "sea": 5, "desert": 3, "meadow": 4, "winter": 3, "city": 3}
WEATHER_WEIGHTS = {"clear": 7, "cloudy": 3, "snow": 1, "rain": 1, "fog": 1}
FRAME_WEIGHTS = {"none": 20, "cave": 0.5, "leaves": 0.5, "window": 0.5, "room": 0.6, "picture": 0.6}
POSITION_WEIGHTS = {"left": 1, "center": 2, "right": 1}
BODY_WEIGHTS: dict[str, dict[str, float]] = {
    "day": {"sun": 3, "none": 2},
    "sunset": {"sun": 3, "none": 2},
    "night": {"moon": 3, "crescent": 2, "none": 2},
}
HERO_WEIGHTS: dict[str, dict[str, int]] = {
    "sea": {"boat": 5, "lighthouse": 4, "balloon": 2, "none": 2, "castle": 1, "house": 1},
    "city": {"balloon": 4, "none": 3, "tree": 1, "house": 2},
    "desert": {"tent": 5, "castle": 2, "balloon": 2, "none": 2, "house": 1, "tree": 1},
}
OTHER_HERO_WEIGHTS = {"house": 7, "castle": 2, "tent": 2, "balloon": 2, "windmill": 2, "tree": 1, "none": 2}
COUNT_WEIGHTS = {"1": 81, "2": 12, "3": 7}
DEPTH_WEIGHTS = {"near": 12, "middle": 74, "far": 14}
"""Near is only where there is one hero: two would not fit."""

NIGHT_FOREST_SHARE = 0.10
"""Share of scenes that show a house in a night forest with glowing mushrooms: the app's first example."""


@dataclass(frozen=True)
class Scene:
    """Everything that is in one picture; `seed` also fixes the positions of all its parts.

    `count` heroes of one kind and colour stand side by side; `depth` is how far away they are.
    """

    seed: int
    time: str = "day"
    land: str = "meadow"
    hero: str = "house"
    colour: str = "red"
    position: str = "center"
    body: str = "none"
    stars: bool = False
    weather: str = "clear"
    extras: tuple[str, ...] = ()
    frame: str = "none"
    count: int = 1
    depth: str = "middle"


def _pick(rng: random.Random, weights: Mapping[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _pick_weather(rng: random.Random, land: str) -> str:
    weather = _pick(rng, WEATHER_WEIGHTS)
    if land == "winter" and weather == "rain":
        return "snow"
    if land == "desert" and weather in ("snow", "rain"):
        return "clear"
    return weather


def _pick_body(rng: random.Random, time: str, weather: str) -> str:
    body = _pick(rng, BODY_WEIGHTS[time])
    hidden = weather in ("rain", "fog", "snow") and rng.random() < 0.6
    return "none" if hidden else body


def _pick_extras(rng: random.Random, time: str, land: str) -> tuple[str, ...]:
    extras = []
    if land in ("forest", "meadow", "mountains"):
        if rng.random() < (0.4 if land == "forest" else 0.15):
            extras.append("mushrooms")
        if rng.random() < 0.25:
            extras.append("leaves")
        if time == "night" and rng.random() < 0.3:
            extras.append("fireflies")
        if time != "night" and land != "forest" and rng.random() < 0.35:
            extras.append("flowers")
    if time != "night" and rng.random() < 0.2:
        extras.append("birds")
    return tuple(extras)


def _placed(rng: random.Random, scene: Scene) -> Scene:
    """The scene with a number of heroes and their distance."""
    if scene.hero == "none":
        return scene
    count, depth = int(_pick(rng, COUNT_WEIGHTS)), _pick(rng, DEPTH_WEIGHTS)
    return replace(scene, count=count, depth="middle" if depth == "near" and count > 1 else depth)


def _night_forest(rng: random.Random, seed: int) -> Scene:
    body = _pick(rng, {"moon": 3, "crescent": 2, "none": 4})
    extras = ["mushrooms"]
    if rng.random() < 0.7:
        extras.append("leaves")
    if rng.random() < 0.15:
        extras.append("fireflies")
    return Scene(
        seed=seed,
        time="night",
        land="forest",
        hero="house",
        colour=rng.choice(list(COLOURS)),
        position=_pick(rng, POSITION_WEIGHTS),
        body=body,
        stars=rng.random() < 0.6,
        extras=tuple(extras),
    )


def sample_scene(seed: int) -> Scene:
    """Draw the scene of `seed`: equal seeds give equal scenes, on any machine."""
    rng = random.Random(seed)
    if rng.random() < NIGHT_FOREST_SHARE:
        return _placed(rng, _night_forest(rng, seed))
    time = _pick(rng, TIME_WEIGHTS)
    land = _pick(rng, LAND_WEIGHTS)
    hero = _pick(rng, HERO_WEIGHTS.get(land, OTHER_HERO_WEIGHTS))
    weather = _pick_weather(rng, land)
    body = _pick_body(rng, time, weather)
    stars = time == "night" and weather in ("clear", "snow") and rng.random() < 0.7
    scene = Scene(
        seed=seed,
        time=time,
        land=land,
        hero=hero,
        colour=rng.choice(list(COLOURS)),
        position=_pick(rng, POSITION_WEIGHTS),
        body=body,
        stars=stars,
        weather=weather,
        extras=_pick_extras(rng, time, land),
        frame=_pick(rng, FRAME_WEIGHTS),
    )
    return _placed(rng, scene)

"""Captions in tags, as on picture boards: "red_house, meadow, sunset, on_the_left, birds, no_humans"."""

import random

from tools.embedded.scenes.grammar import Scene
from tools.embedded.scenes.words import FRAME_PHRASES, PHRASES, plural

TAGS: dict[str, tuple[str, ...]] = {
    "day": ("day", "blue sky", "daylight"),
    "sunset": ("sunset", "orange sky", "evening", "dusk"),
    "night": ("night", "night sky", "dark"),
    "forest": ("forest", "trees", "woods"),
    "mountains": ("mountains", "mountain"),
    "sea": ("sea", "ocean", "water"),
    "desert": ("desert", "sand"),
    "meadow": ("meadow", "grass", "field", "hills"),
    "winter": ("winter", "snowy hills"),
    "city": ("city", "skyline", "skyscrapers"),
    "left": ("left", "on the left", "left side"),
    "center": ("center", "in the center"),
    "right": ("right", "on the right", "right side"),
    "near": ("close up", "big", "foreground"),
    "far": ("far away", "distant", "in the distance", "small"),
    "2": ("two", "2"),
    "3": ("three", "3"),
}
FILLERS = ("no humans", "scenery", "simple background", "outdoors", "landscape", "nature")
"""Tags that say nothing; every scene may have them."""


def _hero_tags(scene: Scene, rng: random.Random) -> list[str]:
    """The hero with number and colour, how near it is and where."""
    noun = rng.choice(PHRASES[scene.hero])
    words = [scene.colour] if rng.random() < 0.75 else []
    if scene.count > 1:
        noun, words = plural(noun), [rng.choice(TAGS[str(scene.count)]), *words]
    tags = [" ".join([*words, noun])]
    if scene.depth != "middle" and rng.random() < 0.85:
        tags.append(rng.choice(TAGS[scene.depth]))
    if rng.random() < (0.75 if scene.position != "center" else 0.25):
        tags.append(rng.choice(TAGS[scene.position]))
    return tags


def tagged(scene: Scene, rng: random.Random) -> str:
    """Tags of `scene`, the hero's first, one caption in three with underscores for spaces."""
    tags = _hero_tags(scene, rng) if scene.hero != "none" else []
    rest = [rng.choice(TAGS[scene.land])]
    if rng.random() < 0.95:
        rest.append(rng.choice(TAGS[scene.time]))
    names = [scene.body, scene.weather if scene.weather != "clear" else "none", "stars" if scene.stars else "none", *scene.extras]
    rest += [rng.choice(PHRASES[name]) for name in names if name != "none" and rng.random() < 0.9]
    if scene.frame != "none":
        rest.append(rng.choice(FRAME_PHRASES[scene.frame]))
    rest += rng.sample(FILLERS, rng.choice((0, 1, 1, 2)))
    if rng.random() < 0.5:
        rng.shuffle(rest)
    text = ", ".join(tags + rest)
    return text.replace(" ", "_").replace(",_", ", ") if rng.random() < 0.35 else text

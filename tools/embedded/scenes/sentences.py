"""Captions in whole sentences: "a red house stands on the left of a meadow at sunset, with birds"."""

import random

from tools.embedded.scenes.grammar import Scene
from tools.embedded.scenes.words import FAR_PLACES, FAR_WORDS, FRAME_PHRASES, NEAR_PLACES, NEAR_WORDS, NUMBERS, PHRASES, plural

VERBS = {"boat": ("sails", "is"), "balloon": ("flies", "floats", "is"), "tree": ("stands", "grows", "is")}
OTHER_VERBS = ("stands", "stands", "is")
PLACES: dict[str, tuple[str, ...]] = {
    "forest": ("a forest", "the woods", "the forest"),
    "mountains": ("the mountains", "snowy mountains"),
    "sea": ("the sea", "the ocean"),
    "desert": ("the desert", "a desert"),
    "meadow": ("a meadow", "a green meadow", "a field"),
    "winter": ("a winter landscape", "a snowy landscape"),
    "city": ("the city", "a city"),
}
TIMES: dict[str, tuple[str, ...]] = {
    "day": ("on a sunny day", "on a bright day", "in daylight", "by day", "under a blue sky"),
    "sunset": ("at sunset", "at dusk", "in the evening", "at sunrise", "under an orange sky"),
    "night": ("at night", "in the dark night", "at midnight", "late at night", "under the night sky"),
}
WEATHERS: dict[str, tuple[str, ...]] = {
    "cloudy": ("with clouds in the sky", "under a cloudy sky"),
    "snow": ("in falling snow", "while snow is falling"),
    "rain": ("in the rain", "while it is raining"),
    "fog": ("in the fog", "in the mist"),
}
SENTENCES = [*PLACES.values(), *TIMES.values(), *WEATHERS.values(), *VERBS.values(), OTHER_VERBS]


def hero_noun(scene: Scene, rng: random.Random) -> str:
    """The scene's hero with article or number, size and colour; sizes and colours are sometimes left out."""
    noun = rng.choice(PHRASES[scene.hero])
    words = [scene.colour] if rng.random() < 0.7 else []
    article = rng.choice(("a", "the", "a", ""))
    if scene.depth != "middle" and rng.random() < 0.5:
        words.insert(0, rng.choice(NEAR_WORDS if scene.depth == "near" else FAR_WORDS))
    if scene.count > 1:
        return " ".join([rng.choice(NUMBERS[scene.count]), *words, plural(noun)])
    if article == "a" and (words or [noun])[0][0] in "aeiou":
        article = "an"
    return " ".join(word for word in (article, *words, noun) if word)


def _spot(scene: Scene, rng: random.Random) -> str:
    """Where in the picture and in which landscape the hero is."""
    place = rng.choice(PLACES[scene.land])
    if scene.position != "center" and rng.random() < 0.6:
        return rng.choice(("on the {0} of {1}", "on the {0} in {1}", "to the {0} in {1}", "on the {0} side of {1}")).format(scene.position, place)
    if scene.land == "sea":
        return ("on " if scene.hero == "boat" else "over " if scene.hero == "balloon" else "by ") + place
    return ("over " if scene.hero == "balloon" and rng.random() < 0.6 else "in ") + place


def _with(scene: Scene, rng: random.Random) -> str:
    """Sun or moon, stars and extras: most of them, joined with "and"."""
    names = [name for name in (scene.body, *(("stars",) if scene.stars else ()), *scene.extras) if name != "none"]
    told = [rng.choice(PHRASES[name]) for name in names if rng.random() < 0.88]
    if len(told) > 1:
        told[-2:] = [f"{told[-2]} and {told[-1]}"]
    return ", with " + ", ".join(told) if told else ""


def sentence(scene: Scene, rng: random.Random) -> str:
    """One sentence about `scene`."""
    if scene.hero == "none":
        start = [rng.choice(PLACES[scene.land])]
    else:
        verb = rng.choice(VERBS.get(scene.hero, OTHER_VERBS))
        if scene.count > 1:
            verb = {"is": "are", "flies": "fly"}.get(verb, verb.removesuffix("s"))
        start = [hero_noun(scene, rng), verb]
        if scene.depth != "middle" and rng.random() < 0.5:
            start.append(rng.choice(NEAR_PLACES if scene.depth == "near" else FAR_PLACES))
        start.append(_spot(scene, rng))
    if rng.random() < 0.94:
        start.append(rng.choice(TIMES[scene.time]))
    if scene.weather != "clear" and rng.random() < 0.92:
        start.append(rng.choice(WEATHERS[scene.weather]))
    frame = ", " + rng.choice(FRAME_PHRASES[scene.frame]) if scene.frame != "none" else ""
    return " ".join(start) + _with(scene, rng) + frame

"""What is said about a scene: the rules that put a caption together from phrases."""

import random

from tools.embedded.scenes.grammar import HEROES, Scene
from tools.embedded.scenes.sentences import SENTENCES, hero_noun, sentence
from tools.embedded.scenes.tags import FILLERS, TAGS, tagged
from tools.embedded.scenes.words import (
    AT_TIMES,
    FAR_PLACES,
    FAR_WORDS,
    FRAME_PHRASES,
    JOINING,
    JUNK,
    LEFT_RIGHT,
    NEAR_PLACES,
    NEAR_WORDS,
    NEGATIVE,
    NUMBERS,
    PHRASES,
    STYLE_PHRASES,
    STYLE_TRIGGERS,
    plural,
)

TAGGED, IN_SENTENCES = 0.16, 0.16
"""Shares of captions in tags and in whole sentences."""


def _hero_phrase(scene: Scene, rng: random.Random) -> str:
    phrase = hero_noun(scene, rng)
    if rng.random() < 0.4:
        if scene.position != "center":
            phrase += rng.choice(LEFT_RIGHT).format(scene.position)
        elif rng.random() < 0.4:
            phrase += rng.choice((" in the center", " in the center", " in the middle"))
    return phrase


def _subject(scene: Scene, rng: random.Random) -> list[str]:
    """The phrases that open the caption: hero and landscape, joined or apart."""
    land = rng.choice(PHRASES[scene.land])
    if scene.hero == "none":
        return [land]
    hero = _hero_phrase(scene, rng)
    if scene.depth != "middle" and rng.random() < 0.45:
        hero += (", " if rng.random() < 0.3 else " ") + rng.choice(NEAR_PLACES if scene.depth == "near" else FAR_PLACES)
    if rng.random() < 0.35:
        return [hero, land]
    joint = " " if land.split()[0] in JOINING else rng.choice((" with ", " and "))
    return [hero + joint + land]


def _details(scene: Scene, rng: random.Random) -> list[str]:
    """Phrases for everything but hero, landscape and time; most of what is there is said."""
    details = []
    if scene.body != "none" and rng.random() < 0.85:
        details.append(rng.choice(PHRASES[scene.body]))
    if scene.stars and rng.random() < 0.7:
        details.append(rng.choice(PHRASES["stars"]))
    if scene.weather != "clear" and rng.random() < 0.92:
        details.append(rng.choice(PHRASES[scene.weather]))
    details += [rng.choice(PHRASES[extra]) for extra in scene.extras if rng.random() < 0.94]
    if scene.frame != "none":
        details.append(rng.choice(FRAME_PHRASES[scene.frame]))
    if rng.random() < 0.1:
        details.append(rng.choice(STYLE_PHRASES))
    return details


def _listed(scene: Scene, rng: random.Random) -> str:
    """Phrases with commas between them: the way prompts are written most."""
    subject = _subject(scene, rng)
    time = rng.choice(PHRASES[scene.time])
    told = rng.random() >= 0.08
    rest = _details(scene, rng)
    if told and rng.random() < 0.15:
        subject[0] += " at " + time if time in AT_TIMES else ", " + time
    elif told:
        rest.insert(0, time)
    if rng.random() < 0.6:
        rng.shuffle(rest)
    if rng.random() < 0.35:
        rest += rng.sample(JUNK, rng.randint(1, 7))
    return ", ".join(subject + rest)


def describe(scene: Scene, variant: int) -> str:
    """One of many captions of `scene`, as phrases, in a sentence or in tags; equal arguments give equal captions."""
    rng = random.Random(scene.seed * 31 + variant)
    way = random.Random(f"{scene.seed} {variant}").random()
    if way < TAGGED:
        return tagged(scene, rng)
    if way < TAGGED + IN_SENTENCES:
        return sentence(scene, rng)
    return _listed(scene, rng)


def styled(caption: str, style: str, variant: int) -> str:
    """`caption` with the trigger of `style` before it (three times in four) or behind it; flat has none."""
    if style not in STYLE_TRIGGERS:
        return caption
    trigger = STYLE_TRIGGERS[style]
    behind = random.Random(f"{caption}|{variant}").random() < 0.25
    return ", ".join(part for part in ((caption, trigger) if behind else (trigger, caption)) if part)


def describe_nothing(variant: int) -> str:
    """A caption without a scene: empty, or words of a negative prompt."""
    rng = random.Random(variant)
    if rng.random() < 0.6:
        return ""
    return ", ".join(rng.sample(NEGATIVE, rng.randint(1, 6)))


def all_phrases() -> list[str]:
    """Every phrase the captions are made of, for the tokenizer and its tests."""
    tables = [*PHRASES.values(), *FRAME_PHRASES.values(), *NUMBERS.values(), *SENTENCES, *TAGS.values()]
    heroes = [plural(noun) for hero in HEROES if hero != "none" for noun in PHRASES[hero]]
    single = [*NEAR_WORDS, *NEAR_PLACES, *FAR_WORDS, *FAR_PLACES, *STYLE_PHRASES, *STYLE_TRIGGERS.values(), *FILLERS, *JUNK, *NEGATIVE]
    sides = [place.strip().format(side) for place in LEFT_RIGHT for side in ("left", "right")] + ["in the center", "in the middle"]
    return [phrase for table in tables for phrase in table] + heroes + single + sides

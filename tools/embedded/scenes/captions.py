"""What is said about a scene: tables of phrases and the rules that put a caption together."""

import random

from tools.embedded.scenes.grammar import Scene

PHRASES: dict[str, tuple[str, ...]] = {
    "day": ("day", "daylight", "daytime", "sunny day", "bright day", "noon", "morning", "blue sky"),
    "sunset": ("sunset", "at sunset", "golden hour", "dusk", "evening", "orange sky", "twilight", "sunrise"),
    "night": ("night", "dark night", "at night", "midnight", "night time", "dark", "late night", "night sky"),
    "forest": ("in the forest", "in a forest", "in the woods", "among the trees", "forest", "deep in the forest", "trees"),
    "mountains": ("in the mountains", "mountains in the background", "under the mountains", "mountains", "snowy peaks"),
    "sea": ("by the sea", "on the sea", "at the ocean", "sea", "ocean", "on the water", "by the ocean"),
    "desert": ("in the desert", "desert", "sand dunes", "among the dunes"),
    "meadow": ("in a meadow", "on green hills", "on a hill", "meadow", "in the countryside", "in a field", "green grass"),
    "winter": ("in the snow", "winter landscape", "snowy hills", "in winter", "in a snowy landscape"),
    "city": ("in the city", "city skyline", "in front of skyscrapers", "city", "downtown", "over the city"),
    "house": ("house", "cottage", "cabin", "home", "house", "house", "hut"),
    "castle": ("castle", "palace", "fortress", "castle"),
    "lighthouse": ("lighthouse",),
    "tent": ("tent", "camping tent"),
    "boat": ("boat", "sailboat", "sailing boat", "ship"),
    "balloon": ("hot air balloon", "balloon", "hot-air balloon"),
    "windmill": ("windmill", "mill"),
    "tree": ("big tree", "lonely tree", "tree", "old tree"),
    "sun": ("sun", "the sun in the sky", "sun shining", "bright sun"),
    "moon": ("full moon", "moon", "moonlight", "the moon"),
    "crescent": ("crescent moon", "new moon", "moon crescent"),
    "stars": ("stars", "starry sky", "starry night", "stars in the sky"),
    "cloudy": ("clouds", "cloudy", "cloudy sky"),
    "snow": ("snowing", "snowfall", "falling snow"),
    "rain": ("rain", "rainy", "raining"),
    "fog": ("fog", "foggy", "mist", "misty"),
    "mushrooms": ("fluorescent mushrooms", "glowing mushrooms", "mushrooms", "fluorescent mushrooms", "glowing mushroom"),
    "leaves": ("leaves in the air", "falling leaves", "flying leaves", "leaves"),
    "fireflies": ("fireflies", "glowing fireflies"),
    "birds": ("birds", "birds in the sky", "flying birds"),
    "flowers": ("flowers", "colorful flowers", "wildflowers"),
}

FRAME_PHRASES: dict[str, tuple[str, ...]] = {
    "cave": ("seen from a cave", "view from inside a cave", "through a cave mouth"),
    "leaves": ("framed by leaves", "through a ring of leaves", "surrounded by leaves"),
    "window": ("seen through a round window", "through a window", "round window"),
}

STYLE_PHRASES = ("flat illustration", "vector art", "illustration", "flat style")

STYLE_TRIGGERS = {"watercolour": "watercolour painting", "pixel": "pixel art", "ink": "ink sketch", "neon": "neon glow art"}
"""What asks for a style, and is in the metadata of the checkpoint or LoRA that draws it."""

JUNK = (
    "masterpiece", "best quality", "highly detailed", "very detailed", "clear focus", "very coherent", "contrast",
    "vibrant", "digital painting", "4k", "8k", "beautiful", "digital art", "trending on artstation", "concept art",
    "intricate", "sharp focus", "cinematic lighting", "ultra detailed", "award winning", "dreamy", "fantasy", "hd",
    "wallpaper", "professional", "scenic", "cinematic", "high contrast", "vibrant colors", "magical", "painting",
    "picture", "photo", "realistic", "amazing", "stunning", "landscape", "atmospheric", "detailed", "coherent",
)  # fmt: skip
"""Words people add to prompts that say nothing about a scene; the model must bear them."""

NEGATIVE = (
    "blurry", "low quality", "worst quality", "lowres", "ugly", "deformed", "watermark", "text", "signature", "bad anatomy",
    "noise", "jpeg artifacts", "cropped", "out of frame", "grainy", "distorted", "low resolution", "bad", "disfigured", "error",
)  # fmt: skip
"""Words of usual negative prompts: they stand for the empty caption now and then, so that both guide alike."""

JOINING = ("in", "on", "by", "at", "under", "among", "over", "deep")
"""A landscape phrase that starts with one of these follows the hero without "with" or "and"."""

AT_TIMES = ("sunset", "night", "midnight", "dusk", "noon", "twilight", "sunrise")


def _hero_phrase(scene: Scene, rng: random.Random) -> str:
    noun = rng.choice(PHRASES[scene.hero])
    colour = scene.colour + " " if rng.random() < 0.7 else ""
    article = rng.choice(("a ", "the ", "a ", ""))
    if article == "a " and (colour or noun)[0] in "aeiou":
        article = "an "
    phrase = article + colour + noun
    if rng.random() < 0.4:
        if scene.position != "center":
            phrase += rng.choice((" on the ", " at the ")) + scene.position
        elif rng.random() < 0.4:
            phrase += " in the center"
    return phrase


def _subject(scene: Scene, rng: random.Random) -> list[str]:
    """The phrases that open the caption: hero and landscape, joined or apart."""
    land = rng.choice(PHRASES[scene.land])
    if scene.hero == "none":
        return [land]
    hero = _hero_phrase(scene, rng)
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


def describe(scene: Scene, variant: int) -> str:
    """One of many captions of `scene`; equal arguments give equal captions."""
    rng = random.Random(scene.seed * 31 + variant)
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
    tables = [*PHRASES.values(), *FRAME_PHRASES.values()]
    return [phrase for table in tables for phrase in table] + [*STYLE_PHRASES, *JUNK, *NEGATIVE]

"""The words captions are made of: phrases for everything a scene may have, and words that say nothing about it."""

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
    "room": ("seen from a room", "view from a window", "window of a room with curtains", "seen from inside a room"),
    "picture": ("picture in a frame", "framed picture on a wall", "painting on a wall", "picture on the wall"),
}

NUMBERS = {2: ("two", "two", "a pair of", "2"), 3: ("three", "three", "a group of", "3")}

NEAR_WORDS = ("big", "large", "huge", "near")
NEAR_PLACES = ("up close", "in the foreground", "near", "close up")
FAR_WORDS = ("small", "tiny", "distant", "little")
FAR_PLACES = ("in the distance", "far away", "in the background", "on the horizon", "far off")

LEFT_RIGHT = (" on the {}", " on the {}", " at the {}", " on the {} side", " to the {}", " at the {} side")

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


def plural(noun: str) -> str:
    """More than one of a hero."""
    return noun + ("es" if noun.endswith("s") else "s")

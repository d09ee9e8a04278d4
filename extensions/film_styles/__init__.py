"""Four styles that look like photographic processes."""

from app.extensions import hook

STYLES = {
    "Film: slide": ("{prompt}, colour slide film, saturated colours, deep blues, fine grain, crisp light", "faded, black and white, drawing"),
    "Film: negative": ("{prompt}, colour negative film, warm skin tones, soft contrast, gentle grain", "oversaturated, drawing"),
    "Film: black and white": ("{prompt}, black and white photograph, silver gelatin print, visible grain, rich greys", "colour, drawing"),
    "Film: instant": ("{prompt}, instant photograph, faded colours, soft focus, flash, slight vignette", "sharp, high contrast, drawing"),
}


@hook
def register_styles(styles):
    for name, (prompt, negative_prompt) in STYLES.items():
        styles.add(name, prompt, negative_prompt)

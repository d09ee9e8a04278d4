"""Choices in prompts: of `a {red|green|blue} house` one is drawn, by the seed, so the same seed makes the same choice.

Choices may stand in choices, and an empty one is allowed. Prompts without `{a|b}` stay as they are.
"""

import random
import re

from app.extensions import hook

CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")


def draw(text, dice):
    """The text with every choice made, the innermost first."""
    count = 1
    while count:
        text, count = CHOICE.subn(lambda match: dice.choice(match[1].split("|")).strip(), text)
    return text


@hook
def change_request(request):
    if not (CHOICE.search(request.prompt) or CHOICE.search(request.negative_prompt)):
        return None
    dice = random.Random(request.seed)
    return request.model_copy(update={"prompt": draw(request.prompt, dice), "negative_prompt": draw(request.negative_prompt, dice)})

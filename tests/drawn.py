"""Random requests over all fields, derived from what the fields declare: a new field is drawn from the day it is there."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from app.request import TASKS, AnyRequest, parse

PROMPTS = (
    "a house in the forest", "(a house:1.3), [cat]", "[a house:the night:0.5]", "a [cat|house] at night", "a house BREAK the forest", "a house AND a cat :0.5",
    "", "日本 é \"cat\", a: b", "a house,\nthe night", "((cat)), \\(a house\\)", "Steps: a house, the: cat",
)  # fmt: skip
CHEAP: dict[str, tuple[Any, ...]] = {
    "steps": (1, 2, 3), "width": (64, 72, None), "height": (64, None), "left": (0, 8), "right": (8, 16), "up": (0, 8), "down": (0,), "batch_size": (1, 1, 2),
    "batch_count": (1,), "hr_second_pass_steps": (0, 1, 2), "hr_scale": (1.0, 1.05, 1.25), "hr_resize_x": (0, 72, 80), "hr_resize_y": (0, 72), "keys": (2,),
    "fps": (4,), "seconds": (0.5,), "save_first_pass": (False,), "coherence": ("Fast", "Fast", "Fast", "Normal", "Best"),
}  # fmt: skip
"""Fields whose bounds reach further than a test has time for."""


def value_of(name: str, schema: Mapping[str, Any], lists: Mapping[str, Sequence[str]], dice: random.Random) -> Any:
    """Any value within what a field's schema allows.

    Args:
        lists: by the name of the list of choices, or of the field: what may stand there.
    """
    if name in CHEAP:
        return dice.choice(CHEAP[name])
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    bounds = options[0]
    known = lists.get(name) or lists.get(schema.get("choices", ""))
    match bounds.get("type"):
        case _ if "enum" in bounds:
            return dice.choice(bounds["enum"])
        case "array":
            return dice.sample(list(known or ()), dice.randint(0, min(2, len(known or ()))))
        case _ if known:
            return dice.choice(list(known))
        case "boolean":
            return dice.random() < 0.5
        case "integer":
            step = bounds.get("multipleOf", 1)
            low, high = bounds["minimum"] // step, bounds["maximum"] // step
            return step * dice.choice([low, high, dice.randint(low, high), dice.randint(low, min(high, low + 9))])
        case "number":
            low, high = bounds["minimum"], bounds["maximum"]
            return float(dice.choice([low, high, dice.uniform(low, high), round(dice.uniform(low, min(high, low + 2)), 2)]))
    return dice.choice(PROMPTS) if "prompt" in name else schema.get("default")


def request(task: str, lists: Mapping[str, Sequence[str]], dice: random.Random) -> AnyRequest:
    """A request of a task: each field has its default or any value, half and half. Raises BadRequest when the values do not go together."""
    kind = TASKS[task]
    values: dict[str, Any] = {"task": task}
    for name, schema in kind.model_json_schema()["properties"].items():
        if name != "task" and (name in ("steps", "seed", "width", "height", *CHEAP) or kind.model_fields[name].is_required() or dice.random() < 0.5):
            values[name] = value_of(name, schema, lists, dice)
    return parse(values)  # type: ignore[return-value]

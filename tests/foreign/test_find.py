"""All readers together: who reads what, and damaged data of every kind."""

import copy
import json
import random
from typing import Any

import pytest

from app import infotext
from app.foreign import find
from app.request import parse
from tests.foreign.chunks import COMFY, FOOOCUS, INVOKEAI, NOVELAI, WORKFLOW, novelai

SAMPLES: dict[str, dict[str, Any]] = {
    "ComfyUI": {"prompt": COMFY}, "ComfyUI's page": {"workflow": WORKFLOW}, "Fooocus": {"parameters": FOOOCUS}, "InvokeAI": {"invokeai_metadata": INVOKEAI},
    "NovelAI": {"Comment": NOVELAI, "Software": "NovelAI"},
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, -(10**400), 1e308, float("inf"), float("nan"), "", "x", "\0", "9" * 400,
    [], [[]], {}, {"a": {}}, ["3", 0], ["3", 10**40], [3, -1], {"on": 1},
)  # fmt: skip


def damaged(value: Any, dice: random.Random) -> Any:
    """A copy of JSON data with a few values replaced, removed or put elsewhere."""
    whole = copy.deepcopy(value)
    for _ in range(dice.randint(1, 4)):
        place, key = whole, None
        while isinstance(place, dict | list) and place:
            parent, key = place, dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
            place = parent[key]
            if dice.random() < 0.3:
                break
        if key is not None:
            parent[key] = copy.deepcopy(dice.choice(ODD))
    return whole


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_data_gives_what_can_be_submitted(name: str) -> None:
    dice = random.Random(name)
    for _ in range(120):
        chunks = {chunk: value if isinstance(value, str) else json.dumps(damaged(value, dice)) for chunk, value in SAMPLES[name].items()}
        found = find.read(chunks)
        if found:
            _, (fields, notes) = found
            filled = infotext.fitted(str(fields.get("task", "txt2img")), fields)
            needed = {"image": "0" * 64} if filled.values["task"] == "img2img" else {}
            parse(filled.values | needed)
            assert all(isinstance(note, str) and len(note) < 600 for note in (*notes, *filled.notes))


def test_every_program_reads_its_own_chunks() -> None:
    for name, chunks in SAMPLES.items():
        found = find.read({chunk: value if isinstance(value, str) else json.dumps(value) for chunk, value in chunks.items()})
        assert found is not None and name.startswith(found[0])
    assert (find.read(novelai()) or ("",))[0] == "NovelAI"
    assert find.read({}) is None and find.read({"parameters": "a cat", "Description": "x"}) is None
    assert set(find.READERS) == {"ComfyUI", "Fooocus", "InvokeAI", "NovelAI"}

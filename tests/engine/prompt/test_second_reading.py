"""Two readings of the prompt language, made by different means, agree on ten thousand random texts and raise on none."""

import json
import random
import sys
from pathlib import Path

import pytest

from app.engine.prompt import grammar
from app.engine.prompt.schedule import schedule
from tests.engine.prompt import second_reading

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "a1111.json").read_text())
PIECES = [
    "a", "b c", " ", ", ", "猫", "[", "]", "(", ")", "[", "]", "(", ")", ":", ":", "|", "|", "3", "0.5", ".25", "1.5", "-1", "1e1", "12.", "7", ":1.2)", ":-1)",
    ":1.2.3)", ": .5 )", ":+2)", ":.)", ":3]", ":0.5]", ": 4 ]", "::2]", "\\(", "\\]", "\\\\", "\\:", "\\", "\\\n",
    "BREAK", "xBREAK", " AND ", "AND", " :0.5", ":1:2",
    "\n", "\t", "[x:y:2]", "[u|v]", "[p:(q:1.3):.5]", "(z:1.3)", "[[w]]", "_", "é", "٣", "\u2028", "\x00", "<lora:x:1>", "#",
]  # fmt: skip
TEXTS, SEED = 10_000, 20261121


def texts(count, seed):
    dice = random.Random(seed)
    for _ in range(count):
        if dice.random() < 0.9:
            yield "".join(dice.choices(PIECES, k=dice.randint(0, 14)))
        else:
            signs = [chr(dice.randint(0, 127)) if dice.random() < 0.5 else chr(dice.randint(0, 0x2FFF)) for _ in range(dice.randint(0, 24))]
            yield "".join(dice.choice("[]():|\\") if dice.random() < 0.3 else sign for sign in signs)



def test_both_readings_agree_and_never_raise():
    dice = random.Random(SEED + 1)
    kinds = {"switching": 0, "alternating": 0, "weighted": 0, "composed": 0}
    for text in texts(TEXTS, SEED):
        steps, hires_steps = dice.randint(1, 24), dice.choice((None, None, dice.randint(1, 12)))
        found = schedule(text, steps, hires_steps, capped=False)
        assert found == second_reading.schedule(text, steps, hires_steps), (text, steps, hires_steps)
        pieces = [list(piece) for piece in grammar.attention(text, capped=False)]
        assert pieces == second_reading.attention(text), text
        parts = [list(part) for part in grammar.split_and(text, capped=False)]
        assert parts == second_reading.split_and(text), text
        kinds["switching"] += 1 < len(found) < steps
        kinds["alternating"] += "|" in text and len(found) == (hires_steps or steps) > 2
        kinds["weighted"] += len(pieces) > 1
        kinds["composed"] += len(parts) > 1
    assert min(kinds.values()) > 300, f"the texts are too tame: {kinds}"


def test_the_second_reading_is_a1111s_too():
    for text, wanted in GOLDEN["schedule_steps10"].items():
        assert [list(pair) for pair in second_reading.schedule(text, 10)] == wanted, text
    for text, wanted in GOLDEN["schedule_hires_base10_hires6"].items():
        assert [list(pair) for pair in second_reading.schedule(text, 10, 6)] == wanted, text
    for text, wanted in GOLDEN["attention"].items():
        assert second_reading.attention(text) == wanted, text
    for text, wanted in GOLDEN["and_weight"].items():
        assert second_reading.split_and(text) == wanted, text


def test_the_comparison_can_fail(monkeypatch):
    monkeypatch.setattr(second_reading, "WEIGHT", second_reading.re.compile(r":\s*([+-]?[.0-9]+)\)"))
    with pytest.raises(AssertionError):
        test_both_readings_agree_and_never_raise()


def lines_run(work):
    """How many lines of Python a call runs, in all functions: work that does not depend on how busy the machine is."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("unit", ["(", "[", "()", "[]", "([", "[a:", "[|", "a]", ":1.2)", "[a:b:3]", "\\", "a AND ", "BREAK ", "(a:1.2)", "<a:"])
def test_the_work_grows_with_the_length_and_no_faster(unit):
    for read in (
        lambda text: grammar.attention(text, capped=False),
        lambda text: grammar.split_and(text, capped=False),
        lambda text: grammar.extract_networks(text, capped=False),
        lambda text: schedule(text, 3, capped=False),
        grammar.strip_comments,
    ):
        few, many = (lines_run(lambda: read(unit * count)) for count in (250, 1000))  # noqa: B023
        assert many <= 4.4 * few + 50, (unit, few, many)

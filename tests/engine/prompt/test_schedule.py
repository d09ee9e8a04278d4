"""Prompt schedules against what A1111 makes of the same texts, and their own laws."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine.prompt.schedule import schedule
from app.errors import BadRequest

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "a1111.json").read_text())
calm = settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = ["a", "b", " ", "[", "]", "(", ")", ":", "|", "3", ".5", "1.5", "-1", "1e1", "\\[", "\\", "\n", "[x:y:2]", "[u|v]", "(z:1.3)"]
prompts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=20).map("".join))


def as_lists(found):
    return [list(item) for item in found]


@pytest.mark.parametrize("text", list(GOLDEN["schedule_steps10"]))
def test_schedules_are_a1111s(text):
    assert as_lists(schedule(text, 10)) == GOLDEN["schedule_steps10"][text]


@pytest.mark.parametrize("text", list(GOLDEN["schedule_hires_base10_hires6"]))
def test_schedules_of_the_second_pass_are_a1111s(text):
    assert as_lists(schedule(text, 10, 6)) == GOLDEN["schedule_hires_base10_hires6"][text]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", [(10, "")]),
        ("[fe|]male", [(i, "female" if i % 2 else "male") for i in range(1, 11)]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[a:b:-1]", [(10, "b")]),
        ("[ [a:b:3] | c ]", [(1, " a "), (2, " c "), (3, " a "), (4, " c "), (5, " b "), (6, " c "), (7, " b "), (8, " c "), (9, " b "), (10, " c ")]),
        ("a [{b|d{:.5] c", [(10, "a [{b|d{:.5] c")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("a|b [c:d:3]", [(10, "a|b [c:d:3]")]),
        ("(a|b) [c:d:3]", [(10, "(a|b) [c:d:3]")]),
        ("[a:(b|c):3]", [(10, "[a:(b|c):3]")]),
        ("(a [b:c:3] d", [(3, "(a b d"), (10, "(a c d")]),
        ("a\\|b [c:d:3]", [(3, "a\\|b c"), (10, "a\\|b d")]),
        ("\\[a:b:3\\]", [(10, "\\[a:b:3\\]")]),
        ("[a:b:3]\\", [(10, "[a:b:3]\\")]),
        ("[a:b:1e1]", [(10, "a")]),
    ],
)
def test_more(text, wanted):
    assert schedule(text, 10) == wanted


def test_a_fraction_of_the_second_pass():
    assert schedule("[b:c:1.5]", 10, 6) == [(3, "b"), (6, "c")]
    assert schedule("[b:c:1.5]", 10) == [(10, "b")]


@calm
@given(prompts, st.integers(1, 150), st.none() | st.integers(1, 150))
def test_every_text_has_a_schedule_that_ends_with_the_last_step(text, steps, hires_steps):
    try:
        found = schedule(text, steps, hires_steps)
    except BadRequest as error:
        assert "\n" not in error.message
        return
    ends = [end for end, _ in found]
    assert ends == sorted(set(ends)) and ends[0] >= 1 and ends[-1] == (hires_steps or steps)
    assert len(found) <= max(steps, hires_steps or 0)


@calm
@given(st.text(alphabet=st.characters(blacklist_characters="\\()[]:|"), max_size=60))
def test_text_without_syntax_is_itself(text):
    assert schedule(text, 20) == [(20, text)]


def test_caps():
    with pytest.raises(BadRequest, match="8192"):
        schedule("a" * 8193, 10)
    schedule("(" * 32, 10)
    with pytest.raises(BadRequest, match="at most 32"):
        schedule("[" * 33, 10)


@pytest.mark.parametrize(
    "text",
    ["(" * 30_000, "(a" * 20_000, "(" * 20_000 + ")" * 20_000, "[" * 20_000 + "]" * 20_000, "[a:" * 12_000, "[|" * 20_000, "a]" * 20_000,
     "[a:b:1] [a:b:2] " * 2_500, "[" * 20_000 + "a:3]" * 20_000, "[a|" * 20_000 + "]" * 20_000, "[a:b:3 " * 5_000, "\\" * 39_999],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_hostile_texts_of_40_kb_take_a_moment(text):
    """A parser that starts over at each bracket would take minutes, so that this ends is the test."""
    assert schedule(text, 4, capped=False)[-1][0] == 4

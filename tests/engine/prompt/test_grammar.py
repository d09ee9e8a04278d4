"""The prompt language against what A1111 makes of the same texts, and against texts that nobody would write."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine.prompt.grammar import Network, Piece, attention, extract_networks, segments, split_and, strip_comments
from app.errors import BadRequest

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "a1111.json").read_text())
calm = settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = ["a", "b c", " ", "[", "]", "(", ")", ":", "|", "3", ".25", ":1.2)", ":-1)", ":1.2.3)", "\\(", "\\]", "\\", "BREAK", "AND", "\n", "<lora:x:1>", "#"]
prompts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=24).map("".join))


@pytest.mark.parametrize("text", list(GOLDEN["attention"]))
def test_attention_is_a1111s(text):
    assert [list(piece) for piece in attention(text)] == GOLDEN["attention"][text]


@pytest.mark.parametrize("text", list(GOLDEN["and_weight"]))
def test_and_is_a1111s(text):
    assert [list(part) for part in split_and(text)] == GOLDEN["and_weight"][text]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("((a:1.2)", [("a", 1.2 * 1.1)]),
        ("([a)b]", [("a", 1.1 * (1 / 1.1)), ("b", 1 / 1.1)]),
        ("a\\\\b\\[c", [("a\\b[c", 1.0)]),
        ("a:1.2)", [("a:1.2)", 1.0)]),
        ("(a:+2)", [("a", 2.0)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("(a:.)", [("a:.", 1.1)]),
        ("(猫:1.5)", [("猫", 1.5)]),
        ("(:1.5)", [("", 1.0)]),
        ("((((a))))", [("a", 1.1 * 1.1 * 1.1 * 1.1)]),
        ("(a: " + "9" * 400 + ")", [("a: " + "9" * 400, 1.1)]),
    ],
)
def test_attention_beyond_the_golden_ones(text, pieces):
    found = attention(text)
    assert [piece.text for piece in found] == [text for text, _ in pieces]
    assert [piece.weight for piece in found] == pytest.approx([weight for _, weight in pieces], rel=1e-15)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("a", [[("a", 1.0)]]),
        ("", [[("", 1.0)]]),
        ("a BREAK b", [[("a", 1.0)], [("b", 1.0)]]),
        ("(a BREAK b:1.3)", [[("a", 1.3)], [("b", 1.3)]]),
        ("BREAK", [[("", 1.0)], [("", 1.0)]]),
        ("a BREAK BREAK (b)", [[("a", 1.0)], [("", 1.0)], [("", 1.0), ("b", 1.1)]]),
        ("aBREAK BREAKb", [[("aBREAK BREAKb", 1.0)]]),
        ("(BR(EAK:1):-1)", [[("BREAK", -1.0)]]),
    ],
)
def test_segments_are_cut_at_each_break_and_nowhere_else(text, cut):
    assert segments(text) == cut


def test_where_a_text_has_no_break_both_views_agree():
    text = "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))."
    assert segments(text) == [attention(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", [("a", 1.0)]),
        ("a :1.2 AND b : .5 ", [("a", 1.2), (" b", 0.5)]),
        ("a:1:2", [("a:1", 2.0)]),
        ("a\nAND\nb:1.", [("a", 1.0), ("\nb", 1.0)]),
        ("AND", [("", 1.0), ("", 1.0)]),
        ("a:b", [("a:b", 1.0)]),
        ("sand AND BRAND", [("sand", 1.0), (" BRAND", 1.0)]),
    ],
)
def test_and(text, parts):
    assert split_and(text) == parts


@pytest.mark.parametrize(
    ("text", "rest", "networks"),
    [
        ("a cat", "a cat", []),
        ("a <lora:x> cat", "a  cat", [Network("lora", "x")]),
        ("<lora:x:0.5>", "", [Network("lora", "x", 0.5, 0.5)]),
        ("<lora:x:0.5:.25:8>", "", [Network("lora", "x", 0.5, 0.25, 8)]),
        ("<lora:x:unet=.3:te=1.5>", "", [Network("lora", "x", 1.5, 0.3)]),
        ("<lora:x:0.7:dyn=4>", "", [Network("lora", "x", 0.7, 0.7, 4)]),
        ("<lyco:folder/a b:-1>a<hypernet:h:0.2>", "a", [Network("lyco", "folder/a b", -1, -1), Network("hypernet", "h", 0.2, 0.2)]),
        ("1 < 2 > 1, <3, <b>, <a:>", "1 < 2 > 1, <3, <b>, <a:>", []),
        ("<lyco:x:1:lbw=OUTALL:stop=10>", "", [Network("lyco", "x", blocks="OUTALL", stop=10)]),
        ("<lora:x:0.5:MIDD:0.7:step=3-8>", "", [Network("lora", "x", 0.5, 0.7, None, "MIDD", 3, 8)]),
        ("<lora:open", "<lora:open", []),
    ],
)
def test_networks(text, rest, networks):
    assert extract_networks(text) == (rest, networks)


@pytest.mark.parametrize(
    "text",
    [
        "<lora:x:strong>", "<lora:x:1:2:three>", "<lora:x:te=>", "<lora:x:nan>", "<lora:x:inf>", "<lora:x:1:lbwe=ATTN>", "<lora:x:1:stop=late>",
        "<lora:x:1:start=5:stop=5>", "<lora:x:1:start=-1>", "<lora:x:dyn=0>",
    ],
)  # fmt: skip
def test_a_weight_that_is_no_number(text):
    with pytest.raises(BadRequest, match="<lora:x"):
        extract_networks(text)


@pytest.mark.parametrize(
    ("text", "rest"),
    [("a # b", "a "), ("# b\na", "a"), ("a\n#b\n#c\nd", "a\nd"), ("a\n\nb", "a\n\nb"), ("#a", ""), ("a#b\nc", "a\nc")],
)
def test_comments(text, rest):
    assert strip_comments(text) == rest


@calm
@given(prompts)
def test_nothing_is_ever_raised_but_a_sentence(text):
    try:
        for part, weight in split_and(extract_networks(strip_comments(text))[0]):
            assert isinstance(weight, float)
            pieces = attention(part)
            assert pieces and all(isinstance(piece, Piece) for piece in pieces)
            assert all(pieces and all(isinstance(piece.weight, float) for piece in pieces) for pieces in segments(part))
    except BadRequest as error:
        assert "\n" not in error.message and error.message.endswith(".")


@calm
@given(st.text(alphabet=st.characters(blacklist_characters="\\()[]:"), max_size=80).filter(lambda text: "BREAK" not in text))
def test_text_without_syntax_is_itself(text):
    assert attention(text) == [(text, 1.0)]


@calm
@given(st.lists(st.sampled_from(["a", " ", "(", ")", "[", "]", ":", "1.5", "\\"]), max_size=40).map("".join))
def test_escaped_text_is_itself(text):
    escaped = "".join("\\" + c if c in "\\()[]" else c for c in text)
    assert attention(escaped) == [(text, 1.0)]


@calm
@given(prompts)
def test_attention_and_segments_say_the_same_words(text):
    spoken = "".join(piece.text for pieces in segments(text, capped=False) for piece in pieces)
    assert spoken == "".join(piece.text for piece in attention(text, capped=False) if piece.text != "BREAK" or piece.weight >= 0) or "BREAK" in spoken


@pytest.mark.parametrize("read", [attention, segments, split_and, extract_networks])
def test_too_long(read):
    read("a" * 8192)
    read("é" * 4096)
    for text in ("a" * 8193, "é" * 4097, "猫" * 100_000):
        with pytest.raises(BadRequest, match=r"bytes long, but at most 8192 are allowed\."):
            read(text)


@pytest.mark.parametrize("bracket", ["(", "[", "(["])
def test_too_deep(bracket):
    attention(bracket * (32 // len(bracket)))
    with pytest.raises(BadRequest, match="at most 32"):
        attention(bracket * 33)


@pytest.mark.parametrize(
    "text",
    ["(" * 40_000, "(a" * 20_000, "([a" * 13_000, "(" * 20_000 + ")" * 20_000, ":1.2)" * 20_000, "(" + " " * 20_000 + ":" + " " * 20_000,
     " " * 40_000 + "BREA", "<a:" * 13_000, "\\" * 40_000, " :" * 20_000, ":1" * 20_000, "a AND " * 7_000, "BREAK " * 7_000, "<" * 40_000,
     "<a:>" * 10_000, ("a" + " " * 50) * 2_000 + ":1 x"],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_hostile_texts_of_40_kb_take_a_moment(text):
    """Quadratic work on these would take minutes, so that this ends is the test."""
    for read in (attention, split_and, extract_networks):
        assert read(text, capped=False)
    assert isinstance(strip_comments(text), str)

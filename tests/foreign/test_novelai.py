"""NovelAI: its chunks, its transparency, its brackets."""

import json

import pytest

from app.engine.prompt.grammar import attention
from app.foreign import novelai
from tests.foreign.chunks import NOVELAI
from tests.foreign.chunks import novelai as chunks


def test_its_comment() -> None:
    fields, notes = novelai.read(chunks()) or ({}, [])
    assert fields == {
        "task": "txt2img", "prompt": "((castle:1.05):1.05), (fog:0.952381), tower \\(old\\)", "negative_prompt": "lowres, (bad:1.05)", "steps": 28,
        "cfg_scale": 11.0, "cfg_rescale": 0.0, "seed": 1234567, "width": 512, "height": 768, "sampler": "Euler a", "schedule": "Automatic", "clip_skip": 2,
        "eta_noise_seed_delta": 31337,
    }  # fmt: skip
    assert len(notes) == 1 and "own model" in notes[0]


def test_version_4_keeps_captions() -> None:
    comment = {"v4_prompt": {"caption": {"base_caption": "1.5::castle::, hill"}}, "uc": "", "sampler": "k_new", "noise_schedule": "karras", "seed": 1}
    fields, notes = novelai.read(chunks(comment)) or ({}, [])
    assert (fields["prompt"], fields["schedule"], "sampler" in fields) == ("(castle:1.5), hill", "Karras", False)
    assert notes[0] == "Darkroom has no sampler 'k_new'."


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("a", [("a", 1.0)]), ("{a}", [("a", 1.05)]), ("{{a}} b", [("a", 1.1025), (" b", 1.0)]), ("[a]", [("a", 1 / 1.05)]), ("(a)", [("(a)", 1.0)]),
     ("-1::a:: b", [("a", -1.0), (" b", 1.0)]), ("{a", [("{a", 1.0)]), ("[a", [("[a", 1.0)]), ("a}]", [("a}]", 1.0)]), ("2::a", [("2::a", 1.0)]),
     ("a::b", [("a::b", 1.0)]), ("{a]", [("{a]", 1.0)]), ("a\\b", [("a\\b", 1.0)]), ("16:9, c::", [("16:9, c::", 1.0)])],
)  # fmt: skip
def test_its_brackets_mean_the_same_here(theirs: str, ours: list[tuple[str, float]]) -> None:
    found = attention(novelai.weights(theirs))
    assert [piece.text for piece in found] == [text for text, _ in ours]
    assert [piece.weight for piece in found] == pytest.approx([weight for _, weight in ours], rel=1e-5)


def test_long_prompts_of_brackets_are_no_trouble() -> None:
    for sign, ours in (("{", "{"), ("}", "}"), ("[", "\\["), ("(", "\\("), ("{a}", "(a:1.05)"), ("1::1::", "(1:1)")):
        assert novelai.weights(sign * 50_000) == ours * 50_000


def test_others_are_left_alone() -> None:
    for texts in ({}, {"Comment": "made with love"}, {"Comment": "{}"}, {"Software": "NovelAI"}, {"Comment": json.dumps({"uc": "x"})}):
        assert novelai.read(texts) is None
    assert (novelai.read({"Comment": json.dumps(NOVELAI)}) or ({}, []))[0]["seed"] == 1234567

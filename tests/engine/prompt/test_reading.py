"""What the page shows of a prompt is what is encoded."""

import pytest
import torch

from app.engine.checkpoints.recognise import inspect_file, inspect_folder
from app.engine.prompt.chunks import Reading
from app.engine.prompt.conditioning import conditioning
from app.engine.prompt.encoded import Encoded
from app.engine.prompt.grammar import Network
from app.engine.prompt.reading import MAX_TEXTS, Token, read_prompt
from app.errors import BadRequest
from tests import tiny


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return inspect_file(tiny.make_single(tmp_path_factory.mktemp("reading") / "one.safetensors"), "one", "checkpoint")


def said(text):
    """The chunks of a text in words; a mark where a word does not end."""
    return [" ".join(token.text + ("" if token.ends else "~") for token in chunk) for chunk in text.chunks]


def test_tokens_weights_and_chunks(single):
    found = read_prompt(single, "A (photo:1.3) of supercalifragilistic café BREAK 猫 <lora:style:0.5> # a note")
    [part] = found.parts
    [text] = part.texts
    first, second = text.chunks
    assert said(text)[0].startswith("a photo of super~ cali~ ") and said(text)[0].endswith(" café")
    assert first[1] == Token("photo", 1.3, True) and {token.weight for token in first} == {1.0, 1.3}
    assert second[-1].ends and (said(text)[1] == "猫" or said(text)[1].replace("~ ", "") == "\\xe7\\x8c\\xab")
    assert found.networks == (Network("lora", "style", 0.5, 0.5),) and found.tokens == (75 + len(second), 150)
    assert (part.weight, text.steps, found.steps, found.calls) == (1.0, ((1, 20),), 20, False)


@pytest.mark.parametrize("prompt", ["[cat:dog:0.5] AND [a|b] :0.7", "[cat::3] [a|b|c]", "plain", "[x:y:30] [u:v:-1] [p:q:20]"])
@pytest.mark.parametrize(("sampler", "hires"), [("Euler", None), ("Heun", None), ("Heun", ("Euler", 20)), ("Euler", ("Heun", 20))])
def test_the_steps_are_those_at_which_the_network_is_told(single, prompt, sampler, hires):
    found = read_prompt(single, prompt, sampler=sampler, hires=hires)
    asked = []
    first = 40 if sampler == "Heun" else 20
    def encode(text: str) -> Encoded:
        asked.append(text)
        return Encoded(torch.full((1, 77, 1), float(len(asked))))

    told = conditioning(prompt, None, first, found.steps if hires else None, encode)
    for step in range(found.steps):
        texts = [next(text.text for text in part.texts if any(first <= step + 1 <= last for first, last in text.steps)) for part in found.parts]
        assert [(part.weight, text) for part, text in zip(found.parts, texts, strict=True)] == [
            (weight, asked[int(state.states[0, 0, 0]) - 1]) for weight, state in told.at(step, found.steps).positives
        ]
    twice = (hires or (sampler,))[0] == "Heun"
    assert found.calls == twice and found.steps == (40 if twice else 20)


def test_a_negative_prompt_does_not_compose_and_modes_count(single):
    found = read_prompt(single, "a AND (b:1.5)", composes=False, reading=Reading(emphasis="Ignore"))
    assert [said(text) for part in found.parts for text in part.texts] == [["a and b"]]
    assert {token.weight for token in found.parts[0].texts[0].chunks[0]} == {1.0}
    assert said(read_prompt(single, "(b:1.5)", reading=Reading(emphasis="None")).parts[0].texts[0]) == ["( b : 1 . 5 )"]


def test_textual_inversions_stand_for_their_vectors(single, tmp_path):
    stickers = inspect_file(tiny.write_embedding(tmp_path / "stickers.safetensors", vectors=5), "stickers", "embedding")
    wide = inspect_file(tiny.write_embedding(tmp_path / "wide.safetensors", width=tiny.WIDTH * 2), "wide", "embedding")
    found = read_prompt(single, "a (stickers:1.2) wide", [stickers, wide])
    assert found.embeddings == ("stickers",) and found.tokens == (7, 75)
    assert found.parts[0].texts[0].chunks[0][1] == Token("stickers", 1.2, True, 5)


def test_the_small_word_list_of_a_folder(tmp_path):
    folder = inspect_folder(tiny.make_folder(tmp_path / "tiny"), "tiny")
    assert said(read_prompt(folder, "the house qx").parts[0].texts[0]) == ["the house q~ x"]


def test_much_of_one_thing_is_cut_short_and_too_much_is_refused(single):
    options = "|".join(f"a{i}" for i in range(60))
    found = read_prompt(single, f"[{options}]", steps=100)
    assert len(found.parts[0].texts) == MAX_TEXTS and found.parts[0].more == 60 - MAX_TEXTS
    assert read_prompt(single, "").parts[0].texts[0].chunks == ((),)
    with pytest.raises(BadRequest):
        read_prompt(single, "(" * 33)

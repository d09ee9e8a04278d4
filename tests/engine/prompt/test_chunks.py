from pathlib import Path

import pytest

from app.engine.checkpoints.recognise import inspect_file, inspect_folder
from app.engine.prompt.chunks import Reading, Word, chunks, count, words_by_first
from app.engine.prompt.counter import count_tokens
from app.engine.prompt.vocabulary import clip_vocabulary, folder_vocabulary
from app.errors import BadCheckpoint, BadRequest
from tests import tiny

A, COMMA, START, END = 320, 267, 49406, 49407


@pytest.fixture(scope="module")
def clip():
    return clip_vocabulary()


def test_clips_own_ids(clip):
    assert clip.ids("a photo of a cat, 8k") == [320, 1125, 539, 320, 2368, 267, 279, 330]
    assert clip.ids("A  PHOTO\n\tof a&amp;b ’s") == clip.ids("a photo of a&b 's")
    assert clip.ids("ｆｕｌｌ “ﬁ”") == clip.ids('full "fi"') and clip.ids("") == []
    assert (len(clip), clip.start, clip.end, clip.comma) == (49408, START, END, COMMA)


def test_the_same_ids_as_transformers(clip):
    from transformers import CLIPTokenizer

    from app.engine.prompt.vocabulary import clip_words

    words, merges = clip_words()
    theirs = CLIPTokenizer(vocab=words, merges=[tuple(merge.split()) for merge in merges])
    for text in ("a photo of a cat, (hello) 8k été 日本", "x" * 400, "<|endoftext|> hi", "it's 's 12 3.5 😀:) \\(", "ab<|endoftext|>cd"):
        assert clip.ids(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_one_chunk(clip):
    (chunk,) = chunks(clip, "a (a:1.5)")
    assert chunk.tokens == [START, A, A] + [END] * 74 and chunk.weights == [1, 1, 1.5] + [1] * 74
    assert [c.tokens for c in chunks(clip, "")] == [[START] + [END] * 76]


def test_long_prompts_are_cut_at_75(clip):
    first, second = chunks(clip, "a " * 80)
    assert first.tokens == [START] + [A] * 75 + [END] and second.tokens == [START] + [A] * 5 + [END] * 71


def test_a_near_comma_takes_what_follows_it_along(clip):
    first, second = chunks(clip, "a " * 60 + ", " + "a " * 20)
    assert first.tokens[:63] == [START] + [A] * 60 + [COMMA, END] and second.tokens[:22] == [START] + [A] * 20 + [END]
    far, _ = chunks(clip, "a " * 50 + ", " + "a " * 30)
    assert far.tokens[75] == A and far.tokens[76] == END


def test_how_near_a_comma_must_be_is_said_by_the_reading(clip):
    text = "a " * 60 + ", " + "a " * 20
    places = {backtrack: chunks(clip, text, reading=Reading(backtrack=backtrack))[0].tokens.index(END) for backtrack in (0, 14, 15, 74)}
    assert places == {0: 76, 14: 76, 15: 62, 74: 62}
    at_the_end = "a " * 74 + ", a"
    assert chunks(clip, at_the_end, reading=Reading(backtrack=0))[0].tokens == chunks(clip, at_the_end)[0].tokens


def test_emphasis_modes_change_weights_and_what_brackets_are(clip):
    (original,), (ignored,) = chunks(clip, "a (cat:1.5)"), chunks(clip, "a (cat:1.5)", reading=Reading(emphasis="Ignore"))
    assert original.tokens == ignored.tokens and original.weights[2] == 1.5 and set(ignored.weights) == {1.0}
    assert len(chunks(clip, "a BREAK b", reading=Reading(emphasis="Ignore"))) == 2
    (literal,) = chunks(clip, "a BREAK (b:1.5)", reading=Reading(emphasis="None"))
    assert literal.tokens[1 : 1 + len(clip.ids("a break (b:1.5)"))] == clip.ids("a break (b:1.5)") and set(literal.weights) == {1.0}


def test_break_ends_a_chunk(clip):
    assert [c.tokens[1:3] for c in chunks(clip, "a BREAK a")] == [[A, END]] * 2
    assert len(chunks(clip, "(a BREAK a:1.2)")) == 2 and len(chunks(clip, "BREAK a")) == 2


def test_words_of_textual_inversion(clip):
    words = words_by_first([Word("cat", tuple(clip.ids("cat")), 3), Word("cat photo", tuple(clip.ids("cat photo")), 40)])
    (chunk,) = chunks(clip, "a (cat:1.2) a", words)
    assert chunk.words == [(1, "cat")] and chunk.weights[2:6] == [1.2] * 3 + [1] and chunk.tokens[2:6] == [0, 0, 0, A]
    (chunk,) = chunks(clip, "a cat photo a", words)
    assert chunk.words == [(1, "cat photo")]
    assert [c.words for c in chunks(clip, "a " * 40 + "cat photo", words)] == [[], [(0, "cat photo")]]


@pytest.mark.parametrize(("text", "expected"), [("", (0, 75)), ("a cat", (2, 75)), ("a " * 75, (75, 75)), ("a " * 76, (76, 150)), ("a BREAK a", (76, 150))])
def test_the_counter_counts_as_a1111(clip, text, expected):
    assert count(clip, text) == expected


def test_the_page_counts_without_weights(tmp_path):
    folder = inspect_folder(tiny.make_folder(tmp_path / "tiny"), "tiny")
    single = inspect_file(tiny.make_single(tmp_path / "one.safetensors"), "one", "checkpoint")
    stickers = inspect_file(tiny.write_embedding(tmp_path / "stickers.safetensors", vectors=5), "stickers", "embedding")
    assert count_tokens(folder, "the house in the forest") == (5, 75)
    assert count_tokens(single, "the house <lora:style:1>") == (2, 75) and count_tokens(single, "a stickers", [stickers]) == (6, 75)
    with pytest.raises(BadRequest):
        count_tokens(single, "(" * 100)


def test_a_word_list_that_cannot_be_read(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.json").write_text("[")
    (tmp_path / "tokenizer" / "merges.txt").write_text("")
    with pytest.raises(BadCheckpoint, match="word list"):
        folder_vocabulary(tmp_path / "tokenizer")


def test_tokenizer_json_alone_is_enough(tmp_path):
    import json

    path = tiny.make_folder(tmp_path / "tiny") / "tokenizer"
    plain = folder_vocabulary(path).ids("the cat in a house, qx")
    merges = [line.split() for line in (path / "merges.txt").read_text().splitlines()[1:]]
    (path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": json.loads((path / "vocab.json").read_text()), "merges": merges}}))
    (path / "vocab.json").unlink()
    assert folder_vocabulary(Path(path)).ids("the cat in a house, qx") == plain

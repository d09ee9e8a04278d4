"""Choices and files in prompts: drawn by the seed, the same each time, and only what was asked for."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadRequest, UnknownName
from app.request import parse
from app.wildcards import Wildcards, chosen, has_wildcards


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    files = {
        "colour.txt": "\ufeffred\n\n# a note\n  green \n", "garden/flower.txt": "a {pale|dark} __colour__ rose\n", "loop.txt": "__loop__", "empty.txt": "#\n",
        "many.txt": "__two__", "two.txt": "__colour__ __colour__ " * 300, "long.txt": "x" * 5000,
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    return Wildcards(tmp_path)


def drawn(text: str, count: int = 200) -> Counter[str]:
    return Counter(chosen(text, Random(seed)) for seed in range(count))


def test_choices() -> None:
    assert set(drawn("a {red|green|{dark|light} blue} house")) == {"a red house", "a green house", "a dark blue house", "a light blue house"}
    assert set(drawn("{a||b}{c| }")) == {"ac", "a", "bc", "b", "c", ""}
    weights = drawn("{3::a| b }")
    assert set(weights) == {"a", "b"} and 120 < weights["a"] < 180
    assert set(drawn("{0::a|b}")) == {"b"} and set(drawn("{0::a|0::b}")) == {"a", "b"}


def test_several_of_a_choice() -> None:
    assert set(drawn("{2$$a|b|c}")) == {"a, b", "a, c", "b, a", "b, c", "c, a", "c, b"}
    assert set(drawn("{1-2$$ and $$a|b}")) == {"a", "b", "a and b", "b and a"}
    assert set(drawn("{9$$a|b}")) == {"a, b", "b, a"} and set(drawn("{0$$a|b}")) == {""}


@pytest.mark.parametrize("text", ["a {prompt} (house:1.2) [a|b] }{ |", "{threshold 90}", "a | b", "{a|b", "a|b}", "}|{", "", "{{{{"])
def test_what_is_no_choice_stays_as_it_is(text: str) -> None:
    assert chosen(text, Random(1)) == text


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(["a", "{", "}", "|", "2$$", "3::", " ", "__", "$$"]), max_size=30).map("".join), st.integers(0, 5))
def test_any_text_can_be_drawn_and_the_seed_decides(text: str, seed: int) -> None:
    assert chosen(text, Random(seed)) == chosen(text, Random(seed))
    if "|" not in text:
        assert chosen(text, Random(seed)) == text


def test_deep_choices_end() -> None:
    assert chosen("{" * 4000 + "a|b" + "}" * 4000, Random(1)).strip("{}") in ("a", "b")


def test_files(wildcards: Wildcards) -> None:
    assert list(wildcards.files())[:3] == ["colour", "empty", "garden/flower"]
    assert wildcards.lines("Colour") == ["red", "green"]
    found = {wildcards.draw("__garden/flower__, __colour__", Random(seed)) for seed in range(100)}
    assert found == {f"a {shade} {colour} rose, {other}" for shade in ("pale", "dark") for colour in ("red", "green") for other in ("red", "green")}
    assert wildcards.draw("{__colour__|__colour__} a__b __", Random(1)).split()[1:] == ["a__b", "__"]


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("__color__", UnknownName, "Wildcard 'color' does not exist. Did you mean 'colour'?"),
        ("__garden/../colour__", UnknownName, "does not exist"),
        ("__loop__", BadRequest, "more than 32 deep"),
        ("__empty__", BadRequest, "has no lines"),
        ("__latin__", BadRequest, "must be text in UTF-8"),
        ("__long__ __long__", BadRequest, "is 10001 bytes long, but at most 8192"),
        ("__two__ __two__", BadRequest, "more than 1000 wildcards"),
    ],
)
def test_what_cannot_be_drawn(wildcards: Wildcards, text: str, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        wildcards.draw(text, Random(1))


def request(**values: object):
    return parse({"task": "txt2img", "wildcards": True, "seed": 5, "batch_count": 2, "batch_size": 3, **values})


def test_each_picture_draws_by_its_own_seed(wildcards: Wildcards) -> None:
    asked = request(prompt="{a|b|c|d} __colour__", negative_prompt="{x|y}")
    singles = [single for single, _ in wildcards.pictures(asked)]
    assert [(single.seed, single.pictures, single.wildcards) for single in singles] == [(5 + i, 1, False) for i in range(6)]
    assert len({single.prompt for single in singles}) > 1
    [(third, facts)] = wildcards.pictures(request(prompt=asked.prompt, negative_prompt=asked.negative_prompt, seed=7, batch_count=1, batch_size=1))
    assert third == singles[2] and facts == {"Template": asked.prompt, "Negative Template": asked.negative_prompt}


def test_with_a_variation_the_variation_seed_draws(wildcards: Wildcards) -> None:
    singles = [single for single, _ in wildcards.pictures(request(prompt="{a|b|c|d}", subseed=9, subseed_strength=0.5))]
    assert [(single.seed, single.subseed) for single in singles] == [(5, 9 + i) for i in range(6)] and len({single.prompt for single in singles}) > 1


def test_a_zoom_draws_once_in_all_its_prompts(wildcards: Wildcards) -> None:
    zoom = parse({"task": "zoom", "wildcards": True, "seed": 5, "storyboard": "2: {a|b}\n3: {a|b}", "keys": 4})
    [(single, facts)] = wildcards.pictures(zoom)
    assert "{" not in single.storyboard and single.keys == 4 and facts == {}


def test_off_or_without_anything_to_draw_the_request_is_itself(wildcards: Wildcards) -> None:
    for asked in (request(prompt="{a|b}", wildcards=False), request(prompt="a __ {b}")):
        assert [single for single, _ in wildcards.pictures(asked)] == [asked]
    assert not has_wildcards("a {prompt} [a|b]") and has_wildcards("__a__")


def test_folders_of_other_programs_come_after_ours(tmp_path: Path) -> None:
    for folder, name, line in (("ours", "colour", "red"), ("theirs", "colour", "blue"), ("theirs", "animals/cat", "tabby")):
        (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{name}.txt").write_text(line)
    wildcards = Wildcards(tmp_path / "ours", tmp_path / "theirs", tmp_path / "gone")
    assert list(wildcards.files()) == ["animals/cat", "colour"]
    assert (wildcards.lines("colour"), wildcards.lines("Animals/Cat")) == (["red"], ["tabby"])

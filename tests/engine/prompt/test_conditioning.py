"""Prompts over the steps of a run, encoded by a stand-in that writes down what it was asked."""

import pytest
import torch

from app.engine.prompt.conditioning import MAX_PARTS, conditioning, is_whole, timelines
from app.engine.prompt.encoded import Encoded
from app.errors import BadRequest


class Encoder:
    """One vector per word, at least one chunk of 2: the length of the text tells the states apart."""

    def __init__(self):
        self.asked = []

    def __call__(self, text):
        self.asked.append(text)
        return Encoded(torch.full((1, 2 * max(1, len(text.split())), 3), float(len(self.asked))))


def told(positive, negative, steps, hires_steps=None, pad=True):
    """(conditioning, text of a state by its first number)."""
    encoder = Encoder()
    found = conditioning(positive, negative, steps, hires_steps, encoder, pad=pad)
    return found, lambda text: encoder.asked[int(text.states[0, 0, 0]) - 1]


def spoken(positive, negative="", *, steps=10, hires_steps=None):
    found, name = told(positive, negative, steps, hires_steps)
    return [([(weight, name(state)) for weight, state in at.positives], name(at.negative)) for at in (found.at(i, found.steps) for i in range(found.steps))]


def positives(positive, **options):
    return [parts[0][1] for parts, _ in spoken(positive, **options)]


def test_a_plain_prompt_is_always_the_same_object():
    found, name = told("a cat", "fog", 20)
    assert len({id(found.at(i, 20)) for i in range(25)}) == 1
    [(weight, state)] = found.at(3, 20).positives
    assert (weight, name(state), name(found.at(3, 20).negative)) == (1.0, "a cat", "fog")
    assert told("a cat", None, 20)[0].at(0, 20).negative is None


def test_a_prompt_holds_up_to_and_with_its_last_step_counted_from_0_as_in_a1111():
    assert positives("[b:c:0.5]") == ["b"] * 6 + ["c"] * 4
    assert positives("[b:c:3]") == ["b"] * 4 + ["c"] * 6
    assert positives("[b::9]") == ["b"] * 10
    assert positives("[b|c]") == ["b", "b", "c", "b", "c", "b", "c", "b", "c", "b"]


def test_the_second_pass():
    assert positives("[b:c:1.5]", hires_steps=6) == ["b"] * 4 + ["c"] * 2
    assert positives("[b:c:12]", hires_steps=6) == ["b"] * 3 + ["c"] * 3
    assert positives("[b:c:0.5]", hires_steps=6) == ["c"] * 6


def test_what_counts_to_something_else_is_a_share_of_the_way():
    found, name = told("[b:c:0.5]", None, 10)
    assert [name(found.at(i, 40).positives[0][1]) for i in (0, 23, 24, 39)] == ["b", "b", "c", "c"]
    assert found.at(10, 10) is found.at(99, 10) is found.at(9, 10)


def test_negative_prompts_change_too_and_do_not_compose():
    assert [negative for _, negative in spoken("a", "[x:y:2] AND z :2")] == ["x AND z :2"] * 3 + ["y AND z :2"] * 7


def test_parts_have_weights_and_schedules_of_their_own():
    found = spoken("[b:c:2] :0.5 AND d:-1", "n")
    assert found[0] == ([(0.5, "b"), (-1.0, " d")], "n") and found[9] == ([(0.5, "c"), (-1.0, " d")], "n")
    assert is_whole("a cat") and not is_whole("a AND b") and not is_whole("a :0.5")


def test_each_distinct_text_is_encoded_once():
    encoder = Encoder()
    conditioning("[a|b] AND a AND [b:a:3]", "[a|b]", 50, None, encoder)
    assert sorted(encoder.asked) == [" a", " b", "a", "b"]
    before = Encoder()
    found = conditioning("[a|b]", None, 50, None, before)
    assert before.asked == ["a", "b"] and len({id(moment) for moment in found.moments}) == 2


def test_all_states_of_a_step_are_equally_long_as_a1111_fills_them():
    found, name = told("one two three AND x", "n", 10)
    at = found.at(0, 10)
    assert {text.states.shape for _, text in at.positives} == {at.negative.states.shape} == {(1, 6, 3)}
    second, negative = at.positives[1][1].states, at.negative.states
    assert torch.equal(second, second[:, :1].expand(1, 6, 3)), "a part is filled with its own last vector"
    assert [name(Encoded(negative[:, i : i + 2])) for i in (0, 2, 4)] == ["n", "", ""], "a negative prompt with the empty prompt"
    changing = told("[x:one two three:5]", "n", 10)[0]
    assert changing.at(0, 10).negative.length == 2 and changing.at(9, 10).negative.length == 6
    assert told("x AND y", "one two three", 10)[0].at(0, 10).positives[1][1].length == 6


def test_without_padding_a_negative_prompt_keeps_its_length():
    found, _ = told("one two three AND x", "n", 10, pad=False)
    at = found.at(0, 10)
    assert at.negative.length == 2 and {text.length for _, text in at.positives} == {6} and not found.padded
    assert told("one two three", "n", 10)[0].padded and not told("one two", "n n", 10)[0].padded and not told("one two three", None, 10)[0].padded
    assert told("[x:one two three:5]", "n", 10)[0].padded


def test_what_is_not_wanted_is_told_by_the_family_and_padded_with_what_is_wanted():
    def found(negative):
        def unwanted(text, nothing):
            return Encoded(text.states * (0 if nothing else -1))

        encoder = Encoder()
        conditions = conditioning("n n AND x", negative, 10, None, encoder, unwanted=unwanted)
        return [[float(value) for value in conditions.at(step, 10).negative.states[0, ::2, 0]] for step in (0, 9)], encoder.asked

    assert found("n") == ([[-3, 4]] * 2, ["n n", " x", "n", ""]), "the same text may be wanted, too"
    assert found("") == ([[0, 3]] * 2, ["n n", " x", ""]), "zeros, then the empty prompt as it is"
    assert found("[:n:5]") == ([[-3, 3], [-4, 3]], ["n n", " x", "", "n"]), "an empty text on the way is no empty negative prompt"


def test_too_many_parts():
    assert len(timelines(" AND ".join("a" * MAX_PARTS), 10)) == MAX_PARTS
    with pytest.raises(BadRequest, match="65 parts joined by AND, but at most 64 are allowed"):
        timelines(" AND ".join("a" * (MAX_PARTS + 1)), 10)

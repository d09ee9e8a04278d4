"""What axes do to prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.grids.prompts import assembled, chosen, matrix_parts, ordered, orders, pieces, replaced


def test_search_and_replace_in_both_prompts() -> None:
    both = {"prompt": "a cat, cat", "negative_prompt": "dog"}
    assert replaced(both, "cat", "fox") == {"prompt": "a fox, fox", "negative_prompt": "dog"}
    assert replaced(both, "dog", "")["negative_prompt"] == ""
    with pytest.raises(BadRequest, match="looks for 'cow', its first value"):
        replaced(both, "cow", "x")


def test_orders_keep_the_places() -> None:
    assert orders(["a", "b"]) == [("a", "b"), ("b", "a")]
    assert ordered("tall red house, old", ("old", "tall", "red")) == "old tall house, red"
    with pytest.raises(BadRequest, match="more than 1000 orders"):
        orders(list("abcdefg"))
    with pytest.raises(BadRequest, match="does not have it"):
        ordered("a house", ("house", "cat"))
    with pytest.raises(BadRequest, match="overlap"):
        ordered("a red house", ("red house", "house"))


@given(st.permutations(["red", "tall", "old", "small"]))
def test_an_order_only_moves_the_words(order: list[str]) -> None:
    made = ordered("a red, tall (old:1.2) and small house", tuple(order))
    assert made == "a {}, {} ({}:1.2) and {} house".format(*order)


def test_a_matrix_counts_as_a1111_counts() -> None:
    parts = matrix_parts("a house|red, |old", 0, 1)
    assert parts == ["red", "old"]
    assert [assembled("a house|red|old", active) for active in chosen(parts)] == ["a house", "a house, red", "a house, old", "a house, red, old"]
    assert (matrix_parts("a|b|c|d", 0, 2), matrix_parts("a|b|c|d", 1, 2)) == (["b", "c"], ["d"])


def test_only_bars_outside_brackets_part_a_prompt() -> None:
    assert pieces(r"[a|b] {c|d} \| e|(f|g:1.2)") == [r"[a|b] {c|d} \| e", "(f|g:1.2)"]
    assert pieces("a] | b") == ["a] ", " b"]


def test_a_matrix_needs_parts_but_not_too_many() -> None:
    with pytest.raises(BadRequest, match="needs a prompt with parts"):
        matrix_parts("a house", 0, 1)
    with pytest.raises(BadRequest, match="10 parts behind the first, but at most 9"):
        chosen(list("bcdefghijk"))

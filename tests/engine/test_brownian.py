"""Brownian paths: the values that torchsde's tree gives, and the laws of Brownian motion."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from app.engine.brownian import BrownianTree
from app.engine.noise import Stream, brownian

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "brownian.json").read_text(encoding="utf-8"))


def tree(seed=5, low=0.03, high=14.6, shape=(4,)):
    return BrownianTree(seed, low, high, lambda node: torch.randn(shape, generator=torch.Generator().manual_seed(node), dtype=torch.float64))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["seed"]))
def test_the_values_of_torchsde(case):
    path = BrownianTree(
        case["seed"], GOLDEN["low"], GOLDEN["high"], lambda node: torch.randn(GOLDEN["shape"], generator=torch.Generator().manual_seed(node))
    )
    for (start, end), wanted in zip(GOLDEN["intervals"], case["increments"], strict=True):
        assert path.increment(start, end).tolist() == wanted


def test_increments_add_up_whatever_is_asked_first():
    whole, parts = tree(), tree()
    levels = [0.03, 0.5, 0.500001, 2.25, 9.0, 14.6]
    pieces = [parts.increment(start, end) for start, end in reversed(list(pairwise(levels)))]
    assert torch.allclose(whole.increment(0.03, 14.6), sum(pieces), atol=1e-12)
    assert torch.allclose(parts.increment(0.5, 9.0), tree().increment(0.5, 9.0), atol=1e-12)


def test_an_increment_has_the_spread_of_its_interval_and_others_are_independent():
    path = tree(seed=11, shape=(40_000,))
    first, second = path.increment(1.0, 4.0), path.increment(4.0, 4.5)
    assert first.std().item() == pytest.approx(math.sqrt(3.0), rel=0.02) and second.std().item() == pytest.approx(math.sqrt(0.5), rel=0.02)
    assert abs((first * second).mean().item()) < 0.02 and abs(first.mean().item()) < 0.03


def test_outside_the_path_and_between_equal_levels_there_is_nothing():
    path = tree()
    assert path.increment(2.0, 2.0) is None and path.increment(2.0, 2.0000001) is None and path.increment(20.0, 30.0) is None
    assert torch.equal(path.increment(0.0, 14.6), path.increment(0.03, 99.0))


def test_many_questions_are_answered_the_same_with_little_memory():
    one, other = tree(), tree()
    levels = [0.03 + i * 14.57 / 60 for i in range(61)]
    forward = [one.increment(start, end) for start, end in pairwise(levels)]
    backward = [other.increment(start, end) for start, end in reversed(list(pairwise(levels)))]
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert len(one._halves) < 60


SIGMAS = [14.6, 6.0, 2.0, 0.3, 0.0]


def test_noise_depends_on_the_seed_and_not_on_the_batch():
    shape = (1, 4, 4, 4)
    three = brownian([Stream(seed) for seed in (7, 8, 9)], shape, SIGMAS)
    alone = brownian([Stream(8)], shape, SIGMAS)
    for sigma, after in pairwise(SIGMAS[:-1]):
        assert torch.equal(three(sigma, after)[1:2], alone(sigma, after))
    assert not torch.equal(three(6.0, 2.0)[0], three(6.0, 2.0)[1])


@pytest.mark.parametrize("source", ["NV", "CPU"])
def test_noise_is_standard_normal_and_a_longer_way_is_made_of_shorter_ones(source):
    noise = brownian([Stream(3, source)], (1, 4, 64, 64), SIGMAS)
    whole, first, second = noise(6.0, 0.3), noise(6.0, 2.0), noise(2.0, 0.3)
    assert whole.std().item() == pytest.approx(1, abs=0.02) and abs(whole.mean().item()) < 0.02
    assert torch.allclose(whole * math.sqrt(5.7), first * 2 + second * math.sqrt(1.7), atol=1e-4)
    assert torch.equal(noise(0.3, 6.0), -whole)


def test_a_path_takes_nothing_from_the_stream_and_a_second_one_is_another():
    stream, plain = Stream(4), Stream(4)
    first = brownian([stream], (1, 4, 2, 2), SIGMAS)(6.0, 2.0)
    second = brownian([stream], (1, 4, 2, 2), SIGMAS)(6.0, 2.0)
    assert torch.equal(stream.normal((3,)), plain.normal((3,)))
    assert not torch.equal(first, second) and torch.equal(first, brownian([Stream(4)], (1, 4, 2, 2), SIGMAS)(6.0, 2.0))


def test_where_there_is_no_interval_the_stream_answers():
    stream = Stream(4)
    noise = brownian([stream], (1, 4, 2, 2), SIGMAS)
    assert torch.equal(noise(2.0, 2.0), Stream(4).normal((1, 4, 2, 2)))
    assert brownian([stream], (1, 4, 2, 2), [14.6, 0.0])(14.6, 14.6).shape == (1, 4, 2, 2)

"""Laws of the one-step samplers that need no model."""

import math

import pytest

from app.engine.sampling.single import ancestral, dpm2, euler, heun


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize(("sigma", "after"), [(14.6, 10.0), (1.0, 0.99), (0.5, 0.03), (0.03, 0.0)])
def test_both_parts_of_an_ancestral_step_reach_the_next_level(sigma, after, eta):
    down, up = ancestral(sigma, after, eta)
    assert math.hypot(down, up) == pytest.approx(after) and 0 <= up <= after
    assert (up == 0) == (eta == 0 or after == 0)


@pytest.mark.parametrize("function", [euler, heun, dpm2])
def test_with_a_model_that_knows_the_answer_any_step_is_exact(function):
    run = function(lambda x, sigma: 3.0, 3.0 + 2.0 * 10, [10.0, 1.0, 0.1, 0.0], lambda *_: 0.0)
    path = [x for _, x, _, _ in run]
    assert path == pytest.approx([23.0, 5.0, 3.2])


def test_plain_floats_will_do():
    run = euler(lambda x, sigma: x / 2, 8.0, [4.0, 2.0, 0.0], lambda *_: 0.0)
    assert next(run) == (0, 8.0, 4.0, 4.0) and next(run) == (1, 6.0, 2.0, 3.0)
    with pytest.raises(StopIteration) as end:
        next(run)
    assert end.value.value == 3.0

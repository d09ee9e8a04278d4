"""The coefficients of UniPC against the conditions of the paper, and the last step."""

import math

import pytest

from app.engine.sampling.unipc import move, unipc, weights


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
@pytest.mark.parametrize("h", [0.05, 0.7, 2.0])
def test_the_weights_fulfil_the_order_conditions(h, variant):
    """sum a_m r_m^(k-1) = k! phi_(k+1) / B(h), phi by quadrature of e^(-h(1-t)) t^k / k!."""
    scale = -h if variant == "bh1" else math.expm1(-h)
    ratios = [-1.3, -0.6, 1.0]
    found = weights(ratios, h, scale, variant)
    for k in (1, 2, 3):
        count = 4000
        integral = sum(math.exp(-h * (1 - (i + 0.5) / count)) * ((i + 0.5) / count) ** k for i in range(count)) / count
        left = sum(weight * ratio ** (k - 1) for weight, ratio in zip(found, ratios, strict=True))
        assert left * scale == pytest.approx(-h * integral, rel=1e-5)


def test_one_point_weighs_a_half():
    h, scale = 0.5, math.expm1(-0.5)
    assert weights([1.0], h, -h, "bh1") == [0.5] == weights([1.0], h, scale, "bh2")
    assert weights([1.0], h, scale, "vary_coeff")[0] * scale == pytest.approx(-(h - 1 + math.exp(-h)) / h), "the exact integral of t e^-h(1-t)"


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
def test_a_constant_answer_is_followed_exactly(variant):
    past = [(3.0, 2.0), (3.0, 4.0), (3.0, 9.0)]
    assert move(3.0 + 2.0 * 0.7, past, 0.5, variant, (3.0, 0.5)) == pytest.approx(3.0 + 0.5 * 0.7)


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_last_step_to_zero_is_the_models_answer(order, variant):
    answers = []

    def model(x, sigma):
        answers.append(x / (1 + sigma**2))
        return answers[-1]

    run = unipc(model, 9.0, [10.0, 3.0, 1.0, 0.3, 0.0], lambda *_: 0.0, order, variant)
    with pytest.raises(StopIteration) as end:
        while True:
            next(run)
    assert len(answers) == 4 and math.isfinite(end.value.value) and end.value.value == answers[-1]

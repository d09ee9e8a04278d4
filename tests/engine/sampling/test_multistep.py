"""The integral behind LMS, and multistep samplers on a slope that they must integrate exactly."""

import pytest

from app.engine.sampling.multistep import lagrange_integral, lms, plms


@pytest.mark.parametrize("k", range(4))
def test_the_integral_of_a_lagrange_polynomial(k):
    knots = [2.0, 3.5, 5.0, 9.0]
    count = 20_000
    total = 0.0
    for i in range(count):  # midpoint rule
        at, value = 2.0 - (i + 0.5) / count, 1.0
        for j, knot in enumerate(knots):
            value *= (at - knot) / (knots[k] - knot) if j != k else 1.0
        total -= value / count
    assert lagrange_integral(knots, k, 2.0, 1.0) == pytest.approx(total, abs=1e-8)


def final(function, sigmas, power):
    """Integrates dx/dsigma = sigma^power from x = 0; the model answers x - sigma * slope."""
    run = function(lambda x, sigma: x - sigma * sigma**power, 0.0, sigmas, lambda *_: 0.0)
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def test_lms_integrates_a_cubic_slope_exactly_once_it_has_four_points():
    sigmas = [10.0, 9.9, 9.8, 9.7, 8.0, 5.5, 3.0, 1.0, 0.0]
    late = final(lms, sigmas, 3) - final(lms, sigmas[:4], 3)
    assert late == pytest.approx((0 - 9.7**4) / 4)


def test_plms_integrates_a_cubic_slope_exactly_on_even_steps():
    sigmas = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    late = final(plms, sigmas, 3) - final(plms, sigmas[:4], 3)
    assert late == pytest.approx((0 - 5.0**4) / 4)

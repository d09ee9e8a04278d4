"""The quantile against closed forms of the arcsine, uniform and power distributions."""

import math

import pytest

from app.engine.beta_quantile import beta_quantile, incomplete_beta


@pytest.mark.parametrize("p", [0.0, 0.001, 0.1, 0.5, 0.77, 0.999, 1.0])
def test_closed_forms(p):
    assert beta_quantile(p, 0.5, 0.5) == pytest.approx(math.sin(math.pi * p / 2) ** 2, abs=1e-12)
    assert beta_quantile(p, 1, 1) == pytest.approx(p, abs=1e-12)
    assert beta_quantile(p, 3, 1) == pytest.approx(p ** (1 / 3), abs=1e-12)
    assert beta_quantile(p, 1, 0.25) == pytest.approx(1 - (1 - p) ** 4, abs=1e-12)


def test_it_inverts_the_distribution_and_is_symmetric():
    for p in (0.01, 0.2, 0.6, 0.95):
        assert incomplete_beta(beta_quantile(p, 0.6, 0.6), 0.6, 0.6) == pytest.approx(p, abs=1e-12)
        assert beta_quantile(p, 0.6, 0.6) == pytest.approx(1 - beta_quantile(1 - p, 0.6, 0.6), abs=1e-12)

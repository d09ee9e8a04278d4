"""Where Restart goes back up, and that it takes as many steps as it was given."""

import pytest

from app.engine.samplers import SAMPLERS
from app.engine.sampling.restart import karras_between, restart_plan
from app.engine.schedules import TrainingTable, sigmas_for

TABLE = TrainingTable()


def plan(steps):
    return restart_plan(sigmas_for("Karras", SAMPLERS["Restart"], steps, TABLE))


@pytest.mark.parametrize("steps", [1, 5, 19, 20, 35, 36, 50, 100, 150])
def test_as_many_steps_as_asked_from_noise_to_zero(steps):
    found = plan(steps)
    assert len(found) == steps and found[0][0] == pytest.approx(TABLE.sigma_max) and found[-1][1] == 0.0
    assert all(after < sigma for sigma, after in found)


@pytest.mark.parametrize(("steps", "climbs"), [(19, 0), (20, 1), (35, 1), (36, 2), (100, 2)])
def test_it_climbs_from_about_a_tenth_to_about_two(steps, climbs):
    found = plan(steps)
    ups = [(low, high) for (_, low), (high, _) in zip(found, found[1:], strict=False) if high > low]  # noqa: RUF007
    assert len(ups) == climbs
    assert all(0.02 < low < 0.2 and 1 < high < 4 for low, high in ups)


def test_karras_between_the_ends():
    found = karras_between(5, 2.0, 0.1)
    assert found[0] == pytest.approx(2.0) and found[-1] == pytest.approx(0.1) and sorted(found, reverse=True) == found

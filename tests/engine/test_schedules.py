"""Each schedule against its formula, numbers measured elsewhere, and what every sampler relies on."""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from app.engine.samplers import SAMPLERS, SamplerRow
from app.engine.schedules import SCHEDULES, Spacing, TrainingTable, resolve_schedule, scaled_linear_alphas, sigmas_for
from app.errors import BadRequest, UnknownName

TABLE = TrainingTable()
PLAIN = SAMPLERS["Euler"]


def levels(schedule, steps=20, row=PLAIN):
    return sigmas_for(schedule, row, steps, TABLE)


def test_the_table_of_stable_diffusion():
    assert len(TABLE.sigmas) == 1000 and TABLE.sigmas.dtype == np.float64
    assert TABLE.sigma_min == pytest.approx(0.0291675, abs=1e-6) and TABLE.sigma_max == pytest.approx(14.614641, abs=1e-5)
    assert np.array_equal(TABLE.alphas_cumprod, scaled_linear_alphas())


def test_timestep_and_sigma_are_inverse_and_log_linear():
    for t in (0.0, 0.25, 17.5, 500.0, 998.9, 999.0):
        assert TABLE.timestep(TABLE.sigma(t)) == pytest.approx(t, abs=1e-9)
    assert TABLE.sigma(10.5) == pytest.approx(math.sqrt(TABLE.sigmas[10] * TABLE.sigmas[11]), rel=1e-12)
    assert TABLE.timestep(0.0) == 0 and TABLE.timestep(1000.0) == 999
    assert TABLE.sigma(-5) == TABLE.sigma_min and TABLE.sigma(2000) == pytest.approx(TABLE.sigma_max)


def test_a_table_of_the_checkpoints_own():
    alphas = np.linspace(0.999, 0.0, 50)
    table = TrainingTable(alphas)
    assert len(table.sigmas) == 50 and np.isfinite(table.sigmas).all() and table.sigma_max == pytest.approx(4518.76, rel=1e-4)
    assert sigmas_for("Karras", PLAIN, 7, table)[0] == pytest.approx(table.sigma_max)


@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("row", [SAMPLERS["Euler"], SAMPLERS["DPM2"], SAMPLERS["DPM++ 2M"]], ids=lambda row: row.name)
def test_every_schedule_falls_from_noise_to_zero(schedule, row):
    for steps in (1, 2, 3, 4, 7, 10, 11, 20, 33, 150, 1000):
        found = levels(schedule, steps, row)
        assert len(found) == steps + 1 and found[-1] == 0.0
        assert all(high > low for high, low in pairwise(found)), (schedule, steps)
        assert all(isinstance(sigma, float) and math.isfinite(sigma) for sigma in found)
        assert found[0] <= TABLE.sigma_max + 0.001


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "DDIM"])
def test_every_schedule_but_ddim_starts_at_pure_noise(schedule):
    assert levels(schedule, 20)[0] == pytest.approx(TABLE.sigma_max, abs=0.001)


@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_one_step_goes_from_pure_noise_to_zero(schedule):
    assert levels(schedule, 1) == [TABLE.sigma_max, 0.0] == levels(schedule, 1, SAMPLERS["DPM2"])


def test_automatic_is_the_samplers_own():
    assert levels("Automatic", 12, SAMPLERS["DPM++ 2M"]) == levels("Karras", 12)
    assert levels("Automatic", 12, SAMPLERS["DPM++ 2M SDE"]) == levels("Exponential", 12)
    assert levels("Automatic", 12, SAMPLERS["Euler a"]) == levels("Uniform", 12)
    assert levels("Karras", 12, SAMPLERS["Euler a"]) == levels("Karras", 12)


def test_discarding_the_next_to_last_level():
    row = SamplerRow("x", SAMPLERS["Euler"].function, discard_penultimate=True)
    assert levels("Karras", 12, row) == [*levels("Karras", 13)[:-2], 0.0]


def test_formulas():
    low, high = TABLE.sigma_min, TABLE.sigma_max
    karras = levels("Karras", 11)
    assert karras[5] == pytest.approx(((low ** (1 / 7) + high ** (1 / 7)) / 2) ** 7)
    assert np.diff(np.log(levels("Exponential", 10)[:-1])) == pytest.approx(math.log(low / high) / 9)
    assert levels("Polyexponential") == levels("Exponential")
    betas = np.linspace(0.0001, 0.02, 1000)  # DDPM's: a continuous linear schedule is their limit
    times = np.interp(levels("Linear", 10)[1:-2], np.sqrt(1 / np.cumprod(1 - betas) - 1), np.arange(1000))
    assert np.diff(times) == pytest.approx(np.diff(times).mean(), abs=1.5)
    assert np.diff(np.arctan(levels("Cosine", 10)[:-1])) == pytest.approx((math.atan(low) - math.atan(high)) / 9)
    assert np.diff(np.arctan(levels("KL Optimal", 10)[:-1])) == pytest.approx((math.atan(low) - math.atan(high)) / 10)
    assert [TABLE.timestep(s) for s in levels("Uniform", 10)[:-1]] == pytest.approx([999 - 111 * i for i in range(10)])
    assert [TABLE.timestep(s) for s in levels("SGM Uniform", 10)[:-1]] == pytest.approx([999 - 99.9 * i for i in range(10)])
    assert [TABLE.timestep(s) for s in levels("Simple", 8)[:-1]] == pytest.approx([999, 874, 749, 624, 499, 374, 249, 124])
    assert [TABLE.timestep(s) for s in levels("DDIM", 5)[:-1]] == pytest.approx([801, 601, 401, 201, 1])
    assert [TABLE.timestep(s) for s in levels("Turbo", 4)[:-1]] == pytest.approx([999, 749, 499, 249])
    assert levels("Normal") == levels("Uniform") and levels("Logarithmic") == levels("Exponential")
    assert [math.sqrt(TABLE.timestep(s)) for s in levels("Quadratic", 9)[:-1]] == pytest.approx(np.linspace(math.sqrt(999), 0, 9), abs=1e-6)


def test_the_issues_schedules_are_all_there():
    wanted = "Automatic, Uniform, Karras, Exponential, Polyexponential, SGM Uniform, KL Optimal, Align Your Steps, Simple, Normal, DDIM, Beta, Turbo, Linear, "
    assert tuple(SCHEDULES) == tuple((wanted + "Logarithmic, Cosine, Quadratic").split(", ")), "A1111's order, then the others"


@pytest.mark.parametrize("count", [40, 1000])
def test_more_steps_than_trained_levels(count):
    table = TrainingTable(np.linspace(0.99, 0.01, count))
    for schedule in SCHEDULES:
        found = sigmas_for(schedule, SAMPLERS["DPM2"], 1000, table)
        assert len(found) == 1001 and found[-1] == 0 and all(high > low for high, low in pairwise(found)), schedule


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.0), (0.0, 8.0), (0.002, 80.0), (0.2, 5.0), (20.0, 40.0), (0.001, 0.02)])
def test_other_ends(low, high):
    for schedule in SCHEDULES:
        goes_between(schedule, low, high)


def goes_between(schedule, low, high):
    """A schedule falls from `high` to `low`, or as near as it comes; 0 is the table's own end."""
    found = sigmas_for(schedule, PLAIN, 12, TABLE, Spacing(sigma_min=low, sigma_max=high))
    low, high = low or TABLE.sigma_min, high or TABLE.sigma_max
    assert len(found) == 13 and found[-1] == 0 and all(upper > lower for upper, lower in pairwise(found))
    assert found[-2] >= low * 0.999999 and found[0] <= high * 1.000001
    if schedule != "DDIM":
        assert found[0] == pytest.approx(high, rel=1e-4)
    if schedule not in ("SGM Uniform", "KL Optimal", "Simple", "DDIM", "Turbo"):
        assert found[-2] == pytest.approx(low, rel=1e-4)
    assert sigmas_for(schedule, PLAIN, 1, TABLE, Spacing(sigma_max=8.0)) == [8.0, 0.0]


def test_the_tables_own_ends_change_nothing():
    for schedule in SCHEDULES:
        assert sigmas_for(schedule, PLAIN, 9, TABLE, Spacing(TABLE.sigma_min, TABLE.sigma_max)) == levels(schedule, 9)


def test_ends_that_cross_are_refused():
    with pytest.raises(BadRequest, match=r"sigma_min\) is 20, but it must be below the highest noise level, 14\.6146"):
        sigmas_for("Karras", PLAIN, 9, TABLE, Spacing(sigma_min=20.0))


def test_rho_bends_karras_and_polyexponential_alone():
    ramp = np.linspace(1, 0, 9)
    low, high = math.log(TABLE.sigma_min), math.log(TABLE.sigma_max)
    for schedule in SCHEDULES:
        found = sigmas_for(schedule, PLAIN, 9, TABLE, Spacing(rho=3.0))
        assert (found != levels(schedule, 9)) == (schedule in ("Karras", "Polyexponential"))
    assert np.log(sigmas_for("Polyexponential", PLAIN, 9, TABLE, Spacing(rho=2.0))[:-1]) == pytest.approx(low + ramp**2 * (high - low))
    assert sigmas_for("Karras", PLAIN, 9, TABLE, Spacing(rho=7.0)) == levels("Karras", 9)


def test_the_shape_of_beta():
    even = sigmas_for("Beta", PLAIN, 9, TABLE, Spacing(beta_alpha=1.0, beta_beta=1.0))[:-1]
    assert even == pytest.approx(np.linspace(TABLE.sigma_max, TABLE.sigma_min, 9))
    lower, upper = (sigmas_for("Beta", PLAIN, 9, TABLE, spacing)[4] for spacing in (Spacing(beta_alpha=0.3), Spacing(beta_beta=0.3)))
    assert lower < levels("Beta", 9)[4] < upper


def test_any_sampler_may_leave_out_the_last_level():
    assert sigmas_for("Karras", PLAIN, 12, TABLE, Spacing(discard_penultimate=True)) == levels("Karras", 12, SAMPLERS["DPM2"])
    assert levels("Karras", 12, SAMPLERS["DPM2"]) == sigmas_for("Karras", SAMPLERS["DPM2"], 12, TABLE, Spacing(discard_penultimate=True))


@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_samplers_that_take_the_ends_alone_get_the_lowest_level(schedule):
    for spacing, low in ((Spacing(), TABLE.sigma_min), (Spacing(discard_penultimate=True), TABLE.sigma_min), (Spacing(sigma_min=0.01), 0.01)):
        assert sigmas_for(schedule, SAMPLERS["DPM fast"], 7, TABLE, spacing)[-2] == low


def test_beta_is_symmetric_between_the_ends():
    found = np.array(levels("Beta", 21)[:-1])
    share = (found - TABLE.sigma_min) / (TABLE.sigma_max - TABLE.sigma_min)
    assert share[10] == pytest.approx(0.5) and share + share[::-1] == pytest.approx(np.ones(21))
    assert share[0] - share[1] < share[9] - share[10], "denser at the ends than in the middle"


def test_align_your_steps_has_the_published_levels_at_ten():
    found = levels("Align Your Steps", 11)
    assert found[:-1] == pytest.approx([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029])
    assert levels("Align Your Steps", 21)[1] == pytest.approx(math.sqrt(14.615 * 6.475))


@pytest.mark.parametrize(
    ("name", "label"),
    [("karras", "Karras"), ("KARRAS", "Karras"), ("automatic", "Automatic"), ("SGMUniform", "SGM Uniform"), ("sgm_uniform", "SGM Uniform"),
     ("  SGM   uniform ", "SGM Uniform"), ("kl_optimal", "KL Optimal"), ("Align Your Steps", "Align Your Steps"), ("ddim", "DDIM")],
)  # fmt: skip
def test_names(name, label):
    assert resolve_schedule(name) == label


def test_every_row_answers_to_its_names():
    for label, row in SCHEDULES.items():
        assert {resolve_schedule(name) for name in (row.name, row.label, *row.aliases)} == {label}


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownName, match=r"Schedule 'Karas' does not exist\. Did you mean 'Karras'"):
        resolve_schedule("Karas")


@pytest.mark.parametrize("steps", [0, -3, 1001])
def test_steps_out_of_bounds(steps):
    with pytest.raises(BadRequest, match=f"steps.*{steps}"):
        levels("Karras", steps)


def test_names_do_not_cost_torch():
    code = "import sys, app.engine.samplers, app.engine.schedules, app.engine.prompt.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

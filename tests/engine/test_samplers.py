"""Every sampler on a problem whose answer is known: data N(0.7, 0.6^2) per value, so the perfect model is a formula.

A deterministic sampler must land on the exact solution of the probability flow ODE, a stochastic one on the right mean
and spread. Tensors are NumPy arrays here, which also shows that samplers use operators only.
"""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from app.engine.samplers import SAMPLERS, SamplerRow, resolve_sampler
from app.engine.schedules import SCHEDULES, TrainingTable, sigmas_for
from app.errors import UnknownName

MEAN, SPREAD = 0.7, 0.6
TABLE = TrainingTable()
START = np.array([NormalDist().inv_cdf((i + 0.5) / 2000) for i in range(2000)])

# mean |x - exact| at 10, 20 and 40 steps with the sampler's own schedule, from public implementations of the same methods
EXPECTED = {
    "Euler": (0.093, 0.049, 0.026),
    "DDIM": (0.081, 0.044, 0.023),
    "Heun": (0.017, 0.0035, 0.0004),
    "DPM2": (0.045, 0.014, 0.0044),
    "PLMS": (0.012, 0.0044, 0.0011),
    "LMS": (0.0096, 0.0003, 0.0001),
    "DPM++ 2M": (0.026, 0.0063, 0.0009),
    "UniPC": (0.027, 0.0063, 0.0009),
}
ORDERS = {"Euler": 0.9, "DDIM": 0.9, "Heun": 2.0, "DPM2": 1.9, "PLMS": 1.7, "LMS": 3.5, "DPM++ 2M": 1.9, "UniPC": 2.0}
STOCHASTIC = [name for name in SAMPLERS if name not in EXPECTED]
CALLS = {"Heun": 39, "DPM2": 39, "DPM2 a": 39, "DPM++ 2S a": 39, "DPM++ SDE": 39, "Restart": 39, "PLMS": 21}


class Gauss:
    """The perfect denoiser; counts its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, sigma):
        self.calls.append(sigma)
        return MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (x - MEAN)


def run(row, sigmas, start=START, seed=1, model=None, **options):
    """(final x, model, what was yielded)."""
    model, random = model or Gauss(), np.random.default_rng(seed)
    generator = row.function(model, start * sigmas[0], sigmas, lambda sigma, after: random.standard_normal(start.shape), **options)
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as end:
            return end.value, model, seen


def error(name, steps, schedule="Automatic", **options):
    """Mean distance from the exact solution."""
    sigmas = sigmas_for(schedule, SAMPLERS[name], steps, TABLE)
    exact = MEAN + (START * sigmas[0] - MEAN) * SPREAD / math.hypot(SPREAD, sigmas[0])
    return np.abs(run(SAMPLERS[name], sigmas, **options)[0] - exact).mean()


@pytest.mark.parametrize("name", list(EXPECTED))
def test_deterministic_samplers_land_on_the_exact_solution(name):
    found = [error(name, steps) for steps in (10, 20, 40)]
    for value, wanted in zip(found, EXPECTED[name], strict=True):
        assert value <= 1.2 * wanted, (found, EXPECTED[name])
    assert math.log2(found[0] / found[1]) >= ORDERS[name] - 0.05, found


@pytest.mark.parametrize(("name", "order"), [("DPM++ 2M", 1.9), ("UniPC", 2.0), ("DDIM", 0.9), ("Heun", 2.0)])
def test_the_order_holds_on_the_way_to_forty_steps(name, order):
    assert math.log2(error(name, 20) / error(name, 40)) >= order - 0.05


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_in_each_variant_and_order(order, variant):
    ten, twenty = (error("UniPC", steps, order=order, variant=variant) for steps in (10, 20))
    assert math.log2(ten / twenty) >= (2.0 if order > 1 else 1.5) and twenty < 0.02


@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("name", list(EXPECTED))
def test_deterministic_samplers_come_near_whatever_the_schedule(name, schedule):
    assert error(name, 60, schedule) < 0.035


def spread_of_the_recursion(sigmas, share):
    """Standard deviation after a linear sampler whose step is x' = denoised + share(sigma, after) * (x - denoised), topped up to `after`."""
    variance = sigmas[0] ** 2
    for sigma, after in pairwise(sigmas):
        gain, kept = SPREAD**2 / (SPREAD**2 + sigma**2), share(sigma, after)
        variance = (gain + kept * (1 - gain)) ** 2 * variance + after**2 - (kept * sigma) ** 2
    return math.sqrt(variance)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_samplers_have_the_right_mean_and_spread(name):
    start = np.random.default_rng(0).standard_normal(40_000)
    row = SAMPLERS[name]

    def spread(steps):
        sigmas = sigmas_for("Automatic", row, steps, TABLE)
        x = run_wide(row, sigmas, start)
        assert x.mean() == pytest.approx(MEAN, abs=0.02), steps
        return x.std(), sigmas

    found, sigmas = spread(20)
    wanted = {
        "LCM": spread_of_the_recursion(sigmas, lambda sigma, after: 0.0),
        "Euler a": spread_of_the_recursion(sigmas, lambda sigma, after: after**2 / sigma**2),
        "DDPM": spread_of_the_recursion(sigmas, lambda sigma, after: after**2 / sigma**2),
    }
    if name in wanted:
        assert found == pytest.approx(wanted[name], abs=0.02)
    if name != "LCM":
        assert abs(spread(80)[0] - SPREAD) < (0.04 if name in wanted else 0.02)
    if name not in wanted:
        assert abs(spread(40)[0] - SPREAD) < 0.02


def run_wide(row, sigmas, start):
    """The final x for many values at once."""
    random = np.random.default_rng(2)
    generator = row.function(Gauss(), start * sigmas[0], sigmas, lambda sigma, after: random.standard_normal(start.shape))
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def test_euler_a_and_ddpm_have_the_spread_measured_elsewhere():
    start = np.random.default_rng(0).standard_normal(40_000)
    for name, twenty, eighty in (("Euler a", 0.500, 0.566), ("DDPM", 0.503, 0.568)):
        for steps, wanted in ((20, twenty), (80, eighty)):
            assert run_wide(SAMPLERS[name], sigmas_for("Automatic", SAMPLERS[name], steps, TABLE), start).std() == pytest.approx(wanted, abs=0.02)


def test_ddpm_is_euler_a_is_ddim_with_eta_1():
    sigmas = sigmas_for("Karras", SAMPLERS["DDPM"], 12, TABLE)
    ddpm, euler_a, ddim = (run(SAMPLERS[name], sigmas, **options)[0] for name, options in (("DDPM", {}), ("Euler a", {}), ("DDIM", {"eta": 1.0})))
    assert ddpm == pytest.approx(euler_a, abs=1e-9) and ddim == pytest.approx(euler_a, abs=1e-9)


def test_eta_0_takes_the_noise_away():
    sigmas = sigmas_for("Karras", SAMPLERS["Euler"], 12, TABLE)
    euler = run(SAMPLERS["Euler"], sigmas)[0]
    for name in (name for name, row in SAMPLERS.items() if "eta" in row.options):
        one, other = (run(SAMPLERS[name], sigmas, seed=seed, eta=0.0)[0] for seed in (1, 2))
        assert one == pytest.approx(other, abs=1e-12), name
    assert run(SAMPLERS["Euler a"], sigmas, eta=0.0)[0] == pytest.approx(euler, abs=1e-9)
    assert run(SAMPLERS["DPM++ 2M SDE"], sigmas, eta=0.0)[0] == pytest.approx(run(SAMPLERS["DPM++ 2M"], sigmas)[0], abs=1e-9)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_calls_and_steps_are_counted_exactly(name):
    sigmas = sigmas_for("Automatic", SAMPLERS[name], 20, TABLE)
    _, model, seen = run(SAMPLERS[name], sigmas)
    assert len(model.calls) == CALLS.get(name, 20)
    assert [i for i, *_ in seen] == list(range(20))
    assert all(denoised.shape == START.shape and 0 < sigma <= sigmas[0] for _, _, sigma, denoised in seen)
    if name != "Restart":
        assert [sigma for _, _, sigma, _ in seen] == sigmas[:-1]


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_step_is_seen_before_its_second_call(name):
    model = Gauss()
    generator = SAMPLERS[name].function(model, START * 14.6, sigmas_for("Automatic", SAMPLERS[name], 20, TABLE), lambda *_: np.zeros_like(START))
    next(generator)
    generator.close()
    assert len(model.calls) == 1


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_schedule_and_number_of_steps_stays_finite(name):
    start = START[::100]
    for schedule in SCHEDULES:
        for steps in (1, 2, 3, 4, 5, 9, 25):
            sigmas = sigmas_for(schedule, SAMPLERS[name], steps, TABLE)
            random = np.random.default_rng(1)
            generator = SAMPLERS[name].function(Gauss(), start * sigmas[0], sigmas, lambda *_, random=random: random.standard_normal(start.shape))
            x = start
            while True:
                try:
                    _, x, _, _ = next(generator)
                except StopIteration as end:
                    x = end.value
                    break
                assert np.isfinite(x).all(), (schedule, steps)
            assert np.isfinite(x).all() and np.abs(x).max() < 30, (schedule, steps)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_one_step_is_one_look(name):
    x, model, _ = run(SAMPLERS[name], sigmas_for("Automatic", SAMPLERS[name], 1, TABLE))
    assert len(model.calls) == 1 and x == pytest.approx(Gauss()(START * TABLE.sigma_max, TABLE.sigma_max))


def test_the_issues_samplers_and_their_automatic_schedules():
    wanted = {"Euler", "Euler a", "Heun", "DPM2", "DPM2 a", "DPM++ 2M", "DPM++ 2M SDE", "DDIM", "DDPM", "PLMS", "LCM", "UniPC"}
    assert wanted <= set(SAMPLERS)
    assert all(row.schedule in SCHEDULES and row.schedule != "Automatic" and row.name == name for name, row in SAMPLERS.items())
    assert {name for name, row in SAMPLERS.items() if row.discard_penultimate} == {"DPM2", "DPM2 a", "DPM++ 3M SDE"}
    assert SAMPLERS["DPM++ 2M"].schedule == "Karras" and SAMPLERS["DPM++ 2M SDE"].schedule == "Exponential"


def test_options_come_from_the_signature():
    assert SAMPLERS["Euler a"].options == {"eta"} and SAMPLERS["Euler"].options == set()
    assert SAMPLERS["DPM++ 2M SDE Heun"].options == {"eta"}, "solver is taken"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Euler", ("Euler", None)),
        ("euler A", ("Euler a", None)),
        ("k_euler_a", ("Euler a", None)),
        ("k_euler_ancestral", ("Euler a", None)),
        ("K_DPMPP_2M", ("DPM++ 2M", None)),
        ("DPM++ 2M Karras", ("DPM++ 2M", "Karras")),
        ("dpm++ 2m karras", ("DPM++ 2M", "Karras")),
        ("k_dpmpp_2m_ka", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE", ("DPM++ 2M SDE", None)),
        ("DPM++ 2M SDE Karras", ("DPM++ 2M SDE", "Karras")),
        ("DPM++ 2M SDE Exponential", ("DPM++ 2M SDE", "Exponential")),
        ("k_dpmpp_2m_sde_exp", ("DPM++ 2M SDE", "Exponential")),
        ("DPM++ 2M SDE Heun Karras", ("DPM++ 2M SDE Heun", "Karras")),
        ("DPM2 a Karras", ("DPM2 a", "Karras")),
        ("Euler SGM Uniform", ("Euler", "SGM Uniform")),
        ("Euler SGMUniform", ("Euler", "SGM Uniform")),
        ("DPM++ 2M automatic", ("DPM++ 2M", "Automatic")),
        ("  unipc ", ("UniPC", None)),
    ],
)
def test_names(name, wanted):
    assert resolve_sampler(name) == wanted


def test_every_row_answers_to_its_names():
    for row in SAMPLERS.values():
        assert {resolve_sampler(name) for name in (row.name, row.name.upper(), *row.aliases)} == {(row.name, None)}


@pytest.mark.parametrize("name", ["Eular", "DPM++ 2M Karas", "", "Karras", "Euler Euler", "DPM" * 40])
def test_an_unknown_name_offers_others(name):
    with pytest.raises(UnknownName, match="does not exist") as caught:
        resolve_sampler(name)
    assert "'" in caught.value.hint and "\n" not in str(caught.value)
    if name == "Eular":
        assert "'Euler'" in caught.value.hint


def test_a_row_that_an_extension_adds_is_found(monkeypatch):
    monkeypatch.setitem(SAMPLERS, "Straight", SamplerRow("Straight", SAMPLERS["Euler"].function, ("k_straight",)))
    assert resolve_sampler("k_straight") == ("Straight", None) and resolve_sampler("Straight Karras") == ("Straight", "Karras")

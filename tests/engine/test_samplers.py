"""Every sampler on a problem whose answer is known: data N(0.7, 0.6^2) per value, so the perfect model is a formula.

A deterministic sampler must land on the exact solution of the probability flow ODE, a stochastic one on the right mean
and spread. Tensors are NumPy arrays here, which also shows that samplers use operators only.
"""

import math
from itertools import pairwise
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest

from app.engine.samplers import SAMPLERS, SamplerRow, resolve_pair, resolve_sampler
from app.engine.schedules import SCHEDULES, TrainingTable, sigmas_for
from app.errors import UnknownName

MEAN, SPREAD = 0.7, 0.6
TABLE = TrainingTable()
START = np.array([NormalDist().inv_cdf((i + 0.5) / 2000) for i in range(2000)])

# mean |x - exact| at 10, 20, 40 and 80 steps with the sampler's own schedule, from public implementations of the same methods
EXPECTED = {
    "Euler": (0.093, 0.049, 0.026, 0.014),
    "DDIM": (0.081, 0.044, 0.023, 0.011),
    "Heun": (0.017, 0.0035, 0.0004, 0.0003),
    "DPM2": (0.045, 0.014, 0.0044, 0.0011),
    "PLMS": (0.012, 0.0044, 0.0011, 0.0003),
    "LMS": (0.0096, 0.0003, 0.0001, 0.0),
    "DPM++ 2M": (0.026, 0.0063, 0.0009, 0.0001),
}
ORDERS = {
    "Euler": 0.9, "DDIM": 0.9, "DDIM CFG++": 0.9, "Heun": 2.0, "DPM2": 1.9, "PLMS": 1.7, "LMS": 3.5, "DPM++ 2M": 1.9, "UniPC": 2.0, "DEIS": 2.9, "IPNDM": 1.7,
}  # fmt: skip
DETERMINISTIC = list(ORDERS)
STOCHASTIC = [name for name in SAMPLERS if name not in ORDERS]
CALLS = {"Heun": 39, "DPM2": 39, "DPM2 a": 39, "DPM++ 2S a": 39, "DPM++ SDE": 39, "Restart": 39, "PLMS": 21}


class Gauss:
    """The perfect denoiser; counts its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, sigma):
        self.calls.append(sigma)
        return MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (x - MEAN)


class Path:
    """Noise of one Brownian path, standardised, for levels that are asked for from the noisy end on."""

    def __init__(self, shape, seed=2):
        self.shape, self.random, self.known = shape, np.random.default_rng(seed), {}

    def at(self, level):
        """W(level); between two known levels a Brownian bridge, below all of them a free end."""
        if level not in self.known:
            fresh = self.random.standard_normal(self.shape)
            above = min((known for known in self.known if known > level), default=None)
            below = max((known for known in self.known if known < level), default=None)
            if above is None:
                self.known[level] = np.zeros(self.shape)
            elif below is None:
                self.known[level] = self.known[above] + fresh * math.sqrt(above - level)
            else:
                share = (above - level) / (above - below)
                mean = self.known[above] * (1 - share) + self.known[below] * share
                self.known[level] = mean + fresh * math.sqrt((above - level) * share * (below < level) * (level - below) / (level - below))
        return self.known[level]

    def __call__(self, sigma, after):
        first, second = (self.at(sigma), self.at(after)) if sigma > after else (self.at(after), self.at(sigma))
        return (second - first) / math.sqrt(abs(sigma - after))


def finish(generator):
    """(final x, what was yielded)."""
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as end:
            return end.value, seen


def run(row, sigmas, start=START, seed=1, **options):
    """(final x, model, what was yielded)."""
    model, random = Gauss(), np.random.default_rng(seed)
    noise = Path(start.shape, seed) if row.brownian else lambda sigma, after: random.standard_normal(start.shape)
    x, seen = finish(row.function(model, start * sigmas[0], sigmas, noise, **options))
    return x, model, seen


def exact(sigmas, end=0.0):
    """Where the probability flow ODE ends."""
    return MEAN + (START * sigmas[0] - MEAN) * math.hypot(SPREAD, end) / math.hypot(SPREAD, sigmas[0])


def error(name, steps, schedule="Automatic", **options):
    """Mean distance from the exact solution."""
    sigmas = sigmas_for(schedule, SAMPLERS[name], steps, TABLE)
    return np.abs(run(SAMPLERS[name], sigmas, **options)[0] - exact(sigmas)).mean()


def floor():
    """The error of a perfect run to the lowest trained level with one Euler step to 0 behind it: no sampler can know better."""
    sigmas = [TABLE.sigma_max, TABLE.sigma_min, 0.0]
    return np.abs(Gauss()(exact(sigmas, TABLE.sigma_min), TABLE.sigma_min) - exact(sigmas)).mean()


@pytest.mark.parametrize("name", list(EXPECTED))
def test_deterministic_samplers_land_on_the_exact_solution(name):
    found = [error(name, steps) for steps in (10, 20, 40, 80)]
    assert 0.0005 < floor() < 0.0006
    for value, wanted in zip(found[:3], EXPECTED[name], strict=False):
        assert value <= 1.2 * wanted + 0.00005, (found, EXPECTED[name])
    assert found[3] <= max(1.2 * EXPECTED[name][3], floor()), "beyond the floor the table's numbers are differences of two errors"


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_order(name):
    found = [error(name, steps) for steps in (10, 20, 40)]
    assert math.log2(found[0] / found[1]) >= ORDERS[name] - 0.05, found
    assert math.log2(found[1] / found[2]) >= ORDERS[name] - 0.05 or found[2] < floor(), found
    assert error(name, 80) < max(found[2], 1.05 * floor())


@pytest.mark.parametrize("steps", [10, 20, 40, 80])
def test_unipc_is_at_least_as_good_as_dpmpp_2m(steps):
    assert error("UniPC", steps) <= max(1.1 * error("DPM++ 2M", steps), floor())


@pytest.mark.parametrize("name", ["DPM fast", "DPM adaptive"])
def test_the_dpm_solvers_without_noise_stop_at_the_lowest_level(name):
    for steps in (10, 20, 40):
        sigmas = sigmas_for("Automatic", SAMPLERS[name], steps, TABLE)
        x = run(SAMPLERS[name], sigmas, eta=0.0)[0]
        assert np.abs(x - exact(sigmas, sigmas[-2])).mean() < (0.02 if name == "DPM adaptive" else 0.3 * steps**-2 + 0.0005), steps
    strict = run(SAMPLERS["DPM adaptive"], sigmas, eta=0.0, rtol=1e-4, atol=1e-5)[0]
    assert np.abs(strict - exact(sigmas, sigmas[-2])).mean() < 0.0005


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 9])
def test_unipc_in_each_variant_and_order(order, variant):
    ten, twenty = (error("UniPC", steps, unipc_order=order, unipc_variant=variant) for steps in (10, 20))
    assert math.log2(ten / twenty) >= (2.0 if order > 1 else 1.5) and twenty < 0.02
    assert error("UniPC", 20, unipc_order=order, unipc_variant=variant, unipc_lower_order_final=False) < (0.02 if order < 9 else 0.3)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_samplers_come_near_whatever_the_schedule(name):
    assert {schedule: found for schedule in SCHEDULES if (found := error(name, 60, schedule)) > 0.035} == {}


def spread_of_the_recursion(sigmas, share):
    """Standard deviation after a linear sampler whose step is x' = denoised + share(sigma, after) * (x - denoised), topped up to `after`."""
    variance = sigmas[0] ** 2
    for sigma, after in pairwise(sigmas):
        gain, kept = SPREAD**2 / (SPREAD**2 + sigma**2), share(sigma, after)
        variance = (gain + kept * (1 - gain)) ** 2 * variance + after**2 - (kept * sigma) ** 2
    return math.sqrt(variance)


def jump_to(levels):
    """The share for `spread_of_the_recursion` of a sampler that goes down to `levels(after)` and adds the noise that is missing."""
    return lambda sigma, after: levels(after) / sigma


@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_samplers_have_the_right_mean_and_spread(name):
    start = np.random.default_rng(0).standard_normal(40_000)
    row = SAMPLERS[name]

    def spread(steps):
        sigmas = sigmas_for("Automatic", row, steps, TABLE)
        x = run(row, sigmas, start, seed=2)[0]
        assert x.mean() == pytest.approx(MEAN, abs=0.02), steps
        return x.std(), sigmas

    found, sigmas = spread(20)
    wanted = {
        "LCM": spread_of_the_recursion(sigmas, lambda sigma, after: 0.0),
        "TCD": spread_of_the_recursion(sigmas, jump_to(lambda after: min(TABLE.sigma(0.7 * TABLE.timestep(after)), after) if after else 0.0)),
        "Euler a": spread_of_the_recursion(sigmas, lambda sigma, after: after**2 / sigma**2),
        "DDPM": spread_of_the_recursion(sigmas, lambda sigma, after: after**2 / sigma**2),
    }
    if name in wanted:
        assert found == pytest.approx(wanted[name], abs=0.02)
    else:
        assert abs(spread(40)[0] - SPREAD) < 0.02
    if name not in ("LCM", "TCD"):
        assert abs(spread(80)[0] - SPREAD) < (0.04 if name in wanted else 0.02)


def test_euler_a_and_ddpm_have_the_spread_measured_elsewhere():
    start = np.random.default_rng(0).standard_normal(40_000)
    for name, twenty, eighty in (("Euler a", 0.500, 0.566), ("DDPM", 0.503, 0.568)):
        for steps, wanted in ((20, twenty), (80, eighty)):
            assert run(SAMPLERS[name], sigmas_for("Automatic", SAMPLERS[name], steps, TABLE), start)[0].std() == pytest.approx(wanted, abs=0.02)


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


def test_a_random_walk_between_noise_levels_is_taken_back_by_churn():
    """With churn, noise goes up and down again: a little churn must not move mean and spread, and s_noise scales what is added."""
    start = np.random.default_rng(0).standard_normal(40_000)
    for name in ("Euler", "Heun", "DPM2"):
        row = SAMPLERS[name]
        sigmas = sigmas_for("Karras", row, 60, TABLE)
        plain = run(row, sigmas, start)[0]
        churned = run(row, sigmas, start, s_churn=5.0, s_tmin=0.05, s_tmax=10.0)[0]
        assert churned.mean() == pytest.approx(MEAN, abs=0.02) and churned.std() == pytest.approx(plain.std(), abs=0.03)
        assert np.abs(churned - plain).mean() > 0.05
        less = run(row, sigmas, start, s_churn=5.0, s_tmin=0.05, s_tmax=10.0, s_noise=0.8)[0]
        assert less.std() < churned.std() - 0.01
        assert np.array_equal(run(row, sigmas, start, s_churn=20.0, s_tmin=900.0)[0], plain), "outside the window nothing is added"


def test_s_noise_scales_the_noise_of_every_sampler_that_takes_it():
    for name in ("Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DPM fast", "Restart"):
        row = SAMPLERS[name]
        sigmas = sigmas_for("Automatic", row, 20, TABLE)
        none, half, whole = (run(row, sigmas, s_noise=value)[0] for value in (0.0, 0.5, 1.0))
        assert half == pytest.approx((none + whole) / 2, abs=1e-9), f"{name}: for this model all is linear in the noise"


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "DPM adaptive"])
def test_calls_and_steps_are_counted_exactly(name):
    sigmas = sigmas_for("Automatic", SAMPLERS[name], 20, TABLE)
    _, model, seen = run(SAMPLERS[name], sigmas)
    assert len(model.calls) == CALLS.get(name, 20)
    assert [i for i, *_ in seen] == list(range(20))
    assert all(denoised.shape == START.shape and 0 < sigma <= sigmas[0] for _, _, sigma, denoised in seen)
    if name not in ("Restart", "DPM fast"):
        assert [sigma for _, _, sigma, _ in seen] == sigmas[:-1]


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_dpm_adaptive_makes_three_calls_in_each_of_its_steps_and_tells_how_far_it_is(eta):
    sigmas = sigmas_for("Automatic", SAMPLERS["DPM adaptive"], 20, TABLE)
    _, model, seen = run(SAMPLERS["DPM adaptive"], sigmas, eta=eta)
    told = [i for i, *_ in seen]
    assert len(model.calls) == 3 * len(seen) and told == sorted(told) and told[0] == 0 and 15 <= told[-1] <= 19
    assert 5 < len(seen) < 60


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_dpm_adaptive_comes_to_an_end_when_the_model_breaks_within_a_step(bad):
    calls = []

    def broken(x, sigma):
        calls.append(sigma)
        return Gauss()(x, sigma) if len(calls) % 3 == 1 else x * bad

    with np.errstate(invalid="ignore"):
        x, seen = finish(SAMPLERS["DPM adaptive"].function(broken, START * 14.6, [14.6, 1.0, 0.03, 0.0], lambda *_: START))
    assert not np.isfinite(x).all() and len(seen) < 400


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
            assert all(high > low for high, low in pairwise(sigmas))
            x, _, seen = run(SAMPLERS[name], sigmas, start)
            assert all(np.isfinite(value).all() for _, value, _, _ in seen) and np.isfinite(x).all() and np.abs(x).max() < 30, (schedule, steps)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_thousand_steps(name):
    sigmas = sigmas_for("Automatic", SAMPLERS[name], 1000, TABLE)
    x, model, _ = run(SAMPLERS[name], sigmas, START[::50])
    assert np.isfinite(x).all() and np.abs(x).max() < 4
    if name != "DPM adaptive":
        assert len(model.calls) == {20: 1000, 21: 1001, 39: 1999}[CALLS.get(name, 20)]


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_one_step_is_one_look(name):
    x, model, _ = run(SAMPLERS[name], sigmas_for("Automatic", SAMPLERS[name], 1, TABLE))
    assert len(model.calls) == 1 and x == pytest.approx(Gauss()(START * TABLE.sigma_max, TABLE.sigma_max))


def test_cfgpp_goes_on_with_the_unguided_noise():
    """Chung et al. 2024, algorithm 2, in the paper's own terms: x / sqrt(1 + sigma^2) and alpha-bar."""

    class Two:
        def __call__(self, x, sigma):
            self.unguided = 0.3 * x
            return 0.5 * x

    sigmas = [9.0, 3.0, 1.0, 0.0]
    found, seen = finish(SAMPLERS["DDIM CFG++"].function(Two(), START * 9.0, sigmas, None))
    z = START * 9.0 / math.sqrt(82)
    for sigma, after in pairwise(sigmas):
        alpha, following = 1 / (1 + sigma**2), 1 / (1 + after**2)
        x = z / math.sqrt(alpha)
        unguided = (z - math.sqrt(alpha) * 0.3 * x) / math.sqrt(1 - alpha)
        z = math.sqrt(following) * 0.5 * x + math.sqrt(1 - following) * unguided
    assert found == pytest.approx(z) and len(seen) == 3
    assert SAMPLERS["DDIM CFG++"].cfg_factor == pytest.approx(0.08) and {row.cfg_factor for row in SAMPLERS.values()} == {1.0, 1 / 12.5}


def test_tcd_between_ddim_and_lcm():
    sigmas = sigmas_for("SGM Uniform", SAMPLERS["TCD"], 6, TABLE)
    ddim, lcm = run(SAMPLERS["DDIM"], sigmas)[0], run(SAMPLERS["LCM"], sigmas)[0]
    assert run(SAMPLERS["TCD"], sigmas, tcd_gamma=0.0)[0] == pytest.approx(ddim, abs=1e-9)
    assert run(SAMPLERS["TCD"], sigmas, tcd_gamma=1.0)[0] == pytest.approx(lcm, abs=0.06)


MENU = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a",
    "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM",
)  # fmt: skip


def test_the_menu_is_a1111s_and_then_ours():
    assert tuple(SAMPLERS) == (*MENU, "DDPM", "DEIS", "IPNDM", "TCD")


def test_the_issues_samplers_and_their_automatic_schedules():
    assert all(row.schedule in SCHEDULES and row.schedule != "Automatic" and row.name == name for name, row in SAMPLERS.items())
    assert {name for name, row in SAMPLERS.items() if row.discard_penultimate} == {"DPM2", "DPM2 a", "DPM++ 3M SDE"}
    assert {name for name, row in SAMPLERS.items() if row.brownian} == {"DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"}
    karras = {"DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"}
    exponential = {"DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"}
    assert {name for name in MENU if SAMPLERS[name].schedule == "Karras"} - {"UniPC"} == karras
    assert {name for name in MENU if SAMPLERS[name].schedule == "Exponential"} == exponential


def test_options_come_from_the_signature():
    assert SAMPLERS["Euler a"].options == {"eta", "s_noise"} and SAMPLERS["Euler"].options == {"s_churn", "s_tmin", "s_tmax", "s_noise"}
    assert SAMPLERS["DPM++ 2M SDE Heun"].options == {"eta", "s_noise"}, "solver is taken"


def test_options_for_a_run_come_from_the_request():
    request = SimpleNamespace(eta=0.5, eta_ddim=0.25, s_churn=3.0, s_tmin=0.1, s_tmax=0.0, s_noise=1.01, tcd_gamma=0.4, steps=9)
    assert SAMPLERS["Euler"].options_for(request, TABLE) == {"s_churn": 3.0, "s_tmin": 0.1, "s_tmax": math.inf, "s_noise": 1.01}, "0 is no limit"
    assert SAMPLERS["Euler a"].options_for(request, TABLE) == {"eta": 0.5, "s_noise": 1.01}
    assert SAMPLERS["DDIM"].options_for(request, TABLE) == {"eta": 0.25} == SAMPLERS["DDIM CFG++"].options_for(request, TABLE)
    assert SAMPLERS["TCD"].options_for(request, TABLE) == {"tcd_gamma": 0.4, "table": TABLE}
    assert SAMPLERS["LMS"].options_for(request, TABLE) == {}


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
        ("LMS Karras", ("LMS", "Karras")),
        ("k_lms_ka", ("LMS", "Karras")),
        ("DPM++ 2S a Karras", ("DPM++ 2S a", "Karras")),
        ("DPM++ SDE Karras", ("DPM++ SDE", "Karras")),
        ("DPM++ 3M SDE Exponential", ("DPM++ 3M SDE", "Exponential")),
        ("DPM fast", ("DPM fast", None)),
        ("k_dpm_ad", ("DPM adaptive", None)),
        ("PNDM", ("PLMS", None)),
        ("ddim_cfgpp", ("DDIM CFG++", None)),
        ("Euler Turbo", ("Euler", "Turbo")),
        ("Euler Trailing", ("Euler", "Turbo")),
        ("euler ancestral", ("Euler a", None)),
    ],
)
def test_names(name, wanted):
    assert resolve_sampler(name) == wanted


def test_a_combined_name_gives_way_to_a_schedule():
    assert resolve_pair("DPM++ 2M Karras", "automatic") == ("DPM++ 2M", "Karras")
    assert resolve_pair("DPM++ 2M Karras", "Exponential") == ("DPM++ 2M", "Exponential")
    assert resolve_pair("euler", "sgm_uniform") == ("Euler", "SGM Uniform")


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

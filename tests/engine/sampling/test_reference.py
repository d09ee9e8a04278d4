"""Every sampler ends where k-diffusion does, in float64, for the same model, levels and noise; where k-diffusion has none, where its paper does.

The stored vectors are made anew by `make_reference`.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.engine.samplers import SAMPLERS
from app.engine.schedules import SCHEDULES, TrainingTable
from tests.engine.sampling import formulas
from tests.engine.sampling.toy import HIGH, LOW, START, STEPS, Noise, denoised, levels, unguided

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "k_diffusion.json").read_text(encoding="utf-8"))
FORMULAS = {
    "DDIM": ((formulas.ddim, {}), (partial(formulas.ddim, eta=0.7), {"eta": 0.7}), (partial(formulas.ddim, eta=1.0), {"eta": 1.0})),
    "DDIM CFG++": ((partial(formulas.ddim, plus=True), {}), (partial(formulas.ddim, plus=True, eta=0.5), {"eta": 0.5})),
    "DDPM": ((formulas.ddpm, {}),),
    "PLMS": ((formulas.plms, {}),),
    "IPNDM": ((partial(formulas.plms, warm=False), {}),),
    "DEIS": ((formulas.deis, {}), (partial(formulas.deis, order=2), {"max_order": 2})),
    "LCM": ((formulas.lcm, {}),),
    "TCD": ((formulas.tcd, {}), (partial(formulas.tcd, gamma=0.8), {"tcd_gamma": 0.8})),
    "Restart": ((formulas.restart, {}),),
    "UniPC": tuple(
        (partial(formulas.unipc, order=order, variant=variant, falls=falls), {"unipc_order": order, "unipc_variant": variant, "unipc_lower_order_final": falls})
        for order in (1, 2, 3)
        for variant in ("bh1", "bh2", "vary_coeff")
        for falls in (True, False)
    ),
}


class Model:
    """The problem's denoiser, and its answer without the prompt."""

    def __call__(self, x, sigma):
        self.unguided = unguided(x, sigma)
        return denoised(x, sigma)


def end_of(name, steps, **options):
    sigmas = levels(steps)
    run = SAMPLERS[name].function(Model(), START * sigmas[0], sigmas, Noise(), **options)
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("name", list(dict.fromkeys(case["sampler"] for case in GOLDEN["cases"])))
def test_k_diffusion_ends_there_too(name):
    for case in (case for case in GOLDEN["cases"] if case["sampler"] == name):
        assert end_of(name, case["steps"], **case["options"]) == pytest.approx(case["end"], rel=1e-5, abs=1e-9), case


@pytest.mark.parametrize("name", list(FORMULAS))
def test_the_papers_formula_ends_there_too(name):
    for steps in STEPS:
        for formula, options in FORMULAS[name]:
            assert end_of(name, steps, **options) == pytest.approx(formula(levels(steps), Noise()), rel=1e-5, abs=1e-9), (steps, options)


def test_every_sampler_is_held_to_something():
    assert {case["sampler"] for case in GOLDEN["cases"]} | set(FORMULAS) == set(SAMPLERS)
    assert {(case["sampler"], case["steps"]) for case in GOLDEN["cases"]} >= {
        (name, steps) for name in SAMPLERS if name not in FORMULAS and name != "DPM adaptive" for steps in STEPS
    }


def test_the_comparison_notices_a_wrong_order_and_missing_noise():
    wanted = next(case["end"] for case in GOLDEN["cases"] if case["sampler"] == "LMS" and case["steps"] == 20 and not case["options"])
    assert end_of("LMS", 20, order=3) != pytest.approx(wanted, rel=1e-5)
    wanted = next(case["end"] for case in GOLDEN["cases"] if case["sampler"] == "Euler a" and case["steps"] == 20 and not case["options"])
    assert end_of("Euler a", 20, s_noise=1.001) != pytest.approx(wanted, rel=1e-5)


def test_schedules_are_k_diffusions():
    table = TrainingTable().between(LOW, HIGH)
    for name, rhos in (("Karras", (7.0, 3.0)), ("Exponential", (None,)), ("Polyexponential", (1.0, 0.5))):
        for rho, wanted in zip(rhos, GOLDEN["schedules"][name], strict=True):
            found = SCHEDULES[name].function(9, table, **({"rho": rho} if rho else {}))
            assert np.array([*found, 0.0]) == pytest.approx(wanted, rel=1e-5)

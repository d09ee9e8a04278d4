"""Options of samplers and schedules: A1111's keys, what it takes for granted, and that each field is used."""

import pytest

from app.engine.samplers import SAMPLERS
from app.infotext import to_request, write
from app.request import Txt2Img, parse
from app.sampler_options import KEYS, SamplerOptions, pairs, values

SAID = "a cat\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, "
CHANGED = {
    "eta": 0.67, "eta_ddim": 0.2, "s_churn": 4.5, "s_tmin": 0.05, "s_tmax": 10.0, "s_noise": 1.007, "sigma_min": 0.1, "sigma_max": 12.0, "rho": 5.0,
    "beta_alpha": 0.5, "beta_beta": 0.8, "discard_penultimate": True, "unipc_order": 3, "unipc_variant": "vary_coeff", "unipc_skip_type": "time_quadratic",
    "unipc_lower_order_final": False, "tcd_gamma": 0.5,
}  # fmt: skip


def test_every_option_has_a_key_and_a_change_here():
    assert set(KEYS.values()) == set(SamplerOptions.model_fields) == set(CHANGED)


def test_defaults_are_not_written():
    assert pairs(Txt2Img(), "Euler a") == {}
    assert pairs(Txt2Img(), "UniPC") == {"UniPC order": 2, "UniPC variant": "bh2"}, "A1111 takes 3 and bh1 for granted"
    assert pairs(Txt2Img(unipc_order=3, unipc_variant="bh1"), "UniPC") == {}


@pytest.mark.parametrize("sampler", ["Euler a", "UniPC"])
def test_what_is_written_is_read(sampler):
    request = Txt2Img(sampler=sampler, seed=1, width=512, height=512, **CHANGED)
    text = write(request, {}, 0)
    assert ", Eta: 0.67, Eta DDIM: 0.2, Sigma churn: 4.5, Sigma tmin: 0.05, Sigma tmax: 10, Sigma noise: 1.007, Schedule min sigma: 0.1, " in text
    found = to_request(text)
    assert {name: found[name] for name in CHANGED} == CHANGED
    plain = to_request(write(Txt2Img(sampler=sampler, seed=1), {}, 0))
    assert parse(plain).model_dump(include=set(CHANGED)) == Txt2Img().model_dump(include=set(CHANGED))


def test_what_a1111_takes_for_granted():
    defaults = {name: field.default for name, field in SamplerOptions.model_fields.items()}
    assert values({"Sampler": "Euler"}) == defaults, "what is not said makes no difference, whatever the form held before"
    assert values({"Sampler": "UniPC", "UniPC order": "2"}) == defaults | {"unipc_order": "2", "unipc_variant": "bh1"}
    found = to_request(SAID + "Eta: 0.5, Discard penultimate sigma: True, Schedule rho: 4, Version: v1.10.1")
    assert (found["eta"], found["discard_penultimate"], found["rho"], found["sigma_max"]) == (0.5, True, 4, 0)


def test_a_sampler_stands_behind_every_option_that_is_not_the_schedules():
    read = {row.fields.get(option, option) for row in SAMPLERS.values() for option in row.options}
    schedules = {"sigma_min", "sigma_max", "rho", "beta_alpha", "beta_beta", "discard_penultimate", "unipc_skip_type"}
    assert set(SamplerOptions.model_fields) - read == schedules


def test_defaults_of_the_request_are_those_of_the_samplers():
    import inspect

    request = Txt2Img()
    for row in SAMPLERS.values():
        parameters = inspect.signature(row.function).parameters
        for option in row.options - {"table"}:
            if hasattr(request, name := row.fields.get(option, option)) and option != "s_tmax":
                assert getattr(request, name) == parameters[option].default, (row.name, option)

"""Fooocus' JSON, today's and yesterday's; nothing of it is evaluated."""

import json
from typing import Any

import pytest

from app.foreign import fooocus
from tests.foreign.chunks import FOOOCUS


def read(said: Any) -> tuple[dict[str, Any], list[str]]:
    found = fooocus.read({"parameters": json.dumps(said)})
    assert found is not None
    return found


def test_todays_keys() -> None:
    fields, notes = read(FOOOCUS)
    assert fields == {
        "task": "txt2img", "prompt": "a castle <lora:offset_example-lora_1.0:0.1>", "negative_prompt": "blur", "steps": 30, "cfg_scale": 4,
        "sampler": "DPM++ 2M SDE", "schedule": "Karras", "seed": "7007448137037412736", "width": 1152, "height": 896,
        "checkpoint": "juggernautXL_v8Rundiffusion", "clip_skip": 2, "rng": "CPU",
    }  # fmt: skip
    assert notes == ["Fooocus' own styles were not applied: ['Fooocus V2', 'Fooocus Sharp']."]


def test_the_keys_of_its_first_versions() -> None:
    old = {"Prompt": "a castle", "Negative Prompt": "blur", "Fooocus V2 Expansion": "x", "Styles": "[]", "Performance": "Speed", "Resolution": "(704, 1408)",
           "Sharpness": 2.0, "Guidance Scale": 4.0, "ADM Guidance": "(1.5, 0.8, 0.3)", "Base Model": "juggernaut.safetensors", "Refiner Model": "refine",
           "Refiner Switch": 0.5, "Sampler": "euler", "Scheduler": "ddim_uniform", "Seed": 5, "LoRA 1": "sdxl : 0.5", "Version": "v2.1.0"}  # fmt: skip
    fields, notes = read(old)
    assert (fields["width"], fields["height"], fields["seed"], fields["sampler"], fields["schedule"]) == (704, 1408, 5, "Euler", "DDIM")
    assert (fields["prompt"], fields["checkpoint"]) == ("a castle <lora:sdxl:0.5>", "juggernaut")
    assert (fields["refiner_checkpoint"], fields["refiner_switch_at"]) == ("refine", 0.5)
    assert notes == []


@pytest.mark.parametrize("resolution", ["__import__('os').abort()", "(1, 2, 3)", [1, [2]], {}, "(9999999999, 1)", None])
def test_a_size_that_is_none_is_left_out(resolution: Any) -> None:
    fields, _ = read(FOOOCUS | {"resolution": resolution, "loras": [7, ["x"], [["y"], {}], ["a" * 9999, "__import__"]], "styles": 7, "sampler": []})
    assert "width" not in fields and "height" not in fields and fields["prompt"].startswith("a castle")


def test_others_are_left_alone() -> None:
    for text in ("cat\nSteps: 20, Sampler: Euler, Seed: 1", "{}", "[]", '{"base_model": "x"}', ""):
        assert fooocus.read({"parameters": text}) is None

"""Three generations of InvokeAI."""

import json
from typing import Any

import pytest

from app.foreign import invokeai
from tests.foreign.chunks import INVOKEAI


def read(**chunks: Any) -> tuple[dict[str, Any], list[str]]:
    found = invokeai.read({name.replace("_metadata", "-metadata") if name.startswith("sd") else name: value if isinstance(value, str) else json.dumps(value)
                           for name, value in chunks.items()})  # fmt: skip
    assert found is not None
    return found


def test_version_3_and_later() -> None:
    fields, notes = read(invokeai_metadata=INVOKEAI)
    assert fields == {
        "task": "txt2img", "prompt": "a harbour <lora:ink:0.75>", "negative_prompt": "people", "width": 768, "height": 512, "seed": 4242, "steps": 28,
        "cfg_scale": 5.5, "cfg_rescale": 0.2, "checkpoint": "Dream", "clip_skip": 2, "rng": "CPU", "sampler": "DPM++ 2M", "schedule": "Karras",
    }  # fmt: skip
    assert notes == []


def test_version_3_called_models_otherwise() -> None:
    old = INVOKEAI | {"model": {"model_name": "old", "base_model": "sd-1"}, "loras": [{"lora": {"model_name": "x", "base_model": "sd-1"}, "weight": 1}]}
    fields, _ = read(invokeai_metadata=old | {"generation_mode": "img2img", "strength": 0.4, "scheduler": "euler_a"})
    assert (fields["task"], fields["denoising_strength"], fields["checkpoint"], fields["sampler"]) == ("img2img", 0.4, "old", "Euler a")
    assert fields["prompt"].endswith("<lora:x:1>") and fields["schedule"] == "Automatic"


@pytest.mark.parametrize(("prompt", "told"), [("a cat++ here", True), ("(two words)1.3", True), ("well-made, 3D-", False), ("a (b:1.2) cat", False)])
def test_its_own_weights_are_pointed_out(prompt: str, told: bool) -> None:
    notes = read(invokeai_metadata=INVOKEAI | {"positive_prompt": prompt})[1]
    assert any("InvokeAI's weights" in note for note in notes) is (told or prompt.endswith("-"))


def test_version_2() -> None:
    image = {"prompt": [{"prompt": "a mill [people, cars] by a river", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "height": 512, "width": 640, "seed": 11,
             "type": "txt2img", "sampler": "k_lms", "postprocessing": None, "variations": []}  # fmt: skip
    fields, notes = read(sd_metadata={"model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "app_version": "2.2.4", "image": image})
    assert fields == {
        "task": "txt2img", "prompt": "a mill by a river", "negative_prompt": "people, cars", "steps": 50, "cfg_scale": 7.5, "width": 640, "height": 512,
        "seed": 11, "checkpoint": "stable-diffusion-1.5", "rng": "CPU", "sampler": "LMS", "schedule": "Automatic",
    }  # fmt: skip
    assert notes == []


@pytest.mark.parametrize("line", ['"a mill [fog]" -s 50 -S 1234 -W 512 -H 448 -C 7.5 -A k_euler_a', "a mill [fog] -s50 -S1234 -W512 -H448 -C7.5 -Ak_euler_a",
                                  '"a mill [fog]" --steps=50 --seed 1234 --width 512 --height 448 --cfg_scale 7.5 --sampler=k_euler_a'])  # fmt: skip
def test_version_1_wrote_its_command_line(line: str) -> None:
    fields, _ = read(Dream=line if line.startswith('"') else f" {line}")
    expected = {"task": "txt2img", "prompt": "a mill", "negative_prompt": "fog", "steps": "50", "seed": "1234", "width": "512", "height": "448",
                "cfg_scale": "7.5", "sampler": "Euler a", "schedule": "Automatic", "rng": "CPU"}  # fmt: skip
    assert fields == expected


def test_an_open_quote_and_an_unknown_sampler() -> None:
    fields, notes = read(dream='"a "quoted mill -S 5 -A k_new')
    assert fields["seed"] == "5" and notes == ["Darkroom has no sampler 'k_new'."]


def test_others_are_left_alone() -> None:
    for chunks in ({}, {"invokeai_metadata": "[]"}, {"sd-metadata": "{}"}, {"dream": "I had a dream"}, {"sd-metadata": '{"image": 7}'}):
        assert invokeai.read(chunks) is None
    odd = {"loras": [None, {"model": 7}, {"lora": {"model_name": ["x"]}}], "model": "x", "clip_skip": "y", "scheduler": {}, "positive_prompt": 7}
    assert read(invokeai_metadata=odd)[0]["prompt"] == "7"

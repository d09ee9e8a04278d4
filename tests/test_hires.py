"""Hires fix as it is asked for: sizes as A1111 computes them, and its pairs in the infotext."""

import pytest

from app import hires, infotext, parameters
from app.errors import BadRequest
from app.hires import Target, target
from app.request import Txt2Img, parse

SIZES = [
    ({"hr_scale": 2.0}, (512, 512), Target(1024, 1024), (1024, 1024)),
    ({"hr_scale": 1.55}, (512, 768), Target(793, 1190), (792, 1184)),
    ({"hr_resize_x": 1024}, (512, 768), Target(1024, 1536), (1024, 1536)),
    ({"hr_resize_y": 1024}, (512, 768), Target(682, 1024), (680, 1024)),
    ({"hr_resize_x": 768, "hr_resize_y": 1024}, (512, 512), Target(1024, 1024, 32, 0), (768, 1024)),
    ({"hr_resize_x": 1024, "hr_resize_y": 768}, (512, 512), Target(1024, 1024, 0, 32), (1024, 768)),
    ({"hr_resize_x": 1024, "hr_resize_y": 1024}, (512, 512), Target(1024, 1024), (1024, 1024)),
    ({"hr_resize_x": 1024, "hr_scale": 4.0}, (512, 512), Target(1024, 1024), (1024, 1024)),
]


@pytest.mark.parametrize(("asked", "size", "expected", "made"), SIZES)
def test_targets_are_a1111s(asked: dict[str, float], size: tuple[int, int], expected: Target, made: tuple[int, int]) -> None:
    found = target(Txt2Img(**asked), *size)
    assert (found, found.size) == (expected, made)


def test_a1111s_words_for_the_same_are_empty_names() -> None:
    request = parse({"task": "txt2img", "hr_checkpoint": "Use same checkpoint", "hr_sampler": "Use same sampler", "hr_schedule": "use same scheduler"})
    assert (request.hr_checkpoint, request.hr_sampler, request.hr_schedule) == ("", "", "")
    assert parse({"task": "img2img", "image": "0" * 64, "refiner_checkpoint": "None"}).refiner_checkpoint == ""


def test_prompts_of_the_second_pass_have_the_bounds_of_prompts() -> None:
    with pytest.raises(BadRequest, match=r"Hires prompt \(hr_prompt\) is 8193 bytes long"):
        parse({"task": "txt2img", "hr_prompt": "a" * 8193})


FULL = {
    "enable_hr": True, "hr_upscaler": "Lanczos", "hr_resize_x": 128, "hr_resize_y": 136, "hr_second_pass_steps": 7, "denoising_strength": 0.45, "hr_cfg": 3.5,
    "hr_checkpoint": "other", "hr_sampler": "Euler", "hr_schedule": "Simple", "hr_prompt": "a barn, big", "hr_negative_prompt": "blur",
    "hr_refiner": "both passes", "refiner_checkpoint": "third", "refiner_switch_at": 0.6, "refiner_by_steps": False,
}  # fmt: skip
REQUESTS = [
    {"enable_hr": True},
    {"enable_hr": True, "hr_scale": 1.5, "refiner_checkpoint": "third"},
    {"refiner_checkpoint": "third", "refiner_switch_at": 0.25},
    FULL,
]


@pytest.mark.parametrize("asked", REQUESTS)
def test_the_infotext_comes_back(asked: dict[str, object]) -> None:
    request = Txt2Img(prompt="cat", negative_prompt="dog", seed=3, width=64, height=72, checkpoint="x", **asked)
    facts = {"Hires checkpoint": "other [6ce0161689]", "Refiner": "third [6ce0161689]"} if asked == FULL else {}
    text = infotext.write(request, facts, 0, size=(128, 136) if request.enable_hr else (64, 72))
    assert infotext.guess_task(text) == "txt2img" and "Size: 64x72" in text
    filled = infotext.fill(text)
    assert parse(filled.values) == request and filled.notes == ()


def test_written_as_a1111_writes_it() -> None:
    plain = infotext.write(Txt2Img(prompt="cat", enable_hr=True, seed=1, hr_prompt="cat"), {}, 0)
    assert "Denoising strength: 0.7, RNG: NV, Hires upscale: 2, Hires upscaler: Latent, Version" in plain
    whole = infotext.write(Txt2Img(prompt="cat", seed=1, **FULL), {}, 0)
    assert (
        "Hires resize: 128x136, Hires upscaler: Lanczos, Hires steps: 7, Hires checkpoint: other, Hires sampler: Euler, Hires schedule type: Simple, "
        'Hires CFG Scale: 3.5, Hires prompt: "a barn, big", Hires negative prompt: blur, Hires refiner: both passes, Refiner: third, Refiner switch at: 0.6'
    ) in whole
    off = infotext.write(Txt2Img(prompt="cat", seed=1, **FULL | {"enable_hr": False}), {}, 0)
    assert "Hires" not in off and "Denoising strength" not in off


def test_an_a1111_text_turns_it_on_and_one_without_turns_it_off() -> None:
    head = "cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, "
    more = "Denoising strength: 0.6, Hires upscale: 1.5, Hires upscaler: R-ESRGAN 4x+, Refiner: xl [7440042bbd], Refiner switch at: 0.7"
    on = infotext.to_request(head + more)
    expected = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "R-ESRGAN 4x+", "hr_second_pass_steps": 0, "hr_resize_x": 0, "denoising_strength": 0.6}
    assert on | expected == on and on | {"refiner_checkpoint": "xl", "refiner_switch_at": 0.7, "refiner_by_steps": False} == on
    old = infotext.to_request("cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 1024x1024, Denoising strength: 0.7, First pass size: 512x512")
    assert old | {"enable_hr": True, "width": 512, "height": 512, "hr_resize_x": 1024, "hr_resize_y": 1024} == old
    off = infotext.to_request(head + "Version: v1.10.1")
    assert off | {"enable_hr": False, "refiner_checkpoint": ""} == off


def test_only_a_hash_is_taken_from_a_name() -> None:
    assert [hires.without_hash(name) for name in ("m [6ce0161689]", "m [v2]", "m")] == ["m", "m [v2]", "m"]
    assert parameters.quote("a, b") == '"a, b"'

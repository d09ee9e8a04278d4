"""A1111's text: golden vectors, the writer byte for byte, and what comes back into a form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import __version__, infotext, parameters
from app.request import Img2Img, Inpaint, Outpaint, Txt2Img, Zoom, parse

GOLDEN = json.loads((Path(__file__).parent / "golden" / "a1111.json").read_text("utf-8"))["infotext"]
PICTURE = "0" * 64
A1111 = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


@pytest.mark.parametrize("vector", GOLDEN, ids=lambda vector: vector["text"][:30])
def test_golden(vector: dict[str, Any]) -> None:
    found = parameters.parse(vector["text"])
    assert (found.prompt, found.negative, found.fields) == (vector["prompt"], vector["negative"], vector["fields"])


@settings(deadline=None, max_examples=300, database=None)
@given(st.text(alphabet='ab_1é日 -/:," \\\t', max_size=60))
def test_pairs_are_what_the_expression_finds(line: str) -> None:
    assert list(parameters.pairs_in(line)) == A1111.findall(line)


def test_written_as_a1111_writes_it() -> None:
    asked = {"seed": 41, "cfg_scale": 7, "width": 512, "height": 768, "clip_skip": 2, "schedule": "Karras", "checkpoint": "v1-5"}
    request = Txt2Img(prompt="a cat, (red:1.2)\nin the rain", negative_prompt="dog", **asked)
    facts = {"Model hash": "6ce0161689", "VAE": "vae-ft", "Lora hashes": "x: 12ab, y: 34cd", "Seam": "0.4", "alone": "alone"}
    assert infotext.write(request, facts, 1) == (
        "a cat, (red:1.2)\nin the rain\nNegative prompt: dog\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, VAE: vae-ft, "
        f'Clip skip: 2, RNG: NV, Lora hashes: "x: 12ab, y: 34cd", Seam: 0.4, alone, Version: Darkroom {__version__}'
    )


def test_an_empty_prompt_leaves_one_line() -> None:
    text = infotext.write(Txt2Img(seed=1), {}, 0, size=(128, 128))
    assert text.startswith("Steps: 20, ") and "\n" not in text and "Size: 128x128" in text


def test_inpaint_uses_a1111s_names_and_leaves_defaults_out() -> None:
    plain = infotext.write(Inpaint(image=PICTURE, mask=PICTURE, seed=1), {}, 0)
    assert "Denoising strength: 0.75, RNG: NV, Mask blur: 4, Version" in plain
    asked = Inpaint(image=PICTURE, mask=PICTURE, seed=1, mask_mode="Inpaint not masked", masked_content="fill", inpaint_area="Only masked", mask_padding=16)
    text = infotext.write(asked, {}, 0)
    assert "Mask blur: 4, Mask mode: Inpaint not masked, Masked content: fill, Inpaint area: Only masked, Masked area padding: 16, Version" in text


@pytest.mark.parametrize(
    "request_",
    [
        Txt2Img(prompt="cat", negative_prompt="dog, x: y", seed=2**64 - 1, width=64, height=4096, cfg_scale=7.5, rng="CPU", sampler="Euler a", vae="x"),
        Img2Img(prompt="cat", image=PICTURE, seed=3, denoising_strength=0.33, resize_mode="Crop and resize", width=512, height=512, image_cfg_scale=2.25),
        Inpaint(prompt="cat", image=PICTURE, mask=PICTURE, seed=3, mask_blur=0, masked_content="latent noise", inpaint_area="Only masked", mask_padding=0),
        Outpaint(prompt="cat", image=PICTURE, seed=3, left=128, right=0, up=8, down=64, overlap=0, outpaint_fill="mirror", coherence="Best"),
        Zoom(prompt="cat", seed=3, storyboard="1: a, b\n3: c", keys=9, ratio=1.75, seconds=12.5, fps=30, direction="in then out", video_format="mp4"),
    ],
    ids=lambda request: request.task,
)
def test_every_parameter_comes_back_from_the_text(request_: Any) -> None:
    text = infotext.write(request_, {}, 0)
    assert infotext.guess_task(text) == request_.task
    values = infotext.to_request(text, request_.task)
    again = parse(values | request_.picture_fields())
    assert again == request_


lines = st.text(alphabet="ab1 ,:()[]日🎈é\"'\\\n", max_size=80)


def as_typed(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().split("\n")).strip()


@settings(deadline=None, max_examples=150, database=None)
@given(prompt=lines.map(as_typed), negative=lines.map(as_typed), model=st.text(alphabet='ab ,:\n"日', min_size=2, max_size=20), seed=st.integers(0, 2**64 - 1))
def test_prompts_and_values_round_trip(prompt: str, negative: str, model: str, seed: int) -> None:
    text = infotext.write(Txt2Img(prompt=prompt, negative_prompt=negative, seed=seed), {"Model": model}, 0)
    found = parameters.parse(text, strict=True)
    assert (found.prompt, found.negative, found.fields["Seed"]) == (prompt, negative, str(seed))
    if parameters.quote(model) != model:
        assert found.fields["Model"] == model


@pytest.mark.parametrize("prompt", ["cat, style: a, mood: b, light: c", "a girl, hair: red, eyes: green, dress: blue"])
def test_a_pasted_prompt_with_three_pairs_stays_a_prompt(prompt: str) -> None:
    assert infotext.to_request(prompt) == {"task": "txt2img", "prompt": prompt, "negative_prompt": ""}
    assert parameters.parse(prompt).prompt == ""  # A1111's own reading eats it


def test_a1111s_defaults_are_filled_in() -> None:
    values = infotext.to_request("cat\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: 9, Size: 512x768, Model: v1-5, RNG: GPU, VAE: x.safetensors")
    expected = {
        "task": "txt2img", "prompt": "cat", "negative_prompt": "", "steps": 30, "sampler": "DPM++ 2M Karras", "schedule": "Automatic", "cfg_scale": 5.0,
        "seed": 9, "width": 512, "height": 768, "checkpoint": "v1-5", "vae": "x", "clip_skip": 1, "rng": "NV", "pad_prompts": False,
    }  # fmt: skip
    assert values | expected == values
    others = {name: value for name, value in values.items() if name not in expected}
    assert "subseed_strength" in others and others == {name: Txt2Img.model_fields[name].default for name in others}


@pytest.mark.parametrize(
    ("pair", "field"),
    [("Steps: 9999", "steps"), ("CFG scale: nan", "cfg_scale"), ("CFG scale: 1e9", "cfg_scale"), ("Seed: -5", "seed"), ("Size: 511x512", "width"),
     ("Size: 99999x512", "height"), ("Clip skip: 99", "clip_skip"), ("Denoising strength: 2", "denoising_strength"), ("Mask blur: x", "mask_blur"),
     ("Inpaint area: Moon", "inpaint_area"), (f"Model: {'m' * 600}", "checkpoint")],
)  # fmt: skip
def test_values_out_of_range_are_dropped(pair: str, field: str) -> None:
    text = f"cat\n{pair}, Sampler: Euler, {'Steps: 20, ' if 'Steps' not in pair else ''}{'Seed: 1, ' if 'Seed' not in pair else ''}Version: x"
    values = infotext.to_request(text, "inpaint")
    assert field not in values and values["sampler"] == "Euler"


HOSTILE = [
    "", "\n\n\n", ":", "Steps", "a" * 70_000, "aa:" * 30_000, 'aa:"' * 20_000, 'aa:"' + '\\"' * 30_000, "-" * 70_000, '"' * 60_000, "\\" * 60_000,
    "Steps: __import__('os').system('x'), Sampler: {}, Seed: eval", 'Steps: "\\ud800", Sampler: "\\u0000", Seed: "x', "Steps: 20, Sampler: \x00, Seed: ٣",
    "Negative prompt:\nNegative prompt: Negative prompt:\nSteps: , Sampler: , Seed: ", 'Steps: "[[[[", Size: 9x9x9, Seed: "', "日" * 9000,
    "\ud800\udfff \ud800",
    "x\nSteps: 20, Sampler: Euler, Seed: 1, Outpaint: 1 2 3 4 5 6 7, Zoom keys: 1e99",
]  # fmt: skip


@pytest.mark.parametrize("task", ["txt2img", "inpaint", "outpaint", "zoom"])
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_texts_give_a_form_that_can_be_submitted(text: str, task: str) -> None:
    values = infotext.to_request(text, task)
    needed = {name: PICTURE for name in ("image", "mask") if name in {"inpaint": ("image", "mask"), "outpaint": ("image",)}.get(task, ())}
    assert parse(values | needed).task == task


def test_seed_extras_and_guidance_have_a1111s_keys() -> None:
    request = Txt2Img(
        prompt="cat", seed=3, subseed=2**64 - 1, subseed_strength=0.25, seed_resize_from_w=512, seed_resize_from_h=640, eta_noise_seed_delta=31337,
        cfg_rescale=0.7, skip_early_cond=0.1, s_min_uncond=2, s_min_uncond_all=True, batch_size=2,
    )  # fmt: skip
    text = infotext.write(request, {}, 1)
    for part in (
        "Seed: 3, Variation seed: 0, Variation seed strength: 0.25, Seed resize from: 512x640, ",
        ", ENSD: 31337, RNG: NV",
        "CFG Rescale: 0.7, Skip Early CFG: 0.1, NGMS: 2, NGMS all steps: True",
    ):
        assert part in text
    assert parse(infotext.to_request(text)) == request.model_copy(update={"subseed": 0, "batch_size": 1})
    plain = infotext.write(Txt2Img(prompt="cat", seed=3), {}, 0)
    assert not any(key in plain for key in ("Variation", "resize", "ENSD", "CFG Rescale", "Skip", "NGMS"))

"""The request: bounds, frozen, one sentence for each mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.errors import BadRequest
from app.request import MAX_SEED, TASKS, Img2Img, Outpaint, Txt2Img, Zoom, parse, parse_json

ID = "a" * 64


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": 65}, "Width (width) is 65, but it must be a whole number from 64 to 4096, a multiple of 8."),
        ({"width": 4104}, "Width (width) is 4104, but"),
        ({"steps": 0}, "Sampling steps (steps) is 0, but it must be a whole number from 1 to 1000."),
        ({"steps": 1001}, "Sampling steps (steps) is 1001, but"),
        ({"sigma_min": 2.0, "sigma_max": 1.5}, "Schedule max sigma (sigma_max) is 1.5, but it must be above Schedule min sigma (sigma_min), 2."),
        ({"cfg_scale": float("nan")}, "CFG scale (cfg_scale) is nan, but it must be a number from 0 to 30."),
        ({"cfg_scale": 30.5}, "CFG scale (cfg_scale) is 30.5, but"),
        ({"batch_size": 17}, "Batch size (batch_size) is 17, but"),
        ({"batch_count": 101}, "Batch count (batch_count) is 101, but"),
        ({"seed": MAX_SEED + 1}, "from -1 to 2^64-1."),
        ({"seed": -2}, "Seed (seed) is -2"),
        ({"rng": "GPU"}, "one of 'NV', 'CPU'."),
        ({"stepz": 3}, "There is no parameter 'stepz' for this task."),
        ({"prompt": "x" * 100_000}, "Prompt (prompt) is 100000 bytes long, but at most 8192 are allowed."),
        ({"prompt": None}, "Prompt (prompt) is None, but it must be text."),
        ({"task": "txt2video"}, "it must be one of txt2img, img2img, inpaint, outpaint, zoom, upscale."),
        ({"task": "img2img"}, "Image (image) is missing."),
        ({"task": "img2img", "image": "../../etc/passwd"}, "the id of a picture that was uploaded before."),
        ({"task": "zoom", "batch_size": 2}, "There is no parameter 'batch_size' for this task."),
    ],
)
def test_each_mistake_is_one_sentence(values: dict[str, object], said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse({"task": "txt2img"} | values)
    assert said in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Txt2Img().steps = 3


def test_concrete_draws_a_seed_once() -> None:
    drawn = Txt2Img().concrete()
    assert 0 <= drawn.seed < 2**32 and drawn.concrete() is drawn
    assert len({Txt2Img().concrete().seed for _ in range(8)}) > 1


def test_how_many_pictures() -> None:
    assert Txt2Img(batch_count=3, batch_size=4).pictures == 12
    assert Zoom(keys=5).pictures == 5


def test_pictures_that_are_handed_in() -> None:
    assert Txt2Img().picture_fields() == {} and Zoom().picture_fields() == {}
    assert Img2Img(image=ID).picture_fields() == {"image": ID}


def test_prompts_are_made_speakable() -> None:
    assert Txt2Img(prompt="a\x00b\x1bc\ud800d\te\nf 🏠 猫").prompt == "abc�d\te\nf 🏠 猫"


@given(st.sampled_from(sorted(set(TASKS) - {"upscale"})), st.text(max_size=200), st.integers(-1, MAX_SEED), st.floats(0, 30))
def test_json_gives_the_request_back(task: str, prompt: str, seed: int, cfg_scale: float) -> None:
    pictures = {name: ID for name in ("image", "mask") if name in TASKS[task].model_fields}
    request = parse({"task": task, "prompt": prompt, "seed": seed, "cfg_scale": cfg_scale} | pictures)
    assert parse_json(request.model_dump_json()) == request


def test_every_field_has_a_label_and_bounds_that_a_form_can_draw() -> None:
    for kind in TASKS.values():
        for name, info in kind.model_fields.items():
            assert name == "task" or (info.title and isinstance(info.json_schema_extra, dict)), name
    assert Outpaint.model_fields["left"].json_schema_extra["step"] == 8  # type: ignore[index]

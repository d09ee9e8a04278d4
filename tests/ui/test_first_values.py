"""Forms begin with what an installation that is used in place says."""

from collections.abc import Iterator
from dataclasses import replace

import gradio as gr
import pytest

from app.request import Img2Img, Txt2Img, Upscale
from app.settings import Settings
from app.studio import Studio
from app.ui import checkpoint, fields

SAID = {
    "txt2img": {"steps": 28, "cfg_scale": 7.0, "sampler": "Euler a", "styles": ["Neon", "gone"], "negative_prompt": "blurry", "checkpoint": "gone", "seed": -5},
    "upscale": {"scale": 2.0, "upscaler": "Lanczos"},
}


@pytest.fixture
def moved(settings: Settings) -> Iterator[Studio]:
    house = Studio(replace(settings, defaults=SAID))
    yield house
    house.close()


def test_what_still_fits_is_drawn(moved: Studio) -> None:
    start = checkpoint.start(moved, Txt2Img)
    assert start == {"steps": 28, "cfg_scale": 7.0, "sampler": "Euler a", "styles": ["Neon"], "negative_prompt": "blurry"}
    with gr.Blocks():
        drawn = {name: fields.draw(Txt2Img, name, moved, start).value for name in (*start, "clip_skip")}
    assert drawn == {**start, "clip_skip": 1}


def test_forms_of_which_nothing_was_said_stay_as_they_are(moved: Studio) -> None:
    assert checkpoint.start(moved, Img2Img) == {}
    assert checkpoint.start(moved, Upscale) == {"scale": 2.0, "upscaler": "Lanczos"}

"""Every field of every request is drawn, and what is drawn says what the request says."""

from pathlib import Path

import gradio as gr
import pytest

from app.request import TASKS, Inpaint, Outpaint, Request, Txt2Img
from app.ui import fields, handler
from tests.api.conftest import make_studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory):
    house, _ = make_studio(tmp_path_factory.mktemp("fields"))
    yield house
    house.close()


def draw(kind: type[Request], name: str, studio) -> gr.components.Component:
    with gr.Blocks():
        return fields.draw(kind, name, studio)


@pytest.mark.parametrize("task", TASKS)
def test_every_field_is_drawn(task: str) -> None:
    assert fields.drawn(task) == set(TASKS[task].model_fields) - {"task"}


@pytest.mark.parametrize("task", TASKS)
def test_labels_bounds_and_defaults_are_those_of_the_request(task: str, studio) -> None:
    kind = TASKS[task]
    with gr.Blocks():
        components = {name: fields.draw(kind, name, studio) for name in fields.drawn(task) - {"mask"}}
    for name, component in components.items():
        field = kind.model_fields[name]
        label = component.props["label"] if "label" in getattr(component, "props", {}) else component.label
        assert (label, component.elem_id) == (field.title, f"{task}_{name}")
        if isinstance(component, gr.Slider):
            limits = fields.bounds(kind, name)
            assert (component.minimum, component.maximum) == (limits["minimum"], fields.REACH.get(name, limits["maximum"]))
            assert component.value == field.default


def test_steps_of_a_slider_and_a_size_that_may_stay_empty(studio) -> None:
    assert draw(Outpaint, "left", studio).step == 8
    assert draw(Inpaint, "width", studio).value is None
    assert draw(Txt2Img, "width", studio).value == 64


def test_seeds_are_text_because_javascript_rounds_large_numbers(studio) -> None:
    assert all(isinstance(draw(Txt2Img, name, studio), gr.Textbox) for name in ("seed", "subseed", "eta_noise_seed_delta"))


def test_a_switch_is_a_checkbox(studio) -> None:
    assert isinstance(draw(Txt2Img, "s_min_uncond_all", studio), gr.Checkbox)


def test_pickers_show_what_the_studio_offers(studio) -> None:
    samplers = draw(Txt2Img, "sampler", studio)
    assert [value for _, value in samplers.choices] == studio.choices("samplers")
    assert draw(Txt2Img, "vae", studio).choices[0] == ("From the checkpoint", "")
    assert draw(Txt2Img, "checkpoint", studio).value == "tiny"


def test_drawing_leaves_no_file_beside_the_source() -> None:
    assert list(Path(fields.__file__).parent.rglob("*.pyi")) == []


def test_a_slider_grows_with_a_value_beyond_its_end():
    assert fields.REACH == {"steps": 150}
    assert handler.shown("steps", 150) == 150
    grown = handler.shown("steps", 1000)
    assert grown["value"] == grown["maximum"] == 1000

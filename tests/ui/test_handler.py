"""Values by name in, a job, values or one sentence out."""

import logging

import gradio as gr
import pytest
from PIL import Image

from app.errors import BadRequest, UnknownName
from app.library.save import png_bytes
from app.request import MAX_SEED, Txt2Img, parse_json
from app.studio import Owner
from app.ui.handler import checked, fitting, given, reader, submitter, toasts
from app.work import Picture
from tests.api.conftest import make_studio

IMAGE, MASK = "a" * 64, "b" * 64


class Asker:
    """The part of a request of Gradio that tells who asks."""

    headers: dict[str, str] = {}  # noqa: RUF012
    cookies: dict[str, str] = {}  # noqa: RUF012
    client = None


@pytest.fixture
def studio(tmp_path):
    house, _ = make_studio(tmp_path)
    yield house
    house.close()


def test_what_was_left_empty_is_left_out() -> None:
    assert given({"prompt": "", "width": None, "height": 0, "seed": "", "steps": 3, "cfg_scale": 0}) == {"steps": 3, "cfg_scale": 0}


def test_the_mask_editor_gives_two_pictures() -> None:
    assert given({"image": {"image": IMAGE, "mask": MASK}}) == {"image": IMAGE, "mask": MASK}
    assert given({"image": {"image": IMAGE, "mask": None}}) == {"image": IMAGE}


def test_submit_queues_the_request_that_the_values_describe(studio) -> None:
    job_id = submitter("txt2img", studio)(Asker(), prompt="a boat", seed=str(MAX_SEED), width=128, height=None, styles=[], checkpoint="tiny")
    queued = studio.jobs.get(job_id, None).job
    request = parse_json(queued.request)
    assert (request.prompt, request.seed, request.width, request.height) == ("a boat", MAX_SEED, 128, 64)


def test_a_bad_value_is_one_sentence_and_nothing_is_queued(studio) -> None:
    with pytest.raises(gr.Error) as caught:
        submitter("txt2img", studio)(Asker(), width=65)
    assert caught.value.message.startswith("Width (width) is 65, but it must be a whole number from 64 to 4096")
    assert studio.jobs.list(None) == []


def test_toasts_escape_what_a_person_typed() -> None:
    with pytest.raises(gr.Error) as caught, toasts():
        raise UnknownName("sampler", "<img src=x>", ["Euler"])
    assert "<img" not in caught.value.message and "&lt;img" in caught.value.message


def test_a_bug_goes_to_the_log_and_not_to_the_visitor(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error) as caught, toasts():
        raise ZeroDivisionError("secret")
    assert "secret" not in caught.value.message
    assert "secret" in caplog.text


def test_parameters_for_another_tab_are_the_shared_ones() -> None:
    request = {"task": "outpaint", "prompt": "a tower", "seed": 7, "denoising_strength": 0.95, "batch_size": 4, "image": IMAGE, "left": 32}
    assert fitting("img2img", request) == {"prompt": "a tower", "seed": "7"}
    assert fitting("outpaint", request) == {"prompt": "a tower", "seed": "7", "denoising_strength": 0.95, "batch_size": 4, "left": 32}


def test_sizes_go_where_pictures_begin_from_nothing() -> None:
    request = {"task": "img2img", "width": 96, "height": 64}
    assert fitting("txt2img", request) == {"width": 96, "height": 64}
    assert fitting("inpaint", request) == {}


def test_a_picture_cannot_bring_values_that_a_request_cannot_hold() -> None:
    assert checked({"task": "img2img", "steps": 12, "styles": ["x"], "image": "nonsense", "invented": 1}) == {"task": "img2img", "steps": 12, "styles": ("x",)}
    with pytest.raises(BadRequest, match="Sampling steps"):
        checked({"task": "txt2img", "steps": "many"})


class Event:
    """An event of a component of ours."""

    def __init__(self, **data: object) -> None:
        self._data = data


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the page says in its corner."""
    said: list[str] = []
    monkeypatch.setattr(gr, "Info", lambda sentence, **_: said.append(sentence))
    return said


NAMES = {name: name for name in ("prompt", "negative_prompt", "steps", "seed", "sampler", "schedule", "width", "height", "clip_skip", "checkpoint")}
INFOTEXT = (
    "a boat\nNegative prompt: fog\n"
    "Steps: 12, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 99, Size: 512x768, Clip skip: 77, Model: <b>gone</b>, Tiling: 1"
)


def test_a_pasted_text_fills_the_tab_and_says_what_it_did_not_take(studio, told: list[str]) -> None:
    values = reader("txt2img", studio, NAMES)(Event(text=INFOTEXT), Asker())
    assert values == {"prompt": "a boat", "negative_prompt": "fog", "steps": 12, "seed": "99", "sampler": "DPM++ 2M", "schedule": "Karras", "width": 512,
                      "height": 768}  # fmt: skip
    (said,) = told
    assert all(word in said for word in ("read from the text", "Clip skip", "&lt;b&gt;gone", "Tiling")) and "<b>" not in said


def test_a_prompt_without_parameters_stays_a_prompt(studio, told: list[str]) -> None:
    with pytest.raises(gr.Error, match="no parameters in this text"):
        reader("txt2img", studio, NAMES)(Event(text="cat, style: a, mood: b, light: c"), Asker())
    with pytest.raises(gr.Error, match="nothing was made in this tab yet"):
        reader("txt2img", studio, NAMES)(Event(text="  "), Asker())
    assert told == []


def test_without_a_text_the_last_picture_fills_the_tab(studio, told: list[str]) -> None:
    from app.api.owner import owner_of

    request = Txt2Img(prompt="a boat", seed=5, steps=3, batch_size=2)
    for index in range(2):
        studio.library.save(Picture(Image.new("RGB", (8, 8)), index, 5 + index), request, "job", owner_of(Asker()).id)
    studio.library.save(Picture(Image.new("RGB", (8, 8)), 0, 9), request, "job", "somebody else")
    values = reader("txt2img", studio, NAMES)(Event(text=""), Asker())
    assert (values["prompt"], values["seed"], values["steps"]) == ("a boat", "6", 3)


def test_a_dropped_picture_says_what_was_not_taken(studio, told: list[str]) -> None:
    values = reader("txt2img", studio, NAMES)(Event(request={"task": "txt2img", "steps": 3}, notes=["No <sampler>."]), Asker())
    assert values == {"steps": 3} and told == ["Parameters read from the picture. No &lt;sampler&gt;."]


def test_a_foreign_picture_among_the_outputs_is_sent_with_its_parameters(studio) -> None:
    from app.ui.handler import sent

    folder = studio.settings.outputs_dir / "txt2img-images" / "2020-01-01"
    folder.mkdir(parents=True)
    (folder / "00001-99.png").write_bytes(png_bytes(Image.new("RGB", (64, 64)), INFOTEXT.replace("<b>gone</b>", "tiny")))
    studio.library.reindex()
    (saved,) = studio.library.newest(None, 5)
    values = sent("txt2img", studio, Owner("anna"), saved.id)
    assert (values["prompt"], values["sampler"], values["seed"], values["checkpoint"]) == ("a boat", "DPM++ 2M", "99", "tiny")

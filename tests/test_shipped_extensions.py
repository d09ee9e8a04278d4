"""The extensions in `extensions/`: each does what its line in the README says, and nothing to those who did not ask."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.errors import BadRequest
from app.extensions import Extensions
from app.request import AnyRequest, parse
from app.settings import ROOT
from app.studio import Studio


@pytest.fixture(scope="module")
def shipped() -> Extensions:
    extensions = Extensions()
    extensions.load(ROOT / "extensions")
    assert extensions.failed == {}
    return extensions


def module(shipped: Extensions, name: str) -> SimpleNamespace:
    """What the module of an extension holds."""
    return SimpleNamespace(**shipped.loaded[name][0].__globals__)


def changed(shipped: Extensions, request: AnyRequest) -> AnyRequest:
    """The request after all extensions."""
    return [request, *shipped.call("change_request", request=request)][-1]


def txt2img(prompt: str = "a house", **values: object) -> AnyRequest:
    return parse({"task": "txt2img", "prompt": prompt, "seed": 1, **values})


# ---- ralston


def arrive(sampler, sigmas: list[float]) -> float:
    """Where a sampler lands from x = 10 for data that is normal with spread 1: denoised = x / (1 + sigma^2)."""
    run, x = sampler(lambda x, sigma: x / (1 + sigma * sigma), 10.0, sigmas, None), None
    while x is None:
        try:
            next(run)
        except StopIteration as end:
            x = end.value
    return x


def test_ralston_is_of_second_order(shipped: Extensions) -> None:
    ralston = module(shipped, "ralston").ralston
    exact = 10.0 * np.sqrt((1 + 0.5**2) / (1 + 10.0**2))  # x / sqrt(1 + sigma^2) is constant along the flow

    def error(steps: int) -> float:
        return abs(arrive(ralston, list(np.geomspace(10.0, 0.5, steps + 1))) - exact)

    assert 3.4 < error(40) / error(80) < 4.6


def test_ralston_lands_on_the_data(shipped: Extensions) -> None:
    assert arrive(module(shipped, "ralston").ralston, [*np.geomspace(10.0, 0.02, 30), 0.0]) == pytest.approx(10 / np.sqrt(101), rel=0.02)


# ---- sd1_v


def test_a_v_prediction_file_is_told_from_an_epsilon_file_and_drawn_as_one(shipped: Extensions, tmp_path: Path) -> None:
    import torch

    from app.engine.checkpoints.header import read_header
    from app.engine.checkpoints.networks import Parts
    from app.engine.checkpoints.recognise import inspect_file
    from app.engine.device import make_plan
    from app.engine.families import FAMILIES
    from app.engine.guidance import Guidance
    from app.settings import Settings
    from tests import tiny

    single, marked = tiny.make_single(tmp_path / "plain.safetensors"), tmp_path / "marked.safetensors"
    add_tensor(single, marked)
    families = dict(FAMILIES)
    list(shipped.call("register_families", families=families))
    assert not families["sd1-v"].recognise(read_header(single)) and families["sd1-v"].recognise(read_header(marked))

    plan = make_plan(Settings(cpu_parts=frozenset({"all"})))
    v_model = families["sd1-v"].load(inspect_file(marked, "marked", "checkpoint"), Parts(), plan)
    epsilon_model = families["sd1"].load(inspect_file(single, "plain", "checkpoint"), Parts(), plan)
    x, sigma = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), 2.0
    v, epsilon = (model.denoiser(model.encode_prompt("a house", ""), Guidance(1.0))(x, sigma) for model in (v_model, epsilon_model))
    # x / sqrt(sigma^2 + 1) is the paper's z_t with alpha = 1 / sqrt(sigma^2 + 1): its x0 = alpha z_t - sigma_t v
    network = (x - epsilon) / sigma
    assert torch.allclose(v, x / (sigma**2 + 1) - network * sigma / (sigma**2 + 1) ** 0.5, atol=1e-5)


def add_tensor(source: Path, target: Path) -> None:
    """A copy of a safetensors file with one more, empty tensor "v_pred"."""
    data = source.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    header["v_pred"] = {"dtype": "F16", "shape": [0], "data_offsets": [end, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


# ---- film_styles, style_editor


def test_the_film_styles_are_on_the_list(studio: Studio, shipped: Extensions) -> None:
    list(shipped.call("register_styles", styles=studio.styles))
    names = [name for name in studio.styles.names() if name.startswith("Film: ")]
    assert len(names) == 4
    for name in names:
        assert "a boat" in studio.styles.apply(txt2img("a boat", styles=(name,))).prompt


def test_the_style_editor_saves_and_guests_may_not(studio: Studio, shipped: Extensions) -> None:
    import gradio as gr

    tabs: list = []
    list(shipped.call("register_tabs", tabs=tabs))
    [tab] = [tab for tab in tabs if tab.name == "Styles"]
    with gr.Blocks() as page:
        tab.render(studio)
    events = {function.fn.__name__: function.fn for function in page.fns.values()}
    owner, guest = (SimpleNamespace(headers={"x-darkroom-role": role}, cookies={}, client=None) for role in ("owner", "guest"))
    with pytest.raises(gr.Error, match="Guests cannot change styles"):
        events["save"]("Mine", "{prompt}, mine", "", guest)
    events["save"]("Mine", "{prompt}, mine", "theirs", owner)
    assert events["show"]("Mine") == ("Mine", "{prompt}, mine", "theirs")
    with pytest.raises(gr.Error, match="name of a style"):
        events["save"](" ", "x", "", owner)
    events["delete"]("Mine", owner)
    with pytest.raises(gr.Error, match=r"^'Style .* does not exist"):
        events["delete"](None, owner)
    assert "Mine" not in studio.styles.names()


# ---- dynamic_threshold


def test_a_threshold_clamps_each_channel_and_each_picture_apart(shipped: Extensions) -> None:
    import torch

    request = changed(shipped, txt2img("a house {threshold 90}"))
    assert request.prompt == "a house"
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    [model] = shipped.call("around_model", model=lambda x, sigma: x, request=request)
    both, alone = model(x, 1.0), model(x[1:], 1.0)
    assert torch.equal(both[1:], alone)
    apart, before = (both - x.mean((2, 3), keepdim=True)).abs(), (x - x.mean((2, 3), keepdim=True)).abs()
    touched = (both != x).float().mean((2, 3))
    assert (apart <= before + 1e-6).all() and ((touched > 0.05) & (touched < 0.12)).all()


def test_without_a_threshold_the_model_is_left_alone(shipped: Extensions) -> None:
    changed(shipped, txt2img("a house {threshold 90}"))
    changed(shipped, txt2img("a house"))
    assert list(shipped.call("around_model", model=lambda x, sigma: x, request=txt2img())) == []


@pytest.mark.parametrize("number", ["49.9", "100.1", "9.9.9", "."])
def test_a_threshold_out_of_bounds_is_refused(shipped: Extensions, number: str) -> None:
    with pytest.raises(BadRequest, match="must be a number from 50 to 100"):
        changed(shipped, txt2img(f"a house {{threshold {number}}}"))
    assert not shipped.failed


# ---- step_log, signature


def test_steps_are_logged_on_request_only(shipped: Extensions, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    given = {"step": 1, "steps": 4, "sigma": 7.0, "denoised": torch.ones(1, 4, 2, 2), "request": txt2img()}
    list(shipped.call("on_step", **given))
    assert caplog.text == ""
    monkeypatch.setenv("DARKROOM_STEP_LOG", "1")
    list(shipped.call("on_step", **given))
    assert "step 1/4: sigma 7.0000, mean +1.0000, std 0.0000" in caplog.text
    assert logging.getLogger("extensions.step_log").name in caplog.text


def test_a_signature_needs_its_file(shipped: Extensions, tmp_path: Path) -> None:
    [function] = shipped.loaded["signature"]
    image = Image.new("RGB", (256, 256), (90, 120, 60))
    before, function.__globals__["TEXT"] = function.__globals__["TEXT"], tmp_path / "text.txt"
    try:
        assert list(shipped.call("change_image", image=image, request=txt2img())) == []
        (tmp_path / "text.txt").write_text("Ann")
        [signed] = shipped.call("change_image", image=image, request=txt2img())
        place = np.argwhere((np.asarray(signed) != np.asarray(image)).any(2))
        assert len(place) and place.min(0)[0] > 230 and place.min(0)[1] > 200 and place.max() < 256
        assert list(shipped.call("change_image", image=image, request=parse({"task": "zoom"}))) == []
    finally:
        function.__globals__["TEXT"] = before

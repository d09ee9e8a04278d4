"""The contract with extensions: what they may do, and that a broken one harms nobody."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from app.errors import BadRequest, Cancelled, OutOfMemory
from app.extensions import HOOKS, Extensions, Tab, hook
from app.request import Txt2Img, Zoom


@pytest.fixture
def load(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A function that writes extensions into a folder and loads them."""
    caplog.set_level(logging.CRITICAL)

    def make(**sources: str) -> Extensions:
        for name, source in sources.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text(f"from app.extensions import Tab, hook\n{source}")
        extensions = Extensions()
        extensions.load(tmp_path)
        return extensions

    return make


class Latents(SimpleNamespace):
    """Stands for a tensor: a value with a shape and a dtype."""


def latents(value: float, shape: tuple[int, ...] = (1, 4, 2, 2)) -> Latents:
    return Latents(value=value, shape=shape, dtype="float32")


def test_there_are_eight_hooks() -> None:
    assert list(HOOKS) == [
        "register_samplers", "register_families", "register_styles", "register_tabs", "change_request", "around_model", "on_step", "change_image",
    ]  # fmt: skip


def test_a_misspelt_hook_is_told_the_nearest_name() -> None:
    def change_imge(image): ...

    with pytest.raises(TypeError, match=r"no hook 'change_imge'\. Did you mean 'change_image'"):
        hook(change_imge)


def test_a_parameter_that_a_hook_is_not_called_with_is_an_error() -> None:
    def change_image(image, quality): ...

    with pytest.raises(TypeError, match="image, request; it cannot take quality"):
        hook(change_image)


def test_a_hook_may_take_a_part_of_the_parameters(load) -> None:
    extensions = load(counter="seen = []\n@hook\ndef on_step(sigma): seen.append(sigma)\n@hook\ndef change_image(): return None")
    assert list(extensions.call("on_step", step=1, steps=2, sigma=3.5, denoised=None, request=Txt2Img())) == []
    assert extensions.loaded["counter"][0].__globals__["seen"] == [3.5]
    assert not extensions.failed


def test_changes_are_handed_from_one_extension_to_the_next(load) -> None:
    source = "@hook\ndef change_request(request): return request.model_copy(update={'prompt': request.prompt + '%s'})"
    extensions = load(one=source % ", one", two=source % ", two")
    assert [answer.prompt for answer in extensions.call("change_request", request=Txt2Img(prompt="zero"))] == ["zero, one", "zero, one, two"]


def test_tabs_are_appended(load) -> None:
    tabs = [Tab("Gallery", lambda studio: None)]
    list(load(more="@hook\ndef register_tabs(tabs): tabs.append(Tab('Notes', lambda studio: None))").call("register_tabs", tabs=tabs))
    assert [tab.name for tab in tabs] == ["Gallery", "Notes"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("@hook\ndef change_imge(image): ...", "Did you mean 'change_image'"),
    ],
)
def test_what_cannot_be_loaded_is_named_and_the_others_work(load, source: str, reason: str) -> None:
    extensions = load(a_broken=source, b_fine="@hook\ndef change_image(image): return image")
    assert reason in extensions.failed["a_broken"]
    assert list(extensions.loaded) == ["b_fine"]


def test_an_underscore_switches_an_extension_off(load) -> None:
    extensions = load(_off="1 / 0")
    assert not extensions.loaded and not extensions.failed


@pytest.mark.parametrize(
    ("hook_name", "body", "reason"),
    [
        ("change_request(request)", "1 / 0", "ZeroDivisionError"),
        ("change_request(request)", "return 'a cat'", "must return a Txt2Img request"),
        ("change_request(request)", "return request.model_copy(update={'steps': 0})", "steps"),
        ("change_image(image)", "return image.convert('L')", "RGB picture or None, not L"),
        ("change_image(image)", "raise SystemExit", "SystemExit"),
        ("around_model(model)", "return 3", "function of"),
    ],
)
def test_a_hook_that_fails_is_switched_off_and_skipped(load, hook_name: str, body: str, reason: str) -> None:
    extensions = load(bad=f"@hook\ndef {hook_name}: {body}", good="@hook\ndef on_step(step): ...")
    name, request, image = hook_name.split("(")[0], Txt2Img(), Image.new("RGB", (8, 8))
    values = {"request": request, "image": image, "model": latents}
    assert list(extensions.call(name, **{key: values[key] for key in HOOKS[name]})) == []
    assert reason in extensions.failed["bad"]
    assert list(extensions.loaded) == ["good"]


def test_an_extension_may_refuse_a_job(load) -> None:
    extensions = load(strict="from app.errors import BadRequest\n@hook\ndef change_request(request): raise BadRequest('No cats.')")
    with pytest.raises(BadRequest, match=r"^No cats\.$"):
        list(extensions.call("change_request", request=Txt2Img(prompt="a cat")))
    assert not extensions.failed


def test_the_pictures_of_a_zoom_keep_their_size(load) -> None:
    source = "@hook\ndef change_image(image): return image.resize((4, 4))"
    image = Image.new("RGB", (8, 8))
    extensions = load(small=source)
    assert [answer.size for answer in extensions.call("change_image", image=image, request=Txt2Img())] == [(4, 4)]
    assert list(extensions.call("change_image", image=image, request=Zoom())) == []
    assert "keep the size" in extensions.failed["small"]


@pytest.mark.parametrize("body", ["samplers['X'] = 1; 1 / 0", "samplers['X'] = 'not a row'"])
def test_a_failing_registration_leaves_nothing_behind(load, body: str) -> None:
    samplers = {"Euler": 5}
    extensions = load(bad=f"@hook\ndef register_samplers(samplers): {body}")
    list(extensions.call("register_samplers", samplers=samplers))
    assert samplers == {"Euler": 5} or (samplers == {"Euler": 5, "X": 1} and not extensions.failed)
    assert "bad" in extensions.failed


def test_a_list_is_put_back_too(load) -> None:
    tabs = [Tab("Gallery", lambda studio: None)]
    list(load(bad="@hook\ndef register_tabs(tabs): tabs.clear(); 1 / 0").call("register_tabs", tabs=tabs))
    assert [tab.name for tab in tabs] == ["Gallery"]


def test_around_model_replaces_the_model(load) -> None:
    around = "@hook\ndef around_model(model, request):\n    def twice(x, sigma):\n        y = model(x, sigma); y.value *= 2; return y\n    return twice"
    [*_, model] = load(one=around, two=around).call("around_model", model=lambda x, sigma: latents(sigma), request=Txt2Img())
    assert model(latents(0.0), 3.0).value == 12.0


@pytest.mark.parametrize("body", ["raise KeyError(sigma)", "return None", "return type(x)(value=0, shape=(1,), dtype='float32')"])
def test_a_model_that_fails_in_a_step_is_replaced_by_the_one_it_was_put_around(load, body: str) -> None:
    extensions = load(bad=f"@hook\ndef around_model(model):\n    def broken(x, sigma): {body}\n    return broken")
    [model] = extensions.call("around_model", model=lambda x, sigma: latents(sigma), request=Txt2Img())
    assert [model(latents(0.0), sigma).value for sigma in (3.0, 2.0)] == [3.0, 2.0]
    assert "bad" in extensions.failed and not extensions.loaded


@pytest.mark.parametrize("error", [OutOfMemory("Too large."), Cancelled()])
def test_the_models_own_error_is_not_the_extensions_fault(load, error: Exception) -> None:
    def fails(x: Latents, sigma: float) -> Latents:
        raise error

    extensions = load(fine="@hook\ndef around_model(model): return lambda x, sigma: model(x, sigma)")
    [model] = extensions.call("around_model", model=fails, request=Txt2Img())
    with pytest.raises(type(error)):
        model(latents(0.0), 1.0)
    assert not extensions.failed


def test_a_call_with_the_wrong_parameters_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError, match="is called with image, request"):
        list(Extensions().call("change_image", image=None))

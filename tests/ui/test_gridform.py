"""The group "X/Y/Z grid" of the tabs: what its components mean, and the page as a person uses it."""

import re

import pytest

from app.errors import BadRequest
from app.grids.request import BASES, Grid
from app.request import Txt2Img
from app.ui import gridform
from app.ui.handler import checked, fitting
from app.ui.tabs import TABS
from app.ui.tabs.tab import Panel
from tests.api.conftest import make_studio
from tests.ui.test_browser import expect, prompt, status

AXES = {"grid_x": "steps", "grid_x_values": "1-3", "grid_z": "prompt_matrix", "grid_legend": True, "grid_vary_seeds": ["x"], "grid_margin": 4}


@pytest.fixture
def studio(tmp_path):
    house, _ = make_studio(tmp_path)
    yield house
    house.close()


def test_with_an_axis_the_tab_asks_for_a_grid_and_otherwise_for_its_task() -> None:
    found = gridform.asked("txt2img", {"prompt": "a|b", "steps": 4} | AXES)
    assert isinstance(found, Grid) and found.base == Txt2Img(prompt="a|b", steps=4)
    assert found.axes["x"].values == "1-3" and found.z and not found.y and (found.margin, found.vary_seeds) == (4, ("x",))
    assert gridform.asked("txt2img", {"prompt": "a", "grid_legend": True, "grid_margin": 0, "grid_y_values": "left over"}) == Txt2Img(prompt="a")
    with pytest.raises(BadRequest, match=r"Sampling steps \(steps\) is 0"):
        gridform.asked("txt2img", {"steps": 0} | AXES)


def test_a_sheet_sent_to_a_tab_sets_its_axes_and_the_base() -> None:
    grid = gridform.asked("txt2img", {"prompt": "a|b", "seed": "5"} | AXES)
    values = fitting("txt2img", checked(grid.model_dump()))
    assert {name: values[name] for name in AXES} == AXES and values["prompt"] == "a|b" and values["seed"] == "5"
    assert values["grid_y"] == "" == values["grid_y_values"]
    assert gridform.asked("txt2img", {name: value for name, value in values.items() if value is not None}) == grid


def test_fill_writes_what_there_is_to_choose_from(studio) -> None:
    fill = gridform.filler("txt2img", studio)
    assert fill("checkpoint", "").split(", ")[-1] == "tiny"
    assert fill("sampler", "").startswith("DPM++ 2M, ") and fill("rng", "x") == "NV, CPU" and fill("wildcards", "") == "True, False"
    assert fill("denoising_strength", "") == "0-1 [5]" and fill("steps", "") == "1-150 [5]"
    assert fill("prompt_sr", "cat, dog") == "cat, dog" and fill("", "mine") == "mine" and fill("seed", "7") == "7"
    for name, field in gridform.axes.axes_of(Txt2Img).items():
        if text := fill(name, ""):
            assert len(gridform.axes.read(field, text)) >= 1


def test_the_tabs_of_the_bases_have_the_group(studio) -> None:
    import gradio as gr

    with gr.Blocks():
        for tab in TABS:
            panel = Panel(tab)
            panel.draw(studio)
            grid = {name for name in panel.parts if name.startswith(gridform.PREFIX)}
            assert len(grid) == (10 if tab.task in BASES else 0)
            if grid:
                offered = {value for _, value in panel.parts["grid_x"].choices}
                assert offered == {"", *gridform.axes.axes_of(tab.kind)}


@pytest.mark.browser
def test_a_grid_from_the_page(visit):
    page = visit()
    prompt(page, "a cat|red")
    page.locator("#txt2img_group_grid > button").click()
    for name, label in (("x", "Prompt matrix"), ("y", "Sampling steps")):
        field = page.locator(f"#txt2img_grid_{name} input").first
        field.click()
        field.fill(label)
        page.get_by_role("option", name=label, exact=True).last.click()  # the other list may still be fading out
    page.locator("#txt2img_grid_y_fill").click()
    values = page.locator("#txt2img_grid_y_values textarea, #txt2img_grid_y_values input")
    expect(values).to_have_value("1-150 [5]")
    values.fill("1, 2")
    page.locator("#txt2img_go").click()
    expect(status(page)).to_have_text(re.compile("^Done · 4 pictures and the grid"))
    expect(page.locator("#txt2img_job .dr-strip img")).to_have_count(5)
    page.locator("#txt2img_job summary").click()
    expect(page.locator("#txt2img_job .dr-infotext")).to_contain_text("Script: X/Y/Z plot, X Type: Prompt matrix, Y Type: Steps")
    page.locator("#txt2img_grid_y_swap").click()
    expect(page.locator("#txt2img_grid_x_values textarea, #txt2img_grid_x_values input")).to_have_value("1, 2")
    page.reload()
    page.wait_for_function("window.darkroom && darkroom.views.txt2img && darkroom.values.zoom")
    page.locator("#txt2img_group_grid > button").click()
    expect(page.locator("#txt2img_grid_x_values textarea, #txt2img_grid_x_values input")).to_have_value("1, 2")
    expect(status(page)).to_have_text(re.compile("^Done · 4 pictures and the grid"))

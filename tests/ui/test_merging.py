"""The form that merges checkpoints."""

import re
import threading

import gradio as gr
import pytest

from app.merge_request import Merge
from app.ui import merging
from app.work import Progress, Report
from tests.api.conftest import make_studio
from tests.ui.test_browser import expect, tab


@pytest.fixture
def studio(tmp_path):
    house, _ = make_studio(tmp_path)
    yield house
    house.close()


def test_every_field_is_drawn_and_means_what_it_says(studio) -> None:
    with gr.Blocks():
        form = merging.merging_form(studio)
    assert set(form.parts) == set(Merge.model_fields) - {"task"}
    values = {name: component.value for name, component in form.parts.items()}
    assert values["model_a"] == "tiny" and values["model_b"] == "" and form.parts["multiplier"].maximum == 1
    fields = {name: field.default for name, field in Merge.model_fields.items() if name not in ("task", "model_a")}
    assert {name: value for name, value in values.items() if name != "model_a"} == fields


@pytest.mark.browser
def test_a_merge_from_the_page(site, visit, monkeypatch) -> None:
    asked, go = [], threading.Event()

    def work(request: Merge, report: Report) -> None:
        asked.append(request)
        while not go.wait(0.01):
            report(Progress("merging", step=3, steps=20))

    monkeypatch.setattr(site.studio._merges, "prepare", lambda request, guest: request)
    monkeypatch.setattr(site.studio._merges, "work", work)
    page = visit()
    tab(page, "models")
    page.locator("#merge_group > button").click()
    page.locator("#merge_model_b input").fill("other")
    page.locator("#merge_model_b input").blur()
    page.locator("#merge_name textarea, #merge_name input").fill("mixes/new")
    page.locator("#merge_blocks input").fill("GRAD_V")
    page.locator("#merge_blocks input").blur()
    page.locator("#merge_go").click()
    told = page.locator("#merge_job .dr-status-text")
    expect(told).to_have_text(re.compile(r"^Merging mixes/new · 3 of 20 MB"))
    page.locator("#merge_stop").click()
    expect(told).to_have_text("Stopped: mixes/new was not made.")
    go.set()
    page.locator("#merge_job .dr-again").click()
    expect(told).to_have_text("Done: mixes/new is on the shelf.")
    assert asked == [Merge(model_a="tiny", model_b="other", name="mixes/new", blocks="GRAD_V")] * 2

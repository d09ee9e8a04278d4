"""The page as Gradio sees it: tabs, events and their names."""

import gradio as gr
import pytest

from app.extensions import Tab
from app.grids.request import BASES
from app.request import TASKS
from app.ui import build, gridform, page_options
from tests.api.conftest import make_studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory):
    house, _ = make_studio(tmp_path_factory.mktemp("build"))
    yield house
    house.close()


@pytest.fixture(scope="module")
def page(studio) -> gr.Blocks:
    return build(studio)


def test_only_the_five_generate_events_are_public(page: gr.Blocks) -> None:
    assert {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_values_travel_by_the_names_of_the_fields(page: gr.Blocks, task: str) -> None:
    event = next(fn for fn in page.fns.values() if fn.api_visibility == "public" and fn.api_name == task)
    names = {name for name in event.input_keyword_names if not name.startswith(gridform.PREFIX)}
    assert names == set(TASKS[task].model_fields) - {"task", "mask"}
    assert bool(set(event.input_keyword_names) - names) == (task in BASES)


def test_every_component_of_ours_has_an_id_of_its_own(page: gr.Blocks) -> None:
    ids = [block.elem_id for block in page.blocks.values() if block.elem_id]
    assert len(ids) == len(set(ids))


def test_a_tab_of_an_extension_is_drawn_and_a_broken_one_does_no_harm(studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(hook: str, tabs: list[Tab]):
        tabs.append(Tab("Mine", lambda studio: gr.Markdown("hello", elem_id="mine")))
        tabs.append(Tab("Broken", lambda studio: 1 / 0))
        return iter(())

    monkeypatch.setattr(studio.extensions, "call", call)
    drawn = build(studio)
    assert [block.label for block in drawn.blocks.values() if isinstance(block, gr.Tab)][-3:] == ["Gallery", "Mine", "Broken"]
    assert any(block.elem_id == "mine" for block in drawn.blocks.values())
    assert any("could not be drawn" in str(getattr(block, "value", "")) for block in drawn.blocks.values())


def test_the_page_carries_its_scripts_and_the_theme_that_was_asked_for(studio) -> None:
    options = page_options(studio)
    assert all(name in options["head"] for name in ("darkroom.JobView", "darkroom.MaskEditor", "darkroom.gallery", "darkroom.Shelf", "darkroom.checkpoints"))
    assert "darkroomTheme = " not in options["head"].split("\n")[0]
    assert "fonts.googleapis" not in str(options["theme"].to_dict())

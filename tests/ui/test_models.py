"""The tab Models and what a checkpoint brings along, as a person uses them: in a real browser, over the shelf that ships."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from app.engine.checkpoints.find import Shelf
from app.request import TASKS
from app.settings import ROOT
from app.ui import checkpoint
from tests.ui.test_browser import expect, prompt, status, tab

EMBEDDED = ROOT / "models" / "embedded"


def test_only_tabs_with_a_checkpoint_are_filled_and_sizes_where_pictures_begin_from_nothing() -> None:
    found = {task: checkpoint.brought(kind) for task, kind in TASKS.items()}
    assert found["upscale"] == [] and all(names[0] == "checkpoint" for task, names in found.items() if task != "upscale")
    assert {task for task, names in found.items() if "width" in names} == {"txt2img", "zoom"}
    assert {"steps", "sampler", "schedule", "cfg_scale", "clip_skip", "vae", "negative_prompt"} <= set(found["inpaint"]) & set(checkpoint.labels())


@pytest.fixture
def shelf(site, tmp_path, monkeypatch):
    """The page over the models that ship, and two of a user: the checkpoint "mine" of 256 pixels, whose notes lie beside it, and a broken LoRA."""
    (tmp_path / "lora").mkdir()
    shutil.copy(EMBEDDED / "darkroom-watercolour.safetensors", tmp_path / "mine.safetensors")
    (tmp_path / "mine.json").write_text(json.dumps({"notes": "soft edges"}))
    (tmp_path / "lora" / "torn.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    folders = (tmp_path,)
    settings = replace(site.studio.settings, root=ROOT, checkpoint_dirs=folders, lora_dirs=folders, vae_dirs=folders, embedding_dirs=folders)
    monkeypatch.setattr(site.studio, "shelf", Shelf(settings))
    yield site.studio
    site.studio.cards._table.unlink(missing_ok=True)


def card(page, name):
    return page.locator(f".dr-model[data-name='{name}']")


def show(page, kind):
    page.locator(f".dr-kinds [data-kind={kind}]").click()


def dropdown(page, task="txt2img", field="checkpoint"):
    return page.locator(f"#{task}_{field} input").first


def number(page, field, task="txt2img"):
    return page.locator(f"#{task}_{field} input[type=number]")


@pytest.mark.browser
def test_cards_are_searched_marked_and_described(visit, shelf):
    page = visit()
    expect(dropdown(page)).to_have_value("mine")  # the page was built over another shelf: it begins with the first one of this
    tab(page, "models")
    cards = page.locator(".dr-model")
    expect(card(page, "mine").locator(".dr-model-notes")).to_have_text("soft edges")
    assert cards.first.get_attribute("data-name") == "mine"
    page.locator(".dr-search").fill("SOFT edges")
    expect(cards).to_have_count(1)
    page.locator(".dr-search").fill("")
    card(page, "darkroom-base").locator(".dr-star").click()
    expect(card(page, "darkroom-base").locator(".dr-star")).to_have_attribute("aria-pressed", "true")
    page.locator(".dr-shelf-refresh").click()
    expect(cards.first).to_have_attribute("data-name", "darkroom-base")
    card(page, "mine").locator(".dr-more-about").click()
    notes = page.locator(".dr-own-notes")
    expect(notes).to_have_value("soft edges")
    notes.fill("<b>best</b> at dusk")
    page.locator(".dr-own-words").fill("dusk, dusk, glow")
    page.locator(".dr-own-words").blur()
    expect(page.locator(".dr-model-details .dr-chip")).to_have_text(["dusk", "glow"])
    page.keyboard.press("Escape")
    expect(card(page, "mine").locator(".dr-model-notes")).to_have_text("<b>best</b> at dusk")
    expect(card(page, "mine").locator(".dr-more-about")).to_be_focused()
    assert shelf.cards.get("checkpoint", "mine").triggers == ("dusk", "glow")
    show(page, "lora")
    expect(card(page, "lora/torn").locator(".dr-model-problem")).to_contain_text("truncated")
    expect(card(page, "lora/torn").locator(".dr-model-use")).to_be_disabled()


@pytest.mark.browser
def test_a_card_goes_into_the_prompt_at_the_cursor_and_out_again(visit, shelf):
    page = visit()
    tab(page, "img2img")
    prompt(page, "a house, night", "img2img")
    page.locator("#img2img_prompt textarea").evaluate("area => { area.focus(); area.setSelectionRange(7, 7); }")
    tab(page, "models")
    show(page, "lora")
    card(page, "darkroom-lcm").locator(".dr-model-use").click()
    expect(card(page, "darkroom-lcm")).to_have_class(re.compile(r"\bon\b"))
    show(page, "checkpoint")
    word = card(page, "mine").locator(".dr-chip").first
    text = word.text_content()
    word.click()
    tab(page, "img2img")
    area = page.locator("#img2img_prompt textarea")
    expect(area).to_have_value(f"a house <lora:darkroom-lcm:1>, {text}, night")
    expect(page.locator("#img2img_brought .dr-note")).to_contain_text("Darkroom few steps goes with Sampling method LCM")
    page.locator("#img2img_brought .dr-undo").click()
    expect(number(page, "steps", "img2img")).to_have_value(re.compile("^[2-8]$"))
    tab(page, "models")
    show(page, "lora")
    card(page, "darkroom-lcm").locator(".dr-model-use").press("Enter")
    expect(card(page, "darkroom-lcm")).not_to_have_class(re.compile(r"\bon\b"))
    tab(page, "img2img")
    expect(area).to_have_value(f"a house, {text}, night")
    assert page.evaluate("darkroom.values.txt2img.prompt") == ""


@pytest.mark.browser
def test_a_checkpoint_brings_its_settings_and_they_are_taken_back(visit, shelf):
    shelf.cards.change("checkpoint", "darkroom-base", {"defaults": {"steps": 9, "cfg_scale": 2.5, "negative_prompt": "fog"}})
    page = visit()
    steps, note = number(page, "steps"), page.locator("#txt2img_brought .dr-note")
    steps.fill("33")
    steps.blur()
    tab(page, "models")
    card(page, "darkroom-base").locator(".dr-model-use").click()
    expect(card(page, "darkroom-base")).to_have_class(re.compile(r"\bon\b"))
    tab(page, "txt2img")
    expect(note).to_contain_text("darkroom-base set")
    expect(note).to_contain_text("Sampling steps 9 · CFG scale 2.5 · Negative prompt fog")
    expect(dropdown(page)).to_have_value("darkroom-base")
    expect(steps).to_have_value("9")
    note.locator(".dr-undo").click()
    expect(steps).to_have_value("33")
    expect(page.locator("#txt2img_negative_prompt textarea")).to_have_value("")
    expect(note).to_be_hidden()
    tab(page, "zoom")
    expect(dropdown(page, "zoom")).to_have_value("darkroom-base")
    expect(number(page, "steps", "zoom")).to_have_value("9")


@pytest.mark.browser
def test_settings_are_saved_with_a_checkpoint_and_leave_with_it(visit, shelf):
    page = visit()
    steps, field = number(page, "steps"), dropdown(page)
    before = steps.input_value()
    steps.fill("7")
    steps.blur()
    page.wait_for_function("darkroom.values.txt2img.steps === 7")
    page.locator("#txt2img_brought .dr-save-defaults").click()
    expect(page.locator("#txt2img_brought .dr-note")).to_contain_text("mine brings these settings along")
    assert shelf.cards.get("checkpoint", "mine").defaults["steps"] == 7
    for name, expected in (("darkroom-watercolour", before), ("mine", "7")):
        field.click()
        field.fill(name)
        page.get_by_role("option", name=name, exact=True).last.click()
        expect(steps).to_have_value(expected)
    expect(number(visit(), "steps")).to_have_value("7")


@pytest.mark.browser
def test_two_checkpoints_are_compared_with_one_prompt_and_seed(visit, shelf):
    page = visit()
    prompt(page, "a boat")
    tab(page, "models")
    for name in ("darkroom-base", "mine"):
        card(page, name).locator(".dr-pick").check()
    page.locator(".dr-compare-go").click()
    expect(status(page)).to_have_text(re.compile("^Done · 2 pictures and the grid"))
    job = shelf.jobs.get(page.evaluate("darkroom.views.txt2img.current"), None).job
    request = json.loads(job.request)
    assert (request["task"], request["x"]) == ("grid", {"field": "checkpoint", "values": "darkroom-base, mine"})
    assert request["base"]["prompt"] == "a boat" and request["base"]["seed"] >= 0 and not request["keep_random"]


@pytest.mark.browser
def test_two_thousand_cards_are_drawn_as_they_are_reached(visit, shelf, monkeypatch):
    files = shelf.shelf.everything()
    torn = next(file for file in files if file.kind == "lora" and file.problem)
    many = [replace(torn, name=f"style {number}", problem="", family="sdxl") for number in range(2000)]
    monkeypatch.setattr(Shelf, "everything", lambda self: [*(file for file in files if file.kind != "lora"), *many])
    page = visit(390, 844)
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button").filter(has_text="Models").click()
    show(page, "lora")
    cards = page.locator(".dr-model")
    expect(cards.first).to_have_class(re.compile(r"\bdim\b"))
    expect(cards.first.locator(".dr-model-reason")).to_have_text("Made for SDXL; mine is SD 1.x.")
    drawn = cards.count()
    assert drawn < 500
    page.mouse.wheel(0, 100_000)
    page.wait_for_function(f"document.querySelectorAll('.dr-model').length > {drawn}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".dr-search").fill("style 1999")
    expect(cards).to_have_count(1)
    page.locator(".dr-search").fill("")
    page.locator(".dr-check input").first.check()
    expect(page.locator("#shelf .dr-empty")).to_be_visible()

"""What the page is told about prompts, and what it makes of it in a real browser."""

import json
import re

import pytest

from app.studio import Studio
from app.ui.promptreading import prompt_reader
from tests import tiny


def words(part):
    return [" ".join(token["text"] for token in chunk) for text in part["texts"] for chunk in text["chunks"]]


def test_both_prompts_as_they_run(studio):
    studio.styles.add("Ink", "the {prompt}", "forest")
    found = prompt_reader(studio)({"prompt": "[cat:house:0.5] AND dog :0.5", "negative_prompt": "", "styles": ["Ink"], "seed": "-1", "steps": 4, "width": 65})
    assert json.loads(json.dumps(found, default=tuple))["checkpoint"] == "tiny" and not found["drawn"]
    assert [part["weight"] for part in found["prompt"]["parts"]] == [1.0, 0.5]
    assert words(found["prompt"]["parts"][0]) == ["the cat", "the house"]
    assert [text["steps"] for text in found["prompt"]["parts"][0]["texts"]] == [((1, 3),), ((4, 4),)]
    assert words(found["negative_prompt"]["parts"][0]) == ["forest"]
    assert not found["negative_prompt"]["unread"]
    assert prompt_reader(studio)({"prompt": "a", "cfg_scale": 1})["negative_prompt"]["unread"]
    assert not prompt_reader(studio)({"prompt": "a AND b", "cfg_scale": 1})["negative_prompt"]["unread"]


def test_the_second_pass_of_hires_fix(studio):
    hires = {"enable_hr": True, "hr_second_pass_steps": 4, "hr_negative_prompt": "night", "hr_sampler": "Heun", "hr_cfg": 1}
    asked = {"prompt": "[cat:dog:1.5]", "steps": 10} | hires
    found = prompt_reader(studio)(asked)
    assert [text["steps"] for text in found["prompt"]["parts"][0]["texts"]] == [((1, 10),)]
    assert [(text["text"], text["steps"]) for text in found["hr_prompt"]["parts"][0]["texts"]] == [("cat", ((1, 5),)), ("dog", ((6, 8),))]
    assert found["hr_prompt"]["calls"] and found["hr_prompt"]["steps"] == 8 and not found["prompt"]["calls"]
    assert words(found["hr_negative_prompt"]["parts"][0]) == ["night"] and found["hr_negative_prompt"]["unread"]
    assert "hr_prompt" not in prompt_reader(studio)(asked | {"enable_hr": False})


def test_wildcards_are_shown_as_drawn_for_the_first_picture(studio):
    asked = {"prompt": "{cat|house}", "wildcards": True, "seed": "3"}
    (shown,) = words(prompt_reader(studio)(asked)["prompt"]["parts"][0])
    assert shown in ("cat", "house") and prompt_reader(studio)(asked)["drawn"] == "seed 3"
    assert prompt_reader(studio)(asked | {"seed": "-1"})["drawn"] == "seed 0"
    assert "{" in words(prompt_reader(studio)(asked | {"wildcards": False})["prompt"]["parts"][0])[0]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prompt": "(" * 33}, "at most 32 are allowed"),
        ({"prompt": "a" * 8193}, "at most 8192"),
        ({"prompt": "a", "checkpoint": "nothing"}, "Checkpoint 'nothing' does not exist."),
        ({"prompt": "__nothing__", "wildcards": True}, "Wildcard 'nothing' does not exist."),
        ({"prompt": "a", "steps": "many"}, "Sampling steps"),
        ({"prompt": ["a"]}, "Prompt"),
        ([], "did not arrive"),
    ],
)
def test_what_is_wrong_is_a_sentence(studio, values, sentence):
    found = prompt_reader(studio)(values)
    assert set(found) == {"error"} and sentence in found["error"]


def test_loras_and_embeddings_that_are_found(studio: Studio, tmp_path):
    tiny.write_embedding(tmp_path / "models" / "stickers.safetensors", vectors=3)
    studio.shelf.refresh()
    found = prompt_reader(studio)({"prompt": "stickers <lora:nothing:0.5> <hypernet:x:1>"})["prompt"]
    assert found["embeddings"] == ("stickers",) and found["tokens"] == (3, 75)
    first, second = found["networks"]
    assert first["te"] == 0.5 and "LoRA 'nothing'" in first["problem"].replace("Lora", "LoRA") and "hypernet" in second["problem"]


def test_blocks_and_steps_of_a_lora(studio: Studio):
    networks = prompt_reader(studio)({"prompt": "<lora:a:1:lbw=MIDD:stop=10><lora:b:1:start=3><lora:c>"})["prompt"]["networks"]
    assert [(network["blocks"], network["steps"]) for network in networks] == [("MIDD", "1-9"), ("", "3-"), ("", "")]


def test_each_tab_with_a_prompt_has_the_panel(studio):
    from app.ui import build

    ids = {getattr(block, "elem_id", None) for block in build(studio).blocks.values()}
    assert {f"{task}_reading" for task in ("txt2img", "img2img", "inpaint", "outpaint", "zoom")} <= ids and "upscale_reading" not in ids


@pytest.mark.browser
def test_the_panel_follows_the_prompt_and_shows_text_as_text(visit):
    from playwright.sync_api import expect

    page = visit()
    expect(page.locator("#txt2img_reading summary")).to_have_text("What the model reads")
    page.locator("#txt2img_prompt textarea").fill("the (house:1.5) [cat:dog:0.5] <img src=x onerror=window.harmed=1> <lora:<b:1> BREAK night")
    body = page.locator("#txt2img_reading .dr-reading-body")
    expect(body).to_be_hidden()
    page.locator("#txt2img_reading summary").click()
    section = body.locator("section").first
    expect(section.locator("h4")).to_contain_text(re.compile(r"\d+ of 150 tokens"))
    expect(section.locator(".dr-token.up", has_text="house").first).to_have_text("house ×1.5")
    expect(section.locator(".dr-reading-steps")).to_have_text(["steps 1–11", "steps 12–20"])
    expect(section).to_contain_text("chunk 2 · 1 of 75")
    expect(section.locator(".dr-token.missing")).to_contain_text("LoRA <b")
    assert page.evaluate("window.harmed") is None and body.locator("img, b").count() == 0
    page.locator("#txt2img_prompt textarea").fill("(" * 40)
    expect(body.locator(".dr-reading-problem")).to_contain_text("at most 32 are allowed")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_panel_fits_its_column(visit, width, scheme):
    from playwright.sync_api import expect

    page = visit(width, 844, color_scheme=scheme)
    page.locator("#txt2img_prompt textarea").fill(f"the house, {'x' * 300}, [a|b] AND (night:0.7) :0.5")
    page.locator("#txt2img_reading summary").click()
    expect(page.locator("#txt2img_reading .dr-reading-part").nth(1)).to_contain_text("weight 0.5")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#txt2img_reading .dr-reading-body").evaluate("body => body.scrollWidth <= body.clientWidth")

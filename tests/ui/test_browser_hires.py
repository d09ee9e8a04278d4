"""Hires fix and refiner in the real page."""

import json
import re

import pytest

from tests.ui.test_browser import expect, generate, status

pytestmark = pytest.mark.browser


def number(page, field, value):
    box = page.locator(f"#txt2img_{field} input[type=number]")
    box.fill(value)
    box.blur()


def test_hires_fix_says_its_size_and_asks_for_it(site, visit):
    page = visit()
    heading = page.locator("#txt2img_group_hires_fix > button > span").first
    size = page.locator("#txt2img_hires_size")
    page.locator("#txt2img_group_hires_fix > button").click()
    expect(size).to_have_text("From 64x64 to 128x128")
    number(page, "hr_scale", "1.55")
    expect(size).to_have_text("From 64x64 to 96x96")
    number(page, "hr_resize_y", "160")
    expect(size).to_have_text("From 64x64 to 160x160")
    number(page, "hr_resize_x", "80")
    expect(size).to_have_text("From 64x64 to 80x160")
    assert not heading.get_attribute("data-state")
    page.locator("#txt2img_enable_hr input").check()
    expect(heading).to_have_attribute("data-state", " · 64x64 → 80x160")
    page.locator("#txt2img_group_refiner > button").click()
    expect(page.locator("#txt2img_refiner_checkpoint input")).to_have_value("None")
    generate(page, "a house")
    expect(status(page)).to_have_text(re.compile("^Done"))
    request = json.loads(site.studio.jobs.get(page.evaluate("darkroom.views.txt2img.current"), None).job.request)
    expected = {"enable_hr": True, "hr_resize_x": 80, "hr_resize_y": 160, "hr_checkpoint": "", "hr_sampler": "", "refiner_checkpoint": ""}
    assert request | expected == request

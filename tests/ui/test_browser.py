"""The page, as a person uses it: in a real browser, on the real server."""

import io
import json
import re

import pytest
from PIL import Image

pytestmark = pytest.mark.browser
TASKS = ("txt2img", "img2img", "inpaint", "outpaint", "zoom", "upscale")


def expect(locator):
    from playwright.sync_api import expect as playwright_expect

    return playwright_expect(locator)


def prompt(page, text, task="txt2img"):
    page.locator(f"#{task}_prompt textarea").fill(text)


def generate(page, text, task="txt2img"):
    prompt(page, text, task)
    page.locator(f"#{task}_go").click()


def status(page, task="txt2img"):
    return page.locator(f"#{task}_job .dr-status-text")


def tab(page, task):
    page.locator(f"button[role=tab][data-tab-id={task}]:visible").click()


def png(width=64, height=64, colour="green"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return {"name": "picture.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def finished(site, page, task="txt2img"):
    """The file of the last picture of the job that a tab shows."""
    job_id = page.evaluate(f"darkroom.views.{task}.current")
    outputs = site.studio.jobs.get(job_id, None).job.outputs
    return site.studio.library.get(outputs[-1], None).path.read_bytes()


def test_a_picture_from_a_prompt_and_its_parameters(visit):
    page = visit()
    page.locator("#txt2img_examples .dr-chip").first.click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(re.compile("^the house in the forest, dark night"))
    page.locator("#txt2img_batch_count input[type=number]").fill("2")
    page.locator("#txt2img_batch_count input[type=number]").blur()
    page.keyboard.press("Control+Enter")
    expect(status(page)).to_have_text(re.compile("^Done · 2 pictures"))
    expect(page.locator("#txt2img_job .dr-strip img")).to_have_count(2)
    assert page.locator("#txt2img_job .dr-large img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    page.locator("#txt2img_job summary").click()
    expect(page.locator("#txt2img_job .dr-infotext")).to_contain_text("Steps: 20")
    page.locator("#txt2img_recycle").click()
    expect(page.locator("#txt2img_seed input, #txt2img_seed textarea")).to_have_value(re.compile(r"^\d+$"))
    page.locator("#txt2img_dice").click()
    expect(page.locator("#txt2img_seed input, #txt2img_seed textarea")).to_have_value("-1")


def test_a_variation_is_drawn_taken_again_and_remembered(site, visit):
    page = visit()
    page.locator("#txt2img_group_extra > button").click()
    seed = page.locator("#txt2img_subseed input, #txt2img_subseed textarea")
    page.locator("#txt2img_subseed_strength input[type=number]").fill("0.25")
    page.locator("#txt2img_subseed_strength input[type=number]").blur()
    generate(page, "a house")
    expect(status(page)).to_have_text(re.compile("^Done · 1 picture"))
    expect(page.locator("#txt2img_job .dr-large img")).to_be_visible()
    for _ in range(4):  # now and then, why is not known, a click has no effect
        page.locator("#txt2img_subrecycle").click()
        page.wait_for_timeout(2000)
        if seed.input_value() != "-1":
            break
    expect(seed).to_have_value(re.compile(r"^\d+$"))
    request = json.loads(site.studio.jobs.get(page.evaluate("darkroom.views.txt2img.current"), None).job.request)
    assert (seed.input_value(), request["subseed_strength"]) == (str(request["subseed"]), 0.25)
    page.locator("#txt2img_group_guidance > button").click()
    page.locator("#txt2img_s_min_uncond_all input").check()
    page.wait_for_function("JSON.parse(localStorage.getItem('darkroom.fields.txt2img') || '{}').s_min_uncond_all === true")
    page.reload()
    page.locator("#txt2img_group_extra > button").click()
    expect(seed).to_have_value(str(request["subseed"]))
    page.locator("#txt2img_subdice").click()
    expect(seed).to_have_value("-1")


def test_reload_keeps_the_job_and_the_fields(visit, slow):
    page = visit()
    page.locator("#txt2img_width input").fill("96")
    page.locator("#txt2img_width input").blur()
    generate(page, "slow morning")
    expect(status(page)).to_contain_text("step 1 of 20")
    expect(page.locator("#txt2img_job .dr-live")).to_be_visible()
    page.reload()
    expect(status(page)).to_contain_text("step 1 of 20")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("slow morning")
    expect(page.locator("#txt2img_width input")).to_have_value("96")
    slow.go.set()
    expect(status(page)).to_contain_text("Done · 1 picture")
    page.reload()
    expect(status(page)).to_contain_text("Done · 1 picture")
    expect(page.locator("#txt2img_job .dr-large img")).to_be_visible()


def test_damaged_memory_and_a_second_window_lose_nothing(visit, slow):
    page = visit()
    address = page.url
    page.goto(f"{address}healthz")
    page.evaluate('''() => {
        localStorage.setItem("darkroom.jobs.txt2img", '{"not": "a list"}');
        localStorage.setItem("darkroom.fields.txt2img", '{"steps": "many", "styles": 3, "prompt": "kept"}');
    }''')
    page.goto(address)
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("kept")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("20")
    other = page.context.new_page()
    other.goto(address)
    other.wait_for_function("window.darkroom && darkroom.views.txt2img && darkroom.values.zoom")
    generate(page, "slow one")
    expect(status(page)).to_contain_text("step 1 of 20")
    generate(other, "slow two")
    expect(status(other)).to_contain_text("Queued")
    page.evaluate("() => dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', isComposing: true}))")
    other.evaluate("localStorage.removeItem('darkroom.jobs.txt2img')")
    other.reload()
    expect(other.locator("#txt2img_job .dr-queue .dr-job")).to_have_count(1)
    expect(status(other)).to_contain_text("step 1 of 20")
    slow.go.set()
    expect(status(page)).to_contain_text("Done")


def test_stop_and_escape_stop_and_the_job_can_run_again(visit, slow):
    page = visit()
    generate(page, "slow stop")
    expect(status(page)).to_contain_text("step 1 of 20")
    page.locator("#txt2img_stop").click()
    expect(status(page)).to_contain_text("Stopped")
    page.locator("#txt2img_job .dr-again").click()
    expect(status(page)).to_contain_text("step 1 of 20")
    page.keyboard.press("Escape")
    expect(status(page)).to_contain_text("Stopped")
    slow.go.set()
    page.locator("#txt2img_job .dr-again").click()
    expect(status(page)).to_contain_text("Done")
    expect(page.locator("#txt2img_job .dr-queue .dr-job")).to_have_count(2)


def test_two_browsers_see_their_own_jobs(visit, slow):
    one, two = visit(), visit()
    generate(one, "slow one")
    expect(status(one)).to_contain_text("step 1 of 20")
    generate(two, "two")
    expect(status(two)).to_contain_text("Queued")
    assert one.evaluate("darkroom.views.txt2img.ids").__len__() == 1
    two.locator("#txt2img_stop").click()
    expect(status(two)).to_contain_text("Stopped")
    expect(status(one)).to_contain_text("step 1 of 20")
    slow.go.set()
    expect(status(one)).to_contain_text("Done")


def test_a_painted_mask_is_what_is_painted_anew(visit, site):
    page = visit()
    tab(page, "inpaint")
    page.locator("#inpaint_image .dr-tools input[type=file]").first.set_input_files(png())
    expect(page.locator("#inpaint_image .dr-tools .dr-hint")).to_have_text("64 × 64")
    page.locator("#inpaint_go").click()
    expect(page.locator(".toast-body").first).to_contain_text("Mask (mask) is missing")
    box = page.locator("#inpaint_image .dr-view").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 40, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.locator("#inpaint_go").click()
    expect(status(page, "inpaint")).to_contain_text("Done")
    image = Image.open(io.BytesIO(finished(site, page, "inpaint")))
    assert image.size == (64, 64)
    assert image.getpixel((32, 32)) == (255, 0, 0)
    assert image.getpixel((2, 2)) == (0, 128, 0)


def test_send_to_and_a_dropped_picture_bring_the_parameters(visit, site):
    page = visit()
    generate(page, "a red boat")
    expect(status(page)).to_contain_text("Done")
    page.locator("#txt2img_job [data-send=img2img]").click()
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a red boat")
    expect(page.locator("#img2img_image .dr-picture img")).to_be_visible()
    page.locator("#img2img_go").click()
    expect(status(page, "img2img")).to_contain_text("Done")
    made = {"name": "made.png", "mimeType": "image/png", "buffer": finished(site, page, "img2img")}
    held = []
    page.route("**/v1/pictures", lambda route: held.append(route))
    with page.expect_request("**/v1/pictures"):
        page.locator("#img2img_image input[type=file]").set_input_files(png(72, 64, "blue"))
    page.locator("#img2img_go").click()
    held.pop().continue_()
    page.unroute("**/v1/pictures")
    page.wait_for_function("darkroom.views.img2img.ids.length === 2")
    newest = site.studio.jobs.get(page.evaluate("darkroom.views.img2img.ids[0]"), None).job
    assert site.studio.take_picture(png(72, 64, "blue")["buffer"]) in newest.request, "Generate waits for the picture that is on its way"
    tab(page, "outpaint")
    page.locator("#outpaint_drop input[type=file]").set_input_files(made)
    expect(page.locator("#outpaint_prompt textarea")).to_have_value("a red boat")


PASTE = """(area, text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  return area.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""
"""Answers whether the browser is left to insert the text itself."""


def test_a_pasted_infotext_fills_the_tab(visit):
    page = visit()
    area = page.locator("#txt2img_prompt textarea")
    assert area.evaluate(PASTE, "cat, style: a, mood: b, light: c") is True
    text = "a red boat\nNegative prompt: fog\nSteps: 7, Sampler: Euler a, CFG scale: 99, Seed: 18446744073709551615, Size: 64x64, Hypernet: old"
    assert area.evaluate(PASTE, text) is False
    expect(area).to_have_value("a red boat")
    expect(page.locator("#txt2img_negative_prompt textarea")).to_have_value("fog")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("7")
    expect(page.locator("#txt2img_seed textarea, #txt2img_seed input")).to_have_value("18446744073709551615")
    expect(page.get_by_text("Darkroom does not use Hypernet.")).to_be_visible()
    prompt(page, text.replace("boat", "ship").replace("Steps: 7", "Steps: 8"))
    page.locator("#txt2img_paste").click()
    expect(area).to_have_value("a red ship")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("8")


def test_gallery_shows_deletes_and_sends(visit):
    page = visit()
    generate(page, "for the gallery")
    expect(status(page)).to_contain_text("Done")
    tab(page, "gallery")
    tiles = page.locator("#gallery .dr-tile")
    expect(tiles.first).to_be_visible()
    before = tiles.count()
    tiles.first.click()
    expect(page.locator(".dr-viewer .dr-infotext")).to_contain_text("for the gallery")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator(".dr-viewer .dr-danger").click()
    expect(tiles).to_have_count(before - 1)


def test_errors_are_sentences(visit):
    page = visit()
    page.locator("#txt2img_width input").fill("65")
    page.locator("#txt2img_width input").blur()
    generate(page, "odd")
    expect(page.locator(".toast-body").first).to_contain_text("Width (width) is 65, but it must be a whole number from 64 to 4096, a multiple of 8")
    page.locator("#txt2img_width input").fill("64")
    page.locator("#txt2img_width input").blur()
    generate(page, "broken")
    expect(status(page)).to_have_text("The paint is dry. Buy some.")
    expect(page.locator("#txt2img_job .dr-again")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_on_a_phone(visit, scheme):
    page = visit(390, 844, color_scheme=scheme, has_touch=True)
    for task in TASKS:
        if (button := page.locator(f"button[role=tab][data-tab-id={task}]:visible")).count():
            button.click()
        else:
            page.locator(".overflow-menu > button").click()
            page.locator(".overflow-dropdown button").filter(has_text=page.evaluate(f"darkroom.TITLES.{task}")).click()
        expect(page.locator(f"#{task}_go")).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")


def test_one_click_makes_a_result_four_times_as_large(visit, site):
    page = visit()
    generate(page, "a small house")
    expect(status(page)).to_have_text(re.compile("^Done"))
    page.locator("#txt2img_job .dr-upscale").click()
    expect(status(page, "upscale")).to_have_text(re.compile("^Done · 1 picture"), timeout=30_000)
    with Image.open(io.BytesIO(finished(site, page, "upscale"))) as image:
        assert image.size == (256, 256)
        assert image.text["parameters"].startswith("a small house\nSteps: 20")
        assert image.text["parameters"].endswith("Postprocess upscale by: 4, Postprocess upscaler: darkroom-x4")
    page.locator("#upscale_job [data-send=txt2img]").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a small house")

"""Makes something in every tab, in a real browser on the real server, and takes the README's pictures.

    .venv/bin/python -m tools.screenshots FOLDER [--tour]

Writes txt2img.png, img2img.png, inpaint.png, outpaint.png, zoom.png, models.png and gallery.png to FOLDER; with --tour also each tab
at 1440 and 390 px, light and dark. Needs playwright and an installed Chromium. Fails when the page asks another host for
anything, raises an error or scrolls sideways.
"""

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
TABS = {
    "txt2img": "txt2img", "img2img": "img2img", "inpaint": "Inpaint", "outpaint": "Outpaint", "zoom": "Infinite zoom", "models": "Models", "gallery": "Gallery",
}  # fmt: skip
ZOOM = {"keys": 3, "seconds": 3, "fps": 10}
PATIENCE = 300_000
"""Milliseconds that a picture may take."""


@contextmanager
def server(outputs: Path) -> Iterator[str]:
    """The address of a Darkroom that was started as a user would start it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "webui.py"), "--port", str(port), "--outputs-dir", str(outputs)]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        end = monotonic() + 120
        while not ready(url) and monotonic() < end and process.poll() is None:
            sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def chromium() -> str:
    """The path of an installed Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        raise SystemExit("There is no Chromium; install one first.")
    return found


def ready(url: str) -> bool:
    """Does the server take jobs?"""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def visit(browser: Browser, url: str, troubles: list[str], **context: Any) -> Page:
    """An open page whose troubles are noted."""
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:")) else troubles.append(f"foreign host: {request.url}"))
    page.goto(url)
    page.locator("#txt2img_job .dr-stage").wait_for(state="attached")
    page.wait_for_timeout(1000)
    return page


def set_number(page: Page, task: str, name: str, value: float) -> None:
    field = page.locator(f"#{task}_{name} input[type=number]")
    field.fill(str(value))
    field.blur()


def generate(page: Page, task: str, picture: Path) -> None:
    """Press Generate, wait for the result, and take the page's picture."""
    page.locator(f"#{task}_go").click()
    page.wait_for_timeout(500)
    expect(page.locator(f"#{task}_job .dr-status-text")).to_contain_text("Done", timeout=PATIENCE)
    page.wait_for_timeout(700)
    page.screenshot(path=picture)


def paint_mask(page: Page) -> None:
    """A stroke across the middle of the picture."""
    expect(page.locator("#inpaint_image .dr-tools .dr-hint")).to_contain_text("128")
    box = page.locator("#inpaint_image .dr-view").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 20, steps=6)
    page.mouse.up()


def open_tab(page: Page, task: str) -> None:
    """By its button, or through the "..." menu where the page is narrow."""
    button = page.locator(f"button[role=tab][data-tab-id={task}]:visible")
    if button.count():
        button.click()
    else:
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button").filter(has_text=TABS[task]).click()
    page.wait_for_timeout(1300)


def make_everything(page: Page, folder: Path, seed: int) -> None:
    """The first example, then sent to each of the other tabs."""
    page.locator("#txt2img_examples .dr-chip").first.click()
    set_number(page, "txt2img", "batch_count", 4)
    seed_field = page.locator("#txt2img_seed input, #txt2img_seed textarea")
    seed_field.fill(str(seed))
    seed_field.blur()
    generate(page, "txt2img", folder / "txt2img.png")
    for task in ("img2img", "outpaint", "zoom", "inpaint"):
        open_tab(page, "txt2img")
        page.locator(f"#txt2img_job [data-send={task}]").click()
        expect(page.locator(f"#{task}_prompt textarea")).to_have_value(re.compile("house"))
        if task == "inpaint":
            paint_mask(page)
        for name, value in ZOOM.items() if task == "zoom" else ():
            set_number(page, task, name, value)
        generate(page, task, folder / f"{task}.png")
    open_tab(page, "models")
    page.locator("#shelf .dr-model img").first.wait_for()
    page.wait_for_timeout(1200)
    page.screenshot(path=folder / "models.png")
    open_tab(page, "gallery")
    page.locator("#gallery .dr-tile img").first.wait_for()
    page.wait_for_timeout(1200)
    page.screenshot(path=folder / "gallery.png")


def tour(browser: Browser, url: str, folder: Path, troubles: list[str], state: Any) -> None:
    """Each tab, wide and narrow, light and dark."""
    for theme in ("light", "dark"):
        for width in (1440, 390):
            page = visit(browser, url, troubles, viewport={"width": width, "height": 900}, color_scheme=theme, storage_state=state)
            for task in TABS:
                open_tab(page, task)
                page.screenshot(path=folder / f"tour-{task}-{width}-{theme}.png", full_page=width < 600)
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    troubles.append(f"{task} scrolls sideways at {width} px")
            page.context.close()


def main() -> int:
    """Returns the exit status: 0, or 1 when something was wrong with the page."""
    parser = argparse.ArgumentParser(description="Takes the README's pictures.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tour", action="store_true", help="each tab at 1440 and 390 px, light and dark, too")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    troubles: list[str] = []
    with tempfile.TemporaryDirectory() as outputs, server(Path(outputs)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        page = visit(browser, url, troubles, viewport={"width": 1440, "height": 900}, color_scheme="dark")
        make_everything(page, asked.folder, asked.seed)
        if asked.tour:
            tour(browser, url, asked.folder, troubles, page.context.storage_state())
        browser.close()
    sys.stdout.write("".join(f"{trouble}\n" for trouble in troubles) or "The page is in order.\n")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())

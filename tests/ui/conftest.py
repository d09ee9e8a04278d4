"""The real application and studio in this process, with an engine that only paints, and a browser to look at it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from PIL import Image

from app.api.door import Door
from app.canvas.fit import enlarged_size
from app.request import AnyTask, Upscale
from app.serve import Share, make_app
from app.studio import Studio
from app.work import Picture, Report
from tests.api.conftest import Painter, make_studio, running
from tests.conftest import browser_path

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Repainter(Painter):
    """Paints what is white in the mask, and keeps the rest: an inpaint whose result tells which mask arrived. Upscales by repeating pixels."""

    def run(self, request: AnyTask, inputs: dict[str, Image.Image], report: Report) -> Iterator[Picture]:  # type: ignore[override]
        if isinstance(request, Upscale):
            yield Picture(inputs["image"].convert("RGB").resize(enlarged_size(inputs["image"].size, request.scale)), 0, 0)
            return
        for picture in super().run(request, inputs, report):
            if "mask" in inputs:
                image = inputs["image"].convert("RGB")
                image.paste((255, 0, 0), mask=inputs["mask"].convert("L"))
                picture = Picture(image, picture.index, picture.seed)
            yield picture


@dataclass
class Site:
    studio: Studio
    painter: Painter
    url: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    studio, _ = make_studio(tmp_path_factory.mktemp("site"))
    painter = Repainter()
    studio._make_engine = lambda *_: painter
    share = Share(Door(studio.settings), studio.settings.port)
    with running(lambda: make_app(studio, share), share, studio):
        yield Site(studio, painter, f"http://127.0.0.1:{studio.settings.port}")


@pytest.fixture
def slow(site: Site) -> Iterator[Painter]:
    """Jobs whose prompt begins with "slow" stand still until `go` is set; at the end of the test all go on."""
    site.painter.go.clear()
    yield site.painter
    site.painter.go.set()


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)  # the machine may be busy with other things
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(site: Site, chromium: object) -> Iterator[object]:
    """Opens the page in a browser profile of its own. Page errors and requests to other hosts fail the test at its end."""
    contexts, troubles = [], []

    def open_page(width: int = 1280, height: int = 900, **options: object) -> object:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[attr-defined]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: troubles.append(f"page error: {error}"))
        page.on("request", lambda request: None if request.url.startswith((site.url, "data:", "blob:")) else troubles.append(f"foreign host: {request.url}"))
        page.goto(site.url)
        page.wait_for_function("window.darkroom && darkroom.views.txt2img && darkroom.values.zoom", timeout=90_000)
        # Gradio fills the fields with what was restored a little later: what is typed before would be lost.
        page.evaluate("() => new Promise((done) => setTimeout(() => requestIdleCallback(done, {timeout: 10000}), 200))")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []

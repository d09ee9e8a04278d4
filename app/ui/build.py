"""The page: tabs in order, and the only place that connects events."""

import json
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from app.extensions import Tab
from app.studio import Studio
from app.ui import assets, checkpoint, fields, gridform
from app.ui.handler import filler, reader, submitter, toasts
from app.ui.look import theme
from app.ui.parts import gallery
from app.ui.tabs import TABS, models
from app.ui.tabs.tab import SEEDS, Panel

log = logging.getLogger(__name__)

EVENTS = 64
"""How many events of all pages may wait; jobs wait elsewhere."""
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(studio: Studio) -> gr.Blocks:
    """The whole page. Mount it with `**page_options(studio)`."""
    panels = [Panel(tab) for tab in TABS]
    galleries: list[gr.HTML] = []
    own = [Tab(panel.tab.title, panel.draw) for panel in panels]
    shelf = models.ModelsPanel()
    tabs = [*own, Tab(models.TITLE, shelf.draw), Tab("Gallery", lambda studio: galleries.append(gallery()))]
    known = {tab.name for tab in tabs}
    for _ in studio.extensions.call("register_tabs", tabs=tabs):
        pass
    ids = {panel.tab.title: panel.tab.task for panel in panels} | {models.TITLE: "models", "Gallery": "gallery"}
    with gr.Blocks(title="Darkroom", analytics_enabled=False, fill_width=True) as page:
        with gr.Tabs(elem_id="tabs") as bar:
            for number, tab in enumerate(tabs):
                name = ids.get(tab.name, f"extension_{number}")
                with gr.Tab(tab.name, id=name, elem_id=f"tab_{name}"):
                    if tab.name in known:
                        tab.render(studio)
                    else:
                        render_guest(tab, studio)
        for panel in panels:
            connect(panel, studio, page)
        connect_sending(panels, galleries, bar, studio)
        lists, listed = connect_refresh(panels, studio, page)
        models.connect(shelf, panels, bar, listed, lists, QUIET)
    page.queue(default_concurrency_limit=None, max_size=EVENTS, api_open=False)
    page._queue.sleep_when_free = 0.02  # seconds; Gradio polls a thousand times a second, which costs 7 % of a core
    page._queue.progress_update_sleep_when_free = 0.2
    return page


def page_options(studio: Studio) -> dict[str, Any]:
    """What `gr.mount_gradio_app` is to be told about the look of the page."""
    return {"theme": theme(), "css": assets.css(), "head": assets.head(studio.settings.theme), "footer_links": ["api", "settings"]}


def render_guest(tab: Tab, studio: Studio) -> None:
    """A tab of an extension; when it fails, the rest of the page does not."""
    try:
        tab.render(studio)
    except Exception as error:  # border: code of an extension
        log.exception("The tab '%s' of an extension failed", tab.name)
        gr.Markdown(f"This tab could not be drawn: `{type(error).__name__}`. The log has the details.")


def connect(panel: Panel, studio: Studio, page: gr.Blocks) -> None:
    """The events within one tab."""
    task, parts, tools = panel.tab.task, panel.parts, panel.tools
    names, components = json.dumps(list(parts)), list(parts.values())
    tools["go"].click(
        submitter(task, studio),
        inputs_kwargs=parts,
        outputs=panel.extras["job"],
        api_name=task,
        js=f"async (...values) => await window.darkroom.beforeSubmit('{task}', {names}, values)",
        show_progress="hidden",
        trigger_mode="multiple",
    )
    tools["stop"].click(None, js=f"() => {{ window.darkroom.stop('{task}'); }}", **QUIET)
    for seed, prefix in SEEDS.items():
        if seed in parts:
            tools[f"{prefix}dice"].click(None, js="() => '-1'", outputs=parts[seed], **QUIET)
            last = f"(seed) => window.darkroom.lastSeed('{task}', '{seed}', seed)"
            tools[f"{prefix}recycle"].click(None, js=last, inputs=parts[seed], outputs=parts[seed], **QUIET)
    if "swap" in tools:
        size = [parts["width"], parts["height"]]
        tools["swap"].click(None, js="(width, height) => [height, width]", inputs=size, outputs=size, **QUIET)
    gridform.connect(parts, tools, task, studio, QUIET)
    if "examples" in panel.extras:
        panel.extras["examples"].pick(None, js=f"() => window.darkroom.picked['{task}']", outputs=parts["prompt"], **QUIET)
    if "parameters" in parts:
        parts["image"].told(None, js=f"() => window.darkroom.told['{task}']", outputs=parts["parameters"], **QUIET)
    if "drop" in panel.extras:
        panel.extras["drop"].parameters(reader(task, studio, parts), outputs=components, **QUIET)
    page.load(None, js=f"(...values) => window.darkroom.restore('{task}', {names}, values)", inputs=components, outputs=components, **QUIET)
    gr.on(
        [component.change for component in components],
        None,
        js=f"(...values) => {{ window.darkroom.remember('{task}', {names}, values); }}",
        inputs=components,
        **QUIET,
    )
    if "brought" in panel.extras:
        checkpoint.connect(panel.tab.kind, parts, panel.extras["brought"], page, QUIET)


def connect_sending(panels: list[Panel], galleries: list[gr.HTML], bar: gr.Tabs, studio: Studio) -> None:
    """The "send to" buttons of all results and of the gallery: one event per target."""
    sources = [panel.extras["job"] for panel in panels] + galleries
    for panel in panels:
        task = panel.tab.task
        outputs = [*panel.parts.values(), bar]
        fill = filler(task, studio, panel.parts)

        def send(event: gr.EventData, request: gr.Request, task: str = task, fill: Callable[..., dict[Any, Any]] = fill) -> dict[Any, Any]:
            return {**fill(event, request), bar: gr.Tabs(selected=task)}

        for source in sources:  # `gr.on` does not know events of our own
            getattr(source, f"send_{task}")(send, outputs=outputs, **QUIET)


def connect_refresh(panels: list[Panel], studio: Studio, page: gr.Blocks) -> tuple[list[Any], Callable[[], list[Any]]]:
    """⟳ looks through the model folders again and updates the pickers of all tabs; a page that opens shows what is known by then.

    Returns all pickers, and what makes them show what is known.
    """
    lists = {panel.parts[name]: fields.list_of(panel.tab.kind, name) for panel in panels for name in fields.PICKERS if name in panel.parts}

    def known() -> list[Any]:
        return [gr.Dropdown(choices=fields.offered(choices, studio, empty)) for choices, empty in lists.values()]

    def refresh() -> list[Any]:
        with toasts():
            studio.shelf.refresh()
            return known()

    page.load(known, outputs=list(lists), **QUIET)
    for panel in panels:
        panel.tools["refresh"].click(refresh, outputs=list(lists), **QUIET)
    return list(lists), known

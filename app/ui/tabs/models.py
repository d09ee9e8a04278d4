"""The tab "Models": everything on the shelf as cards. The cards talk to /v1/models; what they choose or insert goes to all tabs."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.studio import Studio
from app.ui import checkpoint, merging, parts
from app.ui.tabs.tab import PROMPTS, Panel

TITLE = "Models"


class ModelsPanel:
    """The components of the tab, once it is drawn."""

    shelf: gr.HTML

    def draw(self, studio: Studio) -> None:
        """Draw the tab inside an open `gr.Tab`."""
        form = merging.merging_form(studio)
        self.shelf = parts.shelf(checkpoint.labels())
        merging.connect(form, studio, self.shelf)


def connect(models: ModelsPanel, panels: Sequence[Panel], bar: gr.Tabs, known: Callable[[], list[Any]], lists: Sequence[Any], quiet: dict[str, Any]) -> None:
    """What a card does to the other tabs.

    Args:
        known: makes the pickers `lists` show what is on the shelf now.
    """
    layout = [(panel, checkpoint.brought(panel.tab.kind)) for panel in panels]
    told = json.dumps([[panel.tab.task, names] for panel, names in layout if names])
    filled = [panel.parts[name] for panel, names in layout for name in names]
    script = f"async (...values) => await window.darkroom.checkpoints.everywhere({told}, values)"
    models.shelf.choose(None, js=script, inputs=filled, outputs=filled, **quiet)
    places = [(panel, name) for panel in panels for name in PROMPTS if name in panel.parts]
    told = json.dumps([[panel.tab.task, name] for panel, name in places])
    prompts = [panel.parts[name] for panel, name in places]
    models.shelf.insert(None, js=f"(...values) => window.darkroom.prompts.inserted({told}, values)", inputs=prompts, outputs=prompts, **quiet)
    models.shelf.refreshed(known, outputs=list(lists), **quiet)
    models.shelf.show_txt2img(lambda: gr.Tabs(selected="txt2img"), outputs=bar, **quiet)

"""The form that merges checkpoints, drawn from the fields of the request like the tabs. It stands on the tab "Models"."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.api.owner import owner_of
from app.merge_request import MERGE, Merge, parse_merge
from app.studio import Studio
from app.ui import fields, parts
from app.ui.handler import given, toasts

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
ROWS = (("model_a", "model_b", "model_c"), ("method", "multiplier"), ("blocks", "bake_vae"), ("save_as", "keep_ema"), ("name", "overwrite"))
HELP = (
    "Makes a new checkpoint of two or three of one family, in the first folder for checkpoints. An inpainting checkpoint as A, your own as B and what it "
    "was made from as C, added with multiplier 1, make an inpainting version of your own."
)


class MergeForm:
    """The components of the form, by name."""

    def __init__(self, studio: Studio) -> None:
        """Draw the form inside an open block."""
        self.parts: dict[str, Any] = {}
        with gr.Accordion("Merge checkpoints", open=False, elem_id="merge_group", elem_classes="dr-group"):
            gr.Markdown(HELP, elem_classes="dr-hint")
            for row in ROWS:
                with gr.Row(elem_classes="dr-row"):
                    for name in row:
                        self.parts[name] = draw(name, studio)
            with gr.Row(elem_classes="dr-row"):
                self.go = gr.Button("Merge", variant="primary", elem_id="merge_go", scale=4, min_width=120)
                self.stop = gr.Button("Stop", variant="secondary", elem_id="merge_stop", elem_classes="dr-stop", scale=1, min_width=80)
            self.job = parts.merge_view()


def merging_form(studio: Studio) -> MergeForm:
    """Draw the form inside an open block; `connect` makes it work."""
    return MergeForm(studio)


def draw(name: str, studio: Studio) -> Any:
    """The component of one field."""
    field = Merge.model_fields[name]
    if name == "name":
        return gr.Textbox("", max_lines=1, label=field.title, info=field.description, elem_id=f"{MERGE}_{name}")
    made: Any = fields.draw(Merge, name, studio, {"model_a": ""})
    if name == "multiplier":
        made.maximum = 1  # as A1111's; larger ones are for the command line and for programs
    return made


def connect(form: MergeForm, studio: Studio, shelf: gr.HTML) -> None:
    """The events of the form.

    Args:
        shelf: what triggers `refreshed` when the folders were looked through again.
    """
    form.go.click(submitter(studio), inputs_kwargs=form.parts, outputs=form.job, trigger_mode="multiple", **QUIET)
    form.stop.click(None, js=f"() => {{ window.darkroom.stop('{MERGE}'); }}", **QUIET)
    pickers = {name: fields.list_of(Merge, name) for name in form.parts if fields.list_of(Merge, name)[0]}

    def known() -> list[Any]:
        return [gr.Dropdown(choices=fields.offered(choices, studio, empty)) for choices, empty in pickers.values()]

    shelf.refreshed(known, outputs=[form.parts[name] for name in pickers], **QUIET)


def submitter(studio: Studio) -> Callable[..., str]:
    """The handler behind Merge: parses, queues, and answers with the job's id."""

    def submit(request: gr.Request, **values: Any) -> str:
        with toasts():
            return studio.submit(parse_merge({"task": MERGE} | given(values)), owner_of(request)).id

    return submit

"""Gradio components of our own: a container each, brought to life by a script in `window.darkroom`.

They talk to the REST routes directly, so a picture or a progress report never passes through Gradio's queue. They are made
by functions, because Gradio writes a stub file beside the source of every subclass of a component.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.request import TASKS
from app.ui import assets

SEND_EVENTS = tuple(f"send_{task}" for task in TASKS)


def part(name: str, task: str, elem_id: str, events: tuple[str, ...] = (), server: Callable[..., Any] | None = None, **props: Any) -> gr.HTML:
    """A container that `window.darkroom.<name>` fills.

    Args:
        events: names of the events that the script may trigger.
        server: a function that the script may call by its name.
        props: values that the script reads.
    """
    return gr.HTML(
        value=None,
        html_template=f'<div class="dr-{name.lower()}" data-task="{task}"></div>',
        js_on_load=assets.on_load(name, *events),
        apply_default_css=False,
        server_functions=[server] if server else None,
        elem_id=elem_id,
        elem_classes=["dr-host", f"dr-host-{name.lower()}"],
        task=task,
        **props,
    )


def job_view(task: str) -> gr.HTML:
    """Live preview, progress, results and queue of one tab. Value: the id of the job handed in last."""
    return part("jobView", task, f"{task}_job", SEND_EVENTS)


def merge_view() -> gr.HTML:
    """Progress and queue of merges. Value: the id of the job handed in last."""
    return part("mergeView", "merge", "merge_job")


def picture_input(task: str, label: str, elem_id: str, optional: bool, field: str = "image") -> gr.HTML:
    """A picture handed in by drop, paste or file. Value: its id, or "" while there is none. Triggers `told` when its parameters are read.

    What is pasted anywhere on the page goes into the one that is for the field "image".
    """
    return part("pictureInput", task, elem_id, ("told",), label=label, optional=optional, field=field)


def mask_editor(task: str, label: str, elem_id: str) -> gr.HTML:
    """A 2D canvas to paint masks on: mouse, pen and touch, no WebGL. Value: {"image": id, "mask": id or None}, or None."""
    return part("maskEditor", task, elem_id, label=label)


def parameter_drop(task: str) -> gr.HTML:
    """Reads the parameters in a picture that is dropped on it or on the prompt of its tab. Triggers `parameters`."""
    return part("parameterDrop", task, f"{task}_drop", ("parameters",))


def token_counter(task: str, field: str, count: Callable[[dict[str, str]], list[int]]) -> gr.HTML:
    """Tokens of a prompt; the script calls `count` when the typing pauses."""
    return part("tokenCounter", task, f"{task}_{field}_tokens", server=count, field=field)


def prompt_reading(task: str, read: Callable[[dict[str, Any]], dict[str, Any]]) -> gr.HTML:
    """What the model reads of the prompts, on request; the script calls `read` while it is open and the typing pauses."""
    return part("promptReading", task, f"{task}_reading", server=read)


def hires_size(task: str) -> gr.HTML:
    """From which size to which hires fix goes, as the fields stand; the heading of its group says so, too, while it is on."""
    return part("hiresSize", task, f"{task}_hires_size")


def examples(task: str, prompts: tuple[str, ...]) -> gr.HTML:
    """Prompts to begin with. Triggers `pick`."""
    return part("examples", task, f"{task}_examples", ("pick",), prompts=list(prompts))


def checkpoint_note(task: str, fields: list[str], labels: dict[str, str], plain: dict[str, Any]) -> gr.HTML:
    """Tells which fields a checkpoint filled, offers to save their values with it. Triggers `refill`. `plain`: the fields' own values."""
    return part("checkpointNote", task, f"{task}_brought", ("refill",), fields=fields, labels=labels, plain=plain)


def shelf(labels: dict[str, str]) -> gr.HTML:
    """All models as cards. Triggers `choose` and `insert` (into the other tabs), `refreshed`, `show_txt2img`."""
    return part("shelf", "", "shelf", ("choose", "insert", "refreshed", "show_txt2img"), labels=labels)


def gallery() -> gr.HTML:
    """All that was made, newest first."""
    return part("gallery", "", "gallery", SEND_EVENTS)

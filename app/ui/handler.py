"""Between a browser's event and the studio: values by name go in, a sentence or an answer comes out."""

import html
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr

from app import infotext, recall
from app.api.owner import owner_of, sight
from app.errors import BadRequest, StudioError
from app.grids.request import GRID, parse_any
from app.library.read import one_picture
from app.request import MAX_PARAMETERS, TASKS, Request, Txt2Img, parse
from app.studio import Owner, Studio
from app.ui import fields, gridform

log = logging.getLogger(__name__)

PICTURES = ("image", "mask", "depth_map")
LOCAL = {"batch_count", "batch_size"}
"""Shared fields that stay as they are when parameters come from another tab."""


@contextmanager
def toasts() -> Iterator[None]:
    """Turns what goes wrong into one sentence in the corner of the page. Toasts are HTML, hence the escaping."""
    try:
        yield
    except StudioError as error:
        raise gr.Error(html.escape(str(error)), duration=12, print_exception=False) from None
    except Exception as error:  # border: an event of the page; a bug must reach the log, not the visitor
        log.exception("An event of the page failed")
        raise gr.Error("Something went wrong inside Darkroom; its log has the details.", print_exception=False) from error


def submitter(task: str, studio: Studio) -> Callable[..., str]:
    """The handler behind Generate: parses, queues, and answers with the job's id."""

    def submit(request: gr.Request, **values: Any) -> str:
        with toasts():
            return studio.submit(gridform.asked(task, given(values)), owner_of(request)).id

    submit.__name__ = task
    submit.__doc__ = f"Queue a {task} job. Returns its id; GET /v1/jobs/{{id}} tells the rest."
    return submit


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of components as values of a request: what was left empty is left out, the mask editor's pair becomes two."""
    found = dict(values)
    if isinstance(pair := found.get("image"), dict):
        found |= {"image": pair.get("image"), "mask": pair.get("mask")}
    return {name: value for name, value in found.items() if not (value is None or value == "" or (name in ("width", "height") and value == 0))}


def filler(task: str, studio: Studio, parts: Mapping[str, Any]) -> Callable[..., dict[Any, Any]]:
    """The handler behind "send to": the parameters and the picture of a saved output go into the tab of `task`."""

    def fill(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        with toasts():
            values = sent(task, studio, owner_of(request), str(event._data.get("id", "")))
            return {parts[name]: value for name, value in values.items() if name in parts}

    return fill


def sent(task: str, studio: Studio, owner: Owner, picture_id: str) -> dict[str, Any]:
    """Values for the components of a tab, from an output of the library. A video is sent without its picture."""
    saved = studio.library.get(picture_id, sight(owner))
    single = one_picture(saved.path) if saved.kind == "image" else None
    if saved.kind == "image" and not (single or saved.request):
        single = recall.of_picture(saved.path, studio.shelf).request
    values = fitting(task, single or json.loads(saved.request or "{}"))
    if "image" in TASKS[task].model_fields and saved.kind == "image":
        values |= picture_value(task, studio.take_picture(saved.path.read_bytes()))
        values |= {"parameters": saved.infotext[:MAX_PARAMETERS]} if task == "upscale" else {}
    return values


def reader(task: str, studio: Studio, parts: Mapping[str, Any]) -> Callable[..., dict[Any, Any]]:
    """The handler behind a dropped picture and a pasted text: the parameters that were read go into the tab of `task`."""

    def read(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        with toasts():
            text = event._data.get("text")
            values = from_text(task, studio, owner_of(request), text) if isinstance(text, str) else from_picture(task, event._data)
            return {parts[name]: value for name, value in values.items() if name in parts}

    return read


def from_picture(task: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the components of a tab, from what `/v1/pictures` told the page of a picture."""
    values = fitting(task, checked(dict(told.get("request") or {})))
    notes = told.get("notes")
    inform("Parameters read from the picture.", [str(note)[:400] for note in notes[:8]] if isinstance(notes, list) else [])
    return values


def from_text(task: str, studio: Studio, owner: Owner, text: str) -> dict[str, Any]:
    """Values for the components of a tab, from A1111's parameters in a text; where there is no text, from the last picture of that tab."""
    if not text.strip():
        last = studio.library.newest(owner.id, 1, None, task)
        if not last:
            raise BadRequest("The prompt is empty, and nothing was made in this tab yet.", "Paste a text with parameters first.")
        inform("Parameters of the last picture.")
        return {name: value for name, value in sent(task, studio, owner, last[0].id).items() if name not in PICTURES}
    found = recall.of_text(text, task, studio.shelf)
    if not found.request:
        raise BadRequest("There are no parameters in this text.", "They are a line that begins with 'Steps: 20, Sampler: ...', below the prompt.")
    inform("Parameters read from the text.", found.notes)
    return fitting(task, found.request)


def inform(sentence: str, notes: Sequence[str] = ()) -> None:
    """A note in the corner of the page. Toasts are HTML, hence the escaping."""
    gr.Info(html.escape(" ".join([sentence, *notes])), duration=12 if notes else 5)


def checked(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a picture file says, with the kinds and bounds that a request has. Raises BadRequest."""
    if request.get("task") == GRID:
        return parse_any(dict(request)).model_dump()
    kind = TASKS.get(str(request.get("task")), Txt2Img)
    known = {name: value for name, value in request.items() if name in kind.model_fields and name not in PICTURES}
    pictures = {name: "0" * 64 for name in PICTURES if name in kind.model_fields}
    whole = parse({"task": kind.model_fields["task"].default} | pictures | known)
    return {name: getattr(whole, name) for name in ("task", *known)}


def fitting(task: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of a request that the tab of `task` takes over, as values of its components.

    From the same task all but pictures; from another one what all tasks share; from an enlarged picture what
    made the small one; from the sheet of a grid its axes, too. Sizes go where pictures begin from nothing.
    """
    kind = TASKS[task]
    if request.get("task") == GRID:
        return fitting(task, request["base"]) | gridform.shown(request)
    if request.get("task") == "upscale" != task:
        request = infotext.to_request(str(request.get("parameters", "")), task)
    same = request.get("task") == task
    names = set(kind.model_fields if same else Request.model_fields) - {*PICTURES, "task"}
    names -= set() if same else LOCAL
    names |= {"width", "height"} if kind in fields.STARTS_AT_NATIVE_SIZE else set()
    values = {name: request[name] for name in names if name in request}
    return {name: shown(name, value) for name, value in values.items() if value is not None or kind not in fields.STARTS_AT_NATIVE_SIZE}


def shown(name: str, value: Any) -> Any:
    """A request's value as its component takes it: seeds are text, see `fields.draw`; a slider grows with a value beyond its end."""
    if name in fields.AS_TEXT:
        return str(value)
    if name in fields.REACH and value > fields.REACH[name]:
        return gr.update(value=value, maximum=value)
    return list(value) if isinstance(value, tuple) else value


def picture_value(task: str, picture_id: str) -> dict[str, Any]:
    """The picture as the value of a tab's picture component."""
    return {"image": {"image": picture_id, "mask": None} if task == "inpaint" else picture_id}

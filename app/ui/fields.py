"""A field of a request, drawn as a Gradio component. No tab repeats a bound or a label: all of it comes from `app.request`."""

from collections.abc import Mapping
from typing import Any, get_args

import gradio as gr
from gradio.components import Component

from app.errors import StudioError
from app.request import TASKS, Asked, Inpaint, Request, Txt2Img, Zoom
from app.studio import Studio
from app.ui.parts import mask_editor, picture_input


def declared(word: str) -> dict[str, Any]:
    """The fields of all tasks whose declaration (see `app.param.param`) says something under `word`, and what."""
    fields = [(name, field.json_schema_extra) for kind in TASKS.values() for name, field in kind.model_fields.items()]
    return {name: extra[word] for name, extra in fields if isinstance(extra, dict) and extra.get(word)}


PICKERS = tuple(declared("choices"))
"""Fields whose values are picked from a list of the studio's."""
AS_TEXT = frozenset(name for name, widget in declared("widget").items() if widget == "number")
"""Number fields that are drawn as text: numbers in JavaScript are exact to 2^53 only, seeds go to 2^64-1."""
REACH: dict[str, int] = declared("reach")
"""Sliders that end before the upper bound of their field, and where; larger values come with parameters that are pasted or sent."""
STARTS_AT_NATIVE_SIZE: tuple[type[Request], ...] = (Txt2Img, Zoom)


def drawn(task: str) -> set[str]:
    """Names of the request fields that the tab of a task shows."""
    from app.ui.tabs import TABS

    return next(tab.drawn() for tab in TABS if tab.task == task)


def draw(kind: type[Asked], name: str, studio: Studio, start: Mapping[str, Any] | None = None) -> Component:
    """The component for one field. Its elem_id is `<task>_<field>`. `start`: values to begin with instead of the fields' own."""
    field = kind.model_fields[name]
    value = (start or {}).get(name, field.default)
    value = tuple(value) if isinstance(field.default, tuple) else value
    extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    task = kind.model_fields["task"].default
    look: dict[str, Any] = {"label": field.title or name, "elem_id": f"{task}_{name}"}
    if extra["widget"] == "image":
        return mask_editor(task, **look) if kind is Inpaint else picture_input(task, optional=not field.is_required(), field=name, **look)
    look["info"] = field.description or None
    if extra["choices"]:
        return picker(extra["choices"], value, studio, look, extra["empty"])
    if extra["widget"] == "lines":
        lines = 3 if name == "prompt" else 2
        return gr.Textbox(value, lines=lines, max_lines=12, placeholder=look.pop("info"), **look)
    if name in AS_TEXT:
        return gr.Textbox(str(value), max_lines=1, **look)
    if field.annotation is bool:
        return gr.Checkbox(value, **look)
    limits = bounds(kind, name)
    if name in ("width", "height"):
        fresh = kind in STARTS_AT_NATIVE_SIZE
        return size_field(value or (native_size(studio, "") if fresh else None), fresh, extra["step"], limits, look)
    if limits:
        limits["maximum"] = max(value, REACH.get(name, limits["maximum"]))
        return gr.Slider(value=value, step=extra["step"], **limits, **look)
    choices = list(get_args(field.annotation))
    draw_choices = gr.Radio if len(choices) <= 2 or kind is Inpaint else gr.Dropdown
    return draw_choices(choices, value=value, **look)


def bounds(kind: type[Asked], name: str) -> dict[str, Any]:
    """Lower and upper bound of a number field, as sliders call them; empty when it has none."""
    schema = kind.model_json_schema()["properties"][name]
    schema = next((option for option in schema.get("anyOf", []) if "minimum" in option), schema)
    return {key: schema[key] for key in ("minimum", "maximum") if key in schema}


def picker(choices: str, default: Any, studio: Studio, look: dict[str, Any], empty: str = "") -> gr.Dropdown:
    """A list of names asked from the studio. A name that has gone since is kept, so that the studio can say so."""
    names = offered(choices, studio, empty)
    many = isinstance(default, tuple)
    value = list(default) if many else default or (names[0][1] if names else "")
    return gr.Dropdown(names, value=value, multiselect=many, allow_custom_value=True, **look)


def list_of(kind: type[Asked], name: str) -> tuple[str, str]:
    """Name of the list that a picker shows ("samplers", "checkpoints", ...), "" for other fields; and what it calls the empty value."""
    extra = kind.model_fields[name].json_schema_extra
    return (str(extra["choices"]), str(extra["empty"])) if isinstance(extra, dict) else ("", "")


def offered(choices: str, studio: Studio, empty: str = "") -> list[tuple[str, str]]:
    """What a picker shows, as (label, value) pairs; `empty` is what it calls the empty value, "" where there is none."""
    names = [(name, name) for name in studio.choices(choices)]
    return [(empty, ""), *names] if empty else names


def size_field(value: int | None, fresh: bool, step: float, limits: dict[str, Any], look: dict[str, Any]) -> Component:
    """Width or height: the checkpoint's native size where pictures begin from nothing, else empty, which means as the image."""
    words = "native size" if fresh else "as the image"
    return gr.Number(value, precision=0, step=step, placeholder=words, **limits, **(look | {"info": None}))


def native_size(studio: Studio, checkpoint: str) -> int | None:
    """Native side of a checkpoint in pixels; None when there is no such checkpoint."""
    try:
        return studio.shelf.checkpoint(checkpoint).native
    except StudioError:
        return None

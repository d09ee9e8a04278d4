"""The group "X/Y/Z grid" of a tab: what Generate makes many pictures of. Which axes there are comes from `app.grids.axes`."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from app.grids import axes, values
from app.grids.request import BASES, GRID, LETTERS, Grid, parse_any
from app.request import TASKS, AnyTask, Request, parse
from app.studio import Studio
from app.ui import fields

PREFIX = "grid_"
OPTIONS = ("legend", "keep_random", "vary_seeds", "margin")
HINT = '10, 20, 30 · 1-5 · 1-10 (+3) · 1-3 [4] · "a, b"'
HELP = (
    "One picture for each combination of values, and a sheet of them all. Prompt S/R replaces its first value by each; "
    "Prompt matrix makes every choice of the parts of a prompt such as `a house|at night|in winter`, and needs no values."
)


def draw(task: str, parts: dict[str, Any], tools: dict[str, gr.Button]) -> None:
    """Draw the group for tasks that a grid can be made of. Its components join those of the fields, under names with `PREFIX`."""
    if task not in BASES:
        return
    kind = TASKS[task]
    known = axes.axes_of(kind) if issubclass(kind, Request) else {}
    offered = [("Nothing", ""), *((field.label, name) for name, field in known.items())]
    with gr.Accordion("X/Y/Z grid", open=False, elem_id=f"{task}_group_grid", elem_classes="dr-group"):
        gr.Markdown(HELP, elem_classes="dr-hint")
        for letter in LETTERS:
            with gr.Row(elem_classes="dr-row"):
                name, title = f"{PREFIX}{letter}", letter.upper()
                parts[name] = gr.Dropdown(offered, value="", label=f"{title} axis", elem_id=f"{task}_{name}", scale=2)
                look: dict[str, Any] = {"label": f"{title} values", "placeholder": HINT, "elem_id": f"{task}_{name}_values"}
                parts[f"{name}_values"] = gr.Textbox("", lines=1, max_lines=6, scale=3, **look)
                tools[f"{name}_fill"] = tool("📒", f"{task}_{name}_fill")
                if letter != "x":
                    tools[f"{name}_swap"] = tool("⇅", f"{task}_{name}_swap")
        for row in (OPTIONS[:2], OPTIONS[2:]):
            with gr.Row(elem_classes="dr-row"):
                for name in row:
                    parts[PREFIX + name] = option(task, name)


def tool(face: str, elem_id: str) -> gr.Button:
    return gr.Button(face, elem_id=elem_id, elem_classes="dr-tool", min_width=44, scale=0)


def option(task: str, name: str) -> Any:
    """The component of one of the grid's own fields."""
    field = Grid.model_fields[name]
    look: dict[str, Any] = {"label": field.title, "info": field.description, "elem_id": f"{task}_{PREFIX}{name}"}
    if name == "vary_seeds":
        return gr.CheckboxGroup([(letter.upper(), letter) for letter in LETTERS], value=[], **look)
    if name == "margin":
        return gr.Slider(0, 256, 0, step=1, **look)
    return gr.Checkbox(field.default, **look)


def connect(panel_parts: Mapping[str, Any], tools: Mapping[str, gr.Button], task: str, studio: Studio, quiet: Mapping[str, Any]) -> None:
    """The events of the group: fill in what there is to choose from, change places with the axis above."""
    for letter, above in zip(LETTERS, ("", *LETTERS), strict=False):
        name = PREFIX + letter
        if name not in panel_parts:
            continue
        own = [panel_parts[name], panel_parts[f"{name}_values"]]
        tools[f"{name}_fill"].click(filler(task, studio), inputs=own, outputs=own[1], **quiet)
        if above:
            both = [*own, panel_parts[PREFIX + above], panel_parts[f"{PREFIX}{above}_values"]]
            tools[f"{name}_swap"].click(None, js="(a, b, c, d) => [c, d, a, b]", inputs=both, outputs=both, **quiet)


def filler(task: str, studio: Studio) -> Callable[[str, str], str]:
    """What 📒 writes: all names of a list; for numbers a range of five over their bounds."""
    kind: Any = TASKS[task]

    def fill(name: str, text: str) -> str:
        field = axes.axes_of(kind).get(name)
        if field is None or field.kind in ("text", "special"):
            return text
        if field.kind in ("names", "list"):
            return values.join((["None"] if field.optional else []) + studio.choices(field.choices[0]))
        if field.kind in ("choice", "truth"):
            return values.join(field.choices)
        limits = fields.bounds(kind, name)
        if name in fields.AS_TEXT or not limits:
            return text
        return f"{values.told(limits['minimum'])}-{values.told(fields.REACH.get(name, limits['maximum']))} [5]"

    return fill


def asked(task: str, given: Mapping[str, Any]) -> AnyTask | Grid:
    """The request that the components of a tab describe: with an axis a grid, otherwise the task alone. Raises BadRequest."""
    base = {"task": task} | {name: value for name, value in given.items() if not name.startswith(PREFIX)}
    own = {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX)}
    chosen = {letter: {"field": own[letter], "values": own.get(f"{letter}_values", "")} for letter in LETTERS if own.get(letter)}
    if not chosen:
        return parse(base)
    return parse_any({"task": GRID, "base": base} | chosen | {name: own[name] for name in OPTIONS if name in own})


def shown(request: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the components of the group, from a grid as a dictionary."""
    found: dict[str, Any] = {}
    for letter in LETTERS:
        axis = request.get(letter) or {}
        found |= {f"{PREFIX}{letter}": axis.get("field", ""), f"{PREFIX}{letter}_values": axis.get("values", "")}
    return found | {f"{PREFIX}{name}": list(value) if isinstance(value := request[name], tuple) else value for name in OPTIONS if name in request}

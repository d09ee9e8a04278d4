"""What a checkpoint brings along, in the tabs: the line under their checkpoint, its events, and what a new page begins with."""

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from app.cards import DEFAULTS
from app.engine.checkpoints.defaults import defaults_of
from app.errors import StudioError
from app.movein.first_values import first_values
from app.request import TASKS, Asked
from app.studio import Studio
from app.ui import fields, parts

SIZES = ("width", "height")


def brought(kind: type[Asked]) -> list[str]:
    """Names of the fields that a checkpoint can fill in the tab of a task, itself first; [] for a task without one."""
    known = kind.model_fields
    if "checkpoint" not in known:
        return []
    sized = kind in fields.STARTS_AT_NATIVE_SIZE
    return ["checkpoint", *(name for name in DEFAULTS if name in known and (sized or name not in SIZES))]


def labels() -> dict[str, str]:
    """What the page calls the fields."""
    titles = {name: field.title or name for kind in TASKS.values() for name, field in kind.model_fields.items()}
    return {name: titles[name] for name in DEFAULTS if name in titles}


def start(studio: Studio, kind: type[Asked]) -> dict[str, Any]:
    """What a form begins with: what an installation that was moved in says, and what its checkpoint, or the first one, brings along.

    A size that was moved in stays, and goes before the checkpoint's native one; few-step settings of a checkpoint go before all but
    what the user saved with it.
    """
    found = moved_in(studio, kind)
    try:
        file = studio.shelf.checkpoint(str(found.get("checkpoint", "")))
    except StudioError:
        return found
    suits, saved = defaults_of(file), studio.cards.get(file.kind, file.name).defaults
    brings = {name: value for name, value in suits.items() if name not in SIZES or not any(size in found for size in SIZES)} | saved
    return found | {name: brings[name] for name in brought(kind) if name in brings}


def moved_in(studio: Studio, kind: type[Asked]) -> dict[str, Any]:
    """First values from an installation that is used in place; {} without one."""
    task = kind.model_fields["task"].default
    return first_values(task, studio.shelf, studio.styles.names()) if studio.settings.defaults.get(task) else {}


def plain(studio: Studio, kind: type[Asked]) -> dict[str, Any]:
    """What the fields hold that no checkpoint filled. Sizes have no such value, but for those moved in: each checkpoint brings its own."""
    own = {name: kind.model_fields[name].default for name in brought(kind) if name not in ("checkpoint", *SIZES)}
    return own | {name: value for name, value in moved_in(studio, kind).items() if name in brought(kind) and name != "checkpoint"}


def draw(studio: Studio, kind: type[Asked]) -> gr.HTML:
    """The line under the checkpoint."""
    return parts.checkpoint_note(kind.model_fields["task"].default, brought(kind), labels(), plain(studio, kind))


def connect(kind: type[Asked], panel_parts: Mapping[str, Any], note: gr.HTML, page: gr.Blocks, quiet: Mapping[str, Any]) -> None:
    """The events of one tab: a checkpoint is chosen, its settings are taken back or a LoRA's are set, a page opens that remembers nothing."""
    task, names = kind.model_fields["task"].default, brought(kind)
    components, known = [panel_parts[name] for name in names], json.dumps(names)

    def script(call: str, more: str = "") -> str:
        return f"async (...values) => await window.darkroom.checkpoints.{call}('{task}', {known}, values{more})"

    both: dict[str, Any] = {"inputs": components, "outputs": components}
    panel_parts["checkpoint"].input(None, js=script("chosen"), **both, **quiet)
    note.refill(None, js=script("refill"), **both, **quiet)
    page.load(None, js=script("first", f", {json.dumps(note.props['plain'])}"), **both, **quiet)

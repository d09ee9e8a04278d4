"""How something was made, as a request that can be made here: of a picture file or of a pasted text, ours or another program's.

Names of samplers, schedules and model files are looked up here; what this house does not have is named and left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app import infotext
from app.engine.checkpoints.find import PLUS, Shelf
from app.engine.samplers import resolve_pair, resolve_sampler
from app.engine.schedules import resolve_schedule
from app.engine.upscalers import find_hires_upscaler
from app.errors import StudioError
from app.foreign import find
from app.infotext import Filled
from app.library.read import CHUNK, Source, chunk_of, chunks
from app.request import TASKS, AnyTask


@dataclass(frozen=True)
class Recalled:
    """What was found.

    Attributes:
        request: fields of a request with its "task"; None when nothing is said. Ours as it was asked for, others' within our bounds.
        infotext: A1111's text, "" when there is none.
        program: who wrote it: "Darkroom", "A1111" (and whoever writes its text), "ComfyUI" ...; "" for nobody.
        notes: what could not be taken over, one sentence each.
    """

    request: dict[str, Any] | None = None
    infotext: str = ""
    program: str = ""
    notes: tuple[str, ...] = ()


def of_picture(source: Source, shelf: Shelf | None = None) -> Recalled:
    """How a picture file was made. Unreadable files say nothing.

    Args:
        shelf: where checkpoints and VAEs are looked up; None: their names stay as they were written.
    """
    texts = chunks(source)
    text = texts.get("parameters", "")
    ours = chunk_of(texts.get(CHUNK, "")).get("request")
    if isinstance(ours, dict):
        return Recalled(ours, text, "Darkroom")
    if text and (found := of_text(text, "", shelf)).request:
        return found
    if theirs := find.read(texts):
        program, (fields, notes) = theirs
        filled = infotext.fitted(str(fields.get("task", "txt2img")), fields)
        values, more = known(filled, shelf)
        return Recalled(values if len(values) > 1 else None, "", program, (*notes, *filled.notes, *more))
    if text and not text.lstrip().startswith("{"):
        return Recalled(infotext.to_request(text), text, "A1111")
    return Recalled(None, text)


def of_text(text: str, task: str = "", shelf: Shelf | None = None) -> Recalled:
    """What a pasted A1111 text asks for; nothing when it is a prompt alone.

    Args:
        task: whose fields are filled; "": the one that the text is of.
    """
    filled = infotext.fill(text, task or infotext.guess_task(text))
    if not filled.fields:
        return Recalled(None, text)
    values, more = known(filled, shelf)
    return Recalled(values, text, "A1111", (*filled.notes, *more))


def known(filled: Filled, shelf: Shelf | None) -> tuple[dict[str, Any], list[str]]:
    """The values with names that this house knows, and a sentence for each name that it does not and that is left out."""
    values, notes = dict(filled.values), []
    kind = TASKS[values["task"]]
    digest = filled.fields.get("Model hash", "")
    if digest and shelf and "checkpoint" not in values and "checkpoint" in kind.model_fields:
        values["checkpoint"] = digest  # A1111 wrote the hash alone before it wrote the name
    for name, value in list(values.items()):
        try:
            if name == "sampler":
                values |= dict(zip(("sampler", "schedule"), pair_of(value, values.get("schedule")), strict=True))
            elif name == "checkpoint" and shelf and value:
                values[name] = checkpoint_of(shelf, value, digest)
            elif name != "task" and value != kind.model_fields[name].default and (look := lookups(shelf).get(choices_of(kind, name))):
                values[name] = look(value)
        except StudioError as error:
            notes.append(f"{error.message} {label(kind, name)} stays as it is.")
            del values[name]
    return values, notes


def lookups(shelf: Shelf | None) -> dict[str, Callable[[str], str]]:
    """List of choices -> what makes a name one that is on it; each raises UnknownName."""
    found: dict[str, Callable[[str], str]] = {"samplers": lambda name: resolve_sampler(name)[0], "schedules": resolve_schedule}
    if shelf:
        found |= {
            "checkpoints": lambda name: shelf.checkpoint(name).name,
            "vaes": lambda name: shelf.find("vae", name).name,
            "text_encoders": lambda name: PLUS.join(file.name for file in shelf.texts(name)),
            "hires_upscalers": lambda name: find_hires_upscaler(shelf.settings, name),
        }
    return found


def choices_of(kind: type[AnyTask], name: str) -> str:
    """Name of the list that a field's value is on, "" for other fields."""
    extra = kind.model_fields[name].json_schema_extra
    return str(extra.get("choices", "")) if isinstance(extra, dict) else ""


def pair_of(sampler: str, schedule: Any) -> tuple[str, str]:
    """Sampler and schedule; a schedule that is not known does not take the sampler along. Raises UnknownName."""
    try:
        return resolve_pair(sampler, schedule or "Automatic")
    except StudioError:
        return resolve_pair(sampler, "Automatic")


def checkpoint_of(shelf: Shelf, name: str, digest: str) -> str:
    """The name here of a checkpoint that others call `name`: its hash tells, where it is known. Raises UnknownName, BadCheckpoint."""
    if digest:
        try:
            return shelf.checkpoint(digest).name
        except StudioError:
            pass
    return shelf.checkpoint(name).name


def label(kind: type[AnyTask], name: str) -> str:
    """A field as a form calls it."""
    return str(kind.model_fields[name].title or name)

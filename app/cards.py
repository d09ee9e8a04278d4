"""What the user says of a model: notes, favourite, trigger words of their own, and the settings that a checkpoint brings along.

Cards go by kind and name of a model, not by its hash, so that they outlive a new version of the file. They lie as JSON in one
file that a person can read and mend: {"version": 1, "cards": {"checkpoint/anime/mix": {"notes": "...", "favourite": true}}}.
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.errors import BadRequest, DiskTrouble
from app.param import plain_text
from app.request import Txt2Img, parse

DEFAULTS = (
    "width", "height", "sampler", "schedule", "steps", "cfg_scale", "cfg_rescale", "clip_skip", "vae", "text_encoder", "negative_prompt",
)  # fmt: skip
"""Request fields that a checkpoint can bring along, in the order in which a page tells them."""
MAX_NOTES = 20_000
MAX_TRIGGERS, MAX_TRIGGER = 32, 200
VERSION = 1

_log = logging.getLogger(__name__)


class Card(BaseModel):
    """What was said of one model. Frozen; unknown names are errors.

    Attributes:
        triggers: the words that call for it; empty: those that the file and its neighbours name.
        weight: the weight of a LoRA that is put into a prompt; 0: what its neighbours name, or 1.
        defaults: request fields by name, see `DEFAULTS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    notes: str = Field("", title="Notes", max_length=MAX_NOTES)
    favourite: bool = Field(False, title="Favourite", strict=True)
    triggers: tuple[str, ...] = Field((), title="Trigger words", max_length=MAX_TRIGGERS)
    weight: float = Field(0.0, title="Weight", ge=-10, le=10)
    defaults: dict[str, Any] = Field(default_factory=dict, title="Defaults")

    @field_validator("notes")
    @classmethod
    def _plain(cls, text: str) -> str:
        return plain_text(text).strip()

    @field_validator("triggers")
    @classmethod
    def _words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        """One line each, without what is empty or said twice."""
        lines = [" ".join(plain_text(word).split()) for word in words]
        if any(len(line) > MAX_TRIGGER for line in lines):
            raise ValueError(f"a word has more than {MAX_TRIGGER} characters")
        return tuple(dict.fromkeys(line for line in lines if line))

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The card with other values for some of its fields. Raises BadRequest with one sentence."""
        if isinstance(given := changes.get("defaults"), Mapping):
            changes = {**changes, "defaults": checked(given)}
        try:
            return self.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise BadRequest(explain(error)) from None


EMPTY = Card.model_validate({})


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those defaults that are not None, within the bounds that a request has. Raises BadRequest."""
    if foreign := [str(name)[:60] for name in values if name not in DEFAULTS]:
        raise BadRequest(f"A checkpoint cannot bring along '{foreign[0]}'; it can bring {', '.join(DEFAULTS)}.")
    given = {name: value for name, value in values.items() if value is not None and name in Txt2Img.model_fields}
    request = parse({"task": "txt2img"} | given)
    return {name: getattr(request, name) for name in DEFAULTS if name in given}


def explain(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong with a card."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "card"
    if first["type"] == "extra_forbidden":
        return f"A model has no '{name[:60]}'; it has {', '.join(Card.model_fields)}."
    value = repr(first.get("input"))
    value = value if len(value) <= 60 else value[:57] + "..."
    title = Card.model_fields[name].title if name in Card.model_fields else name
    return f"{title} ({name}) is {value}, which cannot be: {first['msg'].removeprefix('Value error, ').lower()}."


class Cards:
    """All cards, in one file. Safe to use from several threads; what was changed in the file by hand is seen.

    A file that cannot be read is put aside at the next change, never thrown away; a row that this version does not understand
    stays in it as it is until that card is changed.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        self._lock = Lock()
        self._stamp: tuple[int, int] | None = None
        self._damaged = False
        self._rows: dict[str, Any] = {}
        self._cards: dict[str, Card] = {}

    def get(self, kind: str, name: str) -> Card:
        """The card of a model; an empty one when nothing was said of it."""
        with self._lock:
            self._read()
            return self._cards.get(_key(kind, name), EMPTY)

    def change(self, kind: str, name: str, changes: Mapping[str, Any]) -> Card:
        """Change some fields of a card. Raises BadRequest (nothing is changed then), DiskTrouble."""
        key = _key(kind, name)
        with self._lock:
            self._read()
            card = self._cards.get(key, EMPTY).changed(changes)
            rows = {other: row for other, row in self._rows.items() if other != key}
            if row := card.model_dump(mode="json", exclude_defaults=True):
                rows[key] = row
            self._write(rows)
            self._read()
        return card

    def _read(self) -> None:
        """Look at the file again when it is not the one that was read last."""
        try:
            stat = self._table.stat()
            stamp = stat.st_size, stat.st_mtime_ns
            if stamp == self._stamp:
                return
            found = json.loads(self._table.read_text("utf-8"))
            rows = found["cards"]
            if found["version"] != VERSION or not isinstance(rows, dict):
                raise ValueError("it is of another version")
        except FileNotFoundError:
            stamp, rows, self._damaged = None, {}, False
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            _log.warning("the cards of the models in %s cannot be read: %s", self._table.name, str(error)[:120])
            stamp, rows, self._damaged = self._stamp_now(), {}, True
        else:
            self._damaged = False
        self._stamp, self._rows = stamp, rows
        self._cards = {key: card for key, row in rows.items() if (card := _card(row)) is not None}

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            stat = self._table.stat()
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns

    def _write(self, rows: dict[str, Any]) -> None:
        text = json.dumps({"version": VERSION, "cards": rows}, ensure_ascii=False, indent=1, sort_keys=True)
        part = self._table.with_name(f"{self._table.name}.{os.getpid()}.part")
        try:
            self._table.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if self._damaged and self._table.exists():
                self._table.replace(self._table.with_name(f"{self._table.stem}.unreadable-{time.time_ns()}.json"))
            part.replace(self._table)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            reason = error.strerror or str(error)
            raise DiskTrouble(f"What you said of the model could not be saved: {reason}.", "Is the outputs folder full or read-only?") from None


def _key(kind: str, name: str) -> str:
    """As text that can be written: names of files may hold bytes that no text has."""
    return f"{kind}/{name}".encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _card(row: Any) -> Card | None:
    """A card from its row, or None when it is not one of this version."""
    try:
        return Card.model_validate(row)
    except ValidationError:
        return None

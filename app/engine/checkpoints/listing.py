"""What was found out about each model file, remembered across starts, so that a large shelf is not read again.

One JSON file. It is safe to lose and safe to spoil: what it does not say, or says of a file that changed since, is read from the
model's header again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.sidecars import Sidecar
from app.engine.families import FAMILIES

WORTH = 100
"""Fewer files than this are read faster than they are remembered."""
TELLERS = (
    "describe", "folders", "header", "kinds", "listing", "pickle_machine", "pickles", "pictured", "problems", "recognise", "scan", "sidecars", "sniff",
    "table", "traits",
)  # fmt: skip
"""The modules beside this one that say what a file is."""
PATHS = ("preview", "base", "config")
Stamps = tuple[Any, ...]


class Listing:
    """Key of a file -> (stamps of all that it was told from, what it is). Used by one thread at a time."""

    def __init__(self, table: Path, hashes: Hashes) -> None:
        self._table, self._hashes = table, hashes
        self._known: dict[str, tuple[Stamps, ModelFile]] = {}
        self._stored: dict[str, Any] = {}
        self._written: set[str] = set()
        self._signature = ""

    def get(self, key: str, stamps: Stamps) -> ModelFile | None:
        """What is known of a file in this state; None when nothing is."""
        if key in self._known:
            known, file = self._known[key]
            return file if known == stamps else None
        row = self._stored.get(key)
        if not isinstance(row, list) or len(row) != 2 or row[0] != plain(stamps):
            return None
        restored = self._restored(row[1])
        if restored is not None:
            self._known[key] = stamps, restored
        return restored

    def put(self, key: str, stamps: Stamps, file: ModelFile) -> None:
        self._known[key] = stamps, file

    def keep(self, keys: set[str], changed: bool) -> None:
        """After a look through all folders: forgets the files that are gone, and writes the rest down if something changed."""
        self._known = {key: row for key, row in self._known.items() if key in keys}
        self._stored = {}
        if len(keys) >= WORTH and (changed or keys != self._written):
            self._written = keys
            rows = {key: [plain(stamps), _record(file)] for key, (stamps, file) in self._known.items()}
            self._write({"signature": self._signature, "rows": rows})

    def begin(self, signature: str) -> None:
        """Before a look through all folders: what was told under another signature is void."""
        if signature != self._signature:
            self._known, self._signature = {}, signature
            self._stored = self._read(signature)
            self._written = set(self._stored)

    def _read(self, signature: str) -> dict[str, Any]:
        try:
            found = json.loads(self._table.read_bytes())
            rows = found["rows"] if found["signature"] == signature else {}
            return rows if isinstance(rows, dict) else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}

    def _restored(self, record: Any) -> ModelFile | None:
        if not isinstance(record, dict):
            return None
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
        try:
            values |= {name: Path(values[name]) for name in PATHS if values[name] is not None}
            values |= {"path": Path(values["path"]), "weights": tuple(map(Path, values["weights"])), "sidecar": Sidecar(**values["sidecar"])}
            whole = all(type(values[name]) is kind for name, kind in _KINDS.items())
            return ModelFile(**values, hashes=self._hashes) if whole else None
        except (KeyError, TypeError):
            return None

    def _write(self, record: dict[str, Any]) -> None:
        part = self._table.with_name(f"{self._table.name}.{os.getpid()}.part")
        try:
            self._table.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(record, separators=(",", ":")), "utf-8")
            part.replace(self._table)
        except OSError:
            part.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Tuples as the lists that JSON makes of them."""
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


_FIELDS = tuple(field.name for field in fields(ModelFile) if field.name != "hashes")
_KINDS = {name: type(value) for name, value in vars(ModelFile("", Path(), "", "", "", 0, 0)).items() if type(value) in (str, int, bool, tuple)}


def _record(file: ModelFile) -> dict[str, Any]:
    found = {name: getattr(file, name) for name in _FIELDS}
    found |= {name: None if found[name] is None else str(found[name]) for name in PATHS}
    return found | {"path": str(file.path), "weights": [str(path) for path in file.weights], "sidecar": dict(vars(file.sidecar))}


def signature(more: Mapping[str, Any]) -> str:
    """What all rows depend on beside the files: the code that told them, the families that run, and `more`."""
    told = [Path(__file__).with_name(f"{name}.py") for name in TELLERS]
    for row in FAMILIES.values():
        code = getattr(row.recognise, "__code__", None)
        told += [Path(code.co_filename)] if code else []
    seen = []
    for path in sorted(told):
        try:
            stat = path.stat()
            seen.append((path.name, stat.st_size, stat.st_mtime_ns))
        except OSError:
            seen.append((path.name, 0, 0))
    return json.dumps([seen, sorted(FAMILIES), dict(more)], default=str)


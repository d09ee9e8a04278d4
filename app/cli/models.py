"""`python -m app models`: what each model file is, from its header alone; with names, a page about each."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app import flags
from app.cli.shelf import open_shelf
from app.engine.checkpoints.defaults import defaults_of
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.fits import those_that_fit
from app.engine.checkpoints.hashes import data_begin, old_hash
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.recognise import INSPECT_FOLDER, inspect_file, is_model_folder
from app.engine.families import FAMILIES, group_of
from app.errors import UnknownName

PROG = "python -m app"
KINDS = ("checkpoint", "vae", "text encoder", "lora", "embedding")
SHOWN = 12
"""Names of fitting files on a page; the JSON has all."""


def models(argv: Sequence[str]) -> int:
    """List the model files, or tell all about those that are named."""
    parser = flags.Parser(prog=f"{PROG} models", description="Model files that Darkroom sees, and what each of them is.")
    parser.add_argument("names", nargs="*", help="tell all about these: names, hashes, or paths of files anywhere")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--hashes", action="store_true", help="compute the hashes that are not known yet; this reads the files")
    flags.add_to(parser)
    given = parser.values(argv)
    settings = flags.settings_of(given)
    shelf = open_shelf(settings)
    names = given.get("names") or []
    files = [_named(shelf, name) for name in names] or shelf.everything()
    if given.get("hashes") or names:
        _compute(shelf, files)
    if given.get("json"):
        sys.stdout.write(json.dumps([about(file, shelf) for file in files], ensure_ascii=False, indent=2) + "\n")
    elif names:
        sys.stdout.write("\n".join(line for file in files for line in (*_page(file, shelf), "")))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _table(files))
    return 0


def _named(shelf: Shelf, name: str) -> ModelFile:
    path = Path(name)
    if path.exists():
        known = next((file for file in shelf.everything() if file.path == path.resolve() or file.path == path), None)
        kind = is_model_folder(path) if path.is_dir() else ""
        bases, pickles = shelf.settings.root / "models" / "embedded", shelf.settings.allow_pickles
        if known or kind or path.is_file():
            return known or (
                INSPECT_FOLDER[kind](path, path.name, shelf.hashes, pickles=pickles)
                if kind
                else inspect_file(path, path.stem, "unknown", shelf.hashes, bases, pickles=pickles)
            )
    for kind in KINDS:
        try:
            return shelf.find(kind, name)
        except UnknownName:
            continue
    raise UnknownName("model file", name, [file.name for file in shelf.everything()])


def _compute(shelf: Shelf, files: Sequence[ModelFile]) -> None:
    for file in files:
        if file.problem or not file.weights:
            continue
        file.short_hash()
        if file.kind == "lora" and not file.network:
            _network(file, compute=True)


def _network(file: ModelFile, *, compute: bool = False) -> str:
    """The 12 digits of "Lora hashes", "" while they are not known."""
    if file.kind != "lora" or file.hashes is None or file.network:
        return file.network[:12] if file.kind == "lora" else ""
    try:
        begin = data_begin(file.weights[0])
        return (file.hashes.sha256 if compute else file.hashes.known)(file.weights[0], begin)[:12]
    except (OSError, IndexError):
        return ""


def about(file: ModelFile, shelf: Shelf) -> dict[str, Any]:
    """All that is known of a file, for the JSON."""
    return {
        "kind": file.kind, "name": file.name, "family": file.family, "group": group_of(file.family), "variant": file.variant,
        "prediction": predicts(file), "zero_snr": file.zero_snr, "inputs": file.inputs, "precision": file.precision, "size": file.size,
        "native": file.native, "hash": file.known_hash(), "autov2": file.known_hash().upper(), "old_hash": old_hash(file.weights[0]) if file.weights else "",
        "network_hash": _network(file), "label": file.label, "description": file.description, "triggers": list(file.triggers),
        "notes": file.sidecar.notes, "negative": file.sidecar.negative, "weight": file.sidecar.weight, "made_for": file.sidecar.version,
        "preview": str(file.preview or ""), "config": str(file.config or ""), "missing": list(file.missing), "defaults": defaults_of(file),
        "fits": {kind: [one.name for one in found] for kind, found in _fitting(file, shelf) if found}, "path": str(file.path), "problem": file.problem,
    }  # fmt: skip


def predicts(file: ModelFile) -> str:
    """What the UNet of a checkpoint predicts; where nothing tells, what its family usually does."""
    return file.prediction or ("epsilon" if file.kind == "checkpoint" and file.family in FAMILIES and group_of(file.family) != "sd2" else "")


def _fitting(file: ModelFile, shelf: Shelf) -> Iterator[tuple[str, list[ModelFile]]]:
    """What goes with a checkpoint, by kind; of other files, the checkpoints that they go with."""
    if file.kind == "checkpoint":
        for kind in KINDS[1:]:
            if kind != "text encoder" or kind in file.missing:
                yield kind, those_that_fit(file, shelf.of_kind(kind))
    elif file.kind in KINDS:
        yield "checkpoint", [one for one in shelf.checkpoints() if those_that_fit(one, (file,))]


def _table(files: Sequence[ModelFile]) -> Iterator[str]:
    if not files:
        yield "There are no model files yet; models/README.md says where they go."
    rows = [
        (file.kind, file.name, _family(file), predicts(file) or "-", file.precision or "-", file.known_hash() or "-", _size(file), _remark(file))
        for file in files
    ]
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(7)]
    for row in rows:
        cells = [cell.rjust(width) if place == 6 else cell.ljust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=False))]
        yield "  ".join([*cells, row[7]]).rstrip()


def _family(file: ModelFile) -> str:
    return f"{file.family} {file.variant}".rstrip()


def _size(file: ModelFile) -> str:
    return f"{file.size / 2**20:.1f} MB"


def _remark(file: ModelFile) -> str:
    return file.problem or (f"without {' and '.join(file.missing)}" if file.missing else "")


def _page(file: ModelFile, shelf: Shelf) -> Iterator[str]:
    """Everything about one file, a line for each thing that is known."""
    told = about(file, shelf)
    suits = ", ".join(f"{name} {value}" for name, value in told["defaults"].items())
    row = FAMILIES.get(file.family)
    lines = [
        ("kind", file.kind), ("family", f"{row.label if row else file.family}{f', distilled ({file.variant})' if file.variant else ''}"),
        ("predicts", predicts(file) + (", down to pure noise (zero terminal SNR)" if file.zero_snr else "")),
        ("input channels", str(file.inputs or "")), ("precision", file.precision), ("size", _size(file)),
        ("native size", f"{file.native} x {file.native}" if file.kind == "checkpoint" else ""), ("hash (AutoV2)", told["hash"]),
        ("old hash", told["old_hash"]), ("LoRA hash", told["network_hash"]), ("calls itself", file.label), ("trigger words", ", ".join(file.triggers)),
        ("made for", file.sidecar.version), ("weight", f"{file.sidecar.weight:g}" if file.sidecar.weight else ""), ("notes", file.sidecar.notes),
        ("preview", told["preview"]), ("config", told["config"]), ("suits it", suits), ("problem", file.problem), ("misses", " and ".join(file.missing)),
    ]  # fmt: skip
    yield f"{file.name}  ({file.path})"
    yield from (f"  {name:<18} {' '.join(value.split())}" for name, value in lines if value)
    for kind, found in told["fits"].items():
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        yield f"  {f'fits ({kind})':<18} {', '.join(found[:SHOWN])}{more}"
    for part in file.missing:
        if not told["fits"].get(part.lower()):
            yield f"  There is no {part} on the disk that fits it."

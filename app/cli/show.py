"""`python -m app info` and `python -m app models`: nothing is made, no journal is opened."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import flags, recall
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.families import FAMILIES
from app.errors import BadPicture
from app.extensions import Extensions
from app.library import read

PROG = "python -m app"


def info(argv: Sequence[str]) -> int:
    """Print the request that a picture holds, as JSON (`--text`: its infotext). Raises BadPicture when it holds none."""
    parser = flags.Parser(prog=f"{PROG} info", description="The request that a picture holds, as JSON.")
    parser.add_argument("picture", help="a PNG, JPEG or WebP file, ours, A1111's, ComfyUI's or another program's")
    parser.add_argument("--text", action="store_true", help="the parameters as text, in A1111's format")
    given = parser.values(argv)
    path = Path(given["picture"])
    if not path.is_file():
        raise BadPicture(f"There is no file '{path}'.")
    found = recall.of_picture(path)
    request, text = _beside(path) or (found.request, found.infotext)
    if given.get("text") and text:
        sys.stdout.write(f"{text}\n")
    elif not given.get("text") and request:
        sys.stderr.writelines(f"{note}\n" for note in found.notes)
        sys.stdout.write(json.dumps(request, ensure_ascii=False, indent=2) + "\n")
    else:
        raise BadPicture(f"'{path.name}' holds no parameters.", "Programs that strip metadata remove them.")
    return 0


def _beside(path: Path) -> tuple[dict[str, Any], str] | None:
    """What the JSON file beside a video of ours says; None when there is none."""
    side = path.with_suffix(".json")
    try:
        found = read.chunk_of(side.read_text(encoding="utf-8")) if path.suffix in (".webp", ".mp4") else {}
    except (OSError, UnicodeDecodeError):
        return None
    return (found["request"], str(found.get("infotext", ""))) if isinstance(found.get("request"), dict) else None


def models(argv: Sequence[str]) -> int:
    """List checkpoints, VAEs, LoRAs and embeddings with family and hash, or why they cannot be used."""
    parser = flags.Parser(prog=f"{PROG} models", description="Model files that Darkroom sees; the first checkpoint is the default one.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    flags.add_to(parser)
    given = parser.values(argv)
    settings = flags.settings_of(given)
    extensions = Extensions()
    extensions.load(settings.extension_dir)
    for _ in extensions.call("register_families", families=FAMILIES):
        pass
    shelf = Shelf(settings)
    files = [*shelf.checkpoints(), *shelf.vaes(), *shelf.loras(), *shelf.embeddings()]
    rows = [_row(file) for file in files]
    if given.get("json"):
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return 0
    if not rows:
        sys.stdout.write("There are no model files yet; models/README.md says where they go.\n")
    widths = {key: max((len(row[key]) for row in rows), default=0) for key in ("kind", "name", "family", "hash")}
    for row in rows:
        cells = "  ".join(row[key].ljust(width) for key, width in widths.items())
        sys.stdout.write(f"{cells}  {row['size'] / 2**20:8.1f} MB  {row['problem']}".rstrip() + "\n")
    return 0


def _row(file: ModelFile) -> dict[str, Any]:
    try:
        short_hash = "" if file.problem else file.short_hash()
    except OSError:
        short_hash = ""
    return {
        "kind": file.kind,
        "name": file.name,
        "family": file.family,
        "hash": short_hash,
        "size": file.size,
        "precision": file.precision,
        "label": file.label,
        "triggers": list(file.triggers),
        "preview": str(file.preview or ""),
        "native": file.native,
        "path": str(file.path),
        "problem": file.problem,
    }

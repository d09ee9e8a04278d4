"""`python -m app info`: nothing is made, no journal is opened."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import flags, recall
from app.errors import BadPicture
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

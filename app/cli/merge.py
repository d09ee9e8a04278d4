"""`python -m app merge A B [C] --multiplier 0.3 --out NAME`: a checkpoint made of others, without a page and without a journal."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from app import flags
from app.cli import fields
from app.cli.shelf import open_shelf
from app.errors import BadSettings
from app.jobs.live import Live
from app.merge_job import MergeJobs
from app.merge_request import MERGE, Merge, parse_merge
from app.work import Progress

POSITIONS = ("model_a", "model_b", "model_c")
FLAGS = {"multiplier": "M", "method": "METHOD", "blocks": "LIST", "bake_vae": "NAME", "save_as": "PRECISION", "name": "NAME"}
SPELT = {"bake_vae": "--vae", "save_as": "--save-as", "name": "--out"}
SWITCHES = ("keep_ema", "overwrite")


def merge(argv: Sequence[str]) -> int:
    """Make one file and say where it is. Ctrl+C stops it and leaves nothing behind. Raises StudioError."""
    given = parser().values(argv)
    positions = given.get("checkpoints", [])
    if not 1 <= len(positions) <= len(POSITIONS):
        raise BadSettings(f"merge was given {len(positions)} checkpoints, but it takes two, or three for add_difference, or one to write anew.")
    settings = flags.settings_of(given)
    asked: dict[str, Any] = dict(zip(POSITIONS, positions, strict=False)) | {name: given[name] for name in (*FLAGS, *SWITCHES) if name in given}
    asked.setdefault("method", "No interpolation" if len(positions) == 1 else "Add difference" if len(positions) == 3 else "Weighted sum")
    merges = MergeJobs(open_shelf(settings), settings)
    request = merges.prepare(parse_merge({"task": MERGE} | fields.values_of(Merge, asked)), guest=False)
    shown = Shown()
    path = merges.work(request, shown.report)
    shown.clear()
    sys.stdout.write((json.dumps({"path": str(path), "request": request.model_dump()}, ensure_ascii=False) if given.get("json") else str(path)) + "\n")
    return 0


def parser() -> flags.Parser:
    """All flags: those of the merge are made of its fields."""
    made = flags.Parser(prog="python -m app merge", usage="python -m app merge A B [C] [flags]", description=Merge.__doc__)
    made.add_argument("checkpoints", nargs="*", metavar="A B C", help="names of checkpoints: what the result is like, what is mixed in, what B was made from")
    add = made.add_argument_group("merge").add_argument
    for name, metavar in FLAGS.items():
        add(SPELT.get(name, f"--{name}"), dest=name, metavar=metavar, help=fields.help_of(Merge, name))
    for name in SWITCHES:
        add(f"--{name.replace('_', '-')}", dest=name, action="store_true", help=str(Merge.model_fields[name].description))
    add("--json", action="store_true", help="print path and request as JSON")
    flags.add_to(made)
    return made


class Shown:
    """One line on the terminal that says where the merge stands."""

    def __init__(self) -> None:
        self._live = Live()
        self._shown = 0

    def report(self, progress: Progress) -> None:
        """Rewrite the line; where the output is no terminal nothing is written."""
        self._live.update(progress)
        if not sys.stderr.isatty():
            return
        line = f"Merging, {progress.step} of {progress.steps} MB" if progress.steps else "Reading ..."
        left = self._live.seconds_left()
        line += f", {left:.0f} s left" if left is not None else ""
        sys.stderr.write("\r" + line.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(line)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")

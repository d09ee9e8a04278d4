"""`python -m app grid txt2img --x "steps: 10, 20" --y "sampler: Euler, Heun" -o sheet.png`: the flags that a grid has beside those of its base."""

import argparse
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import BadRequest
from app.grids.request import BASES, GRID, LETTERS, Grid, parse_any
from app.request import AnyTask


def base_of(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The task of a grid's base, and the flags behind it; without a task: txt2img. Raises BadRequest."""
    if not argv or argv[0].startswith("-"):
        return BASES[0], argv
    if argv[0] not in BASES:
        near = difflib.get_close_matches(argv[0], BASES, 1)
        raise BadRequest(f"A grid is made of {', '.join(BASES[:-1])} or {BASES[-1]}, not of '{argv[0][:40]}'.", f"Did you mean '{near[0]}'?" if near else "")
    return argv[0], argv[1:]


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the grid itself."""
    add = parser.add_argument_group("grid").add_argument
    for letter in LETTERS:
        info = str(Grid.model_fields[letter].description)
        add(f"--{letter}", metavar="FIELD:VALUES", help=f"{info}, such as 'steps: 10, 20' or 'cfg_scale: 1-9 (+2)' or 'prompt_matrix'")
    add("--no-legend", action="store_true", help="do not write the values beside the pictures of the sheet")
    add("--margin", metavar="PIXELS", help="pixels between the pictures of the sheet (0)")
    add("--keep-random", action="store_true", help="draw a seed of its own for each picture where the seed is -1")
    add("--vary-seeds", metavar="AXES", help="count the seed on along these axes, such as xy")


def grid_of(base: AnyTask, given: Mapping[str, Any]) -> Grid:
    """The grid that the flags describe. Raises BadRequest."""
    asked: dict[str, Any] = {"task": GRID, "base": base.model_dump(), "legend": "no_legend" not in given, "keep_random": "keep_random" in given}
    for letter in LETTERS:
        if letter in given:
            field, _, values = given[letter].partition(":")
            asked[letter] = {"field": field.strip(), "values": values.strip()}
    asked |= {"margin": given["margin"]} if "margin" in given else {}
    asked |= {"vary_seeds": tuple(given["vary_seeds"])} if "vary_seeds" in given else {}
    grid = parse_any(asked)
    assert isinstance(grid, Grid)
    return grid

"""From a grid to the requests of its cells: each is what somebody would have asked for who wanted that one picture alone."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, TypeVar

from app.errors import BadRequest, StudioError
from app.grids import axes, prompts, values
from app.grids.axes import AxisField
from app.grids.request import LETTERS, Axis, Base, Grid, Letter
from app.request import MAX_SEED, parse

T = TypeVar("T")
SEEDS = ("seed", "subseed")
RANKS = {"prompt_matrix": 1, "prompt_sr": 2, "prompt_order": 3}
"""Fields are set first, then what changes prompts."""
_SIZE = re.compile(r"(\d{1,5})\s*[xX×*]\s*(\d{1,5})")


@dataclass(frozen=True)
class Point:
    """One value of an axis.

    Attributes:
        value: for a field its value, for Prompt S/R the text that comes in, for Prompt order and the matrix a tuple of texts.
        text: as it is written among the values of the axis.
        label: for the sheet.
    """

    value: Any
    text: str
    label: str


@dataclass(frozen=True)
class Line:
    """An axis, understood. `search`: what Prompt S/R looks for; `target`: the prompt that the matrix is made of."""

    letter: Letter
    field: AxisField
    points: tuple[Point, ...]
    search: str = ""
    target: str = "prompt"

    @property
    def title(self) -> str:
        return f"{self.letter.upper()} axis"


@dataclass(frozen=True)
class Cell:
    """One place of the grid (0-based), and the request that fills it."""

    x: int
    y: int
    z: int
    request: Base


def lines_of(grid: Grid) -> dict[Letter, Line]:
    """The axes of a grid, their values read. Raises BadRequest, UnknownName: a sentence that begins with the axis."""
    found: dict[Letter, Line] = {}
    fields = {letter: said(f"{letter.upper()} axis", partial(axes.find, type(grid.base), axis.field)) for letter, axis in grid.axes.items()}
    targets = {letter: matrix_target(grid.axes[letter]) for letter, field in fields.items() if field.name == "prompt_matrix"}
    for letter, axis in grid.axes.items():
        field = fields[letter]
        sharing = [other for other, target in targets.items() if target == targets.get(letter)]
        if len(sharing) > 2:
            raise BadRequest("The prompt matrix is on three axes, but it can be on one, or be shared by two.")
        share = (sharing.index(letter), len(sharing)) if sharing else (0, 1)
        twin = next((other for other in found.values() if other.field == field and field.name not in ("prompt_sr", "prompt_matrix")), None)
        if twin:
            raise BadRequest(f"{twin.title} and {letter.upper()} axis are both {field.label}, but each must be another field.")
        line = said(f"{letter.upper()} axis", partial(line_of, grid, letter, field, axis, share))
        if not line.points:
            raise BadRequest(f"{line.title}: {field.label} has no values; write them separated by commas.")
        found[letter] = line
    return found


def said(title: str, ask: Callable[[], T]) -> T:
    """What `ask` returns; its complaints begin with the axis."""
    try:
        return ask()
    except StudioError as error:
        if not error.message.startswith(title):
            error.message = f"{title}: {error.message}"
        raise


def line_of(grid: Grid, letter: Letter, field: AxisField, axis: Axis, share: tuple[int, int]) -> Line:
    """One axis, its values read."""
    if field.name == "prompt_matrix":
        target = matrix_target(axis)
        optional = prompts.matrix_parts(getattr(grid.base, target), *share)
        text = "negative" if target == "negative_prompt" else ""
        points = [Point(active, text, " + ".join(part for part in active if part) or "–") for active in prompts.chosen(optional)]
        return Line(letter, field, tuple(points), target=target)
    if field.name == "prompt_order":
        words = values.split(axis.values)
        return Line(letter, field, tuple(Point(order, values.join(words), ", ".join(order)) for order in prompts.orders(words)) if words else ())
    read = axes.read(field, axis.values)
    if len(read) > values.MAX_VALUES:
        raise BadRequest(f"{field.label} has {len(read)} values, but at most {values.MAX_VALUES} are allowed on an axis.")
    texts = [axes.written(value) for value in read]
    own = "" if field.kind == "special" else f"{field.type_name}: "
    points = [Point(value, text, f"{own}{value:.6g}" if isinstance(value, float) else f"{own}{text}") for value, text in zip(read, texts, strict=True)]
    return Line(letter, field, tuple(points), search=str(read[0]) if field.name == "prompt_sr" and read else "")


def matrix_target(axis: Axis) -> str:
    """The prompt that a matrix is made of: the negative one where its values say "negative"."""
    return "negative_prompt" if axis.values.strip().casefold().startswith("neg") else "prompt"


def text_of(line: Line) -> str:
    """The values of an axis as one text that is read as the same values."""
    if line.field.name in ("prompt_matrix", "prompt_order"):
        return line.points[0].text
    return values.join(point.text for point in line.points)


def settled(grid: Grid) -> Grid:
    """The grid with nothing left to chance: seeds drawn once for all cells, or with `keep_random` what they are drawn from.

    Raises BadRequest, UnknownName.
    """
    if grid.keep_random:
        return grid if grid.draw >= 0 else grid.model_copy(update={"draw": secrets.randbelow(2**32)})
    lines = lines_of(grid)
    varied = grid.base.subseed_strength or any(line.field.name == "subseed_strength" for line in lines.values())
    needed = ("seed", "subseed") if varied else ("seed",)
    drawn = {name: secrets.randbelow(2**32) for name in needed if getattr(grid.base, name) < 0}
    grid = grid.with_base(grid.base.model_copy(update=drawn))
    for letter, line in lines.items():
        if line.field.name in SEEDS:
            points = [str(secrets.randbelow(2**32)) if point.value == -1 else point.text for point in line.points]
            grid = grid.model_copy(update={letter: Axis(field=line.field.name, values=values.join(points))})
    return grid


def size_of(lines: dict[Letter, Line]) -> tuple[int, int, int]:
    """Cells across, down, and sheets."""
    across, down, sheets = (len(lines[letter].points) if letter in lines else 1 for letter in LETTERS)
    return across, down, sheets


def count(lines: dict[Letter, Line]) -> int:
    return prod(size_of(lines))


def cells_of(grid: Grid, lines: dict[Letter, Line]) -> Iterator[Cell]:
    """The cells, x fastest, z slowest. The grid is `settled`.

    Raises BadRequest: a value that its field cannot have; the sentence names the axis, the value and what is allowed.
    """
    across, down, sheets = size_of(lines)
    for z in range(sheets):
        for y in range(down):
            for x in range(across):
                place = {"x": x, "y": y, "z": z}
                steps = [(line, line.points[place[letter]]) for letter, line in lines.items()]
                number = (z * down + y) * across + x
                base = seeded(grid, applied(grid.base, steps), number, place, (across, down))
                yield Cell(x, y, z, base)


def applied(base: Base, steps: list[tuple[Line, Point]]) -> Base:
    """The base with a value of each axis."""
    asked: dict[str, Any] = base.model_dump()
    for line, point in sorted(steps, key=lambda step: RANKS.get(step[0].field.name, 0)):
        said(line.title, partial(set_point, asked, line, point))
    return parse(asked)  # type: ignore[return-value]


def set_point(asked: dict[str, Any], line: Line, point: Point) -> None:
    """Change the fields of a request as one value of an axis says, and let the request check it."""
    both = {name: asked[name] for name in ("prompt", "negative_prompt")}
    match line.field.name:
        case "size":
            match = _SIZE.fullmatch(str(point.value))
            if not match:
                raise BadRequest(f"Size is {point.value!r}, but it must be width x height, such as 512x768.")
            asked |= {"width": int(match[1]), "height": int(match[2])}
        case "prompt_sr":
            asked |= prompts.replaced(both, line.search, point.value)
        case "prompt_order":
            asked["prompt"] = prompts.ordered(asked["prompt"], point.value)
        case "prompt_matrix":
            asked[line.target] = matrix(asked[line.target], line, point)
        case name:
            asked[name] = point.value
    parse(asked)


def matrix(prompt: str, line: Line, point: Point) -> str:
    """The prompt with the chosen parts. What another axis will still choose from stays behind a `|`."""
    all_of_line = set(line.points[-1].value)
    rest = [part for part in prompts.pieces(prompt)[1:] if part.strip().strip(",").strip() not in all_of_line]
    return "|".join([prompts.assembled(prompt, point.value), *rest])


def seeded(grid: Grid, base: Base, number: int, place: dict[str, int], size: tuple[int, int]) -> Base:
    """The cell's seeds: counted on along axes where `vary_seeds` says so; where they are -1 drawn from the grid's `draw`."""
    changed = {}
    if grid.keep_random:
        for name in SEEDS if base.subseed_strength else ("seed",):
            if getattr(base, name) < 0:
                changed[name] = int.from_bytes(hashlib.sha256(f"{grid.draw}:{name}:{number}".encode()).digest()[:4], "big")
    across, down = (size[i] if letter in grid.vary_seeds else 1 for i, letter in enumerate(("x", "y")))
    strides = {"x": 1, "y": across, "z": across * down}
    ahead = sum(place[letter] * strides[letter] for letter in set(grid.vary_seeds))
    if ahead:
        changed["seed"] = (changed.get("seed", base.seed) + ahead) % (MAX_SEED + 1)
    return base.model_copy(update=changed) if changed else base

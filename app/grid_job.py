"""A grid as a job: checked before it is queued, run so that each checkpoint is loaded once, gone on with after a stop.

`House` is what it needs of the studio, which it does not import.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from PIL import Image

from app import parameters
from app.decode import FORMATS
from app.errors import BadRequest, NotFound, Refused, UnknownName
from app.grids import axes, texts, values
from app.grids.cells import Cell, Line, cells_of, count, lines_of, said, settled
from app.grids.request import GRID, Axis, Grid, Letter, parse_any_json
from app.grids.sheet import Labels, sheet
from app.guests import GUEST_PICTURES
from app.jobs import Job, JobQueue
from app.library import Library, Saved
from app.library.read import embedded
from app.request import AnyTask, Asked, Txt2Img
from app.settings import Settings
from app.styles import Styles
from app.work import Picture, Progress, Report

FIRST_FACTS = ("Model hash", "Model", "VAE hash", "VAE", "Variation seed")
"""What a sheet says as its first picture does, like A1111's grids."""


@dataclass(frozen=True)
class Unit:
    """One run of the engine: a cell, or with wildcards one of its pictures.

    Attributes:
        facts: more pairs for the infotext.
        key: what the files that it makes say of their request.
    """

    request: AnyTask
    facts: Mapping[str, str]
    key: str


@dataclass(frozen=True)
class Filled:
    """A cell with names resolved, and what is to run for it."""

    cell: Cell
    units: tuple[Unit, ...]


class Control(Protocol):
    """What a run needs of its job: `JobControl`, or one that remembers."""

    def report(self, progress: Progress) -> None: ...
    def add_output(self, picture_id: str) -> None: ...


class Collecting:
    """A job's control that remembers the pictures of one unit."""

    def __init__(self, control: Control) -> None:
        self.report, self._control = control.report, control
        self.ids: list[str] = []

    def add_output(self, picture_id: str) -> None:
        """As the job's own."""
        self._control.add_output(picture_id)
        self.ids.append(picture_id)


class House(Protocol):
    """What is needed of the studio."""

    settings: Settings
    library: Library
    jobs: JobQueue
    styles: Styles

    def choices(self, name: str) -> list[str]: ...
    def canonical(self, request: Any) -> dict[str, str]: ...
    def resolve(self, request: AnyTask, inputs: Mapping[str, Image.Image] | None = None) -> AnyTask: ...
    def inputs(self, request: Asked) -> dict[str, Image.Image]: ...
    def refuse_large(self, request: AnyTask) -> None: ...
    def drawn(self, asked: AnyTask) -> Iterator[tuple[AnyTask, Mapping[str, str]]]: ...
    def run(self, asked: AnyTask, inputs: Mapping[str, Image.Image], job: Job, control: Control, report: Report, facts: Mapping[str, str]) -> None: ...


class GridJobs:
    """Grids on their way through the studio."""

    def __init__(self, house: House) -> None:
        self._house = house

    # ---- before queueing

    def prepare(self, grid: Grid, owner: str, guest: bool) -> Grid:
        """The grid as it is queued: seeds drawn, every cell checked.

        Raises:
            BadRequest, UnknownName, BadCheckpoint: with the axis in front; NotFound: `resumes` is nobody's or somebody else's job; Refused.
        """
        house = self._house
        if grid.resumes:
            house.jobs.get(grid.resumes, owner)
        grid = self._named(settled(grid))
        lines = lines_of(grid)
        self._refuse_many(count(lines), guest)
        filled = self._filled(grid, lines)
        self._refuse_many(sum(unit.request.pictures for one in filled for unit in one.units), guest)
        if guest:
            for one in filled:
                house.refuse_large(one.units[0].request)
        return grid

    def _refuse_many(self, pictures: int, guest: bool) -> None:
        limit = self._house.settings.grid_limit
        if guest and pictures > GUEST_PICTURES:
            raise Refused(f"The grid has {pictures} pictures, but guests may ask for at most {GUEST_PICTURES} pictures at once.")
        if pictures > limit:
            raise BadRequest(f"The grid has {pictures} pictures, but at most {limit} are allowed (--grid-limit).", "Give the axes fewer values.")

    def _named(self, grid: Grid) -> Grid:
        """The grid with names that are only told in part written out; what else may be meant is left to `resolve`."""
        for letter, line in lines_of(grid).items():
            if line.field.kind not in ("names", "list"):
                continue
            known = self._house.choices(line.field.choices[0])
            points = [self._name(line, point.value, known) for point in line.points]
            grid = grid.model_copy(update={letter: Axis(field=line.field.name, values=values.join(points))})
        return grid

    def _name(self, line: Line, value: Any, known: list[str]) -> str:
        if isinstance(value, tuple):
            return axes.written(tuple(axes.near(name, known) or name for name in value))
        if not value or value.casefold() in (name.casefold() for name in known):
            return axes.written(axes.near(value, known) if value else value)
        try:  # an alias, a title, or "DPM++ 2M Karras"
            self._house.canonical(Txt2Img.model_validate({line.field.name: value, "enable_hr": True}))
        except UnknownName:
            return axes.near(value, known) or str(value)
        return str(value)

    def _filled(self, grid: Grid, lines: dict[Letter, Line]) -> list[Filled]:
        """All cells, resolved, in their places. Raises what `resolve` raises, with the axes in front."""
        inputs = self._house.inputs(grid)
        found = []
        for cell in cells_of(grid, lines):
            request = said(self._place(lines, cell), partial(self._house.resolve, cell.request.concrete(), inputs))
            units = tuple(Unit(single, facts, key_of(single.model_dump_json())) for single, facts in self._house.drawn(request))
            found.append(Filled(cell, units))
        return found

    def _place(self, lines: dict[Letter, Line], cell: Cell) -> str:
        """Where in the grid: "X axis" with one axis, else "X axis 2, Y axis 1"."""
        places = {"x": cell.x, "y": cell.y, "z": cell.z}
        return " and ".join(f"{line.title} ({line.points[places[letter]].label[:60]})" for letter, line in lines.items())

    def again(self, job: Job) -> str | None:
        """What to queue for a grid once more: what is missing when it was stopped or failed, all of it when it is done; None: no grid."""
        if job.task != GRID:
            return None
        return parse_any_json(job.request).model_copy(update={"resumes": "" if job.state == "done" else job.id}).model_dump_json()

    # ---- in the worker's thread

    def work(self, grid: Grid, job: Job, control: Control) -> None:
        """Make what is missing, checkpoint by checkpoint, then the sheets. Cells that ask for the same are made once."""
        lines = lines_of(grid)
        filled = self._filled(grid, lines)
        units = {unit.key: unit for one in filled for unit in one.units}
        done = self._done_before(grid, job.owner, units)
        for ids in done.values():
            for picture_id in ids:
                control.add_output(picture_id)
        inputs = self._house.inputs(grid)
        total = sum(unit.request.pictures for unit in units.values())
        before = sum(units[key].request.pictures for key in done)
        for unit in grouped(unit for unit in units.values() if unit.key not in done):
            collecting = Collecting(control)
            self._house.run(unit.request, inputs, job, collecting, counted(control.report, before, total), unit.facts)
            done[unit.key] = collecting.ids
            before += unit.request.pictures
        control.report(Progress("saving", total, total))
        self._save_sheets(grid, lines, filled, done, job, control)

    def _done_before(self, grid: Grid, owner: str, units: Mapping[str, Unit]) -> dict[str, list[str]]:
        """Units whose pictures an earlier job made, all of them, and that are still on the disk: key -> ids."""
        found: dict[str, list[str]] = {}
        for picture_id in self._house.jobs.get(grid.resumes, owner).job.outputs if grid.resumes else ():
            try:
                saved = self._house.library.get(picture_id, owner)
            except NotFound:
                continue
            if saved.task != grid.task and (key := key_of(saved.request)) in units:
                found.setdefault(key, []).append(picture_id)
        return {key: ids for key, ids in found.items() if len(ids) == units[key].request.pictures}

    def _save_sheets(self, grid: Grid, lines: dict[Letter, Line], filled: list[Filled], done: Mapping[str, list[str]], job: Job, control: Control) -> None:
        """A sheet for each value of z, saved like a picture of the job."""
        for z, page in enumerate(pages(filled)):
            faces = {(one.cell.x, one.cell.y): self._face(done[one.units[0].key]) for one in page}
            columns, rows = (max(place[i] for place in faces) + 1 for i in (0, 1))
            shown = {place: saved for place, saved in faces.items() if saved}
            if not shown:
                continue
            largest = max(saved.width for saved in shown.values()), max(saved.height for saved in shown.values())
            labels = labels_of(lines, z) if grid.legend else Labels()
            image, scale = sheet((columns, rows), largest, partial(opened, shown), labels, grid.margin)
            first = next(iter(shown.values()))
            request: Any = page[0].units[0].request
            read = parameters.parse(first.infotext).fields
            facts = {key: read[key] for key in FIRST_FACTS if key in read} | {"Size": f"{first.width}x{first.height}"} | texts.pairs(lines, scale)
            seed = int(getattr(request, "seed", 0))
            control.add_output(self._house.library.save(Picture(image, z, seed, facts), grid, job.id, job.owner, shown=self._house.styles.apply(request)).id)

    def _face(self, ids: list[str]) -> Saved | None:
        """What stands for a cell on the sheet: its first picture, and of that one what the last pass made; None when it was deleted meanwhile."""
        found = None
        for picture_id in ids:
            with contextlib.suppress(NotFound):
                saved = self._house.library.get(picture_id, None)
                found = saved if embedded(saved.path)[0].get("index", 0) == 0 else found
        return found


def key_of(request: str) -> str:
    """A request's JSON in one way of writing it, however it was written."""
    return json.dumps(json.loads(request or "{}"), sort_keys=True)


def grouped(units: Iterable[Unit]) -> list[Unit]:
    """The units so that those with the same model files run one after the other, in the order in which these first come."""
    rows = list(units)
    model_fields = [name for name, field in axes.axes_of(Txt2Img).items() if field.choices in (("checkpoints",), ("vaes",), ("text_encoders",))]
    model_fields.sort(key=("checkpoint", "vae", "text_encoder").__contains__, reverse=True)
    first: dict[tuple[str, str], int] = {}
    for unit in rows:
        for name in model_fields:
            first.setdefault((name, getattr(unit.request, name, "")), len(first))
    return sorted(rows, key=lambda unit: [first[name, getattr(unit.request, name, "")] for name in model_fields])


def counted(report: Report, before: int, total: int) -> Report:
    """Reports of one cell as reports of the whole grid."""
    return lambda progress: report(replace(progress, picture=before + progress.picture, pictures=total))


def pages(filled: list[Filled]) -> Iterator[list[Filled]]:
    """The cells of each sheet."""
    for z in range(max(one.cell.z for one in filled) + 1):
        yield [one for one in filled if one.cell.z == z]


def labels_of(lines: dict[Letter, Line], z: int) -> Labels:
    """What is written on sheet z."""
    columns, rows = ([point.label for point in lines[letter].points] if letter in lines else [] for letter in ("x", "y"))  # type: ignore[index]
    return Labels(columns, rows, lines["z"].points[z].label if "z" in lines else "")


def opened(shown: Mapping[tuple[int, int], Saved], x: int, y: int) -> Image.Image:
    """The pixels of the saved picture that stands at a place of the sheet; white where there is none."""
    if (x, y) not in shown:
        return Image.new("RGB", (1, 1), "white")
    with Image.open(shown[x, y].path, formats=FORMATS) as image:
        return image.convert("RGB")



"""A grid as it is asked for: a request of any task that paints, and up to three axes.

    {"task": "grid", "base": {"task": "txt2img", "prompt": "a cat"}, "x": {"field": "steps", "values": "10, 20"}}
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.errors import BadRequest
from app.grids import values
from app.request import MAX_PROMPT_BYTES, TASKS, AnyTask, Asked, Img2Img, Inpaint, Outpaint, Txt2Img, parse, plain_text

GRID = "grid"
Base = Txt2Img | Img2Img | Inpaint | Outpaint
"""Tasks that a grid can be made of: those whose result is pictures from a prompt."""
BASES = ("txt2img", "img2img", "inpaint", "outpaint")
ALL_TASKS = (*TASKS, GRID)
Letter = Literal["x", "y", "z"]
LETTERS: tuple[Letter, ...] = ("x", "y", "z")


class Axis(BaseModel):
    """What changes along one side of the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(title="Field", description="A field of the request, prompt_sr, prompt_order, prompt_matrix or size", min_length=1, max_length=64)
    values: str = Field("", title="Values", description='10, 20 or 1-5 or 1-10 (+3) or 1-3 [4] or "a, b"', max_length=2 * MAX_PROMPT_BYTES)

    @field_validator("values", mode="before")
    @classmethod
    def _joined(cls, given: Any) -> Any:
        """Programs may give a list; people write text."""
        return values.join(values.told(value) for value in given) if isinstance(given, list) else given

    @field_validator("values")
    @classmethod
    def _plain(cls, text: str) -> str:
        return plain_text(text)


class Grid(Asked):
    """Pictures for every combination of the values, and a sheet of all of them for each value of z."""

    task: Literal["grid"] = "grid"
    base: Annotated[Base, Field(discriminator="task")] = Field(title="Base", description="What all pictures have in common")
    x: Axis | None = Field(None, title="X axis", description="What changes from left to right")
    y: Axis | None = Field(None, title="Y axis", description="What changes from top to bottom")
    z: Axis | None = Field(None, title="Z axis", description="What changes from sheet to sheet")
    legend: bool = Field(True, title="Labels", description="Writes the values beside the pictures of the sheet")
    margin: int = Field(0, title="Margin", description="Pixels between the pictures of the sheet", ge=0, le=256)
    keep_random: bool = Field(False, title="Keep -1 for seeds", description="Draws a seed of its own for each picture where the seed is -1")
    vary_seeds: tuple[Letter, ...] = Field((), title="Vary seeds along", description="Counts the seed on along these axes", max_length=3)
    draw: int = Field(-1, title="Draw", description="What seeds of their own are drawn from; -1: by chance", ge=-1, lt=2**32)
    resumes: str = Field("", title="Resumes", description="Id of a job whose finished pictures are taken over", pattern="^([0-9a-f]{32})?$")

    @property
    def axes(self) -> dict[Letter, Axis]:
        """The axes that are set."""
        return {letter: axis for letter in LETTERS if (axis := getattr(self, letter)) is not None}

    def picture_fields(self) -> dict[str, str]:
        return self.base.picture_fields()

    def with_base(self, base: Base) -> Self:
        return self.model_copy(update={"base": base})


def parse_any(asked: dict[str, Any]) -> AnyTask | Grid:
    """The task or grid that `asked` describes; `asked["task"]` says which. Raises BadRequest with one sentence."""
    if asked.get("task") != GRID:
        return parse(asked)
    base = asked.get("base")
    if not isinstance(base, dict) or base.get("task") not in BASES:
        task = base.get("task") if isinstance(base, dict) else base
        raise BadRequest(f"Base (base) is {str(task)[:40]!r}, but it must be a request of the task {', '.join(BASES[:-1])} or {BASES[-1]}.")
    try:
        grid = Grid.model_validate(asked | {"base": parse(base)})
    except ValidationError as error:
        raise BadRequest(explain(error)) from None
    if not grid.axes:
        raise BadRequest("A grid needs at least one axis: x, y or z, each with a field and values.")
    return grid


def parse_any_json(text: str) -> AnyTask | Grid:
    """Like `parse_any`, from JSON text such as `request.model_dump_json()`."""
    return parse_any(json.loads(text))


def explain(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong with a grid."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"There is no parameter '{name}' for a grid."
    if first["type"] == "missing":
        return f"The parameter '{name}' of the grid is missing."
    value = repr(first.get("input"))
    value = value if len(value) <= 60 else value[:57] + "..."
    return f"The grid's parameter '{name}' is {value}, which cannot be: {first['msg'].removeprefix('Value error, ').lower()}."

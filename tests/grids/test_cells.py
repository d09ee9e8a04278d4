"""From a grid to its cells."""

from typing import Any

import pytest

from app.errors import BadRequest, StudioError
from app.grids.cells import Cell, cells_of, count, lines_of, settled, text_of
from app.grids.request import Grid, parse_any
from app.grids.texts import pairs
from app.request import MAX_SEED, Txt2Img


def grid(base: dict[str, Any], **others: Any) -> Grid:
    found = parse_any({"task": "grid", "base": {"task": "txt2img"} | base, **others})
    assert isinstance(found, Grid)
    return found


def axis(field: str, values: Any = "") -> dict[str, Any]:
    return {"field": field, "values": values}


def cells(asked: Grid) -> list[Cell]:
    return list(cells_of(asked, lines_of(asked)))


def test_x_runs_fastest_and_every_cell_is_a_request_of_its_own() -> None:
    made = cells(grid({"prompt": "a", "seed": 5}, x=axis("steps", "1-3"), y=axis("cfg_scale", [2, 4.5]), z=axis("Sampler", "Euler, Heun")))
    assert [(cell.x, cell.y, cell.z) for cell in made[:4]] == [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0)] and len(made) == 12
    assert made[-1].request == Txt2Img(prompt="a", seed=5, steps=3, cfg_scale=4.5, sampler="Heun")


def test_fields_are_set_before_words_are_replaced() -> None:
    asked = grid({"prompt": "unused"}, x=axis("prompt_sr", "cat, dog"), y=axis("prompt", '"a cat, old", one cat'))
    assert [cell.request.prompt for cell in cells(asked)] == ["a cat, old", "a dog, old", "one cat", "one dog"]


def test_a_matrix_of_one_prompt_beside_one_of_the_other() -> None:
    asked = grid({"prompt": "a|b", "negative_prompt": "c|d"}, x=axis("Prompt matrix"), y=axis("Prompt matrix", "negative prompt"))
    made = [(cell.request.prompt, cell.request.negative_prompt) for cell in cells(asked)]
    assert made == [("a", "c"), ("a, b", "c"), ("a", "c, d"), ("a, b", "c, d")]


def test_sizes_and_orders() -> None:
    asked = grid({"prompt": "red old house"}, x=axis("Size", "64x128, 128 x 64"), y=axis("Prompt order", "red, old"))
    made = [(cell.request.width, cell.request.height, cell.request.prompt) for cell in cells(asked)]  # type: ignore[union-attr]
    assert made == [(64, 128, "red old house"), (128, 64, "red old house"), (64, 128, "old red house"), (128, 64, "old red house")]
    with pytest.raises(BadRequest, match="X axis: Size is 'wide', but it must be width x height"):
        cells(grid({}, x=axis("Size", "wide")))
    with pytest.raises(BadRequest, match=r"X axis: Width \(width\) is 65"):
        cells(grid({}, x=axis("Size", "65x64")))


def test_seeds() -> None:
    drawn = settled(grid({}, x=axis("steps", "1, 2")))
    assert len({cell.request.seed for cell in cells(drawn)}) == 1 and drawn.base.seed >= 0
    assert settled(drawn) == drawn
    own = settled(grid({}, x=axis("steps", "1, 2"), keep_random=True))
    assert len({cell.request.seed for cell in cells(own)}) == 2 and cells(own) == cells(settled(own))
    assert {cell.request.seed for cell in cells(settled(grid({"seed": 5}, x=axis("steps", "1, 2"), keep_random=True)))} == {5}
    axes = settled(grid({}, x=axis("seed", "-1, 7, -1")))
    seeds = [cell.request.seed for cell in cells(axes)]
    assert seeds[1] == 7 and min(seeds) >= 0 and len(set(seeds)) == 3 and cells(axes) == cells(axes)
    varied = settled(grid({}, x=axis("subseed_strength", "0, 0.5")))
    assert varied.base.subseed >= 0
    counted = grid({"seed": MAX_SEED}, x=axis("steps", "1, 2"), y=axis("cfg_scale", "1, 2"), vary_seeds=["x", "y"])
    assert [cell.request.seed for cell in cells(counted)] == [MAX_SEED, 0, 1, 2]
    assert [cell.request.seed for cell in cells(counted.model_copy(update={"vary_seeds": ("y",)}))] == [MAX_SEED, MAX_SEED, 0, 0]


@pytest.mark.parametrize("axes", [
    {"x": axis("steps", "1-3"), "y": axis("styles", 'None, "Neon, Ink"')},
    {"x": axis("prompt_sr", '"a, b", c'), "z": axis("denoising strength", "0-1 [4]")},
    {"x": axis("prompt_order", "a, b"), "y": axis("wildcards", "yes, no")},
    {"x": axis("prompt_matrix", ""), "y": axis("emphasis", "no norm")},
])  # fmt: skip
def test_the_values_in_the_infotext_are_read_as_the_same_cells(axes: dict[str, Any]) -> None:
    asked = grid({"prompt": "a, b|c", "seed": 1}, **axes)
    lines = lines_of(asked)
    again = asked.model_copy(update={letter: asked.axes[letter].model_copy(update={"values": text_of(line)}) for letter, line in lines.items()})
    assert cells(again) == cells(asked) and count(lines) == len(cells(asked))
    told = pairs(lines, 0.5)
    assert told["Grid scale"] == "0.5" and {f"{letter.upper()} Type" for letter in axes} <= set(told)


def test_the_script_is_named_as_a1111_names_it() -> None:
    asked = grid({"prompt": "a|b"}, x=axis("prompt_matrix"))
    assert pairs(lines_of(asked), 1)["Script"] == "Prompt matrix"
    assert pairs(lines_of(grid({}, x=axis("sampler", "Euler"))), 1) == {"Script": "X/Y/Z plot", "X Type": "Sampler", "X Values": "Euler"}


@pytest.mark.parametrize(("given", "sentence"), [
    ({"base": {"task": "zoom"}, "x": axis("steps", "1")}, "Base (base) is 'zoom', but it must be a request of the task txt2img, img2img, inpaint or outpaint"),
    ({"base": "txt2img"}, "Base (base) is 'txt2img'"),
    ({"base": {"task": "txt2img"}}, "A grid needs at least one axis"),
    ({"base": {"task": "txt2img", "steps": 0}, "x": axis("steps", "1")}, "Sampling steps (steps) is 0"),
    ({"base": {"task": "txt2img"}, "x": axis("steps", "1"), "w": axis("seed", "1")}, "There is no parameter 'w' for a grid."),
    ({"base": {"task": "txt2img"}, "x": {"values": "1"}}, "The parameter 'x.field' of the grid is missing."),
    ({"base": {"task": "txt2img"}, "x": axis("steps", "1"), "margin": 999}, "The grid's parameter 'margin' is 999, which cannot be: input should be less than"),
    ({"base": {"task": "txt2img"}, "x": axis("steps", "1"), "resumes": "../x"}, "The grid's parameter 'resumes' is '../x'"),
])  # fmt: skip
def test_grids_that_cannot_be(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StudioError) as caught:
        parse_any({"task": "grid"} | given)
    assert sentence in caught.value.message


@pytest.mark.parametrize(("axes", "sentence"), [
    ({"x": axis("steps", "1"), "z": axis("Steps", "2")}, "X axis and Z axis are both Sampling steps"),
    ({"x": axis("steps", " , ")}, "X axis: Sampling steps has no values"),
    ({"x": axis("prompt_matrix"), "y": axis("prompt_matrix"), "z": axis("prompt_matrix")}, "The prompt matrix is on three axes"),
    ({"y": axis("prompt_matrix", "negative")}, "Y axis: The prompt matrix needs a prompt with parts"),
])  # fmt: skip
def test_axes_that_cannot_be(axes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        lines_of(grid({"prompt": "a|b"}, **axes))
    assert sentence in caught.value.message

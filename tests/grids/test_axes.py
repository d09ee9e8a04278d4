"""Every field is an axis, under its name, its label and A1111's word."""

from typing import Any

import pytest

from app.errors import UnknownName
from app.grids import axes, values
from app.grids.axes import axes_of, find, near, read, written
from app.grids.request import BASES
from app.request import TASKS, Inpaint, Outpaint, Txt2Img


@pytest.mark.parametrize("task", BASES)
def test_every_field_but_the_pictures_is_an_axis(task: str) -> None:
    kind: Any = TASKS[task]
    own = set(axes.SPECIAL) if task != "outpaint" else set(axes.SPECIAL) - {"size"}
    assert set(axes_of(kind)) == set(kind.model_fields) - {"task", "image", "mask", "depth_map"} | own


@pytest.mark.parametrize("task", BASES)
def test_the_default_of_every_field_can_be_written_and_read(task: str) -> None:
    kind: Any = TASKS[task]
    for name, field in axes_of(kind).items():
        if field.kind == "special" or field.kind == "text":
            continue
        default = kind.model_fields[name].default
        if default is not None:
            assert read(field, values.join([written(default)])) == [default], name


@pytest.mark.parametrize(("name", "field"), [
    ("steps", "steps"), ("Sampling Steps", "steps"), ("Steps", "steps"), ("CFG Scale", "cfg_scale"), ("cfg-scale", "cfg_scale"), ("Var. seed", "subseed"),
    ("Checkpoint name", "checkpoint"), ("schedule type", "schedule"), ("Prompt S/R", "prompt_sr"), ("prompt matrix", "prompt_matrix"),
    ("Denoising", "denoising_strength"),
])  # fmt: skip
def test_names_people_use(name: str, field: str) -> None:
    assert find(Inpaint, name).name == field


def test_unknown_axes_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean .*'steps'"):
        find(Txt2Img, "stepz")
    with pytest.raises(UnknownName):
        find(Outpaint, "size")


def test_a1111s_words_name_fields_that_exist() -> None:
    known = {name for task in BASES for name in TASKS[task].model_fields}
    assert [word for word, name in axes.A1111.items() if name not in known] == []


def test_values_by_kind() -> None:
    def of(name: str, text: str) -> list[Any]:
        return read(find(Txt2Img, name), text)

    assert of("wildcards", "yes, False, ON, 0, maybe") == [True, False, True, False, "maybe"]
    assert of("emphasis", "no norm, orig, x") == ["No norm", "Original", "x"]
    assert of("styles", 'Neon, None, "Neon, Ink"') == [("Neon",), (), ("Neon", "Ink")]
    assert of("vae", "None, Automatic, some/vae") == ["", "", "some/vae"]
    assert of("schedule", "Automatic, Karras") == ["Automatic", "Karras"]
    assert of("steps", "1-3, 7.5") == [1, 2, 3, 7.5]
    assert of("width", "64-128 (+32)") == [64, 96, 128]


def test_near_is_the_same_name_or_the_only_one_that_has_the_word() -> None:
    names = ["Euler", "Euler a", "Heun"]
    assert [near(word, names) for word in ("euler", "HEU", "uler a", "e", "x")] == ["Euler", "Heun", "Euler a", None, None]

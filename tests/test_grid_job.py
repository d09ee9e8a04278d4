"""Grids through the real studio and engine with tiny checkpoints."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.engine.families import FAMILIES
from app.errors import BadRequest, NotFound, Refused, UnknownName
from app.grids.request import Grid, parse_any, parse_any_json
from app.jobs import Job, View
from app.library import Saved, read
from app.parameters import parse as parse_infotext
from app.request import parse
from app.settings import Settings
from app.studio import Owner, Studio
from tests import tiny

ANNA, BOB, GUEST = Owner("anna"), Owner("bob"), Owner("guest", guest=True)
SMALL = {"task": "txt2img", "steps": 1, "width": 64, "height": 64, "seed": 7, "prompt": "a house", "sampler": "Euler", "checkpoint": "tiny"}


def grid(base: dict[str, Any] | None = None, **others: Any) -> Grid:
    found = parse_any({"task": "grid", "base": SMALL | (base or {}), **others})
    assert isinstance(found, Grid)
    return found


def axis(field: str, values: Any = "") -> dict[str, Any]:
    return {"field": field, "values": values}


@pytest.fixture(scope="module")
def three(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Folders with the checkpoints "tiny" and "other"."""
    return tiny_folder, tiny.make_folder(tmp_path_factory.mktemp("more") / "other", seed=5).parent


@pytest.fixture
def house(settings: Settings, three: tuple[Path, ...]) -> Iterator[Studio]:
    studio = Studio(replace(settings, checkpoint_dirs=three))
    yield studio
    studio.close()


def finished(studio: Studio, job: Job) -> View:
    over = threading.Event()
    stop = studio.jobs.subscribe(job.id, None, lambda: over.set() if studio.jobs.get(job.id, None).job.over else None)
    if not studio.jobs.get(job.id, None).job.over:
        assert over.wait(90)
    stop()
    return studio.jobs.get(job.id, None)


def outputs(studio: Studio, job: Job, state: str = "done") -> list[Saved]:
    view = finished(studio, job)
    assert view.job.state == state, view.job.error
    return [studio.library.get(picture, None) for picture in view.job.outputs]


def pixels(saved: Saved) -> np.ndarray:
    with Image.open(saved.path) as image:
        return np.asarray(image.convert("RGB"))


def asked_of(saved: Saved) -> dict[str, Any]:
    values, _ = read.read(saved.path)
    assert values is not None
    return values


def test_every_cell_is_the_picture_that_was_asked_for_singly(house: Studio) -> None:
    house.start()
    job = house.submit(grid(x=axis("steps", "1-2"), y=axis("cfg scale", "1, 4.5")), ANNA)
    *cells, sheet = outputs(house, job)
    assert len(cells) == 4 and sheet.task == "grid" and {saved.task for saved in cells} == {"txt2img"}
    assert {(asked_of(saved)["steps"], asked_of(saved)["cfg_scale"]) for saved in cells} == {(1, 1.0), (2, 1.0), (1, 4.5), (2, 4.5)}
    for saved in cells[1:3]:
        (single,) = outputs(house, house.submit(parse(SMALL | {name: asked_of(saved)[name] for name in ("steps", "cfg_scale")}), ANNA))
        assert np.array_equal(pixels(saved), pixels(single))
        assert saved.infotext == single.infotext and asked_of(saved) == asked_of(single)
    found = parse_infotext(sheet.infotext).fields
    assert {key: found[key] for key in ("Script", "X Type", "X Values", "Y Type", "Y Values")} == {
        "Script": "X/Y/Z plot", "X Type": "Steps", "X Values": "1, 2", "Y Type": "CFG Scale", "Y Values": "1, 4.5",
    }  # fmt: skip
    assert found["Size-1"] == "64" and found["Model"] == "tiny" and "Model hash" in found
    drawn = pixels(sheet)
    left, top = drawn.shape[1] - 128, drawn.shape[0] - 128
    for saved in cells:
        x, y = asked_of(saved)["steps"] - 1, int(asked_of(saved)["cfg_scale"] > 1)
        assert np.array_equal(drawn[top + 64 * y :, left + 64 * x :][:64, :64], pixels(saved))
    assert (drawn[:top, left:] < 128).any() and (drawn[top:, :left] < 128).any()  # something is written at both edges
    assert asked_of(sheet)["x"] == {"field": "steps", "values": "1-2"} and asked_of(sheet)["base"]["seed"] == 7
    assert house.library.reindex() == 0


def test_each_checkpoint_is_loaded_once_whatever_the_axes_order(house: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    for name, family in list(FAMILIES.items()):  # another test's extension may have added one that takes these files
        monkeypatch.setitem(FAMILIES, name, replace(family, load=lambda file, *others, load=family.load: loaded.append(file.name) or load(file, *others)))
    house.engine()._models.budget = 0  # type: ignore[attr-defined]  # before the worker, which would build another
    house.start()
    for axes in ({"x": axis("checkpoint", "oth, tiny"), "y": axis("steps", "1, 2")}, {"x": axis("steps", "1, 2"), "y": axis("Checkpoint name", "other, tiny")}):
        loaded.clear()
        *cells, sheet = outputs(house, house.submit(grid(**axes), ANNA))
        assert sorted(loaded) == ["other", "tiny"] and len(cells) == 4
        assert [asked_of(saved)["checkpoint"] for saved in cells] == ["other", "other", "tiny", "tiny"]
        assert sheet.width >= 128 and "other, tiny" in parse_infotext(sheet.infotext).fields.values()


def test_a_stopped_grid_goes_on_with_what_is_missing(settings: Settings, three: tuple[Path, ...]) -> None:
    values = axis("seed", "1-16")
    first = Studio(replace(settings, checkpoint_dirs=three))
    job = first.submit(grid(x=values), ANNA)
    seen = threading.Event()
    stop = first.jobs.subscribe(job.id, None, lambda: seen.set() if len(first.jobs.get(job.id, None).job.outputs) >= 2 else None)
    with pytest.raises(NotFound):
        first.submit(grid(x=values, resumes=job.id), BOB)
    first.start()
    assert seen.wait(90)
    stop()
    first.close()  # as a restart would: the job is interrupted
    second = Studio(replace(settings, checkpoint_dirs=three))
    try:
        assert second.jobs.get(job.id, None).job.state == "interrupted"
        kept = [second.library.get(picture, None) for picture in second.jobs.get(job.id, None).job.outputs]
        assert 2 <= len(kept) < 16
        before = [saved.path.read_bytes() for saved in kept]
        made: list[int] = []
        run = second.run
        second.run = lambda asked, *others: (made.append(asked.seed), run(asked, *others))[1]  # type: ignore[method-assign, assignment]
        second.start()
        again = second.rerun(job.id, ANNA)
        found = outputs(second, again)
        assert [saved.id for saved in found[: len(kept)]] == [saved.id for saved in kept]
        assert [saved.path.read_bytes() for saved in kept] == before
        assert sorted(made) == sorted(set(range(1, 17)) - {asked_of(saved)["seed"] for saved in kept})
        assert [saved.task for saved in found] == ["txt2img"] * 16 + ["grid"]
        assert parse_any_json(second.rerun(again.id, ANNA).request).resumes == ""  # a job that is done is made anew
    finally:
        second.close()


def test_stop_keeps_what_is_done(house: Studio) -> None:
    job = house.submit(grid(x=axis("seed", "1-40")), ANNA)

    def stop() -> None:
        if (found := house.jobs.get(job.id, None).job).outputs and not found.over:
            house.jobs.cancel(job.id, None)

    house.jobs.subscribe(job.id, None, stop)
    house.start()
    kept = outputs(house, job, "cancelled")
    assert 1 <= len(kept) < 40 and {saved.task for saved in kept} == {"txt2img"}


def test_a_prompt_matrix_and_sheets_for_z(house: Studio) -> None:
    house.start()
    matrix = {"x": axis("Prompt matrix"), "y": axis("Prompt matrix"), "z": axis("seed", "-1, 3")}
    *cells, one, two = outputs(house, house.submit(grid({"prompt": "a house|red|old"}, **matrix), ANNA))
    prompts = [asked_of(saved)["prompt"] for saved in cells]
    assert prompts == ["a house", "a house, red", "a house, old", "a house, red, old"] * 2
    assert one.task == two.task == "grid" and len({asked_of(saved)["seed"] for saved in cells[:4]}) == 1
    assert parse_infotext(one.infotext).fields["X Type"] == "Prompt matrix" and parse_infotext(two.infotext).fields["Seed"] == "3"


@pytest.mark.parametrize(("axes", "kind", "sentence"), [
    ({"x": axis("steps", "5, 5000")}, BadRequest, "X axis: Sampling steps (steps) is 5000, but it must be a whole number from 1 to"),
    ({"x": axis("steps", "5"), "y": axis("sampler", "Euler, Eular")}, UnknownName, "Y axis"),
    ({"x": axis("clip skip", "a")}, BadRequest, "X axis: Clip skip (clip_skip) is 'a', but it must be a whole number from 1 to 12"),
    ({"x": axis("seed", "1-30"), "y": axis("steps", "1-30")}, BadRequest, "The grid has 900 pictures, but at most 500 are allowed"),
    ({"x": axis("seed", "1-1000000")}, BadRequest, "X axis: '1-1000000' makes 1000000 values"),
    ({"x": axis("styles", "Nothing like it")}, UnknownName, "Style 'Nothing like it'"),
    ({"x": axis("prompt_sr", "cat, dog")}, BadRequest, "X axis: Prompt S/R looks for 'cat', its first value"),
    ({"x": axis("nothing", "1")}, UnknownName, "X axis: Axis 'nothing' does not exist."),
])  # fmt: skip
def test_what_is_wrong_is_said_before_anything_runs(house: Studio, axes: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        house.submit(grid(**axes), ANNA)
    assert sentence in str(caught.value)
    assert house.jobs.list(None) == []


def test_guests_have_their_limits(house: Studio) -> None:
    with pytest.raises(Refused, match="The grid has 6 pictures, but guests may ask for at most 4"):
        house.submit(grid(x=axis("seed", "1-6")), GUEST)
    with pytest.raises(Refused, match="Sampling steps is 60, but guests"):
        house.submit(grid(x=axis("steps", "1, 60")), GUEST)
    assert house.submit(grid(x=axis("seed", "1-4")), GUEST).task == "grid"


def test_names_told_in_part_are_written_out_and_others_are_left_to_the_lists(house: Studio) -> None:
    asked = parse_any_json(house.submit(grid(x=axis("sampler", "heun, k_euler_a, DPM++ 2M Karras, 2m sde h"), y=axis("checkpoint", "oth")), ANNA).request)
    assert isinstance(asked, Grid) and asked.x and asked.y
    assert asked.x.values == "Heun, k_euler_a, DPM++ 2M Karras, DPM++ 2M SDE Heun" and asked.y.values == "other"


def test_seeds_are_drawn_once_unless_each_shall_have_its_own(house: Studio) -> None:
    house.start()
    for options, seeds in (({}, 1), ({"keep_random": True}, 3), ({"vary_seeds": ["x"]}, 3)):
        *cells, _ = outputs(house, house.submit(grid({"seed": -1}, x=axis("cfg scale", "1, 2, 3"), **options), ANNA))
        found = [asked_of(saved)["seed"] for saved in cells]
        assert min(found) >= 0 and len(set(found)) == seeds


def test_a_batch_in_a_cell_is_saved_and_its_first_picture_shown(house: Studio) -> None:
    house.start()
    *cells, sheet = outputs(house, house.submit(grid({"batch_size": 2}, x=axis("styles", "None, Neon"), legend=False, margin=4), ANNA))
    assert len(cells) == 4 and sheet.width == 64 * 2 + 4 and sheet.height == 64
    assert np.array_equal(pixels(sheet)[:, :64], pixels(cells[0])) and np.array_equal(pixels(sheet)[:, 68:], pixels(cells[2]))


def test_a_picture_deleted_meanwhile_leaves_its_place_empty(house: Studio) -> None:
    run = house.run

    def first_goes(asked: Any, *others: Any) -> None:
        run(asked, *others)
        if asked.seed == 1:
            house.library.delete(others[2].ids[0], None)

    house.run = first_goes  # type: ignore[method-assign]
    house.start()
    job = house.submit(grid(x=axis("seed", "1, 2"), legend=False), ANNA)
    assert finished(house, job).job.state == "done"
    (sheet,) = [saved for saved in house.library.of_job(job.id) if saved.task == "grid"]
    assert sheet.width == 128 and (pixels(sheet)[:, :64] == 255).all() and not (pixels(sheet)[:, 64:] == 255).all()

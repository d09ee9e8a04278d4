"""Merging as a job: the embedded family with itself, what is said before queueing, and the shelf afterwards."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.checkpoints.header import read_header
from app.errors import BadCheckpoint, BadRequest, Refused, UnknownName
from app.jobs import View
from app.merge_job import MergeJobs, name_of, sha256
from app.merge_request import Merge
from app.request import Txt2Img
from app.settings import ROOT, Settings
from app.studio import Owner, Studio
from app.work import Progress
from tests.jobs.waiting import when

ANNA = Owner("anna")
WATERCOLOUR, INPAINT, BASE = "darkroom-watercolour", "darkroom-inpaint", "darkroom-base"


@pytest.fixture
def house(settings: Settings, tiny_folder: Path) -> Iterator[Studio]:
    """A studio with the embedded family and "tiny"; new checkpoints go to a folder of the test."""
    (settings.root / "models" / "embedded").symlink_to(ROOT / "models" / "embedded")
    studio = Studio(replace(settings, checkpoint_dirs=(settings.root / "models", tiny_folder)))
    yield studio
    studio.close()


def made(studio: Studio, request: Merge | Txt2Img) -> View:
    job = studio.submit(request, ANNA)
    when(studio.jobs, job)
    return studio.jobs.get(job.id, None)


def test_a_merge_is_on_the_shelf_when_it_is_over_and_paints(house: Studio) -> None:
    house.start()
    view = made(house, Merge(model_a=INPAINT, model_b=WATERCOLOUR, model_c=BASE, method="Add difference", multiplier=1, name="mixes/wet", save_as="fp8"))
    assert (view.job.state, view.job.error, view.job.task, view.job.group, view.job.outputs) == ("done", "", "merge", "", ())
    file = house.shelf.checkpoint("mixes/wet")
    assert (file.family, file.problem, file.label) == ("sd1-inpaint", "", "mixes/wet")
    assert file.path.stat().st_size < 15_000_000
    metadata = read_header(file.path).metadata
    assert metadata["darkroom.base"] == BASE
    recipe = json.loads(metadata["darkroom.merge"])
    assert [model["name"] for model in recipe["models"]] == [INPAINT, WATERCOLOUR, BASE] and all(len(model["sha256"]) == 64 for model in recipe["models"])
    assert made(house, Merge(model_a=WATERCOLOUR, model_b=BASE, name="half")).job.state == "done"
    picture = made(house, Txt2Img(prompt="a house", checkpoint="half", steps=1, width=64, height=64))
    assert (picture.job.state, picture.job.error, picture.job.group) == ("done", "", "half\n\n")


def test_what_headers_tell_is_said_before_queueing(house: Studio) -> None:
    with pytest.raises(Refused, match="Guests may not merge"):
        house.submit(Merge(model_a=WATERCOLOUR, model_b=BASE), Owner("guest", guest=True))
    with pytest.raises(UnknownName, match="Checkpoint 'watercolor' does not exist"):
        house.submit(Merge(model_a="watercolor", model_b=BASE), ANNA)
    with pytest.raises(BadCheckpoint, match=r"B \('tiny'\) takes its word list and layers from no other checkpoint, but A .* from 'darkroom-base'"):
        house.submit(Merge(model_a=WATERCOLOUR, model_b="tiny"), ANNA)
    with pytest.raises(BadCheckpoint, match="whose settings a single file cannot hold"):
        house.submit(Merge(model_a="tiny", method="No interpolation"), ANNA)
    with pytest.raises(BadRequest, match="not for your own checkpoints"):
        house.submit(Merge(model_a=WATERCOLOUR, model_b=BASE, name="embedded/mine"), ANNA)
    (house.settings.root / "models" / "taken.safetensors").write_bytes(b"")
    with pytest.raises(BadRequest, match=r"There is a checkpoint 'taken' already\. Choose another name, or allow"):
        house.submit(Merge(model_a=WATERCOLOUR, model_b=BASE, name="taken"), ANNA)
    assert house.jobs.list(None) == []


def test_a_merge_is_stopped(house: Studio) -> None:
    running = threading.Event()
    job = house.submit(Merge(model_a=WATERCOLOUR, model_b=BASE, name="half"), ANNA)

    def stop() -> None:
        progress = house.jobs.get(job.id, None).progress
        if progress and progress.phase == "merging" and not running.is_set():
            running.set()
            house.jobs.cancel(job.id, "anna")

    house.jobs.subscribe(job.id, None, stop)
    house.start()
    when(house.jobs, job)
    assert running.is_set() and house.jobs.get(job.id, None).job.state == "cancelled"
    assert [path.name for path in (house.settings.root / "models").iterdir()] == ["embedded"]


def test_names_of_files_without_one(house: Studio) -> None:
    merges = MergeJobs(house.shelf, house.settings)
    request = merges.prepare(Merge(model_a=WATERCOLOUR, model_b="darkroom-BASE", multiplier=0.3), guest=False)
    assert (request.name, request.model_b) == ("0.7(darkroom-watercolour) + 0.3(darkroom-base)", BASE)
    assert name_of(Merge(model_a="x/a", model_b="b", model_c="c", method="Add difference", multiplier=1)) == "a + 1(b - c)"
    assert name_of(Merge(model_a="a", method="No interpolation", save_as="bf16")) == "a bf16"


def test_hashes_of_parents_are_remembered_ones_or_read_now(house: Studio) -> None:
    file, calls = house.shelf.checkpoint(WATERCOLOUR), []
    read = sha256(file, lambda: calls.append(1))
    assert calls and file.short_hash() == read[:10]
    calls.clear()
    assert sha256(file, lambda: calls.append(1)) == read and not calls


def test_progress_counts_megabytes(house: Studio) -> None:
    merges, seen = MergeJobs(house.shelf, house.settings), list[Progress]()
    request = merges.prepare(Merge(model_a=BASE, method="No interpolation", name="single"), guest=False)
    path = merges.work(request, seen.append)
    steps = [progress.step for progress in seen if progress.phase == "merging"]
    assert steps == sorted(steps) and steps[-1] == seen[-1].steps == path.stat().st_size // 2**20

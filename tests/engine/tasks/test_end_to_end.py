"""Every task through the real engine, on random weights: the promises must hold whatever the model draws."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import video, zoom_frames
from app.canvas.blend import depth
from app.canvas.mask import blurred
from app.engine.engine import Engine
from app.errors import Cancelled
from app.work import Picture, Progress
from tests import tiny
from tests.engine.tasks.test_tasks import MASK, NOISE, SMALL, asked, pixels

PICTURE, PART = NOISE.crop((30, 20, 75, 57)), MASK.crop((30, 20, 75, 57))
GIVEN = {"image": PICTURE, "mask": PART}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("tasks")
    return tiny.engine(folder)


def run(engine: Engine, task: str, told: list[Progress] | None = None, **values: Any) -> Iterator[Picture]:
    request = asked(task, steps=2, sampler="Euler a", checkpoint="tiny", prompt="a cat", **values)
    yield from engine.run(request, {name: GIVEN[name] for name in request.picture_fields()}, (lambda progress: None) if told is None else told.append)


@pytest.mark.parametrize("task", list(SMALL))
def test_same_request_same_pixels_and_progress_counts_pictures(engine: Engine, task: str) -> None:
    values = {} if task == "zoom" else {"batch_count": 2}
    told: list[Progress] = []
    first = [picture.image.tobytes() for picture in run(engine, task, told, **values)]
    assert first == [picture.image.tobytes() for picture in run(engine, task, **values)]
    assert len(first) == (3 if task == "zoom" else 2) and len(set(first)) == len(first)
    assert {progress.picture for progress in told if progress.phase == "sampling"} == set(range(1, len(first) + 1))
    assert all(progress.pictures == len(first) for progress in told)


@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
def test_inpaint_keeps_what_is_not_masked(engine: Engine, area: str) -> None:
    result = pixels(next(run(engine, "inpaint", inpaint_area=area, masked_content="fill", mask_blur=2)))
    mask = np.asarray(PART)
    kept = blurred(mask, 2) == 0
    assert np.array_equal(result[kept], np.asarray(PICTURE)[kept])
    assert (result != np.asarray(PICTURE)).any(axis=-1)[mask == 255].mean() > 0.9


@pytest.mark.parametrize("coherence", ["Fast", "Normal", "Best"])
def test_outpaint_on_four_sides_keeps_the_picture(engine: Engine, coherence: str) -> None:
    result = pixels(next(run(engine, "outpaint", left=16, right=8, up=24, down=16, overlap=8, coherence=coherence)))
    known = np.zeros(result.shape[:2], bool)
    known[24 : 24 + 37, 16 : 16 + 45] = True
    kept = depth(known) > 8
    assert result.shape == (77, 69, 3)
    assert np.array_equal(result[kept], np.asarray(PICTURE)[kept[24 : 24 + 37, 16 : 16 + 45]])


def test_zoom_to_a_video_whose_key_frames_are_the_keys(engine: Engine, tmp_path: Path) -> None:
    keys = list(run(engine, "zoom", storyboard="a cat\nthe house\nnight"))
    request = asked("zoom", seconds=0.5, fps=14)
    frames = list(zoom_frames.frames([key.image for key in keys], [key.raw for key in keys], request))
    assert [frames[i].tobytes() for i in (0, 3, 6)] == [key.image.tobytes() for key in keys]
    video.write(iter(frames), tmp_path / "zoom.webp", request)
    assert (tmp_path / "zoom.webp").stat().st_size > 1000


@pytest.mark.parametrize("task", list(SMALL))
def test_stop_leaves_every_task_within_a_step(engine: Engine, task: str) -> None:
    steps = []

    def report(progress: Progress) -> None:
        if progress.phase == "sampling" and progress.step:
            steps.append(progress.step)
            raise Cancelled

    request = asked(task, checkpoint="tiny", prompt="a cat")
    with pytest.raises(Cancelled):
        list(engine.run(request, {name: GIVEN[name] for name in request.picture_fields()}, report))
    assert steps == [1]

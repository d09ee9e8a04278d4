"""What all tasks have in common: seeds, order, determinism. The model is one that can be computed on paper."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.engine.noise import Stream
from app.engine.tasks import TASKS
from app.request import TASKS as REQUESTS
from app.request import AnyRequest, parse
from app.work import Picture
from tests.engine.tasks.brushes import FakeBrush

ID = "0" * 64
NOISE = Image.fromarray(np.random.default_rng(8).integers(0, 256, (97, 133, 3), dtype=np.uint8))
MASK = Image.new("L", NOISE.size)
MASK.paste(255, (40, 30, 90, 61))
SMALL: dict[str, dict[str, Any]] = {
    "txt2img": {},
    "img2img": {"image": ID},
    "inpaint": {"image": ID, "mask": ID},
    "outpaint": {"image": ID, "left": 8, "right": 16},
    "zoom": {"keys": 3},
}


def run(brush: FakeBrush, inputs: Mapping[str, Image.Image] | None = None) -> list[Picture]:
    request = brush.request
    found = {"image": NOISE, "mask": MASK, "depth_map": MASK} if inputs is None else inputs
    return list(TASKS[request.task](request, {name: found[name] for name in request.picture_fields()}, brush))


def asked(task: str, **values: Any) -> AnyRequest:
    return parse({"task": task, "steps": 4, "seed": 5, "sampler": "Euler", **SMALL[task], **values})


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(picture.image)


def test_there_is_a_task_for_every_request() -> None:
    assert TASKS.keys() == REQUESTS.keys() == {*SMALL, "upscale"}


@pytest.mark.parametrize("task", list(SMALL))
def test_same_request_same_pixels(task: str) -> None:
    first, again = run(FakeBrush(asked(task))), run(FakeBrush(asked(task)))
    other = run(FakeBrush(asked(task, seed=6)))
    assert [picture.image.tobytes() for picture in first] == [picture.image.tobytes() for picture in again]
    assert first[-1].image.tobytes() != other[-1].image.tobytes()
    assert all(picture.image.mode == "RGB" and picture.facts["Model"] == "paper" for picture in first)


@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint", "outpaint"])
@pytest.mark.parametrize("sampler", ["Euler", "Euler a"])
def test_picture_i_of_a_batch_is_the_single_picture_with_seed_plus_i(task: str, sampler: str) -> None:
    many = run(FakeBrush(asked(task, batch_size=2, batch_count=2, sampler=sampler)))
    assert [(picture.index, picture.seed) for picture in many] == [(0, 5), (1, 6), (2, 7), (3, 8)]
    for picture in many:
        single = run(FakeBrush(asked(task, seed=picture.seed, sampler=sampler)))[0]
        assert picture.image.tobytes() == single.image.tobytes()


@pytest.mark.parametrize("task", list(SMALL))
def test_the_first_draw_of_a_stream_is_the_start_noise(task: str) -> None:
    brush = FakeBrush(asked(task))
    run(brush)
    noise = brush.asked[0][0].noise
    assert noise.equal(Stream(5).normal(tuple(noise.shape)))


def test_seeds_go_round_at_the_end() -> None:
    assert [picture.seed for picture in run(FakeBrush(asked("txt2img", seed=2**64 - 1, batch_size=2)))] == [2**64 - 1, 0]


def test_pictures_come_as_soon_as_they_exist() -> None:
    brush = FakeBrush(asked("txt2img", batch_size=2, batch_count=2))
    coming = TASKS["txt2img"](brush.request, {}, brush)
    assert brush.asked == []
    next(coming)
    assert (len(brush.asked), brush.decoded) == (1, 1)
    next(coming)
    next(coming)
    assert (len(brush.asked), brush.decoded) == (2, 3)


def test_open_sizes_are_native_or_the_pictures() -> None:
    assert run(FakeBrush(asked("txt2img")))[0].image.size == (64, 64)
    assert run(FakeBrush(asked("txt2img", width=128)))[0].image.size == (128, 64)
    assert run(FakeBrush(asked("img2img")))[0].image.size == (133, 97)
    assert run(FakeBrush(asked("img2img", width=64, height=72)))[0].image.size == (64, 72)
    assert run(FakeBrush(asked("inpaint", width=64, height=72)))[0].image.size == (64, 72)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
@pytest.mark.parametrize("task", ["img2img", "inpaint", "outpaint"])
def test_odd_pictures_are_taken(task: str, mode: str) -> None:
    inputs = {"image": NOISE.convert(mode), "mask": MASK.convert("RGBA" if mode == "RGBA" else mode)}
    assert run(FakeBrush(asked(task)), inputs)[0].image.size == ((157, 97) if task == "outpaint" else (133, 97))
    dot = {"image": Image.new(mode, (1, 1)), "mask": Image.new("L", (1, 1), 255)}
    assert run(FakeBrush(asked(task)), dot)[0].image.size == ((25, 1) if task == "outpaint" else (1, 1))

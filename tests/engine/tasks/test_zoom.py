"""Zoom: each key holds the one before, and the frames between them find their way."""

import hashlib
import itertools

import numpy as np
import pytest
from PIL import Image

from app import zoom_frames
from app.canvas.nested import joined, zoom_overlap
from app.engine.tasks.zoom import key_seed
from app.errors import BadRequest
from app.work import Picture
from tests.engine.tasks.brushes import FakeBrush
from tests.engine.tasks.test_tasks import NOISE, asked, pixels, run


def layer(picture: Picture) -> np.ndarray:
    assert picture.raw is not None
    return np.asarray(picture.raw)


@pytest.mark.parametrize("values", [{}, {"ratio": 1.5, "overlap": 0}, {"ratio": 4.0, "width": 96, "height": 64}, {"ratio": 3.3, "width": 160, "height": 152}])
def test_each_key_is_its_layer_with_the_key_before_in_its_middle(values: dict[str, float]) -> None:
    request = asked("zoom", **values)
    keys = run(FakeBrush(request, drift=6))
    overlap = zoom_overlap(request.overlap, keys[0].image.size, request.ratio)
    assert [key.index for key in keys] == [0, 1, 2]
    for inner, outer in itertools.pairwise(keys):
        assert np.array_equal(pixels(outer), joined(layer(outer), pixels(inner), request.ratio, overlap))
        assert not np.array_equal(pixels(outer), layer(outer)) or overlap == 0


def test_frames_pass_through_every_key_exactly() -> None:
    request = asked("zoom", seconds=1, fps=15)
    keys = run(FakeBrush(request))
    frames = list(zoom_frames.frames([key.image for key in keys], [key.raw for key in keys], request))
    positions = zoom_frames.positions(request)
    assert len(frames) == 15
    for i, key in enumerate(keys):
        assert frames[positions.index(i)].tobytes() == key.image.tobytes()


def test_key_0_is_the_picture_of_its_prompt() -> None:
    drawn = run(FakeBrush(asked("txt2img")))[0]
    assert run(FakeBrush(asked("zoom")))[0].image.tobytes() == drawn.image.tobytes()


def test_a_start_image_is_kept() -> None:
    keys = run(FakeBrush(asked("zoom", image="0" * 64)))
    assert keys[0].image.size == (136, 104)
    fitting = NOISE.resize((128, 96))
    brush = FakeBrush(asked("zoom", image="0" * 64, ratio=2.0, overlap=8))
    keys = run(brush, {"image": fitting})
    assert keys[0].image.tobytes() == fitting.tobytes() and len(keys) == 3
    half = fitting.resize((64, 48), Image.Resampling.LANCZOS)
    middle = (slice(24 + 10, 72 - 10), slice(32 + 10, 96 - 10))
    assert np.abs(pixels(keys[1])[middle].astype(int) - np.asarray(half)[10:-10, 10:-10]).max() <= 1


def test_tone_does_not_drift_from_key_to_key() -> None:
    """Each decoding is 6 levels too bright; over five keys that would be 30 at the border."""
    flat = lambda height, width: np.full((3, height, width), 0.0, np.float32)  # noqa: E731
    true = run(FakeBrush(asked("zoom", keys=6, steps=12), world=flat))[-1]
    drifted = run(FakeBrush(asked("zoom", keys=6, steps=12, image="0" * 64), world=flat, drift=6), {"image": Image.new("RGB", (64, 64), (128, 128, 128))})[-1]
    assert abs(float(pixels(drifted).mean()) - float(pixels(true).mean())) < 4


def test_seeds_are_derived() -> None:
    keys = run(FakeBrush(asked("zoom", seed=5)))
    assert [key.seed for key in keys] == [5, key_seed(5, 1), key_seed(5, 2)] and len({key.seed for key in keys}) == 3
    assert key_seed(5, 1) == int(hashlib.sha256(b"5:1").hexdigest()[:8], 16)


def test_prompts_reach_the_model() -> None:
    brush = FakeBrush(asked("zoom", prompt="p", storyboard="1: a\n2: b"))
    run(brush)
    assert [prompt for _, prompt in brush.asked] == ["p", "a", "b"]


def test_a_line_for_a_key_that_does_not_exist() -> None:
    with pytest.raises(BadRequest, match=r"a line for key 3 .*with 3 keys the last is key 2"):
        run(FakeBrush(asked("zoom", storyboard="3: a castle")))

"""The zoom's frames: exact at the keys, smooth between them, and true to a scene that can be zoomed forever on paper."""

import itertools
import math

import numpy as np
import pytest
from PIL import Image

from app import zoom_frames
from app.canvas.fit import as_image
from app.canvas.nested import joined, zoom_overlap
from app.errors import BadRequest
from app.request import Zoom

SIDE = 192


def scene(scale: float, side: int = SIDE, samples: int = 3) -> np.ndarray:
    """World coordinates -scale..scale of a log-polar pattern that looks alike at every zoom; (side, side, 3) uint8."""
    place = ((np.arange(side * samples) + 0.5) / (side * samples) * 2 - 1) * scale
    x, y = np.meshgrid(place, place)
    r, angle = np.hypot(x, y) + 1e-9, np.arctan2(y, x)
    turn = np.log2(r) * 2 * np.pi
    red = 0.5 + 0.22 * np.sin(2 * turn + 3 * angle) + 0.18 * np.sin(3 * turn - 4 * angle) + 0.1 * np.sin(4 * turn + 7 * angle)
    green = 0.5 + 0.3 * np.sin(2 * turn - 3 * angle) + 0.1 * np.sin(4 * turn + 5 * angle)
    blue = 0.5 + 0.3 * np.sin(3 * turn + 2 * angle) + 0.1 * np.sin(4 * turn - 6 * angle)
    fade = np.clip(r / (scale / side * 24), 0, 1)[..., None] ** 2
    picture = 0.5 + (np.stack([red, green, blue], -1) - 0.5) * fade
    picture = picture.reshape(side, samples, side, samples, 3).mean(axis=(1, 3))
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def chain(request: Zoom, layers: list[np.ndarray]) -> tuple[list[Image.Image], list[Image.Image | None]]:
    """Keys as the zoom task makes them from generated layers."""
    overlap = zoom_overlap(request.overlap, (layers[0].shape[1], layers[0].shape[0]), request.ratio)
    keys = [layers[0]]
    for layer in layers[1:]:
        keys.append(joined(layer, keys[-1], request.ratio, overlap))
    return [as_image(key) for key in keys], [as_image(layer) for layer in layers]


def noise_chain(request: Zoom, width: int = 64, height: int = 48) -> tuple[list[Image.Image], list[Image.Image | None]]:
    rng = np.random.default_rng(6)
    return chain(request, [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(request.keys)])


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("ratio", [1.25, 2.0, 3.3])
def test_every_key_is_a_frame_bit_for_bit(ratio: float) -> None:
    request = Zoom(keys=3, seconds=1.5, fps=20, ratio=ratio)
    keys, raws = noise_chain(request)
    positions, frames = zoom_frames.positions(request), list(zoom_frames.frames(keys, raws, request))
    assert len(frames) == len(positions) == 30
    assert all(frame.size == (64, 48) and frame.mode == "RGB" for frame in frames)
    at_key = {z: frame for z, frame in zip(positions, frames, strict=True) if z == int(z)}
    assert sorted(at_key) == [0.0, 1.0, 2.0]
    assert all(same(at_key[float(i)], key) for i, key in enumerate(keys))
    assert same(frames[0], keys[0]) and same(frames[-1], keys[-1])


@pytest.mark.parametrize(("keys", "seconds", "fps"), [(2, 0.5, 1), (4, 6, 20), (5, 1, 7), (64, 3, 30), (64, 1, 30)])
def test_scale_is_monotone_and_even(keys: int, seconds: float, fps: int) -> None:
    out = zoom_frames.positions(Zoom(keys=keys, seconds=seconds, fps=fps))
    assert len(out) == max(2, round(seconds * fps)) and out[0] == 0 and out[-1] == keys - 1
    steps = np.diff(out)
    assert (steps > 0).all()
    if len(out) >= keys:
        assert set(range(keys)) <= set(out)
        per_key = np.rint(1 / steps)
        assert per_key.max() - per_key.min() <= 1
    assert zoom_frames.positions(Zoom(keys=keys, seconds=seconds, fps=fps, direction="in")) == out[::-1]


@pytest.mark.parametrize("seconds", [1.0, 1.1, 1.3])
def test_there_and_back(seconds: float) -> None:
    request = Zoom(keys=3, seconds=seconds, fps=10, direction="out then in")
    path = zoom_frames.positions(request)
    assert len(path) == round(seconds * 10) and path == path[::-1] and max(path) == 2 and path[0] == 0
    other = zoom_frames.positions(request.model_copy(update={"direction": "in then out"}))
    assert other == [2 - z for z in path] or (other == other[::-1] and other[0] == 2 and min(other) == 0 and len(other) == len(path))


def test_in_is_out_backwards() -> None:
    request = Zoom(keys=3, seconds=1, fps=12)
    keys, raws = noise_chain(request)
    out = [frame.tobytes() for frame in zoom_frames.frames(keys, raws, request)]
    into = [frame.tobytes() for frame in zoom_frames.frames(keys, raws, request.model_copy(update={"direction": "in"}))]
    assert into == out[::-1] and len(set(out)) == 12


def test_frames_are_true_and_do_not_jitter() -> None:
    request = Zoom(keys=4, seconds=3.05, fps=20, overlap=8)
    keys, raws = chain(request, [scene(2.0**i) for i in range(4)])
    positions, frames = zoom_frames.positions(request), [np.asarray(frame, float) for frame in zoom_frames.frames(keys, raws, request)]
    for z, frame in list(zip(positions, frames, strict=True))[1::6]:
        error = np.mean((frame - scene(2.0**z)) ** 2)
        assert 10 * math.log10(255**2 / error) >= 40, z
    moves = np.array([np.abs(after - before).mean() for before, after in itertools.pairwise(frames)])
    assert np.abs(np.diff(moves)).mean() < 0.02 * moves.mean()


def test_no_jump_around_a_key_when_layers_differ() -> None:
    """Random layers share nothing: what moves between two frames next to a key must be no more than elsewhere."""
    rng = np.random.default_rng(7)
    soft = [np.asarray(Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((128, 128), Image.Resampling.BICUBIC)) for _ in range(4)]
    request = Zoom(keys=4, seconds=3.65, fps=20)
    keys, raws = chain(request, soft)
    frames = [np.asarray(frame, float) for frame in zoom_frames.frames(keys, raws, request)]
    moves = np.array([np.abs(after - before).mean() for before, after in itertools.pairwise(frames)])
    at_keys = [moves[i] for key in (24, 48) for i in (key - 1, key)]
    assert max(at_keys) < 1.4 * np.median(moves)


def test_keys_without_their_layers_are_refused() -> None:
    request = Zoom(keys=3)
    keys, raws = noise_chain(request)
    with pytest.raises(ValueError, match="raw layer"):
        next(zoom_frames.frames(keys, [*raws[:2], None], request))
    assert len(list(zoom_frames.frames(keys, [None, *raws[1:]], request.model_copy(update={"seconds": 0.5})))) == 10


@pytest.mark.parametrize(("storyboard", "prompts"), [
    ("", ["p", "p", "p", "p"]),
    ("a\n\n b \n", ["a", "b", "b", "b"]),
    ("2: a castle", ["p", "p", "a castle", "a castle"]),
    ("0: a\n2:b, 16:9", ["a", "a", "b, 16:9", "b, 16:9"]),
    ("16:9 frame\n2: sea\nsky", ["16:9 frame", "16:9 frame", "sea", "sky"]),
])  # fmt: skip
def test_storyboard(storyboard: str, prompts: list[str]) -> None:
    assert zoom_frames.key_prompts(Zoom(prompt="p", keys=4, storyboard=storyboard)) == prompts


def test_a_line_for_a_key_that_does_not_exist() -> None:
    with pytest.raises(BadRequest, match=r"a line for key 2 .*with 2 keys the last is key 1"):
        zoom_frames.key_prompts(Zoom(keys=2, storyboard="a\nb\nc"))

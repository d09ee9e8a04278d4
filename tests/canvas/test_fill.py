"""Fills: smooth, exact where something is known."""

import numpy as np
import pytest

from app.canvas.fill import filled, pull_push

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("kind", ["pyramid", "edge", "mirror", "latent noise"])
def test_known_pixels_stay_and_all_others_are_filled(kind: str) -> None:
    pixels = RNG.integers(100, 110, (97, 133, 3), dtype=np.uint8)
    known = np.zeros((97, 133), bool)
    known[20:60, 30:70] = True
    known[60:70, 30:50] = True
    hidden = np.where(known[..., None], pixels, 0).astype(np.uint8)
    result = filled(hidden, known, kind)
    assert np.array_equal(result[known], pixels[known])
    assert result.min() >= 100 and result.max() < 110
    assert np.array_equal(filled(np.where(known[..., None], pixels, 255).astype(np.uint8), known, kind), result)


def test_edge_and_mirror() -> None:
    pixels = np.zeros((1, 12, 3), np.uint8)
    pixels[0, 4:7] = np.array([10, 20, 30])[:, None]
    known = np.zeros((1, 12), bool)
    known[0, 4:7] = True
    assert filled(pixels, known, "edge")[0, :, 0].tolist() == [10, 10, 10, 10, 10, 20, 30, 30, 30, 30, 30, 30]
    assert filled(pixels, known, "mirror")[0, :, 0].tolist() == [30, 30, 20, 10, 10, 20, 30, 30, 20, 10, 10, 20]
    tall = np.swapaxes(pixels, 0, 1)
    assert np.array_equal(filled(tall, known.T, "mirror"), filled(pixels, known, "mirror").swapaxes(0, 1))


def test_edge_and_mirror_equal_numpys_padding_around_a_rectangle() -> None:
    inner = RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    known = np.pad(np.ones((16, 24), bool), 9)
    pixels = np.pad(inner, ((9, 9), (9, 9), (0, 0)))
    assert np.array_equal(filled(pixels, known, "edge"), np.pad(inner, ((9, 9), (9, 9), (0, 0)), mode="edge"))
    assert np.array_equal(filled(pixels, known, "mirror"), np.pad(inner, ((9, 9), (9, 9), (0, 0)), mode="symmetric"))


def test_nothing_known_is_gray_and_one_pixel_is_spread() -> None:
    blank = np.zeros((8, 8, 3), np.uint8)
    assert (filled(blank, np.zeros((8, 8), bool), "edge") == 128).all()
    one = np.zeros((8, 8), bool)
    one[3, 4] = True
    blank[3, 4] = (1, 2, 3)
    for kind in ("pyramid", "edge", "mirror"):
        assert (filled(blank, one, kind) == (1, 2, 3)).all()


def test_pull_push_continues_without_a_step() -> None:
    x = np.linspace(0, 200, 128, dtype=np.float32)
    values = np.broadcast_to(x[None, :, None], (64, 128, 1)).copy()
    known = np.zeros((64, 128), np.float32)
    known[:, :40] = known[:, 90:] = 1
    smooth = pull_push(values * known[..., None], known)
    assert np.allclose(smooth[known > 0], values[known > 0], atol=1e-3)
    assert np.abs(np.diff(smooth[32, 36:94, 0])).max() < 25
    assert smooth.min() >= -1e-3 and smooth.max() <= 200.001

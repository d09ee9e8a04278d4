"""A picture drawn small in the middle of another."""

import numpy as np
import pytest

from app.canvas.nested import draw_inside, inner_box, joined, magnified, zoom_overlap

RNG = np.random.default_rng(5)


def test_half_size_of_a_constant_covers_its_box_exactly() -> None:
    outer = np.zeros((96, 128, 3), np.float32)
    draw_inside(outer, np.full((96, 128, 3), 200, np.uint8), 0.5, 0)
    assert (outer[24:72, 32:96] == 200).all() and outer.sum() == 200 * 3 * 48 * 64
    assert inner_box((128, 96), 2) == (32, 24, 96, 72)


def test_edges_between_pixels_are_covered_in_part() -> None:
    outer = np.zeros((10, 10, 3), np.float32)
    draw_inside(outer, np.full((10, 10, 3), 100, np.uint8), 0.75, 0)
    assert outer[5, :, 0].tolist() == [0, 75, 100, 100, 100, 100, 100, 100, 75, 0]
    assert outer[1, 1, 0] == pytest.approx(56.25)
    assert inner_box((10, 10), 4 / 3) == (2, 2, 8, 8)


def test_area_grows_smoothly_with_scale() -> None:
    sums = []
    for scale in np.linspace(0.4, 0.6, 81):
        outer = np.zeros((64, 64, 3), np.float32)
        draw_inside(outer, np.full((64, 64, 3), 255, np.uint8), float(scale), 0)
        sums.append(np.sqrt(outer[..., 0].sum() / 255) / 64)
    assert np.allclose(sums, np.linspace(0.4, 0.6, 81), atol=1e-4)


def test_magnified_by_one_is_exact_and_the_feather_shows_the_outer_picture() -> None:
    raw, inner = (RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    assert np.array_equal(magnified(raw, 1.0), raw)
    key = joined(raw, inner, 2.0, 8)
    outside = np.ones((64, 64), bool)
    outside[16:48, 16:48] = False
    assert np.array_equal(key[outside], raw[outside])
    assert np.array_equal(key[24:40, 24:40], joined(np.zeros_like(raw), inner, 2.0, 0)[24:40, 24:40])
    assert np.abs(key[16, 16:48].astype(int) - raw[16, 16:48]).mean() < 8


def test_overlap_is_at_most_a_quarter_of_the_inner_picture() -> None:
    assert zoom_overlap(16, (128, 128), 2.0) == 16
    assert zoom_overlap(256, (128, 64), 2.0) == 8

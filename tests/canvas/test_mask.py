"""Masks: what is painted, and how far the soft edge reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.canvas.mask import blurred, cells, read_mask, region, spread
from app.errors import BadRequest


def square(size: tuple[int, int] = (40, 30), box: tuple[int, int, int, int] = (10, 10, 20, 20)) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_white_is_painted_in_every_kind_of_mask() -> None:
    levels = read_mask(square(), (40, 30), "Inpaint masked")
    assert levels[10:20, 10:20].min() == 255 and int(levels.astype(int).sum()) == 255 * 100
    assert np.array_equal(read_mask(square().convert("RGB"), (40, 30), "Inpaint masked"), levels)
    assert np.array_equal(read_mask(square().convert("RGBA"), (40, 30), "Inpaint masked"), levels)
    painted = Image.new("RGBA", (40, 30), (255, 255, 255, 0))
    painted.paste((255, 255, 255, 255), (10, 10, 20, 20))
    painted.paste((0, 0, 0, 255), (25, 10, 30, 20))
    assert np.array_equal(read_mask(painted, (40, 30), "Inpaint masked"), levels)


def test_not_masked_is_the_other_part() -> None:
    painted = read_mask(square(), (40, 30), "Inpaint masked")
    assert np.array_equal(read_mask(square(), (40, 30), "Inpaint not masked"), 255 - painted)


def test_a_jpegs_noise_is_not_painted() -> None:
    mask = np.array(square())
    mask[0, 0], mask[15, 15] = 5, 250
    levels = read_mask(Image.fromarray(mask), (40, 30), "Inpaint masked")
    assert levels[0, 0] == 0 and levels[15, 15] == 255


@pytest.mark.parametrize(("mask", "mode", "sentence"), [
    (square((41, 30)), "Inpaint masked", "The mask is 41x30, but the image is 40x30."),
    (Image.new("L", (40, 30)), "Inpaint masked", "The mask is empty."),
    (Image.new("L", (40, 30), 60), "Inpaint masked", "The mask is empty."),
    (Image.new("L", (40, 30), 255), "Inpaint not masked", "nothing is left to paint"),
])  # fmt: skip
def test_masks_that_cannot_be_used(mask: Image.Image, mode: str, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        read_mask(mask, (40, 30), mode)


@pytest.mark.parametrize("radius", [0, 1, 4, 12])
def test_blur_is_zero_farther_than_three_radii_away(radius: int) -> None:
    mask = np.array(square((200, 160), (60, 40, 140, 120)))
    soft = blurred(mask, radius)
    assert not soft[~spread(mask > 0, 3 * radius)].any()
    if radius:
        assert 0 < soft[80, 59 - radius] < 128 < soft[80, 60 + radius]
    else:
        assert np.array_equal(soft, mask)


@given(st.integers(0, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_spread_is_a_square_around_each_pixel(reach: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((17, 23)) < 0.03
    wide = np.pad(mask, reach)
    naive = np.lib.stride_tricks.sliding_window_view(wide, (2 * reach + 1,) * 2).any(axis=(2, 3))
    assert np.array_equal(spread(mask, reach), naive)


def test_cells_snap_outward() -> None:
    mask = np.zeros((24, 16), bool)
    mask[8, 15] = True
    assert cells(mask).tolist() == [[0, 0], [0, 1], [0, 0]]


@given(st.integers(0, 190), st.integers(0, 90), st.integers(1, 50), st.integers(1, 50), st.integers(0, 64), st.sampled_from([0.5, 1.0, 1.5, 2.0]))
@settings(max_examples=60, deadline=None)
def test_region_holds_the_mask_with_its_padding(x: int, y: int, width: int, height: int, padding: int, aspect: float) -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[y : y + height, x : x + width] = 255
    left, top, right, bottom = region(mask, padding, aspect)
    assert 0 <= left <= max(0, x - padding) and 0 <= top <= max(0, y - padding)
    assert 200 >= right >= min(200, x + width + padding) and 100 >= bottom >= min(100, y + height + padding)
    if right - left < 200 and bottom - top < 100:
        assert abs((right - left) - aspect * (bottom - top)) <= max(1, aspect)

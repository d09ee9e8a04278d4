"""Pictures to RGB, and to sizes."""

import numpy as np
import pytest
from PIL import Image

from app.canvas.fit import as_image, as_rgb, fit, inner_box, padded, resized

NOISE = np.random.default_rng(1).integers(0, 256, (97, 133, 3), dtype=np.uint8)


def test_opaque_colour_stays_bit_for_bit() -> None:
    rgba = np.dstack([NOISE, np.full(NOISE.shape[:2], 255, np.uint8)])
    assert np.array_equal(as_rgb(as_image(NOISE)), NOISE)
    assert np.array_equal(as_rgb(Image.fromarray(rgba)), NOISE)


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 200, 128))
    assert as_rgb(image).tolist() == [[[255, 255, 255], [127, 127, 227]]]


def test_gray_of_16_bits_and_palettes_become_rgb() -> None:
    deep = Image.fromarray(np.array([[0, 257, 65535, 128 * 257]], np.uint16))
    assert as_rgb(deep)[0, :, 0].tolist() == [0, 1, 255, 128]
    assert as_rgb(Image.new("P", (3, 2))).shape == as_rgb(Image.new("1", (3, 2))).shape == (2, 3, 3)


@pytest.mark.parametrize("mode", ["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"])
def test_a_picture_of_the_right_size_is_not_resampled(mode: str) -> None:
    assert np.array_equal(fit(NOISE, 133, 97, mode), NOISE)
    for width, height in ((64, 256), (256, 64), (8, 8)):
        assert fit(NOISE, width, height, mode).shape == (height, width, 3)
        assert fit(NOISE[:1, :1], width, height, mode).shape == (height, width, 3)


def test_crop_covers_and_fill_shows_everything() -> None:
    halves = np.zeros((64, 128, 3), np.uint8)
    halves[:, :32], halves[:, 96:] = 200, 100
    cropped = fit(halves, 64, 64, "Crop and resize")
    assert np.array_equal(cropped, halves[:, 32:96])
    whole = fit(halves, 128, 128, "Resize and fill")
    assert np.array_equal(whole[32:96], halves)
    assert np.array_equal(whole[0], halves[0]) and np.array_equal(whole[-1], halves[-1])
    assert np.array_equal(fit(halves, 64, 64, "Just resize"), resized(halves, 64, 64))


def test_boxes_are_a1111s() -> None:
    assert inner_box((128, 64), 64, 64, cover=True) == (-32, 0, 96, 64)
    assert inner_box((128, 64), 64, 64, cover=False) == (0, 16, 64, 48)
    assert inner_box((133, 97), 64, 64, cover=False) == (0, 9, 64, 55)
    assert inner_box((4096, 1), 64, 64, cover=False) == (0, 32, 64, 33)


def test_padding_repeats_the_edge() -> None:
    wide = padded(NOISE)
    assert wide.shape == (104, 136, 3)
    assert np.array_equal(wide[:97, :133], NOISE) and np.array_equal(wide[96, :133], wide[103, :133])
    assert padded(wide) is wide
    assert padded(NOISE[..., 0]).shape == (104, 136)

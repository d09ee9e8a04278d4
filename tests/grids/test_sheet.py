"""Sheets: pictures in their places, words at the edges, never too large."""

import numpy as np
import pytest
from PIL import Image

from app.grids import fonts
from app.grids.fonts import bare, font_for, plain, speakable
from app.grids.sheet import MAX_LINES, MAX_PIXELS, MAX_SIDE, Labels, sheet, wrapped


def cell(x: int, y: int) -> Image.Image:
    return Image.new("RGB", (64, 48), (x * 90, y * 90, 200))


def test_pictures_stand_in_their_places_with_the_margin_between() -> None:
    image, scale = sheet((3, 2), (64, 48), cell, margin=5)
    assert image.size == (3 * 64 + 10, 2 * 48 + 5) and scale == 1
    for x in range(3):
        for y in range(2):
            left, top = x * 69, y * 53
            assert (np.asarray(image)[top : top + 48, left : left + 64] == (x * 90, y * 90, 200)).all()
    assert (np.asarray(image)[:, 64:69] == 255).all()


def test_smaller_pictures_stand_in_the_middle() -> None:
    image, _ = sheet((2, 1), (64, 64), lambda x, y: Image.new("RGB", (64, 64) if x else (32, 16)))
    assert image.getpixel((16, 24)) == (0, 0, 0) and image.getpixel((15, 24)) == (255, 255, 255) and image.getpixel((16, 23)) == (255, 255, 255)


@pytest.mark.parametrize("labels", [Labels(columns=["Steps: 1", ""]), Labels(rows=["Steps: 1", "Steps: 2"]), Labels(title="CFG Scale: 7")])
def test_labels_are_written_beside_the_pictures_and_not_over_them(labels: Labels) -> None:
    bare_image, _ = sheet((2, 2), (64, 64), lambda x, y: Image.new("RGB", (64, 64), "red"))
    image, _ = sheet((2, 2), (64, 64), lambda x, y: Image.new("RGB", (64, 64), "red"), labels)
    assert image.width > bare_image.width or image.height > bare_image.height
    pixels = np.asarray(image).astype(int)
    assert (pixels[-128:, -128:] == (255, 0, 0)).all()
    outside = pixels.copy()
    outside[-128:, -128:] = 255
    assert (outside < 128).any()


def test_a_large_grid_is_drawn_smaller() -> None:
    image, scale = sheet((40, 30), (512, 512), lambda x, y: Image.new("L", (512, 512)), Labels([f"Steps: {i}" for i in range(40)], ["x"] * 30, "z"))
    assert scale < 1 and image.width * image.height <= MAX_PIXELS and max(image.size) <= MAX_SIDE and image.width > 5000
    tall, _ = sheet((1, 300), (64, 512), lambda x, y: Image.new("L", (64, 512)))
    assert tall.height <= MAX_SIDE


@pytest.mark.parametrize("text", ["plain", "ä ö ü ß é", "日本語 한국어", "🏠 emoji", "\x00\u202e\ud7ff", "עברית", "\U0010ffff" * 5, "", "a\nb\tc"])
def test_any_text_can_be_written(text: str) -> None:
    image, _ = sheet((1, 1), (64, 64), cell, Labels([text], [text], text))
    assert image.width >= 64
    assert all(fonts.draws("", sign) for sign in speakable(fonts.load("", 12) or font_for("", 12), text))


def test_signs_without_a_font_lose_their_accents_or_become_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "SYSTEM", ())
    font = font_for("für 家", 16)
    assert speakable(font, "fur") == "fur" and speakable(font, "für 家") in ("fur ?", "für ?")
    assert bare("", "家") == "?" and plain(" a\n\tb\x07 ") == "a b"


def test_long_labels_are_wrapped_and_cut() -> None:
    font = font_for("", 16)
    lines = wrapped(font, "Sampler: DPM++ 2M SDE Heun and a Supercalifragilisticexpialidocious word", 120)
    assert len(lines) > 2 and all(font.getlength(line) <= 120 for line in lines) and "".join(lines).replace(" ", "").startswith("Sampler:DPM++2M")
    many = wrapped(font, "word " * 500, 120)
    assert len(many) == MAX_LINES and many[-1].endswith("...")
    assert wrapped(font, "", 120) == []

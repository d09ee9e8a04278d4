"""Texts in the transparency of a picture."""

import io
import json

import pytest
from PIL import Image

from app.foreign.stealth import hidden
from tests.foreign.chunks import novelai, stealth


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", [(64, 48), (400, 9), (5, 900)])
def test_a_text_comes_back(packed: bool, size: tuple[int, int]) -> None:
    assert hidden(opened(stealth("cät\nSteps: 20", size, packed))) == "cät\nSteps: 20"


def test_a_long_one_over_many_columns() -> None:
    text = json.dumps(novelai() | {"noise": "".join(chr(65 + i * i % 57) for i in range(900))})
    assert hidden(opened(stealth(text, (64, 300)))) == text


def test_a_bomb_is_cut_off() -> None:
    assert len(hidden(opened(stealth("a" * 8_000_000, (256, 256))))) == 2**20


def test_nothing_in_other_pictures() -> None:
    broken = opened(stealth("cat"))
    broken.putpixel((2, 0), (9, 8, 7, 255 - broken.getpixel((2, 0))[3] % 2))
    cut = opened(stealth("x" * 300, (64, 48), False)).crop((0, 0, 8, 48))
    for image in (Image.new("RGBA", (64, 64)), Image.new("RGB", (64, 64)), Image.new("RGBA", (1, 1)), cut, broken):
        assert hidden(image) == ""

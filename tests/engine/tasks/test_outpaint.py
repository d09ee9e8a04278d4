"""Outpaint: the picture is kept bit for bit, whatever its size and the sides."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.canvas.blend import depth
from app.errors import BadRequest
from tests.engine.tasks.brushes import FakeBrush
from tests.engine.tasks.test_tasks import NOISE, asked, pixels, run

SIDES = [sides for sides in product((0, 24), repeat=4) if any(sides)]


def extend(image: Image.Image, sides: tuple[int, int, int, int], drift: float = 0.0, native: int = 64, **values: Any) -> tuple[np.ndarray, FakeBrush]:
    left, right, up, down = sides
    request = asked("outpaint", **{"steps": 2, "coherence": "Fast", "left": left, "right": right, "up": up, "down": down, **values})
    brush = FakeBrush(request, native, drift=drift)
    return pixels(run(brush, {"image": image})[0]), brush


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("overlap", [0, 16])
def test_kept_pixels_are_bit_identical_on_every_mix_of_sides(sides: tuple[int, int, int, int], overlap: int) -> None:
    left, right, up, down = sides
    result, _ = extend(NOISE, sides, overlap=overlap, drift=9)
    source = np.asarray(NOISE)
    assert result.shape == (97 + up + down, 133 + left + right, 3)
    known = np.zeros(result.shape[:2], bool)
    known[up : up + 97, left : left + 133] = True
    kept = depth(known) > overlap
    assert np.array_equal(result[kept], source[kept[up : up + 97, left : left + 133]])
    if overlap:
        band = known & ~kept
        assert (result[band] != source[band[up : up + 97, left : left + 133]]).mean() > 0.5
    assert result[~known].std() > 1


@pytest.mark.parametrize(("fill", "coherence"), [("pyramid", "Fast"), ("edge", "Normal"), ("mirror", "Best"), ("latent noise", "Normal")])
def test_every_fill_and_coherence_reaches_the_model(fill: str, coherence: str) -> None:
    result, brush = extend(NOISE, (24, 0, 0, 16), outpaint_fill=fill, coherence=coherence, denoising_strength=0.9)
    start = brush.asked[0][0]
    assert (start.rounds, start.fresh, start.strength) == ({"Fast": 0, "Normal": 2, "Best": 5}[coherence], coherence == "Fast", 0.9)
    assert (start.init is None) == (fill != "latent noise") and start.source is not None and start.mask is not None
    assert np.array_equal(result[:81, 40:], np.asarray(NOISE)[:81, 16:])


def test_facts_tell_what_was_done() -> None:
    brush = FakeBrush(asked("outpaint", left=8, right=0, up=16, down=24, overlap=12))
    facts = run(brush)[0].facts
    assert facts.pop("Outpaint seam").replace(".", "").isdigit()
    assert facts == {"Model": "paper", "Outpaint": "8 0 16 24", "Outpaint overlap": "12", "Outpaint fill": "pyramid", "Outpaint coherence": "Normal"}


def test_three_in_a_row_leave_the_first_picture_alone() -> None:
    image = NOISE
    for sides in ((0, 24, 0, 0), (0, 0, 16, 0), (8, 0, 0, 8)):
        result, _ = extend(image, sides, overlap=0, drift=5)
        image = Image.fromarray(result)
    assert np.array_equal(result[16 : 16 + 97, 8 : 8 + 133], np.asarray(NOISE))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 200), (300, 9)])
def test_small_and_narrow_pictures(size: tuple[int, int]) -> None:
    image = NOISE.resize(size)
    result, _ = extend(image, (8, 16, 24, 32), overlap=0)
    assert result.shape == (size[1] + 56, size[0] + 24, 3)
    assert np.array_equal(result[24 : 24 + size[1], 8 : 8 + size[0]], np.asarray(image))


def test_a_seam_is_healed_and_scored() -> None:
    """A decoder that is 9 levels too bright: without tone match it would show as a frame."""
    y, x = np.mgrid[0:64, 0:64].astype(float)
    calm = Image.fromarray(np.stack([100 + x / 2, 120 + y / 3, 90 + (x + y) / 4], -1).astype(np.uint8))
    flat = lambda height, width: np.full((3, height, width), -0.1, np.float32)  # noqa: E731
    request = asked("outpaint", left=32, right=32, up=32, down=32, denoising_strength=0, overlap=8)
    bright = run(FakeBrush(request, 128, drift=9, world=flat), {"image": calm})[0]
    exact = run(FakeBrush(request, 128, world=flat), {"image": calm})[0]
    assert float(bright.facts["Outpaint seam"]) <= float(exact.facts["Outpaint seam"]) + 0.5
    ring = np.abs(pixels(bright).astype(int) - pixels(exact))
    assert ring.mean() < 3


def test_large_extensions_are_painted_in_windows_that_suit_the_model() -> None:
    _, brush = extend(NOISE, (200, 96, 104, 0), native=64)
    shapes = [start.noise.shape[-2:] for start, _ in brush.asked]
    assert len(shapes) > 8 and all(height <= 12 and width <= 12 for height, width in shapes)


def test_what_is_refused() -> None:
    with pytest.raises(BadRequest, match="Left, right, up and down are all 0"):
        extend(NOISE, (0, 0, 0, 0))
    with pytest.raises(BadRequest, match="4229x97, but at most 4096x4096"):
        extend(NOISE, (2048, 2048, 0, 0))

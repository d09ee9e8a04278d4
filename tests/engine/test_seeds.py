"""The noise that pictures start from, against a plain reading of A1111's rules in NumPy and the golden numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from app.engine.noise import Stream
from app.engine.seeds import PictureStream, SeedExtras, centred, slerp
from app.request import MAX_SEED, Txt2Img, parse

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/a1111.json").read_text(encoding="utf-8"))
SHAPE = (1, 4, 6, 5)


def plain_slerp(strength: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(c,h,w) column by column, in double precision."""
    low, high, made = low.astype(np.float64), high.astype(np.float64), np.empty(low.shape)
    cosines = np.empty((low.shape[0], low.shape[2]))
    for c, x in np.ndindex(cosines.shape):
        one, two = low[c, :, x], high[c, :, x]
        cosines[c, x] = one @ two / np.sqrt(one @ one) / np.sqrt(two @ two)
    if cosines.mean() > 0.9995:
        return low * strength + high * (1 - strength)
    for c, x in np.ndindex(cosines.shape):
        angle = np.arccos(cosines[c, x])
        made[c, :, x] = (np.sin((1 - strength) * angle) * low[c, :, x] + np.sin(strength * angle) * high[c, :, x]) / np.sin(angle)
    return made


def draws(seed: int, source: str, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    stream = Stream(seed, source)
    return [stream.normal(shape).numpy()[0] for shape in shapes]


def started(seed: int, source: str = "NV", shape: tuple[int, ...] = SHAPE, **extras) -> np.ndarray:
    return PictureStream(seed, source, SeedExtras(**extras)).start(shape).numpy()[0]


@pytest.mark.parametrize("seed", GOLDEN["philox_randn"])
def test_without_extras_it_is_the_seeds_own_noise(seed: str) -> None:
    expected = GOLDEN["philox_randn"][seed]
    assert PictureStream(int(seed)).start((1, 1, 3, 4)).flatten().tolist() == pytest.approx(expected, abs=2e-6)
    stream = PictureStream(42)
    first, second = GOLDEN["philox_second_call_seed42_n4_after_n4"]
    assert stream.start((1, 1, 2, 2)).flatten().tolist() == pytest.approx(first, abs=2e-6)
    assert stream.normal((1, 1, 2, 2)).flatten().tolist() == pytest.approx(second, abs=2e-6)


@pytest.mark.parametrize("source", ["NV", "CPU"])
@pytest.mark.parametrize("strength", [0.01, 0.3, 0.5, 1.0])
def test_a_variation_is_a_slerp_of_two_first_draws(source: str, strength: float) -> None:
    [own], [other] = draws(5, source, SHAPE), draws(77, source, SHAPE)
    assert np.allclose(started(5, source, variation=77, strength=strength), plain_slerp(strength, own, other), atol=3e-6)


def test_the_ends_of_a_slerp_and_its_length() -> None:
    low, high = Stream(1).normal((1, 4, 64, 64)), Stream(2).normal((1, 4, 64, 64))
    assert torch.allclose(slerp(0.0, low, high), low, atol=1e-5) and torch.allclose(slerp(1.0, low, high), high, atol=1e-5)
    assert slerp(0.5, low, high).std() == pytest.approx(1, abs=0.02) and ((low + high) / 2).std() < 0.75


def test_nearly_equal_noise_is_mixed_on_a_line_from_the_other_side_as_a1111_does() -> None:
    low = Stream(1).normal(SHAPE)
    high = low * 1.001
    assert torch.equal(slerp(0.25, low, high), low * 0.25 + high * 0.75)
    assert np.allclose(started(5, variation=5, strength=0.4), started(5), atol=1e-6)


@pytest.mark.parametrize(("to", "size"), [((10, 12), (6, 8)), ((6, 8), (10, 12)), ((9, 8), (6, 13)), ((7, 7), (4, 6))])
def test_resized_noise_lies_in_the_middle(to: tuple[int, int], size: tuple[int, int]) -> None:
    """`to` and `size` are (rows, columns) of latents."""
    [around], [noise] = draws(5, "NV", (1, 4, *to)), draws(5, "NV", (1, 4, *size))
    made = started(5, shape=(1, 4, *to), resize_from=(size[1] * 8, size[0] * 8))
    rows, columns = ((wide - small) // 2 for wide, small in zip(to, size, strict=True))
    for y, x in np.ndindex(to):
        inside = 0 <= y - rows < size[0] and 0 <= x - columns < size[1]
        # where the old size is larger by an odd number, A1111 leaves the last row or column as it was
        inside = inside and y < size[0] + 2 * min(rows, 0) + max(rows, 0) and x < size[1] + 2 * min(columns, 0) + max(columns, 0)
        expected = noise[:, y - rows, x - columns] if inside else around[:, y, x]
        assert np.array_equal(made[:, y, x], expected), (y, x)


def test_a_resized_variation_mixes_at_the_old_size() -> None:
    [around], [own], [other] = draws(5, "NV", (1, 4, 8, 8)), draws(5, "NV", SHAPE), draws(6, "NV", SHAPE)
    expected = around.copy()
    expected[:, 1:7, 1:6] = plain_slerp(0.3, own, other)
    assert np.allclose(started(5, shape=(1, 4, 8, 8), variation=6, strength=0.3, resize_from=(40, 48)), expected, atol=3e-6)


def test_a_resize_to_its_own_size_and_half_a_size_change_nothing() -> None:
    assert np.array_equal(started(5, resize_from=(40, 48)), started(5))
    assert SeedExtras.of(Txt2Img(seed_resize_from_w=64), 0).resize_from is None


@pytest.mark.parametrize("source", ["NV", "CPU"])
@pytest.mark.parametrize("extras", [{}, {"variation": 9, "strength": 0.2}, {"resize_from": (64, 64)}])
def test_what_comes_later_is_the_seeds_own(source: str, extras: dict) -> None:
    stream = PictureStream(5, source, SeedExtras(**extras))
    stream.start(SHAPE)
    later = [stream.normal(SHAPE).numpy()[0] for _ in range(2)]
    assert np.array_equal(later, draws(5, source, SHAPE, SHAPE, SHAPE)[1:])


@pytest.mark.parametrize("delta", [31337, -7])
def test_ensd_begins_anew_after_the_first_draw(delta: int) -> None:
    stream = PictureStream(5, "NV", SeedExtras(delta=delta))
    assert np.array_equal(stream.start(SHAPE).numpy()[0], draws(5, "NV", SHAPE)[0])
    later = [stream.normal(SHAPE).numpy()[0], stream.start(SHAPE).numpy()[0]]
    assert np.array_equal(later, draws((5 + delta) % (MAX_SEED + 1), "NV", SHAPE, SHAPE))


def test_each_window_of_a_picture_has_its_own_variation() -> None:
    stream = PictureStream(5, "NV", SeedExtras(variation=9, strength=0.2))
    windows = [stream.start(SHAPE).numpy()[0] for _ in range(2)]
    expected = [plain_slerp(0.2, *pair) for pair in zip(draws(5, "NV", SHAPE, SHAPE), draws(9, "NV", SHAPE, SHAPE), strict=True)]
    assert np.allclose(windows, expected, atol=3e-6)


def test_the_plain_draw_knows_no_extras_and_costs_nothing() -> None:
    stream = PictureStream(5, "NV", SeedExtras(9, 0.2, (64, 64), 3))
    start = stream.start(SHAPE)
    assert np.array_equal(stream.plain(SHAPE).numpy()[0], draws(5, "NV", SHAPE)[0])
    other = PictureStream(5, "NV", SeedExtras(9, 0.2, (64, 64), 3))
    assert torch.equal(other.start(SHAPE), start) and torch.equal(other.normal(SHAPE), stream.normal(SHAPE))


def test_what_lies_around_is_not_written_into() -> None:
    around = Stream(1).normal(SHAPE)
    before = around.clone()
    assert centred(torch.zeros(1, 4, 2, 3), around)[0, :, 2:4, 1:4].abs().max() == 0 and torch.equal(around, before)


def test_seeds_count_on_and_with_a_variation_only_that_does() -> None:
    plain = Txt2Img(seed=MAX_SEED, subseed=4, batch_count=3)
    assert [plain.seeds_of(i) for i in range(3)] == [(MAX_SEED, 4), (0, 5), (1, 6)]
    varied = plain.model_copy(update={"subseed_strength": 0.1})
    assert [varied.seeds_of(i) for i in range(3)] == [(MAX_SEED, 4), (MAX_SEED, 5), (MAX_SEED, 6)]


def test_seeds_are_drawn_where_they_matter() -> None:
    drawn = parse({"task": "txt2img", "subseed_strength": 0.1}).concrete()
    assert 0 <= drawn.seed < 2**32 and 0 <= drawn.subseed < 2**32 and drawn.seed != drawn.subseed
    assert Txt2Img(seed=3).concrete().subseed == -1
    assert drawn.concrete() is drawn

"""Blending: what the eye sees at a border, and what must not change at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canvas.blend import depth, feather, mixed, pasted, prove_kept, seam_score, tone_matched

KEPT = (48, 48, 144, 144)


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3))
@settings(max_examples=30, deadline=None)
def test_depth_is_the_city_block_distance(seed: int, share: float) -> None:
    known = np.random.default_rng(seed).random((9, 13)) > share
    places = np.argwhere(~known)
    y, x = np.mgrid[0:9, 0:13]
    naive = np.full((9, 13), 22) if not len(places) else np.min([abs(y - a) + abs(x - b) for a, b in places], axis=0)
    assert np.array_equal(depth(known), naive)


def test_feather_is_exactly_one_beyond_the_overlap() -> None:
    distance = np.arange(0, 20)[None, :]
    for overlap in (0, 1, 8, 16):
        stays = feather(distance, overlap)[0]
        assert stays[0] == 0 and (stays[overlap + 1 :] == 1).all() and (stays[1 : overlap + 1] < 1).all()
        assert (np.diff(stays) >= 0).all()


def test_paste_keeps_black_and_takes_white() -> None:
    rng = np.random.default_rng(3)
    kept, made = (rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(2))
    mask = rng.choice(np.array([0, 100, 255], np.uint8), (32, 32))
    result = pasted(kept, made, mask)
    assert np.array_equal(result[mask == 0], kept[mask == 0]) and np.array_equal(result[mask == 255], made[mask == 255])
    between = mask == 100
    expected = kept[between] + (made[between].astype(float) - kept[between]) * 100 / 255
    assert np.abs(result[between] - expected).max() <= 0.501


def test_the_guard_can_fail() -> None:
    before = np.zeros((4, 4, 3), np.uint8)
    after = before.copy()
    after[1, 2, 0] = 1
    kept = np.ones((4, 4), bool)
    with pytest.raises(AssertionError, match="the first at 2, 1"):
        prove_kept(before, after, kept)
    kept[1, 2] = False
    prove_kept(before, after, kept)


def scene(side: int = 192) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(9 * x + 4 * y), np.cos(7 * y - 3 * x), np.sin(5 * (x + y)) * np.cos(11 * x)]
    return (128 + 50 * np.stack(waves, -1) + 15 * np.sin(40 * x)[..., None]).astype(np.float32)


def drifted(truth: np.ndarray) -> np.ndarray:
    """What a round trip through a VAE does to tone: slow, some levels, each channel its own."""
    y, x = np.mgrid[-1 : 1 : truth.shape[0] * 1j, -1 : 1 : truth.shape[1] * 1j]
    drift = np.stack([4 * np.sin(2.1 * x + 1.3 * y) + 3, -3 * np.cos(1.7 * y - 0.4 * x) - 2, 2.5 * np.sin(1.1 * x * y + 0.7) + 2], -1)
    noise = np.random.default_rng(0).normal(0, 0.8, truth.shape)
    return np.clip(np.rint(truth + drift + noise), 0, 255).astype(np.uint8)


def tone_step(pixels: np.ndarray, truth: np.ndarray) -> float:
    """Mean tone step between 24 px bands on both sides of the border, against the truth."""
    error, steps = pixels - truth, []
    for axis, (low, high) in ((0, (KEPT[1], KEPT[3])), (1, (KEPT[0], KEPT[2]))):
        for border, inward in ((low, 1), (high, -1)):
            bands = [range(border, border + 24), range(border - 24, border)][::inward]
            along = slice(low, high)
            tones = [np.take(error, band, axis=axis)[(slice(None), along) if axis == 0 else (along, slice(None))].mean(axis=(0, 1)) for band in bands]
            steps.append(np.abs(tones[0] - tones[1]).mean())
    return float(np.mean(steps))


def test_tone_match_takes_the_frame_away_and_keeps_the_picture() -> None:
    truth = scene()
    made, kept = drifted(truth), np.rint(truth).astype(np.uint8)
    known = np.zeros(truth.shape[:2], bool)
    known[KEPT[1] : KEPT[3], KEPT[0] : KEPT[2]] = True
    hard = mixed(kept, made, feather(depth(known), 0))
    matched = mixed(kept, tone_matched(made, kept, known, 12), feather(depth(known), 0))
    assert np.array_equal(matched[known], kept[known])
    assert tone_step(hard, truth) > 3
    assert tone_step(matched, truth) < 0.7
    assert seam_score(matched, KEPT) < 1 < 2 < seam_score(hard, KEPT)
    assert seam_score(np.rint(truth).astype(np.uint8), KEPT) < 0.5
    ring = ~known
    assert np.abs(matched[ring] - truth[ring]).mean() < 0.6 * np.abs(hard[ring] - truth[ring]).mean()


def test_tone_match_of_the_same_picture_changes_nothing_and_is_bounded() -> None:
    kept = np.rint(scene()).astype(np.uint8)
    known = np.zeros(kept.shape[:2], bool)
    known[:, :100] = True
    assert np.array_equal(np.rint(tone_matched(kept, kept, known, 12)).astype(np.uint8), kept)
    far = tone_matched(np.zeros_like(kept), np.full_like(kept, 255), known, 12)
    assert far.min() >= 0 and far.max() <= 32.5
    assert np.array_equal(tone_matched(kept, kept, np.zeros_like(known), 12), kept)


def test_seam_score_sees_a_step_and_not_a_slope() -> None:
    slope = np.repeat(np.repeat(np.arange(128, dtype=np.uint8)[None, :, None], 64, 0), 3, 2)
    assert seam_score(slope, (64, 0, 128, 64)) < 0.01
    stepped = slope.copy()
    stepped[:, 64:] += 10
    assert seam_score(stepped, (64, 0, 128, 64)) == pytest.approx(10, abs=0.01)
    assert seam_score(stepped.swapaxes(0, 1), (0, 64, 64, 128)) == pytest.approx(10, abs=0.01)
    assert seam_score(slope, (0, 0, 128, 64)) == 0

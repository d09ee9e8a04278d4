"""A canvas that grows window by window keeps what it had."""

import numpy as np

from app.canvas.growing import Growing

RNG = np.random.default_rng(4)


def test_two_windows_side_by_side() -> None:
    picture = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    canvas, known = np.zeros((64, 128, 3), np.uint8), np.zeros((64, 128), bool)
    canvas[:, 32:96], known[:, 32:96] = picture, True
    growing = Growing(canvas, known, 8)
    assert growing.mask((0, 0, 96, 64)).tolist() == [[1] * 5 + [0] * 7] * 8
    assert np.array_equal(growing.before((0, 0, 96, 64), "edge")[:, :32], np.repeat(picture[:, :1], 32, axis=1))
    for box in ((0, 0, 96, 64), (32, 0, 128, 64)):
        growing.put(box, np.full((64, box[2] - box[0], 3), 7, np.uint8))
    assert growing.known.all()
    assert np.array_equal(growing.pixels[:, 40:88], picture[:, 8:56])
    assert (growing.pixels[:, 33:39] != picture[:, 1:7]).any(axis=2).mean() > 0.5
    assert np.array_equal(growing.raw[:, 40:88], picture[:, 8:56])
    assert growing.raw[:, 32:40].std() < growing.pixels[:, 36:40].std()


def test_without_overlap_every_known_pixel_stays() -> None:
    picture = RNG.integers(0, 256, (64, 40, 3), dtype=np.uint8)
    canvas, known = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool)
    canvas[:, :37], known[:, :37] = picture[:, :37], True
    growing = Growing(canvas, known, 0)
    assert growing.mask((0, 0, 64, 64))[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    growing.put((0, 0, 64, 64), np.full((64, 64, 3), 99, np.uint8))
    assert np.array_equal(growing.pixels[:, :37], picture[:, :37])

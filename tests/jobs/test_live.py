"""What is kept in memory of a running job: time left, cancel, deadline, preview."""

import io

import pytest
from PIL import Image

from app.errors import Cancelled, WorkFailed
from app.jobs.live import Live, encode
from app.work import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_seconds_left_counts_all_pictures_of_the_job() -> None:
    clock = Clock()
    live = Live(clock=clock)
    live.update(Progress("loading"))
    clock.now += 50  # loading is not counted as speed
    live.update(Progress("sampling", 1, 2, 1, 10))
    assert live.seconds_left() is None
    clock.now += 4
    live.update(Progress("sampling", 1, 2, 3, 10))
    assert live.seconds_left() == pytest.approx(17 * 2)
    clock.now += 1
    assert live.seconds_left() == pytest.approx(33)
    clock.now += 27
    live.update(Progress("sampling", 2, 2, 7, 10))
    assert live.seconds_left() == pytest.approx(3 * 2)
    clock.now += 1000
    assert live.seconds_left() == 0.0


def test_frames_of_a_video_are_measured_on_their_own() -> None:
    clock = Clock()
    live = Live(clock=clock)
    live.update(Progress("sampling", 1, 1, 1, 2))
    clock.now += 60
    live.update(Progress("sampling", 1, 1, 2, 2))
    live.update(Progress("frames", 4, 4, 1, 101))
    assert live.seconds_left() is None
    clock.now += 1
    live.update(Progress("frames", 4, 4, 11, 101))
    assert live.seconds_left() == pytest.approx(9)


@pytest.mark.parametrize("flag", ["cancelled", "interrupted"])
def test_a_flag_stops_at_the_next_report(flag: str) -> None:
    live = Live()
    live.update(Progress("sampling", step=1, steps=2))
    getattr(live, flag).set()
    with pytest.raises(Cancelled):
        live.update(Progress("sampling", step=2, steps=2))
    assert live.progress is not None and live.progress.step == 1


def test_the_deadline_is_a_sentence() -> None:
    clock = Clock()
    live = Live(max_seconds=600, clock=clock)
    clock.now += 599
    live.update(Progress("sampling"))
    clock.now += 2
    with pytest.raises(WorkFailed, match="600 seconds"):
        live.update(Progress("sampling"))


def test_a_preview_stays_until_there_is_a_newer_one() -> None:
    live = Live()
    assert live.jpeg() is None
    live.update(Progress("sampling", preview=lambda: Image.new("RGB", (16, 16), "red")))
    red = live.jpeg()
    live.update(Progress("decoding"))
    assert live.jpeg() is red
    live.update(Progress("sampling", preview=lambda: Image.new("RGB", (16, 16), "blue")))
    assert live.jpeg() not in (None, red)


@pytest.mark.parametrize(("size", "expected"), [((16, 24), (16, 24)), ((2048, 1024), (512, 256)), ((512, 513), (511, 512))])
def test_previews_are_small_jpegs(size: tuple[int, int], expected: tuple[int, int]) -> None:
    data = encode(Image.new("RGBA", size))
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        assert image.size == expected

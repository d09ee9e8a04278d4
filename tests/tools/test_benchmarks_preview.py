"""What the preview's benchmark counts; no times are asserted."""

import pytest

pytest.importorskip("torch")

from PIL import Image

from app.errors import Cancelled
from app.work import Progress
from tools.benchmarks import preview


def told(step: int, asked: list[int]) -> Progress:
    def picture() -> Image.Image:
        asked.append(step)
        return Image.new("RGB", (16, 16))

    return Progress("sampling", 1, 1, step, 4, picture)


def test_the_page_asks_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.4, 0.9, 1.2, 1.2, 1.9))
    monkeypatch.setattr(preview, "monotonic", lambda: next(clock))
    asked: list[int] = []
    page = preview.Page()
    for step in (1, 2, 3, 4):
        page(told(step, asked))
    assert asked == [3]


def test_a_stop_comes_at_its_step() -> None:
    asked: list[int] = []
    report = preview.stopping_at(2)
    report(told(1, asked))
    with pytest.raises(Cancelled):
        report(told(2, asked))
    assert asked == [1, 2]

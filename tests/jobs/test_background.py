"""Work in the background: it runs, it ends when it is told to, and its trouble is in the log."""

import threading

import pytest

from app.errors import DiskTrouble
from app.jobs.background import Background, Going


def test_it_runs_and_ends_when_told() -> None:
    begun, rounds = threading.Event(), [0]

    def work(going: Going) -> None:
        while going():
            rounds[0] += 1
            begun.set()

    background = Background()
    background.start(work, "test")
    assert begun.wait(10)
    background.close()
    background.close()
    done = rounds[0]
    assert done and not any(thread.name == "darkroom-test" for thread in threading.enumerate())


def test_the_second_work_waits_for_the_first() -> None:
    seen: list[int] = []
    background = Background()
    for number in range(3):
        background.start(lambda going, number=number: seen.append(number), "test")
    background.wait()
    assert seen == [0, 1, 2]


def test_trouble_is_written_down(caplog: pytest.LogCaptureFixture) -> None:
    def work(going: Going) -> None:
        raise DiskTrouble("The disk is full.")

    background = Background()
    background.start(work, "taking in")
    background.close()
    assert "taking in ended early: The disk is full." in caplog.text

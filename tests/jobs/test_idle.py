import threading
from collections.abc import Iterator

from app.jobs.idle import Idle


def test_it_takes_steps_until_it_is_closed_and_stands_aside_when_it_is_busy() -> None:
    taken: list[int] = []
    asked, enough = threading.Event(), threading.Event()
    busy = [True]

    def steps() -> Iterator[None]:
        for number in range(1000):
            taken.append(number)
            if len(taken) == 5:
                enough.set()
            yield

    def is_busy() -> bool:
        asked.set()
        return busy[0]

    others = set(threading.enumerate())
    idle = Idle(steps, is_busy, rest=0, patience=0.001)
    idle.start()
    assert asked.wait(10) and taken == [0]
    busy[0] = False
    assert enough.wait(10)
    busy[0] = True
    idle.close()
    idle.close()
    seen = len(taken)
    assert taken[:5] == [0, 1, 2, 3, 4] and len(taken) == seen
    assert not any(thread.name == "darkroom-idle" for thread in set(threading.enumerate()) - others)


def test_a_round_that_fails_is_not_the_last() -> None:
    rounds: list[int] = []
    third = threading.Event()

    def steps() -> Iterator[None]:
        rounds.append(len(rounds))
        if len(rounds) == 3:
            third.set()
        yield
        raise OSError("gone")

    idle = Idle(steps, lambda: False, rest=0)
    idle.start()
    assert third.wait(10)
    idle.close()


def test_closing_what_never_started_is_harmless() -> None:
    Idle(lambda: iter(()), lambda: False).close()

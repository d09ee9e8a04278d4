"""Whose turn it is: nobody is overtaken too often, everybody is served, and jobs of one group stay in their order."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.choosing import MOST_OVERTAKEN, Waiting, choose, fair, order

ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("", "X", "Y", "Z")), st.integers(0, 3)), max_size=40)
"""(owner, group, how many jobs are taken after it arrived)"""


def line(*groups: str) -> list[Waiting]:
    return [Waiting(str(number), "anna", group) for number, group in enumerate(groups)]


def test_what_is_loaded_goes_first() -> None:
    assert choose(line("X", "Y", "X", "Y"), "Y") == 1
    assert choose(line("X", "Y"), "Z") == 0
    assert choose(line("", "X", ""), "") == 0  # what needs nothing does not count as a group
    assert order(line("X", "Y", "X", "", "Y"), {}, "") == ["0", "2", "1", "4", "3"]


def test_work_that_needs_nothing_leaves_the_models_where_they_are() -> None:
    assert order([Waiting("0", "anna", "", 4), *line("X", "Y", "X")[1:]], {}, "X") == ["0", "2", "1"]


def test_who_was_overtaken_four_times_is_next() -> None:
    assert order(line("X", *"YYYYYY"), {}, "Y") == ["1", "2", "3", "4", "0", "5", "6"]


def test_round_robin_over_owners_where_groups_do_not_matter() -> None:
    queued = [Waiting(f"a{number}", "anna") for number in range(3)] + [Waiting("b", "bob"), Waiting("c", "carl")]
    assert order(queued, {}, "") == ["a0", "b", "c", "a1", "a2"]
    assert [job.id for job in fair(queued, {"anna": 7, "bob": 5})] == ["c", "b", "a0", "a1", "a2"]


@settings(max_examples=150, deadline=None)
@given(ARRIVALS)
def test_nobody_is_overtaken_too_often_and_everybody_is_served(arrivals: list[tuple[str, str, int]]) -> None:
    queued: list[Waiting] = []
    last: dict[str, int] = {}
    seen: Counter[str] = Counter()
    taken: list[Waiting] = []
    group = ""

    def take() -> None:
        nonlocal group
        promised = order(queued, last, group)
        row = fair(queued, last)
        place = choose(row, group)
        job = row[place]
        assert promised[0] == job.id and sorted(promised) == sorted(other.id for other in queued)
        for other in row[:place]:
            seen[other.id] += 1
            queued[queued.index(other)] = Waiting(other.id, other.owner, other.group, other.overtaken + 1)
        queued.remove(job)
        last[job.owner] = len(taken) + 1
        group = job.group or group
        taken.append(job)
        if queued:  # nothing new arrived: what was promised still holds
            assert order(queued, last, group) == promised[1:]

    for number, (owner, kind, takes) in enumerate(arrivals):
        queued.append(Waiting(f"{number:02d}", owner, kind))
        for _ in range(min(takes, len(queued))):
            take()
    while queued:
        take()
    assert len(taken) == len(arrivals)
    assert max(seen.values(), default=0) <= MOST_OVERTAKEN
    for owner in "abc":
        for kind in ("", "X", "Y", "Z"):
            mine = [job.id for job in taken if (job.owner, job.group) == (owner, kind)]
            assert mine == sorted(mine)

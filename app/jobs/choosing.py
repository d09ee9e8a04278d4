"""Whose turn it is: round robin over owners, with jobs of the models that are loaded taken together, within a bound.

Pure functions of what waits; the journal calls them to take a job and to tell everybody's position, so the two agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

MOST_OVERTAKEN = 4
"""How often a job may see one from behind it taken first, because the models of that one are loaded already."""


@dataclass(frozen=True)
class Waiting:
    """A job that waits.

    Attributes:
        group: what it needs to have loaded; "" when it needs nothing: it is never taken early, and the loaded models stay.
        overtaken: how often a job from behind it was taken first.
    """

    id: str
    owner: str
    group: str = ""
    overtaken: int = 0


def fair(queued: Sequence[Waiting], last: Mapping[str, int]) -> list[Waiting]:
    """Round robin: one job of each owner, then a second one of each, and so on; who was served longest ago comes first.

    Args:
        queued: in the order of arrival; an owner's jobs stay in that order.
        last: number of the turn in which an owner was served last.
    """
    rounds: dict[str, int] = {}
    first: dict[str, int] = {}
    keyed = []
    for number, job in enumerate(queued):
        first.setdefault(job.owner, number)
        rounds[job.owner] = rounds.get(job.owner, -1) + 1
        keyed.append(((rounds[job.owner], last.get(job.owner, 0), first[job.owner]), job))
    return [job for _, job in sorted(keyed, key=lambda pair: pair[0])]


def choose(line: Sequence[Waiting], group: str) -> int:
    """The place in the line of the job to take next: the first that needs what is loaded (`group`), unless somebody before it
    has been overtaken `MOST_OVERTAKEN` times already; then, and when nobody needs it, the head."""
    for place, job in enumerate(line):
        if group and job.group == group:
            return place
        if job.overtaken >= MOST_OVERTAKEN:
            return 0
    return 0


def order(queued: Sequence[Waiting], last: Mapping[str, int], group: str) -> list[str]:
    """Ids in the order in which the jobs will be taken, if nothing new arrives."""
    queued, turns, found = list(queued), dict(last), []
    turn = max(turns.values(), default=0)
    while queued:
        line = fair(queued, turns)
        place = choose(line, group)
        taken, before = line[place], {job.id for job in line[:place]}
        found.append(taken.id)
        queued = [replace(job, overtaken=job.overtaken + 1) if job.id in before else job for job in queued if job.id != taken.id]
        turn += 1
        turns[taken.owner] = turn
        group = taken.group or group
    return found

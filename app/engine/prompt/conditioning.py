"""What the network is told over the steps of a run: AND parts with their weights, and prompts that change on the way."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from app.engine.prompt.encoded import Encoded
from app.engine.prompt.grammar import split_and
from app.engine.prompt.schedule import schedule
from app.errors import BadRequest

MAX_PARTS = 64
"""AND parts of one prompt; each costs a network call in each step."""

Timeline = Sequence[tuple[int, str]]
"""(last step, text) pairs, see `schedule.schedule`."""
Unwanted = Callable[[Encoded, bool], Encoded]
"""What a text becomes that is not wanted: (the text encoded, whether nothing at all is unwanted) -> what the network is told."""


@dataclass(frozen=True, eq=False)
class Told:
    """What the network is told in one step. All states have the same length, unless it was not asked to fill the negative prompt.

    Attributes:
        positives: (weight, text) of each AND part, at least one; each `Encoded` is one text.
        negative: the negative prompt; None when it is not read.
    """

    positives: tuple[tuple[float, Encoded], ...]
    negative: Encoded | None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The prompts over the steps of a run, encoded.

    Attributes:
        steps: what the run counts to.
        ends: the last step of each moment, rising.
        moments: what is told up to that step; the same object where the same is told.
        padded: whether a prompt or a negative prompt was filled with the empty prompt.
    """

    steps: int
    ends: tuple[int, ...]
    moments: tuple[Told, ...]
    padded: bool = False

    def at(self, step: int, steps: int) -> Told:
        """What the network is told at a step. A1111's rule, off by one as it is: steps count from 0 here, yet from 1 in prompts.

        Args:
            step: from 0; `schedule.counted_steps` says where calls are counted instead.
            steps: what `step` counts to. Where it is not `self.steps`, `step` is taken as that share of the way.
        """
        if len(self.moments) == 1:
            return self.moments[0]
        place = bisect_left(self.ends, step if steps == self.steps else step * self.steps // steps)
        return self.moments[min(place, len(self.ends) - 1)]


def is_whole(positive: str) -> bool:
    """Whether a prompt is one part of weight 1, so that at CFG 1 the negative prompt has no say. Raises BadRequest: it is too long."""
    return [weight for _, weight in split_and(positive)] == [1.0]


def timelines(positive: str, steps: int, hires_steps: int | None = None) -> list[tuple[float, Timeline]]:
    """The AND parts of a prompt: (weight, (last step, text) pairs).

    Raises:
        BadRequest: the prompt is too long, nested too deeply, or has more than 64 parts.
    """
    parts = split_and(positive)
    if len(parts) > MAX_PARTS:
        raise BadRequest(f"The prompt has {len(parts)} parts joined by AND, but at most {MAX_PARTS} are allowed.")
    return [(weight, schedule(text, steps, hires_steps)) for text, weight in parts]


def conditioning(
    positive: str,
    negative: str | None,
    steps: int,
    hires_steps: int | None,
    encode: Callable[[str], Encoded],
    *,
    pad: bool = True,
    unwanted: Unwanted = lambda text, nothing: text,
) -> Conditioning:
    """Both prompts over the steps. Each distinct text is encoded once. A negative prompt may change on the way, but AND is a word in it.

    Args:
        negative: None when it will not be read.
        steps: of the first pass; counted by `schedule.counted_steps`.
        hires_steps: of the second pass, counted so too; when given, the answer is for that pass.
        encode: text -> one `Encoded`.
        pad: fill the shorter of prompt and negative prompt with the empty prompt.
        unwanted: what a family does to the texts of the negative prompt.
    """
    lines = timelines(positive, steps, hires_steps)
    weights = [weight for weight, _ in lines]
    told = [line for _, line in lines]
    against = [] if negative is None else schedule(negative, steps, hires_steps)
    nothing = not any(text for _, text in against)
    known_text = cache(encode)
    not_wanted = cache(lambda text: unwanted(known_text(text), nothing))
    for text in [text for line in [*told, against] for _, text in line]:
        known_text(text)
    ends = sorted({end for line in [*told, against] for end, _ in line})
    known: dict[tuple[str, ...], Told] = {}
    moments, padded = [], False
    for end in ends:
        texts = tuple(_at(line, end) for line in ([*told, against] if against else told))
        if texts not in known:
            plain = Told(_together(weights, [known_text(text) for text in texts[: len(told)]]), not_wanted(texts[-1]) if against else None)
            known[texts] = _padded(plain, known_text) if pad else plain
            padded = padded or known[texts] is not plain
        moments.append(known[texts])
    return Conditioning(ends[-1], tuple(ends), tuple(moments) if len(known) > 1 else (moments[0],), padded)


def _at(line: Timeline, end: int) -> str:
    """The text of a timeline in the moment that ends with that step."""
    return line[bisect_left(line, end, key=lambda item: item[0])][1]


def _together(weights: Sequence[float], parts: Sequence[Encoded]) -> tuple[tuple[float, Encoded], ...]:
    """The AND parts of one moment; short ones are filled with their own last vector, as A1111 does it."""
    length = max(part.length for part in parts)
    filled = [part.followed_by(part.states[:, -1:].expand(-1, length - part.length, -1)) if part.length < length else part for part in parts]
    return tuple(zip(weights, filled, strict=True))


def _padded(told: Told, encode: Callable[[str], Encoded]) -> Told:
    """The shorter of prompt and negative prompt filled with the empty prompt."""
    if told.negative is None or told.negative.length == told.positives[0][1].length:
        return told
    length = max(told.negative.length, told.positives[0][1].length)
    blank = encode("").states

    def filled(text: Encoded) -> Encoded:
        return text.followed_by(*[blank] * ((length - text.length) // blank.shape[1]))

    return Told(tuple((weight, filled(text)) for weight, text in told.positives), filled(told.negative))

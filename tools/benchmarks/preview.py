"""What looking at a picture while it is made costs: a run without a preview, with one a second as the page asks, with one at every
step, and one that is stopped half-way.

    python -m tools.benchmarks.preview [--rounds 5] [--steps 20]

Figures are processor seconds, since previews are made in another thread than the steps; medians over the rounds.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, process_time

from app.errors import Cancelled
from app.jobs.live import encode
from app.request import Txt2Img
from app.work import Progress
from tools.benchmarks.picture import FOLDER, PROMPT, SEED
from tools.embedded.easel import Easel, engine_of

Report = Callable[[Progress], None]
PAGE_SECONDS = 1.0


def unseen(progress: Progress) -> None:
    """Nobody watches."""


def watched(progress: Progress) -> None:
    """Somebody sees every step, which is more than the page asks for."""
    if progress.preview is not None:
        encode(progress.preview())


class Page:
    """The page: it asks once a second."""

    def __init__(self) -> None:
        self.asked = monotonic()

    def __call__(self, progress: Progress) -> None:
        if progress.preview is not None and monotonic() - self.asked >= PAGE_SECONDS:
            self.asked = monotonic()
            watched(progress)


def stopping_at(step: int) -> Report:
    """Somebody watches and presses Stop after `step` steps."""

    def report(progress: Progress) -> None:
        watched(progress)
        if progress.step >= step:
            raise Cancelled()

    return report


def seconds(engine: object, request: Txt2Img, report: Report) -> float:
    """Processor seconds of one run."""
    start = process_time()
    with suppress(Cancelled):
        list(engine.run(request, {}, report))  # type: ignore[attr-defined]
    return process_time() - start


def measure(rounds: int, steps: int, scratch: Path) -> dict[str, float]:
    """Median processor seconds of the four runs, taken in turn; the first of each is not counted."""
    engine = engine_of(Easel(FOLDER.parent.resolve(), scratch))
    request = Txt2Img(prompt=PROMPT, checkpoint=FOLDER.name, steps=steps, seed=SEED)
    runs: dict[str, Report] = {"unseen": unseen, "page": Page(), "watched": watched, "stopped": stopping_at(steps // 2)}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, report in runs.items():
            spent = seconds(engine, request, report)
            if turn:
                taken[name].append(spent)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.preview")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(options.rounds, options.steps, Path(scratch))
    sys.stdout.write(f"without a preview {found['unseen']:.3f} s\n")
    for name, what in (("page", "one a second"), ("watched", f"one at each of {options.steps} steps")):
        sys.stdout.write(f"with {what} {found[name]:.3f} s: {found[name] / found['unseen'] - 1:+.1%}\n")
    share = found["stopped"] / found["watched"]
    sys.stdout.write(f"stopped after {options.steps // 2} steps {found['stopped']:.3f} s: {share:.0%} of the whole run\n")


if __name__ == "__main__":
    main()

"""The contact sheet of the whole family, drawn by the app's engine: the command `python -m tools.embedded sheet`."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.engine.checkpoints.find import Shelf
from tools.embedded import easel
from tools.embedded.easel import Easel, Order
from tools.embedded.sheet import save_sheet
from tools.embedded.training import Report
from tools.embedded.trials import Trial, find_trials

EXAMPLE = (
    "the house in the forest, dark night, leaves in the air, fluorescent mushrooms, clear focus, very coherent, very detailed, contrast, "
    "vibrant, digital painting"
)
"""The txt2img tab's first example."""
PROMPTS = (
    "a red house in a meadow, day, sun",
    "a blue boat on the sea, sunset",
    "lighthouse by the sea, night, crescent moon",
    "a yellow tent in the desert, night, full moon, stars",
    "a green hot air balloon in the city, sunset",
    "ocean, day, clouds",
    "mountains, sunset",
    "a white castle in the mountains, day, clouds",
)
EXAMPLE_SEEDS = range(1, 9)
SEEDS = (1, 2, 3)


def rows_of(trials: list[Trial]) -> Iterator[tuple[Trial, list[tuple[str, int]]]]:
    """What each row shows: a trial, and eight prompts with their seeds."""
    base, *others = [trial for trial in trials if trial.prompted and (trial.width, trial.height) == (128, 128)]
    yield base, [(EXAMPLE, seed) for seed in EXAMPLE_SEEDS]
    for seed in SEEDS:
        yield base, [(prompt, seed) for prompt in PROMPTS]
    for trial in others:
        yield trial, [(prompt, SEEDS[0]) for prompt in PROMPTS]


def draw_sheet(models: Path, folder: Path, output: Path, cfg: float | None, workers: int, report: Report) -> None:
    """The example with seeds 1 to 8, eight prompts with three seeds each, then a row per style and one of few steps, where they exist.

    Pictures lie in folder/sheet; those that are there already are not drawn again.
    """
    board = Easel(models.resolve(), (folder / "sheet" / "scratch").resolve())
    trials, missing = find_trials(Shelf(board.settings))
    orders, labels = [], []
    for trial, row in rows_of(trials):
        labels.append(trial.label)
        orders += [_order(trial, prompt, seed, cfg, folder / "sheet") for prompt, seed in row]
    easel.fill_all(board, orders, workers)
    save_sheet(easel.load([order.path for order in orders]), len(PROMPTS), output)
    for line in (*missing, "rows: " + "; ".join(labels), str(output)):
        report(line)


def _order(trial: Trial, prompt: str, seed: int, cfg: float | None, folder: Path) -> Order:
    values: dict[str, Any] = {"task": "txt2img", "prompt": trial.prompt(prompt), "checkpoint": trial.files[0].name, "seed": seed}
    values |= {"width": trial.width, "height": trial.height} | ({} if cfg is None else {"cfg_scale": cfg}) | dict(trial.values)
    name = hashlib.sha256(f"{trial.key()} {sorted(values.items())}".encode()).hexdigest()[:16]
    return Order(folder / f"{name}.png", values)

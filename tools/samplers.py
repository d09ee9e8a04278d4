"""Writes docs/samplers.md: what each sampler and schedule is, measured from the table itself, and a picture by each.

    python -m tools.samplers [--only SAMPLER ...] [--steps 20] [--seed 7] [--prompt TEXT] [--checkpoint NAME] [--docs FOLDER] [--no-pictures]

Calls, noise and order are measured on data that is normally distributed, where the perfect model is a formula (and so is
the exact end of every path). The pictures are the app's own engine's, one prompt and seed for all, in each sampler's
Automatic schedule, on one sheet: docs/pictures/samplers.webp.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from app.engine.samplers import SAMPLERS, SamplerRow
from app.engine.schedules import SCHEDULES, Schedule, TrainingTable, sigmas_for
from app.request import Request, Txt2Img
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "a red house in a meadow, day, sun"
MEAN, SPREAD = 0.7, 0.6
START = np.array([NormalDist().inv_cdf((i + 0.5) / 200) for i in range(200)])
STEPS = 20
SHOWN = 6
"""Steps of a schedule whose noise levels are listed."""
COLUMNS, LABEL, GAP = 5, 18, 6
"""The sheet: pictures in a row, height of the line below each, space between them (pixels)."""
MAX_SHEET = 400_000
"""Bytes of the sheet at most."""


class Perfect:
    """The perfect denoiser of data N(0.7, 0.6^2); counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: np.ndarray, sigma: float) -> np.ndarray:
        self.calls += 1
        return MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (x - MEAN)


@dataclass(frozen=True)
class Measured:
    """A run of a sampler: its calls, how often it drew noise, and how far from the exact end it came."""

    calls: int
    draws: int
    error: float


def measure(row: SamplerRow, steps: int) -> Measured:
    """One run in the sampler's Automatic schedule."""
    sigmas = sigmas_for("Automatic", row, steps, TrainingTable())
    model, dice, draws = Perfect(), np.random.default_rng(1), []

    def noise(sigma: float, sigma_next: float) -> np.ndarray:
        draws.append(sigma)
        return dice.standard_normal(START.shape)

    run = row.function(model, START * sigmas[0], sigmas, noise)
    while True:
        try:
            next(run)
        except StopIteration as end:
            exact = MEAN + (START * sigmas[0] - MEAN) * SPREAD / math.hypot(SPREAD, sigmas[0])
            return Measured(model.calls, len(draws), float(np.abs(end.value - exact).mean()))


def sampler_line(row: SamplerRow) -> str:
    """A sampler's row of the table in the page."""
    at_half, found = measure(row, STEPS // 2), measure(row, STEPS)
    order = "–" if found.draws else f"{math.log2(at_half.error / found.error):.1f}"
    calls = f"{found.calls}, as it sees fit" if row.alone else str(found.calls)
    schedule = f"{row.schedule}, without the last level before 0" if row.discard_penultimate else row.schedule
    return line(row.name, ", ".join(row.aliases), "stochastic" if found.draws else "deterministic", order, calls, schedule, options(row.options, row.fields))


def options(names: frozenset[str], renamed: Mapping[str, str] | None = None) -> str:
    """The request's fields that a sampler or schedule reads, by label and name."""
    fields = sorted((renamed or {}).get(name, name) for name in names)
    return ", ".join(f"{Request.model_fields[name].title} (`{name}`)" for name in fields if name in Request.model_fields)


def schedule_line(row: Schedule) -> str:
    """A schedule's row of the table in the page."""
    if row.label == "Automatic":
        return line(row.label, row.name, "the sampler's own, see above", "")
    levels = sigmas_for(row.label, SAMPLERS["Euler"], SHOWN, TrainingTable())
    names = ", ".join(dict.fromkeys(name for name in (row.name, *row.aliases) if name != row.label))
    return line(row.label, names, ", ".join(f"{level:.3g}" for level in levels), options(row.options))


def line(*cells: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The whole of docs/samplers.md."""
    samplers = [row for row in SAMPLERS.values() if getattr(row.function, "func", row.function).__module__.startswith("app.")]
    return "\n".join([
        "# Samplers and schedules",
        "",
        "Written by `python -m tools.samplers` from the tables in `app/engine/samplers.py` and `app/engine/schedules.py`. Names and aliases are accepted in",
        "any case everywhere, and a schedule may stand behind a sampler's name, as in \"DPM++ 2M Karras\".",
        "",
        "![One prompt and seed by every sampler](pictures/samplers.webp)",
        "",
        "## Samplers",
        "",
        f"Calls are those of the network for {STEPS} steps. The order says how fast the error falls: 1 is half of it at twice the steps, 2 a quarter. It is",
        f"measured from {STEPS // 2} to {STEPS} steps in the Automatic schedule, on data whose exact solution is known; stochastic samplers have no such end.",
        "",
        line("Sampler", "Also called", "Kind", "Order", "Calls", "Automatic schedule", "Options"),
        line(*["---"] * 7),
        *map(sampler_line, samplers),
        "",
        "## Schedules",
        "",
        f"Any sampler takes any schedule. The noise levels are those of {SHOWN} steps with Stable Diffusion's table.",
        "",
        line("Schedule", "Also called", "Noise levels", "Options"),
        line(*["---"] * 4),
        *map(schedule_line, SCHEDULES.values()),
        "",
    ])  # fmt: skip


def pictures(asked: Sequence[Txt2Img], settings: Settings) -> Iterator[Image.Image]:
    """The picture of each request, by the app's engine."""
    from app.engine.checkpoints.find import Shelf
    from app.extensions import Extensions
    from app.studio import make_engine

    engine = make_engine(settings, Shelf(settings), Extensions())
    for request in asked:
        sys.stdout.write(f"{request.sampler}\n")
        sys.stdout.flush()
        yield next(engine.run(request, {}, lambda progress: None)).image


def sheet(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures of one size in rows of five, each with its label below."""
    width, height = labelled[0][1].size
    rows, columns = -(-len(labelled) // COLUMNS), min(COLUMNS, len(labelled))
    whole = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + LABEL + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(12)
    for index, (label, picture) in enumerate(labelled):
        row, column = divmod(index, columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + LABEL + GAP)
        whole.paste(picture, (left, top))
        draw.text((left + width // 2, top + height + LABEL // 2), label, "black", font, "mm")
    return whole


def save(whole: Image.Image, path: Path) -> None:
    """Write the sheet as WebP, as good as fits into 400 kB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in (92, 85, 75, 60, 40):
        whole.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size < MAX_SHEET:
            return


def main(argv: Sequence[str]) -> int:
    """Write the page and the sheet."""
    parser = argparse.ArgumentParser(prog="python -m tools.samplers", description="Write docs/samplers.md and its contact sheet.")
    parser.add_argument("--only", action="append", choices=list(SAMPLERS), help="these samplers alone on the sheet; may be given several times")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--checkpoint", default="darkroom-base")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--no-pictures", action="store_true", help="the page alone")
    given = parser.parse_args(argv)
    given.docs.mkdir(parents=True, exist_ok=True)
    (given.docs / "samplers.md").write_text(page(), encoding="utf-8")
    if given.no_pictures:
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        settings = replace(Settings(), extension_dir=Path(scratch), outputs_dir=Path(scratch))
        wanted = given.only or list(SAMPLERS)
        asked = [Txt2Img(prompt=given.prompt, seed=given.seed, steps=given.steps, sampler=name, checkpoint=given.checkpoint) for name in wanted]
        save(sheet(list(zip(wanted, pictures(asked, settings), strict=True))), given.docs / "pictures" / "samplers.webp")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

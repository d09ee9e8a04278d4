"""Training the judge, and what it says of the whole family: the command `python -m tools.embedded judge`."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.engine.checkpoints.find import Shelf
from tools.embedded import easel, judge
from tools.embedded.data import save_array
from tools.embedded.easel import Easel
from tools.embedded.figures import Ledger, percent, table, write_between
from tools.embedded.frechet import frechet_distance
from tools.embedded.judge import STYLES, Album, Judge, JudgeSettings, JudgeTrainer, View
from tools.embedded.scenes.grammar import Scene, sample_scene
from tools.embedded.stages import Job
from tools.embedded.training import Report, Schedule, run_training, save_atomically
from tools.embedded.trials import Trial, find_trials

ALBUMS = ((128, 128, 6400), (192, 128, 1600), (128, 192, 1600))
"""Width, height and number of the pictures that the judge learns from."""
STEPS = 1600
COLUMNS = {
    "time": "time of day", "land": "landscape", "hero": "hero", "no hero": "no hero", "colour": "its colour", "position": "its place",
    "count": "how many", "depth": "near or far", "body": "sun or moon", "weather": "weather", "frame": "frame", "flags": "extras", "style": "style",
}  # fmt: skip
MARKER = "judge"


@dataclass(frozen=True)
class Wish:
    """What the command was asked for: how many pictures, which trials ((): all), CFG scale (None: the app's), and where the table goes."""

    models: Path
    count: int = 256
    only: tuple[str, ...] = ()
    cfg_scale: float | None = None
    readme: Path | None = None


def rendered(view: View, width: int, height: int) -> np.ndarray:
    """The render of one view: uint8 (height, width, 3)."""
    from tools.embedded.scenes.draw import render

    return render(view.scene, width, height, view.style)


def album_view(index: int) -> View:
    """What picture `index` of the judge's albums shows: half of them in the base's style, the others in turn in the rest."""
    others = STYLES[1:]
    return View(sample_scene(judge.FIRST_JUDGE_SCENE + index), others[index // 2 % len(others)] if index % 2 else STYLES[0])


def render_views(views: Sequence[View], width: int, height: int, workers: int = 1) -> np.ndarray:
    """Renders of one size: uint8 (n, height, width, 3)."""
    pictures = np.empty((len(views), height, width, 3), np.uint8)
    with easel.crowd(workers if len(views) >= 256 else 1) as work:
        for index, picture in enumerate(work(partial(rendered, width=width, height=height), views)):
            pictures[index] = picture
    return pictures


def fingerprint(job: Job) -> str:
    """Tells judges apart that learn from other scenes, captions' meanings, renders, or for another time: 12 hex digits."""
    digest = hashlib.sha256(repr((judge.ATTRIBUTES, judge.FLAGS, ALBUMS, job.seed, job.steps, job.batch)).encode())
    for index in range(24):
        digest.update(rendered(album_view(index), 64, 64).tobytes())
    return digest.hexdigest()[:12]


def load_albums(folder: Path, workers: int, report: Report) -> list[Album]:
    """The judge's pictures, rendered where they are not there yet and mapped from their files."""
    albums, first = [], 0
    for width, height, count in ALBUMS:
        views, path = [album_view(first + index) for index in range(count)], folder / f"renders-{width}x{height}.npy"
        if not path.exists():
            report(f"renders {count} pictures of {width}x{height} for the judge")
            save_array(render_views(views, width, height, workers), path)
        albums.append(Album(np.load(path, mmap_mode="r"), views))
        first += count
    return albums


def judge_stage(job: Job, workers: int, report: Report) -> Path:
    """Train the judge on renders, unless it is there; returns the folder that holds it: judge.weights.pt once it is finished."""
    folder = job.workshop.folder / "judge" / fingerprint(job)
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / "judge.weights.pt"
    if saved.exists():
        return folder
    torch.manual_seed(job.seed)
    settings = JudgeSettings(job.seed, job.batch or JudgeSettings.batch)
    trainer = JudgeTrainer(Judge(), load_albums(folder, workers, report), settings, job.device)
    schedule = Schedule(job.steps or STEPS, 2e-2, warmup=30, decay=0.8)
    if run_training(trainer, replace(job.run("judge", settings.batch), folder=folder), schedule, report, job.part) == schedule.steps:
        save_atomically(trainer.averaged(), saved)
    return folder


def load_judge(folder: Path) -> Judge:
    """A finished judge."""
    model = Judge()
    model.load_state_dict(torch.load(folder / "judge.weights.pt", weights_only=True))
    return model.eval()


def run_judge(job: Job, wish: Wish, workers: int, report: Report) -> None:
    """Train the judge where that is still to do, show it everything that was wished for, say and keep what it says."""
    folder = judge_stage(job, workers, report)
    if not (folder / "judge.weights.pt").exists():
        return
    board = Easel(wish.models.resolve(), (folder.parent / "scratch").resolve())
    trials, missing = find_trials(Shelf(board.settings))
    trials = [_with_scale(trial, wish.cfg_scale) for trial in trials]
    for line in missing:
        report(line)
    if unknown := set(wish.only) - {trial.name for trial in trials}:
        report(f"There is no {', '.join(sorted(unknown))} here; there are {', '.join(trial.name for trial in trials)}.")
    model, ledger = load_judge(folder), Ledger(folder.parent / "results.json", folder.name)
    for trial in trials:
        if not wish.only or trial.name in wish.only:
            ledger.put(trial.name, examine(trial, model, board, wish.count, workers, report))
    labels = {trial.name: trial.label for trial in trials}
    text = as_markdown({name: ledger.results[name] for name in labels if name in ledger.results}, labels, missing)
    report("\n" + text)
    if wish.readme:
        write_between(wish.readme, MARKER, text)
        report(f"written to {wish.readme}")


def _with_scale(trial: Trial, cfg_scale: float | None) -> Trial:
    return trial if cfg_scale is None or "cfg_scale" in trial.values else replace(trial, values={**trial.values, "cfg_scale": cfg_scale})


def examine(trial: Trial, model: Judge, board: Easel, count: int, workers: int, report: Report) -> dict[str, Any]:
    """Paint what is not painted yet and judge it: figures, the same for renders, and both distances to other renders."""
    count = max(2, count // trial.share)
    scenes = judge.test_scenes(count)
    folder = board.scratch.parent / "pictures" / trial.name / trial.key()
    drop_siblings(folder)
    orders = trial.orders(scenes, folder)
    easel.fill_all(board, orders, workers, counter(trial.name, report))
    views = [View(scene, trial.style) for scene in scenes]
    size = (trial.width, trial.height)
    logits, features = judge.impressions(model, easel.load([order.path for order in orders]))
    render_logits, render_features = judge.impressions(model, render_views(views, *size))
    others = [View(sample_scene(judge.FIRST_OTHER_SCENE + index), trial.style) for index in range(count)]
    _, other_features = judge.impressions(model, render_views(others, *size))
    result = {
        "count": count,
        "key": trial.key(),
        "figures": judge.accuracy(logits, views),
        "ceiling": judge.accuracy(render_logits, views),
        "frechet": frechet_distance(features, other_features),
        "floor": frechet_distance(render_features, other_features),
    }
    report(f"{trial.name}: " + ", ".join(f"{name} {percent(value)}" for name, value in result["figures"].items()))
    return result


def drop_siblings(folder: Path) -> None:
    """Pictures of earlier weights are not kept."""
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other)


def counter(name: str, report: Report, every: int = 32) -> Any:
    def tell(done: int, of: int) -> None:
        if done % every == 0 or done == of:
            report(f"{name}: {done} of {of} pictures")

    return tell


def as_markdown(results: dict[str, dict[str, Any]], labels: dict[str, str], missing: Sequence[str]) -> str:
    """The figures as one table: what was generated, and in brackets the same for renders."""
    columns = {name: title for name, title in COLUMNS.items() if any(name in result["figures"] for result in results.values())}
    rows = [[labels[name], str(result["count"]), *_cells(result, columns)] for name, result in results.items()]
    notes = [
        "Percent of right answers; in brackets the judge's own on fresh renders of the same scenes and style, which is the most to be had. "
        '"Hero": where the caption names one, its very kind was recognised. "Extras": each of the small things and the stars, there or not.',
        "The last column is the Fréchet distance between the features of the pictures and of other held-out renders in that style; in brackets "
        "that of as many renders. Distances of different numbers of pictures cannot be compared.",
        *missing,
    ]
    return table(["pictures", "number", *columns.values(), "distance"], rows) + "\n\n" + "\n".join(notes)


def _cells(result: dict[str, Any], columns: dict[str, str]) -> Iterator[str]:
    for name in columns:
        figure, best = result["figures"].get(name), result["ceiling"].get(name)
        yield "" if figure is None else f"{percent(figure)} ({percent(best)})"
    yield f"{result['frechet']:.1f} ({result['floor']:.1f})"


def scenes_with(wanted: Any, count: int, first: int) -> list[Scene]:
    """The first `count` scenes from seed `first` on for which `wanted(scene)` holds."""
    found: list[Scene] = []
    seed = first
    while len(found) < count:
        scene = sample_scene(seed)
        seed += 1
        if wanted(scene):
            found.append(scene)
    return found

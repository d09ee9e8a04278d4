"""What a checkpoint is worth in the other tabs: renders are repaired, extended, repainted and zoomed by the app's engine, and judged.

The command `python -m tools.embedded edits`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.canvas.mask import blurred, spread
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from tools.embedded import easel, judge, judging
from tools.embedded.easel import Easel, Order
from tools.embedded.figures import Ledger, percent, table, write_between
from tools.embedded.judge import FIRST_TEST_SCENE, Judge, View, plain_caption
from tools.embedded.scenes.grammar import Scene
from tools.embedded.scenes.words import PHRASES
from tools.embedded.stages import Job
from tools.embedded.training import Report
from tools.embedded.trials import FIRST_SEED, weights_key

SIDE = 128
GROWN = 64
"""Pixels by which the sea is extended: the app's default for each side."""
MARGIN = 4
"""Pixels around the balloon that are masked with it, as a hand would."""
SEEN = 24
"""Two renders differ in a pixel where their channels differ by more than this in sum (of 765)."""
SKIES = {"day": "blue sky, day", "sunset": "orange sky, sunset", "night": "night sky, night"}
FROM_FILL = {"masked_content": "fill", "denoising_strength": 1.0}
MARKER = "edits"


@dataclass(frozen=True)
class Case:
    """One picture to be worked on: the scene it shows, what is handed in, the request's fields, and what a perfect hand would make."""

    scene: Scene
    picture: np.ndarray
    values: dict[str, Any]
    perfect: np.ndarray
    mask: np.ndarray | None = None

    def order(self, folder: Path, index: int, checkpoint: str) -> Order:
        """What the engine is asked for; the file's name tells what was handed in."""
        inputs = {"image": self.picture} | ({} if self.mask is None else {"mask": np.repeat(self.mask[..., None], 3, axis=2)})
        digest = hashlib.sha256(repr(sorted(self.values.items())).encode())
        for pixels in inputs.values():
            digest.update(np.ascontiguousarray(pixels).tobytes())
        path = folder / f"{index:04d}-{digest.hexdigest()[:8]}.png"
        return Order(path, {**self.values, "checkpoint": checkpoint, "seed": FIRST_SEED + index}, inputs)


Answers = dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """A kind of work: its cases, the part of the result that the judge looks at, and what must be true of each result."""

    name: str
    label: str
    cases: list[Case]
    check: Callable[[Case, np.ndarray, Answers], dict[str, bool]]
    look: Callable[[Case, np.ndarray], np.ndarray] = field(default=lambda case, result: result)


def hero_mask(scene: Scene) -> np.ndarray:
    """Where the render shows its hero, and a little more: uint8 (128, 128), 255 = hero. Found by rendering the scene without."""
    whole, empty = (judging.rendered(View(shown), SIDE, SIDE).astype(int) for shown in (scene, without_hero(scene)))
    return spread(np.abs(whole - empty).sum(2) > SEEN, MARGIN).astype(np.uint8) * 255


def without_hero(scene: Scene) -> Scene:
    """The same scene, its hero gone."""
    return replace(scene, hero="none")


def removals(count: int, values: dict[str, Any]) -> list[Case]:
    """Balloons in the sky, masked by hand, with a prompt that says what should be there instead."""
    cases = []
    for scene in judging.scenes_with(lambda scene: scene.hero == "balloon" and scene.frame == "none", count, FIRST_TEST_SCENE):
        clouds = ", clouds" if scene.weather == "cloudy" else ""
        prompt = f"{SKIES[scene.time]}{clouds}, {PHRASES[scene.land][0]}"
        picture, perfect = (judging.rendered(View(shown), SIDE, SIDE) for shown in (scene, without_hero(scene)))
        cases.append(Case(scene, picture, {"task": "inpaint", "prompt": prompt, **values}, perfect, hero_mask(scene)))
    return cases


def check_removal(case: Case, result: np.ndarray, seen: Answers) -> dict[str, bool]:
    """The balloon is gone, the time of day stayed, and so did, bit for bit, what lies outside the mask and its soft edge."""
    kept = blurred(case.mask, 4) == 0
    return {
        "balloon gone": seen["hero"] != "balloon",
        "no other hero": seen["hero"] == "none",
        "time of day": seen["time"] == case.scene.time,
        "kept pixels": np.array_equal(result[kept], case.picture[kept]),
    }


def outpaintings(count: int) -> list[Case]:
    """Seas, extended by 64 pixels to the left and to the right in turn."""
    cases = []
    for index, scene in enumerate(judging.scenes_with(lambda scene: scene.land == "sea" and scene.frame == "none", count, FIRST_TEST_SCENE)):
        picture = judging.rendered(View(scene), SIDE, SIDE)
        sides = {"left": 0, "right": 0, ("left", "right")[index % 2]: GROWN}
        prompt = f"ocean, {PHRASES[scene.time][0]}"
        cases.append(Case(scene, picture, {"task": "outpaint", "prompt": prompt, **sides}, picture))
    return cases


def new_part(case: Case, result: np.ndarray) -> np.ndarray:
    """What was added, its mirror image beside it, so that it is a whole picture of 128x128 with nothing of the old one in it."""
    part = result[:, :GROWN] if case.values["left"] else result[:, -GROWN:]
    return np.concatenate([part, part[:, ::-1]], axis=1)


def check_sea(case: Case, result: np.ndarray, seen: Answers) -> dict[str, bool]:
    """The new part shows the sea, at the old part's time of day; the old pixels farther than the overlap (16) from it are kept."""
    old, inner = (result[:, GROWN:], slice(16, None)) if case.values["left"] else (result[:, :SIDE], slice(None, -16))
    not_grown = result.shape[1] == SIDE  # the perfect one is the old part itself
    kept = not_grown or np.array_equal(old[:, inner], case.picture[:, inner])
    return {"sea": seen["land"] == "sea", "time of day": seen["time"] == case.scene.time, "kept pixels": kept}


def repaintings(count: int) -> list[Case]:
    """Renders repainted at a strength of 0.4; the prompt names the hero alone, so landscape and time come from the picture."""
    cases = []
    for scene in judging.scenes_with(lambda scene: scene.hero != "none" and scene.frame == "none", count, FIRST_TEST_SCENE):
        picture = judging.rendered(View(scene), SIDE, SIDE)
        prompt = f"a {scene.colour} {PHRASES[scene.hero][0]}"
        cases.append(Case(scene, picture, {"task": "img2img", "prompt": prompt, "denoising_strength": 0.4}, picture))
    return cases


def zooms(count: int) -> list[Case]:
    """A first key that is a render, and one more key around it."""
    cases = []
    for scene in judging.scenes_with(lambda scene: scene.frame == "none", count, FIRST_TEST_SCENE):
        picture = judging.rendered(View(scene), SIDE, SIDE)
        prompt = plain_caption(without_hero(scene))
        cases.append(Case(scene, picture, {"task": "zoom", "prompt": prompt, "keys": 2}, picture))
    return cases


def check_scene(case: Case, result: np.ndarray, seen: Answers) -> dict[str, bool]:
    """Landscape and time of day are what they were."""
    return {"landscape": seen["land"] == case.scene.land, "time of day": seen["time"] == case.scene.time}


def all_edits(count: int, only: Sequence[str]) -> list[Edit]:
    """Every kind of work, or those that are named."""
    makers: dict[str, Callable[[], Edit]] = {
        "balloon": lambda: Edit("balloon", "inpaint: a balloon removed (defaults)", removals(count, {}), check_removal),
        "balloon-fill": lambda: Edit("balloon-fill", "the same, masked content \"fill\", strength 1", removals(count, FROM_FILL), check_removal),
        "sea": lambda: Edit("sea", "outpaint: 64 pixels of sea", outpaintings(max(2, count // 2)), check_sea, new_part),
        "img2img": lambda: Edit("img2img", "img2img at 0.4", repaintings(count), check_scene),
        "zoom": lambda: Edit("zoom", "zoom: the second key", zooms(max(2, count // 2)), check_scene),
    }
    return [make() for name, make in makers.items() if not only or name in only]


def run_edits(job: Job, wish: judging.Wish, checkpoint: str, workers: int, report: Report) -> None:
    """Do the work with one checkpoint, let the judge look at it, say and keep what it says."""
    home = judging.judge_stage(job, workers, report)
    if not (home / "judge.weights.pt").exists():
        return
    model, folder = judging.load_judge(home), job.workshop.folder / "edits"
    board = Easel(wish.models.resolve(), (home.parent / "scratch").resolve())
    file = Shelf(board.settings).checkpoint(checkpoint)
    ledger = Ledger(folder / f"{file.path.stem}.json", f"{home.name} {weights_key((file,), wish.cfg_scale)}")
    for edit in all_edits(wish.count, wish.only):
        ledger.put(edit.name, {"label": edit.label, **do_edit(edit, file, model, board, folder, wish.cfg_scale, workers, report)})
        report(f"{edit.name}: {ledger.results[edit.name]}")
    text = as_markdown(all_results(folder, home.name))
    report("\n" + text)
    if wish.readme:
        write_between(wish.readme, MARKER, text)
        report(f"written to {wish.readme}")


def do_edit(edit: Edit, file: ModelFile, model: Judge, board: Easel, folder: Path, cfg: float | None, workers: int, report: Report) -> dict[str, Any]:
    """Work on all cases and judge what came out: share of results of which each thing is true, and the same of perfect ones."""
    place = folder / edit.name / weights_key((file,), cfg)
    judging.drop_siblings(place)
    scale = {} if cfg is None else {"cfg_scale": cfg}
    orders = [replace(case, values=case.values | scale).order(place, index, file.name) for index, case in enumerate(edit.cases)]
    easel.fill_all(board, orders, workers, judging.counter(edit.name, report))
    results = easel.load([order.path for order in orders])
    return {
        "count": len(orders),
        "figures": examined(edit, model, list(results)),
        "ceiling": examined(edit, model, [case.perfect for case in edit.cases]),
    }


def examined(edit: Edit, model: Judge, results: Sequence[np.ndarray]) -> dict[str, float]:
    """Share of the results, in 0..1, of which each thing is true."""
    shown = np.stack([edit.look(case, result) for case, result in zip(edit.cases, results, strict=True)])
    seen = judge.answers(judge.impressions(model, shown)[0])
    checks = [edit.check(*each) for each in zip(edit.cases, results, seen, strict=True)]
    return {name: float(np.mean([check[name] for check in checks])) for name in checks[0]}


def all_results(folder: Path, judge_key: str) -> dict[str, dict[str, Any]]:
    """The results of every checkpoint that this judge looked at, by its name, the base first."""
    kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return {name: saved["results"] for name, saved in kept.items() if saved["key"].split()[0] == judge_key}


def as_markdown(results: dict[str, dict[str, Any]]) -> str:
    """One row per checkpoint and kind of work."""
    rows = []
    for checkpoint, each in results.items():
        for result in each.values():
            figures = [f"{name} {percent(value)} ({percent(result['ceiling'][name])})" for name, value in result["figures"].items()]
            rows.append([f"`{checkpoint}`", result["label"], str(result["count"]), ", ".join(figures)])
    notes = (
        "Percent of the results, by the judge; in brackets the same of what a perfect hand would have made (the render without the balloon, or the "
        'render itself). "Kept pixels" are compared bit for bit.'
    )
    return table(["checkpoint", "work", "number", "what is true of the result"], rows) + "\n\n" + notes

"""The sample pictures beside the model files: 2x2 pictures of each, painted by the app's engine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from tools.embedded import easel
from tools.embedded.easel import Easel, Order
from tools.embedded.judge import STYLES
from tools.embedded.training import Report
from tools.embedded.trials import BASE, FEW_STEPS, ending_of

SIDE = 128
PROMPTS = (
    "a red house in the forest, night, moon, fluorescent mushrooms",
    "a blue boat on the sea, sunset",
    "a white castle in the mountains, day, clouds",
    "a yellow tent in the desert, night, stars",
)
PLACES = ("a red house in the forest", "a white castle in the mountains", "a blue boat on the sea", "a windmill in a meadow")
"""For words that bring time and weather themselves."""
SEED = 1
REPAIRED = (7_600_001, 7_600_004)
"""Scenes whose renders the inpainting checkpoint repairs."""


def preview_of(path: Path) -> Path:
    """NAME.preview.webp beside a file, preview.webp in a folder: where the app looks."""
    return path / "preview.webp" if path.is_dir() else path.with_name(f"{path.stem}.preview.webp")


def orders_of(file: ModelFile, base: ModelFile, folder: Path) -> list[Order]:
    """Four pictures that show what a file is for."""
    word = next((style for style in (*STYLES[1:], "lcm") if style in file.path.stem.lower()), "")
    ending = "" if file.kind == "checkpoint" and not word else ending_of(file, word)
    fields: Mapping[str, Any] = FEW_STEPS if word == "lcm" else {}
    checkpoint = file.name if file.kind == "checkpoint" else base.name
    prompts = PLACES if file.kind == "embedding" else PROMPTS
    orders = []
    for index, prompt in enumerate(prompts):
        asked = ", ".join(filter(None, (prompt, ending)))
        values = {"task": "txt2img", "prompt": asked, "checkpoint": checkpoint, "seed": SEED + index, "width": SIDE, "height": SIDE, **fields}
        orders.append(Order(folder / file.path.stem / f"{index}.png", values))
    return orders


def repairs_of(file: ModelFile, folder: Path) -> list[Order]:
    """Two renders of whose middle a part is painted anew."""
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[40:112, 32:96] = 255
    values = {"task": "inpaint", "prompt": "a red house", "checkpoint": file.name, "seed": SEED, "width": SIDE, "height": SIDE, "denoising_strength": 1.0}
    return [Order(folder / file.path.stem / f"{seed}.png", values, {"image": _render(seed), "mask": mask}) for seed in REPAIRED]


def _render(seed: int) -> np.ndarray:
    from tools.embedded.scenes.draw import render
    from tools.embedded.scenes.grammar import sample_scene

    return render(sample_scene(seed), SIDE)


def four_of(orders: list[Order]) -> np.ndarray:
    """The four pictures in a square; of repairs, the masked renders above the repaired ones."""
    pictures = list(easel.load([order.path for order in orders]))
    if len(orders) == 2:
        pictures = [np.where(order.inputs["mask"] > 0, np.uint8(128), order.inputs["image"]) for order in orders] + pictures
    return np.concatenate([np.concatenate(pictures[:2], 1), np.concatenate(pictures[2:], 1)])


def draw_previews(models: Path, folder: Path, only: tuple[str, ...], workers: int, report: Report) -> None:
    """Draw the preview of every usable file below `models` whose name holds one of the words `only` (all without words)."""
    board = Easel(models.resolve(), (folder / "previews" / "scratch").resolve())
    shelf = Shelf(board.settings)
    base = shelf.checkpoint(BASE)
    for file in [*shelf.checkpoints(), *shelf.loras(), *shelf.embeddings()]:
        inside = file.path.resolve().is_relative_to(models.resolve())
        if not inside or file.problem or (only and not any(word in file.path.stem.lower() for word in only)):
            continue
        place = folder / "previews"
        orders = repairs_of(file, place) if "inpaint" in file.path.stem.lower() else orders_of(file, base, place)
        for order in orders:
            order.path.unlink(missing_ok=True)
        easel.fill_all(board, orders, workers)
        target = preview_of(file.path)
        part = target.with_name(f"{target.name}.part")
        Image.fromarray(four_of(orders)).save(part, "WEBP", quality=88, method=6)
        os.replace(part, target)
        report(str(target))

"""Pictures through the app's own engine, as users get them: orders that are painted by several processes and kept as PNG.

Each process uses one thread, so that pictures do not depend on how many there are.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from app.engine.checkpoints.find import Shelf
from app.extensions import Extensions
from app.request import parse
from app.settings import Settings
from app.studio import AnyEngine, make_engine
from app.work import Progress

SOME_PICTURE = "0" * 64
"""The id that stands in requests for the pictures that an order brings along."""


@dataclass(frozen=True)
class Order:
    """One picture to be painted.

    Attributes:
        path: the PNG it becomes; what is there already is not painted again.
        values: the request's fields by name; all others have the app's defaults.
        inputs: pictures under "image" and "mask", uint8 (h, w, 3).
    """

    path: Path
    values: Mapping[str, Any]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Easel:
    """Where checkpoints, LoRAs and embeddings are taken from, and where their hashes are remembered."""

    models: Path
    scratch: Path

    @property
    def settings(self) -> Settings:
        """The app's, with these folders only: no extensions, no styles, no other models."""
        folders = (self.models,)
        # Single files find their base's configs below root/models/embedded.
        root = self.models.parents[1] if self.models.parts[-2:] == ("models", "embedded") else self.scratch
        return Settings(
            root=root,
            checkpoint_dirs=folders,
            lora_dirs=folders,
            embedding_dirs=folders,
            vae_dirs=folders,
            extension_dir=self.scratch / "extensions",
            styles_file=self.scratch / "styles.csv",
            outputs_dir=self.scratch,
        )


@cache
def engine_of(easel: Easel) -> AnyEngine:
    """The app's engine on this easel; one per process."""
    easel.scratch.mkdir(parents=True, exist_ok=True)
    return make_engine(easel.settings, Shelf(easel.settings), Extensions())


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


def paint(easel: Easel, order: Order) -> Image.Image:
    """The order's last picture (of a zoom: its last key). Raises StudioError."""
    pictured = dict.fromkeys(order.inputs, SOME_PICTURE)
    request = parse({**order.values, **pictured}).concrete()
    inputs = {name: Image.fromarray(pixels) for name, pixels in order.inputs.items()}
    made = [picture.image for picture in engine_of(easel).run(request, inputs, _ignore)]
    return made[-1]


def fill(easel: Easel, order: Order) -> Path:
    """Paint an order and keep it."""
    torch.set_num_threads(1)
    image = paint(easel, order)
    order.path.parent.mkdir(parents=True, exist_ok=True)
    part = order.path.with_name(f"{order.path.name}.part")
    image.save(part, "PNG")
    os.replace(part, order.path)
    return order.path


@contextmanager
def crowd(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A function like `map` that works with so many processes, in order; SIGTERM ends them and this one at once."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if workers <= 1:
            yield map
        else:
            with get_context("spawn").Pool(workers) as pool:
                yield pool.imap
    finally:
        signal.signal(signal.SIGTERM, before)


def fill_all(easel: Easel, orders: Sequence[Order], workers: int, report: Callable[[int, int], None] | None = None) -> None:
    """Paint all orders whose picture is not there yet, with so many processes; `report` is told how many are done, and of how many."""
    open_orders = [order for order in orders if not order.path.exists()]
    threads, before = torch.get_num_threads(), len(orders) - len(open_orders)
    try:
        with crowd(min(workers, len(open_orders))) as work:
            for done, _ in enumerate(work(partial(fill, easel), open_orders), before + 1):
                if report:
                    report(done, len(orders))
    finally:
        torch.set_num_threads(threads)


def load(paths: Sequence[Path]) -> np.ndarray:
    """Pictures of one size: uint8 (n, h, w, 3)."""
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            pictures.append(np.asarray(image.convert("RGB")))
    return np.stack(pictures)

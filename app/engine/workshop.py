"""What the brushes of one job share."""

from collections.abc import Callable
from dataclasses import replace

from app.engine.checkpoints.find import Shelf
from app.engine.families.latent import LatentModel
from app.engine.upscalers_run import Upscalers
from app.extensions import Extensions
from app.work import Progress, Report

Acquire = Callable[[str, str, str], LatentModel]
"""(checkpoint, VAE or "", text encoder or "") -> the loaded model. Raises UnknownName, BadCheckpoint or OutOfMemory."""


class Workshop:
    """Models, extensions and upscalers for the brushes of one job, and somebody to report to.

    One model is held at a time: which others stay in memory is for the engine's cache to decide, when a job needs several
    (second pass, refiner).
    """

    def __init__(self, acquire: Acquire, shelf: Shelf, extensions: Extensions, upscalers: Upscalers, report: Report) -> None:
        self.shelf, self.extensions, self.upscalers = shelf, extensions, upscalers
        self._acquire, self._report = acquire, report
        self._held: tuple[tuple[str, str, str], LatentModel] | None = None
        self._begun: set[tuple[str, str, str]] = set()
        self._last: Progress | None = None

    def report(self, progress: Progress) -> None:
        """What it raises goes through to the worker."""
        self._last = progress
        self._report(progress)

    @property
    def held(self) -> LatentModel | None:
        """The model that was asked for last."""
        return self._held[1] if self._held else None

    def close(self) -> None:
        """The job has ended: what its brushes were made of may hold on to the workshop, but not to a model."""
        self._held = None

    def model(self, checkpoint: str, vae: str, text_encoder: str = "") -> LatentModel:
        """The model of these names. Another one that was held before is let go of first. Raises what `Acquire` raises, and Cancelled."""
        names = (checkpoint, vae, text_encoder)
        if self._held is None or self._held[0] != names:
            self._held = None
            if self._last is not None:
                self.report(replace(self._last, phase="loading", preview=None))
            model = self._acquire(*names)
            if names not in self._begun:
                model.placement.reset()
                self._begun.add(names)
            self._held = (names, model)
        return self._held[1]

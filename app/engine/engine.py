"""Turns requests into pictures: acquires the checkpoint that each request names, and lets its task paint."""

import gc
from collections.abc import Iterator, Mapping

import psutil
from PIL.Image import Image

from app.engine.brush import Brush
from app.engine.checkpoints.cache import ModelCache
from app.engine.checkpoints.describe import BYTES
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.finite import damaged
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.networks import Parts
from app.engine.device import CPU, attention_name, free_bytes, is_out_of_memory, make_plan
from app.engine.families import FAMILIES
from app.engine.families.latent import LatentModel
from app.engine.tasks import TASKS
from app.engine.upscalers_run import Enlarger, Upscalers
from app.engine.workshop import Workshop
from app.errors import BadCheckpoint, BadNumbers, OutOfMemory
from app.extensions import Extensions
from app.request import AnyTask, Upscale
from app.settings import Settings
from app.work import Picture, Progress, Report


class Engine:
    """Holds loaded models between jobs. One thread at a time."""

    def __init__(self, settings: Settings, shelf: Shelf, extensions: Extensions) -> None:
        self.settings, self.shelf, self.extensions = settings, shelf, extensions
        self.plan = make_plan(settings)
        self.upscalers = Upscalers(settings, self.plan.device)
        self._models = ModelCache(psutil.virtual_memory().available // 2 if settings.warm_ram is None else settings.warm_ram)
        known = set(FAMILIES)
        for _ in extensions.call("register_families", families=FAMILIES):
            pass
        if set(FAMILIES) != known:
            shelf.refresh()
        _set_aside()

    def describe(self) -> str:
        """Device, precision and attention in one line, for the start message."""
        return self.plan.describe()

    def attention_name(self) -> str:
        """The attention that is used: "PyTorch SDPA" or "xformers"."""
        return attention_name(self.plan)

    def run(self, request: AnyTask, inputs: Mapping[str, Image], report: Report) -> Iterator[Picture]:
        """The pictures of a concrete request, each as soon as it is finished; the next is begun when it is asked for.

        Args:
            inputs: RGB or RGBA pictures under the names "image" and "mask".
            report: called at least once a step; raises Cancelled to stop the job. The engine stays usable.

        Raises:
            StudioError: one sentence for a person.
        """
        report(Progress("loading", 1, request.pictures))
        if isinstance(request, Upscale):
            yield from TASKS[request.task](request, inputs, Enlarger(self.upscalers, report))
            return
        workshop = Workshop(self.acquire, self.shelf, self.extensions, self.upscalers, report)
        workshop.model(request.checkpoint, request.vae, request.text_encoder)
        try:
            yield from TASKS[request.task](request, inputs, Brush(request, workshop))
        except BadNumbers:
            if workshop.held is not None:
                _look_for_damage(workshop.held)
            raise
        finally:
            workshop.close()

    def acquire(self, checkpoint: str, vae: str = "", text_encoder: str = "") -> LatentModel:
        """The loaded model of that name, with its own VAE and text encoders or others. Raises UnknownName, BadCheckpoint or OutOfMemory."""
        file, parts = self.shelf.checkpoint(checkpoint), Parts(self.shelf.vae(vae), *self.shelf.texts(text_encoder))
        for chosen in (file, *parts.files):
            if chosen.problem:
                raise BadCheckpoint(chosen.problem)
        family = FAMILIES.get(file.family)
        if family is None:
            raise BadCheckpoint(f"'{file.name}' is of the family {file.family}, which this version does not run.")
        key = (file.path, file.fingerprint(), *((name, part.fingerprint()) for name, part in parts.named.items()))
        try:
            return self._models.get(key, self._expected(file), lambda: family.load(file, parts, self.plan))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        free = free_bytes(CPU) / 1e9
        raise OutOfMemory(f"There is not enough memory to load '{file.name}' ({self._expected(file) / 1e9:.1f} GB; {free:.1f} GB are free).")

    def _expected(self, file: ModelFile) -> int:
        """About how much memory a checkpoint will take; float16 files double in float32, fp8 files twice more."""
        return file.size * self.plan.dtype.itemsize // BYTES.get(file.precision, 2)


def _set_aside() -> None:
    """What the libraries made when they were imported stays: it is left out when memory is cleared up after a swap, which takes
    milliseconds then instead of as long as the swap itself."""
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


def _look_for_damage(model: LatentModel) -> None:
    """Weights that are mapped were not looked at when they were loaded. Raises BadCheckpoint naming the tensor that is damaged."""
    model.placement.release()
    model.adapters.apply(())
    if found := damaged(model.placement.networks):
        raise BadCheckpoint(f"'{model.file.path.name}' is damaged: {found} holds NaN or infinite numbers.", "Download it again.") from None

"""A merge as a job: checked from headers before it is queued, streamed in the worker's thread, on the shelf when it is over."""

from collections.abc import Callable
from pathlib import Path

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.hashes import digest
from app.engine.checkpoints.header import ModelFile
from app.engine.merging import plan as planning
from app.engine.merging.plan import Plan
from app.engine.merging.recipe import metadata_of
from app.engine.merging.sources import open_checkpoint, open_vae
from app.errors import BadCheckpoint, BadRequest, Refused
from app.merge_request import MAX_NAME, Merge
from app.names import usable
from app.settings import Settings
from app.work import Progress, Report


class MergeJobs:
    """Merges on their way through the studio."""

    def __init__(self, shelf: Shelf, settings: Settings) -> None:
        self._shelf, self._settings = shelf, settings

    def prepare(self, request: Merge, guest: bool) -> Merge:
        """The merge as it is queued: names as the shelf has them, a name for the file, everything checked that headers can tell.

        Raises:
            Refused: for guests; UnknownName, BadCheckpoint, BadRequest: the sentence names the checkpoint or the field.
        """
        if guest:
            raise Refused("Guests may not merge checkpoints.")
        request = self._named(request)
        self._plan(request)
        self._target(request)
        return request

    def work(self, request: Merge, report: Report) -> Path:
        """Make the file and put it on the shelf. Returns where it is. Raises what `app.engine.merging.write.write` raises, Cancelled too."""
        from app.engine.merging.write import write  # imports torch

        report(Progress("loading"))
        target, plan = self._target(request), self._plan(request)
        hashes = {source.letter: sha256(source.file, lambda: report(Progress("loading"))) for source in plan.sources}
        write(plan, target, metadata_of(plan, request.name, hashes), report)
        self._shelf.refresh()
        return target

    def _named(self, request: Merge) -> Merge:
        planning.check_letters(request)
        names = {field: self._shelf.checkpoint(name).name for field in ("model_a", "model_b", "model_c") if (name := getattr(request, field))}
        if request.bake_vae:
            names["bake_vae"] = usable(self._shelf.find("vae", request.bake_vae)).name
        request = request.model_copy(update=names)
        return request if request.name else request.model_copy(update={"name": name_of(request)})

    def _plan(self, request: Merge) -> Plan:
        given = {"A": request.model_a, "B": request.model_b, "C": request.model_c}
        parents = {letter: open_checkpoint(self._shelf.checkpoint(name), letter) for letter, name in given.items() if name}
        vae = open_vae(self._shelf.find("vae", request.bake_vae)) if request.bake_vae else None
        return planning.make(request, parents, vae, self._settings.root / "models" / "embedded")

    def _target(self, request: Merge) -> Path:
        """Where the file goes: the first folder for checkpoints. Raises BadRequest when it may not."""
        folder = self._settings.checkpoint_dirs[0]
        target = folder / f"{request.name}.safetensors"
        ours = self._settings.root / "models"
        if any(target.resolve().is_relative_to((ours / kept).resolve()) for kept in ("embedded", "upscalers")):
            raise BadRequest(f"Name (name) is '{request.name}', but that folder is not for your own checkpoints.", "Choose another name.")
        if not target.resolve().is_relative_to(folder.resolve()):
            raise BadRequest(f"Name (name) is '{request.name}', but that leads out of the folder for checkpoints.", "Choose another name.")
        if target.exists() and not request.overwrite:
            raise BadRequest(f"There is a checkpoint '{request.name}' already.", "Choose another name, or allow to overwrite it.")
        return target


def name_of(request: Merge) -> str:
    """A name for a file that was given none, after its parents: "0.7(anime) + 0.3(photo)"."""
    a, b, c = (name.rpartition("/")[2] for name in (request.model_a, request.model_b, request.model_c))
    m = request.multiplier
    match request.method:
        case "Weighted sum":
            found = f"{1 - m:g}({a}) + {m:g}({b})"
        case "Add difference":
            found = f"{a} + {m:g}({b} - {c})"
        case _:
            found = f"{a} {request.save_as}"
    return found[:MAX_NAME].rstrip(" .")


def sha256(file: ModelFile, between: Callable[[], None]) -> str:
    """The sha256 (hex) of a checkpoint, of a folder its UNet's; remembered, or read now. `between` is called after every 8 MB and may raise."""
    path = file.weights[0]
    try:
        if file.hashes is None:
            return digest(path)
        for _ in file.hashes.steps(path):
            between()
        return file.hashes.sha256(path)
    except OSError as error:
        raise BadCheckpoint(f"'{path.name}' cannot be read: {error.strerror or error}.") from None

"""Names in a request made those that are on our lists, before anything is queued."""

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.samplers import resolve_pair, resolve_sampler
from app.engine.schedules import resolve_schedule
from app.engine.upscalers import find_hires_upscaler
from app.errors import BadCheckpoint
from app.grids.request import Grid
from app.request import AnyRequest, Asked, Txt2Img
from app.settings import Settings

LOADED = ("checkpoint", "vae", "text_encoder")
"""Fields that say which model files a job needs to have loaded before it can begin."""


def group_of(request: Asked) -> str:
    """What the queue takes together: jobs that need the same model files; "" for those that need none. The names are the canonical ones.

    A grid that goes through several is a group of its own, as something else is loaded when it is over.
    """
    if not isinstance(request, Grid):
        return "\n".join(getattr(request, name, "") for name in LOADED) if hasattr(request, "checkpoint") else ""
    axes = [f"{axis.field}: {axis.values}" for axis in request.axes.values() if axis.field in LOADED]
    return "\n".join([group_of(request.base), *axes])


def usable(file: ModelFile) -> ModelFile:
    """The file itself. Raises BadCheckpoint when its header already tells that it cannot be used."""
    if file.problem:
        raise BadCheckpoint(file.problem)
    return file


def canonical(request: AnyRequest, shelf: Shelf, settings: Settings) -> dict[str, str]:
    """The fields of a request that hold names, as our lists have them. Those of a hires fix that is off are left as they are.

    Raises:
        UnknownName: a name is on no list; the nearest ones are offered.
        BadCheckpoint: a model file cannot be used.
    """
    sampler, schedule = resolve_pair(request.sampler, request.schedule)
    checkpoint, refiner = shelf.checkpoint(request.checkpoint), request.refiner_checkpoint
    found = {"checkpoint": usable(checkpoint).name, "sampler": sampler, "schedule": schedule}
    found["vae"] = usable(shelf.find("vae", request.vae)).name if request.vae else ""
    found["refiner_checkpoint"] = usable(shelf.checkpoint(refiner)).name if refiner else ""
    if isinstance(request, Txt2Img) and request.enable_hr:
        found |= of_second_pass(request, shelf, settings)
    return found


def of_second_pass(request: Txt2Img, shelf: Shelf, settings: Settings) -> dict[str, str]:
    """The same for hires fix; what is empty stays empty and means the first pass's. A sampler may name its schedule, as "DPM++ 2M Karras" does."""
    found = {"hr_upscaler": find_hires_upscaler(settings, request.hr_upscaler)}
    schedule = resolve_schedule(request.hr_schedule) if request.hr_schedule else ""
    if request.hr_sampler:
        found["hr_sampler"], named = resolve_sampler(request.hr_sampler)
        schedule = named if named and schedule in ("", "Automatic") else schedule
    checkpoint = usable(shelf.checkpoint(request.hr_checkpoint)).name if request.hr_checkpoint else ""
    return found | {"hr_schedule": schedule, "hr_checkpoint": checkpoint}

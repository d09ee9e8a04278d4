"""Names in a request made those that are on our lists, before anything is queued."""

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.samplers import resolve_pair, resolve_sampler
from app.engine.schedules import resolve_schedule
from app.engine.upscalers import find_hires_upscaler
from app.errors import BadCheckpoint
from app.request import AnyRequest, Txt2Img
from app.settings import Settings


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

"""Names in a request made those that are on our lists, before anything is queued."""

from collections.abc import Mapping

from app.engine.checkpoints.find import PLUS, Shelf
from app.engine.checkpoints.fits import lacking, other_family, pairs
from app.engine.checkpoints.header import ModelFile
from app.engine.families import FAMILIES, latents_of
from app.engine.families import group_of as family_group
from app.engine.samplers import resolve_pair, resolve_sampler
from app.engine.schedules import resolve_schedule
from app.engine.upscalers import find_hires_upscaler, find_latent
from app.errors import BadCheckpoint, BadRequest
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


def fitting_lora(shelf: Shelf, name: str, request: AnyRequest) -> ModelFile:
    """The LoRA of that name, made for the family of some checkpoint that the request names. Raises UnknownName, BadCheckpoint."""
    file = usable(shelf.lora(name))
    others = (request.hr_checkpoint if isinstance(request, Txt2Img) and request.enable_hr else "", request.refiner_checkpoint)
    files = [shelf.checkpoint(request.checkpoint), *(shelf.checkpoint(other) for other in others if other)]
    problems = [other_family(file, checkpoint.name, family_group(checkpoint.family)) for checkpoint in files]
    if all(problems):
        raise BadCheckpoint(problems[0], "Choose a LoRA of the checkpoint's own family.")
    return file


def canonical(request: AnyRequest, shelf: Shelf, settings: Settings) -> dict[str, str]:
    """The fields of a request that hold names, as our lists have them. Those of a hires fix that is off are left as they are.

    Raises:
        UnknownName: a name is on no list; the nearest ones are offered.
        BadCheckpoint: a model file cannot be used.
        BadRequest: two checkpoints cannot go on with each other's work, or one needs a picture and there is none.
    """
    sampler, schedule = resolve_pair(request.sampler, request.schedule)
    checkpoint, refiner = shelf.checkpoint(request.checkpoint), request.refiner_checkpoint
    found = {"checkpoint": usable(checkpoint).name, "sampler": sampler, "schedule": schedule}
    found["vae"] = usable(shelf.find("vae", request.vae)).name if request.vae else ""
    found["text_encoder"] = PLUS.join(usable(file).name for file in shelf.texts(request.text_encoder)) if request.text_encoder else ""
    found["refiner_checkpoint"] = usable(shelf.checkpoint(refiner)).name if refiner else ""
    if isinstance(request, Txt2Img) and request.enable_hr:
        found |= of_second_pass(request, shelf, settings)
    for name in filter(None, (found["checkpoint"], found["refiner_checkpoint"], found.get("hr_checkpoint"))):
        check_whole(shelf.checkpoint(name), checkpoint, found, shelf)
        check_picture(shelf.checkpoint(name), request)
    check_relays(request, found, shelf)
    return found


def label_of(file: ModelFile) -> str:
    """A checkpoint's family for people."""
    row = FAMILIES.get(file.family)
    return row.label if row else file.family


def check_picture(checkpoint: ModelFile, request: AnyRequest) -> None:
    """Raises BadRequest when a checkpoint paints over a picture and the request has none."""
    row = FAMILIES.get(checkpoint.family)
    if row and row.over_picture and "image" not in request.picture_fields():
        raise BadRequest(f"'{checkpoint.name}' ({row.label}) paints over a picture, and {request.task} was given none.", "Use it in the tab img2img.")


def check_relays(request: AnyRequest, found: Mapping[str, str], shelf: Shelf) -> None:
    """Raises BadRequest where one checkpoint would go on with latents that mean something else to it: refiners, and second passes that
    enlarge latents."""
    first = shelf.checkpoint(found["checkpoint"])
    second = shelf.checkpoint(found["hr_checkpoint"]) if found.get("hr_checkpoint") else first
    refiner = shelf.checkpoint(found["refiner_checkpoint"]) if found["refiner_checkpoint"] else None
    in_first, in_second = True, False
    if isinstance(request, Txt2Img) and request.enable_hr:
        in_first, in_second = request.hr_refiner != "second pass", request.hr_refiner != "first pass"
        if find_latent(found["hr_upscaler"]):
            check_latents("Hires checkpoint", second, first, "Choose an upscaler that is not Latent, or a checkpoint of the same kind.")
    if refiner is not None:
        for painter in [*([first] if in_first else []), *([second] if in_second else [])]:
            check_latents("Refiner", refiner, painter, "Choose a refiner of the same kind, or none.")


def check_latents(label: str, follower: ModelFile, painter: ModelFile, hint: str) -> None:
    """Raises BadRequest when `follower` cannot read what `painter` makes."""
    if latents_of(follower.family) != latents_of(painter.family):
        kinds = f"'{follower.name}' is of the family {label_of(follower)} and '{painter.name}' of the family {label_of(painter)}"
        raise BadRequest(f"{label}: {kinds}, whose latents mean different things.", hint)


def check_whole(checkpoint: ModelFile, home: ModelFile, chosen: Mapping[str, str], shelf: Shelf) -> None:
    """Raises BadCheckpoint when a file holds no text encoder or no VAE and none is chosen; those that fit are offered.

    Args:
        checkpoint: what paints.
        home: the job's own checkpoint; what is chosen for it serves refiner and second pass of the same kind, too.
    """
    if checkpoint.missing:
        vae = shelf.vae(chosen["vae"]) if latents_of(checkpoint.family) == latents_of(home.family) else None
        texts = shelf.texts(chosen["text_encoder"]) if family_group(checkpoint.family) == family_group(home.family) else ()
        if said := lacking(checkpoint, vae, texts, shelf.everything()):
            raise BadCheckpoint(said)


def text_encoders(shelf: Shelf) -> list[str]:
    """What can be picked for the field Text encoder: files, and pairs of those that SDXL reads together."""
    files = [file for file in shelf.text_encoders() if not file.problem]
    return [file.name for file in files] + pairs(files)


def of_second_pass(request: Txt2Img, shelf: Shelf, settings: Settings) -> dict[str, str]:
    """The same for hires fix; what is empty stays empty and means the first pass's. A sampler may name its schedule, as "DPM++ 2M Karras" does."""
    found = {"hr_upscaler": find_hires_upscaler(settings, request.hr_upscaler)}
    schedule = resolve_schedule(request.hr_schedule) if request.hr_schedule else ""
    if request.hr_sampler:
        found["hr_sampler"], named = resolve_sampler(request.hr_sampler)
        schedule = named if named and schedule in ("", "Automatic") else schedule
    checkpoint = usable(shelf.checkpoint(request.hr_checkpoint)).name if request.hr_checkpoint else ""
    return found | {"hr_schedule": schedule, "hr_checkpoint": checkpoint}

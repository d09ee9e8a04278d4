"""/v1/models: what lies on the shelf, with what its user says of it. Everybody may look; guests change nothing, and see no paths."""

import json
import re
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.bodies import read_json
from app.api.guard import FILE_CSP
from app.api.owner import sight
from app.api.parts import FRESH, House, Visitor
from app.cards import Card
from app.decode import decode
from app.engine.checkpoints.defaults import defaults_of
from app.engine.checkpoints.find import PLUS
from app.engine.checkpoints.fits import fits
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.problems import LABELS
from app.engine.families import FAMILIES, group_of
from app.engine.samplers import resolve_pair
from app.engine.schedules import resolve_schedule
from app.errors import BadRequest, NotFound, Refused, StudioError
from app.library.save import speakable
from app.studio import Owner, Studio

PICTURE = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": FILE_CSP}
"""Addresses of pictures name their version."""

router = APIRouter(prefix="/v1/models", tags=["models"])


def body(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}}


CARD_BODY = body(**{name: {"title": field.title} for name, field in Card.model_fields.items()})
PICTURE_BODY = body(picture={"type": "string", "title": "Id of a saved picture"})


@router.get("")
def listing(studio: House, owner: Visitor, checkpoint: str = "") -> Response:
    """All models. With `checkpoint` each of the others says in `fits` whether it can be used with that one."""
    return told(record(studio, owner, checkpoint))


@router.post("/refresh")
def refresh(studio: House, owner: Visitor, checkpoint: str = "") -> Response:
    """Look through the folders again; answers as GET does."""
    studio.shelf.refresh()
    return told(record(studio, owner, checkpoint))


@router.get("/defaults")
def defaults(studio: House, checkpoint: str = "") -> Response:
    """Request fields that suit a checkpoint, found by any of its names ("": the first); `saved` are those that a person chose."""
    file = studio.shelf.checkpoint(checkpoint)
    saved = studio.cards.get(file.kind, file.name).defaults
    natives = sorted({found.native for found in studio.shelf.checkpoints() if found.native})
    return told({"name": file.name, "defaults": {**defaults_of(file), **saved}, "saved": saved, "natives": natives})


@router.get("/{kind}/{name:path}/preview", response_class=Response)
def preview(kind: str, name: str, studio: House) -> Response:
    """The sample picture of a model, as a small JPEG."""
    return Response(studio.model_previews.small(find(studio, kind, name)), media_type="image/jpeg", headers=PICTURE)


@router.post("/{kind}/{name:path}/preview", openapi_extra=PICTURE_BODY)
async def choose_preview(kind: str, name: str, request: Request, studio: House, owner: Visitor) -> Response:
    """Make a saved picture the sample picture of a model."""
    check_house(owner)
    given = (await read_json(request)).get("picture")
    if not isinstance(given, str):
        raise BadRequest("picture is missing; it must be the id of a saved picture.")
    return told(await run_in_threadpool(lambda: use_picture(studio, owner, find(studio, kind, name), given)))


@router.get("/{kind}/{name:path}")
def show(kind: str, name: str, studio: House, owner: Visitor) -> Response:
    """One model."""
    return told(model_json(studio, owner, find(studio, kind, name)))


@router.put("/{kind}/{name:path}", openapi_extra=CARD_BODY)
async def change(kind: str, name: str, request: Request, studio: House, owner: Visitor) -> Response:
    """Change what is said of a model: notes, favourite, triggers, weight, and for checkpoints defaults. What is not named stays."""
    check_house(owner)
    changes = await read_json(request)
    return told(await run_in_threadpool(lambda: keep(studio, owner, find(studio, kind, name), changes)))


def told(found: dict[str, Any]) -> Response:
    """As JSON. Names of files may hold bytes that no text has; they become U+FFFD."""
    return Response(speakable(json.dumps(found, ensure_ascii=False)), media_type="application/json", headers=FRESH)


def check_house(owner: Owner) -> None:
    if owner.guest:
        raise Refused("Guests may look at the models, but not change what is said of them.")


def find(studio: Studio, kind: str, name: str) -> ModelFile:
    """The model of exactly that kind and name: a path never comes from an address. Raises NotFound."""
    for file in studio.shelf.everything():
        if file.kind == kind and speakable(file.name) == name:
            return file
    raise NotFound("There is no such model.", "Refresh the list of models.")


def record(studio: Studio, owner: Owner, checkpoint: str) -> dict[str, Any]:
    """All models, and the checkpoint that `fits` is about (None when there is none of that name)."""
    try:
        chosen = studio.shelf.checkpoint(checkpoint)
    except StudioError:
        chosen = None
    found = [model_json(studio, owner, file, chosen) for file in studio.shelf.everything()]
    about = {"name": chosen.name, "family": chosen.family, "label": label_of(chosen)} if chosen else None
    return {"models": found, "checkpoint": about, "may_write": not owner.guest}


def model_json(studio: Studio, owner: Owner, file: ModelFile, chosen: ModelFile | None = None) -> dict[str, Any]:
    """One model as the page shows it. All texts are strangers' plain text; where it lies is told to the people of the house alone."""
    card, side = studio.cards.get(file.kind, file.name), file.sidecar
    words = card.triggers or file.triggers or ((side.activation,) if side.activation else ())
    version = studio.model_previews.version(file)
    found = {
        "kind": file.kind, "name": file.name, "file": file.path.name, "family": file.family, "group": group_of(file.family), "family_label": label_of(file),
        "label": file.label or side.title, "variant": file.variant, "prediction": file.prediction, "precision": file.precision, "size": file.size,
        "native": file.native, "hash": file.known_hash(), "description": file.description or side.description, "problem": file.problem,
        "missing": list(file.missing), "triggers": list(words), "notes": card.notes or side.notes, "weight": card.weight or side.weight or 1.0,
        "negative": side.negative, "favourite": card.favourite, "own": card.model_dump(mode="json"),
        "fits": None if chosen is None or file.kind == "checkpoint" or file.problem else fits(file, chosen), "version": version,
    }  # fmt: skip
    if file.kind in ("checkpoint", "lora"):  # of a LoRA what it suits, few steps for example
        found["defaults"] = {**defaults_of(file), **card.defaults}
    if not owner.guest:
        found["path"] = str(file.path)
    return found


def label_of(file: ModelFile) -> str:
    """A family's name for people, "" when it is not known."""
    row = FAMILIES.get(file.family)
    if row or file.family == "unknown":
        return row.label if row else ""
    return re.sub("^an? | as$", "", LABELS.get(file.family, file.family))


def keep(studio: Studio, owner: Owner, file: ModelFile, changes: dict[str, Any]) -> dict[str, Any]:
    """Change the card of a model. Names in its defaults are made those of our lists. Raises BadRequest, UnknownName, DiskTrouble."""
    if file.kind != "checkpoint" and changes.get("defaults"):
        raise BadRequest("Only a checkpoint can bring defaults along.")
    given = changes.get("defaults")
    if isinstance(given, dict):
        changes = changes | {"defaults": given | canonical(studio, given)}
    studio.cards.change(file.kind, file.name, changes)
    return model_json(studio, owner, file)


def canonical(studio: Studio, values: dict[str, Any]) -> dict[str, str]:
    """The defaults that are names, as our lists have them; what is no text is left for the card to refuse. Raises UnknownName."""
    named = {name: value for name in ("sampler", "schedule", "vae", "text_encoder") if isinstance(value := values.get(name), str) and value.strip()}
    found = {}
    if "vae" in named:
        vae = studio.shelf.vae(named["vae"])
        found["vae"] = vae.name if vae else ""
    if "text_encoder" in named:
        found["text_encoder"] = PLUS.join(file.name for file in studio.shelf.texts(named["text_encoder"]))
    if "sampler" in named:
        sampler, schedule = resolve_pair(named["sampler"], named.get("schedule", "Automatic"))
        return found | {"sampler": sampler, "schedule": schedule}
    return found | ({"schedule": resolve_schedule(named["schedule"])} if "schedule" in named else {})


def use_picture(studio: Studio, owner: Owner, file: ModelFile, picture_id: str) -> dict[str, Any]:
    """Raises NotFound, BadPicture, DiskTrouble."""
    saved = studio.library.get(picture_id, sight(owner))
    if saved.kind != "image":
        raise BadRequest("A video cannot be the sample picture of a model.", "Choose a picture.")
    studio.model_previews.choose(file, decode(saved.path.read_bytes()))
    studio.shelf.refresh()
    return model_json(studio, owner, find(studio, file.kind, speakable(file.name)))

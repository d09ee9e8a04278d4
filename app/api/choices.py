"""/v1/choices: what can be asked for by name. /healthz and /readyz: for those who look after the process."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.parts import FRESH, House
from app.engine.checkpoints.header import ModelFile

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter(tags=["lists"])


@router.get("/v1/choices")
def choices(studio: House, refresh: bool = False) -> JSONResponse:
    """Samplers, schedules, checkpoints, VAEs, LoRAs, embeddings, upscalers and styles. `refresh` looks through the folders again first."""
    if refresh:
        studio.shelf.refresh()
    shelf = studio.shelf
    record = {
        "samplers": studio.choices("samplers"),
        "schedules": studio.choices("schedules"),
        "styles": studio.choices("styles"),
        "upscalers": studio.choices("upscalers"),
        "hires_upscalers": studio.choices("hires_upscalers"),
        "checkpoints": [model_json(file) for file in shelf.checkpoints()],
        "vaes": [model_json(file) for file in shelf.vaes()],
        "text_encoders": [model_json(file) for file in shelf.text_encoders()],
        "loras": [model_json(file) for file in shelf.loras()],
        "embeddings": [model_json(file) for file in shelf.embeddings()],
    }
    return JSONResponse(record, headers=FRESH)


def model_json(file: ModelFile) -> dict[str, Any]:
    """One model file. Its path stays with us; what it says of itself is strangers' plain text."""
    own = {"label": file.label, "description": file.description, "triggers": list(file.triggers), "preview": file.preview is not None}
    known = {"size": file.size, "precision": file.precision, "problem": file.problem, "hash": file.known_hash()}
    return {"name": file.name, "family": file.family, "native": file.native, **known, **own}


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"}, headers=FRESH)


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """The process takes jobs."""
    if request.app.state.closing:
        return JSONResponse({"status": "closing"}, 503, FRESH)
    return JSONResponse({"status": "ready"}, headers=FRESH)


@router.api_route("/v1", methods=METHODS, include_in_schema=False)
@router.api_route("/v1/{rest:path}", methods=METHODS, include_in_schema=False)
async def nothing(rest: str = "") -> JSONResponse:
    """Addresses under /v1 that do not exist are answered here, not by the page."""
    raise HTTPException(404)

"""/v1/pictures: hand in pictures. /v1/outputs: what was made. Files leave with fixed types only, and never run as pages."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from app import recall
from app.api.bodies import read_embedded, read_json
from app.api.guard import FILE_CSP
from app.api.owner import sight
from app.api.parts import FRESH, House, Visitor
from app.api.views import saved_json
from app.errors import BadPicture, BadRequest, NotFound
from app.grids.request import ALL_TASKS
from app.library import Saved
from app.library.read import one_picture
from app.request import TASKS
from app.studio import Owner, Studio

TYPES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".mp4": "video/mp4"}
OUTPUT_ID = re.compile(r"([0-9a-f]{32})(\.png|\.webp|\.jpe?g|\.mp4)?")
FILE = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": FILE_CSP}
BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}},
    },
}
TEXT_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "object", "properties": {"text": {"type": "string"}, "task": {"type": "string"}}, "required": ["text"]}}
    },
}

router = APIRouter(tags=["pictures"])


@router.post("/v1/pictures", status_code=201, openapi_extra={"requestBody": BODY})
async def hand_in(request: Request, studio: House) -> JSONResponse:
    """Hand in a PNG, JPEG or WebP. Returns its id for `image` and `mask`, and the parameters that it holds."""
    return JSONResponse(await run_in_threadpool(keep, studio, await read_upload(request)), 201, FRESH)


@router.post("/v1/parameters", openapi_extra={"requestBody": TEXT_BODY})
async def parameters(request: Request, studio: House) -> JSONResponse:
    """Read A1111's "parameters" text: the fields that it sets for `task` ("": the one it is of), and what could not be taken over."""
    body = await read_json(request)
    text, task = body.get("text"), body.get("task", "")
    if not isinstance(text, str):
        raise BadRequest("text is missing; it must be the parameters as text.")
    if not isinstance(task, str) or (task and task not in TASKS):
        raise BadRequest(f"task is {str(task)[:40]!r}, but it must be one of {', '.join(TASKS)}.")
    return JSONResponse(asdict(await run_in_threadpool(recall.of_text, text, task, studio.shelf)), headers=FRESH)


async def read_upload(request: Request) -> bytes:
    """The file in the body: the whole body, or the field "file" of a multipart form."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/"):
        return await request.body()
    async with request.form(max_files=1, max_fields=8) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadPicture("The form has no file in its field 'file'.")
        return await file.read()


def keep(studio: Studio, data: bytes) -> dict[str, Any]:
    if not data:
        raise BadPicture("The picture is empty.")
    picture_id = studio.take_picture(data)
    width, height = studio.library.assets.get(picture_id).size
    return {"id": picture_id, "url": f"/v1/pictures/{picture_id}", "width": width, "height": height, **read_embedded(data, studio.shelf)}


@router.get("/v1/pictures/{picture_id}", response_class=FileResponse)
def handed_in(picture_id: str, studio: House) -> Response:
    """A picture that was handed in, as PNG. Whoever knows the hash of its pixels has had it before."""
    path = studio.library.assets.path(picture_id.removesuffix(".png"))
    if not path.is_file():
        raise NotFound("There is no such picture.")
    return FileResponse(path, media_type="image/png", headers=FILE)


@router.get("/v1/outputs")
def listing(
    studio: House, owner: Visitor, before: str = "", task: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> JSONResponse:
    """What was made, newest first; the next page is `before` the last id of this one. `task` filters."""
    if task and task not in ALL_TASKS:
        raise BadRequest(f"task is '{task[:40]}', but it must be one of {', '.join(ALL_TASKS)}.")
    found = studio.library.newest(sight(owner), limit, before or None, task)
    return JSONResponse([saved_json(saved) for saved in found], headers=FRESH)


@router.get("/v1/outputs/{name}", response_class=FileResponse)
def output(name: str, studio: House, owner: Visitor, download: bool = False) -> Response:
    """A picture or video, as it lies on the disk. `download` makes the browser save it."""
    saved = find(studio, owner, name)
    kind = TYPES.get(saved.path.suffix.lower())
    if kind is None:
        raise NotFound("There is no such picture.")
    return FileResponse(saved.path, media_type=kind, headers=FILE, filename=saved.path.name, content_disposition_type="attachment" if download else "inline")


@router.get("/v1/outputs/{name}/thumb", response_class=Response)
def thumb(name: str, studio: House, owner: Visitor, side: Annotated[int, Query(ge=1, le=1024)] = 256) -> Response:
    """A small JPEG; `side` is rounded up to 128, 256, 512 or 1024."""
    return Response(studio.library.thumb(find(studio, owner, name).id, side), media_type="image/jpeg", headers=FILE)


@router.get("/v1/outputs/{name}/request")
def request_of(name: str, studio: House, owner: Visitor) -> JSONResponse:
    """How it was made: the job's request, the request for this one picture alone, and A1111's text."""
    saved = find(studio, owner, name)
    whole = json.loads(saved.request) if saved.request else None
    single = one_picture(saved.path) if saved.kind == "image" else None
    if saved.kind == "image" and not whole:
        single = recall.of_picture(saved.path, studio.shelf).request
    return JSONResponse({"request": whole, "single": single or whole, "infotext": saved.infotext}, headers=FRESH)


@router.delete("/v1/outputs/{name}", status_code=204)
def delete(name: str, studio: House, owner: Visitor, original: bool = False) -> Response:
    """Delete a picture or video from the disk. One that lies in another program's folder (`foreign`) is only taken out of the gallery;
    with `original` its file is deleted, too."""
    studio.library.delete(find(studio, owner, name).id, sight(owner), original)
    return Response(status_code=204, headers=FRESH)


def find(studio: Studio, owner: Owner, name: str) -> Saved:
    """The output of an id, with or without its suffix. Raises NotFound for everything else, and for what the owner may not see."""
    match = OUTPUT_ID.fullmatch(name)
    if not match:
        raise NotFound("There is no such picture.")
    saved = studio.library.get(match[1], sight(owner))
    if match[2] and match[2] != Path(saved.path).suffix.lower():
        raise NotFound("There is no such picture.")
    return saved

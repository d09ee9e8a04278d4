"""/v1/jobs: hand in work, watch it, stop it. What belongs to somebody else does not exist."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from app.api.bodies import read_json, read_request
from app.api.parts import FRESH, House, Visitor
from app.api.views import JobViews
from app.grids.request import Grid
from app.request import TASKS
from app.studio import Owner, Studio

KEEP_ALIVE = 15.0
STREAMS_PER_OWNER = 20
STREAM = {**FRESH, "X-Accel-Buffering": "no"}


def inlined(schema: Any, parts: dict[str, Any] | None = None) -> Any:
    """A JSON schema without references, as it stands in a document that has no place of its own for its parts."""
    if isinstance(schema, list):
        return [inlined(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    parts = schema.get("$defs", parts) or {}
    if "$ref" in schema:
        return inlined(parts[schema["$ref"].rsplit("/", 1)[-1]], parts)
    return {key: inlined(value, parts) for key, value in schema.items() if key not in ("$defs", "discriminator")}


BODY = {"required": True, "content": {"application/json": {"schema": {"oneOf": [inlined(kind.model_json_schema()) for kind in (*TASKS.values(), Grid)]}}}}

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


def record_of(studio: Studio, job_id: str, owner: Owner) -> dict[str, Any]:
    """The JSON of a job. Raises NotFound."""
    return JobViews(studio.library).json(studio.jobs.get(job_id, owner.id))


def created(record: dict[str, Any]) -> JSONResponse:
    return JSONResponse(record, 201, {**FRESH, "Location": f"/v1/jobs/{record['id']}"})


@router.post("", status_code=201, openapi_extra={"requestBody": BODY})
async def submit(request: Request, studio: House, owner: Visitor) -> JSONResponse:
    """Queue a job. `image` and `mask` are ids of uploaded pictures, or pictures in base64."""
    body = await read_json(request)
    job = await run_in_threadpool(lambda: studio.submit(read_request(body, studio), owner))
    return created(await run_in_threadpool(record_of, studio, job.id, owner))


@router.get("")
def listing(studio: House, owner: Visitor, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> JSONResponse:
    """Your jobs, newest first."""
    views = JobViews(studio.library)
    return JSONResponse([views.json(view) for view in studio.jobs.list(owner.id, limit)], headers=FRESH)


@router.get("/{job_id}")
def show(job_id: str, studio: House, owner: Visitor) -> JSONResponse:
    """Where a job stands."""
    return JSONResponse(record_of(studio, job_id, owner), headers=FRESH)


@router.get("/{job_id}/events", response_class=StreamingResponse)
async def events(job_id: str, request: Request, studio: House, owner: Visitor) -> StreamingResponse:
    """Server-sent events: the job at once, again after each change, until it is over."""
    streams: Counter[str] = request.app.state.streams
    if streams[owner.id] >= STREAMS_PER_OWNER:
        raise HTTPException(429, f"At most {STREAMS_PER_OWNER} jobs can be watched at once.", {"Retry-After": "5"})
    first = await run_in_threadpool(record_of, studio, job_id, owner)

    async def counted() -> AsyncIterator[str]:
        streams[owner.id] += 1
        try:
            async for text in watch(request.app, job_id, owner, first):
                yield text
        finally:
            streams[owner.id] -= 1

    return StreamingResponse(counted(), media_type="text/event-stream", headers=STREAM)


@router.get("/{job_id}/preview", response_class=Response)
def preview(job_id: str, studio: House, owner: Visitor) -> Response:
    """What the picture looks like by now: a JPEG, or status 204 when there is nothing to see yet."""
    data = studio.jobs.preview(job_id, owner.id)
    return Response(data, media_type="image/jpeg", headers=FRESH) if data else Response(status_code=204, headers=FRESH)


@router.delete("/{job_id}")
def cancel(job_id: str, studio: House, owner: Visitor) -> JSONResponse:
    """Stop a job within one step, or take it out of the queue; finished pictures stay."""
    return JSONResponse(JobViews(studio.library).json(studio.jobs.cancel(job_id, owner.id)), headers=FRESH)


@router.post("/{job_id}/rerun", status_code=201)
def rerun(job_id: str, studio: House, owner: Visitor) -> JSONResponse:
    """Queue the same request again, as a new job."""
    return created(record_of(studio, studio.rerun(job_id, owner).id, owner))


async def watch(app: FastAPI, job_id: str, owner: Owner, first: dict[str, Any]) -> AsyncIterator[str]:
    """The events of one job: `first`, then each newer version of its view; a comment every 15 s keeps proxies awake.

    Wake-ups that come faster than the client reads melt into one, so a slow client never makes the server hold a queue.
    """
    studio: Studio = app.state.studio
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    views = JobViews(studio.library)

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)

    def now() -> dict[str, Any]:
        return views.json(studio.jobs.get(job_id, owner.id))

    unsubscribe = studio.jobs.subscribe(job_id, owner.id, wake)
    try:
        yield event(first)
        sent = first
        changed.set()  # something may have happened between the first look and the subscription
        while sent["state"] in ("queued", "running"):
            try:
                await asyncio.wait_for(changed.wait(), KEEP_ALIVE)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            changed.clear()
            if app.state.closing:
                return
            latest = await run_in_threadpool(now)
            if latest != sent:
                sent = latest
                yield event(sent)
    finally:
        unsubscribe()


def event(record: dict[str, Any]) -> str:
    """One server-sent event (WHATWG HTML, 9.2) without a name, so that `onmessage` hears it."""
    return f"id: {record['version']}\ndata: {json.dumps(record)}\n\n"

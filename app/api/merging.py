"""/v1/merge: a checkpoint made of others, as a job. Not for guests."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.bodies import read_json
from app.api.jobs import created, inlined, record_of
from app.api.parts import House, Visitor
from app.merge_request import MERGE, Merge, parse_merge

BODY = {"required": True, "content": {"application/json": {"schema": inlined(Merge.model_json_schema())}}}

router = APIRouter(prefix="/v1/merge", tags=["models"])


@router.post("", status_code=201, openapi_extra={"requestBody": BODY})
async def submit(request: Request, studio: House, owner: Visitor) -> JSONResponse:
    """Queue a merge. The answer is a job like any other: watch it, stop it; its result is on the list of checkpoints when it is done."""
    body = await read_json(request)
    job = await run_in_threadpool(lambda: studio.submit(parse_merge({"task": MERGE} | body), owner))
    return created(await run_in_threadpool(record_of, studio, job.id, owner))

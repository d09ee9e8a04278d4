"""Errors as the REST routes say them: a status and one sentence, never a traceback."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import QueueFull, StudioError

RETRY_AFTER = 10
SENTENCES = {404: "There is nothing at this address.", 405: "This address does not know that method.", 413: "The request is too large."}


def say(status: int, message: str, hint: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as JSON: {"error": sentence, "hint": what to do next}."""
    return JSONResponse({"error": message, "hint": hint}, status, {"Cache-Control": "no-store", **(headers or {})})


async def on_studio_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StudioError)
    headers = {"Retry-After": str(RETRY_AFTER)} if isinstance(error, QueueFull) else None
    return say(error.status, error.message, error.hint, headers)


async def on_bad_parameter(request: Request, error: Exception) -> JSONResponse:
    """A query parameter that FastAPI refused."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return say(422, f"{first['loc'][-1]} is {str(first.get('input'))[:60]!r}: {first['msg'].lower()}.")


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return say(error.status_code, SENTENCES.get(error.status_code, str(error.detail)), headers=dict(error.headers or {}))


def install(app: FastAPI) -> None:
    """Register the handlers. Whatever they do not know is a bug, which the guard answers and logs."""
    app.add_exception_handler(StudioError, on_studio_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    app.add_exception_handler(HTTPException, on_http_error)

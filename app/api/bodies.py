"""Request bodies: JSON objects, and pictures given as base64."""

import base64
import binascii
import json
import re
from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app import recall
from app.engine.checkpoints.find import Shelf
from app.errors import BadPicture, BadRequest
from app.grids.request import GRID, Grid, parse_any
from app.param import PICTURE_ID
from app.request import TASKS, AnyTask, picture_names
from app.studio import Studio

DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,", re.IGNORECASE)
PLACEHOLDER = "0" * 64


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises BadRequest (or status 415 when the body does not call itself JSON)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send the request as JSON, with the header Content-Type: application/json.")
    return await run_in_threadpool(load_object, await request.body())


def load_object(body: bytes) -> dict[str, Any]:
    """A JSON object from UTF-8 text; NaN and Infinity, which JSON does not have, are errors like any other."""
    try:
        found = json.loads(body.decode(), parse_constant=no_constant)
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:80]}.") from None
    if not isinstance(found, dict):
        raise BadRequest("The body must be a JSON object.")
    return found


def no_constant(name: str) -> float:
    raise ValueError(f"it holds {name}")


def read_request(body: dict[str, Any], studio: Studio) -> AnyTask | Grid:
    """The request that a body describes. Pictures in base64 are kept only after everything else was found good."""
    task, base = body.get("task"), body.get("base")
    if task == GRID and isinstance(base, dict):
        parse_any(body | {"base": base | dict.fromkeys(inline_pictures(base), PLACEHOLDER)})
        return parse_any(body | {"base": read_request(base, studio).model_dump()})
    inline = inline_pictures(body)
    parse_any(body | dict.fromkeys(inline, PLACEHOLDER))
    pictures = {name: studio.take_picture(read_base64(name, value)) for name, value in inline.items()}
    return parse_any(body | pictures)


def inline_pictures(body: dict[str, Any]) -> dict[str, str]:
    """The pictures of a request that are not given as ids."""
    task = body.get("task")
    names = picture_names(TASKS[task]) if isinstance(task, str) and task in TASKS else ()
    given = {name: body.get(name) for name in names}
    return {name: value for name, value in given.items() if isinstance(value, str) and not re.match(PICTURE_ID, value)}


def read_base64(name: str, text: str) -> bytes:
    """The bytes of a picture given as base64, with or without the head of a data URL. Raises BadPicture."""
    head = DATA_URL.match(text[:80])
    try:
        data = base64.b64decode(text[head.end() if head else 0 :], validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise BadPicture(f"{name} is neither the id of an uploaded picture nor a picture in base64.")
    return data


def read_embedded(data: bytes, shelf: Shelf) -> dict[str, Any]:
    """What a picture file says about how it was made: {"request": fields or None, "infotext": A1111's text or "", "program", "notes"}.

    Ours holds its request losslessly; from other programs' what we know is taken, and the notes say what is not.
    """
    return asdict(recall.of_picture(data, shelf))

"""Answers from the first second on: a page that waits and reloads itself, until the application has been built."""

from collections.abc import Callable

import anyio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Retry-After": "2",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1">
<meta name="viewport" content="width=device-width"><title>Darkroom is starting</title><style>
:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px system-ui,sans-serif}
</style></head><body><main role="status">Darkroom is starting &hellip;</main></body></html>"""


class Opening:
    """An ASGI application that builds the real one in a thread while it already answers.

    Attributes:
        app: the real one, once it answers.
        failure: why the real one could not be built, or None.
    """

    def __init__(self, build: Callable[[], FastAPI], on_open: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """Args:
        build: makes the application; called once, in a thread.
        on_open: called in a thread as soon as the application answers.
        on_failure: called in the event loop when `build` or `on_open` raised; the error is in `failure`.
        """
        self._build = build
        self._on_open = on_open
        self._on_failure = on_failure
        self.app: FastAPI | None = None
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await waiting(scope["path"])(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan: start-up is over at once, the building goes on beside it."""
        await receive()
        leave = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._open, leave)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            leave.set()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, leave: anyio.Event) -> None:
        try:
            app = await run_in_threadpool(self._build)
            async with app.router.lifespan_context(app):
                self.app = app
                await run_in_threadpool(self._on_open)
                await leave.wait()
        except Exception as error:  # handed on to whoever started the server
            self.failure = error
            self._on_failure()


def waiting(path: str) -> Response:
    """What is answered before the application is there: a page that asks again, or status 503 for programs."""
    if path == "/healthz":
        return JSONResponse({"status": "starting"}, headers=HEADERS)
    if path == "/":
        return HTMLResponse(PAGE, 200, HEADERS)
    return JSONResponse({"error": "Darkroom is starting.", "hint": "Try again in a few seconds."}, 503, HEADERS)

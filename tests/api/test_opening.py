import threading

import anyio
import httpx
import pytest
from fastapi import FastAPI

from app.api.opening import Opening


class Lifespan:
    """Drives an application through its lifespan, as a server does."""

    def __init__(self, app: Opening) -> None:
        self.app, self.messages = app, []
        self.leave = anyio.Event()
        self.started = False

    async def receive(self) -> dict:
        if not self.started:
            self.started = True
            return {"type": "lifespan.startup"}
        await self.leave.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: dict) -> None:
        self.messages.append(message["type"])

    async def run(self) -> None:
        await self.app({"type": "lifespan"}, self.receive, self.send)


def test_it_answers_before_the_application_is_there_and_hands_over():
    go, opened, closed = threading.Event(), threading.Event(), []

    def build() -> FastAPI:
        assert go.wait(20)

        async def lifespan(_):
            yield
            closed.append(True)

        from contextlib import asynccontextmanager

        app = FastAPI(lifespan=asynccontextmanager(lifespan))
        app.get("/")(lambda: "the real one")
        return app

    async def main() -> None:
        opening = Opening(build, opened.set, lambda: None)
        span = Lifespan(opening)
        async with anyio.create_task_group() as group, httpx.AsyncClient(transport=httpx.ASGITransport(opening), base_url="http://x") as client:
            group.start_soon(span.run)
            page = await client.get("/")
            assert page.status_code == 200
            assert "Darkroom is starting" in page.text
            assert 'http-equiv="refresh"' in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            busy = await client.post("/v1/jobs")
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
            assert (await client.get("/healthz")).json() == {"status": "starting"}
            assert opening.app is None
            go.set()
            await anyio.to_thread.run_sync(opened.wait, 20)
            assert (await client.get("/")).json() == "the real one"
            span.leave.set()
        assert span.messages == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert closed == [True]
        assert opening.failure is None

    anyio.run(main)


@pytest.mark.parametrize("step", ["build", "on_open"])
def test_a_failure_is_handed_on(step):
    failed = []

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def main() -> Opening:
        opening = Opening(broken if step == "build" else FastAPI, broken, lambda: (failed.append(True), span.leave.set()))
        span = Lifespan(opening)
        await span.run()
        return opening

    assert isinstance(anyio.run(main).failure, ZeroDivisionError)
    assert failed == [True]

"""One server for all tests of the HTTP side: the real application and studio, with an engine that only paints colours."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from app.api.address import listen
from app.api.door import Door
from app.engine.checkpoints.header import ModelFile
from app.errors import UnknownName, WorkFailed
from app.request import AnyRequest
from app.serve import Server, Share, make_app
from app.settings import Settings
from app.studio import Studio
from app.work import Picture, Progress, Report


class Painter:
    """Paints one colour per picture. A job whose prompt begins with "slow" waits at each step until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def describe(self) -> str:
        return "paints colours"

    def run(self, request: AnyRequest, inputs: Mapping[str, Image.Image], report: Report) -> Iterator[Picture]:
        if request.prompt == "broken":
            raise WorkFailed("The paint is dry.", "Buy some.")
        if request.prompt == "bug":
            raise ZeroDivisionError("a secret detail")
        for index in range(request.pictures):
            image = Image.new("RGB", (getattr(request, "width", None) or 64, getattr(request, "height", None) or 64), (index * 40, 100, 200))
            for step in range(1, request.steps + 1):
                report(Progress("sampling", index + 1, request.pictures, step, request.steps, lambda: Image.new("RGB", (16, 16), "red")))
                while request.prompt.startswith("slow") and not self.go.wait(0.01):
                    report(Progress("sampling", index + 1, request.pictures, step, request.steps))
            yield Picture(image, index, request.seed + index)


class OneCheckpoint:
    """A shelf that holds one checkpoint."""

    def __init__(self) -> None:
        self.file = ModelFile("tiny", Path("/nowhere/tiny.safetensors"), "checkpoint", "sd1", "", 123, 64)

    def refresh(self) -> None:
        pass

    def checkpoints(self) -> list[ModelFile]:
        return [self.file]

    def vaes(self) -> list[ModelFile]:
        return []

    loras = embeddings = text_encoders = vaes

    def checkpoint(self, name: str) -> ModelFile:
        if name.lower() not in ("", "tiny"):
            raise UnknownName("checkpoint", name, ["tiny"])
        return self.file

    def lora(self, name: str) -> ModelFile:
        raise UnknownName("LoRA", name, [])


@dataclass
class House:
    """The running server."""

    studio: Studio
    painter: Painter
    door: Door
    url: str
    app: FastAPI
    clients: list[httpx.Client] = field(default_factory=list)

    def browser(self) -> httpx.Client:
        """A client with a cookie of its own, as a page that was opened."""
        client = self.script(**{"Sec-Fetch-Site": "same-origin", "Origin": self.url})
        assert client.get("/", headers={"Accept": "text/html"}).status_code == 200
        assert client.cookies.get("darkroom_owner")
        return client

    def script(self, **headers: str) -> httpx.Client:
        """A client without a cookie."""
        self.clients.append(httpx.Client(base_url=self.url, timeout=30, headers=headers))
        return self.clients[-1]


def make_studio(folder: Path) -> tuple[Studio, Painter]:
    painter = Painter()
    settings = Settings(outputs_dir=folder / "outputs", extension_dir=folder / "extensions", styles_file=folder / "styles.csv", port=free_port())
    studio = Studio(settings, engine=lambda *_: painter)
    studio.shelf = OneCheckpoint()  # type: ignore[assignment]
    return studio, painter


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    studio, painter = make_studio(tmp_path_factory.mktemp("house"))
    share = Share(Door(studio.settings), studio.settings.port)
    with running(lambda: make_app(studio, share), share, studio) as server:
        yield House(studio, painter, share.door, f"http://127.0.0.1:{studio.settings.port}", server.opening.app)


@pytest.fixture
def house(served: House) -> Iterator[House]:
    """The running server, with clients that are closed when the test is over."""
    mine = replace(served, clients=[])
    yield mine
    for client in mine.clients:
        client.close()


class running:
    """A server in a thread, from the moment that its application answers."""

    def __init__(self, build: Callable, share: Share, studio: Studio) -> None:
        self.opened, self.studio = threading.Event(), studio
        self.server = Server(build, self.on_open, share)
        listener = listen("127.0.0.1", studio.settings.port)
        self.thread = threading.Thread(target=self.run, args=([listener],), daemon=True)

    def on_open(self) -> None:
        self.studio.start()
        self.opened.set()

    def run(self, sockets: list) -> None:
        try:
            self.server.run(sockets=sockets)
        finally:
            self.opened.set()

    def __enter__(self) -> Server:
        self.thread.start()
        assert self.opened.wait(120)
        if self.server.opening.failure:
            raise self.server.opening.failure
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.leave()
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def slow(house: House) -> Iterator[Painter]:
    """Jobs whose prompt begins with "slow" stand still until the test lets them go; at its end all jobs are stopped."""
    house.painter.go.clear()
    yield house.painter
    for view in house.studio.jobs.list(None, 200):
        if not view.job.over:
            stop(house.studio, view.job.id)
    house.painter.go.set()


def stop(studio: Studio, job_id: str) -> None:
    """Cancel a job and wait for its end."""
    changed = threading.Event()
    unsubscribe = studio.jobs.subscribe(job_id, None, changed.set)
    view = studio.jobs.cancel(job_id, None)
    while not view.job.over:
        assert changed.wait(20)
        changed.clear()
        view = studio.jobs.get(job_id, None)
    unsubscribe()

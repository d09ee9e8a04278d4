"""The server: our routes and the guard in front, Gradio mounted behind, the share link opened and closed by us.

Gradio is imported only when the application is built, after the port already answers; torch later still, in the worker.
"""

import asyncio
import contextlib
import io
import logging
import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app.api import answers, choices, jobs, merging, models, pictures
from app.api.address import addresses, listen, local_address
from app.api.door import Door
from app.api.guard import LIMIT_MULTIPART, Guard
from app.api.opening import Opening
from app.errors import BadSettings, WorkFailed
from app.settings import Settings
from app.studio import Studio

if TYPE_CHECKING:
    from gradio import Blocks

log = logging.getLogger("darkroom.http")

DAY = 24 * 3600
Say = Callable[[str], None]


def make_app(studio: Studio, share: "Share | None" = None) -> FastAPI:
    """The whole application: /v1 routes, the page at "/", and the guard before both. Imports Gradio; not for a running event loop."""
    share = share or Share(Door(studio.settings), studio.settings.port)
    app = FastAPI(title="Darkroom", description="Jobs, pictures and lists of Darkroom.", version="1", docs_url=None, redoc_url=None)
    app.state.studio = studio
    app.state.share = share
    app.state.streams = Counter()
    app.state.closing = False
    answers.install(app)
    for router in (jobs.router, pictures.router, models.router, merging.router, choices.router):
        app.include_router(router)
    # Gradio makes an event loop, and leaves it open, for each lock that it makes outside of one.
    asyncio.run(mount_page(app, studio))
    app.add_middleware(Guard, door=share.door)
    return app


async def mount_page(app: FastAPI, studio: Studio) -> None:
    """Build the tabs and mount them at "/". Registered last: the mount takes every path that nobody took before."""
    prepare_environment(studio.settings)
    import gradio

    from app import ui

    demo: Blocks = ui.build(studio)
    demo.delete_cache = (3600, DAY)
    demo.state_session_capacity = 200
    # Only `launch` sets this; without it a mounted Gradio 6.31 copies any file of the disk that a client names.
    demo.has_launched = True
    options = ui.page_options(studio) | {
        "server_name": studio.settings.host,
        "server_port": studio.settings.port,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "max_file_size": LIMIT_MULTIPART,
    }
    gradio.mount_gradio_app(app, demo, path="/", **options)


def prepare_environment(settings: Settings) -> None:
    """What Gradio reads from the environment, some of it when it is imported: no network, and its files in our folder."""
    folder = settings.outputs_dir / ".darkroom" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)  # else a pandas group-by follows every event
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


class Share:
    """A public link to this server, through Gradio's tunnel service but without its page, which loads foreign scripts.

    Attributes:
        door: learns the host name and the passwords of the link.
        url: the open link, or "".
    """

    def __init__(self, door: Door, port: int, folder: Path | None = None) -> None:
        """Args:
        port: where this server listens on 127.0.0.1.
        folder: where the tunnel's certificate is written; by default the working directory, as Gradio does.
        """
        self.door = door
        self.port = port
        self.url = ""
        self._folder = folder

    def open(self, password: str = "", *, public: bool = False) -> str:
        """Open the link for 72 hours and return its address; guests log in as "guest" with `password`, or with the logins of the door.

        Raises:
            BadSettings: there is neither a password nor a login, and `public` does not say that this is meant.
            WorkFailed: the tunnel could not be made, for example without a network.
        """
        if self.url:
            return self.url
        if not (password or self.door.logins or public):
            raise BadSettings("A share link without a password is open to everybody.", "Give it a password, or say --gradio-auth user:password.")
        try:
            self.url = self._tunnel().replace("http://", "https://")
        except Exception as error:  # the border to a foreign service: no network, no binary for this platform, a full disk
            log.info("tunnel: %r", error)
            self.close()
            raise WorkFailed(
                "The share link could not be opened, because the tunnel service cannot be reached.", "Darkroom goes on without it."
            ) from None
        self.door.open_share(urlsplit(self.url).hostname or "", [("guest", password)] if password else [])
        return self.url

    def _tunnel(self) -> str:
        from gradio import networking

        if self._folder:
            networking.CERTIFICATE_PATH = str(self._folder / "tunnel.pem")
        with contextlib.redirect_stdout(io.StringIO()):
            return networking.setup_tunnel("127.0.0.1", self.port, secrets.token_urlsafe(32), None, None)

    def close(self) -> None:
        """Close the link; its host name is refused from now on."""
        tunnels = getattr(sys.modules.get("gradio.tunneling"), "CURRENT_TUNNELS", [])
        with contextlib.redirect_stdout(io.StringIO()):
            for tunnel in [item for item in tunnels if item.local_port == self.port]:
                tunnel.kill()
                tunnels.remove(tunnel)
        self.door.close_share()
        self.url = ""


def serve(studio: Studio, say: Say) -> None:
    """Serve the studio until SIGINT or SIGTERM, then return; a job that was running is left as interrupted.

    Args:
        say: prints one line for the person at the terminal. Called from several threads.

    Raises:
        BadSettings: the port is taken or the address is not one of this machine. Nothing was started then.
    """
    settings = studio.settings
    listener = listen(settings.host, settings.port)
    door = Door(settings)
    share = Share(door, settings.port, settings.outputs_dir / ".darkroom")
    if door.any_address and not door.logins:
        door.logins.append(("darkroom", secrets.token_urlsafe(16)))
        say(f"The network may come in with user 'darkroom' and password '{door.logins[0][1]}'; --gradio-auth sets another.")

    def on_open() -> None:
        for line in addresses(settings):
            say(line)
        if settings.autolaunch:
            webbrowser.open(local_address(settings))
        studio.start(say)
        if settings.share:
            open_share(share, say)

    server = Server(lambda: make_app(studio, share), on_open, share)
    try:
        with quiet_signals():
            server.run(sockets=[listener])
    finally:
        share.close()
        studio.close()
    if server.opening.failure:
        raise server.opening.failure


def open_share(share: Share, say: Say) -> None:
    """Open the share link at start, with a password of its own unless there are logins; say what came of it."""
    password = "" if share.door.logins else secrets.token_urlsafe(16)
    try:
        say(f"Share link: {share.open(password)}" + (f" with user 'guest' and password '{password}'" if password else ""))
    except WorkFailed as error:
        say(str(error))


class Server(uvicorn.Server):
    """uvicorn, but jobs and link are put away before the connections that watch them are closed."""

    def __init__(self, build: Callable[[], FastAPI], on_open: Callable[[], None], share: Share) -> None:
        self.opening = Opening(build, on_open, self.leave)
        super().__init__(
            uvicorn.Config(
                self.opening, log_level="warning", access_log=False, limit_concurrency=200, timeout_graceful_shutdown=2, timeout_keep_alive=60,
                proxy_headers=False, server_header=False, lifespan="on", ws="none",
            )
        )  # fmt: skip
        self._share = share

    def leave(self) -> None:
        """End the serving soon."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self.servers:
            listening.close()
        if app := self.opening.app:
            app.state.closing = True
            await run_in_threadpool(app.state.studio.close)
        await run_in_threadpool(self._share.close)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # open pages hold streams, which may be cut without a word
        await super().shutdown(sockets)


@contextlib.contextmanager
def quiet_signals() -> Iterator[None]:
    """Lets the process go on after uvicorn, which raises the signals again that ended it."""
    before = {}
    with contextlib.suppress(ValueError):  # not the main thread: nothing is raised there either
        before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)

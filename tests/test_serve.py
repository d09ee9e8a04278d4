"""The server as a process, and the share link."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from app.api.door import Door
from app.errors import BadSettings, WorkFailed
from app.jobs import JobQueue
from app.serve import Share, open_share
from app.settings import Settings

ROOT = Path(__file__).parents[1]
CHILD = """
    import sys
    from pathlib import Path
    from app.serve import serve
    from tests.api.conftest import make_studio

    def say(line):
        sys.stdout.write(line + "\\n")
        sys.stdout.flush()

    studio, painter = make_studio(Path(sys.argv[1]))
    say(f"port {studio.settings.port}")
    serve(studio, say)
    say("heavy: " + " ".join(sorted({"torch", "diffusers", "transformers"} & set(sys.modules))))
"""


def test_from_the_first_second_to_the_signal(tmp_path):
    """The port answers at once, the page comes, torch does not; a signal leaves the running job interrupted and exits with 0."""
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}) as child:
        try:
            url = f"http://127.0.0.1:{child.stdout.readline().split()[1]}"
            with httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=8), timeout=60) as client:
                early = client.get("/")
                assert early.status_code == 200
                assert "Darkroom is starting" in early.text
                assert child.stdout.readline() == f"Darkroom is at {url}\n"
                assert "gradio_config" in client.get("/").text
                assert child.stdout.readline() == "paints colours\n"
                job = client.post("/v1/jobs", json={"task": "txt2img", "prompt": "slow", "seed": 1}).json()["id"]
                with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
                    lines = stream.iter_lines()
                    next(line for line in lines if '"running"' in line)
                    child.send_signal(signal.SIGTERM)
                    for _ in lines:
                        pass
            assert child.wait(30) == 0
            assert child.stdout.read() == "heavy: \n"
        finally:
            child.kill()
    jobs = JobQueue(tmp_path / "outputs" / ".darkroom" / "jobs")
    try:
        assert [view.job.state for view in jobs.list(None)] == ["interrupted"]
        assert jobs.recovered == ()
    finally:
        jobs.close()


@pytest.fixture
def share(monkeypatch, tmp_path):
    """A share whose tunnel is a name; nothing is asked of the network."""
    made = Share(Door(Settings()), 7860, tmp_path)
    monkeypatch.setattr(made, "_tunnel", lambda: "http://abc.gradio.live")
    return made


def test_a_link_needs_a_password_unless_it_is_meant_to_be_open(share):
    with pytest.raises(BadSettings, match="password"):
        share.open()
    assert share.url == ""
    assert not share.door.shared
    assert share.open(public=True) == "https://abc.gradio.live"
    assert not share.door.needs_login("abc.gradio.live")


def test_a_link_opens_and_closes_its_name(share):
    assert not share.door.knows("abc.gradio.live")
    assert share.open("secret") == "https://abc.gradio.live"
    assert share.open("other") == "https://abc.gradio.live", "it is open already"
    assert share.door.shared == {"abc.gradio.live": [("guest", "secret")]}
    assert share.door.needs_login("abc.gradio.live")
    assert not share.door.needs_login("localhost")
    share.close()
    assert share.url == ""
    assert not share.door.knows("abc.gradio.live")


def test_without_a_network_the_link_is_a_sentence(share, monkeypatch):
    def offline() -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr(share, "_tunnel", offline)
    with pytest.raises(WorkFailed, match="could not be opened"):
        share.open("secret")
    assert not share.door.shared
    said: list[str] = []
    open_share(share, said.append)
    assert said == ["The share link could not be opened, because the tunnel service cannot be reached. Darkroom goes on without it."]


def test_a_link_at_start_gets_a_password_of_its_own_unless_there_are_logins(share):
    said: list[str] = []
    open_share(share, said.append)
    password = share.door.shared["abc.gradio.live"][0][1]
    assert len(password) >= 22
    assert said == [f"Share link: https://abc.gradio.live with user 'guest' and password '{password}'"]
    share.close()
    share.door.logins.append(("ann", "pw"))
    open_share(share, said.append)
    assert said[1] == "Share link: https://abc.gradio.live"
    assert share.door.shared == {"abc.gradio.live": []}
    assert share.door.needs_login("abc.gradio.live")

"""The real page, mounted behind the real guard."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.api.guard import LIMIT_MULTIPART

OWN = re.compile(r"""(?:src|href|action)\s*=\s*["']([^"']+)["']|@import\s+["']?([^"');]+)|url\(\s*["']?(https?:[^"')]+|//[^"')]+)""")


def references(text: str) -> list[str]:
    """Addresses that a browser fetches by itself."""
    return ["".join(match) for match in OWN.findall(text)]


def test_the_page_names_no_other_host(house):
    client = house.browser()
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    seen = 0
    for address in references(page.text):
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") or parts.netloc:
            assert parts.netloc == urlsplit(house.url).netloc, address
        if parts.scheme == "data" or not parts.path.endswith((".css", ".js")):
            continue
        asset = client.get(address if parts.netloc else "/" + address.removeprefix("./").removeprefix("/"))
        assert asset.status_code == 200, address
        seen += 1
        if parts.path.endswith(".css"):
            assert not [item for item in references(asset.text) if urlsplit(item).netloc], address
    assert seen >= 2


def test_the_page_says_what_a_browser_may_load(house):
    policy = house.script().get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "http" not in policy


def run_event(client, functions: dict, name: str, change=lambda data: data) -> str:
    """Trigger an event of the page as its script does. Returns the message that ends it."""
    function = next(item for item in functions["dependencies"] if item["api_name"] == name)
    values = {part["id"]: part["props"].get("value") for part in functions["components"]}
    data = change([values[number] for number in function["inputs"]])
    body = {"fn_index": function["id"], "data": data, "session_hash": "s", "event_data": None}
    joined = client.post("/gradio_api/queue/join", json=body)
    assert joined.status_code == 200, joined.text
    with client.stream("GET", "/gradio_api/queue/data?session_hash=s") as stream:
        return next(line for line in stream.iter_lines() if "process_completed" in line or "unexpected_error" in line)


def test_gradio_does_not_copy_files_of_the_disk(house):
    """Gradio 6.31 does so when a mounted page was not told that it has been launched."""
    secret = house.studio.settings.outputs_dir.parent / "secret.txt"
    secret.write_text("the secret")
    client = house.browser()
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    run_event(client, client.get("/config").json(), "img2img", lambda data: [file for _ in data])
    copies = [path for path in (house.studio.settings.outputs_dir / ".darkroom" / "tmp").rglob("*") if path.is_file()]
    assert not [path for path in copies if path.read_bytes() == b"the secret"]
    for address in (f"/gradio_api/file={secret}", "/gradio_api/file=/etc/hostname", "/gradio_api/file=../../../../../../etc/hostname"):
        assert client.get(address).status_code in (403, 404)
    assert client.post("/gradio_api/run/img2img", json={"data": [file]}).status_code == 404, "the door past the queue is shut"


def test_a_mounted_page_counts_as_launched(house):
    page = next(route.app.get_blocks() for route in house.app.routes if hasattr(getattr(route, "app", None), "get_blocks"))
    assert page.has_launched is True
    assert page.run_history is False
    assert page.max_file_size == LIMIT_MULTIPART
    assert page.share is False


def test_gradio_uploads_are_limited_and_stay_in_our_folder(house):
    client = house.browser()
    answer = client.post("/gradio_api/upload", files={"files": ("../../x.html", b"<script>1</script>", "text/html")})
    assert answer.status_code == 200
    path = Path(answer.json()[0])
    assert path.is_relative_to(house.studio.settings.outputs_dir.resolve() / ".darkroom" / "tmp")
    back = client.get(f"/gradio_api/file={path}")
    assert "sandbox" in back.headers["content-security-policy"]
    assert back.headers["content-disposition"].startswith("attachment")
    foreign = house.script().post("/gradio_api/upload", files={"files": ("x.png", b"x")}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/gradio_api/runs", "/monitoring", "/gradio_api/monitoring/summary"])
def test_doors_that_stay_shut(house, path):
    assert house.script().get(path).status_code in (403, 404)


def test_the_schema_describes_our_routes_only(house):
    schema = house.script().get("/openapi.json").json()
    paths = set(schema["paths"])
    assert {"/v1/jobs", "/v1/jobs/{job_id}/events", "/v1/pictures", "/v1/outputs/{name}", "/v1/choices", "/healthz"} <= paths
    assert not [path for path in paths if "gradio" in path]
    kinds = schema["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert len(kinds) == 7  # five that paint, upscale, grid


def test_what_the_page_submits_belongs_to_its_browser(house):
    """Gradio hands the request on to the handler, so a job made by the Generate button is the browser's."""
    client, other = house.browser(), house.browser()
    done = run_event(client, client.get("/config").json(), "txt2img")
    assert '"success":true' in done.replace(" ", ""), done
    mine = [job["id"] for job in client.get("/v1/jobs").json()]
    assert len(mine) == 1
    assert mine[0] in done
    assert other.get("/v1/jobs").json() == []
    client.get(f"/v1/jobs/{mine[0]}/events")

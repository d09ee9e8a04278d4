import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest
from PIL import Image

from app.api import jobs as jobs_module

QUICK = {"task": "txt2img", "prompt": "a cat", "steps": 3, "width": 64, "height": 64, "seed": 7}


def events_of(client: httpx.Client, job_id: str) -> Iterator[dict]:
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


def ended(client: httpx.Client, job_id: str) -> dict:
    return list(events_of(client, job_id))[-1]


def submit(client: httpx.Client, **values) -> dict:
    answer = client.post("/v1/jobs", json=QUICK | values)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return answer.json()


def png(width: int = 64, height: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "blue").save(buffer, "PNG")
    return buffer.getvalue()


def test_from_request_to_pictures(house):
    client = house.script()
    job = submit(client, batch_count=2)
    done = ended(client, job["id"])
    assert done["state"] == "done"
    assert done["error"] == ""
    assert done["request"]["checkpoint"] == "tiny"
    assert done["request"]["seed"] == 7
    assert [output["seed"] for output in done["outputs"]] == [7, 8]
    assert done["started"] >= done["created"]
    assert done["finished"] >= done["started"]
    for output in done["outputs"]:
        answer = client.get(output["url"])
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (output["width"], output["height"]) == (64, 64)
        assert "a cat" in output["infotext"]
    assert client.get(f"/v1/jobs/{job['id']}").json() == done
    assert done in client.get("/v1/jobs").json()


def test_events_tell_each_step_and_end(house, slow):
    client = house.browser()
    job = submit(client, prompt="slow one", steps=5)
    events = events_of(client, job["id"])
    seen = [next(events)]
    assert seen[0]["id"] == job["id"]
    while seen[-1]["state"] == "queued" or not seen[-1]["step"]:
        seen.append(next(events))
    assert (seen[-1]["phase"], seen[-1]["step"], seen[-1]["steps"], seen[-1]["picture"], seen[-1]["pictures"]) == ("sampling", 1, 5, 1, 1)
    preview = client.get(f"/v1/jobs/{job['id']}/preview")
    assert preview.headers["content-type"] == "image/jpeg"
    assert preview.headers["cache-control"] == "no-store"
    assert Image.open(io.BytesIO(preview.content)).format == "JPEG"
    slow.go.set()
    seen += list(events)
    assert seen[-1]["state"] == "done"
    assert len(seen[-1]["outputs"]) == 1
    assert all(before["version"] < after["version"] for before, after in pairwise(seen))
    steps = [event["step"] for event in seen if event["phase"] == "sampling"]
    assert steps == sorted(steps)
    assert next(events_of(client, job["id"]))["state"] == "done", "who asks late gets the end at once"


def test_a_watcher_that_leaves_is_forgotten(house, slow, monkeypatch):
    gone = threading.Event()
    subscribe = house.studio.jobs.subscribe

    def noted(*arguments):
        unsubscribe = subscribe(*arguments)
        return lambda: (unsubscribe(), gone.set())

    monkeypatch.setattr(house.studio.jobs, "subscribe", noted)
    client = house.browser()
    job = submit(client, prompt="slow two")
    events = events_of(client, job["id"])
    next(events)
    assert not gone.is_set()
    events.close()
    assert gone.wait(20), "the job is still running, yet the server let go of the watcher"


def test_queue_position_is_told(house, slow):
    client = house.browser()
    first = submit(client, prompt="slow three")
    next(event for event in events_of(client, first["id"]) if event["state"] == "running")
    waiting = [submit(client, prompt=f"slow {number}") for number in range(2)]
    assert [job["position"] for job in waiting] == [1, 2]
    assert client.get(f"/v1/jobs/{waiting[0]['id']}/preview").status_code == 204
    assert client.delete(f"/v1/jobs/{waiting[0]['id']}").json()["state"] == "cancelled"
    assert client.get(f"/v1/jobs/{waiting[1]['id']}").json()["position"] == 1
    slow.go.set()
    assert ended(client, waiting[1]["id"])["state"] == "done"
    assert client.get(f"/v1/jobs/{waiting[0]['id']}").json()["outputs"] == []


def test_two_browsers_see_their_own_and_stop_their_own(house, slow):
    ann, bob = house.browser(), house.browser()
    hers, his = submit(ann, prompt="slow ann"), submit(bob, prompt="slow bob")
    assert next(event for event in events_of(ann, hers["id"]) if event["state"] == "running")
    for client, foreign in ((ann, his), (bob, hers), (house.script(), hers)):
        address = f"/v1/jobs/{foreign['id']}"
        for method, path in (("GET", address), ("GET", f"{address}/events"), ("GET", f"{address}/preview"), ("DELETE", address), ("POST", f"{address}/rerun")):
            answer = client.request(method, path)
            assert answer.status_code == 404, (method, path)
            assert answer.json() == {"error": "There is no such job.", "hint": ""}
        assert foreign["id"] not in [job["id"] for job in client.get("/v1/jobs").json()]
    assert ann.delete(f"/v1/jobs/{hers['id']}").status_code == 200
    assert ended(ann, hers["id"])["state"] == "cancelled"
    slow.go.set()
    assert ended(bob, his["id"])["state"] == "done"


def test_stopping_keeps_what_is_finished_and_rerun_makes_a_new_job(house, slow):
    client = house.browser()
    job = submit(client, prompt="slow four", batch_count=3)
    running = next(event for event in events_of(client, job["id"]) if event["state"] == "running")
    assert client.post(f"/v1/jobs/{running['id']}/rerun").status_code == 422
    client.delete(f"/v1/jobs/{job['id']}")
    assert ended(client, job["id"])["state"] == "cancelled"
    slow.go.set()
    again = client.post(f"/v1/jobs/{job['id']}/rerun")
    assert again.status_code == 201
    assert again.json()["id"] != job["id"]
    done = ended(client, again.json()["id"])
    assert done["state"] == "done"
    assert done["request"] == job["request"]
    assert len(done["outputs"]) == 3


def test_failures_are_one_sentence(house):
    client = house.script()
    assert ended(client, submit(client, prompt="broken")["id"])["error"] == "The paint is dry. Buy some."
    failed = ended(client, submit(client, prompt="bug")["id"])
    assert failed["state"] == "failed"
    assert "secret" not in failed["error"]


BAD = {
    "width 65": {"width": 65}, "steps 0": {"steps": 0}, "steps huge": {"steps": 10**9}, "negative": {"cfg_scale": -1}, "text": {"steps": "many"},
    "null": {"steps": None}, "list": {"prompt": ["a"]}, "object": {"seed": {}}, "unknown field": {"stepz": 3}, "seed": {"seed": 2**64}, "float": {"steps": 1.5},
    "task": {"task": "paint"}, "task type": {"task": 3}, "long prompt": {"prompt": "x" * 100_000}, "sampler": {"sampler": "Eulerr"},
    "checkpoint": {"checkpoint": "../x"},
    "image without": {"task": "img2img"}, "image path": {"task": "img2img", "image": "/etc/passwd"}, "image url": {"task": "img2img", "image": "http://127.0.0.1/x.png"},
    "image unknown": {"task": "img2img", "image": "ab" * 32}, "image text": {"task": "img2img", "image": base64.b64encode(b"hello").decode()},
    "image number": {"task": "img2img", "image": 5}, "image of txt2img": {"image": base64.b64encode(png()).decode()}, "style": {"styles": ["none such"]},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_get_one_sentence_and_make_no_job(house, name):
    client = house.script()
    before = house.studio.jobs.list(None, 200)
    answer = client.post("/v1/jobs", json=QUICK | BAD[name])
    assert answer.status_code in (404, 422), answer.text
    assert set(answer.json()) == {"error", "hint"}
    assert 0 < len(answer.json()["error"]) < 300
    assert "Traceback" not in answer.text
    assert len(house.studio.jobs.list(None, 200)) == len(before)


RAW = {
    "empty": b"", "not json": b"{", "nan": b'{"task":"txt2img","cfg_scale":NaN}', "infinity": b'{"cfg_scale":-Infinity}', "array": b"[1]", "text": b'"x"',
    "null": b"null", "latin": b'{"prompt":"\xe9"}', "deep": b"[" * 200_000, "deep object": b'{"a":' * 100_000, "big number": b'{"seed":' + b"9" * 5000 + b"}",
    "huge float": b'{"task":"txt2img","cfg_scale":1e999}',
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_broken_bodies_get_one_sentence_and_make_no_job(house, name):
    before = house.studio.jobs.list(None, 200)
    answer = house.script().post("/v1/jobs", content=RAW[name], headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert 0 < len(answer.json()["error"]) < 300
    assert len(house.studio.jobs.list(None, 200)) == len(before)


def test_only_json_is_read(house):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = house.script().post("/v1/jobs", content=json.dumps(QUICK), headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "application/json" in answer.json()["error"]


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_pictures_may_come_along_as_base64(house, head):
    client = house.script()
    picture = head + base64.b64encode(png(80, 72)).decode()
    done = ended(client, submit(client, task="img2img", image=picture, width=None, height=None)["id"])
    assert done["state"] == "done"
    assert (done["outputs"][0]["width"], done["outputs"][0]["height"]) == (80, 72)
    assert Image.open(io.BytesIO(client.get(f"/v1/pictures/{done['request']['image']}").content)).size == (80, 72)


def test_a_bad_request_keeps_no_picture(house):
    folder = house.studio.library.assets.folder
    before = set(folder.glob("*")) if folder.is_dir() else set()
    picture = base64.b64encode(png(33, 31)).decode()
    assert house.script().post("/v1/jobs", json=QUICK | {"task": "img2img", "image": picture, "steps": 0}).status_code == 422
    assert (set(folder.glob("*")) if folder.is_dir() else set()) == before


def test_a_full_queue_says_when_to_come_back(house, slow, monkeypatch):
    client, limit = house.browser(), 2
    monkeypatch.setattr(house.studio.jobs, "limits", replace(house.studio.jobs.limits, max_waiting_per_owner=limit))
    made = [submit(client, prompt="slow five")]
    next(event for event in events_of(client, made[0]["id"]) if event["state"] == "running")
    made += [submit(client) for _ in range(limit)]
    answer = client.post("/v1/jobs", json=QUICK)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert str(limit) in answer.json()["error"]


def test_guests_have_smaller_limits(house):
    house.door.shared["a.gradio.live"] = []
    try:
        client = house.script(Host="a.gradio.live")
        answer = client.post("/v1/jobs", json=QUICK | {"steps": 51})
        assert answer.status_code == 403
        assert "guests" in answer.json()["error"]
    finally:
        house.door.shared.clear()


def test_one_owner_cannot_hold_all_streams(house, slow, monkeypatch):
    monkeypatch.setattr(jobs_module, "STREAMS_PER_OWNER", 1)
    client = house.browser()
    job = submit(client, prompt="slow six")
    held = events_of(client, job["id"])
    next(held)
    answer = client.get(f"/v1/jobs/{job['id']}/events")
    assert answer.status_code == 429
    assert answer.headers["retry-after"]
    slow.go.set()
    list(held)
    assert ended(client, job["id"])["state"] == "done"


def test_silence_is_filled_with_comments(house, slow, monkeypatch):
    monkeypatch.setattr(jobs_module, "KEEP_ALIVE", 0.01)
    client = house.browser()
    running = submit(client, prompt="slow seven")
    next(event for event in events_of(client, running["id"]) if event["state"] == "running")
    waiting = submit(client)
    with client.stream("GET", f"/v1/jobs/{waiting['id']}/events") as stream:
        assert next(line for line in stream.iter_lines() if line.startswith(":")) == ": still here"


@pytest.mark.parametrize("job_id", ["x", "..%2f..%2fetc%2fpasswd", "%00", "' OR 1=1 --", "a" * 5000, "é"])
def test_odd_ids_do_not_exist(house, job_id):
    client = house.script()
    for method, tail in (("GET", ""), ("GET", "/events"), ("GET", "/preview"), ("DELETE", ""), ("POST", "/rerun")):
        answer = client.request(method, f"/v1/jobs/{job_id}{tail}")
        assert answer.status_code == 404, answer.text
        assert "error" in answer.json()

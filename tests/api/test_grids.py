"""Grids over REST: the normal path of a job."""

import base64
import io
import json

from PIL import Image

from tests.api.test_jobs import QUICK, ended, png

AXES = {"x": {"field": "steps", "values": "1, 2"}, "y": {"field": "CFG Scale", "values": [1, 2.5]}}


def asked(**base) -> dict:
    return {"task": "grid", "base": QUICK | base, **AXES}


def test_a_grid_is_a_job_of_many_pictures_and_a_sheet(house):
    client = house.script()
    job = client.post("/v1/jobs", json=asked()).json()
    assert job["task"] == "grid" and job["pictures"] == 4
    done = ended(client, job["id"])
    assert done["state"] == "done", done["error"]
    assert [output["task"] for output in done["outputs"]] == ["txt2img"] * 4 + ["grid"]
    sheet = done["outputs"][-1]
    assert Image.open(io.BytesIO(client.get(sheet["url"]).content)).size == (sheet["width"], sheet["height"])
    assert 'Script: X/Y/Z plot, X Type: Steps, X Values: "1, 2", Y Type: CFG Scale, Y Values: "1, 2.5"' in sheet["infotext"]
    found = client.get(f"/v1/outputs/{sheet['id']}/request").json()
    assert found["single"]["base"]["seed"] == 7 and found["single"]["x"] == AXES["x"]
    assert sheet["id"] in [output["id"] for output in client.get("/v1/outputs?task=grid").json()]
    assert client.get("/v1/outputs?task=grids").status_code == 422


def test_progress_counts_the_pictures_of_the_grid(house, slow):
    client = house.script()
    job = client.post("/v1/jobs", json=asked(prompt="slow")).json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        seen = []
        for line in stream.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
                if seen[-1]["state"] == "running" and seen[-1]["picture"]:
                    slow.go.set()
    assert {(record["picture"], record["pictures"]) for record in seen if record["phase"] == "sampling"} <= {(i, 4) for i in range(1, 5)}
    assert seen[-1]["state"] == "done"


def test_a_stopped_grid_goes_on(house, slow):
    client = house.script()
    job = client.post("/v1/jobs", json=asked(prompt="slow down")).json()
    client.delete(f"/v1/jobs/{job['id']}")
    ended(client, job["id"])
    again = client.post(f"/v1/jobs/{job['id']}/rerun").json()
    assert again["request"]["resumes"] == job["id"]
    slow.go.set()
    assert len(ended(client, again["id"])["outputs"]) == 5
    assert house.browser().post("/v1/jobs", json=asked() | {"resumes": job["id"]}).status_code == 404  # somebody else's pictures stay theirs


def test_pictures_of_the_base_may_come_as_base64(house):
    client = house.script()
    base = {"task": "img2img", "image": base64.b64encode(png()).decode(), "steps": 1, "seed": 1}
    answer = client.post("/v1/jobs", json={"task": "grid", "base": base, "x": {"field": "denoising", "values": "0.2, 0.8"}})
    assert answer.status_code == 201, answer.text
    done = ended(client, answer.json()["id"])
    assert [output["task"] for output in done["outputs"]] == ["img2img", "img2img", "grid"]


def test_what_is_wrong_is_one_sentence(house):
    client = house.script()
    for body, sentence in (
        (asked() | {"x": {"field": "steps", "values": "0"}}, "X axis: Sampling steps (steps) is 0, but it must be a whole number from 1"),
        (asked() | {"x": {"field": "stepz", "values": "0"}}, "X axis: Axis 'stepz' does not exist."),
        ({"task": "grid", "base": QUICK}, "A grid needs at least one axis"),
        ({"task": "grid", "base": "x"}, "Base (base) is 'x'"),
        ({"task": "grid"}, "Base (base) is 'None'"),
        (asked() | {"x": 5}, "The grid's parameter 'x' is 5"),
    ):
        answer = client.post("/v1/jobs", json=body)
        assert answer.status_code == 422 and sentence in answer.json()["error"], answer.text


def test_guests_have_their_limit(house):
    house.door.shared["a.gradio.live"] = []
    try:
        answer = house.script(Host="a.gradio.live").post("/v1/jobs", json=asked() | {"z": {"field": "seed", "values": "1, 2"}})
        assert answer.status_code == 403 and "The grid has 8 pictures, but guests may ask for at most 4" in answer.json()["error"]
    finally:
        house.door.shared.clear()


def test_the_documented_schema_has_no_loose_references(house):
    text = json.dumps(house.script().get("/openapi.json").json()["paths"]["/v1/jobs"])
    assert "#/$defs/" not in text and '"grid"' in text

"""/v1/merge over REST: a job like any other, for those of the house."""

from app.merge_request import Merge


def test_a_merge_is_checked_before_it_is_queued(house):
    client = house.script()
    refused = client.post("/v1/merge", json={"model_a": "nobody", "model_b": "tiny"})
    assert refused.status_code == 422 and refused.json()["error"] == "Checkpoint 'nobody' does not exist."
    assert client.post("/v1/merge", json={"model_b": "tiny"}).json()["error"] == "Checkpoint A (model_a) is missing."
    assert client.post("/v1/merge", content=b"x").status_code == 415


def test_a_merge_is_a_job(house, monkeypatch):
    done = []
    monkeypatch.setattr(house.studio._merges, "prepare", lambda request, guest: request.model_copy(update={"name": "new"}))
    monkeypatch.setattr(house.studio._merges, "work", lambda request, report: done.append(request))
    client = house.script()
    answer = client.post("/v1/merge", json={"model_a": "tiny", "model_b": "tiny", "multiplier": 0.25})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"], job["task"]) == (201, f"/v1/jobs/{job['id']}", "merge")
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        assert '"state": "done"' in list(stream.iter_lines())[-2]
    assert done == [Merge(model_a="tiny", model_b="tiny", multiplier=0.25, name="new")]

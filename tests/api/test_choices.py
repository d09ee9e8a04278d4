from app.engine.samplers import SAMPLERS


def test_what_can_be_asked_for(house):
    record = house.script().get("/v1/choices?refresh=true").json()
    assert record["samplers"] == list(SAMPLERS)
    assert "Karras" in record["schedules"]
    said = {"label": "", "description": "", "triggers": [], "preview": False}
    assert record["checkpoints"] == [{"name": "tiny", "family": "sd1", "native": 64, "size": 123, "precision": "", "problem": "", "hash": "", **said}]
    assert "nowhere" not in str(record), "paths are nobody's business"
    assert {"vaes", "loras", "embeddings", "styles"} < set(record)


def test_health(house):
    assert house.script().get("/healthz").json() == {"status": "ok"}
    assert house.script().get("/readyz").json() == {"status": "ready"}


def test_addresses_that_do_not_exist(house):
    for method, path in (("GET", "/v1/nothing"), ("POST", "/v1/jobs/x/paint"), ("PUT", "/v1/jobs"), ("GET", "/v1/")):
        answer = house.script().request(method, path)
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]

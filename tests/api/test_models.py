"""The shelf over HTTP: the routes without the page around them, over real files."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from app.api import answers, models
from app.api.owner import ROLE
from app.engine.checkpoints.find import Shelf
from app.request import parse
from app.settings import ROOT, Settings
from app.studio import Studio
from app.work import Picture

EMBEDDED = ROOT / "models" / "embedded"


@pytest.fixture
def shelf(settings: Settings) -> Iterator[Studio]:
    """A studio whose shelf holds what ships, and files of a user: the LoRA "styles/ink" with a sidecar, a broken one, and one of no kind."""
    folder = settings.checkpoint_dirs[0] / "styles"
    folder.mkdir()
    shutil.copy(EMBEDDED / "loras" / "darkroom-lcm.safetensors", folder / "ink.safetensors")
    (folder / "ink.json").write_text(json.dumps({"description": "Ink.", "notes": "from A1111", "activation text": "ink drawing", "preferred weight": 0.7}))
    (folder / "lora broken #1.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    (folder / "odd.safetensors").write_bytes(b"\x3a\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(58) + bytes(4))
    studio = Studio(replace(settings, root=ROOT))
    yield studio
    studio.close()


@pytest.fixture
def client(shelf: Studio) -> TestClient:
    app = FastAPI()
    app.state.studio = shelf
    answers.install(app)
    app.include_router(models.router)
    return TestClient(app, headers={ROLE: "owner"})


GUEST = {ROLE: "guest"}


def model(client: TestClient, kind: str, name: str) -> dict:
    """As the list says it, but for what it says of the checkpoint that is chosen."""
    return next(found | {"fits": None} for found in client.get("/v1/models").json()["models"] if (found["kind"], found["name"]) == (kind, name))


def test_the_list_says_what_everything_is(client: TestClient) -> None:
    record = client.get("/v1/models?checkpoint=darkroom-base").json()
    found = {(item["kind"], item["name"]): item for item in record["models"]}
    base, lcm = found["checkpoint", "darkroom-base"], found["lora", "darkroom-lcm"]
    assert (base["family"], base["family_label"], base["native"], base["fits"]) == ("sd1", "SD 1.x", 128, None)
    assert base["defaults"]["width"] == base["defaults"]["height"] == 128
    assert lcm["defaults"]["sampler"] == "LCM" and "width" not in lcm["defaults"] and "defaults" not in found["embedding", "darkroom-dusk"]
    assert lcm["fits"] is True and lcm["label"] == "Darkroom few steps" and lcm["size"] > 10**6
    ink = found["lora", "styles/ink"]
    assert (ink["notes"], ink["weight"], ink["file"], ink["own"]["notes"]) == ("from A1111", 0.7, "ink.safetensors", "")
    assert "ink drawing" in ink["triggers"]
    assert found["unknown", "styles/odd"]["problem"]
    assert "truncated" in next(item for item in record["models"] if "broken" in item["name"])["problem"]
    assert (record["checkpoint"]["name"], record["may_write"]) == ("darkroom-base", True)
    assert client.get("/v1/models?checkpoint=gone").json()["checkpoint"] is None
    assert model(client, "lora", "styles/ink") == client.get("/v1/models/lora/styles/ink").json()


def test_paths_are_told_to_the_house_alone(client: TestClient) -> None:
    assert str(ROOT) in client.get("/v1/models").text
    for address in ("/v1/models", "/v1/models/lora/styles/ink", "/v1/models/defaults"):
        assert str(ROOT) not in client.get(address, headers=GUEST).text and "tmp" not in client.get(address, headers=GUEST).text


def test_guests_look_and_change_nothing(client: TestClient, shelf: Studio) -> None:
    assert client.get("/v1/models", headers=GUEST).json()["may_write"] is False
    assert client.get("/v1/models/lora/darkroom-lcm/preview", headers=GUEST).status_code == 200
    for method, address in (("PUT", "/v1/models/lora/styles/ink"), ("POST", "/v1/models/lora/styles/ink/preview")):
        answer = client.request(method, address, json={"favourite": True, "picture": "a" * 32}, headers=GUEST)
        assert answer.status_code == 403 and answer.json()["error"].startswith("Guests may look")
    assert not model(client, "lora", "styles/ink")["favourite"]


def test_what_is_said_goes_before_what_the_neighbours_say(client: TestClient) -> None:
    answer = client.put("/v1/models/lora/styles/ink", json={"notes": "mine", "triggers": ["pen"], "weight": 0.5, "favourite": True})
    assert answer.status_code == 200 and answer.json() == model(client, "lora", "styles/ink")
    said = answer.json()
    assert (said["notes"], said["triggers"], said["weight"], said["favourite"]) == ("mine", ["pen"], 0.5, True)
    back = client.put("/v1/models/lora/styles/ink", json={"notes": "", "triggers": []}).json()
    assert (back["notes"], back["favourite"]) == ("from A1111", True) and "ink drawing" in back["triggers"]


def test_defaults_are_merged_and_their_names_are_ours(client: TestClient) -> None:
    plain = client.get("/v1/models/defaults").json()
    assert (plain["name"], plain["saved"]) == ("darkroom-base", {}) and 128 in plain["natives"]
    given = {"steps": 9, "sampler": "dpm++ 2m karras", "schedule": "Automatic", "vae": "None", "width": 256}
    assert client.put("/v1/models/checkpoint/darkroom-base", json={"defaults": given}).status_code == 200
    merged = client.get("/v1/models/defaults?checkpoint=darkroom-base").json()
    saved = {"width": 256, "sampler": "DPM++ 2M", "schedule": "Karras", "steps": 9, "vae": ""}
    assert merged["saved"] == saved and merged["defaults"] == plain["defaults"] | saved
    assert model(client, "checkpoint", "darkroom-base")["defaults"] == merged["defaults"]
    client.put("/v1/models/checkpoint/darkroom-base", json={"defaults": {}})
    assert client.get("/v1/models/defaults").json() == plain


BAD = {
    "no such model": ("/v1/models/lora/gone", {}, 404, "There is no such model"),
    "another kind": ("/v1/models/vae/styles/ink", {}, 404, "There is no such model"),
    "a path": ("/v1/models/lora/..%2f..%2fetc%2fpasswd", {}, 404, "There is no such model"),
    "unknown field": ("/v1/models/lora/styles/ink", {"colour": 1}, 422, "A model has no 'colour'"),
    "defaults of a LoRA": ("/v1/models/lora/styles/ink", {"defaults": {"steps": 2}}, 422, "Only a checkpoint can bring defaults along"),
    "unknown sampler": ("/v1/models/checkpoint/darkroom-base", {"defaults": {"sampler": "Eulr"}}, 422, "Sampler 'Eulr' does not exist"),
    "unknown vae": ("/v1/models/checkpoint/darkroom-base", {"defaults": {"vae": "soft"}}, 422, "VAE 'soft' does not exist"),
    "out of bounds": ("/v1/models/checkpoint/darkroom-base", {"defaults": {"width": 65}}, 422, "Width (width) is 65"),
    "of the wrong kind": ("/v1/models/checkpoint/darkroom-base", {"defaults": {"sampler": 3}}, 422, "Sampling method (sampler) is 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_sentence(client: TestClient, case: str) -> None:
    address, changes, status, sentence = BAD[case]
    answer = client.put(address, json=changes)
    assert (answer.status_code, answer.json()["error"][: len(sentence)]) == (status, sentence)


def test_a_sample_picture_is_shown_and_chosen(client: TestClient, shelf: Studio) -> None:
    shown = client.get("/v1/models/lora/darkroom-lcm/preview")
    assert (shown.headers["content-type"], shown.headers["x-content-type-options"]) == ("image/jpeg", "nosniff")
    assert Image.open(io.BytesIO(shown.content)).format == "JPEG"
    assert client.get("/v1/models/lora/styles/ink/preview").status_code == 404 and model(client, "lora", "styles/ink")["version"] == ""
    request = parse({"task": "txt2img", "prompt": "a house", "checkpoint": "darkroom-base"})
    mine = shelf.library.save(Picture(Image.new("RGB", (128, 96), "green"), 0, 1), request, "job", "somebody").id
    said = client.post("/v1/models/lora/styles/ink/preview", json={"picture": mine}).json()
    assert said["version"] and Path(said["path"]).with_name("ink.preview.webp").is_file()
    with Image.open(io.BytesIO(client.get("/v1/models/lora/styles/ink/preview").content)) as small:
        assert small.size == (128, 96)
    base = client.post("/v1/models/checkpoint/darkroom-base/preview", json={"picture": mine}).json()
    assert base["version"] and (EMBEDDED / "darkroom-base" / "preview.webp").stat().st_mtime < (shelf.settings.outputs_dir).stat().st_mtime
    for picture, status in (("f" * 32, 404), (None, 422), ("../x", 404)):
        assert client.post("/v1/models/lora/styles/ink/preview", json={"picture": picture}).status_code == status


def test_refresh_sees_new_files(client: TestClient, shelf: Studio) -> None:
    folder = shelf.settings.lora_dirs[0]
    assert "styles/ink" in client.get("/v1/models").text
    shutil.copy(folder / "styles" / "ink.safetensors", folder / "new one.safetensors")
    assert "new one" not in client.get("/v1/models").text
    assert "new one" in client.post("/v1/models/refresh").text
    assert client.get("/v1/models/lora/new%20one").json()["name"] == "new one"


def test_a_name_that_is_no_text_can_be_told(client: TestClient, shelf: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(shelf.shelf.lora("styles/ink"), name="ink\udcff", label="a\ud800b")
    monkeypatch.setattr(Shelf, "everything", lambda self: [odd])
    assert model(client, "lora", "ink\ufffd")["label"] == "a\ufffdb"
    assert client.put("/v1/models/lora/ink\ufffd", json={"notes": "odd"}).json()["notes"] == "odd"

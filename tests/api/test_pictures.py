import io
import json

import pytest
from PIL import Image, PngImagePlugin

from app.api.guard import FILE_CSP
from app.api.views import saved_json
from app.request import Txt2Img
from app.work import Picture


def encoded(kind: str = "PNG", size: tuple[int, int] = (48, 40), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "green").save(buffer, kind, **options)
    return buffer.getvalue()


def saved(house, owner: str = "somebody", **values):
    request = Txt2Img(**{"prompt": "a dog", "seed": 5, "width": 64, "height": 64} | values)
    return house.studio.library.save(Picture(Image.new("RGB", (64, 64), "red"), 0, 5), request, "job", owner)


@pytest.fixture
def guest(house):
    """A visitor who came through a share link."""
    house.door.shared["a.gradio.live"] = []
    yield house.script(Host="a.gradio.live")
    house.door.shared.clear()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_handed_in_and_asked_for(house, kind):
    client = house.script()
    answer = client.post("/v1/pictures", content=encoded(kind))
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert (record["width"], record["height"], record["request"], record["infotext"]) == (48, 40, None, "")
    back = client.get(record["url"])
    assert back.headers["content-type"] == "image/png"
    assert back.headers["content-security-policy"] == FILE_CSP
    assert back.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(back.content)).size == (48, 40)


def test_a_form_does_as_well(house):
    answer = house.browser().post("/v1/pictures", files={"file": ("../../x.png", encoded(), "text/html")})
    assert answer.status_code == 201
    assert answer.json()["id"] == house.script().post("/v1/pictures", content=encoded()).json()["id"]


def test_a_picture_says_its_variation_seed(house):
    varied, plain = saved(house, subseed=2**63, subseed_strength=0.5), saved(house, prompt="a dog, Variation seed: 3")
    seeds = [saved_json(record) for record in (varied, plain)]
    assert [(found["seed"], found["subseed"]) for found in seeds] == [(5, 2**63), (5, None)]


def test_parameters_in_a_picture_come_back(house):
    client = house.script()
    ours = client.post("/v1/pictures", content=saved(house).path.read_bytes()).json()
    assert ours["request"]["prompt"] == "a dog"
    assert ours["request"]["seed"] == 5
    assert "Seed: 5" in ours["infotext"]
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nNegative prompt: dogs\nSteps: 12, Sampler: Euler a, CFG scale: 6, Seed: 99, Size: 512x512")
    theirs = client.post("/v1/pictures", content=encoded(pnginfo=info)).json()["request"]
    assert (theirs["task"], theirs["prompt"], theirs["negative_prompt"], theirs["steps"], theirs["seed"]) == ("txt2img", "a cat", "dogs", 12, 99)


def test_parameters_as_text(house):
    client = house.script()
    text = "a cat\nSteps: 12, Sampler: k_euler_a, CFG scale: 99, Seed: 18446744073709551615, Size: 512x512, Hypernet: x"
    found = client.post("/v1/parameters", json={"text": text}).json()
    assert (found["program"], found["infotext"], found["request"]["sampler"]) == ("A1111", text, "Euler a")
    assert found["request"]["seed"] == 2**64 - 1 and "cfg_scale" not in found["request"]
    assert [word in " ".join(found["notes"]) for word in ("CFG scale", "Hypernet")] == [True, True]
    assert client.post("/v1/parameters", json={"text": text, "task": "inpaint"}).json()["request"]["task"] == "inpaint"
    assert client.post("/v1/parameters", json={"text": "a cat"}).json() == {"request": None, "infotext": "a cat", "program": "", "notes": []}
    for body in ({}, {"text": 7}, {"text": "x", "task": "moon"}, {"text": "x", "task": ["txt2img"]}):
        answer = client.post("/v1/parameters", json=body)
        assert answer.status_code == 422 and answer.json()["error"]


def test_another_programs_picture_says_what_was_not_taken(house):
    graph = {"1": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 9, "cfg": 2, "sampler_name": "new", "scheduler": "karras", "denoise": 1,
             "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0]}},
             "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a boat"}}}  # fmt: skip
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(graph))
    found = house.script().post("/v1/pictures", content=encoded(pnginfo=info)).json()
    assert (found["program"], found["request"]["steps"], found["request"]["prompt"]) == ("ComfyUI", 9, "a boat")
    assert found["notes"] == ["Darkroom has no sampler 'new'."]


HOSTILE = {
    "empty": b"", "text": b"hello", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "html": b"<html>", "cut": encoded()[:60],
    "gif": encoded("GIF"), "bmp": encoded("BMP"), "tiff": encoded("TIFF"), "json": b"{}",
    "bomb": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\2\0\0\0",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_refused_in_one_sentence(house, name):
    for options in ({"content": HOSTILE[name]}, {"files": {"file": ("x.png", HOSTILE[name], "image/png")}}):
        answer = house.script().post("/v1/pictures", **options)
        assert answer.status_code == 422, answer.text
        assert 0 < len(answer.json()["error"]) < 300


def test_a_form_without_a_file_is_refused(house):
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello\r\n--x--\r\n", b"--x--\r\n", b"nonsense"):
        answer = house.script().post("/v1/pictures", content=body, headers=boundary)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error"]
    many = [("file", (f"{number}.png", encoded(), "image/png")) for number in range(3)]
    assert house.script().post("/v1/pictures", files=many).status_code == 400


@pytest.mark.parametrize("name", ["..", "..%2f..%2fjobs%2fjobs.db", "%2fetc%2fpasswd", "x" * 64, "0" * 63, "0" * 64, "0" * 64 + "%00", "0" * 64 + ".svg", "é"])
def test_no_path_leads_out_of_what_was_handed_in(house, name):
    assert house.script().get(f"/v1/pictures/{name}").status_code == 404


def test_an_output_as_it_lies_on_the_disk(house):
    item = saved(house)
    client = house.script()
    for name in (item.id, f"{item.id}.png"):
        answer = client.get(f"/v1/outputs/{name}")
        assert answer.content == item.path.read_bytes()
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-security-policy"] == FILE_CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("inline")
    assert client.get(f"/v1/outputs/{item.id}?download=1").headers["content-disposition"] == f'attachment; filename="{item.path.name}"'
    thumb = client.get(f"/v1/outputs/{item.id}/thumb")
    assert thumb.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(thumb.content)).format == "JPEG"


def test_how_it_was_made(house):
    item = saved(house, batch_count=3)
    record = house.script().get(f"/v1/outputs/{item.id}/request").json()
    assert record["request"] == json.loads(item.request)
    assert record["request"]["batch_count"] == 3
    assert (record["single"]["batch_count"], record["single"]["seed"]) == (1, 5)
    assert record["infotext"] == item.infotext


def test_videos_are_sent_in_ranges(house):
    def write(path):
        path.write_bytes(bytes(range(256)))

    request = Txt2Img(prompt="v", seed=1, width=64, height=64)
    item = house.studio.library.save_video(write, request, "job", "somebody", suffix="mp4", poster=Image.new("RGB", (64, 64)))
    answer = house.script().get(f"/v1/outputs/{item.id}.mp4", headers={"Range": "bytes=10-19"})
    assert answer.status_code == 206
    assert answer.content == bytes(range(10, 20))
    assert answer.headers["content-range"] == "bytes 10-19/256"
    assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize("suffix", ["svg", "html", "json"])
def test_no_other_kind_of_file_is_sent(house, suffix):
    item = saved(house)
    odd = item.path.with_suffix(f".{suffix}")
    item.path.rename(odd)
    house.studio.library._index._db.execute("UPDATE pictures SET path = ? WHERE id = ?", (str(odd.relative_to(house.studio.library.root)), item.id))
    for name in (item.id, f"{item.id}.{suffix}"):
        assert house.script().get(f"/v1/outputs/{name}").status_code == 404


@pytest.mark.parametrize(
    "name", ["..", "..%2f.darkroom%2flibrary.db", "%2fetc%2fpasswd", "0" * 32, "0" * 31, "0" * 32 + ".html", "G" * 32, "' OR 1=1 --", "%00", "é"]
)
def test_no_path_leads_out_of_the_outputs(house, name):
    for tail in ("", "/thumb", "/request"):
        answer = house.script().get(f"/v1/outputs/{name}{tail}")
        assert answer.status_code == 404
        assert answer.json()["error"]
    assert house.script().delete(f"/v1/outputs/{name}").status_code == 404


def test_a_wrong_suffix_does_not_exist(house):
    assert house.script().get(f"/v1/outputs/{saved(house).id}.webp").status_code == 404


def test_listing_goes_page_by_page(house):
    client = house.script()
    items = [saved(house).id for _ in range(3)]
    first = client.get("/v1/outputs?limit=2").json()
    assert [item["id"] for item in first] == items[:0:-1]
    second = client.get(f"/v1/outputs?limit=2&before={first[-1]['id']}").json()
    assert second[0]["id"] == items[0]
    assert all(item["task"] == "txt2img" for item in client.get("/v1/outputs?task=txt2img").json())
    assert client.get("/v1/outputs?task=zoom").json() == []
    for bad in ("task=paint", "limit=0", "limit=x", "limit=100000"):
        answer = client.get(f"/v1/outputs?{bad}")
        assert answer.status_code == 422
        assert answer.json()["error"]


def test_guests_see_only_their_own_and_the_house_sees_all(house, guest):
    theirs = guest.post("/v1/jobs", json={"task": "txt2img", "prompt": "g", "steps": 1})
    assert theirs.status_code == 201
    guest.headers["Cookie"] = theirs.headers["set-cookie"].partition(";")[0]  # it is Secure, which a client keeps from http
    guest.get(f"/v1/jobs/{theirs.json()['id']}/events")
    own = guest.get(f"/v1/jobs/{theirs.json()['id']}").json()["outputs"][0]["id"]
    others = saved(house).id
    assert [item["id"] for item in guest.get("/v1/outputs").json()] == [own]
    assert guest.get(f"/v1/outputs/{own}").status_code == 200
    for method, tail in (("GET", ""), ("GET", "/thumb"), ("GET", "/request"), ("DELETE", "")):
        assert guest.request(method, f"/v1/outputs/{others}{tail}").status_code == 404
    assert {own, others} <= {item["id"] for item in house.browser().get("/v1/outputs").json()}


def test_deleting_removes_the_file(house):
    item = saved(house)
    client = house.script()
    assert client.delete(f"/v1/outputs/{item.id}").status_code == 204
    assert not item.path.exists()
    assert client.get(f"/v1/outputs/{item.id}").status_code == 404
    assert client.delete(f"/v1/outputs/{item.id}").status_code == 404


def test_a_picture_of_another_program_is_shown_and_its_file_stays_unless_it_is_meant(house, guest, tmp_path):
    from app.library.elsewhere import Told

    for name in ("a.JPG", "b.jpeg"):
        (tmp_path / name).write_bytes(encoded("JPEG"))
    house.studio.library.elsewhere.take_in([tmp_path], lambda path: Told("txt2img", "", "a dog"))
    client = house.script()
    rows = [row for row in client.get("/v1/outputs").json() if row["foreign"]]
    assert sorted(row["url"].rsplit(".")[-1] for row in rows) == ["jpeg", "jpg"]
    for row in rows:
        assert client.get(row["url"]).headers["content-type"] == "image/jpeg"
        assert guest.get(row["url"]).status_code == guest.delete(row["url"], params={"original": True}).status_code == 404
    assert client.delete(rows[0]["url"]).status_code == 204
    assert client.get(rows[0]["url"]).status_code == 404 and len(list(tmp_path.iterdir())) == 2
    assert client.delete(rows[1]["url"], params={"original": True}).status_code == 204 and len(list(tmp_path.iterdir())) == 1

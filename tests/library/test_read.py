"""What a picture says about itself: lossless for ours, A1111's text for others, nothing for hostile files."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from app import infotext
from app.library import Library
from app.library.read import embedded, one_picture, read
from app.library.save import png_bytes
from app.request import AnyRequest, Inpaint, Outpaint, Txt2Img, Zoom, parse
from app.work import Picture

PICTURE = "ab" * 32
SMALL = Image.new("RGB", (8, 8), (1, 2, 3))
TEXT = "cat\nNegative prompt: dög 日本\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


def fields(task: type[AnyRequest]) -> st.SearchStrategy[AnyRequest]:
    """Any request of a task: every field anywhere within its bounds."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name, schema in task.model_json_schema()["properties"].items():
        options = [known for known in schema.get("anyOf", [schema]) if known.get("type") != "null"]
        bounds = options[0]
        match bounds.get("type"):
            case _ if "pattern" in bounds:
                values[name] = st.just(PICTURE)
            case _ if "enum" in bounds:
                values[name] = st.sampled_from(bounds["enum"])
            case "integer":
                step = bounds.get("multipleOf", 1)
                values[name] = st.integers(bounds["minimum"] // step, bounds["maximum"] // step).map(lambda value, step=step: value * step)
            case "number":
                values[name] = st.floats(bounds["minimum"], bounds["maximum"])
            case "array":
                values[name] = st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=3)
            case "string" if name != "task":
                values[name] = st.text(st.characters(codec="utf-8"), max_size=40)
    return st.fixed_dictionaries(values).map(lambda found: parse({"task": task.model_fields["task"].default, **in_order(found)}))


def in_order(found: dict[str, Any]) -> dict[str, Any]:
    """The same values with the ends of the schedule the right way round."""
    low, high = sorted((found.get("sigma_min", 0.0), found.get("sigma_max", 0.0)))
    return found | ({"sigma_min": low, "sigma_max": high} if "sigma_max" in found and low < high else {"sigma_min": 0.0})


@settings(deadline=None, max_examples=60, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(request_=st.one_of(*[fields(task) for task in (Txt2Img, Inpaint, Outpaint, Zoom)]), index=st.integers(0, 99))
def test_any_request_comes_back_exactly(request_: AnyRequest, index: int, shelf: Library) -> None:
    saved = shelf.save(Picture(SMALL, index, request_.seed + index), request_, "job-1", "anna")
    found, text = read(saved.path)
    assert found is not None and parse(found) == request_
    assert text == saved.infotext == infotext.write(request_, {}, index, request_.seed + index, (8, 8))
    assert embedded(saved.path)[0]["index"] == index


@pytest.fixture
def shelf(tmp_path: Path) -> Any:
    library = Library(tmp_path)
    yield library
    library.close()


@pytest.mark.parametrize(
    "prompt",
    ["naïve café", "日本語 🎈👩‍👩‍👧", "شعر עברית", "a\tb\nc", "‮reversed", "\ud800 lone", "\x00\x07\x1b nul", "e\u0301", "x" * 8000, "  ", '"quoted"'],
)  # fmt: skip
def test_prompts_of_every_kind_survive(shelf: Library, prompt: str) -> None:
    request = Txt2Img(prompt=prompt, seed=1)
    found, text = read(shelf.save(Picture(SMALL, 0, 1), request, "job-1", "anna").path)
    assert found is not None and parse(found) == request
    assert text.startswith(request.prompt.strip())


def test_one_picture_of_a_batch_is_a_request_of_its_own(shelf: Library) -> None:
    request = Txt2Img(prompt="cat", seed=40, batch_size=4, batch_count=2)
    saved = shelf.save(Picture(SMALL, 5, 45), request, "job-1", "anna")
    assert one_picture(saved.path) == {**request.model_dump(mode="json"), "seed": 45, "batch_count": 1, "batch_size": 1}
    last = shelf.save(Picture(SMALL, 1, 0), request.model_copy(update={"seed": 2**64 - 1}), "job-2", "anna")
    assert (one_picture(last.path) or {})["seed"] == 0, "seeds begin again after the last one"
    assert one_picture(png_bytes(SMALL)) is None


def test_path_bytes_and_opened_picture_read_alike(tmp_path: Path) -> None:
    data = png_bytes(SMALL, TEXT, '{"request": {"task": "txt2img"}, "index": 0}')
    (tmp_path / "x.png").write_bytes(data)
    with Image.open(io.BytesIO(data)) as opened:
        results = [read(tmp_path / "x.png"), read(str(tmp_path / "x.png")), read(data), read(opened)]
    assert results == [({"task": "txt2img"}, TEXT)] * 4


def test_text_behind_the_pixels_is_found() -> None:
    data = png_bytes(SMALL)
    chunk = b"tEXtparameters\0cat"
    late = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert read(data[:-12] + late + data[-12:]) == (None, "cat")


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_a1111s_jpeg_and_webp(format: str, order: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + TEXT.encode(order)
    buffer = io.BytesIO()
    SMALL.save(buffer, format, exif=exif)
    assert read(buffer.getvalue()) == (None, TEXT)


def zipped(key: str, text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, text, zip=True)
    buffer = io.BytesIO()
    SMALL.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


HOSTILE = {
    "no picture": b"hello",
    "nothing": b"",
    "json list": png_bytes(SMALL, "", "[1, 2]"),
    "deep json": png_bytes(SMALL, "", "[" * 60_000),
    "broken json": png_bytes(SMALL, "", '{"request": {'),
    "request is text": png_bytes(SMALL, "", '{"request": "__import__(\'os\').system(\'x\')", "index": "9"}'),
    "too long": png_bytes(SMALL, "x" * 70_000, '{"request": {}, "x": "' + "y" * 270_000 + '"}'),
    "text bomb": zipped("darkroom", '{"request": {"prompt": "' + "a" * 40_000_000 + '"}}'),
    "truncated": png_bytes(SMALL, "")[:60],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_say_nothing(name: str) -> None:
    assert read(HOSTILE[name]) == (None, "")
    assert one_picture(HOSTILE[name]) is None


def test_a_missing_file_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing.png") == (None, "")

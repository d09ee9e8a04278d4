"""A picture of any program, or a text: what can be made of it here."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app import recall
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.errors import UnknownName
from app.library.save import png_bytes
from app.request import Img2Img, Txt2Img, parse
from app.settings import Settings
from tests.foreign.chunks import COMFY, FOOOCUS, INVOKEAI, SMALL, WORKFLOW, novelai, png, stealth

A1111 = "a lighthouse\nNegative prompt: fog\nSteps: 25, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 99, Size: 512x768, Model hash: aaaaaaaaaa, Model: gone"


class Two:
    """A shelf with two checkpoints, of which one is found by its hash, too."""

    settings = Settings()

    def checkpoint(self, name: str) -> ModelFile:
        for file, hash_ in (("mine", "aaaaaaaaaa"), ("sub/dreamshaper_8", "")):
            if name in (file, file.rpartition("/")[2], hash_ or None):
                return ModelFile(file, Path("x"), "checkpoint", "sd1", "", 1, 64)
        raise UnknownName("checkpoint", name, ["mine", "sub/dreamshaper_8"])

    def find(self, kind: str, name: str) -> ModelFile:
        raise UnknownName("VAE", name, [])


SHELF: Shelf = Two()  # type: ignore[assignment]


def picture(texts: dict[str, Any]) -> recall.Recalled:
    return recall.of_picture(png(texts), SHELF)


def test_a1111s_text_in_a_picture_with_the_names_of_this_house() -> None:
    found = picture({"parameters": A1111})
    assert (found.program, found.infotext, found.notes) == ("A1111", A1111, ())
    request = parse(found.request or {})
    assert isinstance(request, Txt2Img)
    assert (request.sampler, request.schedule, request.checkpoint, request.seed, request.height) == ("DPM++ 2M", "Karras", "mine", 99, 768)


@pytest.mark.parametrize(
    ("sampler", "schedule", "pair"),
    [("k_euler_a", "", ("Euler a", "Automatic")), ("DPM++ SDE Karras", "", ("DPM++ SDE", "Karras")),
     ("dpm++ 2m sde exponential", "", ("DPM++ 2M SDE", "Exponential")),
     ("Euler", "sgm_uniform", ("Euler", "SGM Uniform")), ("k_dpmpp_2m_ka", "Automatic", ("DPM++ 2M", "Karras")), ("Euler", "No such", ("Euler", None))],
)  # fmt: skip
def test_old_names_of_samplers(sampler: str, schedule: str, pair: tuple[str, str | None]) -> None:
    kind = f", Schedule type: {schedule}" if schedule else ""
    request = recall.of_text(f"cat\nSteps: 5, Sampler: {sampler}{kind}, Seed: 1").request or {}
    assert (request["sampler"], request.get("schedule")) == pair


def test_what_this_house_does_not_have_is_named_and_the_rest_is_filled() -> None:
    found = recall.of_text("cat\nSteps: 5, Sampler: Magic, CFG scale: 77, Seed: 1, Model: nowhere, VAE: kl.pt, ADetailer model: face", "", SHELF)
    request = found.request or {}
    assert request["steps"] == 5 and not {"sampler", "cfg_scale", "checkpoint", "vae"} & set(request)
    told = "\n".join(found.notes)
    assert len(found.notes) == 5 and all(word in told for word in ("'Magic'", "'77'", "'nowhere'", "'kl'", "ADetailer model"))
    assert "Checkpoint stays as it is" in told


def test_the_hash_alone_names_the_checkpoint() -> None:
    line = "cat\nSteps: 5, Sampler: Euler, Seed: 1, Model hash: "
    assert (recall.of_text(f"{line}aaaaaaaaaa", "", SHELF).request or {})["checkpoint"] == "mine"
    found = recall.of_text(f"{line}7460a6fa", "", SHELF)
    assert "checkpoint" not in (found.request or {}) and "7460a6fa" in found.notes[0]


def test_the_tab_decides_which_fields_are_filled() -> None:
    text = "cat\nSteps: 5, Sampler: Euler, Seed: 1, Size: 64x64, Denoising strength: 0.4"
    assert (recall.of_text(text, "inpaint").request or {})["denoising_strength"] == 0.4
    assert (recall.of_text(text).request or {})["task"] == "img2img"


@pytest.mark.parametrize("text", ["", "a cat", "cat, style: a, mood: b, light: c", "{}"])
def test_a_prompt_is_no_parameters(text: str) -> None:
    assert recall.of_text(text) == recall.Recalled(None, text)


FOREIGN: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "ComfyUI": ({"prompt": COMFY, "workflow": WORKFLOW}, ("DPM++ 2M SDE", "Karras", 25, 156680208700286, 512)),
    "Fooocus": ({"parameters": FOOOCUS, "fooocus_scheme": "fooocus"}, ("DPM++ 2M SDE", "Karras", 30, 7007448137037412736, 1152)),
    "InvokeAI": ({"invokeai_metadata": INVOKEAI, "invokeai_graph": "{}"}, ("DPM++ 2M", "Karras", 28, 4242, 768)),
    "NovelAI": (novelai(), ("Euler a", "Automatic", 28, 1234567, 512)),
}  # fmt: skip


@pytest.mark.parametrize("program", FOREIGN)
@pytest.mark.parametrize("zipped", [False, True])
def test_other_programs(program: str, zipped: bool) -> None:
    texts, expected = FOREIGN[program]
    found = recall.of_picture(png(texts, zipped=zipped))
    request = parse(found.request or {})
    assert isinstance(request, Txt2Img) and found.program == program
    assert (request.sampler, request.schedule, request.steps, request.seed, request.width) == expected
    assert request.prompt and request.negative_prompt


def test_a_graph_beside_a1111s_text_is_not_needed() -> None:
    assert picture({"parameters": A1111, "prompt": COMFY}).program == "A1111"


def test_ours_is_taken_before_all_and_as_it_was_asked() -> None:
    data = png_bytes(SMALL, A1111, json.dumps({"request": {"task": "txt2img", "checkpoint": "nowhere", "steps": 3}}))
    assert recall.of_picture(data, SHELF) == recall.Recalled({"task": "txt2img", "checkpoint": "nowhere", "steps": 3}, A1111, "Darkroom")


def with_exif(format: str, comment: bytes = b"", **tags: str) -> bytes:
    exif = Image.Exif()
    for name, text in tags.items():
        exif[{"make": 0x010F, "model": 0x0110, "description": 0x010E}[name]] = text
    if comment:
        exif.get_ifd(0x8769)[0x9286] = comment
    SMALL.save(buffer := io.BytesIO(), format, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("head", [b"UNICODE\0", b"unicode", b"ASCII\0\0\0", b""])
def test_exif(format: str, head: bytes) -> None:
    order = {b"UNICODE\0": "utf-16-be", b"unicode": "utf-16-le"}.get(head, "utf-8")
    comment = (head.upper().ljust(8, b"\0") if head else b"") + A1111.encode(order)
    assert (recall.of_picture(with_exif(format, comment)).request or {})["seed"] == 99


def test_exif_of_comfyui_and_fooocus() -> None:
    found = recall.of_picture(with_exif("WEBP", make=f"workflow:{json.dumps(WORKFLOW)}", model=f"prompt:{json.dumps(COMFY)}"))
    assert (found.program, (found.request or {})["seed"]) == ("ComfyUI", 156680208700286)
    assert recall.of_picture(with_exif("JPEG", b"ASCII\0\0\0" + json.dumps(FOOOCUS).encode())).program == "Fooocus"


def test_the_transparency_is_looked_at_where_there_is_nothing_else() -> None:
    found = recall.of_picture(stealth(json.dumps(novelai()), (64, 300)))
    assert (found.program, (found.request or {})["seed"]) == ("NovelAI", 1234567)
    found = recall.of_picture(stealth(A1111))
    assert (found.program, found.infotext) == ("A1111", A1111)


def test_a_start_picture_makes_it_img2img() -> None:
    found = recall.of_picture(png({"invokeai_metadata": INVOKEAI | {"generation_mode": "img2img", "strength": 0.3}}))
    request = parse({**(found.request or {}), "image": "0" * 64})
    assert isinstance(request, Img2Img) and request.denoising_strength == 0.3


HOSTILE: dict[str, dict[str, Any]] = {
    "deep": {"prompt": "[" * 900_000, "invokeai_metadata": '{"a":' * 90_000, "Comment": "[" * 90_000, "Software": "NovelAI"},
    "code": {"Software": "NovelAI", "Comment": "__import__('os').abort()", "parameters": "{'styles': __import__('os').abort()}"},
    "numbers": {"invokeai_metadata": {**INVOKEAI, "steps": 1e308, "seed": -5, "width": 511, "height": [], "cfg_scale": "nan", "clip_skip": 10**30}},
    "kinds": {"invokeai_metadata": {name: {} for name in INVOKEAI}},
    "long": {"parameters": "x" * 70_000, "Comment": json.dumps({"uc": "y" * 990_000, "sampler": "k_euler"})},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_give_what_can_be_submitted(name: str) -> None:
    found = picture(HOSTILE[name])
    assert found.request is None or parse(found.request | {"checkpoint": "x"}).task == "txt2img"
    assert sum(map(len, found.notes)) < 4000


def test_a_packed_bomb_says_nothing() -> None:
    assert recall.of_picture(png({"prompt": '{"a": "' + "b" * 40_000_000 + '"}'}, zipped=True)) == recall.Recalled()
    assert recall.of_picture(b"hello") == recall.of_picture(Path("nowhere.png")) == recall.Recalled()


def test_names_of_the_second_pass_are_looked_up_too() -> None:
    text = "cat\nSteps: 5, Sampler: Euler, Seed: 1, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: {}, Hires checkpoint: {}, Refiner: {}"
    known = recall.of_text(text.format("latent (BICUBIC)", "dreamshaper_8 [0123456789]", "mine [aaaaaaaaaa]"), "", SHELF)
    expected = {"enable_hr": True, "hr_upscaler": "Latent (bicubic)", "hr_checkpoint": "sub/dreamshaper_8", "refiner_checkpoint": "mine"}
    assert known.notes == () and known.request is not None and known.request | expected == known.request
    other = recall.of_text(text.format("R-ESRGAN 4x+", "nowhere", "xl"), "", SHELF)
    assert other.request is not None and not {"hr_upscaler", "hr_checkpoint", "refiner_checkpoint"} & set(other.request)
    assert {note.split(" does")[0] for note in other.notes} == {"Checkpoint 'xl'", "Upscaler 'R-ESRGAN 4x+'", "Checkpoint 'nowhere'"}

"""What other programs' pictures say of themselves reaches the gallery."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.library import Library
from app.movein.pictures import describe, take_in
from app.request import Txt2Img
from app.settings import Settings
from app.studio import Studio
from app.work import Picture
from tests.movein.installations import picture

A1111 = "a dog\nNegative prompt: cats\nSteps: 9, Sampler: Euler a, CFG scale: 6, Seed: 4, Size: 512x512, Model: dreams"
COMFY = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreams.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a boat", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "5": {"class_type": "KSampler", "inputs": {
        "seed": 77, "steps": 12, "cfg": 4.5, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0, "model": ["1", 0], "positive": ["2", 0],
        "negative": ["3", 0], "latent_image": ["4", 0]}},
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
}  # fmt: skip


def test_a1111s_text_is_kept_as_it_is(tmp_path: Path) -> None:
    found = describe(picture(tmp_path / "txt2img-images/2024-01-01/1.png", parameters=A1111))
    assert (found.task, found.request, found.infotext) == ("txt2img", "", A1111)


def test_comfyuis_graph_becomes_text(tmp_path: Path) -> None:
    found = describe(picture(tmp_path / "output/x_00001_.png", prompt=json.dumps(COMFY)))
    assert found.task == "txt2img"
    assert found.infotext.startswith("a boat\nNegative prompt: fog\nSteps: 12, Sampler: Euler, Schedule type: Karras, CFG scale: 4.5, Seed: 77, Size: 512x768")
    assert found.infotext.endswith("Version: ComfyUI") and "Model: dreams" in found.infotext


@pytest.mark.parametrize(("folder", "task"), [("img2img-images", "img2img"), ("extras-images", "upscale"), ("text", "txt2img"), ("inpaint", "inpaint")])
def test_without_parameters_the_folder_tells(tmp_path: Path, folder: str, task: str) -> None:
    assert describe(picture(tmp_path / folder / "2024-01-01/1.png")).task == task


def test_what_was_enlarged_in_extras_is_an_upscale(tmp_path: Path) -> None:
    text = f"{A1111}, Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+"
    found = describe(picture(tmp_path / "extras-images/1.png", parameters=text))
    assert (found.task, found.infotext) == ("upscale", text)


def test_pictures_of_another_darkroom_keep_their_request(tmp_path: Path) -> None:
    library = Library(tmp_path / "other")
    saved = library.save(Picture(Image.new("RGB", (64, 64)), 0, 5), Txt2Img(prompt="a cat", seed=5), "job", "anna")
    library.close()
    assert json.loads(describe(saved.path).request)["prompt"] == "a cat"


def test_they_are_in_the_gallery_after_a_start(settings: Settings, tmp_path: Path) -> None:
    theirs = tmp_path / "there/output"
    path = picture(theirs / "x.png", prompt=json.dumps(COMFY))
    before = path.read_bytes()
    studio = Studio(replace(settings, imported_outputs=(theirs,)), engine=lambda *_: SimpleEngine())
    try:
        studio.start()
        studio._background.wait()
        [saved] = studio.library.newest(None, 5)
        assert (saved.path, saved.foreign) == (path, True)
        assert saved.infotext.startswith("a boat\nNegative prompt: fog\nSteps: 12")
    finally:
        studio.close()
    assert path.read_bytes() == before
    library = Library(settings.outputs_dir)
    assert take_in(library, settings) == 0 and library.newest(None, 5) == [], "forgotten: they leave the gallery"
    library.close()


class SimpleEngine:
    def describe(self) -> str:
        return "none"

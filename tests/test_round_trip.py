"""Our picture -> "send to" -> the same picture, bit for bit; and the infotext names everything that made it.

Two hundred random requests over all fields, through the real studio with a tiny checkpoint.
"""

import io
import random
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app import parameters, recall
from app.errors import StudioError
from app.library import Saved
from app.request import AnyRequest, Inpaint, Outpaint, Request, Txt2Img, parse, parse_json
from app.settings import Settings
from app.studio import Owner, Studio
from app.ui.handler import given, sent
from tests import drawn, tiny

OWNER = Owner("anna")
TASKS = ("txt2img", "img2img", "inpaint", "outpaint")
EACH = 50
"""Requests of each task."""
TROUBLE = ("not a number", "NaN", "infinite", "Schedule min sigma")
"""What a job may fail with: random weights at the ends of the sliders overflow, and only the checkpoint knows its lowest noise level."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with two checkpoints, whose worker runs."""
    root = tmp_path_factory.mktemp("house")
    (empty := root / "nothing").mkdir()
    tiny.make_folder(root / "models" / "tiny")
    tiny.make_folder(root / "models" / "zebra", seed=1)
    folders = dict.fromkeys(("lora_dirs", "embedding_dirs", "vae_dirs"), (empty,)) | {"checkpoint_dirs": (root / "models",)}
    settings = replace(Settings(), root=root, extension_dir=empty, styles_file=root / "styles.csv", outputs_dir=root / "outputs", **folders)
    studio = Studio(settings)
    studio.start()
    yield studio
    studio.close()


def lists_of(house: Studio) -> dict[str, list[str]]:
    """What may stand in the fields that name something."""
    photo = Image.fromarray(np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8))
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 8, 48, 40))
    pictures = {}
    for name, image in (("image", photo), ("mask", mask)):
        image.save(buffer := io.BytesIO(), "PNG")
        pictures[name] = [house.take_picture(buffer.getvalue())]
    names = ("samplers", "schedules", "styles", "hires_upscalers")
    return pictures | {name: house.choices(name) for name in names} | {"vaes": [""], "checkpoints": ["tiny"] * 5 + ["zebra"]}


def made(house: Studio, request: AnyRequest) -> list[Saved]:
    """The pictures of a request; [] when it failed as it may."""
    job = house.submit(request, OWNER)
    over = threading.Event()
    stop = house.jobs.subscribe(job.id, OWNER.id, lambda: over.set() if house.jobs.get(job.id, OWNER.id).job.over else None)
    if not house.jobs.get(job.id, OWNER.id).job.over:
        assert over.wait(60)
    stop()
    done = house.jobs.get(job.id, OWNER.id).job
    if done.state == "failed" and any(word in done.error for word in TROUBLE):
        return []
    assert done.state == "done", f"{done.error}\n{done.request}"
    return [house.library.get(picture, OWNER.id) for picture in done.outputs]


def pixels(saved: Saved) -> bytes:
    with Image.open(saved.path) as image:
        return image.tobytes()


def sent_back(house: Studio, saved: Saved, request: AnyRequest) -> AnyRequest:
    """The request that the tab would hand in after "send to", with the pictures that the first one began with."""
    values = given(sent(saved.task, house, OWNER, saved.id)) | request.picture_fields()
    return parse({"task": saved.task} | values)  # type: ignore[return-value]


def forgotten(request: Request, saved: Saved, house: Studio) -> list[str]:
    """Fields that the infotext alone does not bring back, and that mattered."""
    values = recall.of_text(saved.infotext, saved.task, house.shelf).request or {}
    silent = silenced(request)
    return [name for name in type(request).model_fields if name not in silent and values.get(name) != getattr(request, name)]


def silenced(request: Request) -> set[str]:
    """Fields of a request that its infotext need not hold: the prompts were changed by styles, and some mean nothing without others."""
    names = set(type(request).model_fields)
    silent = {"prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt", "styles", "wildcards", "image", "mask", "depth_map", "task", "save_first_pass"}
    silent |= {"batch_count", "batch_size"} | ({"overlap"} if isinstance(request, Outpaint) else set())  # the text says how much was used
    if not request.subseed_strength:
        silent |= {"subseed"}
    if not (request.seed_resize_from_w and request.seed_resize_from_h):
        silent |= {"seed_resize_from_w", "seed_resize_from_h"}
    if not request.s_min_uncond:
        silent |= {"s_min_uncond_all"}
    if isinstance(request, Inpaint):  # the text says how large the picture is, not what was asked for
        silent |= {"width", "height"} | ({"mask_padding"} if request.inpaint_area == "Whole picture" else set())
    if not request.refiner_checkpoint:
        silent |= {name for name in names if "refiner" in name}
    if isinstance(request, Txt2Img):
        second = {name for name in names if name.startswith("hr_")} | {"denoising_strength"}
        silent |= (set() if request.enable_hr else second) | ({"hr_scale"} if request.hr_resize_x or request.hr_resize_y else set())
    return silent


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_that_was_sent_to_its_tab_is_painted_again_bit_for_bit(house: Studio, task: str) -> None:
    dice, lists = random.Random(f"{task} 1"), lists_of(house)
    refused = broken = done = 0
    while done < EACH:
        assert refused + broken < 2 * EACH, "most of what was drawn cannot be made"
        try:
            request = drawn.request(task, lists, dice)
            saved = made(house, request)
        except StudioError:
            refused += 1
            continue
        if not saved:
            broken += 1
            continue
        done += 1
        queued = parse_json(house.library.get(saved[-1].id, OWNER.id).request)
        again = sent_back(house, saved[-1], queued)
        expected = queued.model_copy(update={"batch_count": 1, "batch_size": 1} | counted(queued, len(saved) - 1))
        assert again == expected
        assert forgotten(again, saved[-1], house) == [], saved[-1].infotext
        (second,) = made(house, again)
        assert pixels(second) == pixels(saved[-1]), again.model_dump_json(exclude_defaults=True)
        assert parameters.parse(second.infotext) == parameters.parse(saved[-1].infotext)


def counted(request: Request, index: int) -> dict[str, int]:
    """The seeds of picture `index` of a request."""
    seed, subseed = request.seeds_of(index)
    return {"seed": seed, "subseed": subseed if request.subseed_strength else request.subseed}

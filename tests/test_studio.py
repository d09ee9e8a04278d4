"""The path of a request, through the real engine with a tiny checkpoint."""

import io
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import BadCheckpoint, BadPicture, BadRequest, DiskTrouble, NotFound, QueueFull, Refused, UnknownName
from app.jobs import Job, View
from app.library import Saved, read
from app.request import Img2Img, Inpaint, Outpaint, Txt2Img, Zoom, parse, parse_json
from app.settings import Settings
from app.studio import Owner, Studio
from tests import tiny

ANNA, BOB, GUEST = Owner("anna"), Owner("bob"), Owner("guest", guest=True)
SMALL = {"steps": 2, "width": 64, "height": 64, "seed": 7, "prompt": "a house"}


@pytest.fixture
def running(studio: Studio) -> Iterator[Studio]:
    """A studio whose worker runs."""
    studio.start()
    yield studio


def finished(studio: Studio, job: Job) -> View:
    """The view of a job that is over."""
    over = threading.Event()
    stop = studio.jobs.subscribe(job.id, job.owner, lambda: over.set() if studio.jobs.get(job.id, job.owner).job.over else None)
    if not studio.jobs.get(job.id, job.owner).job.over:
        assert over.wait(60)
    stop()
    return studio.jobs.get(job.id, job.owner)


def pictures(studio: Studio, job: Job) -> list[Saved]:
    view = finished(studio, job)
    assert view.job.state == "done", view.job.error
    return [studio.library.get(picture, job.owner) for picture in view.job.outputs]


def pixels(saved: Saved) -> np.ndarray:
    with Image.open(saved.path) as image:
        return np.asarray(image.convert("RGB"))


def noise_png(width: int, height: int) -> bytes:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8))
    image.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def half_mask_png(width: int, height: int) -> bytes:
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    Image.fromarray(mask).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def test_a_batch_of_four_is_four_single_pictures(running: Studio) -> None:
    batch = pictures(running, running.submit(Txt2Img(**SMALL, batch_size=2, batch_count=2), ANNA))
    for i, saved in enumerate(batch):
        (single,) = pictures(running, running.submit(Txt2Img(**{**SMALL, "seed": 7 + i}), ANNA))
        assert np.array_equal(pixels(saved), pixels(single))
    assert len({pixels(saved).tobytes() for saved in batch}) == 4


def test_the_saved_picture_holds_the_request_as_it_was_asked(running: Studio) -> None:
    running.styles.add("Ink", "ink drawing of {prompt}", "colour")
    job = running.submit(Txt2Img(**{**SMALL, "seed": -1}, styles=("Ink",), sampler="k_euler_a", schedule="karras"), ANNA)
    (saved,) = pictures(running, job)
    values, infotext = read.read(saved.path)
    assert values is not None
    asked = parse(values)
    assert asked.seed >= 0 and asked.sampler == "Euler a" and asked.schedule == "Karras" and asked.styles == ("Ink",) and asked.checkpoint == "tiny"
    assert infotext.startswith("ink drawing of a house\nNegative prompt: colour\nSteps: 2, Sampler: Euler a, Schedule type: Karras")
    (again,) = pictures(running, running.submit(asked, ANNA))
    assert np.array_equal(pixels(saved), pixels(again))


def test_names_are_refused_before_queueing_with_the_nearest(studio: Studio) -> None:
    wrong = (({"sampler": "Eular"}, "Euler"), ({"schedule": "Karas"}, "Karras"), ({"checkpoint": "tinny"}, "tiny"), ({"styles": ("Inc",)}, "Inc"))
    for values, offered in wrong:
        with pytest.raises(UnknownName, match=offered):
            studio.submit(Txt2Img(**SMALL, **values), ANNA)
    unknown = (({"vae": "none"}, "VAE 'none'"), ({"prompt": "a <lora:none:1>"}, "LoRA 'none'"), ({"prompt": "<hypernet:x:1>"}, "network 'hypernet'"))
    for values, said in unknown:
        with pytest.raises(UnknownName, match=said):
            studio.submit(Txt2Img(**{**SMALL, **values}), ANNA)
    with pytest.raises(UnknownName, match="LoRA 'none'"):
        studio.submit(Zoom(**SMALL, storyboard="a house\n2: a cat <lora:none:1>"), ANNA)
    with pytest.raises(NotFound):
        studio.submit(Img2Img(image="0" * 64), ANNA)
    with pytest.raises(BadRequest, match="nested more than 32 deep"):
        studio.submit(Txt2Img(prompt="(" * 200 + "a" + ")" * 200), ANNA)
    assert studio.jobs.list(None) == []


def test_open_sizes_are_filled_in(studio: Studio) -> None:
    image = studio.take_picture(noise_png(133, 97))

    def size(request: Txt2Img | Img2Img) -> tuple[int | None, int | None]:
        asked = parse_json(studio.submit(request, ANNA).request)
        return asked.width, asked.height  # type: ignore[union-attr]

    assert size(Txt2Img()) == (64, 64)
    assert size(Img2Img(image=image)) == (136, 96)
    assert size(Txt2Img(width=128)) == (128, 64)


def test_inpaint_and_outpaint_keep_what_is_kept(running: Studio) -> None:
    source = Image.open(io.BytesIO(noise_png(72, 64)))
    image, mask = running.take_picture(noise_png(72, 64)), running.take_picture(half_mask_png(72, 64))
    given = np.asarray(source)
    (inpainted,) = pictures(running, running.submit(Inpaint(image=image, mask=mask, mask_blur=4, steps=2, seed=1), ANNA))
    made = pixels(inpainted)
    kept = 36 - 4 * 4
    assert np.array_equal(made[:, :kept], given[:, :kept]) and not np.array_equal(made[:, 40:], given[:, 40:])
    wide = Outpaint(image=image, left=8, right=16, up=24, down=32, overlap=8, steps=2, seed=1, coherence="Fast")
    (outpainted,) = pictures(running, running.submit(wide, ANNA))
    made = pixels(outpainted)
    assert made.shape == (64 + 56, 72 + 24, 3)
    assert np.array_equal(made[24 + 8 : 24 + 64 - 8, 8 + 8 : 8 + 72 - 8], given[8:-8, 8:-8])


def test_a_zoom_saves_its_keys_and_a_video(running: Studio) -> None:
    request = Zoom(prompt="a house", keys=3, seconds=0.5, fps=10, steps=1, width=64, height=64, seed=3, coherence="Fast", overlap=8)
    *keys, video = pictures(running, running.submit(request, ANNA))
    assert [saved.kind for saved in keys] == ["image"] * 3 and video.kind == "video"
    with Image.open(video.path) as moving:
        assert moving.n_frames == 5  # type: ignore[attr-defined]


def test_each_job_has_its_own_checkpoint(settings: Settings, tiny_folder: Path, tmp_path: Path) -> None:
    other = tiny.make_folder(tmp_path / "more" / "other", seed=5).parent
    studio = Studio(replace(settings, checkpoint_dirs=(tiny_folder, other)))
    studio.start()
    try:
        first, second, third = [studio.submit(Txt2Img(**SMALL, checkpoint=name), ANNA) for name in ("tiny", "other", "tiny")]
        a, b, c = [pixels(pictures(studio, job)[0]) for job in (first, second, third)]
    finally:
        studio.close()
    assert np.array_equal(a, c) and not np.array_equal(a, b)


def test_stopping_one_job_leaves_the_other_alone(running: Studio) -> None:
    long = running.submit(Txt2Img(**{**SMALL, "steps": 150}, batch_count=100), ANNA)
    other = running.submit(Txt2Img(**SMALL), BOB)
    with pytest.raises(NotFound):
        running.jobs.cancel(long.id, "bob")
    running.jobs.cancel(long.id, "anna")
    assert finished(running, long).job.state == "cancelled"
    assert len(pictures(running, other)) == 1


def test_a_full_disk_keeps_the_picture_and_the_next_submit_writes_it(running: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    real = running.library._place

    def full(*arguments: object) -> Saved:
        raise DiskTrouble("The disk is full.")

    monkeypatch.setattr(running.library, "_place", full)
    failed = finished(running, running.submit(Txt2Img(**SMALL), ANNA)).job
    assert failed.state == "failed" and "disk is full" in failed.error.lower() and failed.outputs == ()
    monkeypatch.setattr(running.library, "_place", real)
    again = running.rerun(failed.id, ANNA)
    (rescued,) = running.jobs.get(failed.id, "anna").job.outputs
    assert np.array_equal(pixels(running.library.get(rescued, "anna")), pixels(pictures(running, again)[0]))


def test_a_broken_checkpoint_says_what_is_wrong_and_the_app_goes_on(settings: Settings, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "page.safetensors").write_text("<html>not found</html>")
    studio = Studio(replace(settings, checkpoint_dirs=(folder, tiny_folder)))
    studio.start()
    try:
        with pytest.raises(BadCheckpoint, match="page"):
            studio.submit(Txt2Img(**SMALL, checkpoint="page"), ANNA)
        assert "page" not in studio.choices("checkpoints")
        assert len(pictures(studio, studio.submit(Txt2Img(**SMALL), ANNA))) == 1
    finally:
        studio.close()


def test_what_a_first_pass_made_says_how_it_is_made_alone(running: Studio) -> None:
    job = running.submit(Txt2Img(**SMALL, enable_hr=True, save_first_pass=True, hr_upscaler="lanczos", refiner_checkpoint="TINY"), ANNA)
    small, large = pictures(running, job)
    assert [(saved.width, saved.height) for saved in (small, large)] == [(64, 64), (128, 128)]
    assert "Hires" not in small.infotext and "Denoising" not in small.infotext and "Hires upscale: 2, Hires upscaler: Lanczos" in large.infotext
    values, _ = read.read(small.path)
    assert values is not None and (values["enable_hr"], values["refiner_checkpoint"]) == (False, "")
    (alone,) = pictures(running, running.submit(parse(values), ANNA))
    assert np.array_equal(pixels(small), pixels(alone))
    values, _ = read.read(large.path)
    assert values is not None and values["refiner_checkpoint"] == "tiny"
    (again,) = pictures(running, running.submit(parse(values | {"save_first_pass": False}), ANNA))
    assert np.array_equal(pixels(large), pixels(again))


def test_guests_have_limits(studio: Studio) -> None:
    hires = {"enable_hr": True, "hr_scale": 2.0}
    large = ({"width": 1024, "height": 1024, **hires}, {"hr_second_pass_steps": 51, **hires})
    for values in ({"width": 2048, "height": 2048}, {"steps": 51}, {"batch_count": 5}, *large):
        with pytest.raises(Refused):
            studio.submit(Txt2Img(**{**SMALL, **values}), GUEST)
    image, mask = studio.take_picture(noise_png(1100, 1000)), studio.take_picture(half_mask_png(1100, 1000))
    for large in (Inpaint(image=image, mask=mask), Outpaint(image=image)):
        with pytest.raises(Refused, match="Width x height is 1"):
            studio.submit(large, GUEST)
    for _ in range(4):
        studio.submit(Txt2Img(**SMALL), GUEST)
    with pytest.raises(QueueFull):
        studio.submit(Txt2Img(**SMALL), GUEST)


def test_what_is_no_picture_is_refused(studio: Studio) -> None:
    with pytest.raises(BadPicture):
        studio.take_picture(b"hello")


def test_pictures_that_no_job_needs_any_more_go_at_the_start_but_not_from_the_command_line(studio: Studio, tmp_path: Path) -> None:
    used, unused = (studio.take_picture(noise_png(64, side)) for side in (64, 72))
    studio.submit(parse({"task": "img2img", "image": used, **SMALL}), ANNA)
    for asset in (used, unused):
        os.utime(studio.library.assets.path(asset), (0, 0))
    studio.close()
    Studio(studio.settings, jobs_folder=tmp_path / "own").close()
    assert studio.library.assets.path(unused).is_file()
    Studio(studio.settings).close()
    assert studio.library.assets.path(used).is_file() and not studio.library.assets.path(unused).is_file()


def test_wildcards_are_drawn_for_each_picture_and_what_was_drawn_is_saved(running: Studio) -> None:
    folder = running.settings.root / "wildcards"
    folder.mkdir()
    (folder / "colour.txt").write_text("red\nblue\n")
    running.styles.add("Ink", "ink drawing of {prompt}, {1|2|3|4|5|6|7|8}")
    asked = Txt2Img(**{**SMALL, "prompt": "a __colour__ house", "seed": 10}, styles=("Ink",), wildcards=True, batch_size=3)
    batch = pictures(running, running.submit(asked, ANNA))
    texts = [read.read(saved.path) for saved in batch]
    prompts = [values["prompt"] for values, _ in texts if values]
    assert len(set(prompts)) > 1 and all(prompt.startswith(("ink drawing of a red house, ", "ink drawing of a blue house, ")) for prompt in prompts)
    template = 'Template: "ink drawing of a __colour__ house, {1|2|3|4|5|6|7|8}"'
    assert all(text.startswith(prompt) and template in text for prompt, (_, text) in zip(prompts, texts, strict=True))
    (third,) = pictures(running, running.submit(asked.model_copy(update={"seed": 12, "batch_size": 1}), ANNA))
    (again,) = pictures(running, running.submit(parse(texts[2][0]), ANNA))
    assert np.array_equal(pixels(batch[2]), pixels(third)) and np.array_equal(pixels(third), pixels(again))
    with pytest.raises(UnknownName, match="'colour'"):
        running.submit(Txt2Img(**{**SMALL, "prompt": "__color__"}, wildcards=True), ANNA)
    (plain,) = pictures(running, running.submit(Txt2Img(**{**SMALL, "prompt": "__color__ {a|b}"}), ANNA))
    assert read.read(plain.path)[1].startswith("__color__ {a|b}\n")

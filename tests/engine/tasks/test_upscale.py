"""Enlarging as a job: through the studio and the real engine, with what the small picture said of itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.api.bodies import read_embedded
from app.engine.tasks.upscale import upscale
from app.errors import BadRequest, Refused, UnknownName
from app.jobs import Job
from app.library.save import png_bytes
from app.parameters import parse as parse_text
from app.request import AnyTask, Upscale, parse
from app.settings import Settings
from app.studio import Owner, Studio
from tests.engine import compact

HOUSE = "a house, (red:1.2)\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 5, Seed: 77, Size: 16x24, Model: darkroom-base"
PIXELS = np.random.default_rng(3).integers(0, 256, (24, 16, 3), dtype=np.uint8)
ME = Owner("me")


@pytest.fixture
def studio(settings: Settings) -> Iterator[Studio]:
    compact.write(settings.root / "models/upscalers/twice.safetensors", scale=2)
    house = Studio(settings)
    yield house
    house.close()


def asked(studio: Studio, pixels: np.ndarray = PIXELS, **values: object) -> AnyTask:
    image = studio.take_picture(png_bytes(Image.fromarray(pixels), HOUSE))
    return parse({"task": "upscale", "image": image, "upscaler": "twice", **values})


def finished(studio: Studio, job: Job) -> Job:
    """The job when it is over; the worker is started for it."""
    from threading import Event

    over = Event()
    unsubscribe = studio.jobs.subscribe(job.id, None, lambda: studio.jobs.get(job.id, None).job.over and over.set())
    studio.start()
    assert studio.jobs.get(job.id, None).job.over or over.wait(60)
    unsubscribe()
    return studio.jobs.get(job.id, None).job


def test_the_larger_picture_lands_in_the_library_and_says_where_it_came_from(studio: Studio) -> None:
    job = finished(studio, studio.submit(asked(studio, scale=2, parameters=HOUSE), ME))
    assert (job.state, job.error) == ("done", "")
    [saved] = studio.library.of_job(job.id)
    with Image.open(saved.path) as image:
        assert np.array_equal(np.asarray(image), PIXELS.repeat(2, 0).repeat(2, 1))
    assert (saved.task, saved.width, saved.height) == ("upscale", 32, 48)
    assert saved.path.name == "00000-77.png", "its name tells the seed"
    assert saved.infotext == HOUSE + ", Postprocess upscale by: 2, Postprocess upscaler: twice"
    fields = parse_text(saved.infotext).fields
    assert (fields["Seed"], fields["Postprocess upscaler"]) == ("77", "twice")
    embedded = read_embedded(saved.path.read_bytes(), studio.shelf)
    assert parse(embedded["request"]) == asked(studio, scale=2, parameters=HOUSE)


def test_a_picture_that_says_nothing_gets_the_two_pairs_alone(studio: Studio) -> None:
    job = finished(studio, studio.submit(asked(studio, upscaler="nearest", scale=1.5), ME))
    [saved] = studio.library.of_job(job.id)
    assert saved.infotext == "Postprocess upscale by: 1.5, Postprocess upscaler: Nearest"
    assert (saved.width, saved.height) == (24, 36)


def test_names_and_sizes_are_checked_before_queueing(studio: Studio) -> None:
    with pytest.raises(UnknownName, match="Upscaler 'darkroom-x4' does not exist"):
        studio.submit(asked(studio, upscaler="darkroom-x4"), ME)
    wide = np.zeros((8, 1025, 3), np.uint8)
    with pytest.raises(BadRequest, match=r"Scale \(scale\) is 4, which makes 4100x32 of 1025x8, but at most 4096x4096 is allowed"):
        studio.submit(asked(studio, wide), ME)
    assert studio.jobs.list(None) == []


def test_guests_keep_to_their_pixels(studio: Studio) -> None:
    square = np.zeros((300, 300, 3), np.uint8)
    guest = Owner("visitor", guest=True)
    with pytest.raises(Refused, match=r"Width x height is 1200x1200, but guests may ask for at most 1.05 megapixels"):
        studio.submit(asked(studio, square), guest)
    assert studio.submit(asked(studio, square, scale=3), guest).state == "queued"


def test_extensions_leave_upscales_alone(settings: Settings) -> None:
    folder = settings.extension_dir / "stamp"
    folder.mkdir(parents=True)
    code = "from app.extensions import hook\n@hook\ndef change_request(request): return request.model_copy(update={'prompt': request.prompt})\n"
    (folder / "__init__.py").write_text(code, encoding="utf-8")
    house = Studio(replace(settings, extension_dir=settings.extension_dir))
    try:
        job = finished(house, house.submit(asked(house, upscaler="Lanczos"), ME))
        assert (job.state, house.extensions.failed) == ("done", {})
    finally:
        house.close()


OTHER = "a house\nSteps: 1, Sampler: x, Seed: "


@pytest.mark.parametrize(("text", "seed"), [(HOUSE, 77), ("", 0), (OTHER + "-1", 0), (OTHER + "9" * 30, 0)])
def test_the_seed_is_the_sources(text: str, seed: int) -> None:
    class Same:
        def upscale(self, picture: Image.Image, name: str, scale: float) -> Image.Image:
            return picture

    request = Upscale(image="0" * 64, parameters=text)
    [made] = upscale(request, {"image": Image.fromarray(PIXELS)}, Same())  # type: ignore[arg-type]
    assert (made.seed, made.index) == (seed, 0)


def test_a_broken_file_fails_with_one_sentence(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "models/upscalers/broken.safetensors").write_bytes(b"")
    job = finished(studio, studio.submit(asked(studio, upscaler="broken"), ME))
    assert (job.state, job.error) == ("failed", "'broken.safetensors' is empty (0 bytes). Download it again.")

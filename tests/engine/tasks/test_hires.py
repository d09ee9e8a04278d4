"""Hires fix through the real engine on random weights: the second pass is A1111's, computed here step by step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from app.canvas.fit import resized
from app.engine.brush import Brush
from app.engine.checkpoints.find import Shelf
from app.engine.denoise import Start, denoise
from app.engine.engine import Engine
from app.engine.guidance import Guidance
from app.engine.samplers import SAMPLERS
from app.engine.schedules import sigmas_for
from app.engine.upscalers import LATENT
from app.engine.workshop import Workshop
from app.errors import BadNumbers, Cancelled, OutOfMemory
from app.extensions import Extensions
from app.request import Txt2Img
from app.settings import Settings
from app.work import Picture, Progress
from tests import tiny

STEPS = 3
ASKED = {"prompt": "a cat", "negative_prompt": "night", "seed": 5, "steps": STEPS, "checkpoint": "a", "sampler": "Euler", "width": 64, "height": 64}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("hires")
    tiny.make_folder(folder / "a")
    tiny.make_folder(folder / "b", seed=7)
    dirs = (folder,)
    settings = Settings(root=folder, checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=dirs, embedding_dirs=dirs, cpu_parts=frozenset({"all"}))
    return Engine(settings, Shelf(settings), Extensions())


def request(**changes: Any) -> Txt2Img:
    return Txt2Img(**ASKED | {"enable_hr": True} | changes)


def run(engine: Engine, asked: Txt2Img, report: Any = lambda progress: None) -> list[Picture]:
    return list(engine.run(asked, {}, report))


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(picture.image)


def brush(engine: Engine, asked: Txt2Img) -> Brush:
    return Brush(asked, Workshop(engine.acquire, engine.shelf, engine.extensions, engine.upscalers, lambda progress: None))


def first_pass(engine: Engine) -> Tensor:
    """(1,4,8,8): what the first pass of `request()` ends with."""
    alone = brush(engine, request(enable_hr=False))
    stream = alone.stream(5, 0)
    return alone.paint(Start(stream.start((1, 4, 8, 8))), [stream])


def second_pass(engine: Engine, source: Tensor, strength: float, steps: int = STEPS, **changes: Any) -> np.ndarray:
    """A1111's sample_img2img by hand: the last `steps` of int(steps / strength) steps, from the source with the first noise of the seed."""
    asked = request(**changes)
    model = engine.acquire(asked.checkpoint)
    row = SAMPLERS[asked.sampler]
    sigmas = sigmas_for("Automatic", row, int(steps / min(strength, 0.999)), model.table)[-steps - 1 :]
    stream = brush(engine, asked).stream(5, 0)
    noise = stream.normal(tuple(source.shape))
    model.begin((), ())
    guided = model.denoiser(model.encode_prompt(asked.prompt, asked.negative_prompt), Guidance(asked.cfg_scale))
    drawn = lambda sigma, sigma_next: stream.normal(tuple(source.shape))  # noqa: E731
    latents = denoise(guided, Start(noise, init=source), row, sigmas, drawn, lambda *step: None)
    return brush(engine, asked).decode(latents)[0]


# ---- what comes out


@pytest.mark.parametrize("mode", LATENT)
def test_latent_modes_are_img2img_of_the_interpolated_latents(engine: Engine, mode: str) -> None:
    [picture] = run(engine, request(hr_upscaler=mode))
    interpolation, antialias = LATENT[mode]
    source = F.interpolate(first_pass(engine), size=(16, 16), mode=interpolation, antialias=antialias)
    assert picture.image.size == (128, 128) and picture.changes == {}
    assert np.array_equal(pixels(picture), second_pass(engine, source, 0.7))


@pytest.mark.parametrize("strength", [0.3, 0.5, 1.0])
def test_image_upscalers_are_img2img_of_the_enlarged_picture(engine: Engine, strength: float) -> None:
    [picture] = run(engine, request(hr_upscaler="lanczos", denoising_strength=strength))
    alone = brush(engine, request(enable_hr=False))
    source = alone.encode(resized(alone.decode(first_pass(engine))[0], 128, 128))
    assert np.array_equal(pixels(picture), second_pass(engine, source, strength))


def test_without_denoising_the_enlarged_picture_is_all(engine: Engine) -> None:
    told: list[Progress] = []
    [picture] = run(engine, request(hr_upscaler="Nearest", denoising_strength=0), told.append)
    alone = brush(engine, request(enable_hr=False))
    source = alone.encode(alone.decode(first_pass(engine))[0].repeat(2, 0).repeat(2, 1))
    assert np.array_equal(pixels(picture), alone.decode(source)[0])
    assert max(progress.step for progress in told if progress.phase == "sampling") == STEPS


def test_the_second_pass_may_be_painted_otherwise(engine: Engine) -> None:
    asked = request(hr_checkpoint="b", hr_sampler="Euler a", hr_second_pass_steps=2, hr_prompt="the house", hr_negative_prompt="forest", hr_cfg=3.0)
    [picture] = run(engine, asked)
    source = F.interpolate(first_pass(engine), size=(16, 16), mode="bilinear")
    own = {"checkpoint": "b", "sampler": "Euler a", "prompt": "the house", "negative_prompt": "forest", "cfg_scale": 3.0}
    assert np.array_equal(pixels(picture), second_pass(engine, source, 0.7, 2, **own))
    assert picture.facts["Model"] == "a" and picture.facts["Hires checkpoint"] == f"b [{engine.shelf.checkpoint('b').short_hash()}]"


def test_a_size_to_resize_to_is_covered_and_cut(engine: Engine) -> None:
    [picture] = run(engine, request(hr_resize_x=72, hr_resize_y=120))
    source = F.interpolate(first_pass(engine), size=(15, 15), mode="bilinear")[:, :, :, 3:12]
    assert picture.image.size == (72, 120)
    assert np.array_equal(pixels(picture), second_pass(engine, source, 0.7))


def test_a_second_pass_at_the_same_size_leaves_the_upscaler_out(engine: Engine) -> None:
    [picture] = run(engine, request(hr_scale=1.0, hr_upscaler="Lanczos"))
    alone = brush(engine, request(enable_hr=False))
    assert np.array_equal(pixels(picture), second_pass(engine, alone.encode(alone.decode(first_pass(engine))[0]), 0.7))


@pytest.mark.parametrize("upscaler", ["Latent (bicubic antialiased)", "Lanczos"])
def test_batches_are_the_single_pictures_bit_for_bit(engine: Engine, upscaler: str) -> None:
    own = {"hr_upscaler": upscaler, "hr_sampler": "Euler a", "steps": 2}
    many = run(engine, request(batch_size=3, **own))
    singles = [run(engine, request(seed=5 + i, **own))[0] for i in range(3)]
    assert [(picture.index, picture.seed) for picture in many] == [(0, 5), (1, 6), (2, 7)]
    assert all(np.array_equal(pixels(one), pixels(other)) for one, other in zip(many, singles, strict=True))
    assert not np.array_equal(pixels(many[0]), pixels(many[1]))


def test_a_prompt_addresses_both_passes(engine: Engine) -> None:
    plain, changing = (run(engine, request(prompt=prompt, save_first_pass=True)) for prompt in ("a cat", "a [cat:house:1.5]"))
    assert np.array_equal(pixels(plain[0]), pixels(changing[0])) and not np.array_equal(pixels(plain[1]), pixels(changing[1]))
    counted = run(engine, request(prompt=f"a [cat:house:{STEPS + 1}]"))
    late = run(engine, request(hr_prompt="a [cat:house:1.34]"))
    assert np.array_equal(pixels(counted[0]), pixels(late[0]))


# ---- the first pass is not lost


def test_the_first_pass_is_kept_when_asked_for(engine: Engine) -> None:
    small, large = run(engine, request(save_first_pass=True, hr_upscaler="Lanczos"))
    [alone] = run(engine, request().model_copy(update=small.changes))
    assert np.array_equal(pixels(small), pixels(alone)) and small.image.size == (64, 64)
    assert (small.index, small.seed) == (large.index, large.seed) == (0, 5)
    assert np.array_equal(pixels(large), pixels(run(engine, request(hr_upscaler="Lanczos"))[0]))


def collected(pictures: Iterator[Picture], into: list[Picture]) -> None:
    for picture in pictures:
        into.append(picture)


class Broken:
    """Makes the UNet of a model fail on large latents."""

    def __init__(self, engine: Engine, error: Exception | None) -> None:
        self.error = error
        self.handle = engine.acquire("a").placement.networks["unet"].register_forward_hook(self.fail)

    def fail(self, module: Any, given: Any, found: Any) -> Any:
        if given[0].shape[-1] < 16:
            return None
        if self.error:
            raise self.error
        return (found[0] * float("nan"),)


@pytest.mark.parametrize(("error", "kind"), [(torch.OutOfMemoryError("CUDA out of memory."), OutOfMemory), (None, BadNumbers)])
@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_the_first_pass_is_kept_when_the_second_fails(engine: Engine, error: Exception | None, kind: type[Exception], upscaler: str) -> None:
    asked = request(batch_size=2, batch_count=2, hr_upscaler=upscaler)
    broken, made = Broken(engine, error), []
    try:
        with pytest.raises(kind, match=r"The picture of the first pass is kept\.$"):
            collected(engine.run(asked, {}, lambda progress: None), made)
    finally:
        broken.handle.remove()
    alone = run(engine, request(enable_hr=False, batch_size=2))
    assert [picture.changes["enable_hr"] for picture in made] == [False, False]
    assert all(np.array_equal(pixels(one), pixels(other)) for one, other in zip(made, alone, strict=True))


def test_a_first_pass_that_was_saved_is_not_kept_twice(engine: Engine) -> None:
    broken, made = Broken(engine, None), []
    try:
        with pytest.raises(BadNumbers):
            collected(engine.run(request(save_first_pass=True), {}, lambda progress: None), made)
    finally:
        broken.handle.remove()
    assert len(made) == 1


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("when", ["upscaling", "sampling"])
def test_stop_between_and_in_the_second_pass(engine: Engine, when: str, save: bool) -> None:
    def report(progress: Progress) -> None:
        if progress.phase == when and progress.step >= STEPS + (when == "sampling"):
            raise Cancelled

    made: list[Picture] = []
    with pytest.raises(Cancelled):
        collected(engine.run(request(save_first_pass=save), {}, report), made)
    assert len(made) == save


# ---- what is told


def test_progress_counts_the_steps_of_both_passes(engine: Engine) -> None:
    told: list[Progress] = []
    run(engine, request(hr_second_pass_steps=2, hr_upscaler="Lanczos"), told.append)
    steps = [progress.step for progress in told if progress.phase == "sampling"]
    assert steps == [0, 1, 2, 3, 3, 4, 5]
    assert all(progress.steps == 5 for progress in told[1:])
    assert [progress.step for progress in told[1:]] == sorted(progress.step for progress in told[1:])
    assert {progress.phase for progress in told if progress.step == STEPS} >= {"decoding", "upscaling", "encoding", "sampling"}


def test_networks_of_both_passes_are_named() -> None:
    from app.engine.tasks.hires import facts_of

    first, second = {"TI hashes": "x: 1, y: 2", "Model": "a"}, {"TI hashes": "y: 2, z: 3", "Lora hashes": "l: 4", "Model": "b", "Model hash": "c0ffee"}
    assert facts_of(request(), first, second) == {"TI hashes": "x: 1, y: 2, z: 3", "Lora hashes": "l: 4"}
    assert facts_of(request(hr_checkpoint="b"), {}, second)["Hires checkpoint"] == "b [c0ffee]"

"""SDXL against stock diffusers: what texts become, what the UNet is told beside them, and whole runs."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLInstructPix2PixPipeline, StableDiffusionXLPipeline

from app.engine.families.latent import LatentModel
from app.engine.guidance import Guidance
from app.engine.prompt.chunks import Reading
from app.engine.scene import Scene
from tests.engine.families import stock

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PROMPT, NEGATIVE = "a cat in the forest", "night"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatentModel:
    return stock.model("sdxl", tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="module")
def pipeline(model: LatentModel) -> StableDiffusionXLPipeline:
    return stock.quiet(StableDiffusionXLPipeline(**stock.parts_of(model)))


def test_texts_are_what_the_stock_pipeline_makes_of_them(model: LatentModel, pipeline: StableDiffusionXLPipeline) -> None:
    told = model.encode_prompt(PROMPT, NEGATIVE).at(0, 1)
    with torch.no_grad():
        states, no_states, pooled, no_pooled = pipeline.encode_prompt(PROMPT, device="cpu", negative_prompt=NEGATIVE)
    [(_, positive)] = told.positives
    assert stock.near(positive.states, states) and stock.near(positive.pooled, pooled)
    assert stock.near(told.negative.states, no_states) and stock.near(told.negative.pooled, no_pooled)
    assert positive.states.shape == (1, 77, 80) and not stock.near(states, no_states, 1e-2)


def test_an_empty_negative_prompt_is_told_as_zeros_and_an_empty_prompt_is_not(model: LatentModel, pipeline: StableDiffusionXLPipeline) -> None:
    told = model.encode_prompt("", "").at(0, 1)
    with torch.no_grad():
        states, no_states, pooled, no_pooled = pipeline.encode_prompt("", device="cpu", negative_prompt=None)
    assert not no_states.any() and not no_pooled.any() and torch.equal(told.negative.states, no_states) and torch.equal(told.negative.pooled, no_pooled)
    assert stock.near(told.positives[0][1].states, states) and stock.near(told.positives[0][1].pooled, pooled)


def test_clip_skip_counts_from_the_layer_that_it_was_trained_on(model: LatentModel, pipeline: StableDiffusionXLPipeline) -> None:
    found = [model.encode_prompt(PROMPT, None, Reading(clip_skip=skip)).at(0, 1).positives[0][1] for skip in (1, 2, 3)]
    with torch.no_grad():
        deeper = pipeline.encode_prompt(PROMPT, device="cpu", do_classifier_free_guidance=False, clip_skip=1)
    assert torch.equal(found[0].states, found[1].states) and stock.near(found[2].states, deeper[0]) and stock.near(found[2].pooled, deeper[2])


def test_long_prompts_break_and_emphasis(model: LatentModel) -> None:
    def read(text: str) -> torch.Tensor:
        return model.encode_prompt(text, None).at(0, 1).positives[0][1]

    first, second, both = read("a cat"), read("the house"), read("a cat BREAK the house")
    assert torch.equal(both.states, torch.cat([first.states, second.states], 1)) and torch.equal(both.pooled, first.pooled), "pooled is the first chunk's"
    strong, width = read("a (cat:1.5)"), 32
    for tower in (slice(0, width), slice(width, None)):
        ratio = strong.states[0, :, tower] / first.states[0, :, tower]
        others = ratio[torch.arange(77) != 2].median()
        assert torch.isclose(ratio[2].median() / others, torch.tensor(1.5), rtol=1e-3), "each text encoder keeps its own mean"


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64)])
def test_a_step_is_the_stock_unets_with_the_stock_sizes(model: LatentModel, pipeline: StableDiffusionXLPipeline, width: int, height: int) -> None:
    told, x, sigma = model.encode_prompt(PROMPT, NEGATIVE), stock.noise(1, 4, height // 8, width // 8) * 3, 2.5
    with torch.no_grad():
        states, no_states, pooled, no_pooled = pipeline.encode_prompt(PROMPT, device="cpu", negative_prompt=NEGATIVE)
    sizes = pipeline._get_add_time_ids((height, width), (0, 0), (height, width), torch.float32, 48)
    positive, negative = (
        x - sigma * stock.answer(model, x, sigma, text, {"text_embeds": whole, "time_ids": sizes}) for text, whole in ((states, pooled), (no_states, no_pooled))
    )
    found = model.denoiser(told, Guidance(7.0))(x, sigma)
    assert stock.near(found, negative + 7 * (positive - negative), 1e-4)
    other = stock.answer(model, x, sigma, states, {"text_embeds": pooled, "time_ids": sizes * 4})
    assert not stock.near(x - sigma * other, positive, 1e-4), "the sizes have a say"


def test_a_run_is_the_stock_pipelines(model: LatentModel, pipeline: StableDiffusionXLPipeline) -> None:
    latents = stock.noise(1, 4, 8, 8, seed=1)
    options = {"num_inference_steps": 3, "guidance_scale": 5.0, "width": 64, "height": 64, "output_type": "latent"}
    with torch.no_grad():
        expected = pipeline(PROMPT, negative_prompt=NEGATIVE, latents=latents.clone(), **options).images
    denoiser = model.denoiser(model.encode_prompt(PROMPT, NEGATIVE), Guidance(5.0))
    assert stock.near(stock.euler(denoiser, latents, model, 3), expected, 1e-4)


def test_pictures_of_a_batch_are_the_single_ones_and_and_works(model: LatentModel) -> None:
    told, batch = model.encode_prompt("a cat AND the house :0.5", ""), stock.noise(2, 4, 8, 8, seed=2)
    both = model.denoiser(told, Guidance(4.0))(batch, 1.5)
    assert all(torch.equal(both[i : i + 1], model.denoiser(told, Guidance(4.0))(batch[i : i + 1], 1.5)) for i in range(2))
    at_once = model.predict(batch, 1.5, told.at(0, 1).negative, None)
    assert torch.allclose(at_once[1:], model.predict(batch[1:], 1.5, told.at(0, 1).negative, None), atol=1e-4)


def test_previews_have_sdxls_colours(model: LatentModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.families.latent.SMALL_VAE", 0)
    monkeypatch.setattr(model, "_preview", None)
    red, green, blue = model.prepare_preview()(torch.zeros(1, 4, 8, 8)).getpixel((3, 3))
    assert (red, green, blue) == (149, 139, 130)


def test_inpainting_reads_mask_and_masked_picture_scaled(tmp_path: Path) -> None:
    model = stock.model("sdxl-inpaint", tmp_path)
    paint = torch.zeros(64, 64, dtype=torch.bool)
    paint[16:40, 8:32] = True
    around = model.surroundings((Scene(stock.pixels(), paint.numpy()),), 64, 64)
    shown = torch.where(paint, 0.0, torch.from_numpy(stock.pixels()).permute(2, 0, 1)[None] / 127.5 - 1)
    with torch.no_grad():
        latents = model.placement.networks["vae"].encode(shown).latent_dist.mean * 0.13025
    assert torch.equal(around[0, 0], paint[::8, ::8].float()) and stock.near(around[:, 1:], latents, 1e-4)
    x = stock.noise(1, 4, 8, 8)
    told = model.encode_prompt(PROMPT, None).at(0, 1).positives[0][1]
    added = {"text_embeds": told.pooled, "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]])}
    assert stock.near(model.predict(x, 1.0, told, around), x - stock.answer(model, x, 1.0, told.states, added, around), 1e-4)


def test_editing_is_the_stock_pipelines(tmp_path: Path) -> None:
    model = stock.model("sdxl-ip2p", tmp_path)
    pipeline = stock.quiet(StableDiffusionXLInstructPix2PixPipeline(**stock.parts_of(model)))
    latents, picture = stock.noise(1, 4, 8, 8, seed=3), stock.pixels()
    shown = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    options = {"num_inference_steps": 2, "guidance_scale": 5.0, "image_guidance_scale": 1.5, "width": 64, "height": 64, "output_type": "latent"}
    with torch.no_grad():
        expected = pipeline(PROMPT, image=shown, negative_prompt=NEGATIVE, latents=latents.clone(), **options).images
    around = model.surroundings((Scene(picture, picture[..., 0] >= 0),), 64, 64)
    denoiser = model.denoiser(model.encode_prompt(PROMPT, NEGATIVE), Guidance(5.0, image_scale=1.5), around)
    assert stock.near(stock.euler(denoiser, latents, model, 2), expected, 1e-3)

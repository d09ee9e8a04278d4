"""InstructPix2Pix: a picture's latents beside the noisy ones, and two guidances."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from PIL import Image

from app.engine.families.latent import LatentModel
from app.engine.guidance import Guidance
from app.engine.scene import Scene
from tests.engine.families import stock

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PICTURE = stock.pixels()
SCENE = Scene(PICTURE, np.ones((64, 64), bool))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatentModel:
    return stock.model("sd1-ip2p", tmp_path_factory.mktemp("edit"))


def test_a_run_is_the_stock_pipelines(model: LatentModel, tmp_path: Path) -> None:
    pipeline = stock.quiet(StableDiffusionInstructPix2PixPipeline(**stock.parts_of(model), safety_checker=None, feature_extractor=None))
    latents, options = stock.noise(1, 4, 8, 8), {"num_inference_steps": 3, "guidance_scale": 5.0, "image_guidance_scale": 1.7, "output_type": "latent"}
    with torch.no_grad():
        expected = pipeline("a cat", image=Image.fromarray(PICTURE), negative_prompt="night", latents=latents.clone(), **options).images
    around = model.surroundings((SCENE,), 64, 64)
    denoiser = model.denoiser(model.encode_prompt("a cat", "night"), Guidance(5.0, image_scale=1.7), around)
    assert stock.near(stock.euler(denoiser, latents, model, 3), expected, 1e-4)


def test_the_picture_is_not_scaled(model: LatentModel) -> None:
    with torch.no_grad():
        latents = model.placement.networks["vae"].encode(SCENE.shown()).latent_dist.mode()
    assert torch.equal(model.surroundings((SCENE,), 64, 64), latents)


def test_at_1_the_picture_needs_no_call_of_its_own(model: LatentModel) -> None:
    x, told, around = stock.noise(1, 4, 8, 8), model.encode_prompt("a cat", "night"), model.surroundings((SCENE,), 64, 64)
    sizes: list[int] = []
    handle = model.placement.networks["unet"].register_forward_pre_hook(lambda module, given: sizes.append(given[0].shape[0]))
    plain, image = model.denoiser(told, Guidance(5.0), around), model.denoiser(told, Guidance(1.0, image_scale=3.0), around)
    at_one, near_one = plain(x, 2.0), model.denoiser(told, Guidance(5.0, image_scale=1.000001), around)(x, 2.0)
    assert sizes == [2, 2, 1] and torch.allclose(at_one, near_one, atol=1e-3)
    both = image(x, 2.0)
    handle.remove()
    positive, negative = (model.predict(x, 2.0, text, around) for text in (told.at(0, 1).positives[0][1], told.at(0, 1).negative))
    nothing = model.predict(x, 2.0, told.at(0, 1).negative, torch.zeros_like(around))
    assert stock.near(both, positive + 2 * (negative - nothing), 1e-4) and stock.near(image.unguided, nothing, 1e-5)


def test_each_picture_of_a_batch_is_edited_by_its_own(model: LatentModel) -> None:
    scenes = (SCENE, Scene(stock.pixels(seed=1), SCENE.paint))
    x, told, around = stock.noise(2, 4, 8, 8), model.encode_prompt("a cat AND the house", "night"), model.surroundings(scenes, 64, 64)
    guidance = Guidance(4.0, rescale=0.5, image_scale=2.0)
    single = [model.denoiser(told, guidance, around[i : i + 1])(x[i : i + 1], 2.0) for i in range(2)]
    assert around.shape == (2, 4, 8, 8) and torch.equal(model.denoiser(told, guidance, around)(x, 2.0), torch.cat(single))

"""Stable Diffusion 2 against stock diffusers: OpenCLIP-H's texts, predictions of noise and of v, zero terminal SNR, inpainting and depth."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionDepth2ImgPipeline, StableDiffusionPipeline
from PIL import Image
from transformers import DPTConfig, DPTForDepthEstimation
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from app.engine.checkpoints.networks import Parts
from app.engine.device import DevicePlan
from app.engine.families import depth
from app.engine.families.latent import LatentModel
from app.engine.families.sd2 import Sd2Model
from app.engine.guidance import Guidance
from app.engine.prompt.chunks import Reading
from app.engine.scene import Scene
from app.errors import BadCheckpoint, BadRequest
from tests.engine.families import stock

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatentModel:
    return stock.model("sd2", tmp_path_factory.mktemp("sd2"), prediction_type="v_prediction")


def test_a_run_is_the_stock_pipelines(model: LatentModel) -> None:
    pipeline = stock.quiet(StableDiffusionPipeline(**stock.parts_of(model, "v_prediction"), safety_checker=None, feature_extractor=None))
    latents = stock.noise(1, 4, 8, 8)
    options = {"num_inference_steps": 3, "guidance_scale": 5.0, "width": 64, "height": 64, "output_type": "latent"}
    with torch.no_grad():
        states, no_states = pipeline.encode_prompt("a cat", "cpu", 1, True, "night")
        expected = pipeline("a cat", negative_prompt="night", latents=latents.clone(), **options).images
    told = model.encode_prompt("a cat", "night")
    assert stock.near(told.at(0, 1).positives[0][1].states, states) and stock.near(told.at(0, 1).negative.states, no_states)
    assert stock.near(stock.euler(model.denoiser(told, Guidance(5.0)), latents, model, 3), expected, 1e-4)


def test_an_epsilon_checkpoint_of_the_same_weights_paints_something_else(model: LatentModel, tmp_path: Path) -> None:
    other, x = stock.model("sd2", tmp_path, prediction_type="epsilon"), stock.noise(1, 4, 8, 8)
    told = model.encode_prompt("a cat", None).at(0, 1).positives[0][1]
    answer = stock.answer(model, x, 1.0, told.states, None)
    assert stock.near(other.predict(x, 1.0, told, None), x - answer, 1e-4) and stock.near(model.predict(x, 1.0, told, None), x / 2 - answer / 2**0.5, 1e-4)


def test_chunks_are_filled_with_token_0_and_clip_skip_counts_from_the_layer_that_is_not_there(model: LatentModel) -> None:
    seen: list[torch.Tensor] = []
    encoder = model.placement.networks["text_encoder"]
    handle = encoder.register_forward_pre_hook(lambda module, given, named: seen.append(named["input_ids"]), with_kwargs=True)
    states = [model.encode_prompt("a cat", None, Reading(clip_skip=skip)).at(0, 1).positives[0][1].states for skip in (1, 2, 3)]
    handle.remove()
    [tokens] = seen[0]
    end = encoder.config.eos_token_id
    assert tokens[3] == end and not tokens[4:].any() and (tokens == end).sum() == 1
    with torch.no_grad():
        hidden = encoder(tokens[None], output_hidden_states=True).hidden_states
        assert torch.equal(states[0], states[1]) and torch.equal(states[2], encoder.final_layer_norm(hidden[-2]))


def test_zero_terminal_snr_starts_from_noise_alone(tmp_path: Path) -> None:
    model = stock.model("sd2", tmp_path, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    sigma, told = model.table.sigma_max, model.encode_prompt("a cat", None).at(0, 1).positives[0][1]
    noise = stock.noise(1, 4, 8, 8)
    assert 4500 < sigma < 4530
    found = model.predict(noise * sigma, sigma, told, None)
    with torch.no_grad():
        v = model.placement.networks["unet"](noise, torch.tensor([999.0]), told.states)[0]
    assert torch.allclose(found, -v, atol=2e-3), "at the end of the table denoised is -v"


def test_inpainting_reads_nine_channels(tmp_path: Path) -> None:
    model = stock.model("sd2-inpaint", tmp_path)
    x, told, around = stock.noise(1, 4, 8, 8), model.encode_prompt("a cat", None).at(0, 1).positives[0][1], model.surroundings((), 64, 64)
    assert around.shape == (1, 5, 8, 8) and stock.near(model.predict(x, 1.0, told, around), x - stock.answer(model, x, 1.0, told.states, None, around), 1e-4)


# ---- depth


@pytest.fixture(scope="module")
def by_depth(tmp_path_factory: pytest.TempPathFactory) -> LatentModel:
    """A depth checkpoint with an estimator."""
    plain = stock.model("sd2-depth", tmp_path_factory.mktemp("depth"))
    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64, patch_size=16, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        estimator = DPTForDepthEstimation(config).eval().requires_grad_(False)
    plain._networks.extras["depth_estimator"] = estimator
    return Sd2Model(plain.file, Parts(), plain._networks, DevicePlan())


def channel(model: LatentModel, scene: Scene) -> torch.Tensor:
    return model.surroundings((scene,), scene.pixels.shape[1], scene.pixels.shape[0])


@pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")
def test_estimated_depth_is_the_stock_pipelines(by_depth: LatentModel) -> None:
    picture = stock.pixels(96, 64)
    parts = by_depth.placement.networks
    processor = DPTImageProcessorPil(size={"height": 64, "width": 64})
    image = Image.fromarray(picture)
    fake = SimpleNamespace(feature_extractor=processor, depth_estimator=parts["depth_estimator"], vae_scale_factor=8)
    with torch.no_grad():
        expected = StableDiffusionDepth2ImgPipeline.prepare_depth_map(fake, image, None, 1, False, torch.float32, torch.device("cpu"))
    found = channel(by_depth, Scene(picture, picture[..., 0] >= 0))
    assert found.shape == (1, 1, 12, 8) and torch.allclose(found, expected, atol=1e-4) and float(found.min()) == -1 and float(found.max()) == 1


def test_a_depth_map_that_was_handed_in_is_taken_as_it_is(by_depth: LatentModel) -> None:
    picture, ramp = stock.pixels(), np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(64, 0)
    fake = SimpleNamespace(vae_scale_factor=8)
    given = torch.from_numpy(ramp.astype(np.float32))[None]
    expected = StableDiffusionDepth2ImgPipeline.prepare_depth_map(fake, Image.fromarray(picture), given, 1, False, torch.float32, torch.device("cpu"))
    found = channel(by_depth, Scene(picture, picture[..., 0] >= 0, ramp))
    assert torch.equal(found, expected) and (found[0, 0, 0].diff() > 0).all(), "white is near"
    flat = channel(by_depth, Scene(picture, picture[..., 0] >= 0, np.full((64, 64), 7, np.uint8)))
    assert (flat == -1).all()


def test_depth_has_a_say_and_without_an_estimator_or_a_picture_a_sentence(by_depth: LatentModel, tmp_path: Path) -> None:
    x, told = stock.noise(1, 4, 8, 8), by_depth.encode_prompt("a cat", "night")
    scenes = [Scene(stock.pixels(seed=seed), np.ones((64, 64), bool)) for seed in (1, 2)]
    found = [by_depth.denoiser(told, Guidance(5.0), channel(by_depth, scene))(x, 2.0) for scene in scenes]
    assert not stock.near(found[0], found[1], 1e-3)
    bare = stock.model("sd2-depth", tmp_path)
    assert depth.ESTIMATOR not in bare.placement.networks
    with pytest.raises(BadRequest, match=r"^'sd2-depth' paints by the depth of a picture, but has no network that estimates it\. Hand in a depth map"):
        channel(bare, scenes[0])
    assert channel(bare, Scene(scenes[0].pixels, scenes[0].paint, scenes[0].pixels[..., 0])).shape == (1, 1, 8, 8)
    with pytest.raises(BadRequest, match=r"^The checkpoint 'sd2-depth' paints over a picture and needs one\."):
        bare.surroundings((), 64, 64)


def test_other_counts_of_input_channels_are_refused(model: LatentModel) -> None:
    model._networks.unet.register_to_config(in_channels=7)
    with pytest.raises(BadCheckpoint, match=r"UNet of 'sd2' has 7 input channels; this version runs those with 4, 5, 8, 9\."):
        Sd2Model(model.file, Parts(), model._networks, DevicePlan())
    model._networks.unet.register_to_config(in_channels=4)

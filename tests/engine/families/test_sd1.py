import math
from dataclasses import replace

import pytest
import torch

from app.engine.checkpoints.networks import Parts
from app.engine.checkpoints.recognise import inspect_folder
from app.engine.device import DevicePlan
from app.engine.families.sd1 import load
from app.engine.guidance import Guidance
from tests import tiny

X = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tiny.make_folder(tmp_path_factory.mktemp("sd1") / "tiny")
    return load(inspect_folder(path, "tiny"), Parts(), DevicePlan())


@torch.no_grad()
def spoken(model, x, sigma, states):
    c = 1 / math.sqrt(sigma**2 + 1)
    return model.placement.networks["unet"](x * c, torch.tensor([model.table.timestep(sigma)]), states)[0]


def test_denoised_is_x_less_sigma_times_the_predicted_noise(model):
    told = model.encode_prompt("a cat", "night")
    for sigma in (14.6, 1.0, 0.03):
        x = X * sigma
        with_prompt, without = (x - sigma * spoken(model, x, sigma, states) for states in tiny.both(told))
        expected = without + 7 * (with_prompt - without)
        assert torch.allclose(model.denoiser(told, Guidance(7.0))(x, sigma), expected, atol=1e-4 * sigma + 1e-5)
        assert torch.allclose(model.denoiser(told, Guidance(1.0))(x, sigma), with_prompt, atol=1e-4 * sigma + 1e-5)


def test_v_prediction(model, tmp_path):
    other = load(inspect_folder(tiny.make_folder(tmp_path / "v", prediction_type="v_prediction"), "v"), Parts(), DevicePlan())
    told, sigma = other.encode_prompt("a cat", None), 2.0
    c = 1 / math.sqrt(sigma**2 + 1)
    expected = X * c**2 - sigma * c * spoken(other, X, sigma, tiny.both(told)[0])
    assert torch.allclose(other.denoiser(told, Guidance(1.0))(X, sigma), expected, atol=1e-5)


def test_x0_prediction(model, tmp_path):
    """A network that answers the denoised latents: no arithmetic is left to do, whatever the noise level."""
    other = load(inspect_folder(tiny.make_folder(tmp_path / "x0", prediction_type="sample"), "x0"), Parts(), DevicePlan())
    told = other.encode_prompt("a cat", None)
    for sigma in (14.6, 2.0, 0.03):
        answer = spoken(other, X * sigma, sigma, tiny.both(told)[0])
        assert torch.allclose(other.denoiser(told, Guidance(1.0))(X * sigma, sigma), answer, atol=1e-5)


def test_a_batch_is_evaluated_picture_by_picture_on_the_cpu_and_at_once_elsewhere(model):
    told = model.encode_prompt("a cat", "")
    batch = torch.cat([X, X.flip(-1), -X])
    one_by_one = model.denoiser(told, Guidance(5.0))(batch, 3.0)
    assert all(torch.equal(one_by_one[i : i + 1], model.denoiser(told, Guidance(5.0))(batch[i : i + 1], 3.0)) for i in range(3))
    sizes = []
    handle = model.placement.networks["unet"].register_forward_pre_hook(lambda module, given: sizes.append(given[0].shape[0]))
    plan, model.plan = model.plan, Together(**vars(model.plan))
    at_once = model.denoiser(told, Guidance(5.0))(batch, 3.0)
    model.plan = plan
    handle.remove()
    assert sizes == [6] and torch.allclose(at_once, one_by_one, atol=1e-4)


class Together(DevicePlan):
    batched = True


def test_prompts_of_different_length_are_filled_with_the_empty_prompt(model):
    told = model.encode_prompt("a cat", "the house, " * 40)
    positive, negative = tiny.both(told)
    assert positive.shape == negative.shape and positive.shape[1] > 77
    assert torch.equal(positive[:, 77:154], tiny.both(model.encode_prompt("", None))[0])


def test_pictures_and_latents(model):
    vae = model.placement.networks["vae"]
    pixels = torch.rand(1, 3, 64, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = model.encode_image(pixels)
    with torch.no_grad():
        assert latents.shape == (1, 4, 8, 5) and torch.equal(latents, vae.encode(pixels).latent_dist.mean * 0.18215)
        assert torch.equal(model.decode_latents(latents), vae.decode(latents / 0.18215)[0])


def test_the_preview_is_ready_when_asked(model):
    preview = model.prepare_preview()
    assert preview(X).size == (64, 64) and model.prepare_preview() is preview and model.bytes > 1_000_000
    assert replace(model.file, name="x").title == "x"


def test_a_consistency_model_is_told_the_scale_and_asked_once(tmp_path):
    from diffusers import LatentConsistencyModelPipeline

    made = tiny.parts(3)
    unet = type(made.unet)(**{**made.unet.config, "time_cond_proj_dim": 32})
    told_by = unet.state_dict()
    unet.load_state_dict(told_by | made.unet.state_dict())
    path = tiny.write_folder(tmp_path / "lcm", replace(made, unet=unet.eval()))
    other = load(inspect_folder(path, "lcm"), Parts(), DevicePlan())
    told, sigma, network = other.encode_prompt("a cat", "night"), 2.0, other.placement.networks["unet"]
    embedded = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor([7.0]), 32)
    seen = []
    handle = network.register_forward_pre_hook(lambda module, given, named: seen.append((given[0].shape[0], named["timestep_cond"])), with_kwargs=True)
    found = other.denoiser(told, Guidance(8.0))(X, sigma)
    handle.remove()
    [(count, given)] = seen
    c = 1 / math.sqrt(sigma**2 + 1)
    with torch.no_grad():
        answer = network(X * c, torch.tensor([other.table.timestep(sigma)]), tiny.both(told)[0], timestep_cond=embedded)[0]
    assert count == 1 and torch.allclose(given, embedded, atol=1e-4) and torch.allclose(found, X - sigma * answer, atol=1e-4)
    assert not torch.allclose(other.denoiser(told, Guidance(2.0))(X, sigma), found, atol=1e-3)

"""Single files whose metadata names the folder that their configs, word list and noise levels come from."""

import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints.load import load_networks, load_vae
from app.engine.checkpoints.networks import Dtypes, Parts
from app.engine.checkpoints.read import read_weights
from app.engine.checkpoints.recognise import inspect_file, inspect_folder
from app.engine.prompt.counter import count_tokens
from app.engine.prompt.vocabulary import clip_vocabulary
from app.errors import BadCheckpoint
from tests import tiny
from tools.embedded.ldm import BASE_KEY, ldm_state_dict

U, V, C = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
MISSING = {
    U + "out.2.weight": "'out.2.weight' is missing",
    U + "input_blocks.1.1.norm.weight": "its UNet misses the tensor 'down_blocks.0.attentions.0.norm.weight'",
    V + "decoder.conv_out.weight": "its VAE misses the tensor 'decoder.conv_out.weight'",
    C + "final_layer_norm.weight": "its text encoder misses the tensor 'final_layer_norm.weight'",
}


def written(path, weights, metadata=None):
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, path, metadata)
    return path


def same(a, b):
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def embedded():
    return tiny.embedded_parts(4)


@pytest.fixture(scope="module")
def bases(embedded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    tiny.write_folder(folder / "base", embedded)
    return folder


def based(path, bases, dtypes=None, **changes):
    return load_networks(replace(inspect_file(path, path.stem, "checkpoint", bases=bases), **changes), Parts(), dtypes or Dtypes())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float8_e4m3fn, torch.float8_e5m2])
def test_what_shapes_do_not_tell_comes_from_the_base(embedded, bases, dtype, tmp_path):
    other = tiny.embedded_parts(5)
    path = tmp_path / "x.safetensors"
    plain = ldm_state_dict(other.unet, other.vae, other.text_encoder)
    weights = {name: tensor.to(dtype) if name.startswith(U) and tensor.dim() > 1 else tensor for name, tensor in plain.items()}
    networks = based(written(path, weights, {BASE_KEY: "base"}), bases)
    parted = load_networks(inspect_folder(bases / "base", "base"), Parts(), Dtypes())
    assert dict(networks.unet.config) == dict(parted.unet.config) and dict(networks.vae.config) == dict(parted.vae.config)
    assert networks.text_encoder.config.num_attention_heads == 4 and networks.vae.config.norm_num_groups == 4 and networks.vae.config.scaling_factor == 0.2
    assert networks.vocabulary is parted.vocabulary and networks.unet.dtype == torch.float32
    assert same(networks.vae, other.vae) and same(networks.text_encoder, other.text_encoder)
    for name, tensor in networks.unet.state_dict().items():
        expected = other.unet.state_dict()[name]
        assert torch.equal(tensor, expected.to(dtype).float() if expected.dim() > 1 else expected), name
    half = based(path, bases, Dtypes(torch.float16, torch.float16, torch.float32))
    assert half.unet.dtype == torch.float16 and torch.equal(half.unet.conv_in.weight, networks.unet.conv_in.weight.half())


def test_noise_levels_and_prediction_come_from_the_base(embedded, bases, tmp_path):
    path = written(tmp_path / "x.safetensors", tiny.ldm_weights(embedded), {BASE_KEY: "v"})
    tiny.write_folder(bases / "v", embedded, prediction_type="v_prediction")
    assert based(path, bases).prediction_type == "v_prediction"


@pytest.mark.parametrize("name", MISSING)
def test_one_missing_tensor_is_named_with_a_base_too(name, embedded, bases, tmp_path):
    path = written(tmp_path / "x.safetensors", {key: tensor for key, tensor in tiny.ldm_weights(embedded).items() if key != name}, {BASE_KEY: "base"})
    with pytest.raises(BadCheckpoint, match=re.escape(MISSING[name])):
        based(path, bases)


def test_a_file_that_is_not_of_its_base_is_refused(bases, tmp_path):
    path = written(tmp_path / "x.safetensors", tiny.ldm_weights(tiny.parts(0)), {BASE_KEY: "base"})
    with pytest.raises(BadCheckpoint, match=r"^'x.safetensors' (is incomplete|does not fit)"):
        based(path, bases)
    with pytest.raises(BadCheckpoint, match=r"'x\.safetensors' needs the checkpoint 'base', which is not in models/embedded"):
        load_networks(inspect_file(path, "x", "checkpoint"), Parts(), Dtypes())


def test_a_vae_alone_may_name_its_base(embedded, bases, tmp_path):
    path = written(tmp_path / "vae.safetensors", embedded.vae.state_dict(), {BASE_KEY: "base"})
    file = inspect_file(path, "vae", "vae", bases=bases)
    assert file.kind == "vae" and file.base == bases / "base" and same(load_vae(file, torch.float32), embedded.vae)


def test_inpainting_files_load_where_9_channels_are_asked_for_and_nowhere_else(bases, tmp_path):
    other = tiny.embedded_parts(6, in_channels=9)
    path = written(tmp_path / "x.safetensors", tiny.ldm_weights(other), {BASE_KEY: "base"})
    assert same(based(path, bases).unet, other.unet)
    with pytest.raises(BadCheckpoint, match=r"UNet of 'x\.safetensors' has 9 input channels, but 4 are needed"):
        based(path, bases, family="sd1")


def test_scaled_fp8_weights_are_scaled(tmp_path):
    small, scale = torch.tensor([[0.5, -2.0], [448.0, 0.0]]).to(torch.float8_e4m3fn), torch.tensor([0.25])
    path = written(tmp_path / "x.safetensors", {"a.weight": small, "a.scale_weight": scale, "scaled_fp8": small[:0], "b.weight": small.clone()})
    found = read_weights(path, torch.float32)
    assert torch.equal(found["a.weight"], small.float() * 0.25) and torch.equal(found["b.weight"], small.float()) and "a.scale_weight" not in found


def test_the_token_counter_reads_the_word_list_of_the_base(embedded, bases, tmp_path):
    file = inspect_file(written(tmp_path / "x.safetensors", tiny.ldm_weights(embedded), {BASE_KEY: "base"}), "x", "checkpoint", bases=bases)
    assert (file.problem, file.native, file.precision) == ("", tiny.NATIVE, "fp32")
    assert count_tokens(file, "xyz") == (3, 75) and len(clip_vocabulary().ids("xyz")) < 3
    assert count_tokens(inspect_folder(bases / "base", "base"), "xyz") == (3, 75)

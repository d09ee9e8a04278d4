import json
import os
import re
from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from safetensors.torch import load_file, save_file

from app.engine.checkpoints.load import load_networks, load_vae
from app.engine.checkpoints.networks import Dtypes, Parts
from app.engine.checkpoints.read import read_weights
from app.engine.checkpoints.recognise import inspect_file, inspect_folder, inspect_vae_folder
from app.errors import BadCheckpoint
from tests import tiny

PARTS = ("unet", "vae", "text_encoder")


@pytest.fixture(scope="module")
def made():
    return tiny.parts(0, clip_vocabulary=True)


@pytest.fixture(scope="module")
def weights(made):
    return tiny.ldm_weights(made)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("load") / "tiny", made)


def load(path, dtypes=None, vae=None):
    file = inspect_folder(path, path.name) if path.is_dir() else inspect_file(path, path.stem, "checkpoint")
    return load_networks(file, Parts(vae=vae), dtypes or Dtypes())


def written(path, weights):
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, path)
    return path


def same(a, b):
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_folder_and_single_file_hold_the_same_networks(made, folder, tmp_path):
    single = load(tiny.write_single(tmp_path / "x.safetensors", made, torch.float32))
    parted = load(folder)
    for part in PARTS:
        assert same(getattr(parted, part), getattr(made, part)) and same(getattr(single, part), getattr(made, part)), part
    for networks in (parted, single):
        assert not any(tensor.is_meta for part in PARTS for tensor in [*getattr(networks, part).parameters(), *getattr(networks, part).buffers()])


def aligned(module):
    """diffusers leaves weights on the odd addresses of a mapped file, where some kernels round otherwise in the last bit."""
    for weight in module.parameters():
        weight.data = weight.data.clone()
    return module


def test_what_diffusers_makes_of_the_folder_we_make(folder):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    ours = load(folder)
    x, tokens = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([[49406, 320, 2368, 49407]])
    with torch.no_grad():
        states = aligned(CLIPTextModel.from_pretrained(folder / "text_encoder"))(tokens)[0]
        assert torch.equal(ours.text_encoder(tokens)[0], states)
        unet = aligned(UNet2DConditionModel.from_pretrained(folder / "unet"))
        assert torch.equal(ours.unet(x, 500, states)[0], unet(x, 500, states)[0])
        vae = aligned(AutoencoderKL.from_pretrained(folder / "vae"))
        assert torch.equal(ours.vae.decode(x)[0], vae.decode(x)[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_become_what_the_device_wants(made, dtype, tmp_path):
    path = tiny.write_single(tmp_path / "half.safetensors", made, dtype)
    networks = load(path)
    expected = made.unet.state_dict()["conv_in.weight"].to(dtype)
    assert networks.unet.dtype == torch.float32 and torch.equal(networks.unet.conv_in.weight, expected.float())
    assert load(path, Dtypes(torch.float16, torch.float16, torch.float32)).unet.dtype == torch.float16


U, V, C = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
MISSING = {
    U + "out.2.weight": "'out.2.weight' is missing",
    U + "input_blocks.1.1.norm.weight": "its UNet misses the tensor 'down_blocks.0.attentions.0.norm.weight'",
    U + "middle_block.2.in_layers.2.bias": "its UNet misses the tensor 'mid_block.resnets.1.conv1.bias'",
    V + "decoder.conv_out.weight": "its VAE misses the tensor 'decoder.conv_out.weight'",
    V + "encoder.down.0.block.0.conv1.weight": "'encoder.down.0.block.0.conv1.weight' is missing",
    C + "final_layer_norm.weight": "its text encoder misses the tensor 'final_layer_norm.weight'",
    C + "embeddings.position_embedding.weight": "'embeddings.position_embedding.weight' is missing",
}


@pytest.mark.parametrize("name", MISSING)
def test_one_missing_tensor_is_named(name, weights, tmp_path):
    path = written(tmp_path / "x.safetensors", {key: tensor for key, tensor in weights.items() if key != name})
    with pytest.raises(BadCheckpoint, match=re.escape(MISSING[name])):
        load(path)


def test_misshapen_tensors_are_named(weights, tmp_path):
    name = U + "middle_block.0.in_layers.2.weight"
    path = written(tmp_path / "x.safetensors", weights | {name: torch.zeros(64, 64, 1, 1)})
    with pytest.raises(BadCheckpoint, match=r"'mid_block.resnets.0.conv1.weight' of its UNet has the shape \(64, 64, 1, 1\), but \(64, 64, 3, 3\)"):
        load(path)


def test_no_vae_is_said_and_another_one_helps(weights, made, tmp_path):
    path = written(tmp_path / "x.safetensors", {key: tensor for key, tensor in weights.items() if not key.startswith(V)})
    with pytest.raises(BadCheckpoint, match=r"has no VAE\. Choose one"):
        load(path)
    vae = written(tmp_path / "vae.safetensors", {key: tensor for key, tensor in weights.items() if key.startswith(V)})
    assert same(load(path, vae=inspect_file(vae, "vae", "vae")).vae, made.vae)


def test_vae_files_of_every_layout(weights, made, folder, tmp_path):
    bare = {key.removeprefix(V): tensor for key, tensor in weights.items() if key.startswith(V)}
    for number, layout in enumerate((bare, bare | {"loss.logvar": torch.zeros(1)}, {V + key: tensor for key, tensor in bare.items()}, made.vae.state_dict())):
        file = inspect_file(written(tmp_path / f"{number}.safetensors", layout), "x", "vae")
        assert file.kind == "vae" and same(load_vae(file, torch.float32), made.vae)
    assert same(load_vae(inspect_vae_folder(folder / "vae", "vae"), torch.float32), made.vae)


def test_old_names_and_junk(weights, made, tmp_path):
    old = {key.replace(C, "cond_stage_model.transformer."): tensor for key, tensor in weights.items()}
    copies = {f"model_ema.{number}": torch.zeros(1) for number in range(120)}
    networks = load(written(tmp_path / "x.safetensors", old | copies | {"lora_te_foo": torch.zeros(3), "alphas_cumprod": torch.zeros(1000)}))
    assert same(networks.text_encoder, made.text_encoder) and same(networks.unet, made.unet)


def test_old_attention_names_of_a_vae_folder(made, folder, tmp_path):
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    pattern = re.compile(r"(attentions\.\d+)\.(to_q|to_k|to_v|to_out\.0)\.")
    old = {pattern.sub(lambda found: f"{found[1]}.{names[found[2]]}.", key): tensor for key, tensor in made.vae.state_dict().items()}
    assert any("query" in key for key in old)
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text((folder / "vae" / "config.json").read_text())
    written(tmp_path / "vae" / "diffusion_pytorch_model.safetensors", old)
    assert same(load_vae(inspect_vae_folder(tmp_path / "vae", "vae"), torch.float32), made.vae)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value, weights, tmp_path):
    name = U + "out.2.bias"
    harmed = weights[name].clone()
    harmed[1] = value
    with pytest.raises(BadCheckpoint, match=f"tensor '{re.escape(name)}' holds NaN or infinite"):
        load(written(tmp_path / "x.safetensors", weights | {name: harmed}))


def test_large_finite_weights_are_not_mistaken_for_infinite(tmp_path):
    path = written(tmp_path / "x.safetensors", {"a": torch.full((4096,), 60000.0, dtype=torch.float16), "b": torch.full((4,), 3e38)})
    assert torch.isfinite(read_weights(path, torch.float32)["b"]).all()


def test_a_vocabulary_of_another_size_is_refused(tmp_path):
    path = tiny.write_single(tmp_path / "x.safetensors", tiny.parts())
    with pytest.raises(BadCheckpoint, match=r"knows \d+ words, not CLIP's 49408, and does not say whose"):
        load(path)
    with pytest.raises(BadCheckpoint, match="its word list has 49408 words, its text encoder"):
        load_networks(replace(inspect_file(path, "x", "checkpoint"), problem=""), Parts(), Dtypes())


def test_fp16_variant_and_v_prediction(tmp_path):
    path = tiny.make_folder(tmp_path / "v", dtype=torch.float16, variant="fp16", prediction_type="v_prediction")
    assert load(path).prediction_type == "v_prediction"
    config = path / "scheduler" / "scheduler_config.json"
    harms = (({"prediction_type": "flow"}, "predicts 'flow'"), ({"beta_schedule": "x"}, "noise schedule 'x'"), ({"beta_end": 0}, "do not rise"))
    for change, sentence in harms:
        config.write_text(json.dumps(tiny.BETAS | change))
        with pytest.raises(BadCheckpoint, match=sentence):
            load(path)


def test_noise_levels_come_from_the_folder(tmp_path):
    path = tiny.make_folder(tmp_path / "x")
    plain = load(path).alphas_cumprod
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(tiny.BETAS | {"rescale_betas_zero_snr": True}))
    rescaled = load(path).alphas_cumprod
    assert plain[0] == pytest.approx(0.99915) and rescaled[0] == pytest.approx(plain[0]) and rescaled[-1] == 0
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(tiny.BETAS | {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"}))
    found, wanted = load(path), DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double().numpy()
    assert found.alphas_cumprod == pytest.approx(wanted, rel=1e-4) and found.prediction_type == "sample"


def test_a_config_that_cannot_be_built_is_a_sentence(tmp_path):
    path = tiny.make_folder(tmp_path / "x")
    config = json.loads((path / "unet" / "config.json").read_text())
    (path / "unet" / "config.json").write_text(json.dumps(config | {"down_block_types": ["Nonsense", "DownBlock2D"]}))
    with pytest.raises(BadCheckpoint, match="UNet of 'x' cannot be built"):
        load(path)


def test_truncating_or_changing_a_loaded_file_harms_nothing(made, tmp_path):
    path = tiny.write_single(tmp_path / "x.safetensors", made, torch.float32)
    networks = load(path)
    os.truncate(path, 1000)
    assert same(networks.unet, made.unet)
    path.write_bytes(os.urandom(5000))
    assert same(networks.vae, made.vae)
    with pytest.raises(BadCheckpoint):
        load(path)


def test_reading_leaves_no_file_open(made, tmp_path):
    path = tiny.write_single(tmp_path / "x.safetensors", made)
    networks = load(path)
    held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
    with open("/proc/self/maps") as maps:
        assert str(path) not in held and str(path) not in maps.read() and networks.unet is not None


def test_every_type_reads_as_safetensors_reads_it(tmp_path):
    tensors = {"a": torch.arange(6).reshape(2, 3), "b": torch.tensor([True, False]), "c": torch.randn(3).double(), "d": torch.randn(2, 2).bfloat16(),
               "e": torch.randn(3).to(torch.float8_e4m3fn), "f": torch.zeros(0, 4), "g": torch.tensor(2.5)}
    path = written(tmp_path / "x.safetensors", tensors)
    ours, theirs = read_weights(path, torch.float32), load_file(path)
    assert all(torch.equal(ours[name], theirs[name].float() if theirs[name].is_floating_point() else theirs[name]) for name in tensors)

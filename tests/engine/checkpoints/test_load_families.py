"""Every family from a single file in LDM's names and from a diffusers folder, and what stock diffusers makes of both."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import DPTConfig, DPTForDepthEstimation

from app.engine.checkpoints.load import load_networks, load_vae
from app.engine.checkpoints.networks import Dtypes, Networks, Parts
from app.engine.checkpoints.recognise import inspect_file, inspect_folder
from app.errors import BadCheckpoint
from tests.layouts import checkpoints, fill, midas, write
from tests.layouts.fill import Made

FAMILIES = tuple(checkpoints.LAYOUTS)
DEEP = ("sd1", "sd2", "sdxl", "sdxl-refiner")
"""Families that are tried with as many layers as the real ones have; the others differ from these in their input channels."""
HALF = Dtypes(torch.float16, torch.float16, torch.float16)
U = "model.diffusion_model."


@pytest.fixture(scope="module")
def made() -> Callable[[str], Made]:
    """The weights of a family, with few layers, made once."""
    return cache(lambda family: fill.weights(family, shallow=True))


def load(path: Path, dtypes: Dtypes = HALF, parts: Parts | None = None, **changes: Any) -> Networks:
    file = inspect_folder(path, path.name) if path.is_dir() else inspect_file(path, path.stem, "checkpoint")
    assert file.problem == ""
    return load_networks(replace(file, **changes), parts or Parts(), dtypes)


def same(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def has(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether a network in half precision has these weights."""
    own = network.state_dict()
    return own.keys() == weights.keys() and all(torch.equal(own[name], weights[name].half()) for name in own)


def equal(a: Networks, b: Networks) -> bool:
    towers = [(tower.name, tower.kind) for tower in a.texts] == [(tower.name, tower.kind) for tower in b.texts]
    return towers and same(a.unet, b.unet) and same(a.vae, b.vae) and all(same(x.network, y.network) for x, y in zip(a.texts, b.texts, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_and_a_folder_give_the_same_networks(family: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    weights = fill.weights(family) if family in DEEP else made(family)
    single = fill.single(tmp_path / "x.safetensors", weights, torch.float16)
    folder = fill.folder(tmp_path / "x", weights, torch.float16, scheduler={"prediction_type": "epsilon"})
    assert inspect_file(single, "x", "checkpoint").family == inspect_folder(folder, "x").family == family
    one, many = load(single), load(folder)
    assert equal(one, many) and one.prediction_type == many.prediction_type == "epsilon"
    assert one.vae.config.scaling_factor == many.vae.config.scaling_factor == checkpoints.LAYOUTS[family].factor
    networks = (one.unet, one.vae, *(tower.network for tower in one.texts))
    assert not any(tensor.is_meta for network in networks for tensor in [*network.parameters(), *network.buffers()])
    assert one.unet.config.attention_head_dim == many.unet.config.attention_head_dim
    if "sdxl" in family:
        assert one.unet.config.addition_time_embed_dim == 256 == many.unet.config.addition_time_embed_dim


def aligned(module: nn.Module) -> Any:
    """diffusers leaves weights on the odd addresses of a mapped file, where some kernels round otherwise in the last bit."""
    for weight in module.parameters():
        weight.data = weight.data.clone()
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["sd2", "sdxl", "sdxl-refiner"])
def test_stock_diffusers_and_transformers_compute_the_same(family: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    single, folder = fill.single(tmp_path / "x.safetensors", made(family)), fill.folder(tmp_path / "x", made(family))
    ours = load(single, Dtypes())
    generator = torch.Generator().manual_seed(0)
    tokens, x = torch.tensor([[49406, 320, 2368, 49407, 49407]]), torch.randn(1, ours.unet.config.in_channels, 16, 16, generator=generator)
    states, more = torch.randn(1, 5, ours.unet.config.cross_attention_dim, generator=generator), {}
    if "sdxl" in family:
        count = 5 if family == "sdxl-refiner" else 6
        more = {"added_cond_kwargs": {"text_embeds": torch.randn(1, 64, generator=generator), "time_ids": torch.full((1, count), 128.0)}}
    with torch.no_grad():
        said = ours.unet(x, 500, states, return_dict=False, **more)[0]
        from_file = UNet2DConditionModel.from_single_file(single, config=str(folder), subfolder="unet", local_files_only=True)
        for theirs in (from_file, UNet2DConditionModel.from_pretrained(folder / "unet")):
            assert torch.equal(said, aligned(theirs)(x, 500, states, return_dict=False, **more)[0])
        assert torch.equal(ours.vae.decode(x[:, :4])[0], aligned(AutoencoderKL.from_pretrained(folder / "vae")).decode(x[:, :4])[0])
        for tower in ours.texts:
            kind = CLIPTextModelWithProjection if tower.kind == "openclip-g" else CLIPTextModel
            found, wanted = (text(tokens, output_hidden_states=True) for text in (tower.network, aligned(kind.from_pretrained(folder / tower.name))))
            assert torch.equal(found[0], wanted[0]) and torch.equal(found.hidden_states[-2], wanted.hidden_states[-2])


def test_shards_variants_and_precisions(made: Callable[[str], Made], tmp_path: Path) -> None:
    sdxl = made("sdxl")
    plain = load(fill.single(tmp_path / "x.safetensors", sdxl, torch.float16))
    assert equal(plain, load(fill.folder(tmp_path / "shards", sdxl, torch.float16, variant="fp16", shards=3)))
    for name, dtype in (("bf16", torch.bfloat16), ("fp8", torch.float8_e4m3fn)):
        networks = load(fill.single(tmp_path / f"{name}.safetensors", sdxl, dtype))
        weight = sdxl.unet[1]["mid_block.attentions.0.transformer_blocks.1.attn2.to_k.weight"]
        assert torch.equal(networks.unet.mid_block.attentions[0].transformer_blocks[1].attn2.to_k.weight, weight.to(dtype).half())
        assert networks.texts[1].network.dtype == torch.float16


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_averaged_copies_and_strangers_are_left_out(family: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    junk = {name: torch.ones(()) for name in ("lora_te_text_model_x.alpha", "loss.logvar", "model_ema.num_updates", "denoiser.sigmas")}
    plain = fill.single(tmp_path / "plain.safetensors", made(family), torch.float16)
    full = fill.save(tmp_path / "full.safetensors", fill.ldm(made(family), ema=True) | junk, torch.float16)
    assert equal(load(plain), load(full))


BROKEN = {
    ("sd2", U + "input_blocks.4.1.proj_in.weight"): "its UNet misses the tensor 'down_blocks.1.attentions.0.proj_in.weight'",
    ("sd2", "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"): "its text encoder misses the tensor 'encoder.layers.1.self_attn.",
    ("sd2", "cond_stage_model.model.positional_embedding"): "has no text encoder; it reads OpenCLIP-H",
    ("sd2", "first_stage_model.quant_conv.bias"): "its VAE misses the tensor 'quant_conv.bias'",
    ("sdxl", U + "label_emb.0.2.bias"): "'label_emb.0.2.bias' is missing",
    ("sdxl", U + "label_emb.0.0.weight"): "'label_emb.0.0.weight' is missing",
    ("sdxl", U + "middle_block.1.transformer_blocks.1.attn2.to_k.weight"): "its UNet misses the tensor 'mid_block.attentions.0.transformer_blocks.1.attn2.to_k",
    ("sdxl", U + "output_blocks.2.1.transformer_blocks.1.norm3.bias"): "its UNet misses the tensor 'up_blocks.0.attentions.2.transformer_blocks.1.norm3.bias'",
    ("sdxl", "conditioner.embedders.1.model.text_projection"): "its text encoder misses the tensor 'text_projection.weight'",
    ("sdxl", "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias"): "its text encoder misses the tensor 'final_layer_norm.bias'",
    ("sdxl-refiner", U + "input_blocks.5.1.norm.weight"): "its UNet misses the tensor 'down_blocks.1.attentions.1.norm.weight'",
}


@pytest.mark.parametrize(("family", "name"), BROKEN)
def test_a_missing_tensor_is_named(family: str, name: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    keys = {key: tuple(value.shape) for key, value in fill.ldm(made(family)).items() if key != name}
    file = replace(inspect_file(write.sparse(tmp_path / "x.safetensors", keys), "x", "checkpoint"), family=family, problem="")
    with pytest.raises(BadCheckpoint, match=re.escape(BROKEN[family, name])):
        load_networks(file, Parts(), HALF)


@pytest.mark.parametrize(
    ("family", "layout"),
    [("sd1", "ldm"), ("sd1", "ldm without prefix"), ("sd1", "diffusers"), ("sd2", "diffusers"), ("sdxl", "diffusers"), ("sdxl-refiner", "ldm without prefix")],
)
def test_a_unet_alone_with_parts_from_other_files(family: str, layout: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    weights = made(family)
    whole = fill.single(tmp_path / "whole.safetensors", weights, torch.float16)
    names = {"ldm": {U + name: value for name, value in weights.unet[0].items()}, "ldm without prefix": weights.unet[0], "diffusers": weights.unet[1]}
    file = inspect_file(fill.save(tmp_path / "unet.safetensors", names[layout], torch.float16), "unet", "checkpoint")
    assert (file.kind, file.family, file.problem, file.missing) == ("checkpoint", family, "", ("text encoder", "VAE"))
    vae = inspect_file(fill.save(tmp_path / "vae.safetensors", weights.vae[0], torch.float16), "vae", "vae")
    found = load_networks(file, Parts(vae, inspect_file(whole, "whole", "checkpoint")), HALF)
    assert has(found.unet, weights.unet[1]) and has(found.vae, weights.vae[1]) and len(found.texts) == len(weights.texts)
    assert found.vae.config.scaling_factor == checkpoints.LAYOUTS[family].factor
    with pytest.raises(BadCheckpoint, match=r"'unet.safetensors' has no text encoder; it reads .*Choose one in the field Text encoder"):
        load_networks(file, Parts(vae), HALF)
    with pytest.raises(BadCheckpoint, match=r"'unet.safetensors' has no VAE\. Choose one in the field VAE"):
        load_networks(file, Parts(None, inspect_file(whole, "whole", "checkpoint")), HALF)


def test_vae_files_of_sdxl(made: Callable[[str], Made], tmp_path: Path) -> None:
    weights = made("sdxl")
    theirs, ours = weights.vae
    layouts = (theirs, {"first_stage_model." + name: value for name, value in theirs.items()}, ours, theirs | {"loss.logvar": torch.zeros(())})
    for number, layout in enumerate(layouts):
        vae = load_vae(inspect_file(fill.save(tmp_path / f"{number}.safetensors", layout), "x", "vae"), torch.float16, "sdxl")
        assert has(vae, ours) and vae.config.scaling_factor == 0.13025


def test_what_a_folder_says_of_its_scale_is_taken(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder = fill.folder(tmp_path / "x", made("sdxl"), torch.float16)
    config = json.loads((folder / "vae" / "config.json").read_text())
    (folder / "vae" / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.2}))
    file = inspect_folder(folder, "x")
    assert load_vae(file, torch.float16, "sdxl").config.scaling_factor == 0.2
    (folder / "vae" / "config.json").write_text(json.dumps({name: value for name, value in config.items() if name != "scaling_factor"}))
    assert load_vae(file, torch.float16, "sdxl").config.scaling_factor == 0.13025
    (folder / "vae" / "config.json").write_text(json.dumps(config | {"latents_mean": [0.0] * 4}))
    with pytest.raises(BadCheckpoint, match="'x/vae' shifts its latents channel by channel"):
        load_vae(file, torch.float16, "sdxl")


def test_parts_that_do_not_belong_together(made: Callable[[str], Made], tmp_path: Path) -> None:
    sdxl = fill.single(tmp_path / "sdxl.safetensors", made("sdxl"), torch.float16)
    with pytest.raises(BadCheckpoint, match="does not fit a text encoder that says 64"):
        load(sdxl, family="sdxl-refiner", parts=Parts(text=inspect_file(sdxl, "x", "checkpoint")))
    wide = fill.ldm(made("sdxl")) | {U + "input_blocks.0.0.weight": torch.zeros(32, 7, 3, 3)}
    file = replace(inspect_file(fill.save(tmp_path / "seven.safetensors", wide, torch.float16), "x", "checkpoint"), family="sdxl", problem="")
    with pytest.raises(BadCheckpoint, match=r"UNet of 'seven.safetensors' has 7 input channels, but 4 are needed"):
        load_networks(file, Parts(), HALF)


def test_pytorchs_own_files(made: Callable[[str], Made], tmp_path: Path) -> None:
    weights = {name: value.half() for name, value in fill.ldm(made("sd2")).items()}
    torch.save({"state_dict": weights, "global_step": 7, "epoch": 1}, tmp_path / "x.ckpt")
    coded = {name: value.half() for name, value in made("sd2").vae[0].items()} | {"loss.logvar": torch.zeros(())}
    torch.save({"state_dict": coded}, tmp_path / "vae.pt", _use_new_zipfile_serialization=False)
    file, vae = (inspect_file(tmp_path / name, "x", "checkpoint", pickles=True) for name in ("x.ckpt", "vae.pt"))
    assert (file.family, file.problem, vae.kind, vae.problem) == ("sd2", "", "vae", "")
    found, wanted = load_networks(file, Parts(), HALF), load(fill.single(tmp_path / "x.safetensors", made("sd2"), torch.float16))
    assert equal(found, wanted) and same(load_vae(vae, torch.float16), wanted.vae)


def test_the_depth_network_comes_from_the_file_or_the_folder(made: Callable[[str], Made], tmp_path: Path) -> None:
    theirs = DPTForDepthEstimation(DPTConfig.from_dict(midas.CONFIG))
    weights = {f"depth_model.model.{name}": value for name, value in midas.in_midas(theirs.state_dict()).items()}
    single = fill.save(tmp_path / "x.safetensors", fill.ldm(made("sd2-depth")) | weights, torch.float32)
    folder = fill.folder(tmp_path / "x", made("sd2-depth"), torch.float16)
    assert load(folder).extras == {}
    theirs.save_pretrained(folder / "depth_estimator")
    for path in (single, folder):
        network = load(path).extras["depth_estimator"]
        assert network.dtype == torch.float32 and same(network, theirs)

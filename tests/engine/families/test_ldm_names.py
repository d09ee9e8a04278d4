"""LDM's names for diffusers' names: real key lists, and diffusers' own conversion of checkpoints, which must lead back."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

import app.engine  # noqa: F401  (keeps the libraries offline)
from app.engine.families.ldm_names import UNET, unet_name, unet_shape, vae_name, vae_shape
from tests.layouts import checkpoints, unet, vae


@pytest.mark.parametrize("layout", [unet.SD1, unet.SD2, unet.SDXL, unet.REFINER], ids=["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_unets_of_folders_get_the_names_of_single_files(layout: unet.Unet) -> None:
    per_block, attends = unet_shape(unet.config(layout))
    rows = unet.both(layout)
    assert [unet_name(theirs, per_block, attends) for _, theirs, _ in rows] == [ldm for ldm, _, _ in rows]


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_diffusers_converts_them_back(family: str) -> None:
    with torch.device("meta"):
        network = UNet2DConditionModel.from_config(unet.config(checkpoints.layout(family).unet))
    named = {UNET + unet_name(name, *unet_shape(network.config)): name for name in network.state_dict()}
    converted = convert_ldm_unet_checkpoint(named, dict(network.config) | {"class_embed_type": None})
    assert converted == {name: name for name in network.state_dict()}


def test_layers_have_names_as_their_tensors_do() -> None:
    assert unet_name("down_blocks.0.downsamplers.0.conv", 2, (False, True)) == "input_blocks.3.0.op"
    assert unet_name("up_blocks.0.upsamplers.0.conv", 2, (False, True)) == "output_blocks.2.1.conv"
    assert unet_name("time_embedding.cond_proj", 2, ()) == "time_embed.cond_proj"
    assert unet_name("elsewhere", 2, ()) == "elsewhere"


def test_autoencoders_of_folders_get_the_names_of_single_files() -> None:
    for theirs in (vae.diffusers(), vae.old_diffusers()):
        named = {vae_name(name, 4): shape for name, shape in theirs.items()}
        assert {name: vae_shape(name, shape) for name, shape in named.items()} == vae.ldm(prefix="")

"""Configs that are read off the shapes of UNets: pruned ones, and those that are told their guidance."""

from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel

from app.engine.families.ldm_names import unet_name, unet_shape
from app.engine.families.unet_layout import LDM_NAMES, OUR_NAMES, Misfit, Naming, convert_unet, unet_config
from tests.layouts import unet

PRUNED = {
    "block_out_channels": (32, 64, 128), "layers_per_block": 2, "cross_attention_dim": 128, "attention_head_dim": (1, 1, 2), "use_linear_projection": True,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "mid_block_type": "UNetMidBlock2D",
    "transformer_layers_per_block": [[1, 1], [2, 2], [4, 4]], "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], [1, 1, 1]],
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 64 + 6 * 256,
}  # fmt: skip
"""SSD-1B's shape (Segmind's distilled SDXL): other depths on the way up than down, one block in the middle."""


def blank(config: dict[str, Any]) -> UNet2DConditionModel:
    with init_empty_weights():
        return UNet2DConditionModel.from_config(config)


def shapes(config: dict[str, Any]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in blank(config).state_dict().items()}


def config_of(weights: dict[str, torch.Tensor], naming: Naming, group: str = "sdxl") -> dict[str, Any]:
    return unet_config(lambda name: tuple(weights[name].shape) if name in weights else (), weights, naming, group, 64)


def in_ldm(network: UNet2DConditionModel) -> dict[str, torch.Tensor]:
    return {unet_name(name, *unet_shape(network.config)): value for name, value in network.state_dict().items()}


@pytest.mark.parametrize("change", [{}, {"mid_block_type": None}], ids=["one block in the middle", "none"])
def test_a_distilled_sdxl(change: dict[str, Any]) -> None:
    network = blank(PRUNED | change)
    for naming, weights in ((OUR_NAMES, network.state_dict()), (LDM_NAMES, in_ldm(network))):
        config = config_of(weights, naming)
        assert shapes(config) == shapes(PRUNED | change)
        assert {name: value.shape for name, value in convert_unet(weights, config, naming).items()} == shapes(PRUNED | change)


def test_a_consistency_model_that_is_told_its_guidance() -> None:
    plain = {
        "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 32, "attention_head_dim": 8, "time_cond_proj_dim": 256,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }  # fmt: skip
    network = blank(plain)
    for naming, weights in ((OUR_NAMES, network.state_dict()), (LDM_NAMES, in_ldm(network))):
        config = config_of(weights, naming, "sd1")
        assert config["time_cond_proj_dim"] == 256 and config["attention_head_dim"] == 8 and shapes(config) == shapes(plain)
        assert convert_unet(weights, config, naming).keys() == network.state_dict().keys()


@pytest.mark.parametrize("made", [unet.SD1, unet.SD2, unet.SDXL, unet.REFINER], ids=["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_full_size_models_get_the_configs_that_their_folders_have(made: unet.Unet) -> None:
    group = {unet.SD1: "sd1", unet.SD2: "sd2", unet.SDXL: "sdxl", unet.REFINER: "sdxl-refiner"}[made]
    known = unet.config(made)
    for naming, keys in ((LDM_NAMES, unet.ldm(made, "")), (OUR_NAMES, unet.diffusers(made))):
        found = unet_config(lambda name, keys=keys: keys.get(name, ()), keys, naming, group, 1280)
        for name in ("block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim", "down_block_types", "use_linear_projection"):
            assert found[name] == known[name], name
        if "sdxl" in group:
            assert found["addition_time_embed_dim"] == 256 and found["projection_class_embeddings_input_dim"] == known["projection_class_embeddings_input_dim"]
        if group == "sdxl":
            assert found["transformer_layers_per_block"] == [1, 2, 10]


def test_what_has_no_layers_is_incomplete() -> None:
    with pytest.raises(Misfit, match=r"'input_blocks\.1\.0\.in_layers\.2\.weight' is missing"):
        config_of({"input_blocks.0.0.weight": torch.zeros(32, 4, 3, 3)}, LDM_NAMES, "sd1")
    with pytest.raises(Misfit, match=r"'down_blocks\.0\.resnets\.0\.conv1\.weight' is missing"):
        config_of({"conv_in.weight": torch.zeros(32, 4, 3, 3)}, OUR_NAMES, "sd1")

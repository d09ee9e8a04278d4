import pytest
import torch
from diffusers import UNet2DConditionModel

import app.engine  # noqa: F401  (keeps the libraries offline)
from app.engine.adapters.places import Places, block_of
from tests import tiny

SD1 = {"down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3}
SDXL = {
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2, "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
    "transformer_layers_per_block": (1, 1, 2), "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80, "use_linear_projection": True,
}  # fmt: skip


def unet(options):
    widths = (32, 32, 64, 64)[: len(options["down_block_types"])]
    with torch.device("meta"):
        return UNet2DConditionModel(block_out_channels=widths, cross_attention_dim=32, attention_head_dim=8, **options)


@pytest.fixture(scope="module", params=[SD1, SDXL], ids=["SD 1", "SDXL"])
def network(request):
    return unet(request.param)


def test_every_layer_is_found_by_both_names(network):
    places = Places({"unet": network})
    for name, layer in network.named_modules():
        if isinstance(getattr(layer, "weight", None), torch.nn.Parameter):
            assert places.find("unet", name.replace(".", "_")).module == name
    query = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    assert places.find("unet", "input_blocks_4_1_transformer_blocks_0_attn1_to_q") == ("unet", query, "IN04")
    assert places.find("unet", "middle_block_1_proj_in").block == "MID"
    assert places.find("unet", "input_blocks_3_0_op").module == "down_blocks.0.downsamplers.0.conv"
    last = len(network.up_blocks)
    assert places.find("unet", f"output_blocks_{3 * last - 1}_0_in_layers_2") == ("unet", f"up_blocks.{last - 1}.resnets.2.conv1", f"OUT{3 * last - 1:02}")
    assert places.find("unet", "time_embed_0").block == "" and places.find("unet", "input_blocks_99_0_op") is None


def test_blocks():
    names = ("input_blocks.0.0", "input_blocks.11.0.in_layers.2", "middle_block.1.proj_in", "output_blocks.3.1", "out.2", "")
    assert [block_of(name) for name in names] == ["IN00", "IN11", "MID", "OUT03", "", ""]


def test_text_encoders_by_clips_names():
    made = tiny.parts(0)
    places = Places({"text_encoder": made.text_encoder})
    assert places.find("text_encoder", "encoder_layers_2_mlp_fc1") == ("text_encoder", "encoder.layers.2.mlp.fc1", "BASE")
    assert places.find("text_encoder_2", "encoder_layers_2_mlp_fc1") is None
    assert places.is_unused("text_encoder", "encoder_layers_3_mlp_fc1") and places.is_unused("text_encoder", "text_projection")
    assert not places.is_unused("text_encoder", "encoder_layers_2_mlp_fc9") and not places.is_unused("unet", "encoder_layers_30_mlp_fc1")

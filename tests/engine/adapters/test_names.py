import pytest

from app.engine.adapters.names import ROLES, foreign, understood

BLOCK = "down_blocks_1_attentions_0_transformer_blocks_0_attn1_"
DOTTED = "down_blocks.1.attentions.0.transformer_blocks.0.attn1."
MLP = "encoder_layers_3_mlp_fc1"


@pytest.mark.parametrize(
    ("name", "network", "layer", "role"),
    [
        (f"lora_unet_{BLOCK}to_q.lora_down.weight", "unet", f"{BLOCK}to_q", "lora_down"),
        (f"lora_unet_{BLOCK}to_out_0.lora_up.weight", "unet", f"{BLOCK}to_out_0", "lora_up"),
        ("lora_unet_input_blocks_4_1_proj_in.alpha", "unet", "input_blocks_4_1_proj_in", "alpha"),
        ("lora_te_text_model_encoder_layers_3_mlp_fc1.alpha", "text_encoder", MLP, "alpha"),
        ("lora_te1_text_model_encoder_layers_3_mlp_fc1.dora_scale", "text_encoder", MLP, "dora_scale"),
        ("lora_te2_text_model_encoder_layers_3_mlp_fc1.hada_w1_a", "text_encoder_2", MLP, "hada_w1_a"),
        (f"unet.{DOTTED}to_q.lora_A.weight", "unet", f"{BLOCK}to_q", "lora_down"),
        (f"unet.{DOTTED}to_q.lora_B.default.weight", "unet", f"{BLOCK}to_q", "lora_up"),
        (f"unet.{DOTTED}to_q.lora_magnitude_vector", "unet", f"{BLOCK}to_q", "dora_scale"),
        (f"unet.{DOTTED}to_q.lora_magnitude_vector.default.weight", "unet", f"{BLOCK}to_q", "dora_scale"),
        (f"unet.{DOTTED}processor.to_q_lora.down.weight", "unet", f"{BLOCK}to_q", "lora_down"),
        (f"{DOTTED}processor.to_out_lora.up.weight", "unet", f"{BLOCK}to_out_0", "lora_up"),
        (f"base_model.model.{DOTTED}to_out.0.lora_A.weight", "unet", f"{BLOCK}to_out_0", "lora_down"),
        (f"base_model.model.unet.{DOTTED}to_k.lora_B.weight", "unet", f"{BLOCK}to_k", "lora_up"),
        ("text_encoder.text_model.encoder.layers.3.mlp.fc1.lora_linear_layer.up.weight", "text_encoder", MLP, "lora_up"),
        ("text_encoder.text_model.encoder.layers.3.self_attn.to_q_lora.up.weight", "text_encoder", "encoder_layers_3_self_attn_q_proj", "lora_up"),
        ("text_encoder_2.text_model.encoder.layers.3.mlp.fc1.lora_A.weight", "text_encoder_2", MLP, "lora_down"),
        ("diffusion_model.input_blocks.4.1.proj_in.diff", "unet", "input_blocks_4_1_proj_in", "diff"),
        ("model.diffusion_model.out.2.diff_b", "unet", "out_2", "diff_b"),
        ("text_encoders.clip_g.transformer.text_model.encoder.layers.3.mlp.fc1.lora_up.weight", "text_encoder_2", MLP, "lora_up"),
        ("clip_l.transformer.text_model.encoder.layers.3.mlp.fc1.lora_up.weight", "text_encoder", MLP, "lora_up"),
        ("lycoris_mid_block_resnets_0_conv1.lokr_w2_b", "unet", "mid_block_resnets_0_conv1", "lokr_w2_b"),
        ("lora_unet_mid_block_resnets_0_norm1.w_norm", "unet", "mid_block_resnets_0_norm1", "w_norm"),
        ("lora_unet_conv_in.a1.weight", "unet", "conv_in", "a1"),
        ("lora_unet_conv_in.weight", "unet", "conv_in", "weight"),
    ],
)
def test_names(name, network, layer, role):
    assert understood(name)[:3] == (network, layer, role)


def test_every_ending_has_one_meaning():
    assert all(understood(f"lora_unet_x{end}").role == role for end, role in ROLES.items())


def test_what_is_written_is_told_and_unknown_ends_have_no_role():
    assert understood("unet.conv_in.lora_A.weight").written == "unet.conv_in"
    assert understood("anything.at.all").role == "" and foreign("x.oft_R") == "peft's OFT" and foreign("x.lora_up.weight") == ""

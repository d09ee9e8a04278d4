import json
from dataclasses import replace

import pytest
import torch

from app.engine.adapters.places import Places
from app.engine.adapters.plan import layers_of
from app.errors import BadCheckpoint
from tests.engine.adapters.networks import write

NAME = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
DOWN, UP = torch.ones(2, 32), torch.ones(32, 2)


def plan(made, file):
    networks = {"unet": made.unet, "text_encoder": made.text_encoder}
    return layers_of(file, Places(networks), networks, "tiny")


def peft(prefix=""):
    return {f"{prefix}{NAME}.lora_A.weight": DOWN, f"{prefix}{NAME}.lora_B.weight": UP}


def test_the_alphas_of_diffusers_stand_in_the_metadata(made, tmp_path):
    said = {"unet.r": 2, "unet.lora_alpha": 8, "text_encoder.lora_alpha": 100, "text_encoder.r": 1}
    for extra, alpha in (({}, 8.0), ({"unet.alpha_pattern": {"attn2.to_k": 3}}, 3.0), ({"unet.use_rslora": True}, 8 * 2**0.5), ({"unet.r": None}, None)):
        metadata = {"lora_adapter_metadata": json.dumps({**said, **extra})}
        [layer] = plan(made, write(tmp_path / "x.safetensors", peft("unet."), metadata=metadata).file)
        assert layer.alpha == alpha
    [layer] = plan(made, write(tmp_path / "y.safetensors", peft("unet."), metadata={"lora_adapter_metadata": "{"}).file)
    assert layer.alpha is None
    assert torch.equal(replace(layer, alpha=4.0).change(torch.zeros(32, 32), {"lora_down": DOWN, "lora_up": UP}, 1.0, None), torch.full((32, 32), 4.0))


def test_those_of_peft_stand_beside_the_file(made, tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 6}))
    [layer] = plan(made, write(tmp_path / "adapter_model.safetensors", peft("base_model.model.")).file)
    assert layer.alpha == 6.0 and layer.place.module == NAME


def test_layers_behind_those_that_are_computed_are_left_out(made, tmp_path):
    """The last of OpenCLIP-H's 24 layers, and CLIP's projection: networks have been trained with them."""
    deep = {f"lora_te_text_model_encoder_layers_{number}_mlp_fc1.diff": torch.ones(128, 32) for number in (2, 3)}
    deep["lora_te_text_projection.diff"] = torch.ones(32, 32)
    [layer] = plan(made, write(tmp_path / "x.safetensors", deep).file)
    assert layer.place.module == "encoder.layers.2.mlp.fc1"


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"lora_te_text_model_encoder_layers_2_mlp_fc9.diff": DOWN}, "does not fit 'tiny', which has no layer 'lora_te_text_model_encoder_layers_2_mlp_fc9'"),
        ({"lora_unet_conv_in.diff": DOWN, "unheard.of": DOWN}, "holds 'unheard.of', which Darkroom does not apply"),
        ({"lora_unet_conv_in.diff": torch.ones(32, 4, 3, 3), "lora_unet_conv_in.rescale": UP}, "its layer 'lora_unet_conv_in' has only rescale"),
        ({f"lora_unet_{NAME.replace('.', '_')}.diff_b": torch.ones(32), "lora_unet_conv_in.diff": torch.ones(32, 4, 3, 3)}, "has another shape"),
        ({f"unet.{NAME}.lora_A.weight": DOWN, f"unet.{NAME}.lora_B.weight": UP, f"unet.{NAME}.lora_B.bias": UP}, "is a network of LoRA with biases"),
    ],
)
def test_sentences(made, tmp_path, tensors, sentence):
    with pytest.raises(BadCheckpoint, match=sentence):
        plan(made, write(tmp_path / "x.safetensors", tensors).file)


def test_a_file_with_a_problem_is_not_opened(made, tmp_path):
    file = write(tmp_path / "x.safetensors", peft("unet.")).file
    with pytest.raises(BadCheckpoint, match="burnt"):
        plan(made, replace(file, problem="It is burnt."))

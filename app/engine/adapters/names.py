"""What the names of tensors in network files mean, whoever wrote them: kohya, LyCORIS, diffusers, peft, ComfyUI, OneTrainer."""

import re
from typing import NamedTuple

UNET, TEXT, TEXT_2 = "unet", "text_encoder", "text_encoder_2"

ROLES = {
    ".lora_down.weight": "lora_down", ".lora_up.weight": "lora_up", ".lora_mid.weight": "lora_mid",
    ".lora_A.weight": "lora_down", ".lora_B.weight": "lora_up", ".lora_A": "lora_down", ".lora_B": "lora_up",
    ".lora.down.weight": "lora_down", ".lora.up.weight": "lora_up", "_lora.down.weight": "lora_down", "_lora.up.weight": "lora_up",
    ".lora_linear_layer.down.weight": "lora_down", ".lora_linear_layer.up.weight": "lora_up",
    ".dora_scale": "dora_scale", ".lora_magnitude_vector": "dora_scale", ".lora_magnitude_vector.weight": "dora_scale",
    ".a1.weight": "a1", ".a2.weight": "a2", ".b1.weight": "b1", ".b2.weight": "b2", ".bm.weight": "bm",
    **{f".{role}": role for role in (
        "alpha", "scale", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b",
        "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2", "on_input", "diff", "diff_b", "w_norm", "b_norm", "oft_blocks", "rescale",
    )},
    ".weight": "weight",
}  # fmt: skip
"""How the name of a tensor ends -> its role; of several that fit, the first counts."""

FOREIGN = {
    ".oft_R": "peft's OFT", ".oft_R.weight": "peft's OFT", ".boft_R": "peft's BOFT", ".hada_w1": "peft's LoHa", ".lora_C.weight": "an unknown kind of LoRA",
    ".vera_lambda_b": "VeRA", ".vera_lambda_d": "VeRA", ".ia3_l": "peft's IA3", ".bias_indices": "LyCORIS' sparse bias", ".lora_up.bias": "LoRA with biases",
    ".lora_B.bias": "LoRA with biases", ".set_weight": "replaced weights", ".reshape_weight": "reshaped weights", ".q_layer.weight": "T-LoRA",
    ".lambda_layer": "T-LoRA",
}  # fmt: skip
"""Endings of methods that are not applied -> what to call them."""

NETWORKS = (
    ("lora_unet_", UNET), ("lora_te2_", TEXT_2), ("lora_te1_", TEXT), ("lora_te_", TEXT), ("model_diffusion_model_", UNET), ("diffusion_model_", UNET),
    ("unet_", UNET), ("text_encoder_2_", TEXT_2), ("text_encoder_", TEXT), ("text_encoders_clip_g_transformer_", TEXT_2),
    ("text_encoders_clip_l_transformer_", TEXT), ("text_encoders_clip_h_transformer_", TEXT), ("clip_g_transformer_", TEXT_2), ("clip_l_transformer_", TEXT),
    ("clip_h_transformer_", TEXT), ("cond_stage_model_transformer_", TEXT), ("conditioner_embedders_0_transformer_", TEXT),
    ("clip_g_", TEXT_2), ("clip_l_", TEXT), ("lycoris_", UNET), ("", UNET),
)  # fmt: skip
"""How a name begins, its dots made underscores -> the network that it speaks of."""

_ADAPTER = re.compile(r"\.(lora_A|lora_B|lora_magnitude_vector)\.(?!weight$)[^.]+(\.weight)?$")


class Name(NamedTuple):
    """A tensor's name, understood.

    Attributes:
        network: "unet", "text_encoder" or "text_encoder_2".
        layer: the layer's name with underscores, as `app.engine.adapters.places` spells it.
        role: see `app.engine.adapters.parts.Parts`; "" when the name ends in no known way.
        written: the layer as the file has it, for people.
    """

    network: str
    layer: str
    role: str
    written: str


def understood(name: str) -> Name:
    """What a tensor's name in a network file says. Never raises."""
    plain = _ADAPTER.sub(r".\1\2", name)
    end, role = next(((end, role) for end, role in ROLES.items() if plain.endswith(end)), ("", ""))
    written = plain.removesuffix(end)
    flat = written.removeprefix("base_model.model.").replace(".processor", "").replace(".", "_")
    prefix, network = next((prefix, network) for prefix, network in NETWORKS if flat.startswith(prefix))
    return Name(network, (_unet_layer if network == UNET else _text_layer)(flat.removeprefix(prefix)), role, written)


def foreign(name: str) -> str:
    """The method that a tensor belongs to, of those that are not applied; "" when it is none of them."""
    return next((method for end, method in FOREIGN.items() if name.endswith(end)), "")


def _unet_layer(flat: str) -> str:
    return flat + "_0" if flat.endswith(("attn1_to_out", "attn2_to_out")) else flat


def _text_layer(flat: str) -> str:
    """Without "text_model", and with CLIP's names where diffusers' first networks had its attention's ("to_q")."""
    while flat.startswith("text_model_"):
        flat = flat.removeprefix("text_model_")
    return re.sub(r"self_attn_to_(q|k|v|out)$", r"self_attn_\1_proj", flat)

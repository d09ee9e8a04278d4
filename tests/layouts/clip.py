"""Names and shapes of text encoders: transformers' CLIP and OpenCLIP."""

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Clip:
    """`layers` as the file has them; `projection`: width of the pooled output where transformers' layout has one."""

    width: int
    layers: int
    words: int = 49408
    projection: int = 0


L = Clip(768, 12)
H = Clip(1024, 24)
"""OpenCLIP ViT-H/14: SD 2 reads its last layer but one, so diffusers folders have 23."""
G = Clip(1280, 32, projection=1280)


def huggingface(clip: Clip, prefix: str = "text_model.") -> dict[str, Shape]:
    """transformers 4's names. `prefix` goes before everything but the projection, which stands beside "text_model."."""
    width = clip.width
    found: dict[str, Shape] = {
        f"{prefix}embeddings.position_ids": (1, 77),
        f"{prefix}embeddings.token_embedding.weight": (clip.words, width),
        f"{prefix}embeddings.position_embedding.weight": (77, width),
    }
    for layer in range(clip.layers):
        inside = f"{prefix}encoder.layers.{layer}"
        shapes = {f"self_attn.{part}_proj": (width, width) for part in "kvq"} | {"self_attn.out_proj": (width, width), "layer_norm1": (width,)}
        shapes |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width), "layer_norm2": (width,)}
        found |= {f"{inside}.{part}.{kind}": shape if kind == "weight" else shape[:1] for part, shape in shapes.items() for kind in ("weight", "bias")}
    found |= {f"{prefix}final_layer_norm.weight": (width,), f"{prefix}final_layer_norm.bias": (width,)}
    if clip.projection:
        found[prefix.removesuffix("text_model.") + "text_projection.weight"] = (clip.projection, width)
    return found


def openclip(clip: Clip, prefix: str = "cond_stage_model.model.") -> dict[str, Shape]:
    width = clip.width
    found: dict[str, Shape] = {
        f"{prefix}positional_embedding": (77, width), f"{prefix}text_projection": (width, width), f"{prefix}logit_scale": (),
        f"{prefix}token_embedding.weight": (clip.words, width), f"{prefix}ln_final.weight": (width,), f"{prefix}ln_final.bias": (width,),
    }  # fmt: skip
    for layer in range(clip.layers):
        inside = f"{prefix}transformer.resblocks.{layer}"
        found |= {f"{inside}.attn.in_proj_weight": (3 * width, width), f"{inside}.attn.in_proj_bias": (3 * width,)}
        shapes = {"ln_1": (width,), "attn.out_proj": (width, width), "ln_2": (width,), "mlp.c_fc": (4 * width, width), "mlp.c_proj": (width, 4 * width)}
        found |= {f"{inside}.{part}.{kind}": shape if kind == "weight" else shape[:1] for part, shape in shapes.items() for kind in ("weight", "bias")}
    return found


def config(clip: Clip, layers: int = 0) -> dict[str, object]:
    """What a diffusers folder's text_encoder/config.json says."""
    return {
        "architectures": ["CLIPTextModelWithProjection" if clip.projection else "CLIPTextModel"], "model_type": "clip_text_model",
        "vocab_size": clip.words, "hidden_size": clip.width, "intermediate_size": 4 * clip.width, "num_hidden_layers": layers or clip.layers,
        "num_attention_heads": max(1, clip.width // 64), "max_position_embeddings": 77, "projection_dim": clip.projection or clip.width,
        "hidden_act": "quick_gelu" if clip.layers == L.layers else "gelu", "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
    }  # fmt: skip

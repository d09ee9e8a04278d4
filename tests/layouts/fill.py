"""Small models of every family with random numbers, the same ones in every layout that users' files have.

    made = fill.weights("sdxl")
    fill.single(tmp_path / "x.safetensors", made)       # LDM's names
    fill.folder(tmp_path / "x", made)                   # a diffusers folder
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.layouts import checkpoints, clip, unet, vae
from tests.layouts.checkpoints import Layout
from tests.layouts.clip import Clip

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Made:
    """A family's numbers under both names.

    Attributes:
        unet, vae: (LDM's names without prefix, diffusers' names).
        texts: folder name -> weights under transformers' classic names, all layers.
    """

    family: str
    layout: Layout
    unet: tuple[Weights, Weights]
    vae: tuple[Weights, Weights]
    texts: dict[str, Weights]


def layout_of(family: str, *, shallow: bool) -> Layout:
    """The family's layout at small widths; `shallow`: with few layers in the text encoders and few blocks in SDXL's attentions, too."""
    found = checkpoints.layout(family)
    if not shallow:
        return found
    texts = {name: (replace(text, layers=3), *rest) for name, (text, *rest) in found.texts.items()}
    depth = {(0, 2, 10): (0, 1, 2), (0, 4, 4, 0): (0, 1, 1, 0)}.get(found.unet.depth, found.unet.depth)
    return replace(found, unet=replace(found.unet, depth=depth, middle=max(depth[-2:])), texts=texts)


def weights(family: str, seed: int = 0, *, shallow: bool = False, spread: float = 0.05) -> Made:
    """Random weights at small widths.

    Args:
        shallow: see `layout_of`.
        spread: of the UNet's biases; SD 2's prediction is told by it where nothing else tells.
    """
    generator = torch.Generator().manual_seed(seed)
    layout = layout_of(family, shallow=shallow)
    rows = unet.both(layout.unet)
    numbers = [_numbers(ours, shape, generator, spread) for _, ours, shape in rows]
    both = dict(zip((theirs for theirs, _, _ in rows), numbers, strict=True)), dict(zip((ours for _, ours, _ in rows), numbers, strict=True))
    theirs, ours = vae.ldm(32, ""), vae.diffusers(32)
    coded = {name: _numbers(mine, shape, generator) for (name, shape), mine in zip(theirs.items(), ours, strict=True)}
    texts = {
        name: {key: _numbers(key, shape, generator) for key, shape in clip.huggingface(text).items() if not key.endswith("position_ids")}
        for name, (text, *_) in layout.texts.items()
    }
    return Made(family, layout, both, (coded, {mine: value.reshape(ours[mine]) for mine, value in zip(ours, coded.values(), strict=True)}), texts)


def _numbers(name: str, shape: tuple[int, ...], generator: torch.Generator, spread: float = 0.05) -> Tensor:
    values = torch.randn(shape, generator=generator)
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * values
    return values * (spread if name.endswith("bias") else 0.5 if "embedding" in name and "time" not in name else 1 / math.sqrt(math.prod(shape[1:])))


def ldm(made: Made, *, text: bool = True, own_vae: bool = True, ema: bool = False) -> Weights:
    """All weights as a single file has them, with what else lies in such files."""
    found = {"alphas_cumprod": torch.zeros(1000), "model_ema.decay": torch.tensor(0.9999)}
    found |= {"model.diffusion_model." + name: value for name, value in made.unet[0].items()}
    if ema:
        found |= {"model_ema." + ("diffusion_model." + name).replace(".", ""): -value for name, value in made.unet[0].items()}
    found |= {"first_stage_model." + name: value for name, value in made.vae[0].items()} if own_vae else {}
    for name, weights_ in made.texts.items() if text else ():
        _, prefix, kind = made.layout.texts[name]
        found |= openclip(weights_, prefix) if kind == "openclip" else huggingface(weights_, prefix)
    return found


def huggingface(weights: Weights, prefix: str) -> Weights:
    """A text encoder under transformers' names with another prefix instead of "text_model."."""
    found = {prefix + name.removeprefix("text_model."): value for name, value in weights.items() if name.startswith("text_model.")}
    found |= {prefix.removesuffix("text_model.") + name: value for name, value in weights.items() if not name.startswith("text_model.")}
    return found | {f"{prefix}embeddings.position_ids": torch.arange(77)[None]}


def openclip(weights: Weights, prefix: str) -> Weights:
    """A text encoder under OpenCLIP's names."""
    inside = {name.removeprefix("text_model."): value for name, value in weights.items()}
    width = inside["final_layer_norm.weight"].shape[0]
    found = {
        "positional_embedding": inside["embeddings.position_embedding.weight"], "token_embedding.weight": inside["embeddings.token_embedding.weight"],
        "ln_final.weight": inside["final_layer_norm.weight"], "ln_final.bias": inside["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6), "text_projection": inside.get("text_projection.weight", torch.eye(width)).T,
    }  # fmt: skip
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}
    for layer in range(sum(name.endswith("layer_norm1.weight") for name in inside)):
        ours, theirs = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            found[f"{theirs}attn.in_proj_{kind}"] = torch.cat([inside[f"{ours}self_attn.{part}_proj.{kind}"] for part in "qkv"])
            found |= {f"{theirs}{name}.{kind}": inside[f"{ours}{mine}.{kind}"] for mine, name in names.items()}
    return {prefix + name: value for name, value in found.items()}


def save(path: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float32, metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file; float8 is for matrices alone, as such files have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = dtype.itemsize == 1
    cast = {
        name: (value.to(dtype if value.dim() > 1 or not small else torch.float16) if value.is_floating_point() else value).contiguous().clone()
        for name, value in weights.items()
    }
    save_file(cast, path, metadata or {"format": "pt"})
    return path


def single(path: Path, made: Made, dtype: torch.dtype = torch.float32, metadata: dict[str, str] | None = None, **parts: bool) -> Path:
    """One file; `parts` go to `ldm`."""
    return save(path, ldm(made, **parts), dtype, metadata)


def folder(
    path: Path, made: Made, dtype: torch.dtype = torch.float32, *, variant: str = "", shards: int = 1, scheduler: Mapping[str, Any] | None = None
) -> Path:
    """A diffusers folder. Its tokenizers are CLIP's; `shards`: in how many files the UNet's weights lie."""
    from tests.tiny import _write_tokenizer

    held = {"unet": made.unet[1], "vae": made.vae[1]} | {name: _layers(made.layout.texts[name], weights) for name, weights in made.texts.items()}
    configs = {"unet": unet.config(made.layout.unet, made.layout.sample), "vae": vae.config(32, made.layout.factor)}
    configs |= {name: _text_config(text) for name, text in made.layout.texts.items()}
    for part, weights_ in held.items():
        stem = "model" if part in made.texts else "diffusion_pytorch_model"
        dot = f".{variant}" if variant else ""
        (path / part).mkdir(parents=True)
        (path / part / "config.json").write_text(json.dumps(configs[part]))
        names = list(weights_)
        count = shards if part == "unet" else 1
        for number in range(count):
            piece = f"-{number + 1:05}-of-{count:05}" if count > 1 else ""
            save(path / part / f"{stem}{dot}{piece}.safetensors", {name: weights_[name] for name in names[number::count]}, dtype)
    for name in made.texts:
        _write_tokenizer(path / name.replace("text_encoder", "tokenizer"), clip_vocabulary=True)
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps({**checkpoints.scheduler(made.family), **(scheduler or {})}))
    (path / "model_index.json").write_text(json.dumps(checkpoints.index(made.family)))
    return path


def _text_config(text: tuple[Clip, str, str]) -> dict[str, object]:
    clip_, _, kind = text
    act = "gelu" if kind == "openclip" else "quick_gelu"
    return clip.config(clip_, clip_.layers - 1 if kind == "openclip" and not clip_.projection else clip_.layers) | {"hidden_act": act}


def _layers(text: tuple[Clip, str, str], weights: Weights) -> Weights:
    """What a folder has of a text encoder: of OpenCLIP-H all layers but the last."""
    clip_, _, kind = text
    last = f".layers.{clip_.layers - 1}." if kind == "openclip" and not clip_.projection else "none"
    return {name: value for name, value in weights.items() if last not in name}

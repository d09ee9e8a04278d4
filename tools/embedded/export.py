"""Writing the trained parts as a diffusers Stable Diffusion folder, float16, readable by old and new libraries.

The text encoder is written by hand: transformers 5 drops the `text_model.` prefix that all SD1 tools expect.
"""

import json
import os
import shutil
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModel

from tools.embedded.safefile import write_safetensors
from tools.embedded.unet import BETA_END, BETA_START, TRAIN_STEPS

SIZE_LIMIT = 25_000_000
"""Bytes the whole folder may take."""

TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "tokenizer.json")
DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"


def half_weights(module: nn.Module, prefix: str = "") -> dict[str, torch.Tensor]:
    """The module's weights as contiguous float16 CPU tensors, each name behind `prefix`."""
    return {prefix + name: value.detach().to("cpu", torch.float16).contiguous() for name, value in module.state_dict().items()}


def _write_json(data: dict, path: Path) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _write_diffusers_part(module: AutoencoderKL | UNet2DConditionModel, folder: Path) -> None:
    folder.mkdir(parents=True)
    module.save_config(folder)
    save_file(half_weights(module), folder / DIFFUSERS_WEIGHTS, metadata={"format": "pt"})


def replace_vae(folder: Path, vae: AutoencoderKL) -> None:
    """Give a checkpoint folder another autoencoder of the same shape."""
    write_safetensors(folder / "vae" / DIFFUSERS_WEIGHTS, half_weights(vae), {"format": "pt"})


def _write_text_encoder(encoder: CLIPTextModel, folder: Path) -> None:
    folder.mkdir(parents=True)
    # float32 is what to compute in: transformers would otherwise load float16 beside a float32 UNet.
    config = encoder.config.to_dict() | {"architectures": ["CLIPTextModel"], "torch_dtype": "float32"}
    for local in ("_name_or_path", "dtype"):
        config.pop(local, None)
    _write_json(config, folder / "config.json")
    prefix = "" if next(iter(encoder.state_dict())).startswith("text_model.") else "text_model."
    save_file(half_weights(encoder, prefix), folder / "model.safetensors", metadata={"format": "pt"})


def _write_scheduler(folder: Path) -> None:
    scheduler = PNDMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.save_pretrained(folder)


def _model_index() -> dict:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def folder_size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def export_folder(target: Path, vae: AutoencoderKL, unet: UNet2DConditionModel, encoder: CLIPTextModel, tokenizer: Path) -> int:
    """Write the checkpoint to `target` and return its size in bytes.

    Everything is first written to a folder beside it and then renamed file by file: a reader never meets half a file.
    """
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _write_json(_model_index(), part / "model_index.json")
    _write_diffusers_part(unet, part / "unet")
    _write_diffusers_part(vae, part / "vae")
    _write_text_encoder(encoder, part / "text_encoder")
    _write_scheduler(part / "scheduler")
    (part / "tokenizer").mkdir()
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, part / "tokenizer" / name)
    size = folder_size(part)
    if size > SIZE_LIMIT:
        raise ValueError(f"the checkpoint takes {size} bytes, more than {SIZE_LIMIT}")
    for path in sorted(part.rglob("*")):
        if path.is_file():
            final = target / path.relative_to(part)
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, final)
    shutil.rmtree(part)
    return size

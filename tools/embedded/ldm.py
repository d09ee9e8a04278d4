"""Writing the embedded family as users meet checkpoints: one .safetensors file in the original (LDM) key layout.

Widths, layers and input channels are free, so that inpainting UNets (9 channels) are written by the same code.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from app.engine.families.ldm_names import CLIP, UNET, VAE, unet_name, vae_name, vae_shape
from tools.embedded.safefile import write_safetensors

BASE_KEY = "darkroom.base"
"""Metadata key: the folder checkpoint below models/embedded that configs, word list and noise levels come from."""

FP8_LEAST = 1024
"""Of the UNet's matrices and kernels, those with at least so many values are float8 in an fp8 file."""


def ldm_state_dict(unet: Any, vae: Any, text_encoder: nn.Module) -> dict[str, Tensor]:
    """All weights under LDM's names; the tensors are the modules' own, of their dtype and device.

    Args:
        unet: diffusers' UNet2DConditionModel in SD 1's layout, any number of input channels.
        vae: diffusers' AutoencoderKL. Its attention's matrices become 1x1 kernels, as LDM has them.
        text_encoder: transformers' CLIPTextModel, of version 4 or 5.
    """
    per_block, attends = unet.config.layers_per_block, [hasattr(block, "attentions") for block in unet.up_blocks]
    found = {UNET + unet_name(key, per_block, attends): value for key, value in unet.state_dict().items()}
    found |= _vae_state_dict(vae)
    for key, value in text_encoder.state_dict().items():
        if not key.endswith("position_ids"):
            found[CLIP + key.removeprefix("text_model.")] = value
    return found


def _vae_state_dict(vae: Any) -> dict[str, Tensor]:
    levels, found = len(vae.config.block_out_channels), {}
    for key, value in vae.state_dict().items():
        name = vae_name(key, levels)
        found[VAE + name] = value.reshape(vae_shape(name, tuple(value.shape)))
    return found


def replace_vae(path: Path, vae: nn.Module) -> None:
    """Give a file that `write_ldm` wrote another autoencoder of the same shape."""
    with safe_open(path, "pt") as file:
        weights, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    weights |= {name: _stored(name, value, fp8=False) for name, value in _vae_state_dict(vae).items()}
    write_safetensors(path, weights, metadata)


def write_ldm(path: Path, unet: nn.Module, vae: nn.Module, text_encoder: nn.Module, metadata: dict[str, str], fp8: bool = False) -> int:
    """Writes one file, under a temporary name first, and returns its size in bytes.

    Args:
        metadata: goes into the header; `BASE_KEY` should be among it for the embedded family.
        fp8: the UNet's larger matrices and kernels as float8_e4m3fn, everything else as float16; without it all is float16.

    Raises:
        ValueError: a weight is not finite in the precision it is written in; it is named.
    """
    weights = {name: _stored(name, value, fp8) for name, value in ldm_state_dict(unet, vae, text_encoder).items()}
    return write_safetensors(path, weights, {"format": "pt", **metadata})


def _stored(name: str, value: Tensor, fp8: bool) -> Tensor:
    """A copy as it is written: contiguous, on the CPU, with memory of its own."""
    value = value.detach().to("cpu")
    if not value.is_floating_point():
        return value.contiguous().clone()
    small = fp8 and name.startswith(UNET) and value.dim() >= 2 and value.numel() >= FP8_LEAST
    dtype = torch.float8_e4m3fn if small else torch.float16
    if not torch.isfinite(value).all() or value.abs().max() > torch.finfo(dtype).max:
        raise ValueError(f"'{name}' holds values that {dtype} cannot hold")
    return value.to(dtype).contiguous().clone()

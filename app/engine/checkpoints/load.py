"""From model files to networks, of every family and format: text encoders first, then UNet, VAE and noise levels.

Configs are read off the shapes of a single file (`app.engine.families.*_layout`), or come from a diffusers folder, or from the
folder that a single file names as its base. Which weights are checked before they are read, and how, is in `build`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from app.engine.checkpoints import build
from app.engine.checkpoints.header import ModelFile, config_of, weight_files
from app.engine.checkpoints.held import Held, beginning, header_of
from app.engine.checkpoints.networks import Dtypes, Networks, Parts, TextTower
from app.engine.checkpoints.noise_levels import alphas_cumprod, prediction_type
from app.engine.checkpoints.recognise import BY_INPUTS, STEMS, part_weights
from app.engine.checkpoints.text_towers import load_texts
from app.engine.families import group_of, unet_layout, vae_layout
from app.errors import BadCheckpoint

INPUTS = {family: inputs for (_, inputs), family in BY_INPUTS.items()}
"""Family -> input channels that its UNet must have; 4 where it is not listed."""


def load_networks(file: ModelFile, parts: Parts, dtypes: Dtypes) -> Networks:
    """The networks of a checkpoint, with its own parts or others.

    Raises:
        BadCheckpoint: one sentence that names what is missing, misshapen or damaged.
    """
    for chosen in (file, *parts.files):
        if chosen.problem:
            raise BadCheckpoint(chosen.problem)
    group, home = group_of(file.family), file.path if file.path.is_dir() else file.base
    texts = load_texts(file, parts, dtypes.text_encoder)
    unet = _load_unet(file, group, texts[-1], dtypes.unet)
    scheduler = config_of(home / "scheduler", "scheduler_config.json") if home and (home / "scheduler").is_dir() else {}
    vae = load_vae(parts.vae or file, dtypes.vae, group)
    levels = alphas_cumprod(scheduler, home or file.path, zero_snr=file.zero_snr)
    told = file.prediction or str(scheduler.get("prediction_type", ""))
    networks = Networks(unet, vae, texts, levels, prediction_type(told, file.family, unet, home or file.path))
    _check_fit(networks, file)
    return networks


def _load_unet(file: ModelFile, group: str, text: TextTower, dtype: torch.dtype) -> nn.Module:
    path = file.path
    if path.is_dir():
        config: dict[str, Any] = dict(config_of(path / "unet"))
        unet = build.unet(config, path)
        build.fill(unet, Held(path, part_weights(path, "unet")), dtype, dict, "UNet")
        return unet
    header = header_of(path)
    found = unet_layout.find(header.shape)
    if found is None:
        raise BadCheckpoint(f"'{path.name}' has no UNet.", "Choose another checkpoint.")
    prefix, naming = found
    held = Held(path, [path], beginning(prefix, naming.parts))
    config = build.fitting(path, lambda: unet_layout.unet_config(held.shape, held.shapes, naming, group, int(text.network.config.projection_dim)))
    if file.base is not None:
        config = {**config_of(file.base / "unet"), "in_channels": config["in_channels"]}
    unet = build.unet(config, path)
    build.fill(unet, held, dtype, lambda weights: unet_layout.convert_unet(weights, config, naming), "UNet")
    return unet


def load_vae(file: ModelFile, dtype: torch.dtype, group: str = "sd1") -> nn.Module:
    """The VAE of a checkpoint or from a file of its own (LDM keys with or without prefix, diffusers keys) or a diffusers folder.

    Args:
        group: of the checkpoint that it is for, which decides the factor of the latents where no config says it.

    Raises:
        BadCheckpoint
    """
    if file.path.is_dir():
        return _folder_vae(file, dtype, group)
    path = file.path
    prefix = vae_layout.find(header_of(path).shape)
    if prefix is None:
        raise BadCheckpoint(f"'{path.name}' has no VAE.", "Choose one in the field VAE.")
    held = Held(path, [path], beginning(prefix, vae_layout.PARTS))
    config = build.fitting(path, lambda: vae_layout.vae_config(held.shape, group))
    config = dict(config_of(file.base / "vae")) if file.base else config
    vae = build.vae(config, path)
    build.fill(vae, held, dtype, lambda weights: vae_layout.convert_vae(weights, config), "VAE")
    return vae


def _folder_vae(file: ModelFile, dtype: torch.dtype, group: str) -> nn.Module:
    whole = file.kind != "vae"
    folder: Path = file.path / "vae" if whole else file.path
    if not folder.is_dir():
        raise BadCheckpoint(f"'{file.path.name}' has no VAE.", "Choose one in the field VAE.")
    files = part_weights(file.path, "vae") if whole else weight_files(folder, STEMS["vae"])
    config: dict[str, Any] = {"scaling_factor": vae_layout.scaling_factor(group), **config_of(folder)}
    vae = build.vae(config, folder)
    build.fill(vae, Held(folder, files), dtype, lambda weights: vae_layout.convert_vae(weights, config), "VAE")
    return vae


def _check_fit(networks: Networks, file: ModelFile) -> None:
    """The parts belong together: widths, input and latent channels, factor 8."""
    name, config = file.path.name, networks.unet.config
    width, expected = sum(tower.network.config.hidden_size for tower in networks.texts), config.cross_attention_dim
    if width != expected:
        said = "text encoder is" if len(networks.texts) == 1 else "text encoders are together"
        raise BadCheckpoint(f"'{name}' does not fit together: its {said} {width} wide, its UNet expects {expected}.")
    latent, factor = networks.vae.config.latent_channels, 2 ** (len(networks.vae.config.block_out_channels) - 1)
    found, wanted, inputs = config.in_channels, config.out_channels, INPUTS.get(file.family, 4)
    if found != inputs:
        raise BadCheckpoint(f"The UNet of '{name}' has {found} input channels, but {inputs} are needed.")
    if latent != wanted or factor != 8:
        raise BadCheckpoint(f"The VAE for '{name}' makes {latent} channels at 1/{factor} of the size, but {wanted} at 1/8 are needed.")

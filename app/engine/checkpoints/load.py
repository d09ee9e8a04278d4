"""From model files to networks, of every family and format.

Every part is found, built without memory and checked by name and shape before a number of any is read, so that a wrong file costs
milliseconds. Configs are read off the shapes of a single file (`app.engine.families.*_layout`), or come from a diffusers folder, or
from the folder that a single file names as its base.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from app.engine.checkpoints import build
from app.engine.checkpoints.build import Blank
from app.engine.checkpoints.header import ModelFile, config_of, weight_files
from app.engine.checkpoints.held import Held, beginning, header_of
from app.engine.checkpoints.networks import Dtypes, Networks, Parts
from app.engine.checkpoints.noise_levels import alphas_cumprod, prediction_type
from app.engine.checkpoints.recognise import BY_INPUTS, STEMS, part_weights
from app.engine.checkpoints.text_towers import BlankTower, blank_texts
from app.engine.families import depth_layout, group_of, unet_layout, vae_layout
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
    texts = blank_texts(file, parts, dtypes.text_encoder)
    unet = _blank_unet(file, group, texts[-1].blank.network.config.projection_dim, dtypes.unet)
    vae = _blank_vae(parts.vae or file, dtypes.vae, group)
    extras = _extras(file)
    _check_fit(file, texts, unet.network.config, vae.network.config)
    scheduler = config_of(home / "scheduler", "scheduler_config.json") if home and (home / "scheduler").is_dir() else {}
    levels = alphas_cumprod(scheduler, home or file.path, zero_snr=file.zero_snr)
    towers, told = tuple(tower.filled() for tower in texts), file.prediction or str(scheduler.get("prediction_type", ""))
    prediction = prediction_type(told, file.family, unet.filled(), home or file.path)
    return Networks(unet.network, vae.filled(), towers, levels, prediction, {name: blank.filled() for name, blank in extras.items()})


def load_vae(file: ModelFile, dtype: torch.dtype, group: str = "sd1") -> nn.Module:
    """The VAE of a checkpoint or from a file of its own (LDM keys with or without prefix, diffusers keys) or a diffusers folder.

    Args:
        group: of the checkpoint that it is for, which decides the factor of the latents where no config says it.

    Raises:
        BadCheckpoint
    """
    network: nn.Module = _blank_vae(file, dtype, group).filled()
    return network


def _blank_unet(file: ModelFile, group: str, pooled: int, dtype: torch.dtype) -> Blank:
    path = file.path
    if path.is_dir():
        config: dict[str, Any] = dict(config_of(path / "unet"))
        return build.blank(build.unet(config, path), Held(path, part_weights(path, "unet")), dtype, dict, "UNet")
    found = unet_layout.find(header_of(path).shape)
    if found is None:
        raise BadCheckpoint(f"'{path.name}' has no UNet.", "Choose another checkpoint.")
    prefix, naming = found
    held = Held(path, [path], beginning(prefix, naming.parts))
    config = build.fitting(path, lambda: unet_layout.unet_config(held.shape, held.shapes, naming, group, pooled))
    if file.base is not None:
        config = {**config_of(file.base / "unet"), "in_channels": config["in_channels"]}
    return build.blank(build.unet(config, path), held, dtype, lambda weights: unet_layout.convert_unet(weights, config, naming), "UNet")


def _blank_vae(file: ModelFile, dtype: torch.dtype, group: str) -> Blank:
    path = file.path
    if path.is_dir():
        path = path if file.kind == "vae" else path / "vae"
        if not path.is_dir():
            raise BadCheckpoint(f"'{file.path.name}' has no VAE.", "Choose one in the field VAE.")
        held = Held(path, weight_files(path, STEMS["vae"]) if file.kind == "vae" else part_weights(file.path, "vae"))
        config: dict[str, Any] = {"scaling_factor": vae_layout.scaling_factor(group), **config_of(path)}
    else:
        prefix = vae_layout.find(header_of(path).shape)
        if prefix is None:
            raise BadCheckpoint(f"'{path.name}' has no VAE.", "Choose one in the field VAE.")
        held = Held(path, [path], beginning(prefix, vae_layout.PARTS))
        config = build.fitting(path, lambda: vae_layout.vae_config(held.shape, group))
        config = dict(config_of(file.base / "vae")) if file.base else config
    return build.blank(build.vae(config, path), held, dtype, lambda weights: vae_layout.convert_vae(weights, config), "VAE")


def _extras(file: ModelFile) -> dict[str, Blank]:
    """SD 2 depth's own estimator, in float32, where the checkpoint holds it; without it a request must bring a depth map."""
    path, folder = file.path, file.path / "depth_estimator"
    if file.family != "sd2-depth":
        return {}
    if path.is_dir():
        files = weight_files(folder, STEMS["text_encoder"])
        if not files:
            return {}
        held, config = Held(folder, files), dict(config_of(folder))
    else:
        held = Held(path, [path], beginning(depth_layout.PREFIX))
        if not held.shapes:
            return {}
        config = build.fitting(path, lambda: depth_layout.depth_config(held.shape))
    network = build.depth_estimator(config, held.path)
    return {"depth_estimator": build.blank(network, held, torch.float32, depth_layout.convert_depth, "depth network")}


def _check_fit(file: ModelFile, texts: tuple[BlankTower, ...], unet: Any, vae: Any) -> None:
    """The parts belong together, by their configs: widths, input and latent channels, factor 8. Raises BadCheckpoint."""
    name: str = Path(file.path).name
    width = sum(tower.blank.network.config.hidden_size for tower in texts)
    if width != unet.cross_attention_dim:
        said = "text encoder is" if len(texts) == 1 else "text encoders are together"
        raise BadCheckpoint(f"'{name}' does not fit together: its {said} {width} wide, its UNet expects {unet.cross_attention_dim}.")
    inputs, factor = INPUTS.get(file.family, 4), 2 ** (len(vae.block_out_channels) - 1)
    if unet.in_channels != inputs:
        raise BadCheckpoint(f"The UNet of '{name}' has {unet.in_channels} input channels, but {inputs} are needed.")
    if vae.latent_channels != unet.out_channels or factor != 8:
        wanted = f"{unet.out_channels} at 1/8 are needed"
        raise BadCheckpoint(f"The VAE for '{name}' makes {vae.latent_channels} channels at 1/{factor} of the size, but {wanted}.")

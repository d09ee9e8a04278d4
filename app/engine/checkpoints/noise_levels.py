"""The noise levels that a checkpoint was trained on, and what its network predicts."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from app.engine.schedules import scaled_linear_alphas
from app.errors import BadCheckpoint

PREDICTIONS = ("epsilon", "v_prediction", "sample")
V_SPREAD = 0.09
"""Standard deviation of the last attention's first bias above which an SD 2 UNet speaks of v; found by ComfyUI's authors."""


def alphas_cumprod(scheduler: dict[str, Any], path: Path, *, zero_snr: bool = False) -> np.ndarray:
    """The noise levels that a diffusers scheduler's config describes; Stable Diffusion's own where it says nothing.

    Args:
        zero_snr: shifted so that the last one is pure noise, as a config with "rescale_betas_zero_snr" asks for too.

    Returns:
        (n,) float64, falling, the share of the picture that is left at each timestep.

    Raises:
        BadCheckpoint
    """
    start, end = scheduler.get("beta_start", 0.00085), scheduler.get("beta_end", 0.012)
    count, kind, trained = scheduler.get("num_train_timesteps", 1000), scheduler.get("beta_schedule", "scaled_linear"), scheduler.get("trained_betas")
    if "EDM" in str(scheduler.get("_class_name", "")):
        raise BadCheckpoint(f"'{path.name}' was trained on EDM's continuous noise levels, which this version does not run.")
    try:
        if trained is not None:
            alphas = np.cumprod(1.0 - np.asarray(trained, dtype=np.float64))
        elif kind == "linear":
            alphas = np.cumprod(1.0 - np.linspace(start, end, count, dtype=np.float64))
        elif kind == "scaled_linear":
            alphas = scaled_linear_alphas(start, end, count)
        elif kind == "squaredcos_cap_v2":  # Nichol and Dhariwal 2021, equation 17, betas at most 0.999
            bars = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * math.pi / 2) ** 2
            alphas = np.cumprod(np.maximum(bars[1:] / bars[:-1], 0.001))
        else:
            known = "'scaled_linear', 'linear' and 'squaredcos_cap_v2'"
            raise BadCheckpoint(f"'{path.name}' was trained on the noise schedule '{kind}'; this version knows {known}.")
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"'{path.name}/scheduler' cannot be used: {error}.") from None
    if zero_snr or scheduler.get("rescale_betas_zero_snr"):
        roots = np.sqrt(alphas)  # Lin et al. 2024, algorithm 1: shifted so that the last is 0, scaled so that the first stays
        alphas = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    if alphas.ndim != 1 or len(alphas) < 2 or not np.isfinite(alphas).all() or not (np.diff(alphas) < 0).all():
        raise BadCheckpoint(f"'{path.name}/scheduler' cannot be used: its noise levels do not rise.")
    return alphas


def prediction_type(told: str, family: str, unet: Any, path: Path) -> str:
    """What the network predicts.

    Args:
        told: by the file's header, its sidecar or the folder's scheduler; "" when none of them tells.
        unet: loaded; SD 2's looks are asked where nothing else tells.

    Raises:
        BadCheckpoint: something that this version does not run.
    """
    if not told:
        return "v_prediction" if family == "sd2" and _speaks_of_v(unet) else "epsilon"
    if told not in PREDICTIONS:
        raise BadCheckpoint(f"'{path.name}' predicts '{told}'; this version runs models that predict 'epsilon', 'v_prediction' or 'sample'.")
    return told


def _speaks_of_v(unet: Any) -> bool:
    """SD 2.x at 768 pixels and SD 2.x base have the same layout; trained on v, the last attention's biases are spread wider."""
    bias = unet.up_blocks[-1].attentions[-1].transformer_blocks[0].norm1.bias
    return bool(bias.float().std(correction=0) > V_SPREAD)

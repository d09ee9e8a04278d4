"""Noise levels, and what a network predicts where nothing says it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from app.engine.checkpoints.noise_levels import alphas_cumprod, prediction_type
from app.errors import BadCheckpoint

PATH = Path("x")


def unet(spread: float) -> SimpleNamespace:
    """As much of a UNet as is asked: the last attention's first bias."""
    bias = torch.randn(320, generator=torch.Generator().manual_seed(0)) * spread
    block = SimpleNamespace(norm1=SimpleNamespace(bias=bias.half()))
    return SimpleNamespace(up_blocks=[None, SimpleNamespace(attentions=[None, SimpleNamespace(transformer_blocks=[block])])])


@pytest.mark.parametrize(("told", "family", "spread", "expected"), [
    ("", "sd2", 0.2, "v_prediction"), ("", "sd2", 0.02, "epsilon"), ("epsilon", "sd2", 0.2, "epsilon"), ("v_prediction", "sd2", 0.02, "v_prediction"),
    ("", "sd2-inpaint", 0.2, "epsilon"), ("", "sd1", 0.2, "epsilon"), ("v_prediction", "sdxl", 0.02, "v_prediction"), ("sample", "sd1", 0.02, "sample"),
])  # fmt: skip
def test_the_file_says_it_or_the_looks_of_sd2_do(told: str, family: str, spread: float, expected: str) -> None:
    assert prediction_type(told, family, unet(spread), PATH) == expected


def test_unknown_predictions_and_continuous_levels_are_refused() -> None:
    with pytest.raises(BadCheckpoint, match="'x' predicts 'flow'"):
        prediction_type("flow", "sd1", unet(0.1), PATH)
    with pytest.raises(BadCheckpoint, match="EDM's continuous noise levels"):
        alphas_cumprod({"_class_name": "EDMDPMSolverMultistepScheduler"}, PATH)


def test_zero_terminal_snr() -> None:
    plain, shifted = alphas_cumprod({}, PATH), alphas_cumprod({}, PATH, zero_snr=True)
    theirs = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True).alphas_cumprod
    assert shifted == pytest.approx(theirs.double().numpy(), abs=1e-5) and shifted[-1] == 0 and shifted[0] == pytest.approx(plain[0])
    assert np.array_equal(shifted, alphas_cumprod({"rescale_betas_zero_snr": True}, PATH))

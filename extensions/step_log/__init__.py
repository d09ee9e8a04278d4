"""Writes a line per sampling step into the log when DARKROOM_STEP_LOG=1: level of noise, and spread of the estimate.

A spread that explodes or dies tells at which step a sampler, a LoRA or a VAE goes wrong.
"""

import logging
import os

from app.extensions import hook

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)


@hook
def on_step(step, steps, sigma, denoised, request):
    if os.environ.get("DARKROOM_STEP_LOG") == "1":
        log.info("%s step %d/%d: sigma %.4f, mean %+.4f, std %.4f", request.sampler, step, steps, sigma, denoised.mean().item(), denoised.std().item())

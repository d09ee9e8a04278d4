"""Dynamic thresholding (Saharia et al. 2022, section 2.3) against burnt colours at a high CFG scale, in latent space.

`{threshold 99.5}` anywhere in the prompt switches it on: at each step and in each channel, what lies further from the
mean than the 99.5th percentile of all distances is brought back to it. Latents have no fixed range, so unlike in the paper
nothing is rescaled. Between 50 and 100; 100 changes nothing.
"""

import re
from contextvars import ContextVar

from app.errors import BadRequest
from app.extensions import hook

TAG = re.compile(r"\s*\{threshold\s+([0-9.]{1,8})\s*\}")
_percentile: ContextVar[float] = ContextVar("percentile", default=100.0)
"""Of the job that this thread works on: the tag is taken out of the prompt before the model is put together."""


def percentile_of(prompt):
    """The percentile that the prompt asks for, 100 when it does not. Raises BadRequest."""
    match = TAG.search(prompt)
    try:
        percentile = float(match[1]) if match else 100.0
    except ValueError:
        percentile = 0.0
    if not 50 <= percentile <= 100:
        raise BadRequest(f"The prompt has '{match[0].strip()}', but the threshold must be a number from 50 to 100.")
    return percentile


def clamped(latents, percentile):
    """(b,c,h,w) -> the same, with each channel's outliers at the percentile of the distances from its mean."""
    mean = latents.mean((2, 3), keepdim=True)
    limit = (latents - mean).abs().flatten(2).quantile(percentile / 100, dim=2)[..., None, None]
    return latents.clamp(mean - limit, mean + limit)


@hook
def change_request(request):
    _percentile.set(percentile_of(request.prompt))
    return request.model_copy(update={"prompt": TAG.sub("", request.prompt)}) if TAG.search(request.prompt) else None


@hook
def around_model(model):
    percentile = _percentile.get()
    return None if percentile == 100 else lambda x, sigma: clamped(model(x, sigma), percentile)

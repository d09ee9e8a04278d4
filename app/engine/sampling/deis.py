"""DEIS (Zhang and Chen 2023, "Fast Sampling of Diffusion Models with Exponential Integrator"), the variant tAB.

The predicted noise is taken for a polynomial in the time t of the linear noise schedule, through its last values, and
integrated exactly: in sigma space x changes by the integral of noise(t) d sigma(t). With sigma in the place of t this would be LMS.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.engine.sampling.single import Model, Noise, Run, Tensor

_START, _RISE = 0.1, 19.9
"""beta(t) = start + rise t: Song et al. 2021, equation 33."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


def deis(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, max_order: int = 3) -> Run:
    """tAB-DEIS; the first steps have lower orders, the last step, to 0, is Euler's."""
    slopes: list[Tensor] = []
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        if after == 0:
            x = denoised
            continue
        for slope, weight in zip(slopes, weights([sigmas[i - k] for k in range(len(slopes))], after), strict=True):
            x = x + slope * weight
    return x


def time_of(sigma: float) -> float:
    """t of a noise level: sigma(t)^2 = exp(rise t^2 / 2 + start t) - 1, solved for t."""
    return (math.sqrt(_START**2 + 2 * _RISE * math.log1p(sigma**2)) - _START) / _RISE


def weights(levels: Sequence[float], after: float) -> list[float]:
    """What each of the last slopes, newest first and seen at `levels`, counts in the step from `levels[0]` to `after`."""
    if len(levels) == 1:
        return [after - levels[0]]
    knots = [time_of(level) for level in levels]
    half = (time_of(after) - knots[0]) / 2
    t = knots[0] + half * (1 + _NODES)
    sigma = np.sqrt(np.expm1(_RISE * t * t / 2 + _START * t))
    flow = _WEIGHTS * half * (_RISE * t + _START) * (1 + sigma**2) / (2 * sigma)
    found = []
    for k, knot in enumerate(knots):
        basis = np.prod([(t - other) / (knot - other) for j, other in enumerate(knots) if j != k], axis=0)
        found.append(float(flow @ basis))
    return found

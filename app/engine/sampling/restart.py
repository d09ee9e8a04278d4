"""Restart sampling (Xu et al. 2023): Heun steps, with the way from sigma 2 to 0.1 gone down more than once."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.engine.sampling.single import Model, Noise, Run, Tensor

_FROM, _TO = 2.0, 0.1


def restart(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, s_noise: float = 1.0) -> Run:
    """Heun's method along `restart_plan`; climbing again adds the noise that is missing."""
    last = None
    for i, (sigma, after) in enumerate(restart_plan(sigmas)):
        if last is not None and last < sigma:
            x = x + noise(last, sigma) * (s_noise * math.sqrt(sigma**2 - last**2))
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        slope = (x - denoised) / sigma
        ahead = x + slope * (after - sigma)
        if after > 0:
            slope = (slope + (ahead - model(ahead, after)) / after) / 2
            ahead = x + slope * (after - sigma)
        x, last = ahead, after
    return x


def restart_plan(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """(sigma, next) of each step: as many steps as `sigmas` has, those of the restarts taken from the main way (A1111's shares).

    Under 20 steps there is no restart; under 36 one of 9 steps; above, two of a quarter of the steps each.
    """
    steps = len(sigmas) - 1
    if steps < 20:
        return list(pairwise(sigmas))
    length, times = (9, 1) if steps < 36 else (steps // 4, 2)
    main = [*karras_between(steps - length * times, sigmas[0], sigmas[-2]), 0.0]
    low = nearest(main, _TO)
    high = nearest(main, _FROM)
    plan = []
    for i, step in enumerate(pairwise(main), start=1):
        plan.append(step)
        if i == low and high < low:
            plan += list(pairwise(karras_between(length + 1, main[high], main[low]))) * times
    return plan


def karras_between(count: int, high: float, low: float, rho: float = 7.0) -> list[float]:
    """`count` levels from `high` to `low` (Karras et al. 2022, equation 5)."""
    top, bottom = high ** (1 / rho), low ** (1 / rho)
    return [float((top + ramp * (bottom - top)) ** rho) for ramp in np.linspace(0, 1, count)]


def nearest(levels: Sequence[float], wanted: float) -> int:
    """The index of the level that is closest to `wanted`."""
    return min(range(len(levels)), key=lambda i: abs(levels[i] - wanted))

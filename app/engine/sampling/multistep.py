"""Samplers that remember earlier steps. The contract is that of `app.engine.sampling.single`."""

import math
from collections.abc import Sequence
from itertools import pairwise

from app.engine.sampling.single import Model, Noise, Run, Tensor

_ADAMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Adams-Bashforth weights for even steps, newest first."""


def plms(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Run:
    """Pseudo linear multistep (Liu et al. 2022, "PNDM"): Adams-Bashforth on the predicted noise. One call more than steps."""
    slopes: list[Tensor] = []
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        slope = (x - denoised) / sigma
        slopes = [slope, *slopes[:3]]
        if i == 0 and after > 0:
            ahead = x + slope * (after - sigma)
            mixed = (slope + (ahead - model(ahead, after)) / after) / 2
        else:
            mixed = _adams(slopes)
        x = x + mixed * (after - sigma)
    return x


def ipndm(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Run:
    """Improved PNDM (Zhang and Chen 2023, "iPNDM"): Adams-Bashforth from the first step on, its order growing to four; no extra call."""
    slopes: list[Tensor] = []
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        slopes = [(x - denoised) / sigma, *slopes[:3]]
        x = x + _adams(slopes) * (after - sigma)
    return x


def _adams(slopes: Sequence[Tensor]) -> Tensor:
    """The slope of a step from those of the last steps, newest first."""
    weights = _ADAMS[len(slopes) - 1]
    return sum(past * weight for past, weight in zip(slopes[1:], weights[1:], strict=True)) + slopes[0] * weights[0]


def lms(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, order: int = 4) -> Run:
    """Linear multistep: the polynomial through the last `order` slopes, integrated exactly over the next step."""
    slopes: list[Tensor] = []
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        knots = [sigmas[i - k] for k in range(len(slopes))]
        for k, slope in enumerate(slopes):
            x = x + slope * lagrange_integral(knots, k, sigma, after)
    return x


def lagrange_integral(knots: Sequence[float], k: int, start: float, end: float) -> float:
    """The integral from `start` to `end` of the Lagrange polynomial that is 1 at `knots[k]` and 0 at the other knots."""
    coefficients = [1.0]
    for other in (knot for j, knot in enumerate(knots) if j != k):
        scale = 1 / (knots[k] - other)
        shifted, lowered = [0.0, *coefficients], [*coefficients, 0.0]
        coefficients = [(high - other * low) * scale for high, low in zip(shifted, lowered, strict=True)]
    return sum(c * (end ** (n + 1) - start ** (n + 1)) / (n + 1) for n, c in enumerate(coefficients))


def dpmpp_2m(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Run:
    """DPM-Solver++(2M): Lu et al. 2022b, algorithm 2."""
    old = None
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        target = denoised
        if old is not None and after > 0:
            ratio = math.log(sigmas[i - 1] / sigma) / math.log(sigma / after)
            target = denoised + (denoised - old) * (1 / (2 * ratio))
        x = x * (after / sigma) + target * (1 - after / sigma) if after > 0 else denoised
        old = denoised
    return x


def dpmpp_2m_sde(
    model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0, solver: str = "midpoint"
) -> Run:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022b); `solver` "midpoint" or "heun" says how the last two denoised x are combined."""
    old, last_h = None, 0.0
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        if after == 0:
            x = denoised
            continue
        h = math.log(sigma / after)
        total = h * (1 + eta)
        x = x * math.exp(-total) + denoised * -math.expm1(-total)
        if old is not None:
            weight = 1 + math.expm1(-total) / total if solver == "heun" else -0.5 * math.expm1(-total)
            x = x + (denoised - old) * (weight * h / last_h)
        if eta:
            x = x + noise(sigma, after) * (after * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise)
        old, last_h = denoised, h
    return x


def dpmpp_3m_sde(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0) -> Run:
    """SDE-DPM-Solver++(3M): the third-order multistep step of Lu et al. 2022b on the stochastic equation."""
    past: list[tuple[Tensor, float]] = []
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        if after == 0:
            x = denoised
            continue
        h = math.log(sigma / after)
        total = h * (1 + eta)
        x = x * math.exp(-total) + denoised * -math.expm1(-total)
        second = 1 + math.expm1(-total) / total
        if past:
            first_difference = (denoised - past[0][0]) * (h / past[0][1])
        if len(past) == 1:
            x = x + first_difference * second
        elif past:
            r0, r1 = past[0][1] / h, past[1][1] / h
            older_difference = (past[0][0] - past[1][0]) * (1 / r1)
            curve = (first_difference - older_difference) * (1 / (r0 + r1))
            x = x + (first_difference + curve * r0) * second - curve * (second / total - 0.5)
        if eta:
            x = x + noise(sigma, after) * (after * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise)
        past = [(denoised, h), *past[:1]]
    return x

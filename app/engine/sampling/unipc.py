"""UniPC (Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework"), multistep, predicting the data.

In sigma space the data-prediction form has alpha 1, lambda = -log(sigma) and h = log(sigma / sigma_next).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.engine.sampling.single import Model, Noise, Run, Tensor


def unipc(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    unipc_order: int = 2,
    unipc_variant: str = "bh2",
    unipc_lower_order_final: bool = True,
) -> Run:
    """UniP-p predicts, UniC-p corrects with the next model call, so each step costs one.

    Args:
        unipc_order: 1 or more; 2 is what the authors advise with guidance, and it is steady from 5 steps on.
        unipc_variant: "bh1" (B(h) = h), "bh2" (B(h) = e^h - 1), or "vary_coeff" (section 3.4: no B, all weights as the order asks for).
        unipc_lower_order_final: the orders fall towards the end.
    """
    order, variant = unipc_order, unipc_variant
    steps = len(sigmas) - 1
    start = x
    past: list[tuple[Tensor, float]] = []  # denoised and sigma of earlier steps, newest first
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        if past:
            x = move(start, past[: min(order, i)], sigma, variant, (denoised, sigma))
        past = [(denoised, sigma), *past[: order - 1]]
        start = x
        x = move(x, past[: min(order, i + 1, steps - i if unipc_lower_order_final else order)], after, variant) if after > 0 else denoised
    return x


def move(x: Tensor, past: list[tuple[Tensor, float]], after: float, variant: str, ahead: tuple[Tensor, float] | None = None) -> Tensor:
    """One step from the newest sigma in `past` to `after`: UniP, or UniC when the model's answer `ahead` is known.

    Args:
        past: (denoised, sigma) newest first; its length is the order p.
        ahead: (denoised, sigma) at `after`, for the corrector.
    """
    newest, sigma = past[0]
    h = math.log(sigma / after)
    x = x * (after / sigma) + newest * -math.expm1(-h)
    others = past[1:] + ([ahead] if ahead else [])
    if not others:
        return x
    ratios = [math.log(sigma / level) / h for _, level in others]
    scale = -h if variant == "bh1" else math.expm1(-h)
    for (denoised, _), ratio, weight in zip(others, ratios, weights(ratios, h, scale, variant), strict=True):
        x = x - (denoised - newest) * (scale * weight / ratio)
    return x


def weights(ratios: Sequence[float], h: float, scale: float, variant: str) -> list[float]:
    """The a_m of theorem 3.1: R a = phi / B(h). With one point, one half (which is of the same order, and what the authors use).

    B cancels where the equations are solved, so the variants differ only in how one point counts: "vary_coeff" solves for it too.
    """
    if len(ratios) == 1 and variant != "vary_coeff":
        return [0.5]
    phi = math.expm1(-h) / -h - 1
    right = []
    factorial = 1.0
    for power in range(1, len(ratios) + 1):
        factorial *= power
        right.append(phi * factorial / scale)
        phi = phi / -h - 1 / (factorial * (power + 1))
    matrix = np.array([[ratio**power for ratio in ratios] for power in range(len(ratios))])
    return [float(value) for value in np.linalg.solve(matrix, np.array(right))]

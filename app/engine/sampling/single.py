"""Samplers that look at one step at a time.

All in sigma space, x = z0 + sigma * noise (Karras et al. 2022): `model(x, sigma)` gives the denoised x,
`noise(sigma, sigma_next)` a standard normal like x. Each yields (i, x, sigma, denoised) after the first model call of
step i and returns the final x. The last sigma is 0.0.
"""

import math
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import Any

from app.engine.schedules import STABLE_DIFFUSION, TrainingTable

Tensor = Any
"""Only +, -, * and / with floats and its like are used: torch, NumPy or plain floats."""
Model = Callable[[Tensor, float], Tensor]
Noise = Callable[[float, float], Tensor]
Step = tuple[int, Tensor, float, Tensor]
Run = Generator[Step, None, Tensor]


def ancestral(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """(level to go down to, noise to add), so that both together reach `sigma_next`; eta 0 adds none, eta 1 is DDPM's share."""
    up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return math.sqrt(max(sigma_next**2 - up**2, 0.0)), up


def churned(x: Tensor, sigma: float, noise: Noise, churn: float, window: tuple[float, float], s_noise: float) -> tuple[Tensor, float]:
    """(x, sigma) before a step, with as much noise added as churn asks for: Karras et al. 2022, algorithm 2, lines 4 to 6.

    Noise is drawn at each step once there is any churn, also outside the window: what is drawn later then stays the same, as in k-diffusion.

    Args:
        churn: S_churn / steps; the level rises by at most sqrt(2) - 1 of itself.
        window: S_tmin and S_tmax, the noise levels at which noise is added.
        s_noise: S_noise, a factor of the noise.
    """
    if churn <= 0:
        return x, sigma
    share = min(churn, math.sqrt(2) - 1) if window[0] <= sigma <= window[1] else 0.0
    raised = sigma * (1 + share)
    fresh = noise(sigma, raised)
    return (x + fresh * (s_noise * math.sqrt(raised**2 - sigma**2)), raised) if share else (x, sigma)


def euler(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Run:
    """Euler's method on the probability flow ODE: Karras et al. 2022, algorithm 2 without correction."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        x, raised = churned(x, sigma, noise, s_churn / (len(sigmas) - 1), (s_tmin, s_tmax), s_noise)
        denoised = model(x, raised)
        yield i, x, sigma, denoised
        x = x + (x - denoised) / raised * (after - raised)
    return x


def euler_a(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0) -> Run:
    """Euler with ancestral noise."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        down, up = ancestral(sigma, after, eta)
        x = x + (x - denoised) / sigma * (down - sigma)
        if after > 0:
            x = x + noise(sigma, after) * (up * s_noise)
    return x


def heun(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Run:
    """Heun's method: Karras et al. 2022, algorithm 2. Two calls a step, one for the last."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        x, raised = churned(x, sigma, noise, s_churn / (len(sigmas) - 1), (s_tmin, s_tmax), s_noise)
        denoised = model(x, raised)
        yield i, x, sigma, denoised
        slope = (x - denoised) / raised
        ahead = x + slope * (after - raised)
        if after > 0:
            slope = (slope + (ahead - model(ahead, after)) / after) / 2
            ahead = x + slope * (after - raised)
        x = ahead
    return x


def dpm2(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Run:
    """DPM-Solver-2 (Lu et al. 2022): the slope at the geometric middle. Two calls a step, one for the last."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        x, raised = churned(x, sigma, noise, s_churn / (len(sigmas) - 1), (s_tmin, s_tmax), s_noise)
        denoised = model(x, raised)
        yield i, x, sigma, denoised
        x = _midpoint(model, x, raised, after, denoised)
    return x


def _midpoint(model: Model, x: Tensor, sigma: float, after: float, denoised: Tensor) -> Tensor:
    """One DPM-Solver-2 step down to `after`; Euler's when that is 0."""
    slope = (x - denoised) / sigma
    if after == 0:
        return x + slope * (after - sigma)
    middle = math.sqrt(sigma * after)
    halfway = x + slope * (middle - sigma)
    return x + (halfway - model(halfway, middle)) / middle * (after - sigma)


def dpm2_a(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0) -> Run:
    """DPM-Solver-2 with ancestral noise."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        down, up = ancestral(sigma, after, eta)
        x = _midpoint(model, x, sigma, down, denoised)
        if after > 0:
            x = x + noise(sigma, after) * (up * s_noise)
    return x


def ddim(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 0.0) -> Run:
    """DDIM (Song et al. 2021, equation 12) seen in sigma space; eta 0 is deterministic, eta 1 is DDPM."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        down, up = ancestral(sigma, after, eta)
        x = denoised + (x - denoised) / sigma * down
        if up > 0:
            x = x + noise(sigma, after) * up
    return x


def ddim_cfgpp(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 0.0) -> Run:
    """DDIM with CFG++ (Chung et al. 2024, algorithm 2): guided in what it aims at, unguided in the noise that it keeps.

    `model.unguided` is the answer to the last call without the prompt; a model that has none is taken at its word.
    """
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        unguided = getattr(model, "unguided", denoised)
        yield i, x, sigma, denoised
        down, up = ancestral(sigma, after, eta)
        x = denoised + (x - unguided) / sigma * down
        if up > 0:
            x = x + noise(sigma, after) * up
    return x


def ddpm(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Run:
    """Ancestral sampling (Ho et al. 2020, equations 6 and 7): the exact posterior of the next level given x and the denoised x."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        share = after**2 / sigma**2
        x = denoised * (1 - share) + x * share
        if after > 0:
            x = x + noise(sigma, after) * (after * math.sqrt(1 - share))
    return x


def lcm(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Run:
    """Latent consistency models (Luo et al. 2023): jump to the end, add noise again. For distilled checkpoints, 1 to 8 steps."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        x = denoised + noise(sigma, after) * after if after > 0 else denoised
    return x


def tcd(
    model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, tcd_gamma: float = 0.3, table: TrainingTable = STABLE_DIFFUSION
) -> Run:
    """Strategic stochastic sampling of trajectory consistency distillation (Zheng et al. 2024, algorithm 2), for distilled checkpoints.

    Each step goes down to the timestep (1 - gamma) * next and adds the noise that is missing; gamma 0 is DDIM, gamma 1 is LCM
    but for the last trained noise level.
    """
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        down = min(table.sigma((1 - tcd_gamma) * table.timestep(after)), after) if tcd_gamma else after
        x = denoised + (x - denoised) / sigma * down
        if down < after:
            x = x + noise(sigma, after) * math.sqrt(after**2 - down**2)
    return x


def dpmpp_2s_a(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0) -> Run:
    """DPM-Solver++(2S) (Lu et al. 2022b, algorithm 1) with ancestral noise. Two calls a step, one for the last."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        down, up = ancestral(sigma, after, eta)
        if down > 0:
            middle = math.sqrt(sigma * down)
            halfway = x * (middle / sigma) + denoised * (1 - middle / sigma)
            denoised = model(halfway, middle)
        x = x * (down / sigma) + denoised * (1 - down / sigma)
        if after > 0:
            x = x + noise(sigma, after) * (up * s_noise)
    return x


def dpmpp_sde(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0) -> Run:
    """DPM-Solver++(2S) on the stochastic equation, noise at the middle and at the end. Two calls a step, one for the last.

    The noise must be that of one Brownian path, so that the end's holds the middle's (see `app.engine.noise.brownian`).
    """
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        if after == 0:
            x = denoised
            continue
        middle = math.sqrt(sigma * after)
        down, up = ancestral(sigma, middle, eta)
        halfway = x * (down / sigma) + denoised * (1 - down / sigma) + noise(sigma, middle) * (up * s_noise)
        denoised = model(halfway, middle)
        down, up = ancestral(sigma, after, eta)
        x = x * (down / sigma) + denoised * (1 - down / sigma) + noise(sigma, after) * (up * s_noise)
    return x

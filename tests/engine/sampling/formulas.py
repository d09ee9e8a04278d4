"""The methods that k-diffusion does not have, written from their papers in the papers' own terms.

z = sqrt(alpha) x0 + sqrt(1 - alpha) e with alpha = 1 / (1 + sigma^2); each takes (levels, noise) and starts from START * levels[0] in
the samplers' scale. They share nothing with the app.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.polynomial.legendre import leggauss

from tests.engine.sampling.toy import START, denoised, unguided

FEW, MANY = leggauss(40), leggauss(200)
Draw = Callable[..., np.ndarray]


def alpha_of(sigma: float) -> float:
    return 1 / (1 + sigma**2)


def predicted(z: np.ndarray, alpha: float, model: Callable[..., np.ndarray] = denoised) -> tuple[np.ndarray, np.ndarray]:
    """(x0, e) that a network would predict."""
    x0 = model(z / math.sqrt(alpha), math.sqrt((1 - alpha) / alpha))
    return x0, (z - math.sqrt(alpha) * x0) / math.sqrt(1 - alpha)


def begin(levels: Sequence[float]) -> np.ndarray:
    return START * levels[0] * math.sqrt(alpha_of(levels[0]))


def ddim(levels: Sequence[float], noise: Draw, eta: float = 0.0, plus: bool = False) -> np.ndarray:
    """Song et al. 2021, equations 12 and 16; `plus`: Chung et al. 2024, algorithm 2."""
    z = begin(levels)
    for a, b in pairwise(alpha_of(sigma) for sigma in levels):
        x0, e = predicted(z, a)
        if plus:
            e = (z - math.sqrt(a) * predicted(z, a, unguided)[0]) / math.sqrt(1 - a)
        spread = eta * math.sqrt((1 - b) / (1 - a)) * math.sqrt(1 - a / b)
        z = math.sqrt(b) * x0 + math.sqrt(max(1 - b - spread**2, 0)) * e
        if spread:
            z = z + spread * noise()
    return z


def ddpm(levels: Sequence[float], noise: Draw) -> np.ndarray:
    """Ho et al. 2020, equations 6 and 7."""
    z = begin(levels)
    for a, b in pairwise(alpha_of(sigma) for sigma in levels):
        x0, _ = predicted(z, a)
        step = a / b
        z = math.sqrt(b) * (1 - step) / (1 - a) * x0 + math.sqrt(step) * (1 - b) / (1 - a) * z
        if b < 1:
            z = z + math.sqrt((1 - b) / (1 - a) * (1 - step)) * noise()
    return z


def transferred(z: np.ndarray, e: np.ndarray, a: float, b: float) -> np.ndarray:
    """Liu et al. 2022, equation 11."""
    return math.sqrt(b / a) * z - (b - a) / (math.sqrt(a) * (math.sqrt((1 - b) * a) + math.sqrt((1 - a) * b))) * e


def adams(past: Sequence[np.ndarray]) -> np.ndarray:
    """Liu et al. 2022, equation 9, and the same with fewer terms; newest last."""
    match past:
        case [e]:
            return e
        case [d, e]:
            return (3 * e - d) / 2
        case [c, d, e]:
            return (23 * e - 16 * d + 5 * c) / 12
        case [*_, b, c, d, e]:
            return (55 * e - 59 * d + 37 * c - 9 * b) / 24
    raise ValueError("There is no past.")


def plms(levels: Sequence[float], noise: Draw, warm: bool = True) -> np.ndarray:
    """Liu et al. 2022, with an improved Euler step at the beginning (`warm`) or without (Zhang and Chen 2023, iPNDM)."""
    z, past = begin(levels), []
    for i, (a, b) in enumerate(pairwise(alpha_of(sigma) for sigma in levels)):
        e = predicted(z, a)[1]
        past.append(e)
        mixed = (e + predicted(transferred(z, e, a, b), b)[1]) / 2 if warm and i == 0 and b < 1 else adams(past)
        z = transferred(z, mixed, a, b)
    return z


def deis(levels: Sequence[float], noise: Draw, order: int = 3) -> np.ndarray:
    """Zhang and Chen 2023, equations 14 and 15, with alpha(t) = exp(-start t - rise t^2 / 2), by brute force."""
    start, rise = 0.1, 19.9
    nodes, weights = MANY

    def time(alpha: float) -> float:
        return (-start + math.sqrt(start**2 - 2 * rise * math.log(alpha))) / rise

    z, past = begin(levels), []
    for a, b in pairwise(alpha_of(sigma) for sigma in levels):
        x0, e = predicted(z, a)
        past = [(time(a), e), *past[: order - 1]]
        if b == 1:
            return x0
        half, middle = (time(b) - time(a)) / 2, (time(b) + time(a)) / 2
        t = middle + half * nodes
        alpha = np.exp(-start * t - rise * t**2 / 2)
        pull = 0.5 * (start + rise * t) / np.sqrt(alpha * (1 - alpha))  # of z / sqrt(alpha), for each unit of e
        total = z / math.sqrt(a)
        for j, (own, slope) in enumerate(past):
            basis = np.ones_like(t)
            for k, (other, _) in enumerate(past):
                if k != j:
                    basis = basis * (t - other) / (own - other)
            total = total + slope * float((weights * half * pull * basis).sum())
        z = math.sqrt(b) * total
    return z


def lcm(levels: Sequence[float], noise: Draw) -> np.ndarray:
    """Luo et al. 2023, algorithm 3."""
    z = begin(levels)
    for a, b in pairwise(alpha_of(sigma) for sigma in levels):
        z = math.sqrt(b) * predicted(z, a)[0]
        if b < 1:
            z = z + math.sqrt(1 - b) * noise()
    return z


def tcd(levels: Sequence[float], noise: Draw, gamma: float = 0.3) -> np.ndarray:
    """Zheng et al. 2024, algorithm 2 and equation 16, on Stable Diffusion's timesteps."""
    known = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    logs = np.log((1 - known) / known) / 2
    z = begin(levels)
    for sigma, after in pairwise(levels):
        a, b = alpha_of(sigma), alpha_of(after)
        x0, e = predicted(z, a)
        if after == 0:
            return x0
        s = (1 - gamma) * np.interp(math.log(after), logs, np.arange(1000.0))
        low = alpha_of(math.exp(np.interp(s, np.arange(1000.0), logs)))
        z = math.sqrt(b / low) * (math.sqrt(low) * x0 + math.sqrt(1 - low) * e) + math.sqrt(1 - b / low) * noise()
    return z


def restart(levels: Sequence[float], noise: Draw) -> np.ndarray:
    """Xu et al. 2023, algorithm 1, with A1111's share of steps and its interval from 0.1 to 2."""
    steps = len(levels) - 1
    length, rounds = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
    main = list(levels)
    if rounds:
        ramp = np.linspace(0, 1, steps - length * rounds)
        main = [*((levels[0] ** (1 / 7) + ramp * (levels[-2] ** (1 / 7) - levels[0] ** (1 / 7))) ** 7), 0.0]
    low, high = (int(np.argmin(np.abs(np.array(main) - wanted))) for wanted in (0.1, 2.0))

    def heun(x: np.ndarray, way: Sequence[float]) -> np.ndarray:
        for sigma, after in pairwise(way):
            slope = (x - denoised(x, sigma)) / sigma
            ahead = x + slope * (after - sigma)
            x = x + (slope + (ahead - denoised(ahead, after)) / after) / 2 * (after - sigma) if after else ahead
        return x

    x = START * levels[0]
    if not rounds:
        return heun(x, main)
    x = heun(x, main[: low + 1])
    top, bottom = main[high] ** (1 / 7), main[low] ** (1 / 7)
    inner = [float((top + step * (bottom - top)) ** 7) for step in np.linspace(0, 1, length + 1)]
    for _ in range(rounds):
        x = heun(x + noise() * math.sqrt(inner[0] ** 2 - main[low] ** 2), inner)
    return heun(x, main[low:])


def unipc(levels: Sequence[float], noise: Draw, order: int = 2, variant: str = "bh2", falls: bool = True) -> np.ndarray:
    """Zhao et al. 2023, algorithms 5 and 6 (data prediction) with lambda = log(alpha_t / sigma_t)."""
    steps, z, known = len(levels) - 1, begin(levels), []  # (lambda, x0), newest last
    previous = z
    for i, (sigma, after) in enumerate(pairwise(levels)):
        x0, _ = predicted(z, alpha_of(sigma))
        if known:
            z = moved(previous, known[-min(order, i) :], sigma, variant, x0)
        known.append((-math.log(sigma), x0))
        previous = z
        if after == 0:
            return x0
        p = min(order, i + 1, steps - i) if falls else min(order, i + 1)
        z = moved(z, known[-p:], after, variant, None)
    return z


def moved(z: np.ndarray, known: Sequence[tuple[float, np.ndarray]], sigma: float, variant: str, ahead: np.ndarray | None) -> np.ndarray:
    """Equation 9 (with `ahead`) or 8: x0-prediction form, from the newest known point to `sigma`."""
    (start, m0), end = known[-1], -math.log(sigma)
    h = end - start
    old, new = math.exp(-start), sigma
    alpha_new, sigma_new, sigma_old = math.sqrt(alpha_of(new)), new * math.sqrt(alpha_of(new)), old * math.sqrt(alpha_of(old))
    points = [((point - start) / h, (value - m0)) for point, value in known[:-1]] + ([(1.0, ahead - m0)] if ahead is not None else [])
    base = sigma_new / sigma_old * z - alpha_new * math.expm1(-h) * m0
    if not points:
        return base
    width = math.expm1(-h) if variant != "bh1" else -h
    rows, right = [], []
    for k in range(1, len(points) + 1):
        rows.append([ratio ** (k - 1) for ratio, _ in points])
        right.append(math.factorial(k) * phi(k + 1, -h) * -h / width)
    found = np.linalg.solve(np.array(rows), np.array(right))
    if len(points) == 1 and variant != "vary_coeff":
        found = [0.5]
    return base - alpha_new * width * sum(weight * value / ratio for weight, (ratio, value) in zip(found, points, strict=True))


def phi(k: int, h: float) -> float:
    """phi_k(h) of exponential integrators: the integral of e^((1 - t) h) t^(k-1) / (k-1)! over 0..1."""
    nodes, weights = FEW
    t = (nodes + 1) / 2
    return float((weights / 2 * np.exp((1 - t) * h) * t ** (k - 1)).sum() / math.factorial(k - 1))

"""DPM-Solver (Lu et al. 2022a) in steps of order 1 to 3 along log sigma: DPM fast and DPM adaptive.

Of the schedule they take the ends alone: the first level and the last above zero, where they stop (0.03 for Stable Diffusion).
"""

import math
from collections.abc import Generator, Sequence

from app.engine.sampling.single import Model, Noise, Run, Step, Tensor, ancestral

_FIRST, _SECOND = 1 / 3, 2 / 3
"""Where a step of order 3 looks, as shares of the step in log sigma."""
_SAFETY = 0.81
"""A step is taken again, smaller, when the controller would shrink the next one below this share."""
_BEGINNING = 0.05
"""Length of the first adaptive step in log sigma."""
_CLOSE = 1e-5
"""What may be missing to the end in log sigma."""


def dpm_fast(model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0) -> Run:
    """DPM-Solver-fast: as many calls as `sigmas` has steps, three in each step of order 3. Yields at each call."""
    calls = len(sigmas) - 1
    if calls == 1:
        denoised = model(x, sigmas[0])
        yield 0, x, sigmas[0], denoised
        return denoised
    orders = orders_of(calls)
    high, low = sigmas[0], sigmas[-2]
    levels = [high * (low / high) ** (i / len(orders)) for i in range(len(orders))] + [low]
    for k, order in enumerate(orders):
        sigma, after = levels[k], levels[k + 1]
        down, up = lowered(sigma, after, low, eta)
        x = yield from _step(model, x, sigma, down, order, sum(orders[:k]))
        if up > 0:
            x = x + noise(sigma, after) * (up * s_noise)
    return x


def orders_of(calls: int) -> list[int]:
    """The orders of the steps of DPM-Solver-fast: threes, and lower ones at the end so that they add up to `calls`."""
    thirds, rest = divmod(calls, 3)
    return [3] * thirds + [rest] if rest else [3] * (thirds - 1) + [2, 1]


def lowered(sigma: float, after: float, low: float, eta: float) -> tuple[float, float]:
    """(level to go down to, noise to add) as `ancestral` says, but never below `low`."""
    down = max(ancestral(sigma, after, eta)[0], low) if eta else after
    return down, math.sqrt(max(after**2 - down**2, 0.0))


def _step(model: Model, x: Tensor, sigma: float, after: float, order: int, number: int) -> Generator[Step, None, Tensor]:
    """One step of DPM-Solver-1, -2 or -3 from `sigma` to `after`; its calls are numbered from `number`."""
    h = math.log(sigma / after)
    denoised = model(x, sigma)
    yield number, x, sigma, denoised
    slope = (x - denoised) / sigma
    if order == 1:
        return _first(x, slope, after, h)
    share = 0.5 if order == 2 else _FIRST
    middle = sigma * math.exp(-share * h)
    halfway = _first(x, slope, middle, share * h)
    denoised = model(halfway, middle)
    yield number + 1, halfway, middle, denoised
    ahead = (halfway - denoised) / middle
    if order == 2:
        return _second(x, slope, ahead, after, h, share)
    further, level = _between(x, slope, ahead, sigma, h)
    denoised = model(further, level)
    yield number + 2, further, level, denoised
    return _third(x, slope, (further - denoised) / level, after, h)


def _first(x: Tensor, slope: Tensor, after: float, h: float) -> Tensor:
    """DPM-Solver-1, which is DDIM."""
    return x - slope * (after * math.expm1(h))


def _second(x: Tensor, slope: Tensor, ahead: Tensor, after: float, h: float, share: float) -> Tensor:
    """DPM-Solver-2 with the slope `ahead` at a share of the way (algorithm 4)."""
    return x - slope * (after * math.expm1(h)) - (ahead - slope) * (after * math.expm1(h) / (2 * share))


def _between(x: Tensor, slope: Tensor, ahead: Tensor, sigma: float, h: float) -> tuple[Tensor, float]:
    """Where DPM-Solver-3 looks for the third time: (x, level) at two thirds of the way (algorithm 5)."""
    part = _SECOND * h
    level = sigma * math.exp(-part)
    bend = level * (_SECOND / _FIRST) * (math.expm1(part) / part - 1)
    return x - slope * (level * math.expm1(part)) - (ahead - slope) * bend, level


def _third(x: Tensor, slope: Tensor, later: Tensor, after: float, h: float) -> Tensor:
    """DPM-Solver-3 with the slope `later` at two thirds of the way."""
    return x - slope * (after * math.expm1(h)) - (later - slope) * (after / _SECOND * (math.expm1(h) / h - 1))


def dpm_adaptive(
    model: Model, x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 1.0, s_noise: float = 1.0, rtol: float = 0.05, atol: float = 0.0078
) -> Run:
    """DPM-Solver-23: steps of order 3 as long as they agree with order 2; three calls for each, and no fixed number of them.

    The step counted is the share of the way in log sigma. For one picture at a time: all values of `x` have the same steps.
    """
    high, low = sigmas[0], sigmas[-2]
    if high == low:
        denoised = model(x, high)
        yield 0, x, high, denoised
        return denoised
    way, gone, length = math.log(high / low), 0.0, _BEGINNING
    before = x
    while gone < way - _CLOSE:
        sigma, target = high * math.exp(-gone), min(way, gone + length)
        after = high * math.exp(-target) if target < way else low
        down, up = lowered(sigma, after, low, eta)
        h = math.log(sigma / down)
        denoised = model(x, sigma)
        yield min(int(gone / way * (len(sigmas) - 1)), len(sigmas) - 2), x, sigma, denoised
        slope = (x - denoised) / sigma
        middle = sigma * math.exp(-_FIRST * h)
        halfway = _first(x, slope, middle, _FIRST * h)
        ahead = (halfway - model(halfway, middle)) / middle
        further, level = _between(x, slope, ahead, sigma, h)
        coarse = _second(x, slope, ahead, down, h, _FIRST)
        fine = _third(x, slope, (further - model(further, level)) / level, down, h)
        error = difference(coarse, fine, before, rtol, atol)
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / (1.5 if eta else 3)) - 1)
        length *= factor
        if factor >= _SAFETY or not math.isfinite(error):  # numbers that are none are handed on, for the caller to see
            before, x, gone = coarse, fine, target
            if up > 0:
                x = x + noise(sigma, after) * (up * s_noise)
    return x


def difference(coarse: Tensor, fine: Tensor, before: Tensor, rtol: float, atol: float) -> float:
    """Root mean square of (coarse - fine) in units of max(atol, rtol * max(|coarse|, |before|)), value by value."""
    size = _larger(abs(coarse), abs(before)) * rtol
    share = (coarse - fine) / _larger(size, size * 0 + atol)
    return math.sqrt(float((share * share).mean()))


def _larger(one: Tensor, other: Tensor) -> Tensor:
    return (one + other + abs(one - other)) / 2

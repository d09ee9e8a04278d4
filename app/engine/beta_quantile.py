"""The quantile of the beta distribution, in plain Python (SciPy's `beta.ppf` without SciPy)."""

import math
from functools import lru_cache

_TERMS = 60


@lru_cache(maxsize=8192)
def beta_quantile(p: float, a: float, b: float) -> float:
    """The x in 0..1 at which the regularised incomplete beta function I_x(a, b) is `p`, by bisection to full precision."""
    if p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        if incomplete_beta(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return middle


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 < x < 1, by its continued fraction (NIST DLMF 8.17.22)."""
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    fraction = 1.0
    for n in range(_TERMS, 0, -1):
        m = n // 2
        top = -(a + m) * (a + b + m) if n % 2 else m * (b - m)
        fraction = 1 + top * x / ((a + n - 1) * (a + n)) / fraction
    return front / fraction

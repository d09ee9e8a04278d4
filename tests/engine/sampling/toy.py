"""One small problem on which samplers are compared: a mixture of three Gaussians in one dimension, whose perfect denoiser is a formula."""

import numpy as np

WEIGHTS, MEANS, SPREADS = np.array([0.5, 0.3, 0.2]), np.array([-1.2, 0.4, 1.5]), np.array([0.2, 0.3, 0.25])
HIGH, LOW = 14.6, 0.03
START = np.array([-1.7, -0.8, -0.1, 0.35, 0.9, 2.1])
STEPS = (1, 2, 7, 20, 50)


def denoised(x: np.ndarray, sigma: float) -> np.ndarray:
    """E[x0 | x0 + sigma * noise = x], value by value."""
    variance = SPREADS**2 + sigma**2
    away = x[..., None] - MEANS
    logs = np.log(WEIGHTS) - np.log(variance) / 2 - away**2 / (2 * variance)
    share = np.exp(logs - logs.max(-1, keepdims=True))
    return (share * (MEANS + away * SPREADS**2 / variance)).sum(-1) / share.sum(-1)


def unguided(x: np.ndarray, sigma: float) -> np.ndarray:
    """Another denoiser of the same data, as if asked without the prompt: all of it one wide Gaussian."""
    return 0.1 + (x - 0.1) * 1.4**2 / (1.4**2 + sigma**2)


def levels(steps: int) -> list[float]:
    """`steps` levels after Karras et al. 2022, equation 5 (one step: the highest), and 0."""
    ramp = np.linspace(0, 1, steps) if steps > 1 else np.zeros(1)
    return [*((HIGH ** (1 / 7) + ramp * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7).tolist(), 0.0]


class Noise:
    """Standard normal numbers that depend on the number of the call alone."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: object) -> np.ndarray:
        self.calls += 1
        return np.random.RandomState(self.calls).standard_normal(START.shape)

"""The sampler "Ralston": the second-order Runge-Kutta method with the smallest error bound (Ralston 1962), as a row of the table.

Like Heun's method it asks the model twice a step, but the second time two thirds of the way down.
"""

from itertools import pairwise

from app.engine.samplers import SamplerRow
from app.extensions import hook


def ralston(model, x, sigmas, noise):
    """A sampler to the contract of `app.engine.sampling.single`; Euler's step down to 0, as Heun does."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        yield i, x, sigma, denoised
        slope, step = (x - denoised) / sigma, after - sigma
        if after > 0:
            between = sigma + step * 2 / 3
            ahead = x + slope * (step * 2 / 3)
            slope = (slope + (ahead - model(ahead, between)) / between * 3) / 4
        x = x + slope * step
    return x


@hook
def register_samplers(samplers):
    samplers["Ralston"] = SamplerRow("Ralston", ralston, schedule="Karras")

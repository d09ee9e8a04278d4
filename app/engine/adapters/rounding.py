"""Weights back to how they are stored."""

import torch
from torch import Tensor

FLOAT8 = {torch.float8_e4m3fn, torch.float8_e5m2}


def rounded(weight: Tensor, dtype: torch.dtype, seed: int) -> Tensor:
    """A float32 weight as `dtype`; to 8 bits up or down at random, the nearer the likelier.

    With 3 bits of mantissa most changes of a network are smaller than half a step, and rounding to the nearest would lose them; this
    way their mean stays. The same seed rounds the same way.
    """
    if dtype not in FLOAT8:
        return weight.to(dtype)
    limit = torch.finfo(dtype).max
    weight = weight.clamp(-limit, limit)
    near = weight.to(dtype)
    error = weight - near.float()
    bits = near.view(torch.uint8)
    away = (error != 0) & ((near.float() == 0) | ((error > 0) == (near.float() > 0)))
    sign = torch.where(near.float() == 0, torch.where(error < 0, 128, 0).to(torch.uint8), bits & 128)
    size = bits & 127
    other = (sign | torch.where(away, size + 1, size - (error != 0).to(torch.uint8))).view(dtype)
    step = (other.float() - near.float()).abs()
    share = torch.where((error != 0) & torch.isfinite(step) & (step > 0), error.abs() / step, 0.0)
    chance = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)).to(weight.device)
    return torch.where(chance < share, other.view(torch.uint8), bits).view(dtype)

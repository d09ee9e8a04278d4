"""OFT and BOFT: a weight's outputs are turned, in blocks."""

import torch
from torch import Tensor

from app.engine.adapters.parts import Parts


def turned(parts: Parts, weight: Tensor, strength: float) -> Tensor:
    """strength * (s * R W - W): Qiu et al. 2023, "Controlling text-to-image diffusion by orthogonal finetuning", section 3.

    R has blocks on its diagonal, stored (n,b,b), each by Cayley's transform, and is applied as LyCORIS and kohya's scripts do it,
    transposed; s are "rescale"'s lengths, where there are any.
    """
    blocks = _cayley(parts, weight)
    number, side, _ = blocks.shape
    found = torch.einsum("knm,kn...->km...", blocks, weight.unflatten(0, (number, side))).reshape(weight.shape)
    return strength * (found * _lengths(parts, weight) - weight)


def butterfly(parts: Parts, weight: Tensor, strength: float) -> Tensor:
    """What several turns, one after the other, each of neighbours twice as far apart, add to W: Liu et al. 2024, "Parameter-efficient
    orthogonal finetuning via butterfly factorization", section 4. Stored (m,n,b,b).

    At another strength than 1 each turn is made weaker, as LyCORIS does, not their product.
    """
    turns = _cayley(parts, weight)
    stages, _, side, _ = turns.shape
    found, one = weight, torch.eye(side, device=weight.device)
    for stage in range(stages):
        apart = 2**stage * (side // 2)
        turn = turns[stage] * strength + one * (1 - strength)
        near = found.unflatten(0, (-1, 2, apart)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, side))
        found = torch.einsum("bij,bj...->bi...", turn, near).flatten(0, 1).unflatten(0, (-1, apart, 2)).transpose(1, 2).flatten(0, 2)
    return found * (1 + strength * (_lengths(parts, weight) - 1)) - weight


def _cayley(parts: Parts, weight: Tensor) -> Tensor:
    """(I + Q)(I - Q)^-1 with Q = S - S^T of each block; Q is shortened to "alpha" times the number of outputs where that is not 0 (COFT)."""
    stored = parts["oft_blocks"]
    skew = stored - stored.mT
    bound = float(parts["alpha"]) * weight.shape[0] if "alpha" in parts else 0.0
    if bound > 0:
        skew = skew * (bound / (torch.linalg.vector_norm(skew) + 1e-8)).clamp(max=1.0)
    one = torch.eye(stored.shape[-1], device=stored.device)
    return torch.linalg.solve(one - skew, one + skew, left=False)


def _lengths(parts: Parts, weight: Tensor) -> Tensor:
    """"rescale" as a factor of each output, 1 where the file has none."""
    if "rescale" in parts:
        return parts["rescale"].reshape(-1, *(1 for _ in weight.shape[1:]))
    return torch.ones((), device=weight.device)

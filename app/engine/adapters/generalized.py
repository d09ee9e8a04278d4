"""GLoRA: a change of low rank, part of which follows the weight."""

import torch
from torch import Tensor

from app.engine.adapters.parts import Parts, scale_of, tucker


def change(parts: Parts, weight: Tensor) -> Tensor:
    """alpha / rank * (W A + B): Chavan et al. 2023, "One-for-all: Generalized LoRA", equation 10, without its bias terms.

    LyCORIS' A is a1 @ a2 and its B is b1 @ b2 (with bm in between for a convolution with Tucker factors). Its first version had both
    the other way round, A = a2 @ a1 and B = b2 @ b1, which the shapes tell.
    """
    a1, a2, b1, b2 = (parts[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    if not (a1.shape[0] == a2.shape[1] == weight.shape[1] and b1.shape[0] == weight.shape[0]):
        a1, a2, b1, b2 = a2, a1, b2, b1
    follows = torch.einsum("oi...,ij,jk->ok...", weight, a1, a2)
    alone = tucker(parts["bm"], b1.mT, b2) if "bm" in parts else b1 @ b2
    return (follows + alone.reshape(weight.shape)) * scale_of(parts, a1.shape[1])

"""LoKr: the Kronecker product of two small matrices, each whole or of low rank."""

import torch
from torch import Tensor

from app.engine.adapters.parts import Parts, scale_of, tucker


def rebuilt(parts: Parts, weight: Tensor, dyn: int | None = None) -> Tensor:
    """alpha / rank * w1 (x) w2 with w = w_a @ w_b where it is factored: Yeh et al. 2024 (LyCORIS), section 3.3; Edalati et al. 2022, "KronA".

    The rank is w2's if it is factored, else w1's; where both are whole nothing is scaled. A convolution's kernel belongs to w2, which
    may have Tucker factors: t2 (r,r,kh,kw) with w2_a (r,o) and w2_b (r,i).
    """
    first, rank = (parts["lokr_w1"], None) if "lokr_w1" in parts else (parts["lokr_w1_a"] @ parts["lokr_w1_b"], parts["lokr_w1_b"].shape[0])
    if "lokr_w2" in parts:
        second = parts["lokr_w2"]
    else:
        left, right = parts["lokr_w2_a"], parts["lokr_w2_b"]
        rank = right.shape[0]
        second = tucker(parts["lokr_t2"], left, right) if "lokr_t2" in parts else (left @ right.flatten(1)).unflatten(1, right.shape[1:])
    return torch.kron(first.reshape(*first.shape, *(1 for _ in second.shape[2:])), second.contiguous()) * scale_of(parts, rank)

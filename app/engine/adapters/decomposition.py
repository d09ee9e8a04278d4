"""DoRA: a weight's direction is changed by LoRA, LoHa or LoKr, its length by itself."""

import torch
from torch import Tensor


def decomposed(weight: Tensor, change: Tensor, length: Tensor) -> Tensor:
    """m * (W + dW) / |W + dW| - W, the norm taken over all axes but one: Liu et al. 2024, "DoRA", equation 5.

    Which axis is kept, the stored lengths tell by their shape. (1,i,...): one for each input, LyCORIS' first convention and kohya's.
    (o,1,...): one for each output, LyCORIS' later one (`wd_on_out`). (o,): each output's, as peft writes them.

    Args:
        weight: (o,i) or (o,i,kh,kw), float32.
        change: dW at full strength, of the same shape.
        length: m.

    Raises:
        RuntimeError: the lengths fit neither.
    """
    merged = weight + change
    axis = 0 if length.dim() == 1 or length.shape[0] == length.numel() else 1
    if length.numel() != merged.shape[axis]:
        raise RuntimeError("lengths do not fit")
    kept = [merged.shape[axis] if i == axis else 1 for i in range(merged.dim())]
    others = [i for i in range(merged.dim()) if i != axis]
    norm = torch.linalg.vector_norm(merged, dim=others, keepdim=True) + torch.finfo(merged.dtype).eps
    return merged * (length.reshape(kept) / norm) - weight

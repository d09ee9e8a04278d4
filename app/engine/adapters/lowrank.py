"""LoRA and LoCon: a change of low rank."""

from torch import Tensor

from app.engine.adapters.parts import Parts, scale_of, tucker


def rebuilt(parts: Parts, weight: Tensor, dyn: int | None = None) -> Tensor:
    """alpha / rank * up @ down, the matrices of a convolution unrolled: Hu et al. 2021, "LoRA", section 4.1, with kohya's alpha.

    With a "mid" it is a convolution in three (LoCon with Tucker factors, Yeh et al. 2024): down (q,i), mid (p,q,kh,kw), up (o,p).

    Args:
        dyn: the first so many ranks alone, at the scale of all, as A1111 does for networks made to be cut (DyLoRA).
    """
    down, up = parts["lora_down"], parts["lora_up"]
    scale = scale_of(parts, down.shape[0])
    if "lora_mid" in parts:
        return tucker(parts["lora_mid"][:dyn, :dyn], up.flatten(1)[:, :dyn].mT, down.flatten(1)[:dyn]) * scale
    return up.flatten(1)[:, :dyn] @ down.flatten(1)[:dyn] * scale

"""LoHa: the elementwise product of two changes of low rank."""

from torch import Tensor

from app.engine.adapters.parts import Parts, scale_of, tucker


def rebuilt(parts: Parts, weight: Tensor, dyn: int | None = None) -> Tensor:
    """alpha / rank * (w1_a @ w1_b) o (w2_a @ w2_b): Hyeon-Woo et al. 2021, "FedPara", proposition 1; Yeh et al. 2024 (LyCORIS).

    A convolution with Tucker factors t1, t2 (r,r,kh,kw) has each of both as their product with w_a (r,o) and w_b (r,i) (FedPara,
    proposition 3).
    """
    halves = [_half(parts, number) for number in "12"]
    return halves[0] * halves[1] * scale_of(parts, parts["hada_w1_b"].shape[0])


def _half(parts: Parts, number: str) -> Tensor:
    first, second = parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"]
    if f"hada_t{number}" in parts:
        return tucker(parts[f"hada_t{number}"], first, second)
    return first @ second.flatten(1)

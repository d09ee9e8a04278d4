"""What a file holds for one layer, and how strongly it counts."""

from collections.abc import Mapping

from torch import Tensor

Parts = Mapping[str, Tensor]
"""Role -> tensor, float32: "lora_down", "lokr_w2_a", "alpha", ... as `app.engine.adapters.names.ROLES` calls them."""


def scale_of(parts: Parts, rank: int | None) -> float:
    """What a low-rank change is multiplied with: "scale" where the file says it, else alpha / rank, else 1.

    kohya's scripts and LyCORIS write "alpha"; networks scaled by the root of the rank (rsLoRA, Kalajdzievski 2023) have it written so
    that the quotient is right. Without a rank (Kronecker factors that are both whole) nothing is scaled, as LyCORIS does.
    """
    if "scale" in parts:
        return float(parts["scale"])
    return float(parts["alpha"]) / rank if "alpha" in parts and rank else 1.0


def tucker(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """A convolution's kernel (o,i,kh,kw) from its Tucker factors: sum over p and q of core (p,q,kh,kw), left (p,o) and right (q,i).

    Source: Yeh et al. 2024, "Navigating text-to-image customization" (LyCORIS), section 3.1 and appendix B.
    """
    return (core.permute(2, 3, 0, 1).mT @ left).mT.matmul(right).permute(2, 3, 0, 1)

"""IA3: inputs or outputs of a layer are scaled."""

from torch import Tensor

from app.engine.adapters.parts import Parts


def change(parts: Parts, weight: Tensor) -> Tensor:
    """W * s, s for each output or, where "on_input" says so, each input, so that the layer computes with W * (1 + s):
    Liu et al. 2022, "(IA)3", section 3.3, with LyCORIS' s, which is 0 where nothing changes.

    Raises:
        RuntimeError: s has another length.
    """
    axis = 1 if float(parts["on_input"]) else 0
    if parts["weight"].numel() != weight.shape[axis]:
        raise RuntimeError("scales do not fit")
    return weight * parts["weight"].reshape([-1 if i == axis else 1 for i in range(weight.dim())])

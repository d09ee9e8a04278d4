"""Networks that act on some of the steps alone."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from app.engine.adapters.asked import Lora, at_step

Apply = Callable[[Sequence[Lora]], object]


class InSteps:
    """A `Denoiser` around a `Guided`, which sees to the weights before each step.

    Args:
        model: the `Guided`, which knows its step.
        loras: all that the prompt asks for.
        apply: makes exactly these act; does nothing when they do already.
    """

    def __init__(self, model: Any, loras: Sequence[Lora], apply: Apply) -> None:
        self.model, self._loras, self._apply = model, loras, apply

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self._apply(at_step(self._loras, self.model.step + 1))
        return self.model(x, sigma)


def in_steps(guided: Any, loras: Sequence[Lora], apply: Apply) -> Any:
    """`guided` with the networks' steps seen to; itself where all of them act from the first step to the last."""
    return InSteps(guided, loras, apply) if any(lora.tag.start > 1 or lora.tag.stop is not None for lora in loras) else guided

"""What a text becomes for the network: hidden states, and for SDXL and its refiner what is told of the text as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text, or k texts of the same length, as a UNet reads them.

    Attributes:
        states: (k,n,w), what its cross-attention reads.
        pooled: (k,p), OpenCLIP-G's answer to a text as a whole (SDXL and its refiner); None elsewhere.
        score: (k,1) float32, the aesthetic score that SDXL's refiner is told, 0 to 10; None elsewhere.
    """

    states: Tensor
    pooled: Tensor | None = None
    score: Tensor | None = None

    @property
    def count(self) -> int:
        """How many texts."""
        return self.states.shape[0]

    @property
    def length(self) -> int:
        """How many states each has."""
        return self.states.shape[1]

    def followed_by(self, *states: Tensor) -> "Encoded":
        """The same with more states behind its own."""
        return replace(self, states=torch.cat([self.states, *states], 1))

    def silenced(self) -> "Encoded":
        """The same with zeros for what is said: how SDXL was trained to hear nothing."""
        return replace(self, states=torch.zeros_like(self.states), pooled=None if self.pooled is None else torch.zeros_like(self.pooled))

    def for_pictures(self, pictures: int) -> "Encoded":
        """Each text `pictures` times, one behind the other."""
        if pictures == 1:
            return self
        pooled, score = (None if part is None else part.repeat_interleave(pictures, 0) for part in (self.pooled, self.score))
        return Encoded(self.states.repeat_interleave(pictures, 0), pooled, score)


def stacked(texts: Sequence[Encoded]) -> Encoded:
    """Texts of the same length as one."""
    if len(texts) == 1:
        return texts[0]
    pooled, score = [text.pooled for text in texts if text.pooled is not None], [text.score for text in texts if text.score is not None]
    return Encoded(torch.cat([text.states for text in texts]), torch.cat(pooled) if pooled else None, torch.cat(score) if score else None)

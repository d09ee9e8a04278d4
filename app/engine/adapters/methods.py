"""The table of methods: what each needs in a file, and the change that it makes. A new one is a row here and a file with its formula."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor

from app.engine.adapters import generalized, hadamard, kronecker, lowrank, orthogonal, scaling
from app.engine.adapters.decomposition import decomposed
from app.engine.adapters.parts import Parts

Change = Callable[[Parts, Tensor, float, int | None], Tensor]
"""(parts, weight (float32), strength, how many ranks or None for all) -> what is added to the weight, with as many numbers.
Raises RuntimeError where shapes do not fit each other."""


@dataclass(frozen=True)
class Method:
    """A way to change a layer.

    Attributes:
        name: for people.
        needs: sets of roles; all of one of them must be there.
        may: roles that may be there besides.
        change: see `Change`.
        target: which of a layer's parameters it changes, "weight" or "bias".
        ranks: whether it can be cut to its first ranks.
    """

    name: str
    needs: tuple[frozenset[str], ...]
    may: frozenset[str]
    change: Change
    target: str = "weight"
    ranks: bool = False

    @property
    def roles(self) -> frozenset[str]:
        """All roles that it knows."""
        return self.may.union(*self.needs)


def _low(rebuilt: Callable[[Parts, Tensor, int | None], Tensor]) -> Change:
    """The change of a method that rebuilds a difference, which DoRA may build upon."""

    def change(parts: Parts, weight: Tensor, strength: float, dyn: int | None) -> Tensor:
        difference = rebuilt(parts, weight, dyn)
        if "dora_scale" in parts:
            difference = decomposed(weight, difference.reshape(weight.shape), parts["dora_scale"])
        return difference * strength

    return change


def _linear(change: Callable[[Parts, Tensor], Tensor]) -> Change:
    return lambda parts, weight, strength, dyn: change(parts, weight) * strength


def _whole(role: str) -> Change:
    """The difference itself, stored whole (LyCORIS' "full" and its norms, ComfyUI's extracted differences)."""
    return lambda parts, weight, strength, dyn: parts[role] * strength


def _turned(parts: Parts, weight: Tensor, strength: float, dyn: int | None) -> Tensor:
    return (orthogonal.turned if parts["oft_blocks"].dim() == 3 else orthogonal.butterfly)(parts, weight, strength)


def _row(name: str, needs: str, may: str, change: Change, target: str = "weight", ranks: bool = False) -> Method:
    return Method(name, tuple(frozenset(one.split()) for one in needs.split("|")), frozenset(may.split()), change, target, ranks)


_W1, _W2 = ("lokr_w1", "lokr_w1_a lokr_w1_b"), ("lokr_w2", "lokr_w2_a lokr_w2_b", "lokr_w2_a lokr_w2_b lokr_t2")
METHODS = (
    _row("LoRA", "lora_down lora_up", "lora_mid alpha scale dora_scale", _low(lowrank.rebuilt), ranks=True),
    _row("LoHa", "hada_w1_a hada_w1_b hada_w2_a hada_w2_b", "hada_t1 hada_t2 alpha scale dora_scale", _low(hadamard.rebuilt)),
    _row("LoKr", "|".join(f"{first} {second}" for first in _W1 for second in _W2), "alpha scale dora_scale", _low(kronecker.rebuilt)),
    _row("IA3", "weight on_input", "", _linear(scaling.change)),
    _row("full-difference", "diff", "alpha", _whole("diff")),
    _row("norm", "w_norm", "", _whole("w_norm")),
    _row("GLoRA", "a1 a2 b1 b2", "bm alpha scale", _linear(generalized.change)),
    _row("OFT", "oft_blocks", "alpha rescale", _turned),
    _row("full-difference", "diff_b", "", _whole("diff_b"), "bias"),
    _row("norm", "b_norm", "", _whole("b_norm"), "bias"),
)


def methods_for(roles: Collection[str]) -> tuple[list[Method], frozenset[str]]:
    """(the methods that these roles of one layer make up, one for each target; the roles that none of them takes)."""
    found: list[Method] = []
    for method in METHODS:
        if any(needs <= set(roles) for needs in method.needs) and method.target not in {other.target for other in found}:
            found.append(method)
    return found, frozenset(roles).difference(*(method.roles for method in found))

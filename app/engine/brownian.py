"""Brownian motion that can be asked for any interval, in any order, and always gives the same answer.

A path W over [low, high] is a binary tree of Brownian bridges: the increment of an interval is halved at its middle with
noise whose seed says which node of the tree it is. Whoever asks later, or for other intervals first, gets the same path.
Values are those of torchsde's `BrownianTree` (Li et al. 2020, "Scalable Gradients for Stochastic Differential Equations",
section 4 and algorithm 3), on which A1111's SDE samplers rest, for the same seed and the same source of normal numbers.
"""

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

_DIGITS = 6
"""Times are rounded to so many decimals; no interval is shorter than a unit of the last one."""
_POOL = 24
"""Size of the entropy pool from which the seeds of the nodes are drawn."""
_REMEMBERED = 48
"""Nodes whose halves are kept, those used last: about the two ways down to the ends of an interval. The next one shares most of them."""

Normal = Callable[[int], Tensor]
"""seed (0 to 2^32-1) -> standard normal tensor, always of the same shape."""
_Node = tuple[float, float, Tensor, int, int]
"""(start, end, increment, place among its siblings, depth)."""


class BrownianTree:
    """One path of Brownian motion.

    Args:
        seed: 0 to 2^64-1; the path depends on it, on the two ends and on `normal` alone.
        low, high: the two ends, low < high.
        normal: where the numbers come from.
    """

    def __init__(self, seed: int, low: float, high: float, normal: Normal) -> None:
        self._seed, self._normal = seed, normal
        whole = normal(_state(seed, (), 3)) * math.sqrt(high - low)
        self._root: _Node = (round(low, _DIGITS), round(high, _DIGITS), whole, 0, 0)
        self._halves: dict[tuple[int, int], tuple[_Node, _Node]] = {}

    def increment(self, start: float, end: float) -> Tensor | None:
        """W(end) - W(start) for start <= end, both brought into [low, high]; None when nothing lies between them."""
        low, high = self._root[:2]
        start, end = (round(min(max(time, low), high), _DIGITS) for time in (start, end))
        if start >= end:
            return None
        total: Tensor | None = None
        open_parts = [(self._root, start, end)]
        while open_parts:
            node, start, end = open_parts.pop()
            if (start, end) == node[:2]:
                total = node[2] if total is None else total + node[2]
                continue
            left, right = self._split(node)
            middle = left[1]
            if end <= middle:
                open_parts.append((left, start, end))
            elif start >= middle:
                open_parts.append((right, start, end))
            else:
                open_parts += [(right, middle, end), (left, start, middle)]
        return total

    def _split(self, node: _Node) -> tuple[_Node, _Node]:
        """The two halves of a node: a Brownian bridge at its middle."""
        start, end, increment, place, depth = node
        halves = self._halves.pop((place, depth), None)
        if halves is None:
            while len(self._halves) >= _REMEMBERED:
                self._halves.pop(next(iter(self._halves)))
            middle = round(0.5 * (end + start), _DIGITS)
            before, after, share = middle - start, end - middle, 1 / (end - start)
            bridge = self._normal(_state(self._seed, (place, depth), 4)) * math.sqrt(before * after * share)
            left = before * increment * share + bridge
            halves = (start, middle, left, 2 * place, depth + 1), (middle, end, increment - left, 2 * place + 1, depth + 1)
        self._halves[place, depth] = halves
        return halves


def _state(seed: int, node: tuple[int, ...], words: int) -> int:
    """The seed of a node's noise: 32 bits. torchsde draws three words at the root and four elsewhere, and uses the first."""
    return int(np.random.SeedSequence(entropy=seed, spawn_key=node, pool_size=_POOL).generate_state(words)[0])

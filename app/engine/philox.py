"""Philox4x32-10 in NumPy, and the normal numbers that a CUDA card makes of it.

Sources: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011); cuRAND's Box-Muller transform.
"""

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_UNIT = float(np.float32(2.0**-32))
_TURN = float(np.float32(2.0**-32) * np.float32(2.0 * np.pi))


def philox4x32(counter: list[np.ndarray], key: int) -> list[np.ndarray]:
    """Ten rounds of Philox.

    Args:
        counter: four arrays of one shape (or scalars), values 0 to 2^32-1, dtype uint64.
        key: 0 to 2^64-1.

    Returns:
        Four arrays of random 32-bit words, dtype uint64.
    """
    c0, c1, c2, c3 = counter
    low, high = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(_ROUNDS):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (second >> _HALF) ^ c1 ^ np.uint64(low), second & _LOW, (first >> _HALF) ^ c3 ^ np.uint64(high), first & _LOW
        low, high = low + _WEYL[0] & 0xFFFFFFFF, high + _WEYL[1] & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def normal(seed: int, offset: int, count: int) -> np.ndarray:
    """`count` standard normal numbers, float32: what `torch.randn` on a CUDA card gives at its `offset`-th call.

    Args:
        seed: 0 to 2^64-1.
        offset: how many calls came before this one.
    """
    index = np.arange(count, dtype=np.uint64)
    zero = np.zeros(count, dtype=np.uint64)
    words = philox4x32([zero + np.uint64(offset), zero, index, zero], seed)
    u = words[0] * _UNIT + _UNIT / 2
    v = words[1] * _TURN + _TURN / 2
    return (np.sqrt(-2.0 * np.log(u)) * np.sin(v)).astype(np.float32)

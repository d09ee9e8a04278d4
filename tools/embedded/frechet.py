"""How far two sets of pictures are apart, each taken as one cloud of features."""

import numpy as np


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of the normal distributions fitted to two sets of features, (n, d) and (m, d).

    |mean difference|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)), as Heusel et al. (2017) compare sets of pictures. In float64; few samples
    make it larger, so only distances between equally large sets can be compared.

    Raises:
        ValueError: fewer than two samples.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("A distance of distributions needs at least two samples of each.")
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = _root(one)
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ other @ root), 0, None)).sum()
    difference = first.mean(0) - second.mean(0)
    return float(max(0.0, difference @ difference + np.trace(one) + np.trace(other) - 2 * shared))


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semi-definite matrix; what rounding made negative counts as 0."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T

"""Whether residuals that a fit left over are more than the noise of the units."""

from __future__ import annotations

import numpy as np

from attribution.gradient import Gradient
from attribution.infer.simultaneous import DRAWS, signs
from attribution.infer.unit_sums import UnitSums
from attribution.infer.units import Units

__all__ = ["lack_of_fit"]


def lack_of_fit(
    value: np.ndarray, gradient: Gradient, size: np.ndarray, units: Units, seed: int
) -> float:
    """Test that K sums of residuals are noise.

    ``Q = sum_k e_k^2 / size_k`` against its distribution when each unit's contribution to the sums
    has its sign flipped by chance: a score test that needs no K x K covariance, which few clusters
    could not give.

    Parameters
    ----------
    value : ndarray, shape (K,)
    gradient : Gradient
        Of the K sums.
    size : ndarray, shape (K,)
        What a sum is measured against.
    units : Units
    seed : int

    Returns
    -------
    float
        The p-value; with two cluster columns the larger one.

    References
    ----------
    Kline, P. and Santos, A. (2012). A score based approach to wild bootstrap inference. J.
    Econometric Methods 1(1).
    """
    kept = size > 0
    scale = 1 / np.sqrt(size[kept])
    observed = float(((value[kept] * scale) ** 2).sum())
    if observed == 0:
        return 1.0
    found = []
    for way in units.ways:
        rows = gradient.dot(way.sums)[:, kept] * scale
        draws = _drawn(rows, way, seed)
        found.append((1 + (draws >= observed * (1 - 1e-9)).sum()) / (1 + len(draws)))
    return float(max(found))


def _drawn(rows: np.ndarray, units: UnitSums, seed: int) -> np.ndarray:
    """Q with chance signs; of independent rows, a weighted sum of squared normals."""
    if units.clustered:
        blocks = [((e @ rows) ** 2).sum(axis=1) for e in signs(units.count, seed)]
        return np.concatenate(blocks)
    weights = np.maximum(np.linalg.eigvalsh(rows.T @ rows), 0.0)
    normal = np.random.default_rng(seed).standard_normal((DRAWS, len(weights)))
    return normal**2 @ weights

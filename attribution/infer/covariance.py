"""The covariance of any lines from their gradient: V = G/(G-1) sum_g (psi_g - mean)(psi_g - mean)'.

psi_g is the gradient times the sums of unit g, so a line's variance needs no formula of its own. A
cluster seen in both periods is one unit, which puts the covariance across periods in. With two
cluster columns the variances of both add up, less that of their crossing.
"""

from __future__ import annotations

import numpy as np

from attribution.gradient import Gradient
from attribution.infer.unit_sums import UnitSums
from attribution.infer.units import Units

__all__ = ["MOST_ROWS", "covariance", "psi", "std_errors"]

# The psi rows of more lines than this are not held, nor more numbers: they would fill the memory.
MOST_ROWS = 500
_MOST_NUMBERS = 2**27


def psi(gradient: Gradient, units: Units) -> list[np.ndarray] | None:
    """Return what each unit adds to each line, centred, an array (rows, K) for each kind of unit.

    One per cluster column and one for their crossing; None for more than 500 lines, or a gigabyte.
    Rows that stand for several units (independent rows, by the root of their Gram) are centred
    where they hold a 1 of every unit; two per cell need it not: their sum is 0 for every line that
    does not change when all sums double.
    """
    lines = gradient.shape[0]
    if lines > MOST_ROWS or units.count < 2:
        return None
    if max(lines * kind.sums.shape[0] for kind in units.kinds) > _MOST_NUMBERS:
        return None
    return [_centred(gradient, way) for way in units.kinds]


def _centred(gradient: Gradient, units: UnitSums) -> np.ndarray:
    rows, mean = units.dot(gradient), gradient.times(units.totals) / units.count
    if units.clustered:
        return rows - mean
    return rows if units.ones is None else rows - np.outer(units.ones, mean)


def covariance(
    gradient: Gradient, units: Units, rows: list[np.ndarray] | None = None
) -> np.ndarray:
    """Return the joint covariance of all lines, shape (K, K).

    Parameters
    ----------
    gradient : Gradient
        K lines over 4 S sums.
    units : Units
    rows : list of ndarray, optional
        Their `psi`, where it is there already.

    Returns
    -------
    ndarray
        All NaN with fewer than two units: there is nothing to tell noise from. Positive
        semidefinite; its diagonal is ``std_errors ** 2``.
    """
    K = gradient.shape[0]
    if units.count < 2:
        return np.full((K, K), np.nan)
    if rows is None:
        kinds = [_one_way(gradient, kind) for kind in units.kinds]
    else:
        kinds = [_of_rows(kind, own) for kind, own in zip(units.kinds, rows, strict=True)]
    if units.overlap is None:
        return kinds[0]
    values, vectors = np.linalg.eigh(sum(kinds[1:-1], kinds[0]) - kinds[-1])
    V = (vectors * np.maximum(values, 0.0)) @ vectors.T
    wanted, found = std_errors(gradient, units, rows), np.sqrt(np.maximum(np.diag(V), 0.0))
    scale = np.divide(wanted, found, out=np.ones(K), where=found > 0)
    V = V * np.outer(scale, scale)
    V[np.diag_indices(K)] = wanted**2
    return V


def std_errors(
    gradient: Gradient, units: Units, rows: list[np.ndarray] | None = None
) -> np.ndarray:
    """Return the standard error of each line, shape (K,), without the covariances between them.

    Two-way: the root of ``max(V_a + V_b - V_ab, V_a, V_b)``. The difference can come out too small,
    even negative, with few clusters, and a standard error must not be small by accident.

    Parameters
    ----------
    gradient : Gradient
        K lines over 4 S sums.
    units : Units
    rows : list of ndarray, optional
        Their `psi`, where it is there already.

    References
    ----------
    Cameron, A. C., Gelbach, J. B. and Miller, D. L. (2011). Robust inference with multiway
    clustering. J. Bus. Econ. Stat. 29(2).
    MacKinnon, J. G., Nielsen, M. O. and Webb, M. D. (2024). Jackknife inference with two-way
    clustering. (The largest of the three.)
    """
    if units.count < 2:
        return np.full(gradient.shape[0], np.nan)
    if rows is None:
        found = [_variances(gradient, kind) for kind in units.kinds]
    else:
        squares = [np.einsum("gk,gk->k", r, r) for r in rows]
        found = [k.count / (k.count - 1) * x for k, x in zip(units.kinds, squares, strict=True)]
    ways = found[: len(units.ways)]
    if units.overlap is None:
        return np.sqrt(ways[0])
    return np.sqrt(np.maximum.reduce([sum(ways) - found[-1], *ways]))


def _of_rows(units: UnitSums, rows: np.ndarray) -> np.ndarray:
    return units.count / (units.count - 1) * (rows.T @ rows)


def _one_way(gradient: Gradient, units: UnitSums) -> np.ndarray:
    G = units.count
    mean = gradient.times(units.totals) / G
    # Block by block: psi'psi of clusters in files adds up without all of them in memory.
    blocks = map(gradient.dot, units.blocks) if units.shared is None else [units.dot(gradient)]
    squares = np.sum([psi.T @ psi for psi in blocks], axis=0)
    return G / (G - 1) * (squares - G * np.outer(mean, mean))


def _variances(gradient: Gradient, units: UnitSums) -> np.ndarray:
    G = units.count
    mean = gradient.times(units.totals) / G
    spread = units.squares(gradient) - G * mean**2
    return np.maximum(G / (G - 1) * spread, 0.0)

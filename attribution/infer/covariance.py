"""The covariance of any lines from their gradient: V = G/(G-1) sum_g (psi_g - mean)(psi_g - mean)'.

psi_g is the gradient times the sums of unit g, so a line's variance needs no formula of its own. A
cluster seen in both periods is one unit, which puts the covariance across periods in. Where rows
are independent the per-cell Gram of (denominator, numerator) is enough: its square root stands for
the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.gradient import Gradient

__all__ = ["UnitSums", "cluster_units", "covariance", "row_units", "std_errors"]


@dataclass(frozen=True, eq=False)
class UnitSums:
    """The sums of independent units over (D_0, D_1, N_0, N_1).

    Attributes
    ----------
    sums : csr_array, shape (rows, 4 S)
        One row per cluster; for independent rows, two per cell whose cross-product is the Gram.
    totals : ndarray, shape (4 S,)
        The column sums over units.
    count : int
        The number G of units.
    clustered : bool
        Whether the rows of `sums` are the units themselves.
    """

    sums: sparse.csr_array
    totals: np.ndarray
    count: int
    clustered: bool

    @property
    def degrees_of_freedom(self) -> int:
        """G - 1."""
        return self.count - 1


def cluster_units(
    cluster: np.ndarray,
    period: np.ndarray,
    segment: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    segments: int,
) -> UnitSums:
    """Arrange cluster sums as one row per cluster.

    Parameters
    ----------
    cluster, period, segment : ndarray of int, shape (m,)
        Where each entry belongs: a code from 0, a period 0 or 1, a segment.
    D, N : ndarray, shape (m,)
        Its denominator and numerator.
    segments : int
        The number S of segments.

    Returns
    -------
    UnitSums
    """
    seen = np.bincount(cluster) > 0
    row = (np.cumsum(seen) - 1)[cluster]
    count = int(seen.sum())
    column = period.astype(np.int64) * segments + segment
    sums = sparse.csr_array(
        (
            np.concatenate([D, N]),
            (np.concatenate([row, row]), np.concatenate([column, column + 2 * segments])),
        ),
        shape=(count, 4 * segments),
    )
    totals = np.asarray(sums.sum(axis=0)).ravel()
    return UnitSums(sums, totals, count, clustered=True)


def row_units(
    D: np.ndarray, N: np.ndarray, DD: np.ndarray, DN: np.ndarray, NN: np.ndarray, count: float
) -> UnitSums:
    """Arrange independent rows by the Cholesky factor of each cell's Gram.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
        Sums of denominators and numerators.
    DD, DN, NN : ndarray, shape (2, S)
        Sums over rows of their squares and products.
    count : float
        The number of rows, or of trials where rows bundle them.

    Returns
    -------
    UnitSums
    """
    dd, dn, nn = DD.ravel(), DN.ravel(), NN.ravel()
    cells = len(dd)
    first = np.sqrt(dd)
    along = np.divide(dn, first, out=np.zeros(cells), where=first > 0)
    rest = np.sqrt(np.maximum(nn - along**2, 0.0))
    cell = np.arange(cells)
    sums = sparse.csr_array(
        (
            np.concatenate([first, along, rest]),
            (
                np.concatenate([cell, cell, cells + cell]),
                np.concatenate([cell, cells + cell, cells + cell]),
            ),
        ),
        shape=(2 * cells, 2 * cells),
    )
    return UnitSums(sums, np.concatenate([D.ravel(), N.ravel()]), round(count), clustered=False)


def covariance(gradient: Gradient, units: UnitSums) -> np.ndarray:
    """Return the joint covariance of all lines, shape (K, K).

    Parameters
    ----------
    gradient : Gradient
        K lines over 4 S sums.
    units : UnitSums

    Returns
    -------
    ndarray
        All NaN with fewer than two units: there is nothing to tell noise from.
    """
    G = units.count
    if G < 2:
        return np.full((gradient.shape[0], gradient.shape[0]), np.nan)
    psi = gradient.dot(units.sums)
    mean = gradient.times(units.totals) / G
    return G / (G - 1) * (psi.T @ psi - G * np.outer(mean, mean))


def std_errors(gradient: Gradient, units: UnitSums) -> np.ndarray:
    """Return the standard error of each line, shape (K,), without the covariances between them."""
    G = units.count
    if G < 2:
        return np.full(gradient.shape[0], np.nan)
    mean = gradient.times(units.totals) / G
    spread = gradient.squares(units.sums) - G * mean**2
    return np.sqrt(np.maximum(G / (G - 1) * spread, 0.0))

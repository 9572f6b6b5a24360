"""How small a change a sample can show, and the variance of a ratio in clusters behind it."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse, special

__all__ = [
    "change_std_error",
    "cluster_design_effect",
    "detectable_factor",
    "ratio_covariance",
    "row_variance",
    "rows_needed",
]


def detectable_factor(alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the detectable change in standard errors: ``z_{1 - alpha/2} + z_{power}``.

    Parameters
    ----------
    alpha : float
        The level of the two-sided test.
    power : float
        The probability that the change is seen.

    Returns
    -------
    float

    Examples
    --------
    >>> round(detectable_factor(), 3)
    2.802
    """
    return float(special.ndtri(1 - alpha / 2) + special.ndtri(power))


def cluster_design_effect(cluster_size: float, icc: float) -> float:
    """Return how much clusters inflate a variance: ``1 + (m - 1) icc``.

    Parameters
    ----------
    cluster_size : float
        Rows m per cluster and period.
    icc : float
        The correlation of two rows of one cluster.

    Returns
    -------
    float

    References
    ----------
    Kish, L. (1965). Survey Sampling. Wiley.

    Examples
    --------
    >>> cluster_design_effect(35, 0.02)
    1.6800000000000002
    """
    return 1 + (cluster_size - 1) * icc


def change_std_error(variance: float, n: tuple[float, float], correlation: float = 0.0) -> float:
    """Return the standard error of a change between two samples.

    ``SE^2 = variance (1/n_0 + 1/n_1 - 2 correlation / sqrt(n_0 n_1))``

    Parameters
    ----------
    variance : float
        Of the KPI in a sample of one row, design effect included.
    n : (float, float)
        Rows in the baseline and the current period.
    correlation : float
        Between the KPI's errors of the two periods, from clusters seen in both.

    Returns
    -------
    float

    Examples
    --------
    >>> round(change_std_error(0.92 * 0.08 * 2, (2000, 2000)), 5)
    0.01213
    """
    pairing = 2 * correlation / math.sqrt(n[0] * n[1])
    return math.sqrt(variance * (1 / n[0] + 1 / n[1] - pairing))


def rows_needed(
    change: float,
    variance: float,
    correlation: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return the rows each of two periods needs to show a change.

    ``n = 2 variance (1 - correlation) (z_{1 - alpha/2} + z_{power})^2 / change^2``, rounded up.

    Parameters
    ----------
    change : float
        In KPI units.
    variance, correlation
        See `change_std_error`.
    alpha, power
        See `detectable_factor`.

    Returns
    -------
    int

    Examples
    --------
    >>> rows_needed(0.034, 0.92 * 0.08 * 2)
    1999
    """
    n = 2 * variance * (1 - correlation) * (detectable_factor(alpha, power) / change) ** 2
    # Rounding must not ask for one more row than the change that the same n can show.
    return math.ceil(n * (1 - 1e-12))


def row_variance(
    D: np.ndarray, N: np.ndarray, DD: np.ndarray, DN: np.ndarray, NN: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """Return the variance of each period's ratio if its rows are independent.

    ``V_t = n/(n - 1) sum_rows (N - R D)^2 / D_t^2`` from the sums of squares and products.

    Parameters
    ----------
    D, N : ndarray, shape (P,)
        Denominator and numerator of each period.
    DD, DN, NN : ndarray, shape (P,)
        Sums over rows of their squares and products.
    n : ndarray, shape (P,)
        Rows.

    Returns
    -------
    ndarray, shape (P,)

    Examples
    --------
    >>> one = np.array([100.0]), np.array([92.0])
    >>> row_variance(*one, one[0], one[1], one[1], one[0]).round(6)
    array([0.000743])
    """
    R = N / D
    return n / (n - 1) * (NN - 2 * R * DN + R**2 * DD) / D**2


def ratio_covariance(
    codes: np.ndarray, period: np.ndarray, D: np.ndarray, N: np.ndarray, periods: int
) -> np.ndarray:
    """Return the covariance of the ratios of all periods, from sums by cluster.

    ``psi_gt = sum over g's entries of (N - R_t D) / D_t``; ``C_ts = G/(G-1) sum_g psi_gt psi_gs``
    with G the clusters seen in t or s. With two cluster columns the covariances of both add up,
    less that of their crossing; a variance is at least the larger of the two.

    Parameters
    ----------
    codes : ndarray of int, shape (k, m)
        The code of each cluster column, per entry; k is 1 or 2.
    period : ndarray of int, shape (m,)
        From 0 to P - 1; every period has a denominator.
    D, N : ndarray, shape (m,)
        Denominator and numerator of an entry.
    periods : int
        P.

    Returns
    -------
    ndarray, shape (P, P)
        NaN where fewer than two clusters are seen.

    References
    ----------
    Cameron, A. C., Gelbach, J. B. and Miller, D. L. (2011). Robust Inference With Multiway
    Clustering. JBES 29:238-249.
    MacKinnon, J. G., Nielsen, M. O. and Webb, M. D. (2024). Jackknife inference with two-way
    clustering. (The larger variance.)

    Examples
    --------
    >>> ones = np.ones(4)
    >>> ratio_covariance(np.array([[0, 1, 0, 1]]), np.array([0, 0, 1, 1]), ones,
    ...                  np.array([1.0, 0.0, 1.0, 0.0]), 2)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    D_t = np.bincount(period, D, periods)
    R = np.bincount(period, N, periods) / D_t
    psi = (N - R[period] * D) / D_t[period]
    seen = D != 0
    ways = [_gram(column, period, psi, seen, periods) for column in codes]
    if len(ways) == 1:
        return ways[0]
    crossed = codes[0].astype(np.int64) * (int(codes[1].max()) + 1) + codes[1]
    covariance = sum(ways) - _gram(crossed, period, psi, seen, periods)
    largest = np.maximum.reduce([x.diagonal() for x in (covariance, *ways)])
    np.fill_diagonal(covariance, largest)
    return covariance


def _gram(
    group: np.ndarray, period: np.ndarray, psi: np.ndarray, seen: np.ndarray, periods: int
) -> np.ndarray:
    """``G/(G-1) sum_g psi_gt psi_gs`` of one cluster column."""
    _, group = np.unique(group, return_inverse=True)
    shape = (int(group.max()) + 1, periods)
    # Duplicate places add up: a cluster's segments become one row.
    rows = sparse.coo_array((psi, (group, period)), shape=shape).tocsr()
    counted = sparse.coo_array((seen.astype(float), (group, period)), shape=shape).tocsr()
    present = (counted > 0).astype(float)
    both = (present.T @ present).toarray()
    G = np.add.outer(both.diagonal(), both.diagonal()) - both
    factor = np.divide(G, G - 1, out=np.full(G.shape, np.nan), where=G > 1)
    return factor * (rows.T @ rows).toarray()

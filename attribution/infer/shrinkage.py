"""Empirical Bayes: how much entities truly differ, and each estimate drawn in by its own noise."""

from __future__ import annotations

import numpy as np

__all__ = ["between_variance", "shrink"]


def between_variance(estimate: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
    """Return tau^2, the variance of the true values, and their mean (Paule and Mandel).

    tau^2 solves ``sum_e (y_e - m)^2 / (tau^2 + v_e) = K - 1`` with m the mean weighted by
    ``1 / (tau^2 + v_e)``; 0 where the estimates vary no more than their noise.

    Parameters
    ----------
    estimate, variance : ndarray, shape (K,)
        y_e and v_e > 0.

    Returns
    -------
    tau2, mean : float

    References
    ----------
    Paule, R. C. and Mandel, J. (1982). Consensus values and weighting factors. J. Res. NBS 87:377.

    Examples
    --------
    >>> tau2, mean = between_variance(np.array([-3.0, 0.0, 3.0]), np.ones(3))
    >>> round(tau2, 6), round(mean, 6)
    (8.0, 0.0)
    """
    K = len(estimate)

    def excess(tau2: float) -> tuple[float, float]:
        weight = 1 / (variance + tau2)
        mean = float(weight @ estimate / weight.sum())
        return float(weight @ (estimate - mean) ** 2 - (K - 1)), mean

    at_zero, mean = excess(0.0)
    if K < 2 or at_zero <= 0:
        return 0.0, mean
    low, high = 0.0, float(np.var(estimate) * K / (K - 1))
    while excess(high)[0] > 0:
        low, high = high, 2 * high
    # The sum falls with tau^2: halving cannot fail, and 60 halvings are below rounding.
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle)[0] > 0 else (low, middle)
    tau2 = (low + high) / 2
    return tau2, excess(tau2)[1]


def shrink(estimate: np.ndarray, variance: np.ndarray, tau2: float, mean: float) -> np.ndarray:
    """Return ``m + tau^2 / (tau^2 + v_e) (y_e - m)``; y_e where neither varies.

    Parameters
    ----------
    estimate, variance : ndarray, shape (K,)
    tau2, mean : float
        From `between_variance`.

    Returns
    -------
    ndarray, shape (K,)

    References
    ----------
    Efron, B. and Morris, C. (1975). Data analysis using Stein's estimator. JASA 70:311-319.

    Examples
    --------
    >>> shrink(np.array([4.0, 4.0]), np.array([1.0, 9.0]), 3.0, 0.0)
    array([3., 1.])
    """
    spread = tau2 + variance
    # Without noise and without differences there is nothing to draw in.
    weight = np.divide(tau2, spread, out=np.ones_like(spread), where=spread > 0)
    return mean + weight * (estimate - mean)

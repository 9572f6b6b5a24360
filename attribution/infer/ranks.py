"""Where an entity may stand among K, given that each is known only within an interval."""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["joint_half_width", "rank_intervals"]


def joint_half_width(
    std_error: np.ndarray, degrees_of_freedom: np.ndarray, conf_level: float
) -> np.ndarray:
    """Return half widths of K intervals that hold together with probability `conf_level`.

    Each at the level ``conf_level ** (1 / K)`` (Sidak).

    Parameters
    ----------
    std_error, degrees_of_freedom : ndarray, shape (K,)
        Infinite degrees of freedom give normal intervals.
    conf_level : float

    Returns
    -------
    ndarray, shape (K,)

    Examples
    --------
    >>> joint_half_width(np.ones(2), np.array([np.inf, np.inf]), 0.95).round(2)
    array([2.24, 2.24])
    """
    each = (1 + conf_level ** (1 / max(len(std_error), 1))) / 2
    dof = np.maximum(degrees_of_freedom, 1.0)
    normal = special.ndtri(each)
    finite = np.isfinite(dof)
    t = special.stdtrit(np.where(finite, dof, 1.0), each)
    return np.where(finite, t, normal) * std_error


def rank_intervals(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks each entity may have, 1 for the greatest value.

    ``rank_low = 1 + #{j: low_j > high_e}``, ``rank_high = K - #{j: high_j < low_e}``. If the
    intervals hold together with some probability, so do all rank intervals.

    Parameters
    ----------
    low, high : ndarray, shape (K,)

    Returns
    -------
    rank_low, rank_high : ndarray of int, shape (K,)

    References
    ----------
    Klein, M., Wright, T. and Wieczorek, J. (2020). A joint confidence region for an overall
    ranking of populations. JRSS C 69:589-606.

    Examples
    --------
    >>> rank_intervals(np.array([5.0, 4.5, 1.0]), np.array([6.0, 5.5, 2.0]))
    (array([1, 1, 3]), array([2, 2, 3]))
    """
    K = len(low)
    above = K - np.searchsorted(np.sort(low), high, side="right")
    below = np.searchsorted(np.sort(high), low, side="left")
    return 1 + above, K - below

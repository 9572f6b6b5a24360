"""Actual against planned targets: performance, mix against plan, turnover; exact, with gradients.

With S the segments that have both a target T and data, p their actual shares and w their planned
ones (each within S):

    performance = sum_S p_c (r_c - T_c)        mix = sum_S (p_c - w_c) T_c
    entry = R_1 - R_1S (data without a target)    exit = R_0S - R_0 (a target without data)
    performance + mix + entry + exit = R_1 - R_0,     R_0 = sum_c w_c T_c over all targets

It is the decomposition with method "current" whose baseline is the plan, which has no noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PARTS", "Against", "against_plan"]

PARTS = ("performance", "mix", "entry", "exit")


@dataclass(frozen=True, eq=False)
class Against:
    """A KPI against its plan.

    Attributes
    ----------
    planned : float
        R_0: the plan's targets at the planned mix, or the overall target.
    actual : float
        R_1.
    adjusted : float
        The targets at the actual mix of S.
    estimate : ndarray, shape (4,)
        In the order of `PARTS`; they add up to ``actual - planned``.
    gradient : ndarray, shape (6, 2 S)
        Of actual, actual less adjusted, and the four parts, over the actual (D, N).
    """

    planned: float
    actual: float
    adjusted: float
    estimate: np.ndarray
    gradient: np.ndarray


def against_plan(D: np.ndarray, N: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Against:
    """Split the distance from the plan.

    Parameters
    ----------
    D, N : ndarray, shape (S,)
        Actual denominators, 0 where there are no data, and numerators.
    target : ndarray, shape (S,)
        NaN where there is none.
    weight : ndarray, shape (S,)
        Planned volumes, 0 where there is no target.

    Returns
    -------
    Against

    Examples
    --------
    >>> found = against_plan(np.array([50.0, 50]), np.array([48.0, 41]), np.array([0.95, 0.85]),
    ...                      np.array([0.7, 0.3]))
    >>> round(found.planned, 3), found.actual, found.estimate.round(3)
    (0.92, 0.89, array([-0.01, -0.02,  0.  ,  0.  ]))
    """
    S = len(D)
    goal = ~np.isnan(target) & (weight > 0)
    T = np.where(goal, target, 0.0)
    both = goal & (D > 0)
    w = weight / weight[goal].sum()
    planned = float(w[goal] @ T[goal])
    D_1, N_1 = D.sum(), N.sum()
    R_1 = N_1 / D_1
    every = np.zeros((6, 2 * S))
    every[0] = np.concatenate([np.full(S, -R_1 / D_1), np.full(S, 1 / D_1)])
    if not both.any():
        # Nothing in common: all that was planned is gone, all that is there is new.
        every[4] = every[0]
        estimate = np.array([0.0, 0.0, R_1 - planned, 0.0])
        return Against(planned, float(R_1), planned, estimate, every)
    D_S = D[both].sum()
    R_S = N[both].sum() / D_S
    adjusted = float(D[both] @ T[both] / D_S)
    planned_S = float(w[both] @ T[both] / w[both].sum())
    parts = np.array([R_S - adjusted, adjusted - planned_S, R_1 - R_S, planned_S - planned])
    # Nothing new, nothing gone: exactly 0, not the rounding of a difference.
    parts[2:] *= [bool((D[~both] > 0).any()), bool((goal & ~both).any())]
    of_rate = np.concatenate([np.where(both, -R_S / D_S, 0.0), np.where(both, 1 / D_S, 0.0)])
    of_adjusted = np.concatenate([np.where(both, (T - adjusted) / D_S, 0.0), np.zeros(S)])
    every[1] = every[0] - of_adjusted
    every[2] = of_rate - of_adjusted
    every[3] = of_adjusted
    every[4] = every[0] - of_rate
    return Against(planned, float(R_1), adjusted, parts, every)

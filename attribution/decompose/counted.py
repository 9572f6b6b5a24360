"""Known volumes: the mix from full counts, the rates from a sample (post-stratified).

The KPI with known volumes is R_t = sum_c V_tc / V_t r_tc. What separates it from the sample's own
N_t / D_t is the line `sampling`.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from attribution.decompose.linearize import Stages
from attribution.decompose.turnover import Turnover
from attribution.gradient import Gradient

__all__ = ["counted_outside"]


def counted_outside(
    volume: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    moved: Turnover,
    stages: Stages,
    exact: bool,
) -> tuple[np.ndarray, Gradient]:
    """Return each segment's own part of entry and exit with known volumes, 0 within S.

    V_1c / V_1 (r_1c - R_1S) for one that entered, V_0c / V_0 (R_0S - r_0c) for one that left; a
    segment without a sample has the rate of its line.

    Parameters
    ----------
    volume, D, N : ndarray, shape (2, S)
        Full counts, and the sample's denominators and numerators.
    moved : Turnover
    stages : Stages
        Shares and rates within S.
    exact : bool
        The derivative itself, or that for noise: residuals from the rate of the line, since a unit
        alone in its segment has none from the segment's own.

    Returns
    -------
    value : ndarray, shape (S,)
    gradient : Gradient
        Over (D_0, D_1, N_0, N_1).
    """
    S = len(moved.stayed)
    p, r = stages.shares.p, stages.rates.r
    value, gradient = np.zeros(S), Gradient.zero(S, 4 * S)
    for t, sign in ((0, -1.0), (1, 1.0)):
        outside = ~moved.stayed & (volume[t] > 0)
        # The segments whose sums make a segment's rate: itself, or all of its line.
        alone = sparse.diags_array((outside & (D[t] > 0)).astype(float))
        without = sparse.diags_array((outside & (D[t] == 0)).astype(float))
        of_line = sparse.csr_array(moved.members.T @ moved.members)
        made_of = sparse.csr_array(alone + without @ of_line)
        d = made_of @ D[t]
        # Without any sample of its line a segment is taken to be like the rest: it moves nothing.
        weight = np.where(outside & (d > 0), sign * volume[t] / volume[t].sum(), 0.0)
        rate = np.divide(made_of @ N[t], d, out=np.zeros(S), where=d > 0)
        inside = np.concatenate([p[t] * (t == 0), p[t] * (t == 1)])
        of_inside = stages.to_sums(Gradient.of(np.ones((1, 1)), _rates_only(inside)), exact)
        value += weight * (rate - p[t] @ r[t])
        scale = np.divide(weight, d, out=np.zeros(S), where=d > 0)
        blocks = [sparse.csr_array((S, S)) for _ in range(4)]
        d_line = of_line @ D[t]
        around = np.divide(of_line @ N[t], d_line, out=np.zeros(S), where=d_line > 0)
        around = rate if exact else around
        blocks[t] = sparse.csr_array(sparse.diags_array(-scale * around) @ made_of)
        blocks[2 + t] = sparse.csr_array(sparse.diags_array(scale) @ made_of)
        each = sparse.eye_array(S, format="csr")
        gradient = gradient + Gradient.of(each, sparse.hstack(blocks, format="csr"))
        gradient = gradient + of_inside.combine(-weight[:, None])
    return value, gradient


def _rates_only(gradient: np.ndarray) -> sparse.csr_array:
    """One line over (p_0, p_1, r_0, r_1) that moves with rates only."""
    return sparse.csr_array(np.concatenate([np.zeros(len(gradient)), gradient])[None, :])

"""Observed shares and rates of groups of segments, and single segments' part of the turnover.

All gradients are over the 4 S sums (D_0, D_1, N_0, N_1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from attribution.gradient import Gradient

__all__ = ["margin_rates", "margin_shares", "outside_shares", "total_change"]


def margin_shares(
    D: np.ndarray, member: Any, t: int, blocks: int = 2
) -> tuple[np.ndarray, Gradient]:
    """Return each group's share of the denominators of period `t`.

    Parameters
    ----------
    D : ndarray, shape (2, S)
        The first of the blocks of sums.
    member : sparse array, shape (groups, S)
        1 where a segment belongs to a group.
    t : {0, 1}
    blocks : int
        How many there are.
    """
    total = D[t].sum()
    share = (member @ D[t]) / total
    own = _placed(member, np.full(D.shape[1], 1 / total), t, D.shape[1], 2 * blocks)
    everyone = np.zeros((1, 2 * blocks * D.shape[1]))
    everyone[0, t * D.shape[1] : (t + 1) * D.shape[1]] = 1 / total
    return share, own + Gradient.of(-share[:, None], everyone)


def margin_rates(D: np.ndarray, N: np.ndarray, member: Any, t: int) -> tuple[np.ndarray, Gradient]:
    """Return each group's rate in period `t`; 0 for a group without volume."""
    volume, S = member @ D[t], D.shape[1]
    rate = np.divide(member @ N[t], volume, out=np.zeros(len(volume)), where=volume > 0)
    per_volume = np.divide(1.0, volume, out=np.zeros(len(volume)), where=volume > 0)
    in_N = _placed(member, np.ones(S), 2 + t, S).combine(sparse.diags_array(per_volume).tocsr())
    in_D = _placed(member, np.ones(S), t, S)
    return rate, in_N + in_D.combine(sparse.diags_array(-rate * per_volume).tocsr())


def outside_shares(D: np.ndarray, N: np.ndarray, stayed: np.ndarray) -> tuple[np.ndarray, Gradient]:
    """Return each segment's own part of entry and exit, 0 within S.

    D_1c / D_1 (r_1c - R_1S) for one that entered, D_0c / D_0 (R_0S - r_0c) for one that left.
    """
    S = D.shape[1]
    value, gradient = np.zeros(S), Gradient.zero(S, 4 * S)
    for t, sign in ((0, -1.0), (1, 1.0)):
        total, volume = D[t].sum(), D[t][stayed].sum()
        rate = N[t][stayed].sum() / volume
        here = np.where(stayed, 0.0, sign)
        own = here * (N[t] - rate * D[t]) / total
        value += own
        blocks = [sparse.csr_array((S, S)) for _ in range(4)]
        blocks[t] = sparse.diags_array(-here * rate / total).tocsr()
        blocks[2 + t] = sparse.diags_array(here / total).tocsr()
        gradient = gradient + Gradient.of(
            sparse.eye_array(S, format="csr"), sparse.hstack(blocks, format="csr")
        )
        of_rate, of_total = np.zeros((1, 4 * S)), np.zeros((1, 4 * S))
        of_rate[0, t * S : (t + 1) * S] = -rate / volume * stayed
        of_rate[0, (2 + t) * S : (3 + t) * S] = stayed / volume
        of_total[0, t * S : (t + 1) * S] = 1 / total
        gradient = gradient + Gradient.of((-here * D[t] / total)[:, None], of_rate)
        gradient = gradient + Gradient.of(-own[:, None], of_total)
    return value, gradient


def total_change(D: np.ndarray, N: np.ndarray) -> tuple[float, Gradient]:
    """Return R_1 - R_0 and its gradient."""
    everyone = sparse.csr_array(np.ones((1, D.shape[1])))
    before, in_before = margin_rates(D, N, everyone, 0)
    after, in_after = margin_rates(D, N, everyone, 1)
    return float(after[0] - before[0]), in_after - in_before


def _placed(member, scale: np.ndarray, block: int, S: int, of: int = 4) -> Gradient:
    """Lines that read their members in one of the blocks of variables."""
    member = sparse.csr_array(member)
    placed = (member.data * scale[member.indices], member.indices + block * S, member.indptr)
    right = sparse.csr_array(placed, shape=(member.shape[0], of * S))
    return Gradient.of(sparse.eye_array(member.shape[0], format="csr"), right)

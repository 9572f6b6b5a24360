"""Which groups must not be shown so that no small one can be worked out from the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

__all__ = ["suppressed"]


def suppressed(tables: Sequence[np.ndarray], n: np.ndarray, least: int) -> list[np.ndarray]:
    """Return which groups of each table must not be shown so that no small one can be worked out.

    Parameters
    ----------
    tables : sequence of ndarray of int, shape (S,)
        The group of every cell in each table that is shown beside the total: all tables add up to
        the same cells.
    n : ndarray, shape (2, S)
        Rows per cell, in each period.
    least : int
        Groups with 1 to least - 1 rows in a period are small.

    Returns
    -------
    list of ndarray of bool
        One mask over the groups of each table.

    Notes
    -----
    In every table the suppressed groups are at least two and together at least `least` rows, or
    the total would show them. Across tables, a group can be worked out exactly when its indicator
    over the cells is a linear combination of those that are shown; as long as a suppressed one
    can, the smallest group that takes part in it is suppressed too.

    Examples
    --------
    Queue c is small; b, the next smallest, goes with it.

    >>> [mask.tolist() for mask in suppressed([np.array([0, 1, 2])],
    ...                                       np.array([[90, 50, 3], [80, 60, 40]]), 10)]
    [[False, True, True]]
    """
    groups = [_members(codes) for codes in tables]
    counts = [np.stack([member @ row for row in n]) for member in groups]
    masks = [np.asarray(((k > 0) & (k < least)).any(axis=0)) for k in counts]
    while True:
        for mask, count in zip(masks, counts, strict=True):
            _complement(mask, count, least)
        # Two groups of one table cannot be told apart by what else it shows.
        if not any(mask.any() for mask in masks) or len(tables) == 1:
            return masks
        given_away = _worked_out(groups, masks)
        if not given_away:
            return masks
        for used in given_away:
            table, group = min(used, key=lambda at: (counts[at[0]].sum(axis=0)[at[1]], at))
            masks[table][group] = True


def _members(codes: np.ndarray) -> sparse.csr_array:
    """1 where a cell belongs to a group, shape (groups, S)."""
    S = len(codes)
    return sparse.csr_array((np.ones(S), (codes, np.arange(S))))


def _complement(mask: np.ndarray, count: np.ndarray, least: int) -> None:
    """Suppress the smallest shown groups until what is suppressed is no small group itself."""
    if not mask.any():
        return
    for g in np.argsort(count.sum(axis=0), kind="stable"):
        together = count[:, mask].sum(axis=1)
        enough = ((together == 0) | (together >= least)).all()
        if (mask & (count.sum(axis=0) > 0)).sum() >= 2 and enough:
            return
        if count[:, g].sum() > 0:
            mask[g] = True


def _worked_out(
    groups: Sequence[sparse.csr_array], masks: Sequence[np.ndarray]
) -> list[list[tuple[int, int]]]:
    """For each suppressed group that can be worked out, the shown ones that take part in it."""
    shown = [(t, int(g)) for t, mask in enumerate(masks) for g in np.flatnonzero(~mask)]
    total = sparse.csr_array(np.ones((1, groups[0].shape[1])))
    rows = [member[np.flatnonzero(~mask)] for member, mask in zip(groups, masks, strict=True)]
    hidden = [member[np.flatnonzero(mask)] for member, mask in zip(groups, masks, strict=True)]
    A = sparse.csr_array(sparse.vstack([total, *rows]))
    H = sparse.csr_array(sparse.vstack(hidden))
    across = (A @ H.T).toarray()
    weights = np.linalg.pinv((A @ A.T).toarray(), hermitian=True) @ across
    size = np.asarray(H.sum(axis=1)).ravel()
    residual = size - (across * weights).sum(axis=0)
    found = []
    for h in np.flatnonzero((residual < 1e-9 * size) & (size > 0)):
        used = np.flatnonzero(np.abs(weights[1:, h]) > 1e-9)
        found += [[shown[i] for i in used]] if len(used) else []
    return found

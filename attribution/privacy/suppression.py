"""Which groups must not be shown so that no small one can be worked out from the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg, sparse

__all__ = ["suppressed"]

# A table that is coarser than another, None for the total, and the group of each of its groups.
_Coarser = tuple[int | None, np.ndarray]


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
    the total would show them; so are those within a group of a coarser table that is shown, as the
    cells in a row of a two-way table. That leaves little to find: across tables, a group can be
    worked out exactly when its indicator over the cells is a linear combination of those that are
    shown, and as long as a suppressed one can, the smallest group that takes part in it is
    suppressed too.

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
    if not any(mask.any() for mask in masks):
        return masks
    within = _coarser(tables, [len(mask) for mask in masks])
    while True:
        _complement(masks, counts, within, least)
        # Two groups of one table cannot be told apart by what else it shows.
        if len(tables) == 1:
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


def _coarser(tables: Sequence[np.ndarray], sizes: Sequence[int]) -> list[list[_Coarser]]:
    """For each table the coarser ones, whose groups are sums of its own; the total is the last."""
    found = []
    for t, (codes, size) in enumerate(zip(tables, sizes, strict=True)):
        known: list[_Coarser] = []
        for u, above in enumerate(tables):
            parent = np.zeros(size, dtype=int)
            parent[codes] = above
            if u != t and (parent[codes] == above).all():
                known.append((u, parent))
        found.append([*known, (None, np.zeros(size, dtype=int))])
    return found


def _complement(
    masks: Sequence[np.ndarray],
    counts: Sequence[np.ndarray],
    within: Sequence[Sequence[_Coarser]],
    least: int,
) -> None:
    """Suppress more groups until what is suppressed in a shown sum is no small group itself."""
    again = True
    while again:
        again = False
        for t, (mask, count) in enumerate(zip(masks, counts, strict=True)):
            there = count.sum(axis=0) > 0
            for u, parent in within[t]:
                shown = np.zeros(1, bool) if u is None else masks[u]
                width = len(shown)
                hidden = np.bincount(parent[mask & there], minlength=width)
                sums = [np.bincount(parent[mask], row[mask], width) for row in count]
                alone = hidden == 1
                small = np.any([(k > 0) & (k < least) for k in sums], axis=0)
                for line in np.flatnonzero(~shown & (hidden > 0) & (alone | small)).tolist():
                    free = np.flatnonzero((parent == line) & there & ~mask)
                    if len(free):
                        mask[_cheapest(free, mask, count, within[t], (u, line))] = True
                        again = True


def _cheapest(
    free: np.ndarray,
    mask: np.ndarray,
    count: np.ndarray,
    within: Sequence[_Coarser],
    line: tuple[int | None, int],
) -> int:
    """The group to suppress: where it leaves no other sum with one only, then the smallest."""
    opened = np.zeros(len(free), dtype=int)
    for u, parent in within:
        if u != line[0]:
            opened += np.bincount(parent[mask], minlength=parent.max() + 1)[parent[free]] == 0
    return int(free[np.lexsort((free, count.sum(axis=0)[free], opened))[0]])


def _worked_out(
    groups: Sequence[sparse.csr_array], masks: Sequence[np.ndarray]
) -> list[list[tuple[int, int]]]:
    """For each suppressed group that can be worked out, the shown ones that take part in it.

    Notes
    -----
    With rows A of what is shown and the pivoted Cholesky factor L of A A', a group h is a
    combination of rows if ``y = L^-1 A h`` is as long as h; the shortest weights of the
    combination are ``L (L'L)^-1 y``.
    """
    pairs = list(zip(groups, masks, strict=True))
    seen = [np.flatnonzero(~mask & (np.diff(member.indptr) > 0)) for member, mask in pairs]
    shown = [(t, int(g)) for t, places in enumerate(seen) for g in places]
    total = sparse.csr_array(np.ones((1, groups[0].shape[1])))
    rows = [member[places] for (member, _), places in zip(pairs, seen, strict=True)]
    hidden = [member[np.flatnonzero(mask)] for member, mask in pairs]
    A = sparse.csr_array(sparse.vstack([total, *rows]))
    H = sparse.csr_array(sparse.vstack(hidden))
    gram, size = (A @ A.T).toarray(), np.asarray(H.sum(axis=1)).ravel()
    L, order, rank, _ = linalg.lapack.dpstrf(gram, lower=1, tol=1e-9 * gram.max())
    L, order = np.tril(L)[:, :rank], order - 1
    across = (A[order[:rank]] @ H.T).toarray()
    y = linalg.solve_triangular(L[:rank], across, lower=True, check_finite=False)
    away = np.flatnonzero((size - (y**2).sum(axis=0) < 1e-9 * size) & (size > 0))
    if not len(away):
        return []
    weights = np.empty((len(shown) + 1, len(away)))
    weights[order] = L @ linalg.solve(L.T @ L, y[:, away], assume_a="pos", check_finite=False)
    used = [np.flatnonzero(np.abs(column) > 1e-9) for column in weights[1:].T]
    return [[shown[i] for i in places] for places in used if len(places)]

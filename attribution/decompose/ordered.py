"""The mix effect per dimension in a declared order x_1, x_2, ...: a chain of conditionals.

    q_k = p_1(x_1 .. x_k) p_0(rest | x_1 .. x_k)        p_1's conditional where p_0 has none
    effect_k = sum_c rbar_c (q_k - q_{k-1})_c           joint = 0

The order says which dimension is decided first: a later one keeps only what its own shares, given
the earlier ones, have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.coalitions import groups
from attribution.decompose.design import Design
from attribution.errors import OptionError
from attribution.gradient import Gradient

__all__ = ["chained"]


@dataclass(frozen=True, eq=False)
class ChainTables:
    """The shares after each step of the chain, with the chain rule to those of the two periods.

    Attributes
    ----------
    tables : ndarray, shape (n, D + 1)
        From p_0 to p_1.
    coefficient : ndarray, shape (D + 1, D)
        What a table counts for in the shift of shares that a dimension makes.
    """

    tables: np.ndarray
    coefficient: np.ndarray
    _p: np.ndarray
    _adds: list[sparse.csr_array]

    def pull(self, weights: Callable[[int], sparse.csr_array]) -> Gradient:
        """Pull gradients in the tables, (K, n) for each, back to (p_0, p_1)."""
        p0, p1 = self._p
        n = len(p0)
        before, behind = (sparse.eye_array(n, 2 * n, k=k * n, format="csr") for k in (0, 1))
        total = _sparse(weights(0)).through(before)
        for k, adds in enumerate(self._adds, 1):
            of_group, there = adds.T @ (adds @ p1), adds.T @ (adds @ p0)
            known = there > 0
            given = np.divide(1.0, there, out=np.zeros(n), where=known)
            w = weights(k)
            by_group = sparse.csr_array(w.multiply(p0 * given) @ adds.T)
            by_given = sparse.csr_array(w.multiply(-of_group * p0 * given**2) @ adds.T)
            total = total + _sparse(w.multiply(of_group * given)).through(before)
            total = total + Gradient.of(by_given, adds).through(before)
            total = total + _sparse(w.multiply(~known)).through(behind)
            total = total + Gradient.of(by_group, adds).through(behind)
        return total


def chained(p: np.ndarray, design: Design, order: Sequence[int]) -> ChainTables:
    """Move the shares from baseline to current one dimension after the other.

    Parameters
    ----------
    p : ndarray, shape (2, S)
        Shares in baseline and current.
    design : Design
    order : sequence of int
        All dimensions, the first decided first.

    Returns
    -------
    ChainTables

    Raises
    ------
    OptionError
        An order that does not name every dimension once.

    Examples
    --------
    All that moved is which market a queue serves, and a market's volume with it:

    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> p = np.array([[.3, .3, .2, .2], [.45, .15, .2, .2]])
    >>> found = chained(p, Design(codes, (2, 2)), [0, 1])
    >>> (found.tables @ found.coefficient).round(3).T
    array([[ 0.  ,  0.  ,  0.  ,  0.  ],
           [ 0.15, -0.15,  0.  ,  0.  ]])
    """
    D = len(design.sizes)
    if sorted(order) != list(range(D)):
        raise OptionError(f"order: {list(order)!r} does not name each of {D} dimensions once.")
    tables, coefficient, sums = [p[0]], np.zeros((D + 1, D)), []
    for k, d in enumerate(order, 1):
        group = groups(design.codes, design.sizes, order[:k])
        adds = sparse.csr_array((np.ones(len(group)), (group, np.arange(len(group)))))
        moved, there = adds.T @ (adds @ p[1]), adds.T @ (adds @ p[0])
        given = np.divide(p[0], there, out=np.zeros_like(there), where=there > 0)
        tables.append(np.where(there > 0, moved * given, p[1]))
        coefficient[k, d], coefficient[k - 1, d] = 1.0, -1.0
        sums.append(adds)
    return ChainTables(np.stack(tables, axis=1), coefficient, p, sums)


def _sparse(rows) -> Gradient:
    return Gradient.of(sparse.eye_array(rows.shape[0], format="csr"), rows)

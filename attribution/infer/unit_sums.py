"""UnitSums: the sums of one kind of independent unit, and how many units a line rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from attribution.gradient import Gradient
from attribution.spill import Stacked

__all__ = ["Support", "UnitSums", "cells_of", "count_rows"]


@dataclass(frozen=True, eq=False)
class UnitSums:
    """The sums of one kind of unit.

    Attributes
    ----------
    sums : csr_array or Stacked, shape (rows, 4 S)
        One row per cluster; for independent rows, two per cell whose cross-product is the Gram.
    totals : ndarray, shape (4 S,)
        The column sums over units.
    count : int
        The number G of units.
    clustered : bool
        Whether the rows of `sums` are the units themselves.
    in_cell : ndarray, shape (2, S)
        The number of units in each cell of each period.
    ones : ndarray, shape (rows,), optional
        What stands for a 1 of every unit where the rows of `sums` are a root of their Gram: the
        root of the Gram with a 1 beside the sums. Without it lines have no mean to take away.
    shared : (ndarray of shape (4 S, k), ndarray of shape (rows, k)), optional
        Noise that all cells share, as that of a quantile's own place: to ``sums`` comes
        ``shared[1] @ shared[0].T``, which would be dense.
    """

    sums: Any
    totals: np.ndarray
    count: int
    clustered: bool
    in_cell: np.ndarray
    ones: np.ndarray | None = None
    shared: tuple[np.ndarray, np.ndarray] | None = None

    def dot(self, gradient: Gradient) -> np.ndarray:
        """Return what each row adds to each of K lines, shape (rows, K)."""
        rows = gradient.dot(self.sums)
        if self.shared is None:
            return rows
        move, own = self.shared
        return rows + own @ gradient.times(move).T

    def squares(self, gradient: Gradient) -> np.ndarray:
        """Return the column sums of ``dot(gradient) ** 2``, shape (K,), without forming it."""
        if self.shared is None:
            return np.sum(list(map(gradient.squares, self.blocks)), axis=0)
        if isinstance(self.sums, Stacked):
            return np.einsum("gk,gk->k", *[self.dot(gradient)] * 2)
        found = gradient.squares(self.sums)
        move, own = self.shared
        lines, along = gradient.times(move), gradient.times(self.sums.T @ own)
        apart = np.einsum("kj,ji,ki->k", lines, own.T @ own, lines)
        return np.maximum(found + 2 * np.einsum("kj,kj->k", lines, along) + apart, 0.0)

    @property
    def blocks(self) -> Iterator[sparse.csr_array]:
        """The rows in as many blocks as they are kept in."""
        return self.sums.blocks() if isinstance(self.sums, Stacked) else iter([self.sums])

    def mapped(self, change: Callable[[sparse.csr_array], sparse.csr_array]) -> UnitSums:
        """Return the units with a function of each block of their rows, and its totals."""
        if isinstance(self.sums, Stacked):
            changed = replace(self, sums=self.sums.mapped(change))
        else:
            changed = replace(self, sums=change(self.sums))
        totals = np.sum([np.asarray(x.sum(axis=0)).ravel() for x in changed.blocks], axis=0)
        return replace(changed, totals=totals if self.clustered else self.totals)

    def support(self, members: Any) -> Support:
        """Count the units that lines rest on.

        Parameters
        ----------
        members : sparse array, shape (K, 2 S)
            1 where a line rests on a cell of a period.
        """
        members = sparse.csr_array(members)
        S = members.shape[1] // 2
        if not self.clustered:
            n = np.stack(
                [members[:, t * S : (t + 1) * S] @ self.in_cell[t] for t in (0, 1)], axis=1
            )
            return Support(n, n.sum(axis=1))
        per_period, either = np.zeros((members.shape[0], 2)), np.zeros(members.shape[0])
        for sums in self.blocks:
            seen = cells_of(sums, 2 * S)
            parts = [
                seen[:, t * S : (t + 1) * S] @ members[:, t * S : (t + 1) * S].T for t in (0, 1)
            ]
            per_period += np.stack([count_rows(part) for part in parts], axis=1)
            either += count_rows(parts[0] + parts[1])
        return Support(per_period, either)


@dataclass(frozen=True, eq=False)
class Support:
    """The units that each of K lines rests on.

    Attributes
    ----------
    per_period : ndarray, shape (K, 2)
        The number of units in the line's cells of each period.
    either : ndarray, shape (K,)
        The number of units in either.
    """

    per_period: np.ndarray
    either: np.ndarray

    def in_period(self, t: int) -> Support:
        """Return what quantities of one period rest on."""
        here = np.where(np.arange(2) == t, self.per_period, 0.0)
        return Support(here, self.per_period[:, t])

    @property
    def fewest(self) -> np.ndarray:
        """The smaller number of units among the periods in which a line has any, shape (K,)."""
        some = np.where(self.per_period > 0, self.per_period, np.inf).min(axis=1)
        return np.where(np.isinf(some), 0.0, some)


def cells_of(sums: sparse.csr_array, cells: int) -> sparse.csr_array:
    """Which units have anything in which cells: of two sums a denominator, of several any."""
    blocks = sums.shape[1] // cells
    seen = abs(sums[:, :cells])
    for j in range(1, blocks if blocks > 2 else 1):
        seen = seen + abs(sums[:, j * cells : (j + 1) * cells])
    seen = sparse.csr_array(seen)
    seen.data = (seen.data != 0).astype(float)
    return seen


def count_rows(block: Any) -> np.ndarray:
    """The number of rows that are not zero in each column."""
    columns = sparse.csc_array(block)
    columns.eliminate_zeros()
    return np.diff(columns.indptr).astype(float)

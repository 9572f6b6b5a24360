"""The covariance of scores with drifts integrated out, and what it says of any set of cells.

    y = X θ + drift of units, rows, cells, blocks of cells + noise        M = cov(y) given θ
    score of x: x'M⁻¹(y - X θ)        its information: x'M⁻¹x

M⁻¹ is never formed. The drift of a unit is one number for all its rows, so it leaves in closed
form: u <- u - z g U_m with g = τ² / (1 + τ² Z_m). Drift of rows and of whole cells widens the noise
of a row; drift of coarser blocks is taken out by one small dense system.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy import linalg, sparse

from attribution.search.strata import Scores, Strata

__all__ = ["Block", "Drift", "Working", "in_order", "working"]

# Segments whose reach into blocks is held in memory at once.
_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Block:
    """A drift that whole blocks of cells share.

    Attributes
    ----------
    group : ndarray of int, shape (S,)
        The block of each cell.
    variance : float
    """

    group: np.ndarray
    variance: float


@dataclass(frozen=True, eq=False)
class Drift:
    """Variances of drifts, on the scale of the effects.

    Attributes
    ----------
    unit : ndarray, shape (units,)
    row, cell : float
        Of a unit in a cell, and of a whole cell.
    blocks : tuple of Block
    """

    unit: np.ndarray
    row: float = 0.0
    cell: float = 0.0
    blocks: tuple[Block, ...] = ()

    @property
    def of_blocks(self) -> float:
        """The variance of a cell by all its blocks."""
        return sum(block.variance for block in self.blocks)


@dataclass(frozen=True, eq=False)
class Working:
    """Scores and information per cell, with drifts integrated out.

    Attributes
    ----------
    u : ndarray, shape (S,)
        M⁻¹(y - X θ), summed to cells.
    v : ndarray, shape (S,)
        Information per cell before units and blocks are taken out.
    z : csr_array, shape (S, units)
        How the drift of each unit enters each cell.
    g : ndarray, shape (units,)
    unit_score, unit_information : ndarray, shape (units,)
        Of the units' own drifts.
    row : Scores
        Rows, narrowed by the drift of rows and cells.
    narrow : ndarray, shape (R,)
        By how much.
    drift : Drift
    strata : Strata
    """

    u: np.ndarray
    v: np.ndarray
    z: sparse.csr_array
    g: np.ndarray
    unit_score: np.ndarray
    unit_information: np.ndarray
    row: Scores
    narrow: np.ndarray
    drift: Drift
    strata: Strata

    def through_units(self, X: Any) -> Any:
        """Return M⁻¹ X before blocks, for dense or sparse X of shape (S, k)."""
        inner: Any = self.z.T @ X
        if sparse.issparse(X):
            columns = cast(Any, X)
            scaled = sparse.csr_array(inner.multiply(self.g[:, None]))
            return sparse.csr_array(columns.multiply(self.v[:, None]) - self.z @ scaled)
        return self.v[:, None] * X - self.z @ (self.g[:, None] * inner)

    @cached_property
    def block_system(self) -> tuple[Any, Any, np.ndarray] | None:
        """Blocks as columns, M⁻¹ of them, and the Cholesky factor of their system."""
        if not self.drift.blocks:
            return None
        S, columns, variances = len(self.v), [], []
        for block in self.drift.blocks:
            width = int(block.group.max()) + 1
            entries = (np.ones(S), (np.arange(S), block.group))
            columns.append(sparse.csr_array(entries, shape=(S, width)))
            variances.append(np.full(width, block.variance))
        Z = sparse.csr_array(sparse.hstack(columns))
        through = self.through_units(Z)
        system = (Z.T @ through).toarray() + np.diag(1 / np.concatenate(variances))
        return Z, through, linalg.cholesky(system, lower=True, overwrite_a=True, check_finite=False)

    def times(self, X: np.ndarray) -> np.ndarray:
        """Return M⁻¹ X summed to cells, for X of shape (S, k)."""
        found = self.through_units(X)
        if self.block_system is None:
            return found
        Z, through, factor = self.block_system
        return found - through @ linalg.cho_solve((factor, True), Z.T @ found, check_finite=False)

    def without_blocks(self, u: np.ndarray) -> np.ndarray:
        """Take the blocks' drift out of scores, shape (S,) or (S, k)."""
        if self.block_system is None:
            return u
        Z, through, factor = self.block_system
        return u - through @ linalg.cho_solve((factor, True), Z.T @ u, check_finite=False)

    def information(self, members: sparse.csr_array, least: float = 0.0) -> np.ndarray:
        """Return x'M⁻¹x for each column x of `members`, shape (J,); 0 where below `least`."""
        total = members.T @ self.v
        if self.z.shape[1]:
            inner = sparse.csr_array(members.T @ self.z)
            inner.data **= 2
            total = total - inner @ self.g
        if self.block_system is not None:
            _, through, factor = self.block_system
            # Blocks only take information away.
            enough = np.flatnonzero(total >= least)
            columns = sparse.csr_array(members.T)[enough]
            wide = sparse.csr_array(through)
            for start in range(0, columns.shape[0], _AT_ONCE):
                own = slice(start, start + _AT_ONCE)
                reached = sparse.csr_array(columns[own] @ wide).toarray().T
                solved = linalg.solve_triangular(
                    factor, reached, lower=True, overwrite_b=True, check_finite=False
                )
                total[enough[own]] -= np.einsum("kj,kj->j", solved, solved)
        return np.where(total >= least, total, 0.0)


def in_order(work: Working) -> np.ndarray:
    """Return a number for each row that does not depend on the names or the order of units.

    What is drawn for rows is given to them in this order, so that the same data draw the same.
    """
    strata, R = work.strata, len(work.strata.cell)
    whose = np.zeros(R)
    if work.g.size:
        whose = np.where(strata.unit >= 0, work.unit_information[strata.unit].round(6), 0.0)
    place = np.empty(R, dtype=int)
    place[np.lexsort((whose, *strata.k, *strata.n, strata.cell))] = np.arange(R)
    return place


def working(strata: Strata, scores: Scores, drift: Drift, cells: int) -> Working:
    """Take drifts out of the scores of rows.

    Parameters
    ----------
    strata : Strata
    scores : Scores
    drift : Drift
    cells : int
        The number S of cells.

    Returns
    -------
    Working
    """
    cell, unit = strata.cell, strata.unit
    narrow = 1 / (1 + drift.row * scores.v)
    if drift.cell:
        in_cell = np.bincount(cell, scores.v * narrow, cells)
        narrow = narrow / (1 + drift.cell * in_cell[cell])
    u, v, z, judged = (x * narrow for x in (scores.u, scores.v, scores.z, scores.own))
    units = len(strata.kind)
    if units:
        own = unit >= 0
        pull = np.divide(z, v, out=np.zeros_like(z), where=(v > 0) & own)
        information = np.bincount(unit[own], (z * pull)[own], units)
        score = np.bincount(unit[own], (judged * pull)[own], units)
        g = drift.unit / (1 + drift.unit * information)
        u_out = u - np.where(own, z * (g * score)[unit], 0.0)
        some = own & (z != 0)
        entries = (z[some], (cell[some], unit[some]))
        Z = sparse.csr_array(entries, shape=(cells, units))
    else:
        information = score = g = np.zeros(0)
        u_out, Z = u, sparse.csr_array((cells, 0))
    found = Working(
        u=np.bincount(cell, u_out, cells),
        v=np.bincount(cell, v, cells),
        z=Z,
        g=g,
        unit_score=score,
        unit_information=information,
        row=Scores(u, v, z, judged),
        narrow=narrow,
        drift=drift,
        strata=strata,
    )
    if not drift.blocks:
        return found
    apart = replace(found, u=found.without_blocks(found.u))
    # The same system serves, worked out once.
    vars(apart)["block_system"] = found.block_system
    return apart

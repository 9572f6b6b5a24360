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

import numpy as np
from scipy import linalg, sparse

from attribution.search.incidence import group_columns
from attribution.search.strata import Scores, Strata

__all__ = [
    "Block",
    "Drift",
    "Meetings",
    "Working",
    "block_precisions",
    "in_order",
    "scaled",
    "working",
]

# Segments whose reach into blocks is held in memory at once.
_AT_ONCE = 2048
# How units reach into blocks is held as a dense table up to so many numbers: products are faster.
_MOST_DENSE = 20_000_000


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
    plain : Scores
        Rows as they were, to be narrowed by another drift.
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
    plain: Scores
    drift: Drift
    strata: Strata

    def through_units(self, X: np.ndarray) -> np.ndarray:
        """Return M⁻¹ X before blocks, for X of shape (S, k)."""
        return self.v[:, None] * X - self.z @ (self.g[:, None] * (self.z.T @ X))

    def of_blocks(
        self, blocks: tuple[Block, ...]
    ) -> tuple[sparse.csr_array, sparse.csr_array, np.ndarray]:
        """Blocks as columns Z, how units reach into them, z'Z, and Z'M⁻¹Z before blocks."""
        Z = group_columns([block.group for block in blocks])
        reach = sparse.csr_array(self.z.T @ Z)
        system = (Z.T @ scaled(Z, self.v)).toarray()
        for start in range(0, len(self.g), _AT_ONCE):
            own = slice(start, start + _AT_ONCE)
            part = scaled(reach[own], np.sqrt(self.g[own])).toarray()
            system -= part.T @ part
        return Z, reach, system

    @cached_property
    def block_system(self) -> tuple[sparse.csr_array, sparse.csr_array, np.ndarray] | None:
        """Blocks as columns, how units reach into them, the Cholesky factor of their system."""
        if not self.drift.blocks:
            return None
        Z, reach, system = self.of_blocks(self.drift.blocks)
        system[np.diag_indices_from(system)] += block_precisions(self.drift.blocks)
        factor = linalg.cholesky(system, lower=True, overwrite_a=True, check_finite=False)
        return Z, reach, factor

    def times(self, X: np.ndarray) -> np.ndarray:
        """Return M⁻¹ X summed to cells, for X of shape (S, k)."""
        return self.without_blocks(self.through_units(X))

    def without_blocks(self, u: np.ndarray) -> np.ndarray:
        """Take the blocks' drift out of scores, shape (S, k)."""
        if self.block_system is None:
            return u
        Z, _, factor = self.block_system
        drift = linalg.cho_solve((factor, True), Z.T @ u, check_finite=False)
        return u - self.through_units(Z @ drift)

    def information(
        self, meetings: Meetings, least: float = 0.0, which: np.ndarray | None = None
    ) -> np.ndarray:
        """Return x'M⁻¹x for each segment x, shape (J,); 0 where below `least`.

        `which` (a mask) are those of which the blocks' part is wanted; the others are 0 too.
        """
        total = meetings.members @ self.v
        reach = self._reach(meetings)
        own = reach * self.g[meetings.unit]
        total -= np.bincount(meetings.segment, own * reach, len(total))
        if which is not None:
            total[~which] = 0.0
        if self.block_system is None:
            return np.where(total >= least, total, 0.0)
        Z, of_units, factor = self.block_system
        # Blocks only take information away.
        enough = np.flatnonzero((total >= least) & (total > 0))
        members = meetings.members
        starts = np.searchsorted(meetings.segment, np.arange(len(total) + 1))
        met = sparse.csr_array((own, meetings.unit, starts), shape=(len(total), len(self.g)))
        through = of_units.toarray() if np.prod(of_units.shape) <= _MOST_DENSE else of_units
        weighed = scaled(Z, self.v)
        for start in range(0, len(enough), _AT_ONCE):
            part = enough[start : start + _AT_ONCE]
            reached = (members[part] @ weighed).toarray()
            reached -= met[part] @ through
            solved = linalg.solve_triangular(
                factor, reached.T, lower=True, overwrite_b=True, check_finite=False
            )
            total[part] -= np.einsum("kj,kj->j", solved, solved)
        return np.where(total >= least, total, 0.0)

    def least_information(self, meetings: Meetings) -> np.ndarray:
        """Return what x'M⁻¹x is at least for each segment x, shape (J,), without a system solved.

        By Cauchy and Schwarz it is at least (x'a)² / a'Ma for any a; with a the segment weighted
        as if nothing drifted, a'Ma is a sum over units and blocks.
        """
        total = meetings.members @ self.v
        spread = self._reach(meetings) ** 2 * self.drift.unit[meetings.unit]
        whole = total + np.bincount(meetings.segment, spread, len(total))
        for block in self.drift.blocks:
            inside = meetings.members @ scaled(group_columns([block.group]), self.v)
            inside.data **= 2
            whole += block.variance * inside.sum(axis=1)
        return np.divide(total**2, whole, out=np.zeros_like(total), where=whole > 0)

    def _reach(self, meetings: Meetings) -> np.ndarray:
        """How each unit's drift enters the score of each segment it meets."""
        if not len(meetings.start):
            return np.zeros(0)
        return np.add.reduceat(self.z.data[meetings.entry], meetings.start)


@dataclass(frozen=True, eq=False)
class Meetings:
    """Where segments and units meet: all that the units' part of information needs, found once.

    Attributes
    ----------
    members : csr_array, shape (J, S)
        1 where a segment holds a cell.
    entry : ndarray of int
        Entries of `Working.z`, those of one segment and one unit beside each other.
    start : ndarray of int, shape (P,)
        Where each pair of a segment and a unit starts in `entry`.
    segment, unit : ndarray of int, shape (P,)
        The pairs.
    """

    members: sparse.csr_array
    entry: np.ndarray
    start: np.ndarray
    segment: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, strata: Strata, members: sparse.csr_array) -> Meetings:
        """Find them."""
        _, whose, starts = strata.pattern
        cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        # Entries by unit, so that those of a segment come by unit too.
        by_unit = np.argsort(whose, kind="stable")
        inside = sparse.csc_array(members[cell[by_unit]])
        unit = whose[by_unit][inside.indices]
        segment = np.repeat(np.arange(inside.shape[1]), np.diff(inside.indptr))
        first = np.ones(len(unit), dtype=bool)
        first[1:] = (segment[1:] != segment[:-1]) | (unit[1:] != unit[:-1])
        start = np.flatnonzero(first)
        across = sparse.csr_array(members.T)
        return cls(across, by_unit[inside.indices], start, segment[start], unit[start])


def block_precisions(blocks: tuple[Block, ...]) -> np.ndarray:
    """Return one over the variance of each block, shape (K,)."""
    return np.concatenate(
        [np.full(int(block.group.max()) + 1, 1 / block.variance) for block in blocks]
    )


def scaled(X: sparse.csr_array, by: np.ndarray) -> sparse.csr_array:
    """Return a sparse table with each row multiplied by a number of its own."""
    data = X.data * np.repeat(by, np.diff(X.indptr))
    return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)


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
    row = Scores(*(x * narrow for x in (scores.u, scores.v, scores.z, scores.own)))
    u, v, z, judged = row.u, row.v, row.z, row.own
    units = len(strata.kind)
    if units:
        own = unit >= 0
        pull = np.divide(z, v, out=np.zeros_like(z), where=(v > 0) & own)
        information = np.bincount(unit[own], (z * pull)[own], units)
        score = np.bincount(unit[own], (judged * pull)[own], units)
        g = drift.unit / (1 + drift.unit * information)
        u_out = u - np.where(own, z * (g * score)[unit], 0.0)
        order, whose, starts = strata.pattern
        Z = sparse.csr_array((z[order], whose, starts), shape=(cells, units))
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
        row=row,
        plain=scores,
        drift=drift,
        strata=strata,
    )
    if not drift.blocks:
        return found
    apart = replace(found, u=found.without_blocks(found.u[:, None])[:, 0])
    # The same system serves, worked out once.
    vars(apart)["block_system"] = found.block_system
    return apart

"""The sums of independent units - clusters, or rows - over (D_0, D_1, N_0, N_1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

__all__ = ["Support", "UnitSums", "Units", "cluster_units", "row_units"]

# As many units as leave no doubt.
_CERTAIN = 1e12


@dataclass(frozen=True, eq=False)
class UnitSums:
    """The sums of one kind of unit.

    Attributes
    ----------
    sums : csr_array, shape (rows, 4 S)
        One row per cluster; for independent rows, two per cell whose cross-product is the Gram.
    totals : ndarray, shape (4 S,)
        The column sums over units.
    count : int
        The number G of units.
    clustered : bool
        Whether the rows of `sums` are the units themselves.
    in_cell : ndarray, shape (2, S)
        The number of units in each cell of each period.
    """

    sums: sparse.csr_array
    totals: np.ndarray
    count: int
    clustered: bool
    in_cell: np.ndarray

    @cached_property
    def _seen(self) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Which units have a denominator in which cells, per period."""
        S = self.sums.shape[1] // 4
        seen = self.sums[:, : 2 * S].copy()
        seen.data = (seen.data != 0).astype(float)
        return seen[:, :S], seen[:, S:]

    def support(self, members) -> Support:
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
        seen = self.sums[:, : 2 * S].copy()
        seen.data = (seen.data != 0).astype(float)
        blocks = [seen[:, t * S : (t + 1) * S] @ members[:, t * S : (t + 1) * S].T for t in (0, 1)]
        per_period = np.stack([_nonzero_rows(block) for block in blocks], axis=1)
        return Support(per_period, _nonzero_rows(blocks[0] + blocks[1]))


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


def _nonzero_rows(block) -> np.ndarray:
    """The number of rows that are not zero in each column."""
    columns = sparse.csc_array(block)
    columns.eliminate_zeros()
    return np.diff(columns.indptr).astype(float)


@dataclass(frozen=True, eq=False)
class Units:
    """The kinds of units that a variance is taken over.

    Attributes
    ----------
    ways : tuple of UnitSums
        One per cluster column; one for independent rows.
    overlap : UnitSums or None
        The crossing of two cluster columns.
    exact : int or None
        The period whose sums are set by a plan: they rest on no units and have no noise.
    """

    ways: tuple[UnitSums, ...]
    overlap: UnitSums | None = None
    exact: int | None = None

    @property
    def count(self) -> int:
        """The number of units, of the cluster column with fewest."""
        return min(way.count for way in self.ways)

    @property
    def kinds(self) -> tuple[UnitSums, ...]:
        """The ways, and the overlap where there is one."""
        return self.ways if self.overlap is None else (*self.ways, self.overlap)

    def support(self, members) -> Support:
        """Count the units that lines rest on; of two cluster columns the fewer.

        Parameters
        ----------
        members : sparse array, shape (K, 2 S)
            1 where a line rests on a cell of a period.
        """
        found = [way.support(members) for way in self.ways]
        per_period = np.minimum.reduce([s.per_period for s in found])
        either = np.minimum.reduce([s.either for s in found])
        if self.exact is not None:
            # What is set is as good as known from any number of units.
            S = sparse.csr_array(members).shape[1] // 2
            set_there = sparse.csr_array(members)[:, self.exact * S : (self.exact + 1) * S]
            per_period[:, self.exact] = np.where(set_there.sum(axis=1) > 0, _CERTAIN, 0.0)
            either = np.where(per_period[:, 1 - self.exact] > 0, either, _CERTAIN)
        return Support(per_period, either)

    @property
    def clustered(self) -> bool:
        """Whether units are clusters."""
        return self.ways[0].clustered

    @property
    def degrees_of_freedom(self) -> int:
        """G - 1."""
        return self.count - 1

    def unknown(self) -> Units:
        """Return the units as ones that tell nothing of the noise: every standard error is NaN."""
        overlap = None if self.overlap is None else replace(self.overlap, count=1)
        return Units(tuple(replace(way, count=1) for way in self.ways), overlap)

    def delete_one(self, cells: np.ndarray, thin: np.ndarray) -> Units:
        """Return the units with residuals as leaving out one unit at a time gives them.

            N_g + (N_g - r_c D_g) (f_g^a - 1),   f_g = D_c / (D_c - D_g)

        A unit pulls the rate of its cell towards itself, so that its residual from it is too small.
        In a thin cell a = 1 makes (N_g - r_c D_g) / D_c the exact change of deleting the unit; its
        excess stands in for cells that rest on one unit, whose noise nothing can show. Elsewhere
        a = 1/2, which is unbiased where units are alike (deleting would be 10 to 30 % too wide with
        a few units to a cell). Where a unit is alone in its cell the plain form stays.

        Parameters
        ----------
        cells : ndarray of bool, shape (S,)
            The segments whose rates are taken as observed.
        thin : ndarray of bool, shape (2, S)
            Cells of few rows.

        References
        ----------
        Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
        regression with multi-stage samples. Survey Methodology 28 (a = 1/2; a = 1 the jackknife).
        """
        power = np.where(thin, 1.0, 0.5).ravel() * np.tile(cells, 2)
        overlap = None if self.overlap is None else _delete_one(self.overlap, power)
        return Units(tuple(_delete_one(way, power) for way in self.ways), overlap)

    def finite(self, n: np.ndarray, volume: np.ndarray) -> Units:
        """Return the units for the decisions of these periods alone.

        What a unit contributes to a cell shrinks by sqrt(1 - n / V): a cell that was reviewed in
        full leaves no doubt.

        Parameters
        ----------
        n, volume : ndarray, shape (2, S)
            The sampled and the full counts.
        """
        part = np.divide(n, volume, out=np.zeros_like(volume), where=volume > 0)
        # Not 0: a unit that leaves no doubt is still there to be counted.
        scale = np.tile(np.sqrt(np.maximum(1 - part, 1e-30)).ravel(), 2)

        def shrunk(way: UnitSums) -> UnitSums:
            sums = way.sums.copy()
            sums.data = sums.data * scale[sums.indices]
            return replace(way, sums=sums, totals=way.totals * scale)

        overlap = None if self.overlap is None else shrunk(self.overlap)
        return Units(tuple(shrunk(way) for way in self.ways), overlap)


def cluster_units(
    cluster: np.ndarray,
    period: np.ndarray,
    segment: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    segments: int,
) -> Units:
    """Arrange cluster sums as one row per cluster, for one or two cluster columns.

    Parameters
    ----------
    cluster : ndarray of int, shape (k, m)
        The code, from 0, of each cluster column; k is 1 or 2.
    period, segment : ndarray of int, shape (m,)
        Where each entry belongs: a period 0 or 1, a segment.
    D, N : ndarray, shape (m,)
        Its denominator and numerator.
    segments : int
        The number S of segments.

    Returns
    -------
    Units
    """

    def one_way(codes: np.ndarray) -> UnitSums:
        return _one_way(codes, period, segment, D, N, segments)

    ways = tuple(one_way(codes) for codes in cluster)
    if len(ways) == 1:
        return Units(ways)
    crossed = cluster[0].astype(np.int64) * (int(cluster[1].max()) + 1) + cluster[1]
    return Units(ways, one_way(np.unique(crossed, return_inverse=True)[1].ravel()))


def _one_way(cluster, period, segment, D, N, segments: int) -> UnitSums:
    seen = np.bincount(cluster) > 0
    row = (np.cumsum(seen) - 1)[cluster]
    count = int(seen.sum())
    column = period.astype(np.int64) * segments + segment
    sums = sparse.csr_array(
        (
            np.concatenate([D, N]),
            (np.concatenate([row, row]), np.concatenate([column, column + 2 * segments])),
        ),
        shape=(count, 4 * segments),
    )
    # An order of their own, so that what is drawn for a unit does not depend on its label.
    size = np.repeat([np.abs(D).sum(), np.abs(N).sum() or 1.0], 2 * segments)
    mark = sums @ (np.random.default_rng(0).random(4 * segments) / size)
    sums = sparse.csr_array(sums[np.argsort(mark, kind="stable")])
    totals = np.asarray(sums.sum(axis=0)).ravel()
    in_cell = _nonzero_rows(sums[:, : 2 * segments]).reshape(2, segments)
    return UnitSums(sums, totals, count, clustered=True, in_cell=in_cell)


def row_units(
    D: np.ndarray,
    N: np.ndarray,
    DD: np.ndarray,
    DN: np.ndarray,
    NN: np.ndarray,
    count: np.ndarray,
) -> Units:
    """Arrange independent rows by the Cholesky factor of each cell's Gram.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
        Sums of denominators and numerators.
    DD, DN, NN : ndarray, shape (2, S)
        Sums over rows of their squares and products.
    count : ndarray, shape (2, S)
        The number of rows, or of trials where rows bundle them.

    Returns
    -------
    Units
    """
    totals = np.concatenate([D.ravel(), N.ravel()])
    sums = _gram_root(DD.ravel(), DN.ravel(), NN.ravel())
    return Units((UnitSums(sums, totals, round(count.sum()), clustered=False, in_cell=count),))


def _gram_root(dd: np.ndarray, dn: np.ndarray, nn: np.ndarray) -> sparse.csr_array:
    cells = len(dd)
    first = np.sqrt(dd)
    along = np.divide(dn, first, out=np.zeros(cells), where=first > 0)
    rest = np.sqrt(np.maximum(nn - along**2, 0.0))
    cell = np.arange(cells)
    return sparse.csr_array(
        (
            np.concatenate([first, along, rest]),
            (
                np.concatenate([cell, cell, cells + cell]),
                np.concatenate([cell, cells + cell, cells + cell]),
            ),
        ),
        shape=(2 * cells, 2 * cells),
    )


def _delete_one(units: UnitSums, power: np.ndarray) -> UnitSums:
    """The power of the factor is 0 where a cell is left as it is, shape (2 S,)."""
    width = len(power)
    D, N = units.totals[:width], units.totals[width:]
    r = np.divide(N, D, out=np.zeros(width), where=D != 0)
    if not units.clustered:
        return replace(units, sums=_delete_one_row(units, r, power))
    # D and N were placed together, so their blocks hold the same entries in the same order.
    in_D, in_N = units.sums[:, :width], units.sums[:, width:].copy()
    c = in_D.indices
    left = D[c] - in_D.data
    alone = left <= 1e-9 * D[c]
    factor = np.divide(D[c], left, out=np.ones(len(c)), where=~alone) ** power[c]
    in_N.data = in_N.data + (in_N.data - r[c] * in_D.data) * (factor - 1)
    sums = sparse.csr_array(sparse.hstack([in_D, in_N], format="csr"))
    return replace(units, sums=sums, totals=np.asarray(sums.sum(axis=0)).ravel())


def _delete_one_row(units: UnitSums, r: np.ndarray, power: np.ndarray) -> sparse.csr_array:
    """The same for rows, all rows of a cell taken as equally large: N + (k - 1)(N - r D)."""
    n, width = units.in_cell.ravel(), len(r)
    k = np.divide(n, n - 1, out=np.ones(width), where=n > 1) ** power
    in_D, in_N = units.sums[:, :width], units.sums[:, width:]
    in_N = in_N @ sparse.diags_array(k) - in_D @ sparse.diags_array((k - 1) * r)
    return sparse.csr_array(sparse.hstack([in_D, in_N], format="csr"))

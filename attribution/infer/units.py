"""The sums of independent units - clusters, or rows - over (D_0, D_1, N_0, N_1), or more sums."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from attribution.infer.delete_one import delete_one
from attribution.infer.unit_sums import Support, UnitSums, cells_of, count_rows
from attribution.spill import Stacked, let_go

__all__ = [
    "Units",
    "cluster_sum_units",
    "cluster_units",
    "row_sum_units",
    "row_units",
]

# As many units as leave no doubt.
_CERTAIN = 1e12


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

    def support(self, members: Any) -> Support:
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

    def delete_one(self, cells: np.ndarray, thin: np.ndarray, of: Sequence[int] = (0, 0)) -> Units:
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
        of : sequence of int
            The denominator of each block of sums, a block too; of itself for a denominator.

        References
        ----------
        Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
        regression with multi-stage samples. Survey Methodology 28 (a = 1/2; a = 1 the jackknife).
        """
        power = np.where(thin, 1.0, 0.5).ravel() * np.tile(cells, 2)
        overlap = None if self.overlap is None else delete_one(self.overlap, power, of)
        return Units(tuple(delete_one(way, power, of) for way in self.ways), overlap)

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

        def shrunk(sums: sparse.csr_array) -> sparse.csr_array:
            sums = sums.copy()
            sums.data = sums.data * scale[sums.indices]
            return sums

        def of(way: UnitSums) -> UnitSums:
            return replace(way.mapped(shrunk), totals=way.totals * scale)

        overlap = None if self.overlap is None else of(self.overlap)
        return Units(tuple(of(way) for way in self.ways), overlap)


def cluster_units(
    cluster: np.ndarray,
    period: np.ndarray,
    segment: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    segments: int,
    bounds: Sequence[int] | None = None,
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
    bounds : sequence of int, optional
        Where parts of whole clusters of the first column begin and end; the sums are then arranged
        part by part, in files.

    Returns
    -------
    Units
    """

    return cluster_sum_units(cluster, period, segment, [D, N], segments, bounds)


def cluster_sum_units(
    cluster: np.ndarray,
    period: np.ndarray,
    segment: np.ndarray,
    sums: Sequence[np.ndarray],
    segments: int,
    bounds: Sequence[int] | None = None,
) -> Units:
    """Arrange several cluster sums as one row per cluster, for one or two cluster columns.

    Parameters
    ----------
    cluster : ndarray of int, shape (k, m)
        The code, from 0, of each cluster column; k is 1 or 2.
    period, segment : ndarray of int, shape (m,)
        Where each entry belongs: a period 0 or 1, a segment.
    sums : sequence of ndarray, shape (m,)
        What they hold, block after block.
    segments : int
        The number S of segments.
    bounds : sequence of int, optional
        Where parts of whole clusters of the first column begin and end; the sums are then arranged
        part by part, in files.

    Returns
    -------
    Units
    """

    if len(cluster) == 1:
        return Units((_one_way(cluster[0], period, segment, sums, segments, bounds),))

    def one_way(codes: np.ndarray) -> UnitSums:
        return _one_way(codes, period, segment, sums, segments)

    ways = tuple(one_way(codes) for codes in cluster)
    crossed = cluster[0].astype(np.int64) * (int(cluster[1].max()) + 1) + cluster[1]
    return Units(ways, one_way(np.unique(crossed, return_inverse=True)[1].ravel()))


def _one_way(
    cluster: np.ndarray,
    period: np.ndarray,
    segment: np.ndarray,
    sums: Sequence[np.ndarray],
    segments: int,
    bounds: Sequence[int] | None = None,
) -> UnitSums:
    blocks, cells = len(sums), 2 * segments
    ends = [0, len(period)] if bounds is None else bounds
    parts = [slice(start, stop) for start, stop in itertools.pairwise(ends)]
    size = [sum(float(np.abs(x[part]).sum()) for part in parts) or 1.0 for x in sums]
    chance = np.random.default_rng(0).random(blocks * cells) / np.repeat(size, cells)
    totals, in_cell, marks = np.zeros(blocks * cells), np.zeros(cells), []

    def placed(part: slice) -> sparse.csr_array:
        codes = cluster[part] - cluster[part].min(initial=0)
        row = (np.cumsum(np.bincount(codes) > 0) - 1)[codes]
        column = period[part].astype(np.int64) * segments + segment[part]
        columns = np.concatenate([column + j * cells for j in range(blocks)])
        values = np.concatenate([x[part] for x in sums])
        shape = (int(row.max(initial=-1)) + 1, blocks * cells)
        found = sparse.csr_array((values, (np.tile(row, blocks), columns)), shape=shape)
        let_go(cluster, period, segment, *sums)
        # An order of their own, so that what is drawn for a unit does not depend on its label.
        marks.append(found @ chance)
        nonlocal totals, in_cell
        totals = totals + np.asarray(found.sum(axis=0)).ravel()
        in_cell = in_cell + count_rows(cells_of(found, cells))
        return found

    def order() -> np.ndarray:
        return np.argsort(np.concatenate(marks), kind="stable")

    if len(parts) == 1:
        held: Any = sparse.csr_array(placed(parts[0])[order()])
    else:
        held = Stacked.of(map(placed, parts), order)
    return UnitSums(held, totals, held.shape[0], True, in_cell.reshape(2, segments))


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


def row_sum_units(sums: np.ndarray, gram: np.ndarray, count: np.ndarray) -> Units:
    """Arrange independent rows of several sums by the root of each cell's Gram.

    Parameters
    ----------
    sums : ndarray, shape (M, 2, S)
    gram : ndarray, shape (M, M, 2, S)
        Sums over rows of the products of their parts; symmetric.
    count : ndarray, shape (2, S)
        The number of rows.

    Returns
    -------
    Units
    """
    M, cells = len(sums), count.size
    # With a 1 of every row in front: what is taken away to centre lines is then known.
    whole = np.empty((cells, M + 1, M + 1))
    whole[:, 0, 0] = count.ravel()
    whole[:, 0, 1:] = whole[:, 1:, 0] = sums.reshape(M, cells).T
    whole[:, 1:, 1:] = gram.reshape(M, M, cells).transpose(2, 0, 1)
    # Scaled to ones on the diagonal, or the root would lose what is small.
    scale = np.sqrt(np.maximum(np.einsum("cii->ci", whole), 0.0))
    safe = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(whole / safe[:, :, None] / safe[:, None, :])
    root = np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1)
    root = root * scale[:, None, :]
    row = np.arange(cells * (M + 1)).reshape(cells, M + 1, 1)
    column = np.arange(M) * cells + np.arange(cells)[:, None]
    rows, columns = np.broadcast_arrays(row, column[:, None, :])
    placed = sparse.csr_array(
        (root[:, :, 1:].ravel(), (rows.ravel(), columns.ravel())),
        shape=(cells * (M + 1), M * cells),
    )
    ones = root[:, :, 0].ravel()
    total = round(count.sum())
    return Units((UnitSums(placed, sums.ravel(), total, False, count, ones),))


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

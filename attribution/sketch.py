"""Sketch: the distribution of a value in every cell of a cube, as counts on a fixed grid.

Counts add up: summed over segments and periods they are the sketch of the sum, so that a part, a
roll-up and pooled periods need no second look at the rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

__all__ = ["Sketch", "rounded_bytes"]


@dataclass(frozen=True, eq=False)
class Sketch:
    """Counts by cell and bucket.

    Attributes
    ----------
    low, high : ndarray, shape (m,)
        The smallest and the largest value in each bucket, in order; equal where it is exact.
    weight : csr_array, shape (P S, m)
        Rows, or their weights, of segment c in period t at row ``t S + c``.
    rungs : ndarray, shape (k,)
        Thresholds above which the cube holds sums too, by cluster where it has clusters.
    """

    low: np.ndarray
    high: np.ndarray
    weight: sparse.csr_array
    rungs: np.ndarray

    @classmethod
    def of(
        cls,
        grid: tuple[np.ndarray, np.ndarray, np.ndarray],
        cell: np.ndarray,
        bucket: np.ndarray,
        weight: np.ndarray,
        cells: int,
    ) -> Sketch:
        """Return the sketch of entries; `grid` is (low, high, rungs)."""
        low, high, rungs = grid
        entries = sparse.csr_array((weight, (cell, bucket)), shape=(cells, len(low)))
        entries.sort_indices()
        return cls(low, high, entries, rungs)

    def period(self, t: int, segments: int) -> sparse.csr_array:
        """Return the counts of one period, shape (S, m)."""
        return sparse.csr_array(self.weight[t * segments : (t + 1) * segments])

    def take(self, cells: np.ndarray) -> Sketch:
        """Return the sketch of some cells, given by mask or position."""
        return replace(self, weight=sparse.csr_array(self.weight[cells]))

    def added(self, target: np.ndarray, cells: int) -> Sketch:
        """Return the sketch with each cell added into its target; -1 leaves it out."""
        kept = np.flatnonzero(target >= 0)
        into = sparse.csr_array(
            (np.ones(len(kept)), (target[kept], kept)), shape=(cells, len(target))
        )
        summed = sparse.csr_array(into @ self.weight)
        summed.sort_indices()
        return replace(self, weight=summed)

    def pooled(self, periods: np.ndarray) -> Sketch:
        """Return the sketch of windows, each the sum of some periods, given as rows (W, P)."""
        segments = self.weight.shape[0] // periods.shape[1]
        into = sparse.kron(sparse.csr_array(periods), sparse.eye_array(segments), format="csr")
        summed = sparse.csr_array(into @ self.weight)
        summed.sort_indices()
        return replace(self, weight=summed)

    def digest(self) -> bytes:
        """Return the SHA-256 of grid and counts."""
        sha = hashlib.sha256()
        for array in (self.weight.indptr, self.weight.indices):
            sha.update(array.astype("<i8").tobytes())
        for array in (self.low, self.high, self.rungs, self.weight.data):
            sha.update(rounded_bytes(array))
        return sha.digest()


def rounded_bytes(values: np.ndarray) -> bytes:
    """Return values as bytes: whole numbers in full, others to 8 significant digits.

    The last digits depend on the order in which threads add.

    Examples
    --------
    >>> rounded_bytes(np.array([0.1 + 0.2])) == rounded_bytes(np.array([0.3]))
    True
    """
    if (values == np.rint(values)).all():
        return (values + 0.0).astype("<f8").tobytes()
    size = np.where(values != 0, np.abs(values), 1.0)
    exponent = np.floor(np.log10(size)).astype("<i8")
    digits = np.rint(values / 10.0 ** (exponent - 7.0)).astype("<i8")
    return exponent.tobytes() + digits.tobytes()

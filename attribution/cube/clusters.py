"""The sums of a cube split by cluster."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["ClusterSums"]


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """The sums of a cube split by cluster: one entry per period, segment and cluster observed.

    Attributes
    ----------
    names : tuple of str
        The cluster columns.
    codes : ndarray of int32, shape (k, m)
        The code of each cluster column, per entry.
    period, segment : ndarray of int32, shape (m,)
        Where the entry belongs.
    sums : dict of str to ndarray, shape (m,)
        The named sums.
    bounds : tuple of int, optional
        Where parts of whole clusters begin and end, if they are too many for one.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    period: np.ndarray
    segment: np.ndarray
    sums: dict[str, np.ndarray]
    bounds: tuple[int, ...] | None = None

    @property
    def parts(self) -> list[slice]:
        """The entries of each part."""
        ends = self.bounds or (0, len(self.period))
        return [slice(start, stop) for start, stop in itertools.pairwise(ends)]

    def take(self, keep: np.ndarray) -> ClusterSums:
        """Return the entries that `keep` selects: a mask, or places in ascending order."""
        entry = np.flatnonzero(keep) if keep.dtype == bool else keep
        ends = np.searchsorted(entry, self.bounds or (0, len(self.period)))
        return replace(
            self,
            codes=self.codes[:, entry],
            period=self.period[entry],
            segment=self.segment[entry],
            sums={k: v[entry] for k, v in self.sums.items()},
            bounds=self._bounds(np.diff(ends).tolist()),
        )

    def _bounds(self, sizes: Sequence[int]) -> tuple[int, ...] | None:
        return tuple(itertools.accumulate(sizes, initial=0)) if len(sizes) > 1 else None

    def summed(self) -> ClusterSums:
        """Return the entries with those of the same period, segment and clusters summed."""
        found = [self._summed(part) for part in self.parts]
        codes, period, segment, sums = zip(*found, strict=True)
        return ClusterSums(
            names=self.names,
            codes=np.concatenate(codes, axis=1),
            period=np.concatenate(period),
            segment=np.concatenate(segment),
            sums={k: np.concatenate([x[k] for x in sums]) for k in self.sums},
            bounds=self._bounds([len(x) for x in period]),
        )

    def _summed(
        self, part: slice
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        keys = np.vstack([self.codes[:, part], self.period[part], self.segment[part]])
        order = np.lexsort((*keys[:-2][::-1], keys[-1], keys[-2]))
        keys = keys[:, order]
        new = np.ones(keys.shape[1], dtype=bool)
        new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        start = np.flatnonzero(new)
        sums = {
            k: np.add.reduceat(v[part][order], start) if len(start) else v[part]
            for k, v in self.sums.items()
        }
        return keys[:-2, new], keys[-2, new], keys[-1, new], sums

"""The sums of a cube split by cluster."""

from __future__ import annotations

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
    """

    names: tuple[str, ...]
    codes: np.ndarray
    period: np.ndarray
    segment: np.ndarray
    sums: dict[str, np.ndarray]

    def take(self, keep: np.ndarray) -> ClusterSums:
        """Return the entries that `keep` (a mask) selects."""
        return replace(
            self,
            codes=self.codes[:, keep],
            period=self.period[keep],
            segment=self.segment[keep],
            sums={k: v[keep] for k, v in self.sums.items()},
        )

    def summed(self) -> ClusterSums:
        """Return the entries with those of the same period, segment and clusters summed."""
        keys = np.vstack([self.codes, self.period, self.segment])
        order = np.lexsort((*keys[:-2][::-1], keys[-1], keys[-2]))
        keys = keys[:, order]
        new = np.ones(keys.shape[1], dtype=bool)
        new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        start = np.flatnonzero(new)
        return ClusterSums(
            names=self.names,
            codes=keys[:-2, new],
            period=keys[-2, new],
            segment=keys[-1, new],
            sums={
                k: np.add.reduceat(v[order], start) if len(start) else v
                for k, v in self.sums.items()
            },
        )

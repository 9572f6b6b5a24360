"""The chain rule in three stages: sums (D, N) -> shares and rates (p, r) -> lines.

A decomposition differentiates its lines with respect to shares and rates only; this module carries
the gradient on to the sums. Another source of shares (full decision counts, a plan) or another form
of rates replaces one stage and leaves the rest as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.rates import Rates
from attribution.gradient import Gradient

__all__ = ["Shares", "Stages", "shares_of"]


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares within S, adding up to 1 per period, and the denominators they come from.

    Attributes
    ----------
    p : ndarray, shape (2, S)
    total : ndarray, shape (2,)
        The volume of S in each period.
    known : bool
        Whether the volumes are full counts, without error and apart from the denominators.
    """

    p: np.ndarray
    total: np.ndarray
    known: bool

    def pull(self, gradient: Gradient) -> Gradient:
        """Turn a gradient over (p_0, p_1) into one over (D_0, D_1).

        d p_c / d D_c' = (1[c = c'] - p_c) / D_t; 0 where the shares are known.
        """
        if self.known:
            return Gradient.zero(*gradient.shape)
        S = self.p.shape[1]
        scale = sparse.diags_array(np.repeat(1 / self.total, S))
        ones = sparse.csr_array(np.kron(np.eye(2), np.ones((1, S))))
        average = sparse.csr_array(
            np.vstack([np.r_[self.p[0], np.zeros(S)], np.r_[np.zeros(S), self.p[1]]]).T
        )
        through_own = gradient.through(scale)
        through_total = gradient.through(average).toarray() / self.total
        return through_own - Gradient.of(through_total, ones)


def shares_of(volume: np.ndarray, known: bool) -> Shares:
    """Take shares from volumes: the metric's own denominators D_tc, or full counts.

    Parameters
    ----------
    volume : ndarray, shape (2, S)
    known : bool
        Whether they are full counts.

    Returns
    -------
    Shares
    """
    total = volume.sum(axis=1)
    return Shares(volume / total[:, None], total, known)


@dataclass(frozen=True, eq=False)
class Stages:
    """Shares and rates of the segments in S, and the way back to the sums of all segments."""

    shares: Shares
    rates: Rates
    stayed: np.ndarray

    def to_sums(self, gradient: Gradient, exact: bool = False) -> Gradient:
        """Turn a gradient over (p_0, p_1, r_0, r_1) in S into one over all (D_0, D_1, N_0, N_1).

        Parameters
        ----------
        gradient : Gradient
        exact : bool
            The derivative itself, or the gradient for noise; see `Rates.pull`.
        """
        S = self.shares.p.shape[1]
        through_p = self.shares.pull(gradient.columns(0, 2 * S))
        through_r = self.rates.pull(gradient.columns(2 * S, 4 * S), exact)
        cells = np.flatnonzero(self.stayed)
        columns = np.concatenate([block * len(self.stayed) + cells for block in range(4)])
        place = sparse.csr_array(
            (np.ones(len(columns)), (np.arange(len(columns)), columns)),
            shape=(len(columns), 4 * len(self.stayed)),
        )
        return through_p.through(place[: 2 * S]) + through_r.through(place)

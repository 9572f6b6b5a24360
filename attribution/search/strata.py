"""What is compared with what: strata of rows in both periods, and their scores.

A row is a unit (moderator) in a cell. A unit that worked in a cell in both periods is a stratum of
its own: conditional on the row's margins, mix cannot reach the comparison. Units seen in one period
only are compared with each other, one stratum per cell, and are then drawn from people who differ.

    score      u = (1 - λ)(k_1 - n_1 p_1) - λ (k_0 - n_0 p_0)     λ = n_1 w_1 / (n_0 w_0 + n_1 w_1)
    its noise  v = (1 - λ)² n_1 w_1 + λ² n_0 w_0                  E[u] = v (effect beyond η)

with (p_0, p_1) the fitted rates of the stratum, its margins held and a log odds ratio (or, for
ratios, a difference) η between them, and w = p (1 - p), or a dispersion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Scores", "Strata", "counted_strata", "dispersed", "paired_strata", "standardized"]

# The dispersion of a cell is drawn towards that of all cells with the weight of so many rows.
_ROWS_OF_ALL = 10.0


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of R rows at given effects: E[u] = v (effect - η) + z b, b the drift of its unit.

    Attributes
    ----------
    u, v, z : ndarray, shape (R,)
    """

    u: np.ndarray
    v: np.ndarray
    z: np.ndarray


@dataclass(frozen=True, eq=False)
class Strata:
    """Rows in both periods, and how they are compared.

    Attributes
    ----------
    n, k : ndarray, shape (2, R)
        Denominators and numerators (for volumes: `n` alone).
    cell : ndarray of int, shape (R,)
    stratum : ndarray of int, shape (R,)
        Rows of one number are compared with each other.
    paired : ndarray of bool, shape (R,)
        Whether the row is its stratum.
    unit : ndarray of int, shape (R,)
        The drift a row takes part in, -1 for none: a unit's change, or its level in one period.
    kind : ndarray of int, shape (units,)
        0 for the change of a unit seen in both periods, 1 for the level of one seen in one.
    link : str
        "odds": log odds ratios of counts; "difference": differences of ratios; "volume": log
        ratios of volumes.
    scale : ndarray, shape (R,)
        Dispersion of a row against the link's own variance.
    size : float
        The size of one unit of effect, in units of k / n.
    """

    n: np.ndarray
    k: np.ndarray
    cell: np.ndarray
    stratum: np.ndarray
    paired: np.ndarray
    unit: np.ndarray
    kind: np.ndarray
    link: str
    scale: np.ndarray
    size: float = 1.0

    def scores(self, effect: np.ndarray) -> Scores:
        """Return the scores at an effect per cell, shape (S,)."""
        if self.link == "volume":
            found = _volume_scores(self.n, effect[self.cell])
        else:
            found = self._rate_scores(effect)
        return Scores(found.u / self.scale, found.v / self.scale, found.z / self.scale)

    def _rate_scores(self, effect: np.ndarray) -> Scores:
        paired = self.paired
        n, k, eta = self.n, self.k, effect[self.cell]
        if paired.all():
            N, K = n, k
        else:
            pool = np.where(paired, 0.0, 1.0)
            width = int(self.stratum.max()) + 1
            N, K = n.copy(), k.copy()
            for t in (0, 1):
                for whole, part in ((N, n), (K, k)):
                    sums = np.bincount(self.stratum, part[t] * pool, width)
                    whole[t] = np.where(paired, part[t], sums[self.stratum])
        total = N[0] + N[1]
        if self.link == "odds":
            a = _expected(N[0], N[1], K[0] + K[1], eta)
            with np.errstate(divide="ignore", invalid="ignore"):
                p1 = np.where(N[1] > 0, a / N[1], 0.0)
                p0 = np.where(N[0] > 0, (K[0] + K[1] - a) / N[0], 0.0)
            w1, w0 = p1 * (1 - p1), p0 * (1 - p0)
        else:
            pooled = np.divide(K[0] + K[1], total, out=np.zeros_like(total), where=total > 0)
            share = np.divide(N[1], total, out=np.zeros_like(total), where=total > 0)
            p0 = pooled - share * eta
            p1, w1, w0 = p0 + eta, np.ones_like(eta), np.ones_like(eta)
        I0, I1 = N[0] * w0, N[1] * w1
        lam = np.divide(I1, I0 + I1, out=np.zeros_like(I0), where=I0 + I1 > 0)
        u = (1 - lam) * (k[1] - n[1] * p1) - lam * (k[0] - n[0] * p0)
        v = (1 - lam) ** 2 * n[1] * w1 + lam**2 * n[0] * w0
        z = np.where(paired, v, (1 - lam) * n[1] * w1 - lam * n[0] * w0)
        if self.link == "odds":
            # The variance of a hypergeometric count; trials of weighted rows have no such.
            with np.errstate(divide="ignore", invalid="ignore"):
                exact = np.where(total > 1.5, total / (total - 1), 1.0)
            v, z = v * exact, z * exact
        informative = (I0 > 0) & (I1 > 0)
        return Scores(*(np.where(informative, x, 0.0) for x in (u, v, z)))


def _expected(n0: np.ndarray, n1: np.ndarray, m: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """The count of the current period at a log odds ratio, margins held (Cornfield 1956)."""
    psi = np.exp(np.clip(eta, -12, 12))
    b = psi * (m + n1) + n0 - m
    root = np.sqrt(np.maximum(b**2 - 4 * (psi - 1) * psi * m * n1, 0.0))
    a = np.divide(2 * psi * m * n1, b + root, out=np.zeros_like(b), where=b + root > 0)
    return np.clip(a, np.maximum(m - n0, 0.0), np.minimum(m, n1))


def _volume_scores(n: np.ndarray, eta: np.ndarray) -> Scores:
    total = n[0] + n[1]
    pi = 1 / (1 + np.exp(-eta))
    v = total * pi * (1 - pi)
    return Scores(n[1] - total * pi, v, v)


def paired_strata(
    n: np.ndarray,
    k: np.ndarray,
    cell: np.ndarray,
    unit: np.ndarray | None,
    link: str,
    cells: int,
) -> Strata:
    """Arrange rows for the comparison of rates.

    Parameters
    ----------
    n, k : ndarray, shape (2, R)
        Denominators and numerators of each unit in each cell.
    cell : ndarray of int, shape (R,)
    unit : ndarray of int, shape (R,), optional
        None: rows are independent, and rows are cells.
    link : {"odds", "difference"}
    cells : int

    Returns
    -------
    Strata
    """
    both = np.asarray((n > 0).all(axis=0))
    R = len(cell)
    if unit is None:
        none = np.full(R, -1)
        kind = np.zeros(0, dtype=int)
        return Strata(n, k, cell, cell, np.ones(R, bool), none, kind, link, np.ones(R))
    # A row of one period helps only where its cell has one of the other.
    alone = [np.bincount(cell[~both], n[t][~both], cells) > 0 for t in (0, 1)]
    keep = both | (alone[0] & alone[1])[cell]
    n, k, cell, unit, both = n[:, keep], k[:, keep], cell[keep], unit[keep], both[keep]
    # A unit's change, its level in the baseline and its level in the current period.
    part = np.where(both, 0, np.where(n[0] > 0, 1, 2))
    _, drift = np.unique(unit.astype(np.int64) * 3 + part, return_inverse=True)
    drift = drift.ravel()
    kind = np.zeros(int(drift.max(initial=-1)) + 1, dtype=int)
    kind[drift] = np.where(both, 0, 1)
    return Strata(n, k, cell, cell, both, drift, kind, link, np.ones(len(cell)))


def counted_strata(n: np.ndarray) -> Strata:
    """Arrange cells for the comparison of volumes.

    Parameters
    ----------
    n : ndarray, shape (2, S)

    Returns
    -------
    Strata
    """
    cell = np.arange(n.shape[1])
    none, alone = np.full(len(cell), -1), np.ones(len(cell), dtype=bool)
    kind, scale = np.zeros(0, dtype=int), np.ones(len(cell))
    return Strata(n, n, cell, cell, alone, none, kind, "volume", scale)


def dispersed(strata: Strata, cells: int, *, alike: bool) -> Strata:
    """Return the strata with the dispersion that rows of the same unit show among themselves.

    Parameters
    ----------
    strata : Strata
    cells : int
    alike : bool
        One dispersion for all rows, at least 1; else one per cell, drawn towards that of all.

    Returns
    -------
    Strata
    """
    found = strata.scores(np.zeros(cells))
    there = found.v > 0
    if not there.any():
        return strata
    unit, cell = strata.unit[there], strata.cell[there]
    u, v, z = found.u[there], found.v[there], found.z[there]
    pull, width = z / v, len(strata.kind)
    information = np.bincount(unit, z * pull, width)
    level = np.bincount(unit, u * pull, width) / np.where(information > 0, information, 1.0)
    left = 1 - z * pull / information[unit]
    squares = (u - z * level[unit]) ** 2 / v
    overall = squares.sum() / max(left.sum(), 1.0)
    if alike:
        return replace(strata, scale=np.full(len(strata.cell), max(overall, 1.0)))
    own = np.bincount(cell, squares, cells) + _ROWS_OF_ALL * overall
    scale = own / (np.bincount(cell, left, cells) + _ROWS_OF_ALL)
    return replace(strata, scale=scale[strata.cell])


def standardized(strata: Strata) -> Strata:
    """Return the strata of a ratio with its effects in standard deviations of a unit of n.

    Effects then have a known size, as log odds ratios do, whatever the KPI counts.
    """
    usual = float(np.median(strata.scale))
    size = np.sqrt(usual)
    return replace(strata, k=strata.k / size, scale=strata.scale / usual, size=float(size))

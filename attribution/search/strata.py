"""What is compared with what: strata of rows in both periods, and their scores.

A row is a unit (moderator) in a cell. A unit that worked in a cell in both periods is a stratum of
its own: conditional on the row's margins, mix cannot reach the comparison. Units seen in one period
only are compared with each other, one stratum per cell, and are then drawn from people who differ.

    score      u = (1 - λ)(k_1 - n_1 p_1) - λ (k_0 - n_0 p_0)     λ = n_1 w_1 / (n_0 w_0 + n_1 w_1)
    its noise  v = (1 - λ)² n_1 w_1 + λ² n_0 w_0                  E[u] = v (effect beyond η)

with (p_0, p_1) the fitted rates of the stratum, its margins held and a log odds ratio (or, for
ratios, a difference) η between them, and w = p (1 - p), or a dispersion. Against a plan p_0 is the
target and known: λ = 0, and a unit is drawn from people who differ in their distance from it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse, special

from attribution.search.incidence import level_columns

__all__ = [
    "Scores",
    "Strata",
    "counted_strata",
    "dispersed",
    "paired_strata",
    "planned_strata",
    "shrunk",
    "standardized",
]

# The dispersion of a cell is drawn towards that of all cells with the weight of so many rows.
_ROWS_OF_ALL = 10.0
# With more levels than this, cells are not smoothed by their levels.
_MOST_LEVELS = 300
_ROUNDS = 6
# Rows with at most so many possible tables are treated exactly.
_MOST_TABLES = 16
# Odds ratios beyond the exponential of this are as good as without bound.
_WIDEST = 30.0


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of R rows at given effects: E[u] = v (effect - η) + z b, b the drift of its unit.

    Attributes
    ----------
    u, v, z : ndarray, shape (R,)
    own : ndarray, shape (R,)
        The scores from which the drift of a unit is judged.
    """

    u: np.ndarray
    v: np.ndarray
    z: np.ndarray
    own: np.ndarray


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
    smooth : ndarray, shape (S,)
        The rate of each cell's pooled stratum by its levels alone. A unit's level is judged by it:
        the pooled rate itself would be pulled along by the unit.
    size : float
        The size of one unit of effect, in units of k / n.
    target : ndarray, shape (S,), optional
        The planned rate of each cell, with which its rows of the current period are compared.
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
    smooth: np.ndarray
    size: float = 1.0
    target: np.ndarray | None = None

    @cached_property
    def _few(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Rows of so few trials that all their tables can be listed: which, the least count, and
        the number of ways to each of the next counts, up to a factor, shape (counts, rows).
        """
        m, (n0, n1) = self.k.sum(axis=0), self.n
        low, high = np.maximum(m - n0, 0), np.minimum(m, n1)
        whole = (np.rint(self.k) == self.k).all(axis=0) & (np.rint(self.n) == self.n).all(axis=0)
        few = np.flatnonzero(self.paired & whole & (high > low) & (high - low < _MOST_TABLES))
        if self.link != "odds" or not len(few):
            return None
        m, n0, n1, low, high = m[few], n0[few], n1[few], low[few], high[few]
        ways = np.zeros((int((high - low).max()) + 1, len(few)))
        ways[0] = 1.0
        for x, (now, later) in enumerate(itertools.pairwise(ways), start=1):
            # (n1 over k) (n0 over m - k) against the same of k - 1; 0 beyond the largest count.
            k = low + x
            later[:] = now * (n1 - k + 1) * (m - k + 1) / (k * (n0 - m + k))
            np.divide(ways, later, out=ways, where=later > 1)
        return few, low, ways

    @cached_property
    def pattern(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows with a unit by cell and unit, the units they have, and where each cell starts."""
        own = np.flatnonzero(self.unit >= 0)
        order = own[np.lexsort((self.unit[own], self.cell[own]))]
        starts = np.searchsorted(self.cell[order], np.arange(len(self.smooth) + 1))
        return order, self.unit[order].astype(np.int32), starts.astype(np.int32)

    def scores(self, effect: np.ndarray) -> Scores:
        """Return the scores at an effect per cell, shape (S,)."""
        if self.link == "volume":
            found = _volume_scores(self.n, effect[self.cell])
        elif self.target is not None:
            found = self._planned_scores(self.target[self.cell], effect[self.cell])
        else:
            found = self._rate_scores(effect)
        parts = (found.u, found.v, found.z, found.own)
        return Scores(*(x / self.scale for x in parts))

    def _planned_scores(self, target: np.ndarray, eta: np.ndarray) -> Scores:
        n, k = self.n[1], self.k[1]
        if self.link == "odds":
            p = special.expit(special.logit(target) + eta)
            v = n * p * (1 - p)
        else:
            p, v = target + eta, n
        u = np.where(v > 0, k - n * p, 0.0)
        return Scores(u, v, v, u)

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
        total, spread = N[0] + N[1], None
        if self.link == "odds":
            a = _expected(N[0], N[1], K[0] + K[1], eta)
            if self._few is not None:
                few, low, ways = self._few
                a[few], spread = _exact(low, ways, eta[few])
            with np.errstate(divide="ignore", invalid="ignore"):
                p1 = np.where(N[1] > 0, a / N[1], 0.0)
                p0 = np.where(N[0] > 0, (K[0] + K[1] - a) / N[0], 0.0)
            w1, w0 = p1 * (1 - p1), p0 * (1 - p0)
            if not paired.all():
                level = self.smooth[self.cell]
                w1 = np.where(paired, w1, level * (1 - level))
                w0 = np.where(paired, w0, level * (1 - level))
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
            exact = np.where(paired, exact, 1.0)
            v, z = v * exact, z * exact
            if self._few is not None and spread is not None:
                v[self._few[0]] = z[self._few[0]] = spread
        informative = (I0 > 0) & (I1 > 0) & (v > 0)
        own = u
        if not paired.all():
            pooled = np.divide(K[0] + K[1], total, out=np.zeros_like(total), where=total > 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                pulled = z * (pooled - self.smooth[self.cell]) / np.where(n[0] > 0, w0, w1)
            own = np.where(paired, u, u + pulled)
        return Scores(*(np.where(informative, x, 0.0) for x in (u, v, z, own)))


def _expected(n0: np.ndarray, n1: np.ndarray, m: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """The count of the current period at a log odds ratio, margins held (Cornfield 1956)."""
    psi = np.exp(np.clip(eta, -12, 12))
    b = psi * (m + n1) + n0 - m
    root = np.sqrt(np.maximum(b**2 - 4 * (psi - 1) * psi * m * n1, 0.0))
    a = np.divide(2 * psi * m * n1, b + root, out=np.zeros_like(b), where=b + root > 0)
    # The quadratic moves too little where there are few trials: by (N - 1) / N at first.
    total = n0 + n1
    a0 = np.divide(m * n1, total, out=np.zeros_like(b), where=total > 0)
    a = a0 + (a - a0) * np.where(total > 1.5, total / np.maximum(total - 1, 0.5), 1.0)
    return np.clip(a, np.maximum(m - n0, 0.0), np.minimum(m, n1))


def _exact(low: np.ndarray, ways: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the noncentral hypergeometric count."""
    psi = np.exp(np.clip(eta, -_WIDEST, _WIDEST))
    # Sums of x^r ways ψ^x for r = 0, 1, 2, from the last term to the first.
    total, first, second = ways[-1].copy(), np.zeros_like(psi), np.zeros_like(psi)
    for own in ways[-2::-1]:
        # With x + 1 for x: (x + 1)² = x² + 2 x + 1.
        second = psi * (second + 2 * first + total)
        first = psi * (first + total)
        total = psi * total + own
    mean = first / total
    return low + mean, np.maximum(second / total - mean**2, 0.0)


def _volume_scores(n: np.ndarray, eta: np.ndarray) -> Scores:
    total = n[0] + n[1]
    pi = 1 / (1 + np.exp(-eta))
    v = total * pi * (1 - pi)
    u = n[1] - total * pi
    return Scores(u, v, v, u)


def paired_strata(
    n: np.ndarray,
    k: np.ndarray,
    cell: np.ndarray,
    unit: np.ndarray | None,
    link: str,
    codes: np.ndarray,
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
    codes : ndarray of int, shape (S, D)

    Returns
    -------
    Strata
    """
    both = np.asarray((n > 0).all(axis=0))
    R, cells = len(cell), len(codes)
    if unit is None:
        none = np.full(R, -1)
        kind = np.zeros(0, dtype=int)
        one = np.ones(R)
        return Strata(n, k, cell, cell, one > 0, none, kind, link, one, np.zeros(cells))
    # A row of one period helps only where its cell has one of the other.
    alone = [np.bincount(cell[~both], n[t][~both], cells) for t in (0, 1)]
    keep = both | ((alone[0] > 0) & (alone[1] > 0))[cell]
    n, k, cell, unit, both = n[:, keep], k[:, keep], cell[keep], unit[keep], both[keep]
    # A unit's change, its level in the baseline and its level in the current period.
    part = np.where(both, 0, np.where(n[0] > 0, 1, 2))
    _, drift = np.unique(unit.astype(np.int64) * 3 + part, return_inverse=True)
    drift = drift.ravel()
    kind = np.zeros(int(drift.max(initial=-1)) + 1, dtype=int)
    kind[drift] = np.where(both, 0, 1)
    smooth = np.zeros(cells)
    if not both.all():
        trials, hits = (np.bincount(cell[~both], x.sum(axis=0)[~both], cells) for x in (n, k))
        smooth = _smoothed(trials, hits, codes, link)
    return Strata(n, k, cell, cell, both, drift, kind, link, np.ones(len(cell)), smooth)


def planned_strata(
    n: np.ndarray,
    k: np.ndarray,
    cell: np.ndarray,
    unit: np.ndarray | None,
    link: str,
    target: np.ndarray,
) -> Strata:
    """Arrange rows of the current period for the comparison with planned rates.

    Parameters
    ----------
    n, k, cell, unit, link
        As in `paired_strata`; only the current period counts.
    target : ndarray, shape (S,)
        A target of 0 or 1 has no odds: its cells are not judged.

    Returns
    -------
    Strata
    """
    R, cells = len(cell), len(target)
    unit = np.full(R, -1) if unit is None else unit
    kind, one = np.zeros(int(unit.max(initial=-1)) + 1, dtype=int), np.ones(R)
    alone, smooth = np.ones(R, dtype=bool), np.zeros(cells)
    return Strata(n, k, cell, cell, alone, unit, kind, link, one, smooth, target=target)


def _smoothed(n: np.ndarray, k: np.ndarray, codes: np.ndarray, link: str) -> np.ndarray:
    """The rate of each cell by main effects of its levels, shape (S,)."""
    rate = np.divide(k, n, out=np.zeros_like(n), where=n > 0)
    sizes = [len(np.unique(codes[:, d])) for d in range(codes.shape[1])]
    if sum(sizes) > _MOST_LEVELS:
        return rate
    X = sparse.csr_array(
        sparse.hstack([sparse.csr_array(np.ones((len(n), 1))), level_columns(codes)])
    )
    overall = k.sum() / n.sum()
    # A weak pull of every level to the mean makes the solution unique.
    ridge = np.diag(np.r_[0.0, np.ones(X.shape[1] - 1)])
    if link == "difference":
        return X @ np.linalg.solve(_crossed(X, n) + ridge, X.T @ (n * rate))
    start = np.clip(overall, 1e-4, 1 - 1e-4)
    beta = np.r_[np.log(start / (1 - start)), np.zeros(X.shape[1] - 1)]
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(X @ beta, -9, 9)))
        system = _crossed(X, n * p * (1 - p)) + ridge + 1e-6 * np.eye(X.shape[1])
        beta = beta + np.linalg.solve(system, X.T @ (k - n * p) - np.diag(ridge) * beta)
    return 1 / (1 + np.exp(-np.clip(X @ beta, -9, 9)))


def _crossed(X: sparse.csr_array, w: np.ndarray) -> np.ndarray:
    return (X.T @ sparse.csr_array(X.multiply(w[:, None]))).toarray()


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
    kind, one = np.zeros(0, dtype=int), np.ones(len(cell))
    return Strata(n, n, cell, cell, alone, none, kind, "volume", one, np.zeros(len(cell)))


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
    scale = shrunk(np.bincount(cell, squares, cells), np.bincount(cell, left, cells))
    return replace(strata, scale=scale[strata.cell])


def shrunk(squares: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the dispersion of each cell, drawn towards that of all cells.

    A cell of two rows shows next to nothing of its own noise.

    Parameters
    ----------
    squares, freedom : ndarray, shape (S,)
        Sums of squared residuals and their degrees of freedom.

    Returns
    -------
    ndarray, shape (S,)

    Examples
    --------
    >>> shrunk(np.array([0.0, 90.0]), np.array([1.0, 29.0])).round(2)
    array([2.73, 3.08])
    """
    overall = squares.sum() / max(freedom.sum(), 1.0)
    own = squares + _ROWS_OF_ALL * overall
    return np.where(overall > 0, own / (freedom + _ROWS_OF_ALL), 1.0)


def standardized(strata: Strata) -> Strata:
    """Return the strata of a ratio with its effects in standard deviations of a unit of n.

    Effects then have a known size, as log odds ratios do, whatever the KPI counts.
    """
    usual = float(np.median(strata.scale))
    size = np.sqrt(usual)
    return replace(
        strata,
        k=strata.k / size,
        smooth=strata.smooth / size,
        target=None if strata.target is None else strata.target / size,
        scale=strata.scale / usual,
        size=float(size),
    )

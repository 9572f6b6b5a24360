"""The units behind a quantile: their influence, and the noise that its place and density add.

The rate of a cell is r_tc = Q_t + s_t (P_tc - (1 - q)), P_tc its part of rows above Q_t, s = 1 / f.
Beside the noise of P_tc at a fixed place it holds, with ψ(x) what a unit adds to x,

    (1 - s_t f_tc) ψ(Q_t)            the place moves, and each cell's part above it by its density
    (P_tc - (1 - q)) ψ(s_t)          the density is estimated too

    ψ(s_t) = (s'/s) ψ(Q_t) - s k (B_g - β D_g) / (β D_t),    s' = ds/dq

B_g counts the unit's rows in a band beside the quantile, β their part of all rows; k scales it to
the variance s² / (2 n h) of a spacing of bandwidth h. The mix leads from Q_0 upwards or downwards,
and to Q_1 from there: the band of the baseline lies on that side, that of the current period on the
other. Summed over cells both terms are 0: the total needs neither, but a mix bar does (without them
its interval was a fifth too narrow at 3,000 rows a period).

References
----------
Siddiqui, M. M. (1960). Distribution of quantiles in samples from a bivariate population. J. Res.
NBS 64B (the variance of a spacing). Hall, P. and Sheather, S. (1988). On the distribution of a
studentized quantile. JRSS B 50.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from attribution.cube import Cube
from attribution.decompose import locate, spacing
from attribution.infer import Units, UnitSums, cluster_sum_units, row_units
from attribution.metrics import Quantile, above

__all__ = ["quantile_units"]


@dataclass(frozen=True)
class _Place:
    """Of one period: the quantile, its sparsity, how that changes, and the band beside it.

    Attributes
    ----------
    value, sparsity, bent, h : float
        Q, s, s' / s and the bandwidth of s.
    density : ndarray, shape (S,)
        s f_c: the density of each cell at Q against that of all rows; 0 where it has no rows.
    inner, outer : float
        Thresholds that the scan summed by cluster: the one at the quantile, and the next.
    part : float
        The part of all rows between them.
    """

    value: float
    sparsity: float
    bent: float
    h: float
    density: np.ndarray
    inner: float
    outer: float
    part: float

    @property
    def local(self) -> float:
        """What a deviation of the band's part by 1 adds to s: -s k / β."""
        spread = (1 - self.part) / self.part
        return -self.sparsity * np.sqrt(1 / (2 * self.h) / spread) / self.part


def quantile_units(cube: Cube, metric: Quantile) -> Units:
    """Return the independent units behind the linear form of a quantile.

    Parameters
    ----------
    cube : Cube
        As `attribution.quantiles.linearized` returns it.
    metric : Quantile

    Returns
    -------
    Units
    """
    D, N = (cube.metric_sums(metric, role) for role in ("denominator", "numerator"))
    upwards = _mix_is_up(D, N)
    places = [_place(cube, metric, t, upwards == (t == 0)) for t in (0, 1)]
    move = _moves(D, N, metric.q, places)
    if cube.clusters is None:
        return Units((_rows(cube, metric, D, N, move, places),))
    clusters, power, S = cube.clusters, int(cube.weighted), len(cube.codes)
    band = np.zeros(len(clusters.period))
    for t, place in enumerate(places):
        if place is not None:
            here = clusters.period == t
            over = [clusters.sums[above(metric.value, x, power)] for x in _ends(place)]
            band[here] = (over[0] - over[1])[here]
    moments = metric.moments(cube.weighted)
    sums = [clusters.sums[moments[role].key] for role in ("denominator", "numerator")]
    where = clusters.codes, clusters.period, clusters.segment
    units = cluster_sum_units(*where, [*sums, band], S)

    def own(way: UnitSums) -> UnitSums:
        return _clusters(way, D, N, move, places)

    overlap = None if units.overlap is None else own(units.overlap)
    return Units(tuple(own(way) for way in units.ways), overlap)


def _mix_is_up(D: np.ndarray, N: np.ndarray) -> bool:
    """Whether the mix raises the linear form; cells of one period take the other's rate."""
    p = D / np.maximum(D.sum(axis=1, keepdims=True), 1e-300)
    r = np.divide(N, D, out=np.full(D.shape, np.nan), where=D > 0)
    r = np.where(np.isnan(r), r[::-1], r)
    return float(np.nansum((p[1] - p[0]) * r.mean(axis=0))) >= 0


def _place(cube: Cube, metric: Quantile, t: int, upper: bool) -> _Place | None:
    """What is known of the quantile of a period; None where it has no density."""
    sketch, S, q = cube.sketches[metric.value], len(cube.codes), metric.q
    counts, D = sketch.period(t, S), cube.metric_sums(metric, "denominator")[t]
    total = counts.sum(axis=0)[None, :]
    if not total.sum() > 0:
        return None
    n = np.array([cube.metric_sums(metric, "count")[t].sum()])
    s, h = (float(x[0]) for x in spacing(total, sketch.low, sketch.high, q, n))
    if not s > 0:
        return None
    wide = min(2 * h, 0.9 * min(q, 1 - q))
    low, middle, high = (
        float(locate(total, sketch.low, sketch.high, q + side * wide).value[0])
        for side in (-1, 0, 1)
    )
    F = np.concatenate([[0.0], np.cumsum(total[0]) / total.sum()])
    inside = np.clip(np.minimum(F[1:], q + h) - np.maximum(F[:-1], q - h), 0.0, None)
    mass = np.diff(F)
    near = np.divide(inside, mass, out=np.zeros(len(mass)), where=mass > 0)
    density = np.divide(counts @ near, D, out=np.zeros(S), where=D > 0) / inside.sum()
    power = int(cube.weighted)
    over = np.array([cube.sums[above(metric.value, x, power)][t].sum() for x in sketch.rungs])
    over = over / D.sum()
    at = int(np.argmin(np.abs(over - (1 - q))))
    other = min(at + 1, len(over) - 1) if upper else max(at - 1, 0)
    ends = sketch.rungs[[at, other]]
    part = float(abs(over[at] - over[other]))
    bent = (high - 2 * middle + low) / wide**2 / s
    return _Place(middle, s, bent, h, density, float(ends[0]), float(ends[1]), part)


def _ends(place: _Place) -> tuple[float, float]:
    """The lower and the upper end of the band."""
    return min(place.inner, place.outer), max(place.inner, place.outer)


def _moves(D: np.ndarray, N: np.ndarray, q: float, places: list[_Place | None]) -> np.ndarray:
    """By how much N_tc moves with the place and with the sparsity of its period, (4 S, 4)."""
    S = D.shape[1]
    move = np.zeros((4 * S, 4))
    for t, place in enumerate(places):
        if place is not None:
            here = slice((2 + t) * S, (3 + t) * S)
            move[here, t] = D[t] * (1 - place.density)
            move[here, 2 + t] = (N[t] - place.value * D[t]) / place.sparsity
    return move


def _of_place(sums: Any, D: np.ndarray, N: np.ndarray, blocks: int) -> np.ndarray:
    """What each row adds to the quantile of each period, (rows, 2)."""
    S, total = D.shape[1], D.sum(axis=1)
    weight = np.zeros((2 * blocks * S, 2))
    for t in (0, 1):
        weight[t * S : (t + 1) * S, t] = -N[t].sum() / total[t] ** 2
        weight[(2 + t) * S : (3 + t) * S, t] = 1 / total[t]
    return sums @ weight


def _clusters(
    way: UnitSums, D: np.ndarray, N: np.ndarray, move: np.ndarray, places: list[_Place | None]
) -> UnitSums:
    """One kind of cluster; the band is the third block of its sums."""
    S = D.shape[1]
    of_place = _of_place(way.sums, D, N, 3)
    own = np.hstack([of_place, 0 * of_place])
    of_period = np.kron(np.eye(2), np.ones((S, 1)))
    none = np.zeros((2 * S, 2))
    heft = way.sums @ np.vstack([of_period, none, none])
    held = way.sums @ np.vstack([none, none, of_period])
    for t, place in enumerate(places):
        if place is not None:
            own[:, 2 + t] = place.bent * of_place[:, t]
            if 0 < place.part < 1:
                local = (held[:, t] - place.part * heft[:, t]) / D[t].sum()
                own[:, 2 + t] += place.local * local
    kept = way.mapped(lambda block: sparse.csr_array(block[:, : 4 * S]))
    return replace(kept, shared=(move, own))


def _rows(
    cube: Cube,
    metric: Quantile,
    D: np.ndarray,
    N: np.ndarray,
    move: np.ndarray,
    places: list[_Place | None],
) -> UnitSums:
    """Independent rows: what the band adds along the root of each cell's Gram, and the rest."""
    W2, n = (cube.metric_sums(metric, role) for role in ("den_den", "count"))
    ND, NN = (cube.metric_sums(metric, role) for role in ("num_den", "num_num"))
    (way,) = row_units(D, N, W2, ND, NN, n).ways
    cells, S = D.size, D.shape[1]
    none = sparse.csr_array((2, way.sums.shape[1]))
    sums = sparse.csr_array(sparse.vstack([way.sums, none], format="csr"))
    of_place = _of_place(sums, D, N, 2)
    own = np.hstack([of_place, 0 * of_place])
    for t, place in enumerate(places):
        if place is None:
            continue
        own[:, 2 + t] = place.bent * of_place[:, t]
        if not 0 < place.part < 1:
            continue
        here = np.arange(t * S, (t + 1) * S)
        d, along, rest = (
            np.asarray(sums[row + here, column + here]).ravel()
            for row, column in ((0, 0), (0, cells), (cells, cells))
        )
        power = 2 * int(cube.weighted)
        over = [cube.sums[above(metric.value, x, power)][t] for x in _ends(place)]
        BB = over[0] - over[1]  # of squares: a row is in the band or not
        base, step = _values(cube, metric, N[t], D[t], place, t)
        NB = (base + step * (place.outer > place.inner)) * BB
        first = np.divide(BB, d, out=np.zeros(S), where=d > 0)
        varies = rest > 1e-9 * np.abs(along)
        second = np.divide(NB - along * first, rest, out=np.zeros(S), where=varies)
        left = np.sqrt(np.maximum(BB - first**2 - second**2, 0.0).sum())
        scale = place.local / D[t].sum()
        own[here, 2 + t] += scale * (first - place.part * d)
        own[cells + here, 2 + t] += scale * second
        own[len(own) - 2 + t, 2 + t] += scale * left
    return replace(way, sums=sums, shared=(move, own))


def _values(
    cube: Cube, metric: Quantile, N: np.ndarray, D: np.ndarray, place: _Place, t: int
) -> tuple[np.ndarray, float]:
    """What a row below the inner threshold counts for in each cell, and how much more one above."""
    over = cube.sums[above(metric.value, place.inner, int(cube.weighted))][t]
    share = over.sum() / D.sum()
    spread, q = share * (1 - share), metric.q
    step = place.sparsity * np.sqrt(q * (1 - q) / spread) if spread > 0 else 0.0
    return np.divide(N - step * over, D, out=np.zeros(len(D)), where=D > 0), step

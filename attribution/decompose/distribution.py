"""The change of a quantile: mix and within-segment distributions, by Shapley on reweighted data.

    F_A(y) = sum_c p_A,c F_A,c(y)      v(A) = Q(F_A), the quantile of the reweighted distribution

Players are the mix (shares p go from baseline to current) and every segment's distribution F_c; a
player in A is at its current state, the others at their baseline. Exact for 10 players, from
permutations drawn with their reverses beyond. A quantile is never averaged over segments.

What is exact, and what is shared out: the totals of mix and rate, every segment's part of the rate
(100 segments at most) and the lines of entry and exit are Shapley values of quantiles. The mix is
divided among dimensions and levels in proportion to its linear form, by the recentered influence
function (Firpo, Fortin and Lemieux): each row counts for

    RIF_t(y) = Q_t + s_t (1[y > Q_t] - (1 - q)),  s_t = 1 / f_t(Q_t),  mean of RIF_t = Q_t

so that a share that moves by Δp_c counts for Δp_c times how much more often than average the
segment lies above the quantile. What the curvature of the quantile leaves over, `shared_out` adds
in proportion to the size of the linear lines. So all bars add up to the change, a margin that did
not move gets 0, and reversed time flips every sign. With fitted rates (METHODS.md 3), F_c is each
period's additive fit at every y; where the mixture is not monotone it is rearranged.

References
----------
Firpo, S., Fortin, N. and Lemieux, T. (2009). Unconditional quantile regressions. Econometrica 77.
Chernozhukov, V., Fernandez-Val, I. and Galichon, A. (2010). Quantile and probability curves
without crossing. Econometrica 78. Shorrocks, A. (2013). Decomposition procedures for
distributional analysis. Hall, P. and Sheather, S. (1988). On the distribution of a studentized
quantile. JRSS B 50.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, special

from attribution.decompose.coalitions import coalitions
from attribution.decompose.decomposition import Decomposition
from attribution.decompose.rates import Rates

__all__ = [
    "Located",
    "QuantileEffects",
    "locate",
    "quantile_effects",
    "shared_out",
    "spacing",
    "sparsity",
]

_EXACT_PLAYERS = 10
# More segments than this have their part of the rate from the linear form.
_MOST_SAMPLED = 100
# Permutations, each with its reverse; fewer where the grid is fine and players are many.
_PAIRS = 64
# For the mix alone, among hundreds of segments, fewer do.
_MIX_PAIRS = 16
_NUMBERS = 2**27
# Mixtures at once: what stays near the processor.
_CHUNK_NUMBERS = 2**22
_TIE = 1e-12


@dataclass(frozen=True, eq=False)
class Located:
    """Where K quantiles lie on a grid of m buckets, each array of shape (K,).

    Attributes
    ----------
    value : ndarray
        low + part (high - low) of the bucket.
    bucket : ndarray of int
    part : ndarray
        How much of the bucket's mass lies at or below the quantile.
    """

    value: np.ndarray
    bucket: np.ndarray
    part: np.ndarray

    def above(self, m: int) -> np.ndarray:
        """What a row of each bucket counts for above the first quantile, shape (m,): 0 to 1."""
        counted = (np.arange(m) > self.bucket[0]).astype(float)
        counted[self.bucket[0]] = 1 - self.part[0]
        return counted


def locate(counts: np.ndarray, low: np.ndarray, high: np.ndarray, q: float | np.ndarray) -> Located:
    """Find the q-quantile of K distributions: the smallest y with F(y) >= q.

    Within a bucket of several values it is interpolated, so that it errs by less than the bucket's
    width.

    Parameters
    ----------
    counts : ndarray, shape (K, m)
        Mass by bucket, at any scale; where fits leave some negative, F is rearranged.
    low, high : ndarray, shape (m,)
    q : float or ndarray, shape (K,)

    Returns
    -------
    Located

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 5.0])
    >>> locate(np.array([[5.0, 4, 1], [5, 3, 2]]), y, y, 0.9).value
    array([2., 5.])
    """
    F = np.cumsum(counts, axis=1, dtype=float)
    F /= F[:, -1:]
    if counts.min() < 0:  # sums of what is not negative are in order, and the pass is a dear one
        np.maximum.accumulate(F, axis=1, out=F)
    q = np.broadcast_to(np.asarray(q, dtype=float), len(F))
    bucket = np.argmax(q[:, None] - _TIE <= F, axis=1)
    row = np.arange(len(F))
    before = np.where(bucket > 0, F[row, np.maximum(bucket - 1, 0)], 0.0)
    mass = F[row, bucket] - before
    part = np.clip(np.divide(q - before, mass, out=np.ones(len(F)), where=mass > 0), 0.0, 1.0)
    return Located(low[bucket] + part * (high - low)[bucket], bucket, part)


def sparsity(
    counts: np.ndarray, low: np.ndarray, high: np.ndarray, q: float, n: np.ndarray
) -> np.ndarray:
    """Estimate 1 / f(Q), how far a quantile moves per unit of probability: see `spacing`.

    Parameters
    ----------
    counts : ndarray, shape (K, m)
    low, high : ndarray, shape (m,)
    q : float
    n : ndarray, shape (K,)

    Returns
    -------
    ndarray, shape (K,)
    """
    return spacing(counts, low, high, q, n)[0]


def spacing(
    counts: np.ndarray, low: np.ndarray, high: np.ndarray, q: float, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate 1 / f(Q), and say from which part of the distribution.

    s = (Q(q + h) - Q(q - h)) / 2h, h the bandwidth of Hall and Sheather for n rows, doubled as long
    as both ends are one value; NaN where they stay one: a quantile without a density.

    Parameters
    ----------
    counts : ndarray, shape (K, m)
    low, high : ndarray, shape (m,)
    q : float
    n : ndarray, shape (K,)

    Returns
    -------
    s, h : ndarray, shape (K,)

    Examples
    --------
    >>> y = np.arange(1000.0)  # uniform: f = 1 / 1000
    >>> spacing(np.ones((1, 1000)), y, y, 0.5, np.array([1000]))[0].round(-1)
    array([1000.])
    """
    x = special.ndtri(q)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    bent = 1.5 * density**2 / (2 * x**2 + 1)
    h = np.maximum(n, 1.0) ** (-1 / 3) * special.ndtri(0.975) ** (2 / 3) * bent ** (1 / 3)
    most, found = 0.9 * min(q, 1 - q), np.full(len(counts), np.nan)
    left, h = np.arange(len(counts)), np.minimum(h, most)
    while len(left):
        ends = [locate(counts[left], low, high, q + side * h[left]).value for side in (-1, 1)]
        apart = ends[1] > ends[0]
        found[left[apart]] = ((ends[1] - ends[0]) / (2 * h[left]))[apart]
        left = left[~apart & (h[left] < most)]
        h[left] = np.minimum(2 * h[left], most)
    return found, h


@dataclass(frozen=True, eq=False)
class QuantileEffects:
    """The exact parts of the change of a quantile.

    Attributes
    ----------
    mix, rate : float
    segments : ndarray, shape (n,), or None
        Each segment of S's part of the rate; None for more than 100.
    turned : ndarray
        The lines of exit and entry, in their order.
    players : int
        Mix and segments.
    error : float
        The standard error of sampling permutations, the largest of all lines; 0 where exact.
    """

    mix: float
    rate: float
    segments: np.ndarray | None
    turned: np.ndarray
    players: int
    error: float

    def applied(self, parts: Decomposition) -> Decomposition:
        """Return the linear decomposition with its totals made exact."""
        lines, estimate = parts.lines, parts.estimate.copy()
        p = parts.stages.shares.p
        moved = np.abs(p[1] - p[0])
        at = {
            effect: [i for i, line in enumerate(lines) if line.effect == effect]
            for effect in ("mix", "joint", "rate", "exit", "entry")
        }
        in_mix = at["mix"] + at["joint"]
        X = parts._by_level.design.matrix
        by_level, level_mix = X.T @ (p[1] - p[0]), parts.level_parts["mix"].copy()
        shifts = [np.abs(by_level[parts.design.block(d)]) for d in range(len(at["mix"]))]
        spare = np.array([s.sum() for s in shifts] + [0.0] * len(at["joint"]))
        estimate[in_mix] = shared_out(estimate[in_mix], self.mix, spare)
        for d, i in enumerate(at["mix"]):
            block = parts.design.block(d)
            level_mix[block] = shared_out(level_mix[block], estimate[i], shifts[d])
        segment_mix = shared_out(parts.segment_parts["mix"], self.mix, moved)
        rate = self.segments
        if rate is None:
            rate = shared_out(parts.segment_parts["rate"], self.rate, (p[0] + p[1]) / 2)
        estimate[at["rate"]] = self.rate
        estimate[at["exit"] + at["entry"]] = self.turned
        return replace(
            parts,
            estimate=estimate,
            level_parts={"mix": level_mix, "rate": X.T @ rate},
            segment_parts={"mix": segment_mix, "rate": rate},
        )


def shared_out(linear: np.ndarray, total: float, spare: np.ndarray) -> np.ndarray:
    """Make lines add up to a total: the rest goes to each in proportion to its size.

    Lines of one sign keep their proportions; a line of 0 stays 0. Where all are 0, `spare` says in
    which proportion.

    Examples
    --------
    >>> shared_out(np.array([2.0, -1.0, 0.0]), 1.6, np.ones(3))
    array([ 2.4, -0.8,  0. ])
    """
    if not len(linear):
        return linear
    size = np.abs(linear)
    size = np.where(size > 1e-9 * abs(total), size, 0.0)
    if not size.sum() > 0:
        size = spare if spare.sum() > 0 else np.ones(len(linear))
    return linear + (total - linear.sum()) * size / size.sum()


def quantile_effects(
    counts: tuple[sparse.csr_array, sparse.csr_array],
    low: np.ndarray,
    high: np.ndarray,
    q: float,
    parts: Decomposition,
    seed: int,
) -> QuantileEffects:
    """Work out mix, rate, entry and exit of a quantile.

    Parameters
    ----------
    counts : (csr_array, csr_array), each of shape (S, m)
        Mass by segment and bucket in baseline and current.
    low, high : ndarray, shape (m,)
        The buckets.
    q : float
    parts : Decomposition
        Of the recentered influence function: shares, forms of rates, who entered and left.
    seed : int
        Of the permutations.

    Returns
    -------
    QuantileEffects
    """
    stayed, rates = parts.turnover.stayed, parts.stages.rates
    seen = np.flatnonzero(np.diff(sparse.csc_array(counts[0] + counts[1]).indptr))
    low, high = low[seen], high[seen]
    tables = [sparse.csr_array(c[:, seen]) for c in counts]
    game = _Game([t[stayed] for t in tables], low, high, q, parts.stages.shares.p, rates)
    S = int(stayed.sum())
    pairs = int(np.clip(_NUMBERS // (2 * (S + 1) * len(seen)), 8, _PAIRS))
    if S + 1 <= _EXACT_PLAYERS:
        member, coefficient = coalitions(S + 1)
        values, error = coefficient.T @ game(member), 0.0
    elif S <= _MOST_SAMPLED:
        values, error = _sampled(game, S + 1, pairs, seed, game.order)
    else:
        mix, error = _sampled_mix(game, _MIX_PAIRS, seed)
        before, after = game(np.stack([np.zeros(S + 1, bool), np.ones(S + 1, bool)]))
        values = np.array([mix, after - before - mix])
    turned, errors = [], [error]
    for t, sign in ((0, -1.0), (1, 1.0)):
        own = [i for i, (when, _) in enumerate(parts.turnover.lines) if when == t]
        if own:
            lines = (parts.turnover.members[own] @ tables[t]).toarray()
            found, error = _joining(tables[t][stayed].sum(axis=0), lines, low, high, q, seed)
            turned.append(sign * found)
            errors.append(error)
    return QuantileEffects(
        mix=float(values[0]),
        rate=float(values[1:].sum()),
        segments=values[1:] if S <= _MOST_SAMPLED else None,
        turned=np.concatenate(turned) if turned else np.zeros(0),
        players=S + 1,
        error=max(errors),
    )


class _Game:
    """The quantile of coalitions: (K, 1 + S) of bool, the mix first -> (K,)."""

    def __init__(self, tables, low, high, q: float, p: np.ndarray, rates: Rates) -> None:
        self.low, self.high, self.q, self.p, self.rates = low, high, q, p, rates
        scaled = [sparse.diags_array(1 / np.where(d > 0, d, 1.0)) for d in rates.D]
        self.F = [sparse.csc_array(s @ t) for s, t in zip(scaled, tables, strict=True)]

    @property
    def order(self) -> np.ndarray:
        """Players in an order of their own: what is drawn knows neither labels nor time."""
        both = (self.rates.r.sum(axis=0), np.abs(np.diff(self.p, axis=0))[0], self.p.sum(axis=0))
        return np.concatenate([[0], 1 + np.lexsort(both)])

    def __call__(self, member: np.ndarray) -> np.ndarray:
        at_once = max(1, _CHUNK_NUMBERS // max(len(self.low), member.shape[1]))
        chunks = range(0, len(member), at_once)
        return np.concatenate([self._quantiles(member[i : i + at_once]) for i in chunks])

    def _quantiles(self, member: np.ndarray) -> np.ndarray:
        p = np.where(member[:, :1], self.p[1], self.p[0])
        current = member[:, 1:]
        mass = sum(
            self._observed(s, np.where(current, 0.0, p), np.where(current, p, 0.0)) @ self.F[s]
            for s in (0, 1)
        )
        return locate(np.asarray(mass), self.low, self.high, self.q).value

    def _observed(self, s: int, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Weights on the distributions in use -> those on what was observed in period s.

        A fit predicts cell c by sum_c' w_c' (1 + x_c' K^-1 x_c) F_c', the same at every y.
        """
        source = self.rates.source
        weight = np.where(source[0] == s, before, 0.0) + np.where(source[1] == s, after, 0.0)
        if not self.rates.fits:
            return weight
        fit, X = self.rates.fits[s], self.rates.design.matrix
        slope = fit.solve(weight @ X)
        return fit.p * (weight.sum(axis=1)[:, None] + (X @ slope.T).T)


def _sampled(
    value: Callable[[np.ndarray], np.ndarray],
    players: int,
    pairs: int,
    seed: int,
    order: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Average marginal contributions over permutations, each with its reverse; and their error."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(pairs):
        drawn, both = order[rng.permutation(players)], np.zeros(players)
        for one in (drawn, drawn[::-1]):
            rank = np.argsort(one)
            chain = value(rank[None, :] < np.arange(players + 1)[:, None])
            both[one] += np.diff(chain) / 2
        found.append(both)
    means = np.array(found)
    return means.mean(axis=0), float((means.std(axis=0, ddof=1) / np.sqrt(pairs)).max())


def _sampled_mix(game: _Game, pairs: int, seed: int) -> tuple[float, float]:
    """What the mix adds in random permutations: its place is uniform, others come before by chance.

    The places are spread evenly; each coalition goes with its complement.
    """
    S, order = game.p.shape[1], game.order[1:] - 1
    place = (np.arange(pairs) + 0.5) / pairs
    current = np.empty((pairs, S), dtype=bool)
    current[:, order] = np.random.default_rng(seed).random((pairs, S)) < place[:, None]
    others = np.vstack([current, ~current])
    ends = [game(np.hstack([np.full((2 * pairs, 1), mix), others])) for mix in (False, True)]
    means = (ends[1] - ends[0]).reshape(2, pairs).mean(axis=0)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(pairs))


def _joining(
    base: np.ndarray, lines: np.ndarray, low: np.ndarray, high: np.ndarray, q: float, seed: int
) -> tuple[np.ndarray, float]:
    """What each line of segments adds to the quantile where it joins those that stayed."""

    def value(member: np.ndarray) -> np.ndarray:
        return locate(base + member.astype(float) @ lines, low, high, q).value

    L = len(lines)
    if L <= _EXACT_PLAYERS:
        member, coefficient = coalitions(L)
        return coefficient.T @ value(member), 0.0
    pairs = int(np.clip(_NUMBERS // (2 * L * len(low)), 4, _PAIRS))
    return _sampled(value, L, pairs, seed, np.lexsort((lines.sum(axis=1), lines @ high)))

"""All lines of a decomposition at many sets of sums at once, its structure held as it is.

The replicates of a bootstrap differ in their sums, not in their design: the segments that stay
(METHODS.md 1), the lines, which dimension nests in which, what is aliased, the form of the rates
and the period a missing rate is borrowed from are those of the data. So a replicate may empty no
cell that the data hold: who draws replicates mixes a small part of the data's own sums into each.

Arrays inside have replicates along their last axis, (cells, B): a sparse product then reads them
row by row, and one product of B sets of weights with a fixed pattern gives B normal equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.decomposition import Decomposition
from attribution.decompose.design import AdditiveFit, Design
from attribution.decompose.dimensions import LevelEffects
from attribution.decompose.kitagawa import PARTS
from attribution.decompose.linearize import Shares
from attribution.decompose.rates import Rates

__all__ = ["Recomputed", "recompute"]

# A cell with less of its data than this was left out, but for what is mixed into every replicate.
_LEFT_OUT = 1e-3
# Normal equations held at once, in numbers: 64 MB.
_AT_ONCE = 2**23


@dataclass(frozen=True, eq=False)
class Recomputed:
    """The lines of B replicates.

    Attributes
    ----------
    ends : ndarray, shape (B, 2)
        R_0 and R_1 of all segments.
    lines : ndarray, shape (B, K)
        The bridge, in the order of the decomposition's lines; each row adds up to its total.
    level_parts : dict of str to ndarray, shape (B, q)
        "mix", "rate" (and "interaction") per level.
    segment_parts : dict of str to ndarray, shape (B, S)
        The same per segment that stays; empty unless asked for.
    """

    ends: np.ndarray
    lines: np.ndarray
    level_parts: dict[str, np.ndarray]
    segment_parts: dict[str, np.ndarray]

    @property
    def total(self) -> np.ndarray:
        """R_1 - R_0, shape (B,)."""
        return self.ends[:, 1] - self.ends[:, 0]


def recompute(
    parts: Decomposition,
    sums: np.ndarray,
    *,
    segments: bool = False,
) -> Recomputed:
    """Recompute a decomposition at other sums of the same segments.

        lines_b = f(D_b, N_b),  f the decomposition with the structure of the data

    Parameters
    ----------
    parts : Decomposition
        The data's.
    sums : ndarray, shape (B, 4 S)
        D_0, D_1, N_0, N_1 over all segments, replicate by replicate; D positive where the data's
        is, and 0 with N where it is 0. Read fastest if it is the transpose of a (4 S, B) array.
    segments : bool
        Whether to return the parts per segment too.

    Returns
    -------
    Recomputed

    Examples
    --------
    >>> from attribution.decompose import decompose
    >>> D = np.array([[50., 30, 20], [40, 30, 30]])
    >>> N = D * [.95, .95, .80]
    >>> change = decompose(D, N, D, np.array([[0], [1], [2]]), (3,))
    >>> twice = np.stack([np.concatenate([D.ravel(), N.ravel()])] * 2)
    >>> (100 * recompute(change, twice).lines).round(3)
    array([[-1.5,  0. ],
           [-1.5,  0. ]])
    """
    S, B = len(parts.design.codes), len(sums)
    D, N = np.ascontiguousarray(sums.T).reshape(2, 2, S, B)
    stayed, volume = parts.turnover.stayed, parts.volume
    D_S, N_S = (D, N) if stayed.all() else (D[:, stayed], N[:, stayed])
    p = _shares(parts.stages.shares, D_S)
    r = _rates(parts.stages.rates, D_S, N_S)
    in_use = np.einsum("tcb,tcb->tb", p, r)

    by_segment = {part: PARTS[part][0](p, r, parts._weights) for part in parts.segment_parts}
    totals = {part: values.sum(axis=0) for part, values in by_segment.items()}
    within = parts._by_level.design
    members = within.matrix.T
    by_level = {part: members @ values for part, values in by_segment.items() if part != "mix"}
    by_level = {"mix": _level_mix(parts, p, r, in_use), **by_level}
    mix = within.dimension_totals @ by_level["mix"]
    joint = [totals["mix"] - mix.sum(axis=0)] if len(within.sizes) > 1 else []
    others = [values for part, values in totals.items() if part != "mix"]
    turned = _turnover(parts, D if volume is None else volume[:, :, None], D, N, in_use)
    R = N.sum(axis=1) / D.sum(axis=1)
    total = R[1] - R[0]
    counted = in_use[1] - in_use[0] + turned.sum(axis=0)
    sampling = [total - counted] if parts.stages.shares.known else []
    return Recomputed(
        ends=R.T,
        lines=np.vstack([mix, *joint, *others, *sampling, turned]).T,
        level_parts={part: values.T for part, values in by_level.items()},
        segment_parts={part: values.T for part, values in by_segment.items()} if segments else {},
    )


# -- shares and rates in use, (2, S, B) -------------------------------------------------------


def _shares(shares: Shares, D: np.ndarray) -> np.ndarray:
    """The shares of S: of the replicates' denominators, or the known ones."""
    if shares.known:
        return np.broadcast_to(shares.p[:, :, None], D.shape)
    return D / D.sum(axis=1, keepdims=True)


def _rates(rates: Rates, D: np.ndarray, N: np.ndarray) -> np.ndarray:
    """The rates in use, of the form and from the period that the data's come from."""
    if rates.form == "saturated":
        own = _observed(rates, D, N)
    else:
        weights, weighted = _fit_weights(rates, D, N)
        own = np.empty_like(D)
        for t, fit in enumerate(rates.fits):
            solved = _least_squares(fit, weights[t], weighted[t])
            own[t] = solved.mean + fit.design.matrix @ solved.alpha
    borrowed = rates.borrowed
    return np.where(borrowed[:, :, None], own[::-1], own) if borrowed.any() else own


def _observed(rates: Rates, D: np.ndarray, N: np.ndarray) -> np.ndarray:
    return N / np.where((rates.D > 0)[:, :, None], D, 1.0)


def _fit_weights(rates: Rates, D: np.ndarray, N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What cells count for in the fits, and that times their rates; the scale does not matter."""
    if rates.weights is rates.D:
        return D, N
    counts = np.where(rates.D > 0, rates.weights, 0.0)[:, :, None]
    # A cell that the replicate left out is not sampled in it, however large its count.
    weights = np.where(_LEFT_OUT * rates.D[:, :, None] < D, counts, _LEFT_OUT * counts)
    return weights, weights * _observed(rates, D, N)


# -- the mix effect per level, (q, B) ---------------------------------------------------------


def _level_mix(
    parts: Decomposition, p: np.ndarray, r: np.ndarray, in_use: np.ndarray
) -> np.ndarray:
    """Divide the mix effect among the levels, as `dimensions.adjusted` does."""
    v0, v1 = parts._weights.v
    alpha, centre = _level_effects(
        parts._adjusted.effects, (p[0] + p[1]) / 2, v0 * r[0] + v1 * r[1]
    )
    shift_of_level = parts._adjusted.design.matrix.T @ (p[1] - p[0])
    return shift_of_level * (alpha + centre - (v0 * in_use[0] + v1 * in_use[1]))


def _level_effects(
    effects: LevelEffects, weights: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit values (n, B) and share nested effects out; return effects (q, B) and means (B,)."""
    design, fit = effects._design, effects._fit
    solved = _least_squares(fit, weights, weights * values)
    alpha = np.zeros((design.width, weights.shape[1]))
    for i, leaf in enumerate(effects._leaves):
        block = fit.design.block(i)
        own = solved.alpha[block]
        if leaf in effects._inner:
            parents, inner = effects._inner[leaf]
            above, mean = _level_effects(inner, solved.margins[block], own)
            for j, parent in enumerate(parents):
                alpha[design.block(parent)] += above[inner._design.block(j)]
            rest = own - (mean + inner._design.matrix @ above)
            own = np.where(fit.active[block][:, None], rest, 0.0)
        alpha[design.block(leaf)] = own
    return alpha, solved.mean


# -- entry and exit, (lines, B) ---------------------------------------------------------------


def _turnover(
    parts: Decomposition, V: np.ndarray, D: np.ndarray, N: np.ndarray, in_use: np.ndarray
) -> np.ndarray:
    """Value what entered and left: ± sum over a line's segments of V_tc / V_t (r_tc - R_tS).

    A segment that was counted and not sampled has the rate of its line.
    """
    lines, line_of = parts.turnover.lines, parts.turnover.line_of
    if not lines:
        return np.zeros((0, D.shape[2]))
    outside = np.flatnonzero(line_of >= 0)
    line = line_of[outside]
    t = np.array([period for period, _ in lines])[line]
    member = parts.turnover.members[:, outside]
    d, n = D[t, outside], N[t, outside]
    d_line, n_line = (member @ d)[line], (member @ n)[line]
    alone = d > 0
    rate = np.where(alone, n, n_line) / np.where(alone, d, np.where(d_line > 0, d_line, 1.0))
    # Without any sample of its line a segment moves nothing.
    share = np.where(d_line > 0, V[t, outside] / V.sum(axis=1)[t], 0.0)
    return member @ (np.where(t == 1, 1.0, -1.0)[:, None] * share * (rate - in_use[t]))


# -- weighted least squares on the dummies ----------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Solved:
    """The fits of B replicates: mean (B,), alpha and margins (q, B)."""

    mean: np.ndarray
    alpha: np.ndarray
    margins: np.ndarray


def _least_squares(fit: AdditiveFit, weights: np.ndarray, weighted: np.ndarray) -> _Solved:
    """Repeat a fit with other weights (n, B) and weighted values (n, B)."""
    design, B = fit.design, weights.shape[1]
    total = weights.sum(axis=0)
    mean = weighted.sum(axis=0) / total
    alpha, margins = np.zeros((design.width, B)), np.zeros((design.width, B))
    if not design.sizes:
        return _Solved(mean, alpha, margins)
    right = design.matrix.T @ weighted / total
    big = int(np.argmax(design.sizes))
    in_big = design.of_dimension == big
    b, rest = np.flatnonzero(in_big), np.flatnonzero(~in_big)
    tables = _tables(design, big, rest)
    step = max(1, _AT_ONCE // tables.shape[0])
    for start in range(0, B, step):
        at = slice(start, start + step)
        found = (tables @ weights[:, at] / total[at]).T
        across, inner, m = np.split(
            found, [len(b) * len(rest), tables.shape[0] - design.width], axis=1
        )
        margins[:, at] = m.T
        alpha[:, at] = _solve(
            fit,
            b,
            rest,
            across.reshape(len(found), len(b), len(rest)),
            inner.reshape(len(found), len(rest), len(rest)),
            m,
            right[:, at].T - m * mean[at, None],
        ).T
    return _Solved(mean, alpha, margins)


def _tables(design: Design, big: int, rest: np.ndarray) -> sparse.csc_array:
    """Sums cells to the two- and one-dimension margins that normal equations are made of.

    Rows: dimension `big` x the other columns, those x those (upper triangle), single columns.
    """
    n, R = len(design.codes), len(rest)
    columns = design.codes + design.offsets[:-1]
    of_rest = np.zeros(design.width, dtype=np.int64)
    of_rest[rest] = np.arange(R)
    others = [d for d in range(len(design.sizes)) if d != big]
    place = {d: of_rest[columns[:, d]] for d in others}
    after = design.sizes[big] * R
    rows = [design.codes[:, big].astype(np.int64) * R + place[d] for d in others]
    rows += [after + place[d] * R + place[e] for d in others for e in others if d < e]
    rows += [after + R * R + columns[:, d] for d in range(len(design.sizes))]
    indices = np.stack(rows, axis=1)
    start = np.arange(0, indices.size + 1, indices.shape[1])
    shape = (after + R * R + design.width, n)
    return sparse.csc_array((np.ones(indices.size), indices.ravel(), start), shape=shape)


def _solve(
    fit: AdditiveFit,
    b: np.ndarray,
    rest: np.ndarray,
    across: np.ndarray,
    inner: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
) -> np.ndarray:
    """Solve the normal equations of `AdditiveFit`, (B, q): the largest dimension eliminated.

    K0 has diagonal blocks diag(m_d); aliased directions are held at 0 by a penalty on them and
    then taken out in each replicate's own metric, which gives the least norm.
    """
    design = fit.design
    m_b, m_r = m[:, b], m[:, rest]
    # A level that is not observed has no margin; 1 on its diagonal leaves its effect at 0.
    safe = np.where(fit.active, m, 1.0)
    across = across - m_b[:, :, None] * m_r[:, None, :]
    of = design.of_dimension[rest]
    apart = of[:, None] != of[None, :]
    inner = inner + inner.swapaxes(1, 2) - np.where(apart, m_r[:, :, None] * m_r[:, None, :], 0.0)
    inner[:, np.arange(len(rest)), np.arange(len(rest))] = safe[:, rest]
    eliminated = (across / safe[:, b, None]).swapaxes(1, 2)
    schur = inner - eliminated @ across
    null = _centred_null(fit, m)
    weighted_null = null * m[:, :, None]
    if null.shape[2]:
        penalty = weighted_null[:, rest]
        schur = schur + penalty @ penalty.swapaxes(1, 2)
    x = np.zeros_like(m)
    reduced = s[:, rest] - (eliminated @ s[:, b, None])[:, :, 0]
    x[:, rest] = np.linalg.solve(schur, reduced[:, :, None])[:, :, 0]
    x[:, b] = (s[:, b] - (across @ x[:, rest, None])[:, :, 0]) / safe[:, b]
    if null.shape[2]:
        gram = weighted_null.swapaxes(1, 2) @ null
        along = weighted_null.swapaxes(1, 2) @ x[:, :, None]
        x = x - (null @ np.linalg.solve(gram, along))[:, :, 0]
    return x


def _centred_null(fit: AdditiveFit, m: np.ndarray) -> np.ndarray:
    """The aliased directions, centred per dimension at the margins m (B, q): (B, q, nu)."""
    design = fit.design
    null = np.broadcast_to(fit.null, (len(m), *fit.null.shape))
    if not fit.null.shape[1]:
        return null
    means = np.add.reduceat(m[:, :, None] * null, design.offsets[:-1], axis=1)
    return np.where(fit.active[:, None], null - means[:, design.of_dimension], 0.0)

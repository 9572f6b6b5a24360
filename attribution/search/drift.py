"""How much units and cells drift on their own, so that no drift is taken for a cause.

Variances by moments: for a unit with score U and information Z, E[U² / (Z + τ² Z²)] = 1 (Paule and
Mandel 1982), the squares winsorized so that a few wild units, or true causes not yet named, do not
pass for drift of all. The grain at which cells drift together is not assumed: the excess of every
cuboid's squared scores is explained by nonnegative variances of all grains at once.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import optimize, sparse, special

from attribution.search.incidence import groups
from attribution.search.working import Block, Drift, Working

__all__ = ["Grains", "bounded", "grain_drift", "unit_variance"]

# Squares beyond this are winsorized: 1.2 % of standard normal ones.
_CAP = 2.5**2
# Scores of a few trials are far from normal; only the mean of their whole squares is known.
_CAP_OF_COUNTS = 6.0**2
# A single unit is never taken to be more than this many standard deviations from the others.
_WILDEST = 3.0
_FEWEST = 6
# Draws of signs for what one grain's drift does to another's squares, and rows times draws.
_DRAWS = 32
_MOST_DRAWN = 1_000_000
# More levels than this are not taken out before cells' drift is measured.
_MOST_LEVELS = 300


def _winsorized_mean(cap: Any) -> Any:
    """E[min(χ²_1, cap)]."""
    return special.gammainc(1.5, cap / 2) + cap * special.gammaincc(0.5, cap / 2)


def unit_variance(score: np.ndarray, information: np.ndarray, fitted: int = 1) -> float:
    """Return τ² such that winsorized squares of standardized scores have their expected mean.

    Parameters
    ----------
    score, information : ndarray, shape (units,)
    fitted : int
        How many effects were fitted to the scores.

    Returns
    -------
    float

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = np.full(4000, 25.0)
    >>> u = rng.normal(scale=np.sqrt(z + 0.04 * z**2))
    >>> round(unit_variance(u, z), 3)
    0.04
    """
    there = information > 0
    U2, Z = score[there] ** 2, information[there]
    if len(Z) < 2:
        return 0.0
    # Scores of units with little information have long tails of their own.
    cap = np.minimum(_CAP * (1 + 4 / Z), _CAP_OF_COUNTS)
    wanted = float(_winsorized_mean(cap).mean()) * max(1 - fitted / len(Z), 0.1)

    def excess(variance: float) -> float:
        return float(np.minimum(U2 / (Z + variance * Z**2), cap).mean()) - wanted

    if excess(0.0) <= 0:
        return 0.0
    high = 4.0 / float(np.median(Z))
    while excess(high) > 0:
        high *= 4.0
        if high > 1e8:
            return high
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-10, rtol=1e-6))


def bounded(variance: np.ndarray, score: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Widen the drift of units whose score is too wild for their variance.

    Parameters
    ----------
    variance, score, information : ndarray, shape (units,)

    Returns
    -------
    ndarray, shape (units,)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = (score**2 / _WILDEST**2 - information) / information**2
    return np.where(information > 0, np.maximum(variance, needed), variance)


class Grains:
    """Where cells may drift together: rows, cells, and blocks with some levels in common.

    Parameters
    ----------
    codes : ndarray of int, shape (S, D)
    deepest : int
        The most dimensions that name a block.

    Attributes
    ----------
    groups : list of ndarray of int, shape (S,)
        The block of each cell; the last are the cells themselves.
    fitted : list of int
        The levels of the dimensions that a grain names, less their redundancies.
    levels : ndarray, shape (S, q), optional
        1 where a cell has a level; None where there are too many.
    """

    def __init__(self, codes: np.ndarray, deepest: int = 3) -> None:
        S, D = codes.shape
        self.groups: list[np.ndarray] = []
        self.fitted: list[int] = []
        sizes = [len(np.unique(codes[:, d])) for d in range(D)]
        for order in range(2, min(deepest, D - 1) + 1):
            for dimensions in itertools.combinations(range(D), order):
                group = groups(codes, dimensions)
                if _FEWEST <= int(group.max(initial=0)) + 1 < S:
                    self.groups.append(group)
                    self.fitted.append(1 + sum(sizes[d] - 1 for d in dimensions))
        self.groups.append(np.arange(S))
        self.fitted.append(1 + sum(size - 1 for size in sizes))
        self.levels: np.ndarray | None = (
            _level_columns(codes) if sum(sizes) <= _MOST_LEVELS else None
        )
        self._expected: np.ndarray | None = None

    def expected(self, work: Working, information: list[np.ndarray], rows: bool) -> np.ndarray:
        """The excess of each grain's squares per unit of variance at each, worked out once.

        It is a matter of who works where, and hardly of the rates. A block's drift is mostly taken
        for that of its people in finer cells, so no closed form per cell serves: signs are drawn
        for the blocks and sent through the same M⁻¹ as the scores.
        """
        if self._expected is None:
            grain = [*self.groups, *([None] if rows else [])]
            columns = [_expected(work, self, outer, information, rows) for outer in grain]
            self._expected = np.column_stack(columns)
        return self._expected


def grain_drift(work: Working, grains: Grains, evident: float) -> Drift | None:
    """Return the drift of rows, cells and blocks that explains the scores, None for no evidence.

    Parameters
    ----------
    work : Working
        With the drift of units only.
    grains : Grains
    evident : float
        How many standard errors of excess it takes.
    """
    cell, own = work.strata.cell, work.strata.unit >= 0
    # The rest of a row once its unit is taken out.
    row, unit = work.row, work.strata.unit
    gone = np.zeros(len(cell))
    left = np.ones(len(cell))
    if work.g.size:
        gone[own] = (row.z * (work.g * work.unit_score)[unit])[own]
        pull = np.divide(row.z**2, row.v, out=np.zeros_like(row.v), where=row.v > 0)
        left[own] = (1 - pull * work.g[unit])[own]
    i_row = row.v * left
    u = _without_levels(work, grains.levels, work.u)
    information = [
        _group_information(work, group) * _freedom(group, fitted, grains.levels is not None)
        for group, fitted in zip(grains.groups, grains.fitted, strict=True)
    ]
    caps = [*[_CAP] * (len(grains.groups) - 1), _CAP_OF_COUNTS]
    found = [
        _excess(np.bincount(group, u), known, cap)
        for group, known, cap in zip(grains.groups, information, caps, strict=True)
    ]
    rows = len(cell) > 1.05 * len(work.v)
    if rows:
        information.append(i_row)
        found.append(_excess(row.u - gone, i_row, _CAP_OF_COUNTS))
    excess, count, noise = (np.array(x) for x in zip(*found, strict=True))
    fitted = np.array([*grains.fitted, *([0] if rows else [])])
    taken = 0 if grains.levels is None else fitted
    usable = count - taken >= np.maximum(_FEWEST, 0.2 * count)
    if not usable.any() or (excess[usable] / noise[usable]).max() < evident:
        return None
    expected = grains.expected(work, information, rows)
    A = expected[np.ix_(usable, usable)] / noise[usable, None]
    variances = np.zeros(len(found))
    variances[usable], _ = optimize.nnls(A, excess[usable] / noise[usable])
    share = np.zeros(len(found))
    share[usable] = (A * variances[usable]).max(axis=0)
    kept = [j for j in range(len(found)) if share[j] > 1.0]
    at = len(grains.groups) - 1
    blocks = tuple(Block(grains.groups[j], float(variances[j])) for j in kept if j < at)
    whole = float(variances[at]) if at in kept else 0.0
    by_row = float(variances[-1]) if rows and len(found) - 1 in kept else 0.0
    return Drift(work.drift.unit, by_row, whole, blocks)


def _level_columns(codes: np.ndarray) -> np.ndarray:
    return np.hstack([codes[:, [d]] == np.unique(codes[:, d]) for d in range(codes.shape[1])]) * 1.0


def _without_levels(work: Working, levels: np.ndarray | None, u: np.ndarray) -> np.ndarray:
    """Scores with an effect of every level taken out.

    A cause that holds many blocks would otherwise pass for drift of all of them and hide behind it.
    """
    if levels is None:
        return u
    through = work.times(levels)
    system = levels.T @ through
    system[np.diag_indices_from(system)] += 1e-6 * np.trace(system) / len(system) + 1e-12
    return u - through @ np.linalg.solve(system, levels.T @ u)


def _freedom(group: np.ndarray, fitted: int, taken: bool) -> float:
    """The part of a grain's degrees of freedom that is left once levels are taken out."""
    blocks = int(group.max()) + 1
    return max(1 - fitted / blocks, 0.1) if taken else 1.0


def _variance_of_square(cap: float) -> float:
    """Var[min(χ²_1, cap)]."""
    second = 3 * special.gammainc(2.5, cap / 2) + cap**2 * special.gammaincc(0.5, cap / 2)
    return float(second - _winsorized_mean(cap) ** 2)


def _excess(u: np.ndarray, information: np.ndarray, cap: float) -> tuple[float, int, float]:
    """By how much winsorized squares exceed their mean, of how many, and its standard error."""
    there = information > 1e-9
    squares = np.minimum(u[there] ** 2 / information[there], cap)
    count = int(there.sum())
    spread = max(float(squares.var()) if count else 0.0, _variance_of_square(cap))
    return float((squares - _winsorized_mean(cap)).sum()), count, np.sqrt(max(count, 1) * spread)


def _group_information(work: Working, group: np.ndarray) -> np.ndarray:
    S, width = len(group), int(group.max()) + 1
    members = sparse.csr_array((np.ones(S), (np.arange(S), group)), shape=(S, width))
    return work.information(members)


def _expected(
    work: Working,
    grains: Grains,
    outer: np.ndarray | None,
    information: list[np.ndarray],
    rows: bool,
) -> np.ndarray:
    """The excess of squares over every grain's groups per unit of variance at `outer`."""
    row, cell, unit = work.row, work.strata.cell, work.strata.unit
    S, R, own = len(work.v), len(cell), unit >= 0
    draws = int(np.clip(_MOST_DRAWN // max(R, 1), _FEWEST, _DRAWS))
    rng = np.random.default_rng(0)
    place = _in_order(work) if outer is None else outer[cell]
    signs = rng.choice((-1.0, 1.0), (int(place.max()) + 1, draws))[place]
    u = row.v[:, None] * signs
    if work.g.size:
        z, at = np.where(own, row.z, 0.0), np.where(own, unit, 0)
        to_units = sparse.csr_array((z, (at, np.arange(R))), shape=(len(work.g), R))
        u -= z[:, None] * (work.g[:, None] * (to_units @ signs))[at]
    to_cells = sparse.csr_array((np.ones(R), (cell, np.arange(R))), shape=(S, R))
    scores = _without_levels(work, grains.levels, to_cells @ u)
    found = []
    for group, known in zip(grains.groups, information, strict=False):
        members = (np.ones(S), (group, np.arange(S)))
        summed = sparse.csr_array(members, shape=(len(known), S)) @ scores
        found.append(_per_information(summed, known))
    if rows:
        found.append(_per_information(u, information[-1]))
    return np.array(found)


def _in_order(work: Working) -> np.ndarray:
    """A number for each row that does not depend on the names or the order of units."""
    strata, R = work.strata, len(work.strata.cell)
    whose = np.zeros(R)
    if work.g.size:
        whose = np.where(strata.unit >= 0, work.unit_information[strata.unit].round(6), 0.0)
    place = np.empty(R, dtype=int)
    place[np.lexsort((whose, *strata.k, *strata.n, strata.cell))] = np.arange(R)
    return place


def _per_information(scores: np.ndarray, information: np.ndarray) -> float:
    there = information > 1e-9
    return float(((scores[there] ** 2).mean(axis=1) / information[there]).sum())

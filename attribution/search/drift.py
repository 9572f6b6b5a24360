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
from scipy import linalg, optimize, sparse, special

from attribution.search.incidence import group_columns, groups, level_columns
from attribution.search.working import Block, Drift, Working, in_order, scaled

__all__ = ["Grains", "bounded", "grain_drift", "unit_variance"]

# Squares beyond this are winsorized: 1.2 % of standard normal ones.
_CAP = 2.5**2
# Scores of a few trials are far from normal; only the mean of their whole squares is known.
_CAP_OF_COUNTS = 6.0**2
# A single unit is never taken to be more than this many standard deviations from the others.
_WILDEST = 3.0
_FEWEST = 6
# With no more cells than this, that they drift cannot be seen in them with confidence, and is
# reckoned with whether it is evident or not; so many degrees of freedom have to be left for it.
_FEW_CELLS = 100
_LEAST_LEFT = 6
_ROUNDS = 8
# Draws of signs for what one grain's drift does to another's squares, and rows times draws.
_DRAWS = 32
_DRAWS_OF_ROWS = 4
_MOST_DRAWN = 1_000_000
# Blocks are a dense system: no grain has more of them than keeps blocks² x cells below this.
_MOST_WORK = 1e11
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
    columns : csr_array, shape (S, K)
        The same groups, those of all grains one after the other, 1 where a cell lies in one.
    fitted : list of int
        The levels of the dimensions that a grain names, less their redundancies.
    levels : csr_array, shape (S, q), optional
        1 where a cell has a level; None where there are too many, or nothing else.
    """

    def __init__(self, codes: np.ndarray, deepest: int = 3) -> None:
        S, D = codes.shape
        self.groups: list[np.ndarray] = []
        self.fitted: list[int] = []
        sizes = [len(np.unique(codes[:, d])) for d in range(D)]
        for order in range(2, min(deepest, D - 1) + 1):
            for dimensions in itertools.combinations(range(D), order):
                group = groups(codes, dimensions)
                blocks = int(group.max(initial=0)) + 1
                if _FEWEST <= blocks < S and blocks**2 * S <= _MOST_WORK:
                    self.groups.append(group)
                    self.fitted.append(1 + sum(sizes[d] - 1 for d in dimensions))
        self.groups.append(np.arange(S))
        # Of a single dimension the levels are the cells.
        self.fitted.append(1 + sum(size - 1 for size in sizes) if D > 1 else 1)
        self.levels: sparse.csr_array | None = (
            level_columns(codes) if D > 1 and sum(sizes) <= _MOST_LEVELS else None
        )
        self.columns: sparse.csr_array = group_columns(self.groups)
        self._expected: list[np.ndarray] | None = None
        self._pairs: list[tuple[np.ndarray, ...]] | None = None

    @property
    def freedom(self) -> float:
        """From how many degrees of freedom the drift of cells is told; infinite for many cells.

        Where there are too few to tell anything, cells are not taken to drift: infinite too.
        """
        S = len(self.groups[-1])
        return float(S - self.fitted[-1]) if S <= _FEW_CELLS and not self.too_few else np.inf

    @property
    def too_few(self) -> bool:
        """Whether there are so few cells that drift of cells cannot be told from causes."""
        return len(self.groups[-1]) - self.fitted[-1] < _LEAST_LEFT

    def pairs(self, work: Working) -> list[tuple[np.ndarray, ...]]:
        """Per grain: rows with a unit, which group and unit they meet in, and those two."""
        if self._pairs is None:
            units = max(len(work.g), 1)
            row = np.flatnonzero(work.strata.unit >= 0)
            cell, unit = work.strata.cell[row], work.strata.unit[row].astype(np.int64)
            self._pairs = []
            for group in self.groups:
                key, meet = np.unique(group[cell] * units + unit, return_inverse=True)
                self._pairs.append((row, meet.ravel(), *np.divmod(key, units)))
        return self._pairs

    def expected(
        self, work: Working, apart: _Levels, information: list[np.ndarray], rows: bool
    ) -> list[np.ndarray]:
        """What a unit of variance at each grain adds to each square, worked out once.

        `[i]` are the standardized squares of grain i, shape (grains, groups of i). It is a
        matter of who works where, and hardly of the rates. A block's drift is mostly taken for
        that of its people in finer cells, so no closed form per cell serves: signs are drawn for
        the blocks and sent through the same M⁻¹ as the scores.
        """
        if self._expected is None:
            grain = [*self.groups, *([None] if rows else [])]
            columns = [_expected(work, self, apart, outer, information, rows) for outer in grain]
            self._expected = [np.array(row) for row in zip(*columns, strict=True)]
        return self._expected


def grain_drift(work: Working, grains: Grains, evident: float, causes: int = 0) -> Drift | None:
    """Return the drift of rows, cells and blocks that explains the scores, None for no evidence.

    Parameters
    ----------
    work : Working
        With the drift of units only.
    grains : Grains
    evident : float
        How many standard errors of excess it takes; of few cells it takes none.
    causes : int
        How many causes were fitted to the scores.
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
    apart = _Levels(work, grains.levels)
    u = apart.without(work.u[:, None])[:, 0]
    few = np.isfinite(grains.freedom)
    spent = [*grains.fitted[:-1], grains.fitted[-1] + causes * few]
    information = [
        _group_information(work, group, pairs)
        * _freedom(group, fitted, few or apart.levels is not None)
        for group, pairs, fitted in zip(grains.groups, grains.pairs(work), spent, strict=True)
    ]
    ends = np.cumsum([len(known) for known in information])
    scores: list[np.ndarray] = np.split(grains.columns.T @ u, ends[:-1])
    caps, fitted = [*[_CAP] * (len(grains.groups) - 1), _CAP_OF_COUNTS], [*grains.fitted]
    rows = len(cell) > 1.05 * len(work.v)
    if rows:
        information.append(row.v * left)
        scores.append(row.u - gone)
        caps.append(_CAP_OF_COUNTS)
        fitted.append(0)
    squares = [
        _Squares(score, known, cap)
        for score, known, cap in zip(scores, information, caps, strict=True)
    ]
    count = np.array([one.count for one in squares])
    taken = np.zeros(len(fitted)) if grains.levels is None else np.array(fitted)
    usable = np.flatnonzero(count - taken >= np.maximum(_FEWEST, 0.2 * count))
    at, least = len(grains.groups) - 1, 1.0
    if max((squares[i].excess()[0] for i in usable), default=0.0) < evident:
        if not few or count[at] - spent[at] < _FEWEST / 2:
            return None
        usable, least = np.array([at]), 0.0
    expected = grains.expected(work, apart, information, rows)
    judged = [squares[i] for i in usable]
    found = _variances(
        judged,
        [
            a[usable] if a.shape[1] == 1 else a[np.ix_(usable, one.there)]
            for one, a in zip(judged, (expected[i] for i in usable), strict=True)
        ],
        least,
    )
    variances = np.zeros(len(squares))
    variances[usable] = found
    # A few cells are blocks like others, for which everything is exact.
    as_blocks = at + 1 if few else at
    blocks = tuple(
        Block(group, float(variance))
        for group, variance in zip(grains.groups[:as_blocks], variances, strict=False)
        if variance
    )
    by_row = float(variances[-1]) if rows else 0.0
    return Drift(work.drift.unit, by_row, 0.0 if few else float(variances[at]), blocks)


class _Squares:
    """The standardized squared scores of a grain's groups, winsorized under what is expected."""

    def __init__(self, score: np.ndarray, information: np.ndarray, cap: float) -> None:
        self.there = information > 1e-9
        self.plain = score[self.there] ** 2 / information[self.there]
        self.count = int(self.there.sum())
        self.cap = cap

    def excess(self, whole: np.ndarray | float = 1.0) -> tuple[float, float]:
        """By how many standard errors their mean exceeds that of noise, and how large one is.

        `whole` is what they are expected to be, against which they are winsorized.
        """
        usual = _winsorized_mean(self.cap)
        squares = np.minimum(self.plain / whole, self.cap) / usual
        spread = max(float(squares.var()) if self.count else 0.0, _variance_of_square(self.cap))
        error = float(np.sqrt(spread / max(self.count, 1)))
        return float((squares - 1 / whole).mean()) / error, error


def _variances(squares: list[_Squares], expected: list[np.ndarray], least: float) -> np.ndarray:
    """Solve for the variances under which all winsorized squares have their expected mean.

    `expected[i]` are the squares of grain i per unit of variance at each grain, (grains, groups);
    what explains less than `least` standard errors of any grain's excess is left out.
    """
    variances = np.zeros(len(squares))
    for _ in range(_ROUNDS):
        excess, slopes = [], []
        for one, a in zip(squares, expected, strict=True):
            whole = 1 + variances @ a
            beyond, error = one.excess(whole)
            excess.append(beyond)
            slopes.append((a / whole).mean(axis=1) / error)
        before, A = variances, np.array(slopes)
        variances, _ = optimize.nnls(A, np.array(excess))
        variances = np.where((A * variances).max(axis=0) > least, variances, 0.0)
        if np.allclose(variances, before, rtol=0.02, atol=1e-6):
            break
    return variances


class _Levels:
    """Takes an effect of every level out of scores, with a system that is solved once.

    A cause that holds many blocks would otherwise pass for drift of all of them and hide behind it.
    """

    def __init__(self, work: Working, levels: sparse.csr_array | None) -> None:
        self.work: Working = work
        self.levels: sparse.csr_array | None = levels
        if levels is None:
            return
        reach = np.sqrt(work.g)[:, None] * (work.z.T @ levels).toarray()
        system = (levels.T @ scaled(levels, work.v)).toarray() - reach.T @ reach
        system[np.diag_indices_from(system)] += 1e-6 * np.trace(system) / len(system) + 1e-12
        self.factor: tuple[np.ndarray, bool] = linalg.cho_factor(
            system, lower=True, overwrite_a=True, check_finite=False
        )

    def without(self, u: np.ndarray) -> np.ndarray:
        """Return scores of shape (S, k) less what levels explain."""
        if self.levels is None:
            return u
        effect = linalg.cho_solve(self.factor, self.levels.T @ u, check_finite=False)
        return u - self.work.through_units(self.levels @ effect)


def _freedom(group: np.ndarray, fitted: int, taken: bool) -> float:
    """The part of a grain's degrees of freedom that is left once levels are taken out."""
    blocks = int(group.max()) + 1
    return max(1 - fitted / blocks, 0.1) if taken else 1.0


def _variance_of_square(cap: float) -> float:
    """Var[min(χ²_1, cap)]."""
    second = 3 * special.gammainc(2.5, cap / 2) + cap**2 * special.gammaincc(0.5, cap / 2)
    return float(second - _winsorized_mean(cap) ** 2)


def _group_information(
    work: Working, group: np.ndarray, pairs: tuple[np.ndarray, ...]
) -> np.ndarray:
    """The information about each group, its units' drifts taken out."""
    width = int(group.max()) + 1
    row, of_unit, at, unit = pairs
    reach = np.bincount(of_unit, work.row.z[row], len(at))
    return np.maximum(
        np.bincount(group, work.v, width) - np.bincount(at, reach**2 * work.g[unit], width), 0.0
    )


def _expected(
    work: Working,
    grains: Grains,
    apart: _Levels,
    outer: np.ndarray | None,
    information: list[np.ndarray],
    rows: bool,
) -> list[np.ndarray]:
    """What a unit of variance at `outer` adds to the squares of every grain's groups."""
    S, R = len(work.v), len(work.strata.cell)
    draws = int(np.clip(_MOST_DRAWN // max(R, 1), _FEWEST, _DRAWS))
    rng = np.random.default_rng(0)
    if outer is None:
        signs = _signs(rng, R, draws)[in_order(work)]
        u = _of_rows(work, signs)
        cell = work.strata.cell
        to_cells = sparse.csr_array((np.ones(R), (cell, np.arange(R))), shape=(S, R))
        scores = to_cells @ u
    else:
        at_cells = _signs(rng, int(outer.max()) + 1, draws)[outer]
        # Whole cells drift here, so the rows of a cell need not be told apart.
        scores = work.through_units(at_cells)
        # A row's own square hardly moves, and there are many: few draws tell their mean.
        u = _of_rows(work, at_cells[:, :_DRAWS_OF_ROWS][work.strata.cell]) if rows else None
    scores = apart.without(scores)
    summed = grains.columns.T @ scores
    ends = np.cumsum([len(known) for known in information[: len(grains.groups)]])
    found = [
        _per_information(own, known)
        for own, known in zip(np.split(summed, ends[:-1]), information, strict=False)
    ]
    if rows and u is not None:
        there = information[-1] > 1e-9
        found.append(np.array([_per_information(u, information[-1])[there].mean()]))
    return found


def _signs(rng: np.random.Generator, count: int, draws: int) -> np.ndarray:
    return 2.0 * rng.integers(0, 2, (count, draws), dtype=np.int8) - 1.0


def _of_rows(work: Working, moved: np.ndarray) -> np.ndarray:
    """The scores of rows whose effects have moved, their units' drifts taken out, shape (R, k)."""
    row, unit = work.row, work.strata.unit
    u = row.v[:, None] * moved
    if work.g.size:
        own = unit >= 0
        z, at = np.where(own, row.z, 0.0), np.where(own, unit, 0)
        to_units = sparse.csr_array((z, (at, np.arange(len(z)))), shape=(len(work.g), len(z)))
        u -= z[:, None] * (work.g[:, None] * (to_units @ moved))[at]
    return u


def _per_information(scores: np.ndarray, information: np.ndarray) -> np.ndarray:
    there = information > 1e-9
    squares = (scores**2).mean(axis=1)
    return np.divide(squares, information, out=np.zeros_like(squares), where=there)

"""Regression decomposition (Oaxaca 1973; Blinder 1973) of the difference of two groups' means.

With x_t the mean predictors of group t, b_t the coefficients fitted in it, b* those of reference:

    twofold    explained   (x_1 - x_0) b*     unexplained  x_1 (b_1 - b*) + x_0 (b* - b_0)
    threefold  endowments  (x_1 - x_0) b_0    coefficients x_0 (b_1 - b_0)
               interaction (x_1 - x_0) (b_1 - b_0)

column by column; all of them add up to the difference. The levels of a category have effects that
sum to 0 (Yun 2005), so that none is left out as a reference. For a logit a part is a difference of
mean predicted probabilities, shared out over the columns in proportion to their parts of the linear
predictor (Yun 2004).

Every line is a smooth function of base statistics - means, coefficients, mean predictions - and
what each row adds to those follows from the stacked normal equations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse, special

from attribution.errors import IdentificationError
from attribution.gradient import Gradient

__all__ = ["Category", "Columns", "RegressionParts", "Term", "decompose_regression", "dependent"]

# What the other columns leave of a column scaled to length 1; below it they reproduce it.
_DEPENDENT = 1e-10
# Newton's steps beyond the fit, and how much the last one may still move a linear predictor.
_STEPS, _SETTLED = 10, 1e-8
# The constant is the same in both groups: it has no line where values change.
_OF_VALUES = ("explained", "endowments", "interaction")
# Parts of a linear predictor that cancel to less than this cannot share out what is left.
_CANCELS = 1e-9


@dataclass(frozen=True, eq=False)
class Category:
    """A predictor of levels: the code of each row, from 0, and the number of levels."""

    codes: np.ndarray
    size: int


@dataclass(frozen=True)
class Term:
    """What a column stands for: a predictor, one of its levels; neither is the constant."""

    predictor: int | None = None
    level: int | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """The k columns that are fitted and the m terms that they stand for.

    Attributes
    ----------
    X : ndarray, shape (n, k)
        The constant, numbers as they are, categories without their first level.
    terms : tuple of Term
        The constant, numbers, levels.
    to_effects : ndarray, shape (m, k)
        Turns fitted coefficients into those of the terms.
    to_values : ndarray, shape (m, k)
        Turns a row of X into the values of the terms.
    """

    X: np.ndarray
    terms: tuple[Term, ...]
    to_effects: np.ndarray
    to_values: np.ndarray

    @classmethod
    def of(cls, predictors: Sequence[np.ndarray | Category], normalize: bool = True) -> Columns:
        """Arrange predictors, numbers of shape (n,) and categories.

        Parameters
        ----------
        predictors : sequence of ndarray or Category
        normalize : bool
            Levels as deviations from their mean, which the constant takes up. Without it the first
            level of each category is the reference: it has no effect and no term.

        Returns
        -------
        Columns

        Examples
        --------
        >>> two_levels = Columns.of([Category(np.array([0, 1, 1]), 2)])
        >>> two_levels.to_effects @ np.array([0.8, 0.1])
        array([ 0.85, -0.05,  0.05])
        """
        blocks = [_Block.of(i, x, normalize) for i, x in enumerate(predictors)]
        to_effects = linalg.block_diag(np.ones((1, 1)), *(block.effects for block in blocks))
        to_effects[0, 1:] = np.concatenate([block.into_constant for block in blocks])
        to_values = linalg.block_diag(np.ones((1, 1)), *(block.values for block in blocks))
        to_values[1:, 0] = np.concatenate([block.from_constant for block in blocks])
        X = np.hstack([np.ones((len(blocks[0].X), 1)), *(block.X for block in blocks)])
        terms = (Term(), *(term for block in blocks for term in block.terms))
        return cls(X, terms, to_effects, to_values)

    def term_of(self, column: int) -> Term:
        """Return the term that a fitted column is the value of."""
        is_one = (self.to_values[:, column] == 1) & (np.abs(self.to_values).sum(axis=1) == 1)
        return self.terms[int(np.flatnonzero(is_one)[0])]


@dataclass(frozen=True, eq=False)
class _Block:
    """The columns of one predictor; see `Columns`."""

    X: np.ndarray
    terms: list[Term]
    effects: np.ndarray
    into_constant: np.ndarray
    values: np.ndarray
    from_constant: np.ndarray

    @classmethod
    def of(cls, i: int, predictor: np.ndarray | Category, normalize: bool) -> _Block:
        one = np.ones((1, 1))
        if not isinstance(predictor, Category):
            return cls(predictor[:, None], [Term(i)], one, np.zeros(1), one, np.zeros(1))
        levels = np.arange(0 if normalize else 1, predictor.size)
        dummies = np.eye(predictor.size)[:, 1:]
        mean = dummies.mean(axis=0) if normalize else np.zeros(predictor.size - 1)
        values, first = dummies.copy(), np.eye(predictor.size)[:, 0]
        values[0] = -1.0  # The first level is where none of the others is.
        terms = [Term(i, int(level)) for level in levels]
        effects = (dummies - mean)[levels]
        return cls(dummies[predictor.codes], terms, effects, mean, values[levels], first[levels])


def dependent(X: np.ndarray) -> np.ndarray:
    """Return the columns of X that the columns before them reproduce.

    Parameters
    ----------
    X : ndarray, shape (n, k)

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> dependent(np.column_stack([np.ones(3), x, 3 - x]))
    array([2])
    """
    length = np.linalg.norm(X, axis=0)
    left = np.zeros(X.shape[1])
    diagonal = np.diag(np.linalg.qr(X / np.where(length > 0, length, 1.0), mode="r"))
    left[: len(diagonal)] = np.abs(diagonal)
    return np.flatnonzero(left < _DEPENDENT)


@dataclass(frozen=True, eq=False)
class _Statistic:
    """A smooth function of the M base statistics: value, shape (j,), and slopes, shape (j, M)."""

    value: np.ndarray
    slopes: np.ndarray

    def __add__(self, other: _Statistic) -> _Statistic:
        return _Statistic(self.value + other.value, self.slopes + other.slopes)

    def __sub__(self, other: _Statistic) -> _Statistic:
        return _Statistic(self.value - other.value, self.slopes - other.slopes)

    def __mul__(self, other: _Statistic) -> _Statistic:
        slopes = self.slopes * other.value[:, None] + other.slopes * self.value[:, None]
        return _Statistic(self.value * other.value, slopes)

    def __truediv__(self, other: _Statistic) -> _Statistic:
        ratio = self.value / other.value
        slopes = (self.slopes - ratio[:, None] * other.slopes) / other.value[:, None]
        return _Statistic(ratio, slopes)

    def times(self, matrix: np.ndarray) -> _Statistic:
        """Return ``matrix @ self``."""
        return _Statistic(matrix @ self.value, matrix @ self.slopes)


# What rows add to some base statistics: rows -> (rows, statistics).
_Influence = Callable[[slice], np.ndarray]


@dataclass(frozen=True, eq=False)
class RegressionParts:
    """The lines of one difference.

    Attributes
    ----------
    means : ndarray, shape (2,)
        The mean outcome of the groups.
    lines : tuple of (str, Term)
        Effect and term of the K lines.
    estimate : ndarray, shape (K,)
        It adds up to the difference of the means.
    gradient : Gradient
        K lines over the M base statistics.
    """

    means: np.ndarray
    lines: tuple[tuple[str, Term], ...]
    estimate: np.ndarray
    gradient: Gradient
    _influence: list[_Influence]

    def influence(self, rows: slice) -> np.ndarray:
        """Return what some rows add to the base statistics, shape (rows, M).

        Over all rows it sums to 0.
        """
        return np.hstack([added(rows) for added in self._influence])


def decompose_regression(
    columns: Columns,
    y: np.ndarray,
    w: np.ndarray,
    group: np.ndarray,
    *,
    kind: str = "twofold",
    reference: float | str = "pooled",
    model: str = "linear",
) -> RegressionParts:
    """Decompose the difference of two weighted means by the columns of a regression.

    Parameters
    ----------
    columns : Columns
        None `dependent` within a group.
    y, w : ndarray, shape (n,)
        Outcomes, and positive weights.
    group : ndarray of {0, 1}, shape (n,)
        0 is the baseline.
    kind : {"twofold", "threefold"}
    reference : float or {"weighted", "neumark", "pooled"}
        For twofold, b*: the weight of b_1 beside b_0, "weighted" by the size of the groups (Cotton
        1988), or fitted to both groups, "neumark" without and "pooled" with an indicator of the
        group (Neumark 1988; Jann 2008).
    model : {"linear", "logit"}

    Returns
    -------
    RegressionParts

    Raises
    ------
    IdentificationError
        A logit has no finite coefficients, or a part of it cannot be shared out.

    References
    ----------
    Oaxaca, R. (1973). Male-female wage differentials in urban labor markets. Int. Econ. Rev. 14.
    Blinder, A. S. (1973). Wage discrimination: reduced form and structural estimates. J. Human
    Resources 8. Yun, M.-S. (2004). Decomposing differences in the first moment. Econ. Letters 82.
    Yun, M.-S. (2005). A simple solution to the identification problem in detailed wage
    decompositions. Econ. Inquiry 43. Jann, B. (2008). The Blinder-Oaxaca decomposition for linear
    regression models. Stata J. 8(4).

    Examples
    --------
    >>> x, group = np.array([1.0, 2, 3, 2, 3, 4]), np.array([0, 0, 0, 1, 1, 1])
    >>> parts = decompose_regression(Columns.of([x]), 2 * x + group, np.ones(6), group, reference=0)
    >>> [effect for effect, _ in parts.lines], parts.estimate.round(9) + 0.0
    (['explained', 'unexplained', 'unexplained'], array([2., 1., 0.]))
    """
    X, base = columns.X, _Base(5 * columns.X.shape[1] + 6)
    of_group = [np.where(group == t, w, 0.0) for t in (0, 1)]
    x_0, x_1 = (base.mean(X, w_t).times(columns.to_values) for w_t in of_group)
    whose = ("the baseline group", "the current group")
    fits = [base.fit(X, y, of_group[t], model, whose[t]) for t in (0, 1)]
    if kind == "twofold":
        fits.append(_reference(base, fits, columns, y, w, group, reference, model))
    b = [fit.times(columns.to_effects) for fit in fits]

    def part(numerators: _Statistic, *signed: tuple[int, int, int]) -> _Statistic:
        """Share out a sum of sign times the mean prediction of a group by a fit."""
        if model == "linear":
            return numerators
        total, slope = _Statistic(np.zeros(1), np.zeros((1, base.width))), 0.0
        for sign, t, fit in signed:
            F, slope = base.prediction(X, of_group[t], fits[fit], (t, fit))
            total = total + F if sign > 0 else total - F
        return _shared(numerators, total, slope)

    if kind == "threefold":
        parts = {
            "endowments": part((x_1 - x_0) * b[0], (1, 1, 0), (-1, 0, 0)),
            "coefficients": part(x_0 * (b[1] - b[0]), (1, 0, 1), (-1, 0, 0)),
            "interaction": part(
                (x_1 - x_0) * (b[1] - b[0]), (1, 1, 1), (-1, 1, 0), (-1, 0, 1), (1, 0, 0)
            ),
        }
    else:
        parts = {
            "explained": part((x_1 - x_0) * b[2], (1, 1, 2), (-1, 0, 2)),
            "unexplained": part(x_1 * (b[1] - b[2]), (1, 1, 1), (-1, 1, 2))
            + part(x_0 * (b[2] - b[0]), (1, 0, 2), (-1, 0, 0)),
        }
    return _collected(parts, columns, y, of_group, base)


def _collected(
    parts: dict[str, _Statistic],
    columns: Columns,
    y: np.ndarray,
    of_group: Sequence[np.ndarray],
    base: _Base,
) -> RegressionParts:
    lines, estimate, slopes = [], [], []
    for effect, statistic in parts.items():
        start = 1 if effect in _OF_VALUES else 0
        lines += [(effect, term) for term in columns.terms[start:]]
        estimate.append(statistic.value[start:])
        slopes.append(statistic.slopes[start:, : base.used])
    gradient = Gradient.of(sparse.eye_array(len(lines), format="csr"), np.vstack(slopes))
    means = np.array([w @ y / w.sum() for w in of_group])
    return RegressionParts(means, tuple(lines), np.concatenate(estimate), gradient, base.influence)


def _reference(
    base: _Base,
    fits: Sequence[_Statistic],
    columns: Columns,
    y: np.ndarray,
    w: np.ndarray,
    group: np.ndarray,
    reference: float | str,
    model: str,
) -> _Statistic:
    """The coefficients b*."""
    X, k = columns.X, columns.X.shape[1]
    if reference == "neumark":
        return base.fit(X, y, w, model, "both groups together")
    if reference == "weighted":
        return fits[0] + (fits[1] - fits[0]) * base.share(w, group)
    if reference == "pooled":
        both = base.fit(np.column_stack([X, group]), y, w, model, "both groups together")
        # The constant lies between those of the groups, in proportion to their size. The constant
        # of either would matter to a logit, and exchanging the groups would not flip the signs.
        indicator = both.times(np.eye(k + 1)[k:]) * base.share(w, group)
        return both.times(np.eye(k + 1)[:k]) + indicator.times(np.eye(k)[:, :1])
    step = (fits[1] - fits[0]).times(float(reference) * np.eye(k))
    return fits[0] + step


def _shared(numerators: _Statistic, part: _Statistic, slope: float) -> _Statistic:
    """Share a part out in proportion to numerators (Yun 2004)."""
    whole = numerators.times(np.ones((1, len(numerators.value))))
    size = np.abs(numerators.value).sum()
    if abs(whole.value[0]) > _CANCELS * size:
        return numerators * (part / whole)
    if abs(part.value[0]) <= _CANCELS:
        # Nothing to share out, as between groups that are the same: the limit is the mean slope.
        return numerators.times(slope * np.eye(len(numerators.value)))
    raise IdentificationError(
        f"model: {part.value[0]:.3g} of the difference cannot be shared out over the predictors, "
        "whose parts of the linear predictor cancel. Use model='linear'."
    )


class _Base:
    """The base statistics, one block after the other, and what each row adds to them."""

    def __init__(self, width: int) -> None:
        self.width, self.used = width, 0
        self.influence: list[_Influence] = []
        self._predicted: dict[tuple[int, int], tuple[_Statistic, float]] = {}

    def _add(self, value: np.ndarray, influence: _Influence) -> _Statistic:
        slopes = np.eye(self.width)[self.used : self.used + len(value)]
        self.used += len(value)
        self.influence.append(influence)
        return _Statistic(value, slopes)

    def mean(self, X: np.ndarray, w: np.ndarray) -> _Statistic:
        """Add the weighted means of columns."""
        mean = w @ X / w.sum()
        return self._add(mean, lambda rows: (w[rows] / w.sum())[:, None] * (X[rows] - mean))

    def share(self, w: np.ndarray, group: np.ndarray) -> _Statistic:
        """Add the share of the current group."""
        share = np.array([w @ group / w.sum()])
        return self._add(share, lambda rows: (w[rows] / w.sum() * (group[rows] - share))[:, None])

    def fit(
        self, X: np.ndarray, y: np.ndarray, w: np.ndarray, model: str, whose: str
    ) -> _Statistic:
        """Add the coefficients of a regression: b - b̂ = A^-1 sum_i w_i x_i (y_i - fitted_i)."""
        b, inverse = (_linear if model == "linear" else _logit)(X, y, w, whose)

        def influence(rows: slice) -> np.ndarray:
            fitted = X[rows] @ b if model == "linear" else special.expit(X[rows] @ b)
            return (w[rows] * (y[rows] - fitted))[:, None] * X[rows] @ inverse

        return self._add(b, influence)

    def prediction(
        self, X: np.ndarray, w: np.ndarray, b: _Statistic, key: tuple[int, int]
    ) -> tuple[_Statistic, float]:
        """Add the mean predicted probability of the rows in w, once per key; and its slope."""
        if key not in self._predicted:
            p, share = special.expit(X @ b.value), w / w.sum()
            mean, steep = np.array([share @ p]), share * p * (1 - p)
            own = self._add(mean, lambda rows: (share[rows] * (p[rows] - mean))[:, None])
            through = b.times((steep @ X)[None, :])
            predicted = _Statistic(mean, own.slopes + through.slopes)
            self._predicted[key] = predicted, float(steep.sum())
        return self._predicted[key]


def _linear(
    X: np.ndarray, y: np.ndarray, w: np.ndarray, whose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares: coefficients and (X'WX)^-1."""
    from statsmodels.regression.linear_model import WLS

    seen = w > 0
    model = WLS(y[seen], X[seen], weights=w[seen])  # pyright: ignore[reportArgumentType]
    fit = model.fit(method="qr")
    return fit.params, fit.normalized_cov_params


def _logit(
    X: np.ndarray, y: np.ndarray, w: np.ndarray, whose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted logistic regression: coefficients and the inverse of the information.

    The fit stops by its deviance, which settles even where coefficients run away to infinity.
    Newton's steps go on from there: they make it exact, or they do not die out and tell.
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    X, y, w = X[w > 0], y[w > 0], w[w > 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What they say is found out below.
        b = GLM(y, X, family=Binomial(), freq_weights=w).fit(tol=1e-3).params
    moved = np.inf
    for _ in range(_STEPS):
        p = special.expit(X @ b)
        information = (X * (w * p * (1 - p))[:, None]).T @ X
        try:
            inverse = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            break
        step = inverse @ (X.T @ (w * (y - p)))
        moved, b = np.abs(X @ step).max(), b + step
        if moved < _SETTLED:
            return b, inverse
    raise IdentificationError(
        f"model: the logit of {whose} has no finite coefficients: some rows are predicted "
        "perfectly, as where a level has only one outcome. Merge such levels, drop a predictor, or "
        "use model='linear'."
    )

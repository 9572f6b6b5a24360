"""KPIs that are functions of several sums and no ratio: totals, agreement beyond chance, F-beta."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from attribution.errors import ColumnTypeError, ExpressionError, OptionError, listing
from attribution.expressions import Binary, Column, Expression, Literal, columns_of, parse
from attribution.moments import Contract, Moment, check_metric, factors, sum_moments

__all__ = ["FunctionOfSums", "Total", "cohen_kappa", "f_score"]

_HOMOGENEOUS = 1e-9


@dataclass(frozen=True)
class Total:
    """A sum: ``T = sum(value)``, explained as volume x mix x rate.

    Total handle time, total cost, the backlog. With V the volume, p the shares and r the value per
    unit of volume, T = V sum_c p_c r_c: the line `volume` of the bridge says what more or less work
    did at the same mix and rates, and mix and rate what they did at the same volume.

    Parameters
    ----------
    value : str
        A column or expression; it may be negative.
    volume : str, optional
        What the work is counted in: a column or expression that may not be negative, such as the
        decisions of a pre-counted row. None: rows, or their weights.
    name : str, optional
        What the KPI is called in headlines.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown beside numbers ("h", "EUR").

    Notes
    -----
    The Shapley value of the three factors: ``volume = ΔV [(p_0·r_0 + p_1·r_1) / 3 +
    (p_0·r_1 + p_1·r_0) / 6]``, mix and rate alike. A segment that enters or leaves brings or takes
    its whole sum. Periods of unequal length differ in volume; `check` says so.

    Examples
    --------
    >>> Total("handle_seconds / 3600", name="Handle time", better="lower", unit="h").label
    'Handle time'
    >>> Total("cost", volume="decisions").label
    'total(cost)'
    """

    of_trials: ClassVar[bool] = False

    value: str
    _: KW_ONLY
    volume: str | None = None
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        check_metric(self, value=self.value, volume=self.volume)

    @property
    def numerator(self) -> str:
        """The expression that is summed."""
        return self.value

    @property
    def denominator(self) -> str | None:
        """The expression that counts the volume; None counts rows."""
        return self.volume

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        return Contract(factors(self.volume))

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or f"total({self.value})"

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        return self.unit or ""

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums a bridge of this metric needs, each with its role (see `sum_moments`).

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
        """
        return sum_moments([self.volume, self.value], weighted)


@dataclass(frozen=True)
class FunctionOfSums:
    """A smooth function of sums over rows that need not be a ratio.

    ``R = f(sum x_1, ..., sum x_K)`` where doubling every sum changes nothing. Explained as the
    Shapley value over {mix, rates}: with m = the sums per unit of volume, the mix effect moves the
    shares of segments and the rate effect what each holds per unit, and both are shared out among
    segments along the straight line between their ends, exactly.

    Parameters
    ----------
    formula : str
        Names of sums (and of `define`), numbers, ``+ - * /`` and parentheses.
    sums : mapping of str to str
        The name of each sum, and the column or expression that is summed; "1" counts rows.
    define : mapping of str to str, optional
        Names for parts of the formula, in order: ``{"po": "agree / n"}``.
    volume : str, optional
        What the mix is of, a column or expression; None: rows, or their weights.
    name : str, optional
        What the KPI is called in headlines.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown; "%" shows percentage points.

    Raises
    ------
    ColumnTypeError, ExpressionError, OptionError
        A part is no text, the formula is not in the grammar or names no sum, or doubling all sums
        changes it (then it is no such KPI: see `Total` and `Product`).

    Notes
    -----
    A plain ratio of sums is better stated as `Ratio`, whose shares are those of its denominator.

    Examples
    --------
    Prevalence- and bias-adjusted kappa:

    >>> pabak = FunctionOfSums("2 * agree / n - 1", {"agree": "first == second", "n": "1"},
    ...                        name="PABAK")
    >>> pabak.label, pabak.value({"agree": 90, "n": 100})
    ('PABAK', 0.8)
    """

    of_trials: ClassVar[bool] = False

    formula: str
    sums: Mapping[str, str] = field(hash=False)
    _: KW_ONLY
    define: Mapping[str, str] | None = field(default=None, hash=False)
    volume: str | None = None
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.sums, Mapping) or not self.sums:
            raise ColumnTypeError(
                f"FunctionOfSums: sums is {self.sums!r}; it maps names to columns or expressions, "
                "as in {'agree': 'first == second', 'n': '1'}."
            )
        if self.define is not None and not isinstance(self.define, Mapping):
            raise ColumnTypeError(
                f"FunctionOfSums: define is {self.define!r}; it maps names to parts of the formula."
            )
        check_metric(self, formula=self.formula, volume=self.volume)
        for of in (self.sums, self.define or {}):
            for name, text in of.items():
                if not (isinstance(name, str) and name.isidentifier()):
                    raise ColumnTypeError(
                        f"FunctionOfSums: {name!r} is no name that a formula can use; letters, "
                        "digits and _ only."
                    )
                check_metric(self, **{name: text})
        object.__setattr__(self, "sums", dict(self.sums))
        if twice := [name for name in self.define or {} if name in self.sums]:
            raise OptionError(f"FunctionOfSums: {twice[0]!r} is a sum and is defined too.")
        unused = [name for name in self.sums if name not in columns_of(self._expression)]
        if unused:
            raise OptionError(
                f"FunctionOfSums: the formula does not use {listing(unused)}. "
                f"Sums: {listing(self.sums)}."
            )
        self._check_homogeneous()

    def _check_homogeneous(self) -> None:
        rng = np.random.default_rng(0)
        m = rng.uniform(0.5, 1.5, (len(self.sums), 8))
        once, twice = self.of_means(m)[0], self.of_means(2 * m)[0]
        known = np.isfinite(once) & np.isfinite(twice)
        if not np.allclose(once[known], twice[known], rtol=_HOMOGENEOUS):
            raise OptionError(
                f"FunctionOfSums: doubling all sums changes {self.formula!r}. Divide by a count, "
                "as in 'agree / n'; a sum itself is at.Total, a product of KPIs at.Product."
            )

    @cached_property
    def _expression(self) -> Expression:
        known: dict[str, Expression] = {name: Column(name) for name in self.sums}
        for name, text in (self.define or {}).items():
            known[name] = _read(text, known)
        return _read(self.formula, known)

    def value(self, sums: Mapping[str, float]) -> float:
        """Return the KPI of given sums.

        Parameters
        ----------
        sums : mapping of str to float

        Returns
        -------
        float
            NaN where it is not defined.
        """
        m = np.array([[float(sums[name])] for name in self.sums])
        found = float(self.of_means(m)[0][0])
        return found if math.isfinite(found) else float("nan")

    def of_means(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values and gradients, as `decompose.coefficients.smooth_form` asks for them.

        Parameters
        ----------
        m : ndarray, shape (K, n)
            In the order of `sums`; real or complex.

        Returns
        -------
        value : ndarray, shape (n,)
        gradient : ndarray, shape (K, n)
        """
        at = {name: i for i, name in enumerate(self.sums)}
        with np.errstate(divide="ignore", invalid="ignore"):
            value, gradient = _dual(self._expression, m, at)
        return value + 0 * m[0], gradient + 0 * m

    @property
    def numerator(self) -> str:
        """The formula."""
        return self.formula

    @property
    def denominator(self) -> None:
        """None: the formula holds its own."""
        return None

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        return Contract(() if self.volume is None else (self.volume,))

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or self.formula

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        return self.unit or ""

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums a bridge of this metric needs, each with its role (see `sum_moments`).

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
        """
        # A sum of "1" counts rows; with weights it is the sum of the weights.
        parts = [None if text.strip() == "1" else text for text in self.sums.values()]
        return sum_moments([self.volume, *parts], weighted)


def cohen_kappa(
    first: str,
    second: str,
    categories: Sequence[str | int] | None = None,
    *,
    name: str | None = "Cohen's kappa",
    better: str = "higher",
    unit: str | None = None,
) -> FunctionOfSums:
    """Return Cohen's kappa of two reviews of the same item: agreement beyond chance.

    ``kappa = (po - pe) / (1 - pe)``, po the share of items on which both agree, pe what independent
    reviewers with the same margins would agree on. It depends on prevalence; show
    PABAK = 2 po - 1 beside it.

    Parameters
    ----------
    first, second : str
        The columns of the two labels: 0/1 flags, or labels of `categories`.
    categories : sequence, optional
        The labels there are, at least two; None for 0/1 flags. Items with any other label would
        count as disagreement, so list them all.
    name, better, unit
        As in `FunctionOfSums`.

    Returns
    -------
    FunctionOfSums

    References
    ----------
    Cohen, J. (1960). A coefficient of agreement for nominal scales. Educ. Psychol. Meas. 20:37-46.

    Examples
    --------
    >>> kappa = cohen_kappa("first", "second")
    >>> round(kappa.value({"n": 100, "agree": 85, "a0": 45, "b0": 40}), 4)
    0.6939
    """
    check = {"first": first, "second": second}
    for parameter, column in check.items():
        if not (isinstance(column, str) and column.strip()):
            raise ColumnTypeError(f"cohen_kappa: {parameter} is {column!r}, not a column name.")
    sums = {"n": "1", "agree": f"({first}) == ({second})"}
    if categories is None:
        sums |= {"a0": first, "b0": second}
        chance = "(a0 * b0 + (n - a0) * (n - b0)) / (n * n)"
    else:
        labels = [] if isinstance(categories, str) else list(categories)
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise OptionError(
                f"categories: {categories!r} is not a list of two or more different labels."
            )
        for i, label in enumerate(labels):
            sums |= {f"a{i}": f"({first}) == {label!r}", f"b{i}": f"({second}) == {label!r}"}
        products = " + ".join(f"a{i} * b{i}" for i in range(len(labels)))
        chance = f"({products}) / (n * n)"
    return FunctionOfSums(
        "(po - pe) / (1 - pe)",
        sums,
        define={"po": "agree / n", "pe": chance},
        name=name,
        better=better,
        unit=unit,
    )


def f_score(
    true_positive: str,
    false_positive: str,
    false_negative: str,
    beta: float = 1.0,
    *,
    name: str | None = None,
    better: str = "higher",
    unit: str | None = "%",
) -> FunctionOfSums:
    """Return F-beta: the harmonic mean of precision and recall, recall counting beta² times.

    ``F = (1 + beta²) TP / ((1 + beta²) TP + beta² FN + FP)``, the mix being that of all rows. As
    ``at.Ratio("2 * tp", "2 * tp + fp + fn")`` F1 has the mix of its denominator instead.

    Parameters
    ----------
    true_positive, false_positive, false_negative : str
        Columns or expressions: flags of a row, or counts.
    beta : float
        Above 0; 2 makes recall count more, 0.5 precision.
    name, better, unit
        As in `FunctionOfSums`.

    Returns
    -------
    FunctionOfSums

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed. Butterworths.

    Examples
    --------
    >>> f_score("tp", "fp", "fn", beta=2).label
    'F2'
    >>> f_score("tp", "fp", "fn").value({"tp": 80, "fp": 20, "fn": 20})
    0.8
    """
    number = isinstance(beta, int | float) and not isinstance(beta, bool)
    if not number or not 0 < beta < math.inf:
        raise OptionError(f"beta: {beta!r} is not a positive number.")
    square = float(beta) ** 2
    return FunctionOfSums(
        f"{1 + square!r} * tp / ({1 + square!r} * tp + {square!r} * fn + fp)",
        {"tp": true_positive, "fp": false_positive, "fn": false_negative},
        name=name or f"F{beta:g}",
        better=better,
        unit=unit,
    )


def _read(text: str, known: Mapping[str, Expression]) -> Expression:
    """Parse a formula and put what its names stand for in their places."""
    names = list(known)
    try:
        expression = parse(text, names, "formula")
    except (ExpressionError, KeyError) as error:
        raise ExpressionError(f"FunctionOfSums: {error} Names: {listing(names)}.") from None
    return _filled(expression, known, text)


def _filled(expression: Expression, known: Mapping[str, Expression], text: str) -> Expression:
    match expression:
        case Column(name=name):
            return known[name]
        case Binary(op=op, left=left, right=right):
            return Binary(op, _filled(left, known, text), _filled(right, known, text))
        case Literal(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            return expression
    raise ExpressionError(
        f"FunctionOfSums: {text!r} is no formula. Allowed: names, numbers, + - * / and parentheses."
    )


def _dual(expression: Expression, m: np.ndarray, at: Mapping[str, int]) -> tuple[Any, Any]:
    """Value and gradient of a formula by forward differentiation."""
    match expression:
        case Column(name=name):
            gradient = np.zeros_like(m)
            gradient[at[name]] = 1.0
            return m[at[name]], gradient
        case Literal(value=value):
            return value, np.zeros_like(m)
        case Binary(op=op, left=left, right=right):
            (f, df), (g, dg) = _dual(left, m, at), _dual(right, m, at)
            match op:
                case "+":
                    return f + g, df + dg
                case "-":
                    return f - g, df - dg
                case "*":
                    return f * g, f * dg + g * df
                case _:
                    quotient = np.divide(f, g)
                    return quotient, np.divide(df - quotient * dg, g)
    raise AssertionError(expression)

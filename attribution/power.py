"""minimum_detectable_change: how small a change a planned or an observed sample can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from attribution.cube import Cube, several
from attribution.errors import ColumnTypeError, IdentificationError, OptionError
from attribution.formatting import Format
from attribution.infer.power import (
    change_std_error,
    cluster_design_effect,
    detectable_factor,
    ratio_covariance,
    row_variance,
    rows_needed,
)
from attribution.metrics import Metric, ratio_only

__all__ = ["DetectableChange", "minimum_detectable_change"]

# A design effect below this is a typing error: no stratification makes a row worth ten.
_LEAST_DESIGN_EFFECT = 0.1
_ROUNDING = 1e-13


@dataclass(frozen=True)
class DetectableChange:
    """How small a change two samples can show; made by `minimum_detectable_change`.

    Attributes
    ----------
    change : float
        The smallest change seen with the asked power, KPI units.
    std_error : float
        Of the change.
    n : (float, float)
        Rows in the baseline and the current period.
    rate : float
        The KPI around which the change happens.
    variance : float
        Of the KPI in a sample of one row, design effect included.
    design_effect : float
        That variance over the one of independent rows; NaN where a cube cannot tell the two
        apart (a `Ratio` with clusters).
    correlation : float
        Between the errors of the two periods, from clusters seen in both.
    alpha, power : float
        The level of the two-sided test, and the probability that the change is seen.
    unit : str
        "%" shows changes in percentage points.
    """

    change: float
    std_error: float
    n: tuple[float, float]
    rate: float
    variance: float
    design_effect: float
    correlation: float
    alpha: float
    power: float
    unit: str = "%"

    def n_for(self, change: float) -> int:
        """Return the rows each period needs to show a change, all else equal.

        Parameters
        ----------
        change : float
            In KPI units: 0.01 is one percentage point.

        Returns
        -------
        int

        Raises
        ------
        OptionError
            The change is not a positive number.

        Notes
        -----
        The design effect stays as it is: more rows come from more clusters, not from more rows per
        cluster, which would raise it.

        Examples
        --------
        >>> minimum_detectable_change(n=2000, rate=0.92, design_effect=2).n_for(0.01)
        23108
        """
        size = _number("change", change, "a positive number in KPI units (0.01 is 1 pp)", 0)
        return rows_needed(size, self.variance, self.correlation, self.alpha, self.power)

    def __str__(self) -> str:
        f = Format.fitting(self.unit, self.change)
        n_0, n_1 = (f"{x:,.0f}" for x in self.n)
        facts = [
            f"n = {n_0} in each period" if n_0 == n_1 else f"n = {n_0} and {n_1}",
            f"around {f.level(self.rate)}",
            f"standard error {f.change(self.std_error).lstrip('+')}",
        ]
        if math.isfinite(self.design_effect):
            facts.append(f"design effect {self.design_effect:.2f}")
        if self.correlation:
            facts.append(f"correlation between periods {self.correlation:.2f}")
        return (
            f"Detectable change {f.change(self.change).lstrip('+')} with {100 * self.power:g} % "
            f"power at the {100 * self.alpha:g} % level: {', '.join(facts)}."
        )

    def __repr__(self) -> str:
        return f"<DetectableChange {str(self).removeprefix('Detectable change ').rstrip('.')}>"


def minimum_detectable_change(
    cube: Cube | None = None,
    metric: Metric | str | None = None,
    *,
    period: object = None,
    n: float | Sequence[float] | None = None,
    rate: float | None = None,
    design_effect: float | None = None,
    cluster_size: float | None = None,
    icc: float | None = None,
    correlation: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
) -> DetectableChange:
    """Return how small a change two samples can show: planned by numbers, or seen in a cube.

    ``(z_{1 - alpha/2} + z_{power}) SE``, 2.8 standard errors by default, with
    ``SE^2 = deff R (1 - R) (1/n_0 + 1/n_1 - 2 correlation / sqrt(n_0 n_1))``. A cube gives
    `rate`, the design effect (the variance over clusters against the binomial one; for a `Ratio`
    against the one of independent rows) and the correlation, so that only `n` is left to ask.

    Parameters
    ----------
    cube : Cube, optional
        Observed periods; without it, `n` and `rate` describe a plan.
    metric : Metric or str, optional
        One of the cube's; the first by default.
    period : value or list of values, optional
        The periods of the cube that are estimated from, averaged by rows; all by default.
    n : float or (float, float), optional
        Rows per period, or in the baseline and the current one. From a cube, the mean of its
        periods by default.
    rate : float, optional
        The planned rate, between 0 and 1.
    design_effect : float, optional
        Planned; 1 (independent rows) by default.
    cluster_size, icc : float, optional
        Rows per cluster and period, and the correlation of two rows of one cluster: they make
        ``deff = 1 + (cluster_size - 1) icc``. Beside a `design_effect`, it is checked against them:
        it cannot exceed the cluster size.
    correlation : float, optional
        Between the errors of the two periods, where the same clusters are in both. By default 0
        for a plan and for one period; from several periods of a cube, estimated between
        neighbors.
    alpha : float
        The level of the two-sided test.
    power : float
        The probability that the change is seen.

    Returns
    -------
    DetectableChange
        ``.change``, and ``.n_for(change)`` for the rows a smaller change needs.

    Raises
    ------
    OptionError, ColumnTypeError
        An input out of its range, a cube together with planned figures, or neither.
    PeriodError
        The cube has no such period.
    IdentificationError
        The periods have no variance, or fewer than two clusters.

    References
    ----------
    Cohen, J. (1988). Statistical Power Analysis for the Behavioral Sciences, 2nd ed. Erlbaum.
    Kish, L. (1965). Survey Sampling. Wiley.

    Notes
    -----
    The normal approximation, with the variance at `rate` in both periods. With few clusters (under
    30, say) t quantiles apply and the detectable change is larger: by 10 % with 12.

    Examples
    --------
    >>> plan = minimum_detectable_change(n=7500, rate=0.93, design_effect=1.7)
    >>> print(plan)
    Detectable change 1.52 pp with 80 % power at the 5 % level: n = 7,500 in each period, \
around 93.00 %, standard error 0.54 pp, design effect 1.70.
    >>> plan.n_for(0.01)
    17373
    """
    alpha = _number("alpha", alpha, "between 0 and 1, as in 0.05", 0, 1)
    power = _number("power", power, "between 0 and 1, as in 0.8", 0, 1)
    if power <= alpha / 2:
        raise OptionError(f"power: {power!r} is no more than chance at alpha={alpha!r}; as in 0.8.")
    planned = {
        "rate": rate,
        "design_effect": design_effect,
        "cluster_size": cluster_size,
        "icc": icc,
    }
    given = [name for name, value in planned.items() if value is not None]
    if cube is None:
        if metric is not None or period is not None:
            name = "period" if metric is None else "metric"
            raise OptionError(f"{name}: needs a cube. A plan needs n and rate alone.")
        deff = _design_effect(design_effect, cluster_size, icc)
        seen = _planned(n, rate, deff)
    elif not isinstance(cube, Cube):
        raise ColumnTypeError(
            f"cube: an object of type {type(cube).__name__} is not a Cube. Scan a table with "
            "at.Cube.from_data(...), or plan with n=2000, rate=0.92."
        )
    elif given:
        raise OptionError(
            f"{given[0]}: comes from the cube. Give a cube, or n and rate (with design_effect, or "
            "cluster_size and icc), not both."
        )
    else:
        seen = _observed(cube, cube.metric_named(metric), period)
    pair = (seen.n, seen.n) if n is None else _pair(n)
    rho = seen.correlation
    if correlation is not None:
        rho = _number("correlation", correlation, "between -1 and 1", -1, 1)
    std_error = change_std_error(seen.variance, pair, rho)
    return DetectableChange(
        change=detectable_factor(alpha, power) * std_error,
        std_error=std_error,
        n=pair,
        rate=seen.rate,
        variance=seen.variance,
        design_effect=seen.design_effect,
        correlation=rho,
        alpha=alpha,
        power=power,
        unit=seen.unit,
    )


@dataclass(frozen=True)
class _Sample:
    """What is planned or observed of one period's sample."""

    n: float
    rate: float
    variance: float
    design_effect: float
    correlation: float
    unit: str


def _planned(n: object, rate: float | None, design_effect: float) -> _Sample:
    """A rate of independent rows, its variance times the design effect."""
    if n is None or rate is None:
        raise OptionError(
            f"{'n' if n is None else 'rate'}: missing. Give a cube, or n and rate, as in "
            "n=2000, rate=0.92."
        )
    R = _number("rate", rate, "between 0 and 1, as in 0.92", 0, 1)
    return _Sample(_pair(n)[0], R, design_effect * R * (1 - R), design_effect, 0.0, "%")


def _observed(cube: Cube, metric: Metric, period: object) -> _Sample:
    """Estimate rate, variance per row, design effect and correlation from periods of a cube."""
    ratio_only(metric, "at.minimum_detectable_change")
    chosen = list(range(len(cube.periods)))
    if period is not None:
        chosen = sorted({cube.period_index(p) for p in several(period)})
    if not chosen:
        raise OptionError("period: an empty list of periods.")
    D, N, n = (
        cube.metric_sums(metric, role).sum(axis=1)[chosen]
        for role in ("denominator", "numerator", "count")
    )
    if empty := [cube.periods[t] for t, d in zip(chosen, D, strict=True) if not d > 0]:
        raise OptionError(f"period: {empty[0]!r} has no {metric.denominator or 'rows'!r}.")
    if (few := n < 2).any():
        raise IdentificationError(
            f"period: {cube.periods[chosen[int(few.argmax())]]!r} has one row, and so no variance."
        )
    R = N / D
    rows = _rows_variance(cube, metric, chosen, D, N, n)
    clustered = _clustered_covariance(cube, metric, chosen)
    variances = rows if clustered is None else clustered.diagonal()
    # Rows that are all alike leave the rounding of their squares.
    rounding = _ROUNDING * R**2 / n
    if (still := ~(variances > rounding)).any():
        t = int(still.argmax())
        reason = "fewer than two clusters" if np.isnan(variances[t]) else "no variance"
        raise IdentificationError(
            f"period: {cube.periods[chosen[t]]!r} has {reason} in {metric.label!r}, so nothing "
            "can be said about a next sample. Choose other periods, or plan with n= and rate=."
        )
    correlation = 0.0
    if clustered is not None and len(chosen) > 1:
        # Over mean variances, so that two periods give the standard error of their change.
        paired = 2 * np.diagonal(clustered, 1).sum() / (variances[1:] + variances[:-1]).sum()
        correlation = float(np.clip(paired, -0.99, 0.99))
    # Weights are part of a rate's design: the binomial variance knows no weights.
    simple = R * (1 - R) / (n - 1) if metric.of_trials else rows
    return _Sample(
        n=float(np.rint(n.mean())),
        rate=float(N.sum() / D.sum()),
        variance=float(np.average(n * variances, weights=n)),
        design_effect=float((n**2 * variances).sum() / (n**2 * simple).sum()),
        correlation=correlation,
        unit=metric.display_unit,
    )


def _rows_variance(
    cube: Cube, metric: Metric, chosen: list[int], D: np.ndarray, N: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """The variance of each period's ratio if rows are independent; NaN without sums of squares."""
    moments = metric.moments(cube.weighted)
    keys = [moments[role].key for role in ("den_den", "num_den", "num_num")]
    if not all(key in cube.sums for key in keys):
        return np.full(len(chosen), np.nan)
    DD, DN, NN = (cube.sums[key].sum(axis=1)[chosen] for key in keys)
    return row_variance(D, N, DD, DN, NN, n)


def _clustered_covariance(cube: Cube, metric: Metric, chosen: list[int]) -> np.ndarray | None:
    """The covariance of the periods' ratios over clusters; None where rows are independent."""
    if cube.clusters is None:
        return None
    place = np.full(len(cube.periods), -1)
    place[chosen] = np.arange(len(chosen))
    inside = cube.clusters.take(place[cube.clusters.period] >= 0)
    moments = metric.moments(cube.weighted)
    return ratio_covariance(
        inside.codes,
        place[inside.period],
        inside.sums[moments["denominator"].key],
        inside.sums[moments["numerator"].key],
        len(chosen),
    )


def _design_effect(given: float | None, cluster_size: float | None, icc: float | None) -> float:
    """The planned design effect, given or from cluster size and correlation within clusters."""
    if given is not None:
        allowed = f"a number of at least {_LEAST_DESIGN_EFFECT} (1: independent rows)"
        given = _number("design_effect", given, allowed, _LEAST_DESIGN_EFFECT, closed=True)
    if cluster_size is not None:
        allowed = "at least 1 row per cluster"
        cluster_size = _number("cluster_size", cluster_size, allowed, 1, closed=True)
    if icc is not None:
        icc = _number("icc", icc, "between 0 and 1", 0, 1, closed=True)
    if cluster_size is not None and icc is not None:
        computed = cluster_design_effect(cluster_size, icc)
        if given is not None and not math.isclose(given, computed, rel_tol=0.01):
            raise OptionError(
                f"design_effect: {given!r} contradicts cluster_size={cluster_size!r} and "
                f"icc={icc!r}, which make {computed:.4g}. Give one or the other."
            )
        return computed
    if icc is not None:
        raise OptionError("cluster_size: missing. icc makes a design effect with it alone.")
    if given is None:
        if cluster_size is None:
            return 1.0
        raise OptionError("icc: missing. cluster_size makes a design effect with it alone.")
    if cluster_size is not None and given > cluster_size:
        raise OptionError(
            f"design_effect: {given!r} is more than cluster_size={cluster_size!r}, as much as rows "
            "that repeat each other within a cluster have."
        )
    return given


def _pair(n: object) -> tuple[float, float]:
    """Rows in the baseline and the current period."""
    allowed = "a number of rows of at least 1, or two of them (baseline, current)"
    sizes = [_number("n", x, allowed, 1, closed=True) for x in several(n)]
    if len(sizes) not in (1, 2):
        raise OptionError(f"n: {n!r} is not {allowed}.")
    return sizes[0], sizes[-1]


def _number(
    parameter: str,
    given: object,
    allowed: str,
    low: float,
    high: float = math.inf,
    closed: bool = False,
) -> float:
    """Return a number that lies between two bounds, or say what is allowed."""
    number = float(given) if isinstance(given, Real) and not isinstance(given, bool) else math.nan
    if math.isfinite(number) and (low < number < high or (closed and number in (low, high))):
        return number
    raise OptionError(f"{parameter}: {given!r} is not {allowed}.")

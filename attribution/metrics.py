"""What a KPI is: which sums it needs, what they mean, and which direction is good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Real
from typing import Any, ClassVar

from attribution.errors import ColumnTypeError, OptionError
from attribution.moments import (
    Contract,
    Metric,
    Moment,
    check_metric,
    factors,
    ratio_moments,
    sum_moments,
)

__all__ = [
    "Mean",
    "Metric",
    "Moment",
    "Quantile",
    "Rate",
    "Ratio",
    "above",
    "factors_of",
    "is_ratio",
    "quantiles_of",
    "ratio_only",
    "renamed",
]


@dataclass(frozen=True)
class Rate:
    """Successes out of trials: ``R = sum(successes) / sum(trials)``.

    Parameters
    ----------
    successes : str
        A column or expression: a 0/1 flag per row, or the successes a pre-counted row holds.
    trials : str, optional
        A column or expression with the trials of a row. None: every row is one trial.
    name : str, optional
        What the KPI is called in headlines; by default the text of the ratio.
    better : {"higher", "lower"}
        Which direction is good. It colors and words results, it never flips a sign.
    unit : str, optional
        The unit shown; None shows the rate in % and its changes in percentage points (pp).

    Notes
    -----
    A trial succeeds or fails on its own, so 100 rows of one trial and one row of 100 trials are
    the same data and give the same standard errors (binomial, unless a cluster column says that
    trials depend on each other). Successes above trials are refused.

    Examples
    --------
    >>> Rate("correct", "reviewed", name="Accuracy").label
    'Accuracy'
    """

    # Rows are bundles of trials: successes lie between 0 and the trials, and trials are counted.
    of_trials: ClassVar[bool] = True

    successes: str
    trials: str | None = None
    _: KW_ONLY
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        check_metric(self, successes=self.successes, trials=self.trials)

    @property
    def numerator(self) -> str:
        """The expression summed into the numerator."""
        return self.successes

    @property
    def denominator(self) -> str | None:
        """The expression summed into the denominator; None counts rows."""
        return self.trials

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        counted = factors(self.trials)
        return Contract((*counted, self.successes), ((self.successes, self.trials),))

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or _ratio_text(self.successes, self.trials)

    @property
    def display_unit(self) -> str:
        """The unit shown: "%" for a share, else what the user named."""
        return self.unit or "%"

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums a bridge of this metric needs, each with its role (see `Ratio.moments`).

        A trial is its own square, so the second moments of trials are first moments of counts.

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
        """
        successes, trials = (self.successes,), factors(self.trials)
        return {
            "numerator": Moment(successes, int(weighted)),
            "denominator": Moment(trials, int(weighted)),
            "count": Moment(trials),
            "num_num": Moment(successes, 2 * weighted),
            "num_den": Moment(successes, 2 * weighted),
            "den_den": Moment(trials, 2 * weighted),
        }


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sums of anything: ``R = sum(numerator) / sum(denominator)``.

    Parameters
    ----------
    numerator, denominator : str
        Columns or expressions. The denominator may not be negative; the numerator may.
    volume : str, optional
        What the mix is of, if not of the denominator: cost per productive hour with the mix of
        decisions. A segment may then have a volume and no denominator.
    name : str, optional
        What the KPI is called in headlines.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown beside numbers ("s", "EUR"); "%" shows percentage points.

    Notes
    -----
    With a volume v, n_tc = N_tc / v_tc, d_tc = D_tc / v_tc and z_tc = n_tc - R d_tc at the midpoint
    R: ``R_1 - R_0 = (sum_c Δp_c z_c + sum_c p_c Δz_c) / d``, exact and the same in reverse. Entries
    and exits count by their share of the denominator.

    Examples
    --------
    >>> Ratio("handle_seconds", "decisions", name="AHT", better="lower", unit="s").label
    'AHT'
    >>> Ratio("cost", "hours", volume="decisions").label
    'cost / hours'
    """

    # Rows are the units, whatever they hold.
    of_trials: ClassVar[bool] = False

    numerator: str
    denominator: str
    _: KW_ONLY
    volume: str | None = None
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.denominator is None:
            raise ColumnTypeError(
                "Ratio: it needs a denominator. A mean over rows is at.Mean(value)."
            )
        parts = {"numerator": self.numerator, "denominator": self.denominator}
        check_metric(self, **parts, volume=self.volume)

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        return Contract((self.denominator, *factors(self.volume)))

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or _ratio_text(self.numerator, self.denominator)

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        return self.unit or ""

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums a bridge of this metric needs, each with its role.

        numerator, denominator: the KPI. count: unweighted observations. num_num, num_den,
        den_den: the Gram of a row's numerator and denominator, for rows that are independent.

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
        """
        if self.volume is not None:
            return sum_moments([self.volume, self.numerator, self.denominator], weighted)
        return ratio_moments((self.numerator,), (self.denominator,), weighted)


@dataclass(frozen=True)
class Mean:
    """The mean of a value over rows: ``R = sum(value) / rows``, weighted where there is a weight.

    Average handle time, mean resolution time, score per review: a row is one decision.

    Parameters
    ----------
    value : str
        A column or expression; it may be negative.
    name : str, optional
        What the KPI is called in headlines.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown beside numbers ("s", "EUR").

    Notes
    -----
    Where a row holds the sum over several decisions and their number, it is
    ``Ratio(seconds, decisions)``.

    Examples
    --------
    >>> Mean("handle_seconds", name="AHT", better="lower", unit="s").label
    'AHT'
    >>> Mean("handle_seconds").label
    'mean(handle_seconds)'
    """

    of_trials: ClassVar[bool] = False

    value: str
    _: KW_ONLY
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        check_metric(self, value=self.value)

    @property
    def numerator(self) -> str:
        """The expression summed into the numerator."""
        return self.value

    @property
    def denominator(self) -> None:
        """None: the denominator counts rows."""
        return None

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        return Contract(())

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or f"mean({self.value})"

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        return self.unit or ""

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums a bridge of this metric needs, each with its role (see `Ratio.moments`).

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
        """
        return ratio_moments((self.value,), (), weighted)


@dataclass(frozen=True)
class Quantile:
    """A quantile of a value over rows: the smallest x with ``F(x) >= q``, F weighted by the weight.

    The p90 of turnaround is ``Quantile("turnaround_minutes", 0.9)``. Segment quantiles do not
    average to it; it is explained from the segments' distributions (`decompose/distribution.py`).

    Parameters
    ----------
    value : str
        A column or expression.
    q : float
        Between 0 and 1, both excluded: 0.5 is the median.
    name : str, optional
        What the KPI is called in headlines; "p90 of x" by default.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown beside numbers ("min").

    Raises
    ------
    OptionError
        `q` is not a number between 0 and 1.

    Notes
    -----
    Exact for up to 50,000 rows, and for whole numbers that lie within 2,000 of each other (minutes
    of a day). Else it lies in the right bucket of a sketch whose buckets are at most 4 % of the
    value wide, interpolated within (0.05 % off for lognormal times); ``check()`` says which bucket.

    Examples
    --------
    >>> Quantile("turnaround", 0.9, better="lower", unit="min").label
    'p90 of turnaround'
    >>> Quantile("turnaround", 90)
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: q: 90 is not a number between 0 and 1. Did you mean 0.9?
    """

    of_trials: ClassVar[bool] = False

    value: str
    q: float
    _: KW_ONLY
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        check_metric(self, value=self.value)
        q = self.q
        number = isinstance(q, Real) and not isinstance(q, bool)
        if not number or not 0 < q < 1:
            hint = f" Did you mean {float(q) / 100:g}?" if number and 1 < q < 100 else ""
            raise OptionError(f"q: {q!r} is not a number between 0 and 1.{hint}")
        object.__setattr__(self, "q", float(q))

    @property
    def numerator(self) -> str:
        """The expression whose distribution it is."""
        return self.value

    @property
    def denominator(self) -> None:
        """None: the denominator counts rows."""
        return None

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        return Contract(())

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or f"p{100 * self.q:.6g} of {self.value}"

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        return self.unit or ""

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums of its linear form, each with its role (see `Ratio.moments`).

        The numerator sums the recentered influence function of the rows, whose mean is the
        quantile; it is derived from the sketch, not scanned.

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
        """
        influence = (f"#influence on quantile {self.q!r} of {self.value}",)
        return ratio_moments(influence, (), weighted)


def is_ratio(metric: Metric) -> bool:
    """Whether a KPI is one ratio of sums whose mix is that of its denominator.

    Parameters
    ----------
    metric : Metric

    Returns
    -------
    bool

    Examples
    --------
    >>> is_ratio(Mean("seconds")), is_ratio(Ratio("cost", "hours", volume="decisions"))
    (True, False)
    """
    if isinstance(metric, Ratio):
        return metric.volume is None
    # A quantile is explained by the mean of its influence function.
    return isinstance(metric, Rate | Mean | Quantile)


def ratio_only(metric: Metric, asker: str) -> Metric:
    """Return a KPI that is one ratio, or refuse it.

    Parameters
    ----------
    metric : Metric
    asker : str
        What needs one, named in the error.

    Returns
    -------
    Metric

    Raises
    ------
    OptionError
    """
    if is_ratio(metric):
        return metric
    raise OptionError(
        f"metric: {asker} needs one ratio of sums (at.Rate, at.Mean, or at.Ratio without a volume "
        f"of its own); {metric.label!r} is a {type(metric).__name__}."
        + (" Ask for one of its factors." if hasattr(metric, "kpis") else "")
    )


def quantiles_of(metrics: Iterable[Metric]) -> dict[str, tuple[float, ...]]:
    """Return the values whose distribution is sketched, each with the quantiles asked of it."""
    asked: dict[str, tuple[float, ...]] = {}
    for metric in metrics:
        if isinstance(metric, Quantile):
            asked[metric.value] = (*asked.get(metric.value, ()), metric.q)
    return asked


def above(value: str, threshold: float, power: int) -> str:
    """Return the name of a sum over the rows whose value lies above a threshold."""
    return Moment((f"#above {float(threshold)!r} of {value}",), power).key


def factors_of(metric: Metric) -> list[str]:
    """Return the expressions that a scan reads for a metric."""
    moments = metric.moments(False).values()
    factors = [f for moment in moments if not moment.derived for f in moment.factors]
    return list(dict.fromkeys([*factors, *quantiles_of([metric])]))


def _ratio_text(numerator: str, denominator: str | None) -> str:
    return f"{numerator} / {denominator}" if denominator else numerator


def renamed(metric: Metric, **given: str | None) -> Metric:
    """Return a metric with another `name`, `better` or `unit`.

    Parameters
    ----------
    metric : Metric
    **given
        What is not None replaces what the metric has.

    Returns
    -------
    Metric

    Examples
    --------
    >>> renamed(Mean("seconds", unit="s"), name="AHT", unit=None)
    Mean(value='seconds', name='AHT', better='higher', unit='s')
    """
    own: Any = metric
    return replace(own, **{k: v for k, v in given.items() if v is not None})

"""What a KPI is: which sums it needs, what they mean, and which direction is good."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from attribution.errors import ColumnTypeError, OptionError, check_option

__all__ = ["Metric", "Moment", "Rate", "Ratio", "as_metric"]


@dataclass(frozen=True)
class Moment:
    """A named sum over rows: ``sum(weight ** power * product of factors)``.

    No factors and power 0 count the rows. Metrics that share a sum share its key, so one scan
    computes it once.
    """

    factors: tuple[str, ...] = ()
    power: int = 0

    @property
    def key(self) -> str:
        """The name the sum has in a cube; "#" is in no expression, so it is never a column's."""
        weight = {0: (), 1: ("#weight",), 2: ("#weight^2",)}[self.power]
        return " * ".join([*weight, *sorted(self.factors)]) or "#rows"


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
        _check_metric(self, self.successes, self.trials)

    @property
    def numerator(self) -> str:
        """The expression summed into the numerator."""
        return self.successes

    @property
    def denominator(self) -> str | None:
        """The expression summed into the denominator; None counts rows."""
        return self.trials

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
        successes, trials = (self.successes,), _factors(self.trials)
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
    name : str, optional
        What the KPI is called in headlines.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown beside numbers ("s", "EUR"); "%" shows percentage points.

    Examples
    --------
    >>> Ratio("handle_seconds", "decisions", name="AHT", better="lower", unit="s").label
    'AHT'
    """

    # Rows are the units, whatever they hold.
    of_trials: ClassVar[bool] = False

    numerator: str
    denominator: str
    _: KW_ONLY
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        _check_metric(self, self.numerator, self.denominator)

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
        num, den = (self.numerator,), (self.denominator,)
        return {
            "numerator": Moment(num, int(weighted)),
            "denominator": Moment(den, int(weighted)),
            "count": Moment(),
            "num_num": Moment(num + num, 2 * weighted),
            "num_den": Moment(num + den, 2 * weighted),
            "den_den": Moment(den + den, 2 * weighted),
        }


Metric = Rate | Ratio


def as_metric(metric: Metric | str) -> Metric:
    """Return a metric from a metric or its text form.

    Parameters
    ----------
    metric : Metric or str
        A metric object, ``"correct / reviewed"`` (a `Rate`) or ``"ratio(a / b)"`` (a `Ratio`).

    Returns
    -------
    Metric

    Raises
    ------
    OptionError
        The text is not a metric.

    Examples
    --------
    >>> as_metric("correct / reviewed")
    Rate(successes='correct', trials='reviewed', name=None, better='higher', unit=None)
    >>> as_metric("ratio(seconds / decisions)").denominator
    'decisions'
    """
    if isinstance(metric, Rate | Ratio):
        return metric
    if not isinstance(metric, str):
        raise ColumnTypeError(
            f"metric: {metric!r} is not a metric. "
            "Allowed: at.Rate(...), at.Ratio(...) or text such as 'correct / reviewed'."
        )
    call = re.fullmatch(r"\s*ratio\s*\((.*)\)\s*", metric, flags=re.DOTALL)
    parts = _split_ratio(call.group(1) if call else metric)
    if len(parts) != 2 or not all(parts):
        raise OptionError(
            f"metric: {metric!r} is not a ratio of two expressions. Write 'correct / reviewed' for "
            "successes out of trials, 'ratio(seconds / decisions)' for any other ratio of sums "
            "(parentheses around a part that divides), or at.Rate('correct') where each row is "
            "one trial."
        )
    return Ratio(*parts) if call else Rate(*parts)


def _split_ratio(text: str) -> list[str]:
    """Split at the slashes outside parentheses, quotes and backticks."""
    parts, depth, quote, start = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "/" and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]


def _factors(expression: str | None) -> tuple[str, ...]:
    return () if expression is None else (expression,)


def _ratio_text(numerator: str, denominator: str | None) -> str:
    return f"{numerator} / {denominator}" if denominator else numerator


def _check_metric(metric: Metric, numerator: object, denominator: object) -> None:
    for part in (numerator, denominator):
        if part is not None and not (isinstance(part, str) and part.strip()):
            raise ColumnTypeError(
                f"{type(metric).__name__}: {part!r} is not a column name or an expression (text)."
            )
    check_option("better", metric.better, ["higher", "lower"])

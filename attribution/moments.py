"""What any KPI can say of itself, and the sums it asks of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from attribution.errors import ColumnTypeError, check_option

__all__ = [
    "Contract",
    "Metric",
    "Moment",
    "check_metric",
    "factors",
    "ratio_moments",
    "sum_moments",
]

# Sums with names of their own begin with "#". A column may too ("# Audited"): only one that is
# called exactly as one of ours needs backticks, which are part of an expression's text.
_OWN = ("#rows", "#weight", "#weight^2", "#volume")
_DERIVED = ("#above ", "#influence on ")


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
        """The name the sum has in a cube."""
        weight = {0: (), 1: ("#weight",), 2: ("#weight^2",)}[self.power]
        return " * ".join([*weight, *sorted(self.factors)]) or "#rows"

    @property
    def derived(self) -> bool:
        """Whether it is worked out after the scan, from the sketch of a distribution."""
        return any(f.startswith(_DERIVED) for f in self.factors)


@dataclass(frozen=True)
class Contract:
    """What the rows of a metric must satisfy, beside being numbers.

    Attributes
    ----------
    not_negative : tuple of str
        Expressions that may not be negative.
    trials : tuple of (str, str or None)
        Successes and the trials they may not exceed; None: one per row.
    """

    not_negative: tuple[str, ...] = ()
    trials: tuple[tuple[str, str | None], ...] = ()

    def covers(self, other: Contract) -> bool:
        """Whether rows that satisfy this one satisfy the other.

        Parameters
        ----------
        other : Contract

        Returns
        -------
        bool
        """
        signs = set(other.not_negative) <= set(self.not_negative)
        return signs and set(other.trials) <= set(self.trials)


@runtime_checkable
class Metric(Protocol):
    """What every KPI can say of itself."""

    # Whether a row bundles trials, each its own square.
    of_trials: ClassVar[bool]

    @property
    def name(self) -> str | None:
        """What the user calls it."""

    @property
    def better(self) -> str:
        """ "higher" or "lower"."""
        ...

    @property
    def unit(self) -> str | None:
        """The unit the user named."""

    @property
    def label(self) -> str:
        """The name shown."""
        ...

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        ...

    @property
    def numerator(self) -> str:
        """What is summed, as text."""
        ...

    @property
    def denominator(self) -> str | None:
        """What it is divided by, as text; None: rows, or nothing."""

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy."""
        ...

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums it needs, each with its role."""
        ...


def factors(expression: str | None) -> tuple[str, ...]:
    """Return the factors of a sum of one expression; None counts rows."""
    return () if expression is None else (expression,)


def ratio_moments(num: tuple[str, ...], den: tuple[str, ...], weighted: bool) -> dict[str, Moment]:
    """Return the sums of one ratio over independent rows, each with its role."""
    return {
        "numerator": Moment(num, int(weighted)),
        "denominator": Moment(den, int(weighted)),
        "count": Moment(),
        "num_num": Moment(num + num, 2 * weighted),
        "num_den": Moment(num + den, 2 * weighted),
        "den_den": Moment(den + den, 2 * weighted),
    }


def sum_moments(sums: Sequence[str | None], weighted: bool) -> dict[str, Moment]:
    """Return the sums of a function of several, and the Gram of a row's parts in them.

    Parameters
    ----------
    sums : sequence of str or None
        The volume that shares are of first; None counts rows.
    weighted : bool
        Whether rows carry weights.

    Returns
    -------
    dict of str to Moment
        "denominator": the volume, "numerator": the sum after it; "sum0", "sum1" ... all of them;
        "count": unweighted observations; "sum0_sum1" ...: the Gram.

    Examples
    --------
    >>> [moment.key for moment in sum_moments([None, "seconds"], False).values()]
    ['#rows', 'seconds', '#rows', '#rows', 'seconds', '#rows', 'seconds', 'seconds * seconds']
    """
    parts = [factors(x) for x in sums]
    found = {f"sum{i}": Moment(part, int(weighted)) for i, part in enumerate(parts)}
    found = {"denominator": found["sum0"], "numerator": found["sum1"], "count": Moment(), **found}
    for i, one in enumerate(parts):
        for j in range(i, len(parts)):
            found[f"sum{i}_sum{j}"] = Moment(one + parts[j], 2 * weighted)
    return found


def check_metric(metric: object, **parts: object) -> None:
    """Refuse what no KPI can be made of.

    Parameters
    ----------
    metric : object
        With `name`, `better` and `unit`.
    **parts
        The expressions it is made of, by parameter; None where one is left out.

    Raises
    ------
    ColumnTypeError
        An expression, the name or the unit is no text, or empty.
    OptionError
        `better` is neither "higher" nor "lower".
    """
    kind = type(metric).__name__
    for parameter, part in parts.items():
        if part is not None and not (isinstance(part, str) and part.strip()):
            raise ColumnTypeError(
                f"{kind}: {part!r} is not a column name or an expression (text), as {parameter} "
                "must be."
            )
        if part is not None and (part.strip() in _OWN or part.strip().startswith(_DERIVED)):
            raise ColumnTypeError(
                f"{kind}: {parameter} {part!r} is the name of a sum of ours; a column of that name "
                f"is written in backticks, '`{part.strip()}`'."
            )
    for parameter in ("name", "unit"):
        given = getattr(metric, parameter)
        if given is not None and not (isinstance(given, str) and given.strip()):
            raise ColumnTypeError(f"{kind}: {parameter} is {given!r}; it must be text, not empty.")
    check_option("better", getattr(metric, "better"), ["higher", "lower"])  # noqa: B009

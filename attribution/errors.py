"""The error and warning classes, and their words: what came, what is allowed, the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "AttributionError",
    "AttributionWarning",
    "ColumnNotFoundError",
    "ColumnTypeError",
    "DataContractError",
    "DataQualityWarning",
    "ExpressionError",
    "IdentificationError",
    "LockedError",
    "MissingFileError",
    "OptionError",
    "PeriodError",
    "SourceError",
    "StatementTimeoutError",
    "check_level",
    "check_option",
    "listing",
    "nearest",
]


class AttributionError(Exception):
    """Base class of every error the package raises on purpose."""


class OptionError(AttributionError, ValueError):
    """A parameter got a value that is not allowed."""


class ExpressionError(AttributionError, ValueError):
    """A metric or `where` text that the expression grammar does not accept."""


class ColumnNotFoundError(AttributionError, KeyError):
    """A column was named that the table does not have."""

    # KeyError prints the repr of its argument, which turns a sentence into a quoted string.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ColumnTypeError(AttributionError, TypeError):
    """A column or an argument has a type that the parameter cannot use."""


class SourceError(AttributionError, ValueError):
    """The data cannot be read: no such file, a broken file, SQL that is not one query."""


class MissingFileError(SourceError):
    """No file has the name or matches the glob."""


class StatementTimeoutError(SourceError, TimeoutError):
    """A statement ran longer than `timeout` and was stopped on the engine."""


class PeriodError(AttributionError, ValueError):
    """The baseline or current period is absent, empty or overlapping."""


class IdentificationError(AttributionError, ValueError):
    """The question has no answer in these data: a total rename, two identical dimensions."""


class LockedError(AttributionError, ValueError):
    """Another process is writing to the same folder."""


class DataContractError(AttributionError, ValueError):
    """The data break the contract; the message lists every finding.

    Attributes
    ----------
    findings : list of dict
        One per broken rule: `column`, `problem`, `count`, `rows` (the first row numbers,
        counted from 0, as in ``frame.iloc``) or `segments`.
    """

    def __init__(self, message: str, findings: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.findings: list[dict[str, Any]] = list(findings)

    # Exceptions pickle through their args; the findings would be lost between processes.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.findings)


class AttributionWarning(UserWarning):
    """Base class of every warning the package gives."""


class DataQualityWarning(AttributionWarning):
    """The data can be used, but a reader should know something about them."""


def nearest(name: object, allowed: Iterable[object]) -> str:
    """Return " Did you mean 'x'?" for the closest allowed name, or "" if nothing is close.

    Parameters
    ----------
    name : object
        What was given.
    allowed : iterable
        What could have been meant.

    Returns
    -------
    str

    Examples
    --------
    >>> nearest("quue", ["queue", "market"])
    " Did you mean 'queue'?"
    """
    by_folded = {str(a).casefold(): a for a in allowed}
    close = difflib.get_close_matches(str(name).casefold(), list(by_folded), n=1, cutoff=0.6)
    return f" Did you mean {by_folded[close[0]]!r}?" if close else ""


def listing(values: Iterable[object], most: int = 12) -> str:
    """Write values as a readable list, cut after `most`.

    Parameters
    ----------
    values : iterable
    most : int

    Returns
    -------
    str

    Examples
    --------
    >>> listing(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = [repr(v) for v in values]
    if len(shown) <= most:
        return ", ".join(shown)
    return ", ".join(shown[:most]) + f" and {len(shown) - most} more"


def check_level(parameter: str, value: object) -> float:
    """Return a confidence level, or raise `OptionError` unless it lies between 0 and 1.

    Parameters
    ----------
    parameter : str
        Named in the error.
    value : object

    Returns
    -------
    float

    Examples
    --------
    >>> check_level("conf_level", 0.95)
    0.95
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    raise OptionError(f"{parameter}: {value!r} is not between 0 and 1, as in 0.95.")


def check_option(parameter: str, value: object, allowed: Sequence[object]) -> None:
    """Raise `OptionError` unless `value` is one of `allowed`.

    Parameters
    ----------
    parameter : str
        Named in the error.
    value : object
    allowed : sequence

    Examples
    --------
    >>> check_option("method", "midpiont", ["midpoint", "threefold"])
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: method: 'midpiont' is not one of 'midpoint', 'threefold'. \
Did you mean 'midpoint'?
    """
    if value not in allowed:
        raise OptionError(
            f"{parameter}: {value!r} is not one of {listing(allowed, most=40)}."
            f"{nearest(value, allowed)}"
        )

"""The error and warning classes, and their words: what came, what is allowed, the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
    "given_instead",
    "listing",
    "naming",
    "nearest",
]


# Of one name in a message, in characters.
_LONGEST = 80


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
    return f" Did you mean {_brief(by_folded[close[0]])}?" if close else ""


def given_instead(needed: object, given: Iterable[object]) -> str:
    """Return which name was given in the place of one that is needed, or "" if none is close.

    Parameters
    ----------
    needed : object
        What has to be given.
    given : iterable
        Names that were given and mean nothing.

    Returns
    -------
    str

    Examples
    --------
    >>> given_instead("queue", ["quue", "market"])
    " 'quue' was given: did you mean 'queue'?"
    """
    by_folded = {str(g).casefold(): g for g in given}
    close = difflib.get_close_matches(str(needed).casefold(), list(by_folded), n=1, cutoff=0.6)
    if not close:
        return ""
    return f" {_brief(by_folded[close[0]])} was given: did you mean {_brief(needed)}?"


@contextmanager
def naming(parameter: str) -> Iterator[None]:
    """Let errors about `data` name the parameter that the table came by.

    Parameters
    ----------
    parameter : str

    Examples
    --------
    >>> with naming("history"):
    ...     raise SourceError("data: the table has no rows.")
    Traceback (most recent call last):
    ...
    attribution.errors.SourceError: history: the table has no rows.
    """
    try:
        yield
    except AttributionError as error:
        if str(error).startswith("data: "):
            error.args = (str(error).replace("data:", f"{parameter}:", 1), *error.args[1:])
        raise


def listing(values: Iterable[object], most: int = 12) -> str:
    """Write values as a readable list, cut after `most`, the middle of long ones left out.

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
    >>> listing([])
    'none'
    """
    held = list(values)
    shown = ", ".join(_brief(v) for v in held[:most]) or "none"
    return shown if len(held) <= most else f"{shown} and {len(held) - most} more"


def _brief(value: object) -> str:
    """The repr, of at most `_LONGEST` characters: its end may be what tells it apart."""
    shown = repr(value)
    if len(shown) <= _LONGEST:
        return shown
    tail = _LONGEST // 3
    return f"{shown[: _LONGEST - tail - 1]}…{shown[-tail:]}"


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

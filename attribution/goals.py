"""Targets as users give them - a number, a mapping, a table - read, checked and judged against."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from attribution.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    DataContractError,
    OptionError,
    SourceError,
    listing,
)
from attribution.functions import Total
from attribution.kpis import as_metric
from attribution.labels import label_of
from attribution.metrics import Mean, Metric, Quantile, Rate, Ratio
from attribution.source import read_records

__all__ = [
    "STATUSES",
    "check_target",
    "completion",
    "day",
    "in_several",
    "numbers_by_segment",
    "read_goals",
    "require_ratio",
    "status",
    "target_columns",
]

STATUSES = (
    "met",
    "missed",
    "not distinguishable",
    "too few",
    "no target",
    "no data",
    "no reference",
)
Labels = tuple[str, ...]


def check_target(metric: Metric, value: object, of: str, parameter: str = "target") -> float:
    """Return a target in KPI units, or say what is wrong with it.

    Parameters
    ----------
    metric : Metric
    value : object
    of : str
        Whose target it is, for the message.
    parameter : str

    Returns
    -------
    float

    Raises
    ------
    OptionError
        Not a finite number; for a rate, not between 0 and 1.

    Examples
    --------
    >>> from attribution.metrics import Rate
    >>> check_target(Rate("correct"), 95, "'Manila'")
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: target: 95 for 'Manila' is above 100 %. A target is in KPI \
units: 0.95 is 95 %.
    """
    number = _number(value)
    if not math.isfinite(number):
        raise OptionError(f"{parameter}: {value!r} for {of} is not a number in KPI units.")
    if metric.of_trials and number > 1:
        hint = f"{number / 100:g} is {number:g} %" if number <= 100 else "0.95 is 95 %"
        raise OptionError(
            f"{parameter}: {value} for {of} is above 100 %. A target is in KPI units: {hint}."
        )
    if metric.of_trials and number < 0:
        raise OptionError(f"{parameter}: {value} for {of} is negative, which no rate can be.")
    return number


def target_columns(table: object) -> object:
    """Return the table of a plan made by `attribution.targets`, or what was given."""
    return getattr(table, "frame", table)


def read_goals(
    target: object, columns: Sequence[str], metric: Metric, parameter: str = "target"
) -> float | dict[Labels, float]:
    """Return one target for all, or one per entity.

    Parameters
    ----------
    target : number, mapping or table
        ``0.95``, ``{"Manila": 0.94}`` (a tuple of levels where several columns tell the entities),
        or a table with those columns and "target".
    columns : sequence of str
        The columns that tell the entities.
    metric : Metric
    parameter : str

    Returns
    -------
    float or dict

    Raises
    ------
    DataContractError
        An entity has two targets.
    OptionError, ColumnNotFoundError, ColumnTypeError
        A target is out of range; the table lacks a column.
    """
    if isinstance(target, Real | Decimal) and not isinstance(target, bool):
        return check_target(metric, target, "all", parameter)
    if isinstance(target, Mapping):
        rows = [(_labels(key, columns, parameter), value) for key, value in target.items()]
    else:
        table = target_columns(target)
        read = read_records(table, [*columns, "target"], parameter=parameter, labels=columns)
        keys = zip(*(map(label_of, read[c]) for c in columns), strict=True)
        rows = list(zip(keys, read["target"], strict=True))
    counted = Counter(key for key, _ in rows)
    if twice := [" × ".join(key) for key, times in counted.items() if times > 1]:
        raise DataContractError(
            f"{parameter}: {len(twice):,} {'entities have' if len(twice) > 1 else 'entity has'} "
            f"more than one target: {listing(twice, most=8)}. Keep one row each (of a plan with "
            "versions, `plan.at(date)`).",
            [{"segment": name, "problem": "more than one target"} for name in twice],
        )
    return {
        key: check_target(metric, value, repr(" × ".join(key)), parameter) for key, value in rows
    }


def require_ratio(metric: Metric | str) -> Metric:
    """Return the metric, or say that segments of unlike size have no common level of it.

    Parameters
    ----------
    metric : Metric or str
        As `attribution.explain` takes it.

    Returns
    -------
    Metric

    Raises
    ------
    OptionError
        It is neither a rate nor a mean nor a ratio whose mix is that of its denominator.

    Examples
    --------
    >>> require_ratio(Quantile("minutes", 0.9, better="lower"))
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: metric: 'p90 of minutes' is a Quantile, and quantiles of \
segments do not add up to that of the whole. Judge the share beyond a limit, as in \
at.Rate('minutes > 60', better='lower').
    """
    known = as_metric(metric)
    if isinstance(known, Rate | Mean) or (isinstance(known, Ratio) and known.volume is None):
        return known
    raise OptionError(f"metric: {known.label!r} is a {type(known).__name__}, {_no_level(known)}")


def _no_level(metric: Metric) -> str:
    """Why segments of unlike size have no common level of a KPI, and what to judge instead."""
    if isinstance(metric, Quantile):
        side = ">" if metric.better == "lower" else "<"
        return (
            "and quantiles of segments do not add up to that of the whole. Judge the share beyond "
            f"a limit, as in at.Rate('{metric.value} {side} 60', better='lower')."
        )
    if isinstance(metric, Ratio):
        N, D, v = metric.numerator, metric.denominator, metric.volume
        return (
            f"whose mix is that of {v!r}, while targets and cards weigh segments by {D!r}. Leave "
            f"volume= out, or judge '{N} / {v}' and '{D} / {v}' as two KPIs."
        )
    if isinstance(metric, Total):
        return (
            "which grows with the size of a segment. Judge it by something, as in "
            f"at.Ratio('{metric.numerator}', 'decisions')."
        )
    return (
        "neither rate nor ratio nor mean, so it has no level that segments of unlike size share. "
        "Judge the rates that it is made of."
    )


def numbers_by_segment(
    given: object, columns: Sequence[str], names: Sequence[str], parameter: str
) -> dict[Labels, float]:
    """Return one number per segment, from a mapping or a table.

    Parameters
    ----------
    given : mapping or table
    columns : sequence of str
        The columns that tell the segments.
    names : sequence of str
        What the column of numbers may be called in a table.
    parameter : str
        Named in the error.

    Returns
    -------
    dict

    Raises
    ------
    OptionError, ColumnNotFoundError, ColumnTypeError, DataContractError
        No mapping or table, a segment twice, a value that is no number.
    """
    if isinstance(given, Mapping):
        rows = [(_labels(key, columns, parameter), value) for key, value in given.items()]
    else:
        try:
            read = read_records(given, columns, names, parameter=parameter, labels=columns)
        except SourceError as error:
            if not isinstance(given, str):
                raise
            raise OptionError(
                f"{error} It takes a mapping of segment to number or a table here: its columns "
                f"{listing(columns)} and {' or '.join(map(repr, names))}."
            ) from error
        held = [name for name in names if name in read]
        if not held:
            raise ColumnNotFoundError(
                f"{parameter}: no column {listing(names)} beside {listing(columns)}."
            )
        keys = zip(*(map(label_of, read[c]) for c in columns), strict=True)
        rows = list(zip(keys, read[held[0]], strict=True))
    _check_once(rows, parameter)
    found = {}
    for key, value in rows:
        found[key] = _number(value)
        if not math.isfinite(found[key]):
            raise OptionError(f"{parameter}: {value!r} of {' × '.join(key)!r} is not a number.")
    return found


def _number(value: object) -> float:
    """A number as Python or a database (DECIMAL) gives it; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return math.nan
    return float(value)


def _check_once(rows: Sequence[tuple[Labels, object]], parameter: str) -> None:
    counted = Counter(key for key, _ in rows)
    if twice := [" × ".join(key) for key, times in counted.items() if times > 1]:
        raise DataContractError(
            f"{parameter}: {listing(twice, most=8)}: more than one row. Keep one each.",
            [{"segment": name, "problem": "more than one row"} for name in twice],
        )


def _labels(key: object, columns: Sequence[str], parameter: str) -> Labels:
    several = key if isinstance(key, tuple) else (key,)
    if len(several) != len(columns):
        raise ColumnTypeError(
            f"{parameter}: the key {key!r} should name {len(columns)} level"
            f"{'s' * (len(columns) > 1)}, of {listing(columns)}."
        )
    return tuple(map(label_of, several))


def status(
    low: np.ndarray, high: np.ndarray, target: np.ndarray, higher: bool, enough: np.ndarray
) -> np.ndarray:
    """Return whether each target is met, as far as an interval can tell.

    met: the whole interval is at the target or better; missed: all of it is worse.

    Parameters
    ----------
    low, high : ndarray, shape (K,)
        The interval of the KPI; NaN where there is nothing to judge.
    target : ndarray, shape (K,)
        NaN where there is none.
    higher : bool
        Whether higher is better.
    enough : ndarray of bool, shape (K,)

    Returns
    -------
    ndarray of str, shape (K,)

    Examples
    --------
    >>> status(np.array([.94, .90, .90]), np.array([.97, .93, .97]), np.full(3, .94), True,
    ...        np.array([True, True, True])).tolist()
    ['met', 'missed', 'not distinguishable']
    """
    with np.errstate(invalid="ignore"):
        good, bad = (low >= target, high < target) if higher else (high <= target, low > target)
    return np.select(
        [np.isnan(target), ~enough, good, bad],
        ["no target", "too few", "met", "missed"],
        default="not distinguishable",
    ).astype(object)


def completion(actual: np.ndarray, target: np.ndarray, higher: bool) -> np.ndarray:
    """Return A / T, or T / A where lower is better; NaN where the ratio means nothing.

    Parameters
    ----------
    actual, target : ndarray, shape (K,)
    higher : bool

    Returns
    -------
    ndarray, shape (K,)
        NaN unless both are positive.

    Examples
    --------
    >>> completion(np.array([0.9, 0.9]), np.array([0.95, 0.0]), True).round(3)
    array([0.947,   nan])
    >>> completion(np.array([31.0]), np.array([30.0]), False).round(3)
    array([0.968])
    """
    over, under = (actual, target) if higher else (target, actual)
    with np.errstate(invalid="ignore"):
        sound = (actual > 0) & (target > 0)
    return np.divide(over, under, out=np.full(np.shape(actual), np.nan), where=sound)


def in_several(labels: Sequence[Labels], depth: int) -> list[str]:
    """Return what stands under several parents where most stand under one: a slip of the data.

    Parameters
    ----------
    labels : sequence of tuple of str
        Parent levels, then those of the child.
    depth : int
        How many of them tell the parent.

    Returns
    -------
    list of str
        Empty where more than half do, since then the two are crossed on purpose.

    Examples
    --------
    >>> in_several([("A", "m1"), ("A", "m2"), ("B", "m2"), ("B", "m3")], 1)
    ['m2']
    """
    parents: dict[Labels, set[Labels]] = {}
    for x in labels:
        parents.setdefault(x[depth:], set()).add(x[:depth])
    found = [" × ".join(child) for child, above in parents.items() if len(above) > 1]
    return [] if len(found) > len(parents) / 2 else found


def day(value: object, parameter: str) -> Any:
    """Return a day from a date, or from a text "2026-09-01" or "2026-09".

    Parameters
    ----------
    value : object
    parameter : str

    Returns
    -------
    datetime.date

    Raises
    ------
    OptionError
    """
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    text = label_of(value)
    try:
        return dt.date.fromisoformat(text + "-01" if len(text) == 7 else text)
    except ValueError:
        raise OptionError(
            f"{parameter}: {value!r} is not a date, as in '2026-09-01' or '2026-09'."
        ) from None

"""What one scan is asked for, and which columns it reads."""

from __future__ import annotations

from dataclasses import dataclass

from attribution import expressions as ex
from attribution.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    OptionError,
    listing,
    nearest,
)
from attribution.metrics import Metric, factors_of
from attribution.source.dates import period_column
from attribution.source.delimited import Reading

__all__ = ["Request", "columns_read", "require"]


@dataclass(frozen=True)
class Request:
    """What one scan is asked for; see `attribution.explain` for the meaning of each."""

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...]
    period: str | None
    period_values: tuple[object, ...] | None = None
    clusters: tuple[str, ...] = ()
    weight: str | None = None
    where: str | None = None
    on_invalid: str = "raise"
    timeout: float | None = None


def columns_read(names: list[str], request: Request) -> Reading:
    """Check every name in the request and return the columns it reads."""
    when = period_column(request.period, names).column
    roles = [] if when is None else [(when, "the period column")]
    roles += [(require(names, c, "cluster"), "a cluster column") for c in request.clusters]
    for d in request.dimensions:
        require(names, d, "by")
    measured: list[str] = []
    if request.weight is not None:
        weighing = ex.columns_of(_parsed_weight(names, request.weight))
        roles += [(name, "the weight column") for name in weighing]
        measured += weighing
    for metric in request.metrics:
        for part in factors_of(metric):
            measured += ex.columns_of(ex.parse(part, names, "metric"))
    where = request.where
    filtered = [] if where is None else ex.columns_of(ex.parse(where, names, "where"))
    roles += [(c, "read by the metric") for c in measured]
    for parameter, given in (("by", request.dimensions), ("cluster", request.clusters)):
        for name in given:
            if given.count(name) > 1:
                raise OptionError(f"{parameter}: {name!r} is named twice.")
    for d in request.dimensions:
        clash = next((role for name, role in roles if name == d), None)
        if clash:
            raise OptionError(f"by: {d!r} is also {clash}; a dimension needs a column of its own.")
    read = [*request.dimensions, *(name for name, _ in roles), *filtered]
    labels = {*request.dimensions, *request.clusters} - {when, *measured}
    return Reading(tuple(dict.fromkeys(read)), frozenset(labels), frozenset(measured), when)


def _parsed_weight(names: list[str], weight: object) -> ex.Expression:
    if not isinstance(weight, str):
        raise ColumnTypeError(
            f"weight: {weight!r} is not text. Name a column, or write an expression such as "
            "'1 / inclusion_prob'."
        )
    if weight.isidentifier():
        require(names, weight, "weight")
    return ex.parse(weight, names, "weight")


def require(names: list[str], column: object, parameter: str) -> str:
    """Return a column's name, or say which one was meant."""
    if not isinstance(column, str):
        raise ColumnTypeError(
            f"{parameter}: {column!r} is not text. Columns are named by text: "
            f"{listing(names, most=30)}."
        )
    if column not in names:
        raise ColumnNotFoundError(
            f"{parameter}: no column {column!r}.{nearest(column, names)} "
            f"Columns: {listing(names, most=30)}."
        )
    return column

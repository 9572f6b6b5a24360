"""A plan as a table: its keys, planned volumes or shares, and target rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np

from attribution.errors import (
    AttributionError,
    ColumnNotFoundError,
    OptionError,
    SourceError,
    listing,
    nearest,
)
from attribution.labels import label_of
from attribution.source.dates import period_column
from attribution.source.delimited import Reading
from attribution.source.engine import reading_problem
from attribution.source.tables import open_table
from attribution.source.types import is_number, without_nan

__all__ = ["PlanTable", "read_plan"]

VOLUMES = ("planned_volume", "volume", "plan_volume")
SHARES = ("planned_share", "share", "plan_share")
TARGETS = ("target", "target_rate", "planned_rate", "plan_rate", "rate")


@dataclass(frozen=True, eq=False)
class PlanTable:
    """The rows of a plan.

    Attributes
    ----------
    dimensions : tuple of str
        Those that the plan knows.
    labels : list of tuple of str
        The levels of each row.
    periods : list of str or None
        The period of each row; None where the plan has none.
    amount, target : ndarray, shape (rows,)
        Planned volume or share, and target rate.
    is_share : bool
    amount_name, target_name : str
        The columns they came from.
    name : str
        Where the plan came from.
    others : dict of str to list
        What further columns of labels say of each row: of dimensions that were not asked for.
    """

    dimensions: tuple[str, ...]
    labels: list[tuple[str, ...]]
    periods: list[str] | None
    amount: np.ndarray
    target: np.ndarray
    is_share: bool
    amount_name: str
    target_name: str
    name: str
    others: dict[str, list[object]] = field(default_factory=dict)


def read_plan(
    plan: object,
    dimensions: Sequence[str],
    period: str | None,
    volume: str | None,
    share: str | None,
    target: str | None,
) -> PlanTable:
    """Read a plan.

    Parameters
    ----------
    plan : table
        Anything `open_table` opens.
    dimensions : sequence of str
        Those of the question; the plan has some of them, or all.
    period : str or None
        The period column of the question; the plan may have it.
    volume, share, target : str or None
        Its columns; None finds them by the usual names.

    Returns
    -------
    PlanTable

    Raises
    ------
    ColumnNotFoundError, OptionError
        A column is missing, or it is not clear which one is meant.
    SourceError
        The plan cannot be read or has no rows.
    """
    columns: dict[str, str] = {}

    def choose(names: list[str]) -> Reading:
        columns.update(_measures(names, volume, share, target))
        keys = [d for d in dimensions if d in names]
        if not keys:
            raise ColumnNotFoundError(
                f"plan: none of the dimensions {listing(dimensions)} is a column of the plan. "
                f"Columns: {listing(names)}."
            )
        when = _period_of(names, period)
        columns.update({"period": when} if when else {})
        columns_read = dict.fromkeys([*keys, *columns.values(), *names])
        return Reading(tuple(columns_read), frozenset({*keys, *([when] if when else [])}))

    try:
        table = open_table(plan, choose)
    except duckdb.Error as error:
        raise SourceError(f"plan: {reading_problem(error)}") from error
    except AttributionError as error:
        error.args = (f"plan: {str(error).removeprefix('data: ').removeprefix('plan: ')}",)
        raise
    amount = next(role for role in ("volume", "share") if role in columns)
    for name in (columns[amount], columns["target"]):
        if not is_number(table.types[name]):
            raise OptionError(f"plan: column {name!r} does not hold numbers.")
    keys = [d for d in dimensions if d in table.columns]
    selected = [without_nan(table.columns[d], table.types[d]) for d in keys]
    selected += [f"{table.columns[columns[role]]}::DOUBLE" for role in (amount, "target")]
    selected += [table.columns[columns["period"]]] if "period" in columns else []
    others = [
        name
        for name, kind in table.types.items()
        if name not in (*keys, *columns.values()) and not is_number(kind)
    ]
    at = len(selected)
    selected += [table.columns[name] for name in others]
    listed = ", ".join(f"{sql} AS v{i}" for i, sql in enumerate(selected))
    rows = table.query(f"SELECT {listed} FROM source").fetchall()
    if not rows:
        raise SourceError("plan: the table has no rows.")
    D = len(keys)
    measured = np.array([[np.nan if x is None else x for x in row[D : D + 2]] for row in rows])
    label = _labels(period)
    return PlanTable(
        dimensions=tuple(keys),
        labels=[tuple(label_of(x) for x in row[:D]) for row in rows],
        periods=[label(row[D + 2]) for row in rows] if "period" in columns else None,
        amount=measured[:, 0],
        target=measured[:, 1],
        is_share=amount == "share",
        amount_name=columns[amount],
        target_name=columns["target"],
        name=table.name or "table",
        others={name: [row[at + i] for row in rows] for i, name in enumerate(others)},
    )


def _measures(
    names: Sequence[str], volume: str | None, share: str | None, target: str | None
) -> dict[str, str]:
    """The columns of planned volume or share and of targets: as named, or by their usual names."""
    if volume is not None and share is not None:
        raise OptionError("volume, share: a plan gives one of them.")
    asked = {"volume": volume, "share": share, "target": target}
    for parameter, column in asked.items():
        if column is not None and column not in names:
            raise ColumnNotFoundError(
                f"{parameter}: the plan has no column {column!r}.{nearest(column, names)} "
                f"Columns: {listing(names)}."
            )
    usual = {"volume": VOLUMES, "share": SHARES, "target": TARGETS}
    found = {role: next((n for n in usual[role] if n in names), None) for role in usual}
    named = {role: column for role, column in asked.items() if column is not None}
    for roles in (("volume", "share"), ("target",)):
        if any(role in named for role in roles):
            continue
        role = next((role for role in roles if found[role] is not None), None)
        if role is None:
            what = " or ".join(roles)
            tried = ", ".join(n for r in roles for n in usual[r])
            raise ColumnNotFoundError(
                f"plan: no column of planned {what} ({tried}). Name it, as in {roles[0]}='...'. "
                f"Columns: {listing(names)}."
            )
        named[role] = str(found[role])
    return named


def _period_of(names: Sequence[str], period: str | None) -> str | None:
    """The plan's own period column: the same one, or "month" for "month of decided_at"."""
    if period is None:
        return None
    try:
        return period_column(period, names).column
    except ColumnNotFoundError:
        unit = period.split(" of ")[0].strip()
        return unit if " of " in period and unit in names else None


def _labels(period: str | None) -> Callable[[object], str]:
    """How values of the plan's period column are labelled: like those of the data."""
    if period is None or " of " not in period:
        return label_of
    granular = period_column(period, [period.split(" of ", 1)[1].split(" from ")[0].strip(" `")])

    def label(value: object) -> str:
        at = granular.position(label_of(value))
        return (
            label_of(value) if at is None or not granular.calendar else granular.calendar.label(at)
        )

    return label

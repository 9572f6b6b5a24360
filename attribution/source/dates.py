"""The period column: one as it is, or a date cut to days, weeks, months ... in the GROUP BY itself.

``"month of decided_at"`` is the granularity of a column. The engine truncates (`date_trunc`), so
that one scan groups by the period; only its few distinct values are turned into labels here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attribution.calendars import MONTHS, UNITS, Calendar
from attribution.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    OptionError,
    PeriodError,
    listing,
    nearest,
)
from attribution.expressions import quote_literal
from attribution.labels import is_null, label_of
from attribution.source.tables import Table
from attribution.source.types import described, is_number, is_text, without_nan

__all__ = ["ALL_ROWS", "PeriodColumn", "period_column"]

ALL_ROWS = "all rows"
_FORM = re.compile(rf"(fiscal\s+)?({'|'.join(UNITS)})\s+of\s+(.+)", re.IGNORECASE | re.DOTALL)
_FROM = re.compile(r"(.+?)\s+from\s+(\w+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class PeriodColumn:
    """What tells the periods apart.

    Attributes
    ----------
    column : str or None
        None takes all rows as one period.
    calendar : Calendar or None
        The granularity of a date; None takes the values as they are.
    """

    column: str | None
    calendar: Calendar | None = None

    def sql(self, table: Table) -> str:
        """Return the SQL of the period, null where a row has none."""
        if self.column is None:
            return quote_literal(ALL_ROWS)
        value = without_nan(table.columns[self.column], table.types[self.column])
        if self.calendar is None:
            return value
        if is_text(table.types[self.column]):
            value = f"TRY_CAST({value} AS TIMESTAMP)"
        shift = f"INTERVAL {self.calendar.start - 1} MONTH" if self.calendar.start > 1 else ""
        if shift:
            truncated = f"date_trunc('{self.calendar.unit}', {value} - {shift}) + {shift}"
        else:
            truncated = f"date_trunc('{self.calendar.unit}', {value})"
        return f"({truncated})::DATE"

    def label(self, value: object) -> str:
        """Return the label of a period as the engine returns it."""
        if self.calendar is None or not isinstance(value, dt.date):
            return label_of(value)
        return self.calendar.label_of_date(value)

    def literal(self, value: object, table: Table) -> str | None:
        """Return the SQL that a requested period is equal to, None where it is no such period."""
        if is_null(value):
            raise PeriodError(f"period: {value!r} is no period; name values of {self.column!r}.")
        text = label_of(value)
        if self.calendar is not None:
            at = self.position(text)
            return None if at is None else f"DATE '{self.calendar.first_day(at).isoformat()}'"
        kind = "VARCHAR" if self.column is None else table.types[self.column]
        kind = "VARCHAR" if kind.startswith("ENUM") else kind
        # A cast to whole numbers or days would round, and find a period that was not asked for.
        exact = "DOUBLE" if is_number(kind) else "TIMESTAMP" if kind == "DATE" else kind
        quoted = quote_literal(text)
        cast = f"TRY_CAST({quoted} AS {kind})"
        fits = table.query(f"SELECT {cast} = TRY_CAST({quoted} AS {exact})").fetchall()[0][0]
        return cast if fits else None

    def position(self, text: str) -> int | None:
        """Return the place of the period that a label names, or that a date lies in."""
        calendar = self.calendar or Calendar("day")
        at = calendar.position(text)
        if at is not None:
            return at
        try:
            return calendar.position(calendar.label_of_date(dt.date.fromisoformat(text[:10])))
        except ValueError:
            return None

    def check(self, table: Table) -> None:
        """Refuse a granularity of what is no date, and text of which a part is none."""
        if self.column is None or self.calendar is None:
            return
        kind = table.types[self.column]
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            return
        wanted = f"not a date, of which {self.calendar.unit}s could be taken"
        if not is_text(kind):
            raise ColumnTypeError(f"period: {self.column!r} is {described(kind)}, {wanted}.")
        sql = table.columns[self.column]
        found = table.query(
            f"SELECT value, row FROM (SELECT {sql}::VARCHAR AS value, row_number() OVER () - 1 AS "
            f"row FROM source) WHERE value IS NOT NULL AND TRY_CAST(value AS TIMESTAMP) IS NULL "
            "LIMIT 1"
        ).fetchall()
        if found:
            value, row = found[0]
            raise ColumnTypeError(
                f"period: {self.column!r} holds {value!r} in row {row} (counted from 0), which is "
                f"{wanted}. Dates are written 2026-03-09, with or without a time. For others hand "
                'over a SELECT that says how they are written: "SELECT * FROM '
                "read_csv('file.csv', dateformat='%d/%m/%Y')\"."
            )

    def findings(self, table: Table) -> list[dict[str, Any]]:
        """Say by which clock times with a zone were cut."""
        if self.column is None or self.calendar is None:
            return []
        if "AT TIME ZONE" not in table.columns[self.column]:
            return []
        return [
            {
                "code": "time_zone",
                "severity": "info",
                "message": f"{self.column!r} holds times with a zone; its {self.calendar.unit}s "
                "are those of UTC. For another clock, convert the column to local time first.",
                "facts": {"column": self.column, "zone": "UTC"},
            }
        ]


def period_column(given: object, names: Sequence[str]) -> PeriodColumn:
    """Read the parameter `period`: a column, a granularity of one, or None.

    Parameters
    ----------
    given : str or None
        ``"month"``, ``"month of decided_at"``, ``"fiscal quarter of decided_at from April"``.
    names : sequence of str
        The columns there are; an exact name always wins.

    Returns
    -------
    PeriodColumn

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError
        No such column; no text.
    OptionError
        A granularity that there is not.

    Examples
    --------
    >>> period_column("month of decided_at", ["decided_at"]).calendar.unit
    'month'
    >>> period_column("fiscal year of day from April", ["day"]).calendar
    Calendar(unit='year', fiscal=True, start=4, style=('-', ''))
    """
    if given is None:
        return PeriodColumn(None)
    if not isinstance(given, str):
        raise ColumnTypeError(
            f"period: {given!r} is not text. Columns are named by text: {listing(names, most=30)}."
        )
    if given in names:
        return PeriodColumn(given)
    form = _FORM.fullmatch(given.strip())
    if form is None:
        raise ColumnNotFoundError(
            f"period: no column {given!r}.{nearest(given, names)} Columns: "
            f"{listing(names, most=30)}. A granularity is written 'month of date', with one of "
            f"{', '.join(UNITS)}, or 'fiscal month of date from April'."
        )
    fiscal, unit, column = bool(form.group(1)), form.group(2).lower(), form.group(3).strip()
    since = None if column.strip("`") in names else _FROM.fullmatch(column)
    column = (since.group(1) if since else column).strip("`")
    if column not in names:
        raise ColumnNotFoundError(
            f"period: no column {column!r} (in {given!r}).{nearest(column, names)} Columns: "
            f"{listing(names, most=30)}."
        )
    if not fiscal and since is None:
        return PeriodColumn(column, Calendar(unit))
    if unit in ("day", "week") or since is None or not fiscal:
        raise OptionError(
            f"period: {given!r}. Fiscal periods are months, quarters and years with the month that "
            "their year begins in: 'fiscal quarter of date from April'."
        )
    return PeriodColumn(column, Calendar(unit, fiscal=True, start=_month(since.group(2), given)))


def _month(text: str, given: str) -> int:
    """The number of a month by its English name, its first three letters or its number."""
    by_name = {m[:3].lower(): i for i, m in enumerate(MONTHS, 1)}
    full = {m.lower(): i for i, m in enumerate(MONTHS, 1)}
    number = int(text) if text.isdecimal() else full.get(text.lower()) or by_name.get(text.lower())
    if number is None or not 1 <= number <= 12:
        raise OptionError(
            f"period: {text!r} in {given!r} is no month.{nearest(text, MONTHS)} "
            f"Months: {', '.join(MONTHS)}."
        )
    return number

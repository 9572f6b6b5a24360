"""The rows that a scan is about, in SQL: the period, the condition, numbers, and their rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import duckdb

from attribution import expressions as ex
from attribution.errors import ColumnTypeError, ExpressionError
from attribution.labels import label_of
from attribution.metrics import Metric, factors_of
from attribution.source import contract
from attribution.source.dates import PeriodColumn, period_column
from attribution.source.engine import reading_problem
from attribution.source.findings import absent
from attribution.source.request import Request
from attribution.source.tables import Table
from attribution.source.types import (
    FLOATS,
    NUMBERS,
    described,
    is_text,
    readings,
    typed,
    without_nan,
)

__all__ = ["WEIGHT", "Selection"]

WEIGHT = "#weight"
_PERCENT = " Its values are percentages."
_NUMBERS_AS_TEXT = " Its values are numbers written as text; convert the column."


@dataclass(frozen=True)
class Size:
    """The rows of a table, and those of them that belong to no period."""

    rows: int
    without_period: int


@dataclass(frozen=True)
class Selection:
    """One table and one request, and the SQL of the rows that bring them together."""

    table: Table
    request: Request

    @cached_property
    def when(self) -> PeriodColumn:
        """What tells the periods apart."""
        return period_column(self.request.period, list(self.table.columns))

    @cached_property
    def size(self) -> Size:
        """How many rows there are, selected or not."""
        # A count over a condition in place of count_if, which is null over no rows.
        found = self.table.query(
            f"SELECT count(*) AS n, count(*) FILTER (WHERE {self.period()} IS NULL) AS absent "
            "FROM source"
        )
        rows, absent = found.fetchall()[0]
        return Size(int(rows), int(absent))

    def period(self) -> str:
        """The SQL of the period, null where a row has none."""
        return self.when.sql(self.table)

    def resolve_periods(self) -> dict[str, str]:
        """Cast the requested periods to the column's type: text of the value -> SQL literal."""
        values = self.request.period_values
        if values is None:
            return {}
        when, table = self.when, self.table
        resolved = {label_of(v): when.literal(v, table) for v in values}
        if missing := [value for value, literal in resolved.items() if literal is None]:
            raise absent(self, missing, {})
        return {value: literal for value, literal in resolved.items() if literal}

    def compared(self, resolved: dict[str, str]) -> dict[str, str]:
        """The periods that rows are compared with: none where a file holds no others.

        Texts in Parquet are told apart by their dictionary for next to nothing, while comparing
        each row's takes a quarter of the GROUP BY.
        """
        column = self.when.column
        if not resolved or column is None or self.when.calendar is not None:
            return resolved
        if self.table.kind != "parquet" or self.table.types[column] != "VARCHAR":
            return resolved
        others = self.table.query(
            f"SELECT count(*) FROM (SELECT DISTINCT {self.period()} AS p FROM source) "
            f"WHERE p NOT IN ({', '.join(resolved.values())})"
        )
        return resolved if others.fetchall()[0][0] else {}

    def period_filter(self, resolved: dict[str, str]) -> str:
        literals = ", ".join(resolved.values())
        return f"{self.period()} IN ({literals})" if literals else f"{self.period()} IS NOT NULL"

    def condition(self) -> str | None:
        where = self.request.where
        if where is None:
            return None
        sql, kind = self.translated(where, "where")
        if kind != "BOOLEAN":
            raise ExpressionError(
                f"where: {where!r} is {described(kind)}, not a condition. Write a comparison, as "
                "in \"design == 'random'\"."
            )
        return sql

    @property
    def cell_keys(self) -> list[str]:
        """The short names of the period and the dimensions."""
        return ["period", *(f"d{i}" for i in range(len(self.request.dimensions)))]

    def measures(self) -> dict[str, tuple[str, str]]:
        """Each metric expression and the weight: text -> (SQL, type), numbers only."""
        texts = list(dict.fromkeys(f for m in self.request.metrics for f in factors_of(m)))
        measured = {t: self.measure(t, "metric") for t in texts}
        if self.request.weight is not None:
            measured[WEIGHT] = self.measure(self.request.weight, "weight")
        return measured

    def measure(self, text: str, parameter: str) -> tuple[str, str]:
        sql, kind = self.translated(text, parameter)
        if kind == "BOOLEAN":
            return f"({sql})::INTEGER", "INTEGER"
        if kind == '"NULL"':  # of a column without any value
            return f"({sql})::DOUBLE", "DOUBLE"
        if kind not in NUMBERS:
            example = self.first_text(text) if kind == "VARCHAR" else ""
            name = text if text.isidentifier() else f"`{text}`"
            hint = f" A text can be counted: \"{name} == 'yes'\"." if is_text(kind) else ""
            if self.is_label(text):
                hint = " Two labels agree by at.cohen_kappa(first, second, categories=[...])."
            elif kind == "INTERVAL":
                hint = (
                    f" Convert it to seconds: {name}.dt.total_seconds() of a frame, epoch({name}) "
                    "in SQL."
                )
            if example == _NUMBERS_AS_TEXT or parameter == "weight":
                hint = ""
            elif example.startswith(_PERCENT):
                hint = (
                    " A mean of percentages is not the percentage of all: name the counts behind "
                    'them ("correct / reviewed").'
                )
            raise ColumnTypeError(
                f"{parameter}: {text!r} is {described(kind)}, not a number.{example}{hint}"
            )
        return sql, kind

    def first_text(self, column: str) -> str:
        """Say where the first value stands that is not a number."""
        sql = self.table.columns[column]
        found = self.table.query(
            f"SELECT value, row FROM (SELECT {sql} AS value, row_number() OVER () - 1 AS row "
            f"FROM source) WHERE value IS NOT NULL AND TRY_CAST(value AS DOUBLE) IS NULL LIMIT 1"
        ).fetchall()
        if not found:
            return _NUMBERS_AS_TEXT
        value, row = found[0]
        percent = _PERCENT if str(value).rstrip().endswith("%") else ""
        return f"{percent} First: {value!r} in row {row} (counted from 0)."

    def is_label(self, text: str) -> bool:
        """Whether a metric that sums a column compares it with another one, too."""
        columns = list(self.table.columns)
        read = [
            ex.parse(other, columns, "metric")
            for metric in self.request.metrics
            if text in (found := factors_of(metric))
            for other in found
        ]
        return any(
            isinstance(x, ex.Compare)
            and isinstance(x.left, ex.Column)
            and isinstance(x.right, ex.Column)
            and text in (x.left.name, x.right.name)
            for x in read
        )

    def translated(self, text: str, parameter: str) -> tuple[str, str]:
        """Write an expression in SQL; return it with its type."""
        expression = ex.parse(text, list(self.table.columns), parameter)
        expression = typed(expression, self.table.types, parameter)
        compared, numbers = readings(self.table.columns, self.table.types)
        if isinstance(expression, ex.Column):
            kind = self.table.types[expression.name]
            plain = compared if parameter == "where" or kind == "BOOLEAN" else numbers
            sql = plain[expression.name]
        else:
            sql = ex.to_sql(expression, compared, numbers)
        try:
            return sql, str(self.table.query(f"SELECT {sql} AS x FROM source").types[0])
        except duckdb.BinderException as error:
            problem = reading_problem(error).split(" LINE ")[0]
            raise ExpressionError(
                f"{parameter}: {text!r} cannot be evaluated. {problem}"
            ) from error

    def rules(self, measures: dict[str, tuple[str, str]]) -> list[contract.Rule]:
        """What every selected row must satisfy (DataContractError lists what breaks it)."""
        alias = {text: f"x{i}" for i, text in enumerate(measures)}
        rules: list[contract.Rule] = []
        for text, (_, kind) in measures.items():
            shown, missing = text, "null values"
            if text == WEIGHT and self.request.weight is not None:
                shown = self.request.weight
                # 1 / 0 is null in SQL.
                missing = "zero or null probabilities" if self.reciprocal(shown) else missing
            rules += contract.numeric_rules(shown, alias[text], kind in FLOATS, missing)
        for cluster, name in enumerate(self.request.clusters):
            rules.append(contract.Rule(name, "null values", f"k{cluster} IS NOT NULL"))
        # A value that is no number breaks its own rule only.
        exempt = {
            text: f"{x} IS NULL" + (f" OR NOT isfinite({x})" if measures[text][1] in FLOATS else "")
            for text, x in alias.items()
        }
        if self.request.weight is not None:
            rules += self.weight_rules(self.request.weight, alias[WEIGHT], exempt[WEIGHT])
        for metric in self.request.metrics:
            rules += _metric_rules(metric, alias, exempt)
        return list(dict.fromkeys(rules))

    def weight_rules(self, weight: str, x: str, exempt: str) -> list[contract.Rule]:
        """A weight is positive; written as 1 / p, p is a probability."""
        zero = contract.Rule(weight, "zero values", f"{exempt} OR {x} <> 0")
        rules = [_not_negative(weight, x, exempt), zero]
        if self.reciprocal(weight):
            problem = "inclusion probabilities above 1"
            rules.append(contract.Rule(weight, problem, f"{exempt} OR {x} >= 1 - 1e-9"))
        return rules

    def reciprocal(self, weight: str) -> bool:
        """Whether a weight is written as 1 / probability."""
        match ex.parse(weight, list(self.table.columns), "weight"):
            case ex.Binary(op="/", left=ex.Literal(value=1)):
                return True
        return False

    def texts(self) -> dict[str, str]:
        """The dimensions that are text: short name -> column."""
        return {
            f"d{i}": name
            for i, name in enumerate(self.request.dimensions)
            if is_text(self.table.types[name])
        }

    def rows(
        self,
        measures: dict[str, tuple[str, str]],
        resolved: dict[str, str],
        numbered: bool = False,
    ) -> str:
        """The SELECT of the rows in question, with short names for all that is read."""
        request, table = self.request, self.table
        labels = {f"d{i}": d for i, d in enumerate(request.dimensions)}
        labels |= {f"k{i}": c for i, c in enumerate(request.clusters)}
        parts = [f"{self.period()} AS period"]
        parts += [
            f"{without_nan(table.columns[name], table.types[name])} AS {short}"
            for short, name in labels.items()
        ]
        parts += [f"{sql} AS x{i}" for i, (sql, _) in enumerate(measures.values())]
        condition = self.condition()
        kept = self.period_filter(resolved) + (f" AND {condition}" if condition else "")
        origin = "source"
        if numbered:
            parts.append('"#row" AS row_number')
            origin = '(SELECT *, row_number() OVER () - 1 AS "#row" FROM source)'
        return f"SELECT {', '.join(parts)} FROM {origin} WHERE {kept}"


def _metric_rules(
    metric: Metric, alias: dict[str, str], exempt: dict[str, str]
) -> list[contract.Rule]:
    """Signs: trials and denominators never negative; successes between 0 and the trials."""
    checked = metric.checked
    rules = [_not_negative(x, alias[x], exempt[x]) for x in checked.not_negative]
    for successes, trials in checked.trials:
        x, no_number, limit = alias[successes], exempt[successes], "1"
        if trials is not None:
            limit = alias[trials]
            no_number += f" OR {exempt[trials]}"
        rules.append(
            contract.Rule(
                successes,
                f"successes above trials ({trials or '1 per row'})",
                # The slack is for sums of weights in floating point, not for counts.
                f"{no_number} OR {x} <= {limit} + 1e-9 * abs({limit})",
            )
        )
    return rules


def _not_negative(column: str, x: str, exempt: str) -> contract.Rule:
    return contract.Rule(column, "negative values", f"{exempt} OR {x} >= 0")

"""The one GROUP BY: period, dimensions and clusters in, named sums on small integer codes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import duckdb
import numpy as np

from attribution import expressions as ex
from attribution.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    DataQualityWarning,
    ExpressionError,
    OptionError,
    PeriodError,
    SourceError,
    listing,
    nearest,
)
from attribution.labels import label_of, natural_key
from attribution.metrics import Metric, Moment, factors_of, quantiles_of
from attribution.source import contract
from attribution.source.dates import PeriodColumn, period_column
from attribution.source.delimited import Reading
from attribution.source.distributions import (
    Distribution,
    Grid,
    count_buckets,
    counted,
    find_grid,
)
from attribution.source.tables import ArrowOnly, Table, connect, open_table, reading_problem
from attribution.source.types import (
    FLOATS,
    NUMBERS,
    described,
    readings,
    typed,
    without_nan,
)

__all__ = ["Grouped", "Request", "group"]

_MANY_LEVELS = 10_000
_WEIGHT = "#weight"
_NUMBERS_AS_TEXT = " Its values are numbers written as text; convert the column."


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


@dataclass(frozen=True)
class Grouped:
    """The result of the GROUP BY, coded.

    Attributes
    ----------
    periods : list of str
        Labels of the P periods found.
    resolved : dict
        The text of each requested period value -> its label in the column.
    levels : list of list of str
        Labels per dimension, in natural order.
    codes : ndarray of int32, shape (S, D)
        The observed segments, sorted.
    period, segment : ndarray of int, shape (m,)
        The period and segment of each group.
    clusters : ndarray of int, shape (k, m)
        Cluster codes of each group; k = 0 where rows are independent.
    moments : dict of str to ndarray, shape (m,)
        The named sums.
    rows : int
        Rows read.
    kind, name : str
        Where they came from.
    findings : list of dict
        `code, severity, message, facts` of what the scan noticed.
    sql : str
        The GROUP BY.
    distributions : dict of str to Distribution
        Those of the values whose quantiles are asked for.
    """

    periods: list[str]
    resolved: dict[str, str]
    levels: list[list[str]]
    codes: np.ndarray
    period: np.ndarray
    segment: np.ndarray
    clusters: np.ndarray
    moments: dict[str, np.ndarray]
    rows: int
    kind: str
    name: str
    findings: list[dict[str, Any]] = field(default_factory=list)
    sql: str = ""
    distributions: dict[str, Distribution] = field(default_factory=dict)


def group(data: object, request: Request) -> Grouped:
    """Run the GROUP BY of `request` over `data` where the data is.

    Parameters
    ----------
    data : object
        Anything `open_table` opens.
    request : Request
        Columns, metrics, periods and filters.

    Returns
    -------
    Grouped

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The request does not fit the table.
    PeriodError
        A requested period is not in the data.
    DataContractError
        Rows break the contract and `on_invalid` is "raise".
    SourceError
        The table is empty or cannot be read.
    """
    table = open_table(data, lambda names: _columns_read(names, request))
    try:
        return _Scan(table, request).run()
    except duckdb.Error as error:
        problem = reading_problem(error)
        if table.kind == "parquet" and table.name not in problem:
            problem = f"{table.name!r}: {problem}"
        raise SourceError(f"data: {problem}{_comparison_hint(error)}") from error


def _comparison_hint(error: duckdb.Error) -> str:
    if "to DOUBLE when casting from source column" not in str(error):
        return ""
    return " (A text column that is compared with a number is read as numbers.)"


def _columns_read(names: list[str], request: Request) -> Reading:
    """Check every name in the request and return the columns it reads."""
    when = period_column(request.period, names).column
    roles = [] if when is None else [(when, "the period column")]
    roles += [(_require(names, c, "cluster"), "a cluster column") for c in request.clusters]
    for d in request.dimensions:
        _require(names, d, "by")
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
        _require(names, weight, "weight")
    return ex.parse(weight, names, "weight")


def _require(names: list[str], column: object, parameter: str) -> str:
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


@dataclass(frozen=True)
class _Scan:
    """One table and one request, and the SQL that brings them together."""

    table: Table
    request: Request

    @cached_property
    def when(self) -> PeriodColumn:
        """What tells the periods apart."""
        return period_column(self.request.period, list(self.table.columns))

    def run(self) -> Grouped:
        self.when.check(self.table)
        resolved = self.resolve_periods()
        weighted = self.request.weight is not None
        moments = list(
            dict.fromkeys(
                moment
                for metric in self.request.metrics
                for role, moment in metric.moments(weighted).items()
                # With clusters the second moments come from the cluster sums.
                if not (self.request.clusters and "_" in role) and not moment.derived
            )
        )
        measures = self.measures()
        alias = {text: f"x{i}" for i, text in enumerate(measures)}
        kinds = {text: kind for text, (_, kind) in measures.items()}
        weight = alias.get(_WEIGHT)
        rules = self.rules(measures)
        grids = {
            value: find_grid(self.table, measures[value][0], alias[value], self.condition(), qs)
            for value, qs in quantiles_of(self.request.metrics).items()
        }
        sums = {moment.key: _sum(moment, alias, kinds) for moment in moments}
        powers = [int(weighted)] + [2] * (weighted and not self.request.clusters)
        for value, grid in grids.items():
            sums |= grid.sums_above(value, weight, powers)
        selection = self.selection(measures, self.compared(resolved))
        with connect() as workspace:
            found = self.collect(workspace, selection, sums, weight, contract.all_hold(rules))
            findings = self.unselected(resolved)
            dropped = found["broken"]
            if dropped:
                numbered = self.selection(measures, resolved, numbered=True)
                broken = contract.broken_rules(self.table, numbered, rules)
                if self.request.on_invalid == "raise":
                    raise contract.contract_error(broken)
                selection = f"SELECT * FROM ({selection}) WHERE {contract.all_hold(rules)}"
                found = self.collect(workspace, selection, sums, weight, "true")
                findings.append(_dropped(dropped, broken))
            if not found["groups"]:
                raise self.nothing_found(resolved, dropped)
            if self.request.weight is not None:
                findings += _light_weights(workspace, self.request.weight)
            spread = {
                value: (grid, count_buckets(self.table, selection, self.cell_keys, grid, weight))
                for value, grid in grids.items()
            }
            grouped = _coded(workspace, self, list(sums), resolved, findings, spread)
            grouped = replace(grouped, sql=found["sql"])
        if missing := [v for v, label in grouped.resolved.items() if label not in grouped.periods]:
            raise self.absent(missing, resolved)
        return grouped

    # -- the pieces of the selection ---------------------------------------------------------

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
            raise self.absent(missing, {})
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
            measured[_WEIGHT] = self.measure(self.request.weight, "weight")
        return measured

    def measure(self, text: str, parameter: str) -> tuple[str, str]:
        sql, kind = self.translated(text, parameter)
        if kind == "BOOLEAN":
            return f"({sql})::INTEGER", "INTEGER"
        if kind not in NUMBERS:
            example = self.first_text(text) if kind == "VARCHAR" else ""
            as_numbers = example == _NUMBERS_AS_TEXT or parameter == "weight"
            hint = "" if as_numbers else f" A text can be counted: \"{text} == 'yes'\"."
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
        return f" First: {value!r} in row {row} (counted from 0)."

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
            if text == _WEIGHT and self.request.weight is not None:
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
            rules += self.weight_rules(self.request.weight, alias[_WEIGHT], exempt[_WEIGHT])
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

    def selection(
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
        rows = "source"
        if numbered:
            parts.append('"#row" AS row_number')
            rows = '(SELECT *, row_number() OVER () - 1 AS "#row" FROM source)'
        return f"SELECT {', '.join(parts)} FROM {rows} WHERE {kept}"

    # -- running it --------------------------------------------------------------------------

    def collect(
        self,
        workspace: Any,
        selection: str,
        sums: dict[str, str],
        weight: str | None,
        holds: str,
    ) -> dict[str, Any]:
        """Run the GROUP BY and keep its result as the table `grouped` of `workspace`."""
        keys = [*self.cell_keys, *(f"k{i}" for i in range(len(self.request.clusters)))]
        summed = [f"{sql} AS m{i}" for i, sql in enumerate(sums.values())]
        if weight is not None:
            summed += [f"count_if({weight} < 1 - 1e-9) AS light", f"sum({weight}) AS heft"]
        broken = f"count_if(NOT ({holds}))" if holds != "true" else "0"
        sql = (
            f"SELECT {', '.join(keys)}, count(*) AS row_count, {broken} AS broken, "
            f"{', '.join(summed)} FROM ({selection}) GROUP BY {', '.join(keys)}"
        )
        relation = self.table.query(sql)
        # An Arrow stream is asked for more than once; materialized, the query runs only once.
        workspace.register("stream", ArrowOnly(relation.materialize()))
        # Engines do not hash alike, and the histograms of `count_buckets` are found by this hash.
        cell = f"hash({', '.join(self.cell_keys)})"
        workspace.execute(
            f"CREATE OR REPLACE TEMP TABLE grouped AS SELECT *, {cell} AS cell FROM stream"
        )
        workspace.unregister("stream")
        groups, broken_rows = workspace.execute(
            "SELECT count(*), coalesce(sum(broken), 0) FROM grouped"
        ).fetchall()[0]
        return {"groups": int(groups), "broken": int(broken_rows), "sql": sql}

    def unselected(self, resolved: dict[str, str]) -> list[dict[str, Any]]:
        """Findings on rows that a filter leaves out because it cannot decide about them."""
        findings = self.when.findings(self.table)
        no_period = _count(self.table, f"{self.period()} IS NULL")
        if no_period:
            findings.append(
                {
                    "code": "null_period",
                    "severity": "warning",
                    "message": f"{no_period:,} rows have no {self.request.period!r} and belong to "
                    "no period.",
                    "facts": {"column": self.request.period, "rows": no_period},
                }
            )
        if condition := self.condition():
            undecided = _count(
                self.table, f"{self.period_filter(resolved)} AND ({condition}) IS NULL"
            )
            if undecided:
                findings.append(
                    {
                        "code": "null_condition",
                        "severity": "warning",
                        "message": f"where: {undecided:,} rows have a null in "
                        f"{self.request.where!r} and are left out.",
                        "facts": {"where": self.request.where, "rows": undecided},
                    }
                )
        return findings

    # -- what to say when there is nothing ---------------------------------------------------

    def absent(self, missing: Sequence[str], resolved: dict[str, str]) -> Exception:
        """Say which periods there are, or that the filter left none of one that is."""
        name = self.request.period
        rows = self.table.query(
            f"SELECT DISTINCT p FROM (SELECT {self.period()} AS p FROM source) "
            "WHERE p IS NOT NULL LIMIT 10000"
        ).fetchall()
        there = sorted((self.when.label(r[0]) for r in rows), key=natural_key)
        if not there:
            return self.empty()
        hidden = [v for v in missing if v in resolved and self.holds(resolved[v])]
        if hidden:
            return PeriodError(
                f"where: {self.request.where!r} leaves no rows of period {listing(hidden)}."
                if self.request.where is not None
                else f"data: no row of period {listing(hidden)} keeps the data contract."
            )
        only = " All rows are in that one period." if len(there) == 1 else ""
        return PeriodError(
            f"period: no {listing(missing)} in column {name!r}.{nearest(missing[0], there)} "
            f"There: {listing(there, most=30)}.{only}"
        )

    def holds(self, literal: str) -> bool:
        return _count(self.table, f"{self.period()} = {literal}") > 0

    def empty(self) -> Exception:
        """Tell a table without rows from one without periods."""
        if not _count(self.table, "true"):
            return SourceError("data: the table has no rows.")
        return PeriodError(f"period: column {self.request.period!r} is null in every row.")

    def nothing_found(self, resolved: dict[str, str], dropped: int) -> Exception:
        """Tell an empty table from an absent period from a filter that leaves nothing."""
        if not _count(self.table, self.period_filter(resolved)):
            return self.absent(list(resolved), resolved) if resolved else self.empty()
        if dropped:
            return SourceError(f"data: all {dropped:,} rows break the contract.")
        return OptionError(f"where: {self.request.where!r} leaves no rows.")


def _count(table: Table, condition: str) -> int:
    return int(table.query(f"SELECT count(*) FROM source WHERE {condition}").fetchall()[0][0])


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


def _sum(moment: Moment, alias: dict[str, str], kinds: dict[str, str]) -> str:
    factors = [*moment.factors, *[_WEIGHT] * moment.power]
    if not factors:
        return "count(*)::DOUBLE"
    if len(factors) == 1 and kinds[factors[0]] not in FLOATS:
        return f"sum({alias[factors[0]]})::DOUBLE"
    # A product of integers may not fit an integer. fsum carries the rounding error along, so that
    # the order in which threads add does not show.
    return f"fsum({' * '.join(f'{alias[f]}::DOUBLE' for f in factors)})"


def _dropped(count: int, broken: list[dict[str, Any]]) -> dict:
    listed = "; ".join(f"{f['column']}: {f['problem']} in {f['count']:,}" for f in broken)
    message = f"{count:,} rows break the data contract and were left out ({listed})."
    warnings.warn(message, DataQualityWarning, stacklevel=2)
    return {
        "code": "dropped_rows",
        "severity": "warning",
        "message": message,
        "facts": {"rows": count, "broken": broken},
    }


def _light_weights(workspace: Any, weight: str) -> list[dict[str, Any]]:
    """Weights below 1 are no 1 / inclusion probability; scaled to a mean of 1 they are usual."""
    light, heft, rows = workspace.execute(
        "SELECT sum(light), sum(heft), sum(row_count) FROM grouped"
    ).fetchall()[0]
    if not light:
        return []
    scaled = abs(heft / rows - 1) < 1e-6
    message = (
        f"weight: {light:,} rows have a {weight!r} below 1, which as 1 / inclusion probability "
        "would mean a probability above 1. Ratios and their intervals do not depend on the scale "
        "of weights."
    )
    return [
        {
            "code": "weights_below_1",
            "severity": "info" if scaled else "warning",
            "message": message,
            "facts": {"column": weight, "rows": int(light), "mean": heft / rows},
        }
    ]


def _coded(
    workspace: Any,
    scan: _Scan,
    sums: Sequence[str],
    resolved: dict[str, str],
    findings: list[dict[str, Any]],
    spread: dict[str, tuple[Grid, dict[str, np.ndarray]]],
) -> Grouped:
    """Replace the labels in `grouped` by integer codes and fetch it."""
    table, request, when = scan.table, scan.request, scan.when
    names = ["period", *(f"d{i}" for i in range(len(request.dimensions)))]
    labelled = [when.label, *[label_of] * len(request.dimensions)]
    found = [_level_codes(workspace, *pair) for pair in zip(names, labelled, strict=True)]
    labels, ranks = zip(*found, strict=True)
    for i in range(len(request.clusters)):
        workspace.execute(
            f"CREATE OR REPLACE TEMP TABLE codes_k{i} AS SELECT k{i} AS value, row_number() "
            f"OVER (ORDER BY k{i}) - 1 AS code FROM (SELECT DISTINCT k{i} FROM grouped)"
        )
    keys = names + [f"k{i}" for i in range(len(request.clusters))]
    joins = " ".join(
        f"JOIN codes_{k} ON grouped.{k} IS NOT DISTINCT FROM codes_{k}.value" for k in keys
    )
    fetched = workspace.execute(
        f"SELECT {', '.join(f'codes_{k}.code::INTEGER AS {k}' for k in keys)}, row_count, "
        f"{', '.join(['cell', *(f'm{i}' for i in range(len(sums)))])} FROM grouped {joins}"
    ).fetchnumpy()
    coded = [ranks[i][fetched[name]] for i, name in enumerate(names)]
    codes, segment = _segments(coded[1:], [len(x) for x in labels[1:]], len(coded[0]))
    clusters = np.array(
        [fetched[f"k{i}"] for i in range(len(request.clusters))], dtype=np.int32
    ).reshape(len(request.clusters), len(segment))
    # Threads return groups in any order; sums over them must not depend on it.
    order = np.lexsort((*clusters[::-1], segment, coded[0]))
    for dimension, found in zip(request.dimensions, labels[1:], strict=True):
        if len(found) > _MANY_LEVELS:
            warnings.warn(
                f"by: {dimension!r} has {len(found):,} levels. A dimension of identifiers explains "
                "nothing; did you mean it as cluster?",
                DataQualityWarning,
                stacklevel=2,
            )
    return Grouped(
        periods=labels[0],
        resolved={v: when.label(_value(workspace, sql)) for v, sql in resolved.items()},
        levels=list(labels[1:]),
        codes=codes,
        period=coded[0][order],
        segment=segment[order],
        clusters=clusters[:, order],
        moments={key: fetched[f"m{i}"][order] for i, key in enumerate(sums)},
        rows=int(fetched["row_count"].sum()),
        kind=table.kind,
        name=table.name,
        findings=findings,
        distributions={
            value: counted(grid, found, fetched["cell"], coded[0], segment)
            for value, (grid, found) in spread.items()
        },
    )


def _level_codes(
    workspace: Any, name: str, label: Callable[[object], str]
) -> tuple[list[str], np.ndarray]:
    """Number the values of one column; return labels in natural order and code -> rank of label."""
    workspace.execute(
        f"CREATE OR REPLACE TEMP TABLE codes_{name} AS SELECT {name} AS value, "
        f"row_number() OVER () - 1 AS code FROM (SELECT DISTINCT {name} FROM grouped)"
    )
    rows = workspace.execute(f"SELECT value FROM codes_{name} ORDER BY code").fetchall()
    texts = [label(value) for (value,) in rows]
    labels = sorted(set(texts), key=natural_key)
    rank = {label: i for i, label in enumerate(labels)}
    return labels, np.array([rank[t] for t in texts], dtype=np.int32)


def _segments(
    dimension_codes: Sequence[np.ndarray], sizes: Sequence[int], m: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number the observed segments: (codes of shape (S, D), segment of each group)."""
    if not dimension_codes:
        return np.zeros((1, 0), dtype=np.int32), np.zeros(m, dtype=np.int64)
    key = np.zeros(m, dtype=np.int64)
    for code, size in zip(dimension_codes, sizes, strict=True):
        if key.max(initial=0) > 2**62 // size:
            key = np.unique(key, return_inverse=True)[1]
        key = key * size + code
    _, first, segment = np.unique(key, return_index=True, return_inverse=True)
    return np.stack([c[first] for c in dimension_codes], axis=1).astype(np.int32), segment


def _value(workspace: Any, literal: str) -> object:
    return workspace.execute(f"SELECT {literal}").fetchall()[0][0]

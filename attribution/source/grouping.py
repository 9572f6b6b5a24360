"""The one GROUP BY: period, dimensions and clusters in, named sums on small integer codes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import duckdb

from attribution.errors import SourceError
from attribution.metrics import Moment, quantiles_of
from attribution.source import contract
from attribution.source.coding import Grouped, coded, nameless
from attribution.source.distributions import count_buckets, counted, find_grid
from attribution.source.engine import connect, reading_problem
from attribution.source.findings import (
    Tally,
    absent,
    dropped_rows,
    light_weights,
    many_levels,
    nothing_found,
    unselected,
)
from attribution.source.partitions import merged, partitions
from attribution.source.request import Request, columns_read
from attribution.source.selection import WEIGHT, Selection
from attribution.source.tables import open_table
from attribution.source.types import FLOATS

__all__ = ["group"]


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
    table = open_table(data, lambda names: columns_read(names, request), request.timeout)
    try:
        return _grouped(Selection(table, request))
    except duckdb.Error as error:
        problem = reading_problem(error)
        if table.kind == "parquet" and table.name not in problem:
            problem = f"{table.name!r}: {problem}"
        raise SourceError(f"data: {problem}{_comparison_hint(error)}") from error


def _comparison_hint(error: duckdb.Error) -> str:
    if "to DOUBLE when casting from source column" not in str(error):
        return ""
    return " (A text column that is compared with a number is read as numbers.)"


def _grouped(asked: Selection) -> Grouped:
    asked.when.check(asked.table)
    resolved = asked.resolve_periods()
    weighted = asked.request.weight is not None
    moments = list(
        dict.fromkeys(
            moment
            for metric in asked.request.metrics
            for role, moment in metric.moments(weighted).items()
            # With clusters the second moments come from the cluster sums.
            if not (asked.request.clusters and "_" in role) and not moment.derived
        )
    )
    measures = asked.measures()
    alias = {text: f"x{i}" for i, text in enumerate(measures)}
    kinds = {text: kind for text, (_, kind) in measures.items()}
    weight = alias.get(WEIGHT)
    rules = asked.rules(measures)
    grids = {
        value: find_grid(asked.table, measures[value][0], alias[value], asked.condition(), qs)
        for value, qs in quantiles_of(asked.request.metrics).items()
    }
    sums = {moment.key: _sum(moment, alias, kinds) for moment in moments}
    powers = [int(weighted)] + [2] * (weighted and not asked.request.clusters)
    for value, grid in grids.items():
        sums |= grid.sums_above(value, weight, powers)
    selection = asked.rows(measures, asked.compared(resolved))
    findings = unselected(asked, resolved)
    # What the grid has seen of every row need not be asked of the rows again.
    sure = {
        rule
        for value, grid in grids.items()
        if grid.clean
        for rule in contract.numeric_rules(value, alias[value], is_float=True)
    }
    holds = contract.all_hold([rule for rule in rules if rule not in sure])
    parts = partitions(asked, selection)
    grouped, tally = _fetched(asked, selection, parts, sums, weight, holds, bool(grids))
    dropped = 0
    if tally.broken or any(len(meanings) > 1 for meanings in tally.nameless.values()):
        read = tally.rows
        rules += contract.named_apart(
            asked.table, f"SELECT * FROM ({selection}) WHERE {holds}", asked.texts()
        )
        numbered = asked.rows(measures, resolved, numbered=True)
        broken = contract.broken_rules(asked.table, numbered, rules)
        if asked.request.on_invalid == "raise":
            raise contract.contract_error(broken)
        selection = f"SELECT * FROM ({selection}) WHERE {contract.all_hold(rules)}"
        grouped, tally = _fetched(asked, selection, parts, sums, weight, "true", bool(grids))
        dropped = read - tally.rows
        findings.append(dropped_rows(dropped, broken))
    if grouped is None:
        raise nothing_found(asked, resolved, dropped)
    if asked.request.weight is not None:
        findings += light_weights(tally, asked.request.weight)
    many_levels(asked.request.dimensions, grouped.levels)
    with connect() as workspace:
        values = {v: workspace.execute(f"SELECT {x}").fetchall() for v, x in resolved.items()}
    labels = {v: asked.when.label(found[0][0]) for v, found in values.items()}
    if missing := [v for v, label in labels.items() if label not in grouped.periods]:
        raise absent(asked, missing, resolved)
    spread = {}
    if grouped.cells is not None:
        for value, grid in grids.items():
            found = count_buckets(asked.table, selection, asked.cell_keys, grid, weight)
            spread[value] = counted(grid, found, grouped.cells)
    return replace(grouped, sql=tally.sql, resolved=labels, findings=findings, distributions=spread)


def _fetched(
    asked: Selection,
    selection: str,
    parts: list[str],
    sums: dict[str, str],
    weight: str | None,
    holds: str,
    located: bool,
) -> tuple[Grouped | None, Tally]:
    """Run the GROUP BY, part by part, and code its result; None if there is none, or rows break."""
    tally = Tally()

    def coded_parts() -> Iterator[Grouped]:
        for condition in parts:
            rows = f"SELECT * FROM ({selection}) WHERE {condition}" if len(parts) > 1 else selection
            with connect() as workspace, ExitStack() as stack:

                def keep(sql: str, workspace: Any = workspace, stack: ExitStack = stack) -> str:
                    return stack.enter_context(asked.table.kept(sql, workspace))

                found = _collect(asked, workspace, keep, rows, sums, weight, holds, located)
                tally.add(found)
                if found.groups and not tally.broken:
                    part = coded(workspace, asked, list(sums), located, found.rows)
                    for d, meanings in nameless(workspace, part.levels).items():
                        tally.nameless.setdefault(d, set()).update(meanings)
                    yield part

    grouped = next(coded_parts(), None) if len(parts) == 1 else merged(coded_parts())
    return grouped, tally


def _collect(
    asked: Selection,
    workspace: Any,
    keep: Callable[[str], str],
    selection: str,
    sums: dict[str, str],
    weight: str | None,
    holds: str,
    located: bool,
) -> Tally:
    """Run the GROUP BY and show its result as the view `grouped` of `workspace`.

    Where cells are to be `located`, labels are in a table of their own, `cells`; a hash of them
    stands for them in `grouped`.
    """
    clusters = [f"k{i}" for i in range(len(asked.request.clusters))]
    cell = f"hash({', '.join(asked.cell_keys)})"
    summed = [f"{sql} AS m{i}" for i, sql in enumerate(sums.values())]
    if weight is not None:
        summed += [f"count_if({weight} < 1 - 1e-9) AS light", f"sum({weight}) AS heft"]
    broken = f"count_if(NOT ({holds}))" if holds != "true" else "0"

    def collected(name: str, keys: list[str], rest: list[str], kept: str = "*") -> str:
        names = [key.split(" AS ")[-1] for key in keys]
        if asked.when.column is None and len(keys) > 1 and keys[0] == "period":
            # What is the same in all rows tells no groups apart, and costs as if it did.
            keys, names = [f"{asked.period()} AS period", *keys[1:]], names[1:]
        sql = f"SELECT {', '.join([*keys, *rest])} FROM ({selection}) GROUP BY {', '.join(names)}"
        workspace.execute(f"CREATE TEMP VIEW {name} AS SELECT {kept} FROM {keep(sql)}")
        return sql

    counts = ["count(*) AS row_count", f"{broken} AS broken", *summed]
    # Parquet keeps texts as a dictionary, so that hashing them is cheap; reading any other table
    # again is not. Engines do not hash alike, and `count_buckets` hashes here.
    if located and asked.table.kind == "parquet":
        sql = collected("cells", asked.cell_keys, [], f"*, {cell} AS cell")
        sql = collected("grouped", [f"{cell} AS cell", *clusters], counts)
    else:
        hashed = f"*, {cell} AS cell" if located else "*"
        sql = collected("grouped", [*asked.cell_keys, *clusters], counts, hashed)
        if located:
            listed = ", ".join(["cell", *asked.cell_keys])
            workspace.execute(
                f"CREATE OR REPLACE TEMP TABLE cells AS SELECT DISTINCT {listed} FROM grouped"
            )
    weighing = "sum(light), sum(heft)" if weight is not None else "0, 0"
    found = workspace.execute(
        f"SELECT count(*), coalesce(sum(broken), 0), sum(row_count), {weighing} FROM grouped"
    ).fetchall()[0]
    groups, broken_rows, rows, light, heft = (x or 0 for x in found)
    return Tally(int(groups), int(broken_rows), int(rows), int(light), float(heft), sql)


def _sum(moment: Moment, alias: dict[str, str], kinds: dict[str, str]) -> str:
    factors = [*moment.factors, *[WEIGHT] * moment.power]
    if not factors:
        return "count(*)::DOUBLE"
    if len(factors) == 1 and kinds[factors[0]] not in FLOATS:
        return f"sum({alias[factors[0]]})::DOUBLE"
    # A product of integers may not fit an integer. fsum carries the rounding error along, so that
    # the order in which threads add does not show.
    return f"fsum({' * '.join(f'{alias[f]}::DOUBLE' for f in factors)})"

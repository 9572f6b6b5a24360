"""Rows as arrays: the numbers and coded levels that a regression reads, checked before they go in.

A regression on continuous predictors needs the rows themselves; everything else in the package
works on sums. The columns read, and the rows of the groups in question, are all that leaves the
engine, in the order of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from attribution import expressions as ex
from attribution.errors import AttributionError, ColumnTypeError, SourceError
from attribution.labels import label_of
from attribution.source import contract
from attribution.source.coding import level_codes
from attribution.source.delimited import Reading
from attribution.source.engine import connect, reading_problem
from attribution.source.findings import absent, dropped_rows, nothing_found, unselected
from attribution.source.request import Request, require
from attribution.source.selection import Selection
from attribution.source.tables import ArrowOnly, Table, open_table
from attribution.source.types import FLOATS, described, is_number, is_text, without_nan

__all__ = ["Labels", "Rows", "Wanted", "read_rows"]


@dataclass(frozen=True)
class Wanted:
    """A column that is read, and as what.

    Attributes
    ----------
    parameter : str
        Named in errors.
    text : str
        A column; where it is a number, an expression over columns too.
    kind : {"number", "weight", "level", "unit", "either"}
        A finite number; a positive one; a level, null being "(missing)"; an independent unit,
        never null; a number where the column holds numbers, else a level.
    """

    parameter: str
    text: str
    kind: str


@dataclass(frozen=True, eq=False)
class Labels:
    """A column of labels: the code of each row, and what the codes stand for in natural order."""

    codes: np.ndarray
    levels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """The n rows that were read.

    Attributes
    ----------
    numbers : dict of str to ndarray, shape (n,)
        By the text they were asked for.
    labels : dict of str to Labels
        The same for levels and units.
    group : Labels
    resolved : dict of str to str
        The text of each group value asked for -> its label in the column.
    kind, name : str
        Where the rows came from.
    findings : list of dict
        `code, severity, message, facts` of what the reading noticed.
    """

    numbers: dict[str, np.ndarray]
    labels: dict[str, Labels]
    group: Labels
    resolved: dict[str, str]
    kind: str
    name: str
    findings: list[dict[str, Any]]


def read_rows(
    data: object,
    columns: Sequence[Wanted],
    *,
    group: str,
    values: Sequence[object],
    where: str | None = None,
    on_invalid: str = "raise",
) -> Rows:
    """Read some columns of the rows of some groups.

    Parameters
    ----------
    data : object
        Anything `open_table` opens.
    columns : sequence of Wanted
    group : str
        The column that tells groups apart.
    values : sequence
        Its values whose rows are read, cast to the column's type.
    where : str, optional
        A condition on rows.
    on_invalid : {"raise", "drop"}
        Rows that break the data contract: an error that lists all findings, or leave them out with
        a warning that counts them.

    Returns
    -------
    Rows

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The columns do not fit the table.
    PeriodError
        A group is not in the data.
    DataContractError
        Rows break the contract and `on_invalid` is "raise".
    SourceError
        The table is empty or cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"site": ["A", "B"], "aht": [31.5, 40.0], "queue": ["x", None]})
    >>> wanted = [Wanted("outcome", "aht", "number"), Wanted("predictors", "queue", "either")]
    >>> rows = read_rows(table, wanted, group="site", values=["A", "B"])
    >>> rows.numbers["aht"], rows.labels["queue"].levels
    (array([31.5, 40. ]), ('x', '(missing)'))
    """
    table = open_table(data, lambda names: _reading(names, columns, group, where))
    request = Request((), (), group, tuple(values), where=where, on_invalid=on_invalid)
    try:
        return _read(Selection(table, request), columns)
    except duckdb.Error as error:
        raise SourceError(f"data: {reading_problem(error)}") from error
    except AttributionError as error:
        if str(error).startswith("period:"):
            error.args = (str(error).replace("period:", "group:", 1), *error.args[1:])
        raise


def _reading(names: list[str], columns: Sequence[Wanted], group: str, where: str | None) -> Reading:
    """Check every name and return the columns that are read."""
    read, labels, numbers = [require(names, group, "group")], set(), set()
    for wanted in columns:
        if wanted.kind in ("level", "unit"):
            labels.add(require(names, wanted.text, wanted.parameter))
        elif wanted.kind == "either" and wanted.text in names:
            read.append(wanted.text)
        elif wanted.text.isidentifier():
            numbers.add(require(names, wanted.text, wanted.parameter))
        else:
            numbers |= set(ex.columns_of(ex.parse(wanted.text, names, wanted.parameter)))
    filtered = [] if where is None else ex.columns_of(ex.parse(where, names, "where"))
    every = tuple(dict.fromkeys([*read, *sorted(labels), *sorted(numbers), *filtered]))
    return Reading(every, frozenset(labels - numbers - {group}), frozenset(numbers))


def _read(scan: Selection, columns: Sequence[Wanted]) -> Rows:
    table, resolved = scan.table, scan.resolve_periods()
    parts, rules = [f"{scan.period()} AS g"], []
    numeric, labelled, texts = {}, {}, {}
    for i, wanted in enumerate(columns):
        sql, kind = _column(scan, wanted)
        short = f"x{i}"
        parts.append(f"{sql} AS {short}")
        if kind is None:
            labelled[wanted.text] = short
            if wanted.kind == "unit":
                rules.append(contract.Rule(wanted.text, "null values", f"{short} IS NOT NULL"))
            elif is_text(table.types[wanted.text]):
                texts[short] = wanted.text
            continue
        numeric[wanted.text] = short
        rules += contract.numeric_rules(wanted.text, short, kind in FLOATS)
        if wanted.kind == "weight":
            finite = f" OR NOT isfinite({short})" if kind in FLOATS else ""
            rules += scan.weight_rules(wanted.text, short, f"{short} IS NULL{finite}")
    condition = scan.condition()
    kept = scan.period_filter(resolved) + (f" AND {condition}" if condition else "")
    selection = (
        f'SELECT {", ".join(parts)}, "#row" AS row_number FROM (SELECT *, row_number() OVER () - 1 '
        f'AS "#row" FROM source) WHERE {kept}'
    )
    findings = unselected(scan, resolved)
    sound = f"SELECT * FROM ({selection}) WHERE {contract.all_hold(rules)}"
    rules += contract.named_apart(table, sound, texts)
    holds = contract.all_hold(rules)
    n, broken = table.query(
        f"SELECT count(*), coalesce(count_if(NOT ({holds})), 0) FROM ({selection})"
    ).fetchall()[0]
    if broken:
        listed = contract.broken_rules(table, selection, rules)
        if scan.request.on_invalid == "raise":
            raise contract.contract_error(listed)
        findings.append(dropped_rows(broken, listed))
    if n == broken:
        raise nothing_found(scan, resolved, broken)
    relation = table.query(f"SELECT * FROM ({selection}) WHERE {holds}")
    numbers, labels = _fetched(relation, list(numeric.values()), ["g", *labelled.values()])
    rows = Rows(
        numbers={text: numbers[short] for text, short in numeric.items()},
        labels={text: labels[short] for text, short in labelled.items()},
        group=labels["g"],
        resolved={v: label_of(_value(table, literal)) for v, literal in resolved.items()},
        kind=table.kind,
        name=table.name,
        findings=findings,
    )
    if missing := [v for v, label in rows.resolved.items() if label not in rows.group.levels]:
        raise absent(scan, missing, resolved)
    return rows


def _column(scan: Selection, wanted: Wanted) -> tuple[str, str | None]:
    """Return the SQL of a column and its type, None for labels."""
    table, text = scan.table, wanted.text
    if wanted.kind in ("number", "weight") or text not in table.columns:
        return scan.measure(text, wanted.parameter)
    kind = table.types[text]
    if wanted.kind == "either" and is_number(kind):
        return scan.measure(text, wanted.parameter)
    if wanted.kind == "either" and not is_text(kind) and kind != "BOOLEAN":
        raise ColumnTypeError(
            f"{wanted.parameter}: {text!r} is {described(kind)}, neither a number nor text. Name "
            f"it in categorical if its values are levels."
        )
    return without_nan(table.columns[text], kind), None


def _value(table: Table, literal: str) -> object:
    return table.query(f"SELECT {literal}").fetchall()[0][0]


def _fetched(
    relation: Any, numeric: Sequence[str], labelled: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, Labels]]:
    """Fetch numbers as floats and labels as codes, in the order of the rows."""
    with connect() as workspace:
        # An Arrow stream is asked for more than once; materialized, the query runs only once.
        workspace.register("stream", ArrowOnly(relation.materialize()))
        workspace.execute("CREATE TEMP TABLE kept AS FROM stream")
        workspace.unregister("stream")
        found = {name: level_codes(workspace, "kept", name, label_of) for name in labelled}
        joins = " ".join(
            f"JOIN codes_{name} ON kept.{name} IS NOT DISTINCT FROM codes_{name}.value"
            for name in labelled
        )
        selected = [f"{name}::DOUBLE AS {name}" for name in numeric]
        selected += [f"codes_{name}.code::INTEGER AS {name}" for name in labelled]
        fetched = workspace.execute(
            f"SELECT {', '.join(selected)} FROM kept {joins} ORDER BY row_number"
        ).fetchnumpy()
    numbers = {name: np.asarray(fetched[name], dtype=float) for name in numeric}
    labels = {
        name: Labels(ranks[np.asarray(fetched[name])], tuple(levels))
        for name, (levels, ranks) in found.items()
    }
    return numbers, labels

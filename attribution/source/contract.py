"""What rows must satisfy before they are summed, and the findings when they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attribution.errors import DataContractError
from attribution.labels import MISSING
from attribution.source.types import no_nan

__all__ = ["Rule", "all_hold", "broken_rules", "contract_error", "named_apart", "numeric_rules"]

_SHOWN_ROWS = 5


@dataclass(frozen=True)
class Rule:
    """One condition on a row, in SQL over the columns of the selection.

    A row breaks the rule where `holds` is false or null.
    """

    column: str
    problem: str
    holds: str


def numeric_rules(
    column: str, sql: str, is_float: bool, missing: str = "null values"
) -> list[Rule]:
    """Return the rules of every number: not null (`missing` in words) and, for floats, finite."""
    rules = [Rule(column, missing, f"{sql} IS NOT NULL")]
    if is_float:
        rules.append(Rule(column, "NaN values", f"coalesce({no_nan(sql)}, true)"))
        rules.append(Rule(column, "infinite values", f"coalesce(NOT isinf({sql}), true)"))
    return rules


def named_apart(table: Any, selection: str, texts: dict[str, str]) -> list[Rule]:
    """Return the rules of labels: no text "(missing)" where null, which is called so, is there too.

    Parameters
    ----------
    table : Table
        The open table.
    selection : str
        A SELECT over `source`.
    texts : dict of str to str
        Its columns of text that are read as labels: the name in `selection` -> the column.
    """
    if not texts:
        return []
    counts = ", ".join(
        f"count(*) FILTER (WHERE {x} IS NULL) AS n{i}, "
        f"count(*) FILTER (WHERE {x}::VARCHAR = '{MISSING}') AS t{i}"
        for i, x in enumerate(texts)
    )
    found = table.query(f"SELECT {counts} FROM ({selection})").fetchall()[0]
    problem = f"the text '{MISSING}', the name of the level of nulls, which are there too,"
    return [
        Rule(column, problem, f"{x} IS NULL OR {x}::VARCHAR <> '{MISSING}'")
        for (x, column), nulls, named in zip(texts.items(), found[::2], found[1::2], strict=True)
        if nulls and named
    ]


def all_hold(rules: Sequence[Rule]) -> str:
    """Return the SQL condition under which a row breaks no rule."""
    return " AND ".join(f"coalesce(({rule.holds}), false)" for rule in rules) or "true"


def broken_rules(table: Any, selection: str, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Count the rows that break each rule and find the first of them.

    Parameters
    ----------
    table : Table
        The open table.
    selection : str
        A SELECT over `source` with a column `row_number` and the columns that rules read.
    rules : sequence of Rule

    Returns
    -------
    list of dict
        `column, problem, count, rows` for each broken rule; rows are counted from 0.
    """
    findings = []
    for rule in rules:
        broken = f"NOT coalesce({rule.holds}, false)"
        rows = table.query(
            f"SELECT row_number, count(*) OVER () AS n FROM ({selection}) WHERE {broken} "
            f"ORDER BY row_number LIMIT {_SHOWN_ROWS}"
        ).fetchall()
        if rows:
            first, count = [row for row, _ in rows], rows[0][1]
            findings.append(
                {"column": rule.column, "problem": rule.problem, "count": count, "rows": first}
            )
    return findings


def contract_error(findings: Sequence[dict[str, Any]]) -> DataContractError:
    """Write all findings into one error."""
    lines = [
        f"  {f['column']}: {f['problem']} in {f['count']:,} row{'s' * (f['count'] > 1)} "
        f"({'first: ' * (f['count'] > _SHOWN_ROWS)}{', '.join(str(r) for r in f['rows'])})"
        for f in findings
    ]
    return DataContractError(
        "data: rows break the contract (rows counted from 0):\n"
        + "\n".join(lines)
        + "\nCorrect or filter them (where=...), or pass on_invalid='drop' to leave these rows out "
        "with a warning.",
        findings,
    )

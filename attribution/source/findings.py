"""What a scan says of the rows it leaves out, and why nothing is left."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attribution import expressions as ex
from attribution.errors import (
    DataQualityWarning,
    OptionError,
    PeriodError,
    SourceError,
    listing,
    nearest,
)
from attribution.labels import natural_key
from attribution.source.tables import Table
from attribution.source.types import is_text

if TYPE_CHECKING:
    from attribution.source.selection import Selection

__all__ = [
    "Tally",
    "absent",
    "dropped_rows",
    "light_weights",
    "many_levels",
    "nothing_found",
    "unselected",
]

_MANY_LEVELS = 10_000


def unselected(selection: Selection, resolved: dict[str, str]) -> list[dict[str, Any]]:
    """Findings on rows that a filter leaves out because it cannot decide about them."""
    findings = selection.when.findings(selection.table)
    no_period = selection.size.without_period
    if no_period:
        findings.append(
            {
                "code": "null_period",
                "severity": "warning",
                "message": f"{no_period:,} rows have no {selection.request.period!r} and belong to "
                "no period.",
                "facts": {"column": selection.request.period, "rows": no_period},
            }
        )
    if condition := selection.condition():
        undecided = _count(
            selection.table, f"{selection.period_filter(resolved)} AND ({condition}) IS NULL"
        )
        if undecided:
            findings.append(
                {
                    "code": "null_condition",
                    "severity": "warning",
                    "message": f"where: {undecided:,} rows have a null in "
                    f"{selection.request.where!r} and are left out.",
                    "facts": {"where": selection.request.where, "rows": undecided},
                }
            )
    return findings


def absent(selection: Selection, missing: Sequence[str], resolved: dict[str, str]) -> Exception:
    """Say which periods there are, or that the filter left none of one that is."""
    name = selection.request.period
    rows = selection.table.query(
        f"SELECT DISTINCT p FROM (SELECT {selection.period()} AS p FROM source) "
        "WHERE p IS NOT NULL LIMIT 10000"
    ).fetchall()
    there = sorted((selection.when.label(r[0]) for r in rows), key=natural_key)
    if not there:
        return _empty(selection)
    hidden = [v for v in missing if v in resolved and _holds(selection, resolved[v])]
    if hidden:
        return PeriodError(
            f"where: {selection.request.where!r} leaves no rows of period {listing(hidden)}."
            f"{_unheld(selection)}"
            if selection.request.where is not None
            else f"data: no row of period {listing(hidden)} keeps the data contract."
        )
    only = " All rows are in that one period." if len(there) == 1 else ""
    return PeriodError(
        f"period: no {listing(missing)} in column {name!r}.{nearest(missing[0], there)} "
        f"There: {listing(there, most=30)}.{only}"
    )


def _holds(selection: Selection, literal: str) -> bool:
    return _count(selection.table, f"{selection.period()} = {literal}") > 0


def _empty(selection: Selection) -> Exception:
    """Tell a table without rows from one without periods."""
    if not _count(selection.table, "true"):
        return SourceError("data: the table has no rows.")
    return PeriodError(f"period: column {selection.request.period!r} is null in every row.")


def nothing_found(selection: Selection, resolved: dict[str, str], dropped: int) -> Exception:
    """Tell an empty table from an absent period from a filter that leaves nothing."""
    if not _count(selection.table, selection.period_filter(resolved)):
        return absent(selection, list(resolved), resolved) if resolved else _empty(selection)
    if dropped:
        return SourceError(f"data: all {dropped:,} rows break the contract.")
    return OptionError(f"where: {selection.request.where!r} leaves no rows.{_unheld(selection)}")


def _unheld(selection: Selection) -> str:
    """Name the texts that a condition asks for and no row holds, where one is held that is near."""
    said = []
    condition = ex.parse(selection.request.where or "", list(selection.table.columns), "where")
    for column, text in _asked_for(condition):
        sql, kind = selection.translated(column, "where")
        if not is_text(kind) or _count(selection.table, f"{sql} = {ex.quote_literal(text)}"):
            continue
        held = selection.table.query(
            f"SELECT DISTINCT {sql} AS x FROM source WHERE {sql} IS NOT NULL LIMIT {_MANY_LEVELS}"
        ).fetchall()
        if near := nearest(text, [x[0] for x in held]):
            said.append(f" {column!r} is never {text!r}.{near}")
    return "".join(said)


def _asked_for(condition: ex.Expression) -> Iterator[tuple[str, str]]:
    """The texts that columns are compared with: (column, text)."""
    match condition:
        case ex.Compare(op="==", left=ex.Column(name=name), right=ex.Literal(value=str() as text)):
            yield name, text
        case ex.Compare(op="==", left=ex.Literal(value=str() as text), right=ex.Column(name=name)):
            yield name, text
        case ex.In(value=ex.Column(name=name), options=options, negated=False):
            for option in options:
                if isinstance(option.value, str):
                    yield name, option.value
        case ex.Logical(parts=parts):
            for part in parts:
                yield from _asked_for(part)


def _count(table: Table, condition: str) -> int:
    return int(table.query(f"SELECT count(*) FROM source WHERE {condition}").fetchall()[0][0])


def dropped_rows(count: int, broken: list[dict[str, Any]]) -> dict[str, Any]:
    """Warn of rows that break the contract and are left out; return the finding."""
    listed = "; ".join(f"{f['column']}: {f['problem']} in {f['count']:,}" for f in broken)
    message = f"{count:,} rows break the data contract and were left out ({listed})."
    warnings.warn(message, DataQualityWarning, stacklevel=2)
    return {
        "code": "dropped_rows",
        "severity": "warning",
        "message": message,
        "facts": {"rows": count, "broken": broken},
    }


@dataclass
class Tally:
    """What the parts of a GROUP BY counted together.

    `nameless` holds, by dimension, what stands behind the level "(missing)": null (true) and the
    text itself (false).
    """

    groups: int = 0
    broken: int = 0
    rows: int = 0
    light: int = 0
    heft: float = 0.0
    sql: str = ""
    nameless: dict[int, set[bool]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add the counts of another part."""
        self.groups += other.groups
        self.broken += other.broken
        self.rows += other.rows
        self.light += other.light
        self.heft += other.heft
        self.sql = self.sql or other.sql


def many_levels(dimensions: Sequence[str], levels: Sequence[Sequence[str]]) -> None:
    """Warn of dimensions of more levels than anyone reads."""
    for dimension, found in zip(dimensions, levels, strict=True):
        if len(found) > _MANY_LEVELS:
            warnings.warn(
                f"by: {dimension!r} has {len(found):,} levels. A dimension of identifiers explains "
                "nothing; did you mean it as cluster?",
                DataQualityWarning,
                stacklevel=2,
            )


def light_weights(tally: Tally, weight: str) -> list[dict[str, Any]]:
    """Weights below 1 are no 1 / inclusion probability; scaled to a mean of 1 they are usual."""
    light, heft, rows = tally.light, tally.heft, tally.rows
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
            "facts": {"column": weight, "rows": light, "mean": heft / rows},
        }
    ]

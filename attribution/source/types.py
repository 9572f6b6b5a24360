"""The engine's column types: what each is called, and how it counts in sums and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attribution import expressions as ex
from attribution.errors import ColumnTypeError, ExpressionError, listing
from attribution.source.engine import connect

__all__ = [
    "FLOATS",
    "NUMBERS",
    "as_number",
    "described",
    "is_number",
    "no_nan",
    "readings",
    "typed",
    "without_nan",
]

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
WIDE_INTEGERS = {"UBIGINT", "HUGEINT", "UHUGEINT"}
FLOATS = {"FLOAT", "DOUBLE"}
NUMBERS = INTEGERS | WIDE_INTEGERS | FLOATS
# A text column read as numbers has this before its name; no column of a table is meant by it.
_AS_NUMBER = "#number "


def described(kind: str) -> str:
    """Return the everyday word for a type.

    Examples
    --------
    >>> described("VARCHAR"), described("DECIMAL(18,3)"), described("BLOB")
    ('text', 'a number', 'BLOB')
    """
    if is_text(kind):
        return "text"
    if is_number(kind):
        return "a number"
    words = {"BOOLEAN": "true or false", "DATE": "a date", "TIMESTAMP": "a time"}
    words["INTERVAL"] = "a duration"
    return words.get(kind, kind)


def is_text(kind: str) -> bool:
    return kind == "VARCHAR" or kind.startswith("ENUM")


def is_number(kind: str) -> bool:
    return kind in NUMBERS or kind.startswith("DECIMAL")


def as_number(sql: str, kind: str) -> str:
    """Widen what would overflow or cannot be added: small integers, decimals, booleans."""
    if kind == "BOOLEAN":
        return f"{sql}::INTEGER"
    if kind in INTEGERS:
        return sql if kind == "BIGINT" else f"{sql}::BIGINT"
    if kind in WIDE_INTEGERS:
        return f"{sql}::HUGEINT"
    if kind == "FLOAT" or kind.startswith("DECIMAL"):
        return f"{sql}::DOUBLE"
    return sql


def without_nan(sql: str, kind: str) -> str:
    """Make NaN null, as frames of one library have it and those of another do not."""
    return f"(CASE WHEN {no_nan(sql)} THEN {sql} END)" if kind in FLOATS else sql


def no_nan(sql: str) -> str:
    """Return the SQL of a float's not being NaN, null where it is null.

    Not by isnan(): the statistics of Parquet leave NaN out, and DuckDB, which takes them for the
    bounds of all values, then answers isnan() with false before it has read a row.
    """
    return f"(isfinite({sql}) OR isinf({sql}))"


def readings(
    columns: Mapping[str, str], types: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the SQL of each column in comparisons and in arithmetic, for `expressions.to_sql`."""
    compared = {name: without_nan(sql, types[name]) for name, sql in columns.items()}
    compared |= {
        _AS_NUMBER + name: f"CAST({sql} AS {'INTEGER' if types[name] == 'BOOLEAN' else 'DOUBLE'})"
        for name, sql in columns.items()
    }
    return compared, {name: as_number(sql, types[name]) for name, sql in columns.items()}


def typed(expression: ex.Expression, types: Mapping[str, str], parameter: str) -> ex.Expression:
    """Check an expression against the types of the columns it reads.

    A text column compared with a number is read as numbers. The engine would round the number's
    fraction away instead. A flag compared with a number counts 0 or 1, and a quoted text compared
    with dates is a date; some engines convert neither.

    Parameters
    ----------
    expression : Expression
    types : mapping of str to str
        Column name -> type.
    parameter : str
        Named in errors.

    Returns
    -------
    Expression

    Raises
    ------
    ColumnTypeError
        Arithmetic with text.
    ExpressionError
        A number compared with a quoted text, or a date with a text that is none.
    """

    def kind(e: ex.Expression) -> str:
        match e:
            case ex.Column(name=name):
                found = types[name]
                if found == "BOOLEAN":
                    return "flag"
                if found == "DATE" or found.startswith("TIMESTAMP"):
                    return "date"
                return "text" if is_text(found) else "number" if is_number(found) else "other"
            case ex.Literal(value=bool()):
                return "truth"
            case ex.Literal(value=None):
                return "other"
            case ex.Literal(value=str()):
                return "quoted"
            case ex.Literal() | ex.Binary():
                return "number"
        return "other"

    def pair(left: ex.Expression, right: ex.Expression) -> tuple[ex.Expression, ex.Expression]:
        kinds = {kind(left), kind(right)}
        if kinds == {"number", "quoted"}:
            text, number = (left, right) if kind(left) == "quoted" else (right, left)
            columns = ex.columns_of(number)
            named = listing(columns) if columns else "that"
            shown = text.value if isinstance(text, ex.Literal) else text
            raise ExpressionError(
                f"{parameter}: {named} is a number and {shown!r} a text; write the number without "
                "quotes."
            )
        if kinds in ({"number", "text"}, {"number", "flag"}, {"number", "truth"}):
            return as_numbers(left), as_numbers(right)
        if kinds == {"date", "quoted"}:
            return as_dates(left, right), as_dates(right, left)
        return check(left), check(right)

    def as_numbers(e: ex.Expression) -> ex.Expression:
        match e:
            case ex.Column(name=name) if not is_number(types[name]):
                return ex.Column(_AS_NUMBER + name)
            case ex.Literal(value=bool() as value):
                return ex.Literal(int(value))
        return check(e)

    def as_dates(e: ex.Expression, other: ex.Expression) -> ex.Expression:
        if not isinstance(e, ex.Literal) or not isinstance(other, ex.Column):
            return e
        (day, midnight), *_ = (
            connect()
            .execute("SELECT d, d = t FROM (SELECT TRY_CAST($1 AS DATE) AS d, TRY_CAST($1 AS "
                     "TIMESTAMP) AS t)", [e.value])
            .fetchall()
        )  # fmt: skip
        if midnight is None:
            raise ExpressionError(
                f"{parameter}: {other.name!r} is {described(types[other.name])} and {e.value!r} is "
                "none. Dates are written '2026-03-09', with or without a time."
            )
        plain = types[other.name] == "DATE" and midnight and day is not None
        return ex.Literal(e.value, "DATE" if plain else "TIMESTAMP")

    def check(e: ex.Expression) -> ex.Expression:
        match e:
            case ex.Binary(op=op, left=left, right=right):
                for column in (e for e in (left, right) if isinstance(e, ex.Column)):
                    found = types[column.name]
                    if not is_number(found) and found != "BOOLEAN":
                        raise ColumnTypeError(
                            f"{parameter}: {column.name!r} is {described(found)}; {op} takes "
                            "numbers."
                        )
                return ex.Binary(op, check(left), check(right))
            case ex.Compare(op=op, left=left, right=right):
                return ex.Compare(op, *pair(left, right))
            case ex.In(value=value, options=options, negated=negated):
                pairs = [pair(value, option) for option in options]
                # To compare with None changes nothing.
                values = {p[0] for p, o in zip(pairs, options, strict=True) if o.value is not None}
                if len(values) > 1:
                    raise ExpressionError(
                        f"{parameter}: 'in' takes a list of numbers or of texts, not of both."
                    )
                literals = tuple(x for _, x in pairs if isinstance(x, ex.Literal))
                return ex.In(values.pop() if values else check(value), literals, negated)
            case ex.Logical(op=op, parts=parts):
                return ex.Logical(op, tuple(check(part) for part in parts))
            case ex.Not(part=part):
                return ex.Not(check(part))
        return e

    return check(expression)

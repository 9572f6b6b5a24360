"""The engine: its connections, queries that can be stopped, SQL of the user's, errors in words."""

from __future__ import annotations

import functools
import os
import re
import tempfile
from dataclasses import dataclass
from typing import Any

import duckdb

from attribution.errors import SourceError
from attribution.source.secrets import redacted
from attribution.source.stopping import stoppable

__all__ = ["Query", "connect", "is_sql", "reading_problem", "single_select"]

# After any comments. A path may begin with the same letters: "from_march.csv", "select/2026.csv".
_SQL = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*\(?\s*(select|with|from)(?![\w.\-/\\])", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, eq=False)
class Query:
    """A query of DuckDB that runs when its rows are asked for, and that Ctrl-C stops.

    Attributes
    ----------
    relation : duckdb.DuckDBPyRelation
    connection : duckdb.DuckDBPyConnection or None
        None where the user's own connection runs it, which its relation does not tell.
    timeout : float or None
        Seconds after which it is stopped.
    """

    relation: Any
    connection: Any
    timeout: float | None = None

    @property
    def types(self) -> list[Any]:
        return list(self.relation.types)

    def materialize(self) -> Any:
        if self.connection is None:
            return self.relation.materialize()
        return stoppable(self.relation.materialize, self.connection.interrupt, self.timeout)

    def create(self, name: str) -> None:
        """Write the rows to a table of the query's own database."""
        if self.connection is None:
            self.relation.create(name)
        else:
            stoppable(lambda: self.relation.create(name), self.connection.interrupt, self.timeout)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.materialize().fetchall()

    def fetchnumpy(self) -> dict[str, Any]:
        return self.materialize().fetchnumpy()


def connect() -> Any:
    """Return a connection of its own, with temporary tables of its own, to an empty database."""
    return _database(os.getpid()).cursor()


@functools.cache
def _database(process: int) -> Any:
    """Start the engine: once, for it takes longer than a small scan, but anew in a fork."""
    # Replacement scans would let a mistyped table name read a Python variable of this package.
    # What does not fit into memory goes where temporary files go, not into the working folder.
    spilled = os.path.join(tempfile.gettempdir(), f"kpi-attribution-duckdb-{process}")
    return duckdb.connect(config={"python_enable_replacements": False, "temp_directory": spilled})


def is_sql(text: str) -> bool:
    """Return whether a text is SQL and not a path.

    Examples
    --------
    >>> is_sql("SELECT 1"), is_sql("from_march.csv")
    (True, False)
    """
    return _SQL.match(text) is not None


def single_select(connection: Any, text: str) -> Any:
    """Return the relation of one SELECT statement on a connection.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    text : str

    Returns
    -------
    duckdb.DuckDBPyRelation

    Raises
    ------
    SourceError
        It is no SQL, or not exactly one SELECT statement.
    """
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise SourceError(f"data: the SQL cannot be parsed. {_first_line(error)}") from error
    if len(statements) != 1:
        raise SourceError(
            f"data: SQL must be exactly one SELECT statement; these are {len(statements)}."
        )
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        raise SourceError(f"data: SQL must be a SELECT statement; this is {kind.name}.")
    try:
        return connection.sql(_unended(statements[0].query))
    except duckdb.CatalogException as error:
        raise SourceError(
            f"data: the SQL cannot be run. {_first_line(error)} SQL text reads files, not Python's "
            "variables; pass a frame as it is."
        ) from error
    except duckdb.Error as error:
        raise SourceError(f"data: the SQL cannot be run. {_first_line(error)}") from error


def _unended(statement: str) -> str:
    """Cut a statement at the semicolon that ends it, which a comment may follow."""
    ends = [
        at
        for at, kind in duckdb.tokenize(statement)
        if kind == duckdb.token_type.operator and statement.encode()[at : at + 1] == b";"
    ]
    return statement.encode()[: ends[0]].decode() if ends else statement


def reading_problem(error: Exception) -> str:
    """Say what a reader found wrong, and in a CSV file where.

    The engine's own message goes on with advice on options that the user does not have.
    """
    text = redacted(str(error).strip())
    line = re.search(r"CSV Error on Line: (\d+)", text)
    if line is None:
        text = re.split(r"\s+LINE \d+:|Possible", text)[0]
        return " ".join(re.sub(r" when casting from source column \w+", "", text).split())[:600]
    file = re.search(r"^\s*file = (.+)$", text, re.MULTILINE)
    place = f"{file.group(1)!r}, line {line.group(1)}: " if file else f"Line {line.group(1)}: "
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        named, found = map(int, fields.groups())
        # The engine stops counting at the first field too many.
        count = f"{found} field{'s' * (found > 1)} instead of" if found < named else "more than"
        return f"{place}{count} the {named} of the header."
    if value := re.search(r"converting column \"(.*)\"\. (.*)", text):
        kind = re.search(r"string \"(.*)\" to '(\w+)'", value.group(2))
        if kind:
            wanted = {"DOUBLE": "a number", "BOOLEAN": "true or false"}.get(
                kind.group(2), f"a {kind.group(2).lower()}"
            )
            return (
                f"{place}{kind.group(1)!r} in column {value.group(1)!r} is not {wanted}, as the "
                "values before it are."
            )
        return f"{place}column {value.group(1)!r}: {value.group(2)}"
    if "unterminated quote" in text:
        return f"{place}a quote is opened and never closed."
    if "Invalid unicode" in text:
        return f"{place}not UTF-8 text. Save the file as CSV UTF-8."
    return place + " ".join(text.split("Possible")[0].split())[:600]


def _first_line(error: Exception) -> str:
    return redacted(str(error).strip().splitlines()[0])

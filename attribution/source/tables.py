"""What the user has - a frame, a file, SQL, a relation - opened as one view that SQL can read."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from attribution.errors import ColumnTypeError, SourceError, nearest
from attribution.expressions import quote_identifier, quote_literal

__all__ = ["Table", "open_table"]

# A path may begin with the same letters ("from_march.csv"), a query goes on with a space or a bracket.
_SQL = re.compile(r"\s*(?:--[^\n]*\n\s*)*(select|with|from)[\s(\[\"']", re.IGNORECASE)
_READERS = {
    ".parquet": "read_parquet({path}, union_by_name=true)",
    ".csv": "read_csv({path}, header=true, union_by_name=true)",
    ".csv.gz": "read_csv({path}, header=true, union_by_name=true)",
}


@dataclass(frozen=True)
class Table:
    """A table under the name `source`, wherever its engine is.

    Attributes
    ----------
    kind : str
        "pandas", "polars", "parquet", "csv", "sql", "relation" ...
    name : str
        What provenance calls it: the path or the SQL, "" for a frame in memory.
    columns : dict
        Column name -> the SQL that refers to it in `source`.
    types : dict
        Column name -> its DuckDB type.
    relation : duckdb.DuckDBPyRelation
        The rows, on the engine that holds them.
    """

    kind: str
    name: str
    columns: dict[str, str]
    types: dict[str, str]
    relation: Any

    def query(self, sql: str) -> Any:
        """Run one query over `source` where the data is."""
        return self.relation.query("source", sql)


def open_table(data: object, choose: Callable[[list[str]], list[str]]) -> Table:
    """Open `data` as a table that SQL can read.

    Parameters
    ----------
    data : frame, relation, path, glob or SQL text
        pandas, Polars (eager, lazy), Arrow, a DuckDB relation, a path or glob of Parquet or CSV, or
        one SELECT statement.
    choose : callable
        Names of all columns -> names of those that will be read; it raises where it misses one.
        Of a frame only these cross into the engine (files read what a query names).

    Returns
    -------
    Table

    Raises
    ------
    SourceError
        No such file, an unreadable file, SQL that is not exactly one query.
    ColumnTypeError
        `data` is of a type that is not a table.
    """
    if isinstance(data, duckdb.DuckDBPyRelation):
        return _described("relation", "", data, choose)
    if isinstance(data, str | os.PathLike):
        text = os.fspath(data)
        if isinstance(data, str) and _SQL.match(text):
            return _described("sql", " ".join(text.split()), _sql_relation(text), choose)
        kind, relation = _file_relation(text)
        return _described(kind, text, relation, choose)
    return _frame_table(data, choose)


def _described(
    kind: str, name: str, relation: Any, choose: Callable[[list[str]], list[str]]
) -> Table:
    choose(list(relation.columns))
    columns = {c: quote_identifier(c) for c in relation.columns}
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    return Table(kind, name, columns, types, relation)


def _connect() -> Any:
    # Replacement scans would let a mistyped table name read a Python variable of this package.
    return duckdb.connect(config={"python_enable_replacements": False})


def _sql_relation(text: str) -> Any:
    connection = _connect()
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise SourceError(f"data: the SQL cannot be parsed. {_first_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SourceError(
            f"data: SQL must be exactly one SELECT statement; got {len(statements)} statement(s)."
        )
    try:
        return connection.sql(statements[0].query.strip().rstrip(";"))
    except duckdb.Error as error:
        raise SourceError(f"data: the SQL cannot be run. {_first_line(error)}") from error


def _file_relation(path: str) -> tuple[str, Any]:
    suffix = next((s for s in _READERS if path.lower().endswith(s)), None)
    if suffix is None:
        raise SourceError(
            f"data: {path!r} is neither a file that can be read ({', '.join(_READERS)}) nor SQL "
            "(SELECT, WITH or FROM ...)."
        )
    if not glob.glob(path, recursive=True):
        folder = Path(path).parent
        beside = [p.name for p in folder.glob("*")] if folder.is_dir() else []
        hint = nearest(Path(path).name, beside) if beside else ""
        raise SourceError(f"data: no file matches {path!r}.{hint}")
    reader = _READERS[suffix]
    kind = "parquet" if suffix == ".parquet" else "csv"
    connection = _connect()
    try:
        return kind, connection.sql("FROM " + reader.format(path=quote_literal(path)))
    except duckdb.Error as error:
        raise SourceError(f"data: {path!r} cannot be read. {reading_problem(error)}") from error


def reading_problem(error: Exception) -> str:
    """Say what a reader found wrong with a file: its message up to the advice on its own options."""
    text = str(error).strip()
    return " ".join(text.split("Possible fixes:")[0].split("Possible Solution")[0].split())[:600]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


class _Stream:
    """An Arrow stream and nothing else, so that DuckDB reads it without knowing the frame's library."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def _frame_table(data: object, choose: Callable[[list[str]], list[str]]) -> Table:
    import narwhals as nw

    try:
        frame = nw.from_native(data)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except TypeError as error:
        raise ColumnTypeError(
            f"data: a {type(data).__module__}.{type(data).__qualname__} is not a table. Allowed: a "
            "pandas, Polars or Arrow table, a DuckDB relation, a path or glob (.parquet .csv "
            ".csv.gz), SQL text."
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise SourceError(f"data: two columns have the same name. {_first_line(error)}") from error
    # Engines fold the case of names and frames do not: short names of our own avoid every clash.
    short = {n: f"c{i}" for i, n in enumerate(choose(list(frame.collect_schema().names())))}
    frame = frame.select([nw.col(n).alias(s) for n, s in short.items()])
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    native = frame.to_native()
    kind = str(frame.implementation).lower()
    connection = _connect()
    connection.register("frame", _plain(native) if kind == "pandas" else _Stream(native))
    relation = connection.sql("FROM frame")
    found = dict(zip(relation.columns, map(str, relation.types), strict=True))
    columns = {name: quote_identifier(s) for name, s in short.items()}
    return Table(kind, "", columns, {name: found[s] for name, s in short.items()}, relation)


def _plain(frame: Any) -> Any:
    """Write the pandas types no engine knows (intervals, periods, their categories) as text."""
    import pandas as pd

    def foreign(dtype: object) -> bool:
        if isinstance(dtype, pd.CategoricalDtype):
            return foreign(dtype.categories.dtype)
        return isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype)

    changed = {
        column: frame[column].astype(object).map(str, na_action="ignore")
        for column in frame.columns
        if foreign(frame[column].dtype)
    }
    return frame.assign(**changed) if changed else frame

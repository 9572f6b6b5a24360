"""What the user has - a frame, a file, SQL, a relation - opened as one view that SQL can read."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from attribution.errors import ColumnTypeError, OptionError, SourceError
from attribution.expressions import quote_identifier, quote_literal
from attribution.source.delimited import Reading, escape_glob, open_csv, refuse_repeated
from attribution.source.engine import Query, connect, is_sql, reading_problem, single_select
from attribution.source.files import open_database_file, open_workbook, paths_of, split_part
from attribution.source.secrets import redacted
from attribution.source.warehouse import (
    Remote,
    check_stoppable,
    from_ibis,
    from_spark,
    is_ibis,
    is_spark,
)

__all__ = [
    "ArrowOnly",
    "Table",
    "open_table",
]

_NUMBERS = itertools.count()
# Relations and files of DuckDB are in databases of their own.
_THEIRS = ("relation", "duckdb")
_SUFFIXES = (".parquet", ".csv", ".csv.gz")
_READ = "a file that can be read (.parquet, .csv, .csv.gz, .xlsx, .duckdb, a folder of .parquet)"


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
    relation : duckdb.DuckDBPyRelation or Remote
        The rows, on the engine that holds them.
    connection : duckdb.DuckDBPyConnection or None
        What runs the queries, where it is ours.
    timeout : float or None
        Seconds after which a query is stopped.
    """

    kind: str
    name: str
    columns: dict[str, str]
    types: dict[str, str]
    relation: Any
    connection: Any = None
    timeout: float | None = None

    def query(self, sql: str) -> Any:
        """Return one query over `source`; it runs where the data is."""
        found = self.relation.query("source", sql)
        if isinstance(found, Remote):
            return replace(found, timeout=self.timeout)
        return found if self.remote else Query(found, self.connection, self.timeout)

    @contextmanager
    def kept(self, sql: str, workspace: Any) -> Iterator[str]:
        """Run one query over `source` and keep its rows in a table for the time of the block.

        Parameters
        ----------
        sql : str
        workspace : duckdb.DuckDBPyConnection
            From `connect`; it can read the table.

        Yields
        ------
        str
            The name of the table.
        """
        found = self.query(sql)
        name = f"kept_{next(_NUMBERS)}"
        if isinstance(found, Query) and self.connection is not None and self.kind not in _THEIRS:
            # On the same database, the rows need not be copied.
            found.create(name)
        else:
            # An Arrow stream is asked for more than once; materialized, the query runs only once.
            workspace.register("stream", ArrowOnly(found.materialize()))
            workspace.execute(f"CREATE TABLE {name} AS FROM stream")
            workspace.unregister("stream")
        try:
            yield name
        finally:
            workspace.execute(f"DROP TABLE {name}")

    @property
    def remote(self) -> bool:
        """Whether another engine than DuckDB holds the rows."""
        return isinstance(self.relation, Remote)


def open_table(
    data: object, choose: Callable[[list[str]], Reading], timeout: float | None = None
) -> Table:
    """Open `data` as a table that SQL can read.

    Parameters
    ----------
    data : frame, relation, path, glob or SQL text
        pandas, Polars (eager, lazy), Arrow (table or dataset), a DuckDB relation, a path or glob of
        Parquet or CSV, a folder of Parquet files, a workbook or DuckDB file
        (``"book.xlsx::sheet"``, ``"warehouse.duckdb::table"``), an Ibis table, a PySpark frame, or
        one SELECT statement.
    choose : callable
        Names of all columns -> what is read of them; it raises where it misses one.
        Of a frame only these cross into the engine (files read what a query names).
    timeout : float, optional
        Seconds after which a statement is stopped on the engine that runs it.

    Returns
    -------
    Table

    Raises
    ------
    SourceError
        No such file, an unreadable file, SQL that is not exactly one query.
    ColumnTypeError
        `data` is of a type that is not a table.
    OptionError
        There is a `timeout`, and the engine cannot be stopped from here.
    """
    table = _opened(data, choose)
    if timeout is None:
        return table
    if table.remote:
        check_stoppable(table.relation)
    elif table.connection is None:
        raise OptionError(
            "timeout: a relation runs on your own connection, which it does not tell. Pass SQL "
            "text, a file or a frame, or call interrupt() of that connection yourself."
        )
    return replace(table, timeout=timeout)


def _opened(data: object, choose: Callable[[list[str]], Reading]) -> Table:
    if isinstance(data, duckdb.DuckDBPyRelation):
        return _described("relation", "", data, choose)
    if isinstance(data, Query):
        return _described("relation", "", data.relation, choose, data.connection)
    if isinstance(data, str | os.PathLike):
        text = os.fspath(data)
        if isinstance(data, str) and is_sql(text):
            connection = connect()
            relation = single_select(connection, text)
            name = redacted(" ".join(text.split()))
            return _described("sql", name, relation, choose, connection)
        return _file_table(os.fsdecode(text), choose)
    if is_ibis(data) or is_spark(data):
        return _remote_table(data, choose)
    if "pyarrow.dataset" in sys.modules and isinstance(
        data, sys.modules["pyarrow.dataset"].Dataset
    ):
        connection = connect()
        connection.register("dataset", data)
        return _described("pyarrow dataset", "", connection.sql("FROM dataset"), choose, connection)
    return _frame_table(data, choose)


def _described(
    kind: str,
    name: str,
    relation: Any,
    choose: Callable[[list[str]], Reading],
    connection: Any = None,
) -> Table:
    names = list(relation.columns)
    refuse_repeated(names, choose(names))
    if len({n.casefold() for n in names}) == len(names):
        return _table(kind, name, names, [quote_identifier(n) for n in names], relation, connection)
    # The engine folds the case of names: "queue" would find "Queue". Positions cannot be mistaken.
    short = [f"c{i}" for i in range(len(names))]
    relation = relation.query("source", f"FROM source AS source({', '.join(short)})")
    return _table(kind, name, names, short, relation, connection)


def _table(
    kind: str,
    name: str,
    names: list[str],
    references: list[str],
    relation: Any,
    connection: Any = None,
) -> Table:
    columns = dict(zip(names, references, strict=True))
    types = dict(zip(names, map(str, relation.types), strict=True))
    for column, found in types.items():
        if found == "TIMESTAMP WITH TIME ZONE":
            # Not in the zone of the machine, which would move rows between periods.
            columns[column] = f"({columns[column]} AT TIME ZONE 'UTC')"
            types[column] = "TIMESTAMP"
    return Table(kind, name, columns, types, relation, connection)


def _remote_table(data: Any, choose: Callable[[list[str]], Reading]) -> Table:
    names = list(data.columns)
    reading = choose(names)
    read = list(reading.columns)
    refuse_repeated(names, reading)
    kind, opened = ("spark", from_spark) if is_spark(data) else ("ibis", from_ibis)
    remote = opened(data, read, _without_rows)
    return _table(kind, "", read, remote.columns, remote)


def _without_rows(types: dict[str, str]) -> Any:
    nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in types.items()) or "1 AS c"
    return connect().sql(f"SELECT {nulls} WHERE false")


def _file_table(path: str, choose: Callable[[list[str]], Reading]) -> Table:
    file, part, container = split_part(path)
    if container == "database":
        relation, connection = open_database_file(file, part)
        return _described("duckdb", path, relation, choose, connection)
    if container == "workbook":
        names, sheet = open_workbook(file, part)

        def chosen(columns: list[str]) -> Reading:
            reading = choose(columns)
            refuse_repeated(names, reading, path)
            return reading

        return replace(_frame_table(sheet, chosen), kind="excel", name=path)
    suffix = next((s for s in _SUFFIXES if path.lower().endswith(s)), None)
    suffix = ".parquet" if os.path.isdir(path) else suffix
    if suffix is None:
        shown = redacted(path)
        if "://" in path:
            raise SourceError(
                f"data: {shown!r} is an address, not a table. Pass an Ibis table of it: "
                "ibis.connect(address).table(name)."
            )
        raise SourceError(f"data: {shown!r} is neither {_READ} nor SQL (SELECT, WITH or FROM ...).")
    paths = paths_of(path)
    connection = connect()
    try:
        if suffix == ".parquet":
            listed = ", ".join(quote_literal(escape_glob(p)) for p in paths)
            # The values in names of folders (month=08/queue=live/) are labels, as they are written.
            relation = connection.sql(
                f"FROM read_parquet([{listed}], union_by_name=true, hive_types_autocast=false)"
            )
            return _described("parquet", path, relation, choose, connection)
        names, relation = open_csv(connection, paths, choose)
        return _table(
            "csv", path, names, [f"c{i}" for i in range(len(names))], relation, connection
        )
    except duckdb.Error as error:
        problem = reading_problem(error)
        named = problem if problem.startswith("'") else f"{path!r} cannot be read. {problem}"
        raise SourceError(f"data: {named}") from error


class ArrowOnly:
    """An Arrow stream and nothing else: how a frame, or another connection's result, comes in."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def _frame_table(data: object, choose: Callable[[list[str]], Reading]) -> Table:
    import narwhals as nw

    try:
        frame = nw.from_native(data)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except TypeError as error:
        raise ColumnTypeError(
            f"data: {_type_name(data)} is not a table. Allowed: a "
            "pandas, Polars or Arrow table, a DuckDB relation, an Ibis table, a PySpark frame, "
            "a path or glob (.parquet .csv .csv.gz .xlsx .duckdb), SQL text."
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise SourceError(f"data: {' '.join(str(error).split())[:300]}") from error
    names = list(frame.collect_schema().names())
    wanted = choose(names)
    read = wanted.columns
    # Engines fold the case of names, and a frame's library may take one for a pattern ("*"): short
    # names of our own avoid every clash.
    frame = frame.rename({name: f"c{i}" for i, name in enumerate(names)})
    schema = frame.collect_schema()
    short = {name: f"c{names.index(name)}" for name in read}
    plain = frame.to_native()
    types = plain.collect_schema() if frame.implementation.is_polars() else {}
    frame = frame.select(
        [_column(schema, column, str(types.get(column)) == "Null") for column in short.values()]
    )
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    native = frame.to_native()
    kind = str(frame.implementation).lower()
    if kind == "pandas" and wanted.period is not None:
        _check_one_type(native[short[wanted.period]], wanted.period)
    connection = connect()
    connection.register("frame", _plain(native) if kind == "pandas" else ArrowOnly(native))
    relation = connection.sql("FROM frame")
    return _table(kind, "", list(short), list(short.values()), relation, connection)


def _check_one_type(values: Any, name: str) -> None:
    """Refuse periods of several types: 202601 and "2026-01" would be two periods."""
    from pandas.api.types import infer_dtype

    if values.dtype != object or infer_dtype(values, skipna=True) not in ("mixed", "mixed-integer"):
        return
    seen: dict[str, object] = {}
    for value in values[values.notna()]:
        seen.setdefault(type(value).__name__, value)
    if len(seen) > 1:
        named = ", ".join(f"{kind} ({value!r})" for kind, value in seen.items())
        raise ColumnTypeError(
            f"period: column {name!r} mixes types: {named}. Convert it to one type first."
        )


def _column(schema: Any, name: str, nothing: bool) -> Any:
    """A column; times with a zone as the clock in that zone shows them."""
    import narwhals as nw

    if nothing:  # Polars writes a column of no type in a way that the engine cannot read
        return nw.lit(None, nw.Float64).alias(name)
    zone = getattr(schema[name], "time_zone", None)
    return nw.col(name).dt.replace_time_zone(None) if zone else nw.col(name)


def _type_name(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value)
    return (
        f"a {kind.__qualname__}"
        if kind.__module__ == "builtins"
        else f"a {kind.__module__}.{kind.__qualname__}"
    )


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

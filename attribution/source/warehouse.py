"""Tables of other engines - Ibis expressions, Spark frames: the work is done where they are.

A scan is written in DuckDB's SQL. Here each of its queries is translated by sqlglot for the engine
that holds the table and run there: the condition, expressions, weights, the cutting of dates, the
rules of the data contract and the GROUP BY. What comes back is the grouped result and, where rows
break the contract, how many and the first few. An empty table of the same columns in DuckDB gives
the types, and refuses what does not fit them, before anything is sent.

Sums of floating-point numbers are the engine's own (DuckDB's here carry the rounding error along).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any
from uuid import uuid4

from attribution.errors import OptionError, SourceError, listing, nearest
from attribution.expressions import quote_identifier
from attribution.source.engine import connect
from attribution.source.secrets import redacted
from attribution.source.stopping import stoppable

__all__ = [
    "DUCKDB_ITSELF",
    "Remote",
    "check_stoppable",
    "from_ibis",
    "from_spark",
    "is_ibis",
    "is_spark",
    "one_select",
    "open_warehouse",
    "translate",
]

DUCKDB_ITSELF = (
    'a DuckDB file is read without Ibis: in the place of warehouse write database = "FILE" and '
    'query = "SELECT * FROM TABLE".'
)
_INTEGERS = {
    "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT",
    "uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER",
}  # fmt: skip
_PLAIN = {
    **_INTEGERS, "float32": "FLOAT", "float64": "DOUBLE", "boolean": "BOOLEAN",
    "string": "VARCHAR", "date": "DATE",
}  # fmt: skip
_SPARK = {
    "tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER", "bigint": "BIGINT",
    "float": "FLOAT", "double": "DOUBLE", "boolean": "BOOLEAN", "string": "VARCHAR",
    "date": "DATE", "timestamp_ntz": "TIMESTAMP",
}  # fmt: skip
# How a connection is told, from another thread, to stop: by the backend's name in Ibis.
_STOPS = {"duckdb": "interrupt", "postgres": "cancel"}
# A hash of a cluster, to divide a large result: any will do that is the same in each query.
_HASHES = {
    "postgres": "CAST(hashtext(CAST({} AS TEXT)) AS BIGINT)", "spark": "xxhash64({})",
    "databricks": "xxhash64({})", "bigquery": "FARM_FINGERPRINT(CAST({} AS STRING))",
    "trino": "from_big_endian_64(xxhash64(to_utf8(CAST({} AS VARCHAR))))",
    "clickhouse": "cityHash64({})",
}  # fmt: skip
_LARGEST = "1.7976931348623157E308"


@dataclass(frozen=True, eq=False)
class Remote:
    """A table of another engine, or a query over one.

    It answers as a DuckDB relation does; a query runs when its rows are asked for.

    Attributes
    ----------
    twin : duckdb.DuckDBPyRelation
        The same columns without rows, or the same query over it.
    run : callable
        A query over `source` in DuckDB's SQL, and the types of its columns -> an Arrow table.
    engine : str
    stop : callable or None
        Stops, from another thread, what `run` runs; None where the engine has no way to.
    sql : str
        The query; "" is the table itself.
    timeout : float or None
        Seconds after which it is stopped.
    """

    twin: Any
    run: Callable[[str, dict[str, str]], Any]
    engine: str
    stop: Callable[[], object] | None
    sql: str = ""
    timeout: float | None = None

    @property
    def columns(self) -> list[str]:
        return list(self.twin.columns)

    @property
    def types(self) -> list[Any]:
        return list(self.twin.types)

    def query(self, name: str, sql: str) -> Any:
        """Return a query over the table, which it calls by `name`."""
        twin = self.twin.query(name, sql)
        reads = re.search(rf"\b{name}\b", sql)
        return replace(self, twin=twin, sql=sql) if reads else twin

    @cached_property
    def fetched(self) -> Any:
        """The rows, as a DuckDB relation."""
        types = dict(zip(self.columns, map(str, self.types), strict=True))
        connection = connect()
        run = partial(self.run, self.sql, types)
        table = run() if self.stop is None else stoppable(run, self.stop, self.timeout)
        # Engines call a count without a name differently.
        table = table.rename_columns(self.columns)
        connection.register("fetched", table)
        casts = ", ".join(
            f"{quote_identifier(name)}::{kind} AS {quote_identifier(name)}"
            for name, kind in types.items()
        )
        return connection.sql(f"SELECT {casts} FROM fetched")

    def materialize(self) -> Any:
        return self.fetched

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.fetched.fetchall()

    def fetchnumpy(self) -> dict[str, Any]:
        return self.fetched.fetchnumpy()


def is_ibis(data: object) -> bool:
    """Return whether data is an Ibis table, without importing Ibis."""
    module = sys.modules.get("ibis.expr.types")
    return module is not None and isinstance(data, module.Table)


def is_spark(data: object) -> bool:
    """Return whether data is a Spark frame, without importing Spark."""
    module = sys.modules.get("pyspark.sql")
    return module is not None and isinstance(data, module.DataFrame)


def from_ibis(data: Any, read: Sequence[str], twin: Callable[[dict[str, str]], Any]) -> Remote:
    """Open an Ibis table.

    Parameters
    ----------
    data : ibis.Table
        Bound to a connection.
    read : sequence of str
        The columns that are read; they become c0, c1, ...
    twin : callable
        Types by column -> an empty relation.

    Raises
    ------
    SourceError
        There is no connection, or the engine refuses the query.
    """
    try:
        backend = data.get_backend()
    except Exception as error:
        raise SourceError(f"data: the Ibis table has no connection ({_line(error)}).") from error
    columns, types = {}, {}
    for i, name in enumerate(read):
        kind = data[name].type()
        plain = _PLAIN.get(str(kind).lstrip("!"))
        if kind.is_timestamp():
            plain = "TIMESTAMP WITH TIME ZONE" if kind.timezone else "TIMESTAMP"
        column = data[name]
        if kind.is_decimal() and kind.precision and kind.scale is not None:
            # As it is: identifiers of many digits would be rounded together.
            plain = _decimal(kind.precision, kind.scale)
        if plain is None:
            # Numbers of no fixed size count as they do in DuckDB; anything else is a label.
            plain, cast = ("DOUBLE", "float64") if kind.is_numeric() else ("VARCHAR", "string")
            column = column.cast(cast)
        columns[f"c{i}"], types[f"c{i}"] = column, plain
    dialect = str(backend.dialect.__name__).lower()
    inner = str(backend.compile(data.select(**columns)))

    def run(sql: str, kinds: dict[str, str]) -> Any:
        text = translate(sql, inner, dialect, types)
        try:
            return backend.sql(text, schema=_ibis_schema(kinds)).to_pyarrow()
        except Exception as error:
            place = _place(backend)
            raise SourceError(f"data: {place} cannot answer. {_line(error)}") from error

    stop = getattr(backend.con, _STOPS[backend.name]) if backend.name in _STOPS else None
    return Remote(twin(types), run, backend.name, stop)


def from_spark(data: Any, read: Sequence[str], twin: Callable[[dict[str, str]], Any]) -> Remote:
    """Open a Spark frame; parameters and errors as for `from_ibis`.

    Times with a zone count by the clock of the session's zone, as Spark shows them.
    """
    frame = data.toDF(*(f"c{i}" for i in range(len(data.columns))))
    casts, types = [], {}
    for i, name in enumerate(read):
        at = data.columns.index(name)
        found = data.schema.fields[at].dataType.simpleString()
        column, plain = frame[f"c{at}"], _SPARK.get(found)
        if plain is None:
            wanted, plain = "string", "VARCHAR"
            if found.startswith("decimal"):
                wanted, plain = found, found.upper()
            elif found == "timestamp":
                wanted, plain = "timestamp_ntz", "TIMESTAMP"
            column = column.cast(wanted)
        casts.append(column.alias(f"c{i}"))
        types[f"c{i}"] = plain
    frame = frame.select(*casts)
    session, tag = data.sparkSession, f"kpi_attribution_{uuid4().hex}"
    context = _context(session)

    def run(sql: str, kinds: dict[str, str]) -> Any:
        view = f"kpi_attribution_{uuid4().hex}"
        frame.createOrReplaceTempView(view)
        if context is not None:
            context.addJobTag(tag)
        try:
            return session.sql(translate(sql, f"SELECT * FROM {view}", "spark", types)).toArrow()
        except Exception as error:
            raise SourceError(f"data: Spark cannot answer. {_line(error)}") from error
        finally:
            if context is not None:
                context.removeJobTag(tag)
            session.catalog.dropTempView(view)

    stop = None if context is None else partial(context.cancelJobsWithTag, tag)
    return Remote(twin(types), run, "Spark", stop)


def _context(session: Any) -> Any:
    """What knows the jobs of a session; a session of Spark Connect does not."""
    try:
        return session.sparkContext
    except Exception:
        return None


def check_stoppable(remote: Remote) -> None:
    """Raise `OptionError` where a statement of the engine cannot be stopped from here."""
    if remote.stop is None:
        raise OptionError(
            f"timeout: a statement of {remote.engine} cannot be stopped from here (those of "
            f"{', '.join([*_STOPS, 'Spark'])} can). Set the limit of the engine itself on its "
            "connection."
        )


def translate(sql: str, inner: str, dialect: str, types: dict[str, str]) -> str:
    """Write a query over `source` for another engine.

    Parameters
    ----------
    sql : str
        One SELECT in DuckDB's SQL.
    inner : str
        What `source` is, in the other engine's SQL.
    dialect : str
        The engine, by its name in sqlglot.
    types : dict of str to str
        The columns of `source` and their types.

    Returns
    -------
    str

    Raises
    ------
    SourceError
        `inner` is not exactly one SELECT, or changes data.
    """
    source = one_select(inner, dialect, "data: the table")
    import sqlglot  # pyright: ignore[reportMissingImports]
    from sqlglot import expressions as sx  # pyright: ignore[reportMissingImports]

    number = sx.DataType.build("DOUBLE")

    def is_nan(value: Any) -> Any:
        if dialect in ("postgres", "snowflake"):  # where NaN equals itself and has no function
            return sx.EQ(this=value, expression=sx.cast(sx.Literal.string("NaN"), number))
        return sx.IsNan(this=value)

    def beyond(value: Any, comparison: Any) -> Any:
        return comparison(this=sx.Abs(this=value), expression=sx.Literal.number(_LARGEST))

    def try_cast(node: Any) -> Any:
        if isinstance(node.this, sx.Literal):  # known to fit
            return sx.cast(node.this, node.to)
        if dialect != "postgres":
            return node
        text = sx.cast(node.this, sx.DataType.build("TEXT"))
        form = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
        if not node.to.is_type("double"):
            form = r"^\s*\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?\s*$"
        fits = sx.RegexpLike(this=text, expression=sx.Literal.string(form))
        return sx.Case().when(fits, sx.cast(text.copy(), node.to))

    def is_text(node: Any) -> bool:
        return isinstance(node, sx.Column) and types.get(node.name) == "VARCHAR"

    def rewrite(node: Any) -> Any:
        match node:
            case sx.Table() if node.name == "source":
                return source.copy().subquery(node.alias or "source")
            case sx.Anonymous() if node.name.lower() == "hash" and dialect in _HASHES:
                key = node.expressions[0].sql(dialect=dialect)
                return sqlglot.parse_one(_HASHES[dialect].format(key), read=dialect)
            case sx.Anonymous() if node.name.lower() == "fsum":
                return sx.Sum(this=node.expressions[0])
            case sx.Anonymous() if node.name.lower() == "isfinite":
                return beyond(node.expressions[0], sx.LTE)
            case sx.IsInf():
                # In parentheses: what stands before it may be NOT.
                return sx.Paren(
                    this=sx.and_(beyond(node.this, sx.GT), sx.not_(is_nan(node.this.copy())))
                )
            case sx.TryCast():
                return try_cast(node)
            case sx.GT() | sx.GTE() | sx.LT() | sx.LTE() if dialect == "postgres" and (
                is_text(node.this) or is_text(node.expression)
            ):
                # By code points, as everywhere else, not by the rules of a language.
                node.set(
                    "this",
                    sx.Collate(this=node.this, expression=sx.to_identifier("C", quoted=True)),
                )
            case sx.Window() if isinstance(node.this, sx.RowNumber) and not node.args.get("order"):
                by = {"spark": "monotonically_increasing_id()", "snowflake": "NULL"}
                by["databricks"] = by["spark"]
                if dialect in by:
                    ordered = sx.Ordered(this=sqlglot.parse_one(by[dialect]), nulls_first=True)
                    node.set("order", sx.Order(expressions=[ordered]))
            case sx.TimestampTrunc() | sx.DateTrunc() if dialect == "bigquery":
                if str(node.args["unit"].name).upper() == "WEEK":  # begins on Sunday there
                    node.set("unit", sx.var("ISOWEEK"))
        return node

    query = sqlglot.parse_one(sql, read="duckdb").transform(rewrite)
    for i, part in enumerate(list(query.find_all(sx.Subquery))):
        if isinstance(part.parent, sx.From | sx.Join) and not part.alias:
            part.set("alias", sx.TableAlias(this=sx.to_identifier(f"q{i}")))
    return query.sql(dialect=dialect, identify=True)


def one_select(text: str, dialect: str, named: str) -> Any:
    """Return the one statement of a text that reads and changes nothing.

    Parameters
    ----------
    text : str
        SQL of another engine.
    dialect : str
        The engine, by its name in sqlglot.
    named : str
        What the error calls it.

    Returns
    -------
    sqlglot.expressions.Query

    Raises
    ------
    SourceError
        It is no SQL, not exactly one SELECT, or changes data.
    """
    try:
        import sqlglot.errors  # pyright: ignore[reportMissingImports]
        from sqlglot import expressions as sx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SourceError(
            "data: SQL for another engine is written by sqlglot. Install "
            "'kpi-attribution[warehouse]' or 'kpi-attribution[spark]'."
        ) from error
    try:
        statements = sqlglot.parse(text, read=dialect)
    except sqlglot.errors.ParseError as error:
        raise SourceError(f"{named}: the SQL cannot be parsed. {_line(error)}") from error
    changes = (sx.Insert, sx.Update, sx.Delete, sx.Merge, sx.Create, sx.Drop, sx.Command)
    if len(statements) != 1 or not isinstance(statements[0], sx.Query):
        raise SourceError(f"{named} is not exactly one SELECT statement.")
    if statements[0].find(*changes):
        raise SourceError(f"{named}'s SQL changes data; it must only read.")
    return statements[0]


@contextmanager
def open_warehouse(address: str, table: str | None, query: str | None) -> Iterator[Any]:
    """Connect to a warehouse through Ibis and yield one of its tables, or a query over them.

    Parameters
    ----------
    address : str
        ``"postgresql://user:password@host/database"``, or another that ``ibis.connect`` takes.
    table : str or None
        Its name, with a schema in front where it needs one: "qa.reviews".
    query : str or None
        One SELECT statement in the warehouse's own SQL.

    Yields
    ------
    ibis.Table

    Raises
    ------
    SourceError
        Ibis is not installed, the warehouse cannot be reached, has no such table, or the query is
        not exactly one that reads; the address is that of a DuckDB file, which needs no Ibis.
    """
    if address.strip().casefold().startswith("duckdb:"):
        raise SourceError(f"warehouse: {DUCKDB_ITSELF}")
    try:
        import ibis  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SourceError(
            "warehouse: it is read through Ibis. Install 'kpi-attribution[warehouse]', and Ibis "
            "for your engine."
        ) from error
    try:
        backend = ibis.connect(address)
    except Exception as error:
        raise SourceError(f"warehouse: it cannot be reached. {_line(error)}") from error
    try:
        yield _read_from(backend, table, query)
    finally:
        with suppress(Exception):  # the answer is there; a connection that is gone needs no end
            backend.disconnect()


def _read_from(backend: Any, table: str | None, query: str | None) -> Any:
    if query is not None:
        dialect = str(backend.dialect.__name__).lower()
        # Before the engine sees it: to ask it for the columns would run all statements.
        one_select(query, dialect, "query")
    schema, _, name = (table or "").rpartition(".")
    place = _place(backend)
    try:
        if query is not None:
            return backend.sql(query)
        known = backend.list_tables(database=schema or None)
        if name in known:
            return backend.table(name, database=schema or None)
    except Exception as error:
        raise SourceError(f"warehouse: {place} cannot answer. {_line(error)}") from error
    raise SourceError(
        f"warehouse: {place} has no table {table!r}.{nearest(name, known)} "
        f"There: {listing(known, most=30)}."
    )


def _ibis_schema(kinds: dict[str, str]) -> dict[str, str]:
    names = {kind: name for name, kind in _PLAIN.items()}
    names |= {"TIMESTAMP": "timestamp", "HUGEINT": "decimal(38, 0)"}
    return {
        column: kind.lower() if kind.startswith("DECIMAL") else names.get(kind, "string")
        for column, kind in kinds.items()
    }


def _decimal(precision: int, scale: int) -> str | None:
    """DuckDB's type of numbers of a fixed point, None where they have more digits than it holds."""
    return f"DECIMAL({precision},{scale})" if 0 <= scale <= precision <= 38 else None


def _place(backend: Any) -> str:
    """Name the engine, and the database and host where it tells them."""
    info = getattr(getattr(backend, "con", None), "info", None)
    place = [f"{getattr(info, 'dbname', '')!r} on {getattr(info, 'host', '')!r}"] if info else []
    return " ".join([str(backend.name), *place])


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return redacted(lines[0])[:400] if lines else type(error).__name__

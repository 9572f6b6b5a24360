"""Sources that outlive a scan: which files a path means, a database file, rows that come twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attribution.errors import ColumnNotFoundError, MissingFileError, listing, nearest
from attribution.source.delimited import Reading
from attribution.source.engine import Query, is_sql, single_select
from attribution.source.files import paths_of, read_only, split_part
from attribution.source.tables import open_table

__all__ = ["files_of", "open_database", "repeated_rows"]


def files_of(data: str) -> list[tuple[str, int, int]] | None:
    """Return path, size and time stamp (ns) of the files that a path or glob means.

    Parameters
    ----------
    data : str

    Returns
    -------
    list of (str, int, int), or None
        Sorted; None for SQL text, which may read anything.
    """
    if is_sql(data):
        return None
    try:
        paths = paths_of(split_part(data)[0])
    except MissingFileError:
        paths = []
    stats = [(path, os.stat(path)) for path in paths]
    return [(path, found.st_size, found.st_mtime_ns) for path, found in stats]


@contextmanager
def open_database(path: str, query: str) -> Iterator[Query]:
    """Open a DuckDB file for reading only and yield one query over it.

    Parameters
    ----------
    path : str
    query : str
        One SELECT statement.

    Yields
    ------
    Query

    Raises
    ------
    MissingFileError, SourceError
        No such file, not a database, or not exactly one SELECT statement.
    """
    if not Path(path).exists():
        folder = Path(path).parent
        beside = [p.name for p in folder.glob("*")] if folder.is_dir() else []
        raise MissingFileError(f"database: no file {path!r}.{nearest(Path(path).name, beside)}")
    connection = read_only(path, "database")
    try:
        yield Query(single_select(connection, query), connection)
    finally:
        connection.close()


def repeated_rows(data: object, key: Sequence[str], timeout: float | None = None) -> int:
    """Return how many rows repeat the key of another row.

    Parameters
    ----------
    data : table
        Anything `open_table` opens.
    key : sequence of str
        The columns that tell rows apart.
    timeout : float, optional
        Seconds after which the statement is stopped.

    Returns
    -------
    int

    Raises
    ------
    ColumnNotFoundError
        There is no such column.
    """

    def every(names: list[str]) -> Reading:
        for column in key:
            if column not in names:
                raise ColumnNotFoundError(
                    f"key: no column {column!r}.{nearest(column, names)} "
                    f"Columns: {listing(names, most=30)}."
                )
        return Reading(tuple(key), frozenset(key))

    table = open_table(data, every, timeout)
    columns = ", ".join(table.columns[name] for name in key)
    rows, distinct = table.query(
        f"SELECT sum(n), count(*) FROM (SELECT count(*) AS n FROM source GROUP BY {columns})"
    ).fetchall()[0]
    return int((rows or 0) - distinct)

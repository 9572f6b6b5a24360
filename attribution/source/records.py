"""The rows of a small table, such as targets, as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attribution.errors import ColumnNotFoundError, listing, naming, nearest
from attribution.source.delimited import Reading
from attribution.source.tables import open_table
from attribution.source.types import without_nan

__all__ = ["read_records"]


def read_records(
    data: object,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    *,
    parameter: str = "data",
    labels: Sequence[str] = (),
) -> dict[str, list[Any]]:
    """Return columns of a table, row by row.

    Parameters
    ----------
    data : table
        Anything `open_table` opens.
    needed, optional : sequence of str
        Columns that must be, and that may be, there.
    parameter : str
        Named in the error.
    labels : sequence of str
        Those that only name things; read as text from a CSV file.

    Returns
    -------
    dict of str to list
        Column -> values; an optional column that is not there is left out.

    Raises
    ------
    ColumnNotFoundError
        A needed column is missing.
    SourceError, ColumnTypeError
        The table cannot be read.
    """
    found: list[str] = []

    def choose(names: list[str]) -> Reading:
        for column in needed:
            if column not in names:
                raise ColumnNotFoundError(
                    f"{parameter}: no column {column!r}.{nearest(column, names)} "
                    f"Columns: {listing(names, most=30)}."
                )
        found.extend([*needed, *(c for c in optional if c in names and c not in needed)])
        return Reading(tuple(found), frozenset(labels) & frozenset(found))

    with naming(parameter):
        table = open_table(data, choose)
    columns = [without_nan(table.columns[name], table.types[name]) for name in found]
    rows = table.query(f"SELECT {', '.join(columns)} FROM source").fetchall()
    return {name: [row[i] for row in rows] for i, name in enumerate(found)}

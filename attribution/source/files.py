"""Files on disk: which of them a path means, and the tables inside a database or a workbook."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

import duckdb

from attribution.errors import MissingFileError, SourceError, listing, nearest
from attribution.expressions import quote_identifier
from attribution.source.secrets import redacted

__all__ = ["open_database_file", "open_workbook", "paths_of", "read_only", "split_part"]

_DATABASES = (".duckdb", ".ddb")
_WORKBOOKS = (".xlsx", ".xlsm")
_WITHIN = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, _DATABASES + _WORKBOOKS))}))::(.+)", re.IGNORECASE | re.DOTALL
)


def split_part(path: str) -> tuple[str, str | None, str | None]:
    """Tell a file from the table or the sheet that is meant in it.

    Returns
    -------
    tuple of (str, str or None, str or None)
        The file; the part after ``::``; "database", "workbook", or None where a file is one table.

    Examples
    --------
    >>> split_part("warehouse.duckdb::reviews")
    ('warehouse.duckdb', 'reviews', 'database')
    >>> split_part("reviews.parquet")
    ('reviews.parquet', None, None)
    """
    found = _WITHIN.fullmatch(path)
    file, part = found.groups() if found else (path, None)
    if file.lower().endswith(_DATABASES):
        return file, part, "database"
    return file, part, "workbook" if file.lower().endswith(_WORKBOOKS) else None


def paths_of(path: str) -> list[str]:
    """Return the files that a path, a folder of Parquet files or a glob means, sorted.

    Raises
    ------
    MissingFileError
        There is none.
    """
    if os.path.isdir(path):
        paths = sorted(glob.glob(os.path.join(glob.escape(path), "**/*.parquet"), recursive=True))
        if not paths:
            raise MissingFileError(f"data: no Parquet file lies in the folder {path!r}.")
        return paths
    paths = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
    if not paths:
        folder = Path(path).parent
        beside = [p.name for p in folder.glob("*")] if folder.is_dir() else []
        hint = nearest(Path(path).name, beside)
        raise MissingFileError(f"data: no file matches {redacted(path)!r}.{hint}")
    return paths


def read_only(path: str, parameter: str = "data") -> Any:
    """Open a DuckDB file so that nothing can be written to it.

    Raises
    ------
    SourceError
        It is no database, or open for writing.
    """
    try:
        return duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        problem = str(error).strip().splitlines()[0]
        hint = (
            " It is open for writing here: pass a relation of that connection."
            if "different configuration" in problem
            else ""
        )
        raise SourceError(f"{parameter}: {path!r} cannot be opened. {problem}{hint}") from error


def open_database_file(path: str, part: str | None) -> tuple[Any, Any]:
    """Return a table or view of a DuckDB file as a relation, and its read-only connection.

    Parameters
    ----------
    path : str
    part : str or None
        ``"table"`` or ``"schema.table"``; None takes the only one there is.
    """
    connection = read_only(paths_of(path)[0])
    rows = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal UNION "
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    there = {t if s == "main" else f"{s}.{t}": (s, t) for s, t in rows}
    there |= {f"main.{t}": (s, t) for s, t in rows if s == "main" and part == f"main.{t}"}
    schema, table = there[_chosen(path, part, list(there), "table")]
    relation = connection.sql(f"FROM {quote_identifier(schema)}.{quote_identifier(table)}")
    return relation, connection


def open_workbook(path: str, part: str | None) -> tuple[list[str], Any]:
    """Return the names of a sheet's columns, its first row, and the sheet as a frame.

    A name that comes again has a number in the frame, as a column without a name has.

    Texts stay as they are written ("NA" is a market); only empty cells are missing.

    Parameters
    ----------
    path : str
    part : str or None
        The sheet; None takes the only one there is.
    """
    import pandas as pd

    file = paths_of(path)[0]
    try:
        with pd.ExcelFile(file, engine="openpyxl") as book:
            sheet = _chosen(path, part, [str(name) for name in book.sheet_names], "sheet")
            cells = pd.read_excel(
                book, sheet, header=None, dtype=object, keep_default_na=False, na_values=[""]
            )
    except ImportError as error:
        raise SourceError(
            f"data: {path!r} is a workbook, which openpyxl reads. Install 'kpi-attribution[excel]'."
        ) from error
    except SourceError:
        raise
    except Exception as error:  # a damaged file fails in zipfile, in XML or anywhere below
        raise SourceError(f"data: {path!r} cannot be read as a workbook ({error}).") from error
    head, rows = (cells.iloc[0] if len(cells) else []), cells.iloc[1:].reset_index(drop=True)
    names = [f"column {i}" if pd.isna(x) else str(x) for i, x in enumerate(head, 1)]
    columns: dict[str, Any] = {}
    for i, name in enumerate(names):
        columns[f"{name} (column {i + 1})" if name in columns else name] = _typed(rows[i])
    return names, pd.DataFrame(columns, index=rows.index)


def _typed(cells: Any) -> Any:
    """Give a column the type that all of its cells have, the empty ones aside."""
    filled = cells.dropna()
    if len(filled) < len(cells) and all(isinstance(x, bool) for x in filled):
        return cells.astype("boolean")
    return filled.infer_objects().reindex(cells.index)


def _chosen(path: str, part: str | None, there: list[str], kind: str) -> str:
    if part is None and len(there) == 1:
        return there[0]
    if part is not None and part in there:
        return part
    if not there:
        raise SourceError(f"data: {path!r} holds no {kind}.")
    if part is None:
        raise SourceError(
            f"data: {path!r} holds {len(there)} {kind}s; name one, as in "
            f"{f'{path}::{there[0]}'!r}. There: {listing(there, most=30)}."
        )
    raise SourceError(
        f"data: no {kind} {part!r} in {path!r}.{nearest(part, there)} "
        f"There: {listing(there, most=30)}."
    )

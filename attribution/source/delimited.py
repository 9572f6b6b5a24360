"""CSV files as one relation: every line is read, every field counted, nothing guessed for a label.

The engine's own detection is not used. To make a file with one bad line fit, it skips lines or
changes the delimiter; it rounds "1.5" to 2 in a column that began with whole numbers; and it drops
the zeros of "007". Here the header names the columns, labels are text as they are written, and any
other column is numbers, dates or flags if its first values are - a later one that is not is an
error that names file and line.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attribution.errors import SourceError
from attribution.expressions import quote_identifier, quote_literal

__all__ = ["Reading", "escape_glob", "open_csv", "refuse_repeated"]

_DELIMITERS = ",;\t|"
_SAMPLE = 20_480
_FORMAT = (
    "auto_detect=false, header=true, skip=0, quote='\"', escape='\"', comment='', "
    "strict_mode=true, null_padding=false, ignore_errors=false"
)
_WHOLE = "[+-]?[0-9]+"
# What the sampled values must satisfy for the column to have the type; the first that fits wins. An
# empty field says nothing.
_TYPES = {
    "BOOLEAN": "bool_and(lower({c}) IN ('true', 'false'))",
    # Identifiers of so many digits that a number with a fraction would round them together.
    "BIGINT": f"bool_and(regexp_full_match({{c}}, '{_WHOLE}') AND TRY_CAST({{c}} AS BIGINT) IS NOT "
    f"NULL) AND bool_or(TRY_CAST({{c}} AS BIGINT) NOT BETWEEN -{2**53} AND {2**53})",
    "DOUBLE": "bool_and(TRY_CAST({c} AS DOUBLE) IS NOT NULL) FILTER ({c} IS NOT NULL)",
    "DATE": "bool_and(TRY_CAST({c} AS DATE) IS NOT NULL AND length({c}) <= 10) "
    "FILTER ({c} IS NOT NULL)",
    "TIMESTAMP": "bool_and(TRY_CAST({c} AS TIMESTAMP) IS NOT NULL) FILTER ({c} IS NOT NULL)",
}
# A flag is written True by one program and TRUE by the next; frames show it as true.
_LABEL = (
    "CASE WHEN {c} IN ('True', 'TRUE') THEN 'true' WHEN {c} IN ('False', 'FALSE') THEN 'false' "
    "ELSE {c} END"
)


@dataclass(frozen=True)
class Reading:
    """The columns that a request reads, and as what.

    Attributes
    ----------
    columns : tuple of str
        All of them.
    labels : frozenset of str
        Those that only name things: dimensions and clusters.
    numbers : frozenset of str
        Those that are summed.
    period : str, optional
        The one that tells periods apart; its values are all of one type.
    """

    columns: tuple[str, ...]
    labels: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    period: str | None = None


@dataclass(frozen=True)
class _File:
    path: str
    delimiter: str
    names: list[str]


def open_csv(
    connection: Any, paths: Sequence[str], choose: Callable[[list[str]], Reading]
) -> tuple[list[str], Any]:
    """Open CSV files, stacked by column name, as one relation.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    paths : sequence of str
        Existing files; ".gz" is decompressed.
    choose : callable
        Names of all columns -> what is read of them.

    Returns
    -------
    tuple of (list of str, relation)
        The names of the columns read, and a relation that has them in this order as c0, c1, ...
    """
    files = [_opened(path) for path in paths]
    reading = choose(list(dict.fromkeys(name for file in files for name in file.names)))
    for file in files:
        refuse_repeated(file.names, reading, file.path)
    texts = connection.sql(_stacked(files, reading, {}))
    return list(reading.columns), connection.sql(_stacked(files, reading, _types(texts, reading)))


def escape_glob(path: str) -> str:
    """Write a path so that an engine that takes it for a glob finds this file."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def refuse_repeated(names: Sequence[str], reading: Reading, where: str = "") -> None:
    """Raise `SourceError` if a column that is read has a namesake."""
    if repeated := [name for name in reading.columns if names.count(name) > 1]:
        place = f" of {where!r}" if where else ""
        raise SourceError(f"data: two columns{place} have the name {repeated[0]!r}. Rename one.")


def _opened(path: str) -> _File:
    """Read the header."""
    opener = gzip.open if path.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            unquoted = re.sub(r'"[^"]*"?', "", first)
            delimiter = max(_DELIMITERS, key=unquoted.count)
            lines.seek(0)
            names = [name.strip() for name in next(csv.reader(lines, delimiter=delimiter), [])]
    except UnicodeDecodeError as error:
        raise SourceError(
            f"data: {path!r} is not UTF-8 text. Save it as CSV UTF-8 and read it again."
        ) from error
    except (OSError, EOFError, csv.Error) as error:
        raise SourceError(f"data: {path!r} cannot be read ({error}).") from error
    if not names:
        raise SourceError(f"data: {path!r} is empty; its first line must name the columns.")
    return _File(path, delimiter, names)


def _stacked(files: Sequence[_File], reading: Reading, types: dict[str, str]) -> str:
    """The SELECT of the columns read, from all files."""
    selects = []
    for file in files:
        # The reader folds the case of names; a name of its own keeps each apart.
        seen: set[str] = set()
        unique = []
        for i, name in enumerate(file.names):
            unique.append(name if name and name.casefold() not in seen else f"{name}#{i}")
            seen.add(name.casefold())
        # The reader rounds what is no whole number.
        read = {n: "VARCHAR" if kind == "BIGINT" else kind for n, kind in types.items()}
        declared = ", ".join(
            f"{quote_literal(u)}: '{read.get(n, 'VARCHAR')}'"
            for u, n in zip(unique, file.names, strict=True)
        )
        parts = []
        for i, n in enumerate(reading.columns):
            if n not in file.names:
                column = f"NULL::{types.get(n, 'VARCHAR')}"
            else:
                column = quote_identifier(unique[file.names.index(n)])
                if n in reading.labels:
                    column = _LABEL.format(c=column)
                elif types.get(n) == "BIGINT":
                    column = _whole(column, file.path, n)
            parts.append(f"{column} AS c{i}")
        path = quote_literal(escape_glob(file.path))
        selects.append(
            f"SELECT {', '.join(parts)} FROM read_csv({path}, {_FORMAT}, "
            f"delim={quote_literal(file.delimiter)}, columns={{{declared}}})"
        )
    return " UNION ALL ".join(selects)


def _whole(column: str, path: str, name: str) -> str:
    """The SQL of a text as a whole number; another one is an error."""
    after = f" in column {name!r} of {path!r} is not a whole number, as the values before it are."
    return (
        f"CASE WHEN {column} IS NULL OR regexp_full_match({column}, '{_WHOLE}') "
        f"THEN CAST({column} AS BIGINT) "
        f"ELSE error(chr(39) || {column} || chr(39) || {quote_literal(after)})::BIGINT END"
    )


def _types(texts: Any, reading: Reading) -> dict[str, str]:
    """Type each column that is not a label by its first values."""
    typed = [(f"c{i}", n) for i, n in enumerate(reading.columns) if n not in reading.labels]
    if not typed:
        return {}
    tests = [test.format(c=c) for c, _ in typed for test in _TYPES.values()]
    held = texts.query(
        "source", f"SELECT {', '.join(tests)} FROM (FROM source LIMIT {_SAMPLE})"
    ).fetchall()[0]
    types = {}
    for i, (_, name) in enumerate(typed):
        fits = dict(zip(_TYPES, held[i * len(_TYPES) :], strict=False))
        nothing_seen = fits["DOUBLE"] is None
        if nothing_seen:
            types[name] = "DOUBLE" if name in reading.numbers else "VARCHAR"
        else:
            types[name] = next((kind for kind, fit in fits.items() if fit), "VARCHAR")
    return types

"""The tables of a simulation as files: Parquet, CSV or one DuckDB database."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from attribution.errors import check_option

FORMATS = ("parquet", "csv", "duckdb")
DATABASE = "moderation.duckdb"


def write_tables(
    tables: Mapping[str, pd.DataFrame], folder: str | os.PathLike[str], format: str
) -> list[Path]:
    """Write each table and return the files written.

    The files are made in a temporary folder beside their places and moved when all are complete:
    a run that fails leaves what was there before.

    Parameters
    ----------
    tables : mapping
        Name -> data frame.
    folder : path
        Made if it is not there; files of the same names are replaced, others are left alone.
    format : {"parquet", "csv", "duckdb"}
        A file per table, or one database.

    Returns
    -------
    list of Path

    Raises
    ------
    OSError
        The disk is full, or cannot be written to.
    """
    import duckdb  # only writers pay for it

    check_option("format", format, FORMATS)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as made:
        database = str(Path(made) / DATABASE) if format == "duckdb" else ":memory:"
        # One thread: the rows keep their order and the bytes are the same on every machine.
        with duckdb.connect(database, config={"threads": 1}) as connection:
            for name, frame in tables.items():
                relation = connection.from_df(frame)
                try:
                    if format == "duckdb":
                        relation.create(name)
                    elif format == "csv":
                        relation.write_csv(str(Path(made) / f"{name}.csv"))
                    else:
                        relation.write_parquet(str(Path(made) / f"{name}.parquet"))
                except duckdb.IOException as error:
                    full = "No space left" in str(error)
                    code = errno.ENOSPC if full else errno.EIO
                    raise OSError(code, os.strerror(code), str(folder)) from error
        written = []
        for file in sorted(Path(made).iterdir()):
            os.replace(file, folder / file.name)
            written.append(folder / file.name)
    return written

"""One file, written whole or not at all; office files whose bytes depend on the input alone."""

from __future__ import annotations

import io
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CREATED", "DECK", "PAGE", "WORKBOOK", "as_csv_text", "repeatable", "write_file"]

# What names of files of a kind end in.
DECK, PAGE, WORKBOOK = (".pptx",), (".html", ".htm"), (".xlsx",)

# Office files carry a date. That of the run would make every file differ from the last one.
CREATED = datetime(2000, 1, 1)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_STAMP = (1980, 1, 1, 0, 0, 0)
_DATES = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(</dcterms:)")


def write_file(
    path: str | Path,
    write: Callable[[Path], None],
    parameter: str = "path",
    suffixes: Sequence[str] = (),
) -> Path:
    """Let `write` fill a temporary sibling, then put it in the place of `path`.

    A failure leaves the previous file as it was.

    Parameters
    ----------
    path : str or Path
        Its folder is made if it is not there.
    write : callable
        Gets the temporary file.
    parameter : str
        Named in the error.
    suffixes : sequence of str
        What the name may end in, the usual one first; it may end in none, too. By default in
        anything.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written, or its name ends like that of another kind of file.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if suffixes and ending and ending not in suffixes:
        raise OptionError(
            f"{parameter}: {str(target)!r} ends in {target.suffix!r}; this file is "
            f"{' or '.join(suffixes)}. Did you mean {target.with_suffix(suffixes[0]).name!r}?"
        )
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise OptionError(
            f"{parameter}: {str(target)!r} cannot be written ({error.strerror}). Name a file in a "
            "folder that you may write to."
        ) from error
    os.close(handle)
    fresh = Path(name)
    try:
        write(fresh)
        fresh.chmod(0o644)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return target


def repeatable(package: bytes) -> bytes:
    """Return an office file (a zip of parts) with fixed dates, in its parts and in the zip.

    Parameters
    ----------
    package : bytes

    Returns
    -------
    bytes
    """
    fixed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(package)) as old,
        zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            part = old.read(name)
            if name.endswith(".xlsx"):
                part = repeatable(part)
            elif name == "docProps/core.xml":
                stamp = CREATED.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
                part = _DATES.sub(rb"\g<1>" + stamp + rb"\g<2>", part)
            info = zipfile.ZipInfo(name, _STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, part)
    return fixed.getvalue()


def as_csv_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with an apostrophe before text that a spreadsheet would calculate.

    Examples
    --------
    >>> import pandas as pd
    >>> as_csv_text(pd.DataFrame({"level": ["=1+1", "JP"]}))["level"].tolist()
    ["'=1+1", 'JP']
    """
    safe = frame.copy()
    for column in safe.select_dtypes(include=["object", "string"]):
        safe[column] = [
            f"'{x}" if isinstance(x, str) and x.startswith(_FORMULA) else x for x in safe[column]
        ]
    return safe

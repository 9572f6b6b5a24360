"""Two folders exchange their names in one step, so that at no moment either name is missing."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["swapped"]

# renameat2 of Linux and renamex_np of macOS: the working folder, and the flag that exchanges.
_HERE, _EXCHANGE = -100, 2


def swapped(first: Path, second: Path) -> bool:
    """Exchange two names and return True, or do nothing where system or disk cannot.

    Parameters
    ----------
    first, second : Path
        Both there, on the same disk.

    Returns
    -------
    bool

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     old, new = Path(folder, "old"), Path(folder, "new")
    ...     old.mkdir(), new.mkdir()
    ...     (new / "report").write_text("fresh")
    ...     swapped(new, old) == (old / "report").exists()
    (None, None)
    5
    True
    """
    paths = [os.fsencode(path.absolute()) for path in (first, second)]
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*paths, _EXCHANGE) == 0
        return library.renameat2(_HERE, paths[0], _HERE, paths[1], _EXCHANGE) == 0
    except (AttributeError, OSError, TypeError):  # no such call: another system, an old library
        return False

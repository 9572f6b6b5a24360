"""Where each table, key and element of a TOML file stands; tomllib keeps no positions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

__all__ = ["lines_of"]

# What a value may begin with; the longest marks first.
_STRINGS = (
    ('"""', re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''.*?'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:[^"\\]|\\.)*"')),
    ("'", re.compile(r"'[^']*'")),
)
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")
_BARE_KEY, _DOT = re.compile(r"[A-Za-z0-9_-]+"), re.compile(r"[ \t]*\.[ \t]*")
_PLAIN = re.compile(r"[^,\]}\n#]*")

Path = tuple[Any, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Return the line of each table, key and element of an array: path -> line, counted from 1.

    Parameters
    ----------
    text : str
        TOML that `tomllib` accepts.

    Returns
    -------
    dict of tuple to int

    Examples
    --------
    >>> lines_of('title = "KPIs"\\n[[kpis]]\\nby = [\\n  "queue",\\n]\\n')
    {('title',): 1, ('kpis', 0): 2, ('kpis', 0, 'by'): 3, ('kpis', 0, 'by', 0): 4}
    """
    return _Reader(text).lines


class _Reader:
    """One pass over the text: headers, keys and values, strings as wholes."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text.replace("\r\n", "\n"), 0
        self.lines: dict[Path, int] = {}
        elements: dict[Path, int] = {}
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header(elements)
            else:
                self._pair(table)
            self._skip()

    def _header(self, elements: dict[Path, int]) -> Path:
        """A table, or the next element of an array of tables."""
        start, array = self._at, self._text.startswith("[[", self._at)
        self._at += 1 + array
        names = self._key()
        self._at = self._text.index("]", self._at) + 1 + array
        table: Path = ()
        for name in names[:-1]:
            table = (*table, name)
            table = (*table, elements[table]) if table in elements else table
            self._note(table, start)
        table = (*table, names[-1])
        if array:
            elements[table] = elements.get(table, -1) + 1
        table = (*table, elements[table]) if table in elements else table
        self._note(table, start)
        return table

    def _pair(self, table: Path) -> None:
        """A key and its value; of a dotted key each part."""
        start, names = self._at, self._key()
        self._at = self._text.index("=", self._at) + 1
        for k in range(1, len(names) + 1):
            self._note((*table, *names[:k]), start)
        self._value((*table, *names))

    def _key(self) -> Path:
        names = []
        while True:
            self._skip()
            held = _BARE_KEY.match(self._text, self._at)
            if held:
                names.append(held.group())
                self._at = held.end()
            else:
                quoted = self._string()
                names.append(tomllib.loads(f"x = {quoted}")["x"])
            dot = _DOT.match(self._text, self._at)
            if not dot:
                return tuple(names)
            self._at = dot.end()

    def _value(self, path: Path) -> None:
        self._skip()
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._each("]", lambda i: self._element((*path, i)))
        elif first == "{":
            self._each("}", lambda _: self._pair(path))
        else:
            self._take(_PLAIN)

    def _element(self, path: Path) -> None:
        self._note(path, self._at)
        self._value(path)

    def _each(self, end: str, read: Callable[[int], None]) -> None:
        """What stands between brackets, separated by commas."""
        self._at, i = self._at + 1, 0
        self._skip()
        while self._text[self._at] != end:
            read(i)
            i += 1
            self._skip()
            if self._text[self._at] == ",":
                self._at += 1
                self._skip()
        self._at += 1

    def _string(self) -> str:
        whole = next(x for mark, x in _STRINGS if self._text.startswith(mark, self._at))
        return self._take(whole)

    def _skip(self) -> None:
        self._take(_BETWEEN)

    def _take(self, what: re.Pattern[str]) -> str:
        """Go past what stands here and return it; the text is TOML, so that it does."""
        found = what.match(self._text, self._at)
        if found is None:
            raise ValueError(f"not TOML at position {self._at}")
        self._at = found.end()
        return found.group()

    def _note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, self._text.count("\n", 0, at) + 1)

"""Slips: whether two labels are one name spelled twice, or two names that look alike.

Short names, codes and opposites look alike and are not the same: UK and US, A1 and A2, site A and
site B, spam and scam, pre-review and post-review, misinformation and disinformation. So labels are
compared word by word, and what a word may differ by depends on its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["slip_of"]

# The fewest letters of a word in which two neighbors may be exchanged ("spma"), one letter may be
# wrong, missing or doubled ("vidio"), and two may ("harasment").
_EXCHANGED, _ONE, _TWO = 4, 5, 10


def slip_of(label: str, others: Sequence[str]) -> str | None:
    """Return the one of other labels that a label is a slip of, if there is one.

    Case, spaces and marks do not count. A word may have two neighboring letters exchanged (4
    letters and more), a letter wrong, missing or too many (5), or two such slips (10). Its first
    letter must be right, unless it is exchanged, and so must all digits.

    Parameters
    ----------
    label : str
    others : sequence of str

    Returns
    -------
    str or None
        The one with the fewest differences.

    Examples
    --------
    >>> [slip_of(x, ["video", "spam", "live"]) for x in ("vidoe", "Spma", "li-ve")]
    ['video', 'spam', 'live']
    >>> [slip_of(*x) for x in (("UK", ["US"]), ("spam", ["scam"]), ("site A", ["site B"]))]
    [None, None, None]
    """
    found = [(count, other) for other in others if (count := _slips(label, other)) is not None]
    return min(found, key=lambda x: x[0])[1] if found else None


def _slips(a: str, b: str) -> int | None:
    """How many slips lead from one label to the other; None where they are two names."""
    bare = [_bare(x) for x in (a, b)]
    if bare[0] == bare[1]:
        return 0
    if _digits(a) != _digits(b):
        return None
    pairs = list(zip(_words(a), _words(b), strict=False))
    if len(_words(a)) != len(_words(b)):
        pairs = [(bare[0], bare[1])]
    counts = [_of_word(x, y) for x, y in pairs]
    return None if None in counts else sum(count for count in counts if count is not None)


def _of_word(a: str, b: str) -> int | None:
    if a == b:
        return 0
    length, count = max(len(a), len(b)), _distance(a, b)
    if count == 1 and len(a) == len(b) and sorted(a) == sorted(b):
        return 1 if length >= _EXCHANGED else None
    # One whose first letter differs is mostly another word: male and female, inbound and unbound.
    most = 2 if length >= _TWO else int(length >= _ONE)
    return count if count <= most and a[:1] == b[:1] else None


def _distance(a: str, b: str) -> int:
    """Letters that are wrong, missing, too many, or exchanged with their neighbor."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            cost = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and (a[i - 2], x) == (y, b[j - 2]):
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _words(label: str) -> list[str]:
    return re.findall(r"[^\W_]+", label.casefold())


def _bare(label: str) -> str:
    return "".join(_words(label))


def _digits(label: str) -> str:
    return "".join(x for x in label if x.isdigit())

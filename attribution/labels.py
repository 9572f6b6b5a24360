"""How a value of a table is shown and ordered: one text per level, in natural order."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable
from typing import Any

__all__ = [
    "LEFT_TO_RIGHT",
    "MISSING",
    "is_null",
    "label_of",
    "names_people",
    "natural_key",
    "naturally",
    "plural",
    "runs_left",
    "shortened",
]

MISSING = "(missing)"

# Ends a run of Arabic or Hebrew, in which a sign would stand behind the number that follows.
LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
_TURNED = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")


_PERSON = re.compile(
    r"(moderator|agent|reviewer|annotator|rater|labell?er|employee|staff|worker|user|analyst"
    r"|person|auditor|coach|manager|team_?lead)s?([_ ]?(id|ids|name|email|e_?mail|login|key|uuid|no"
    r"|number|code))?|e_?mail",
    re.IGNORECASE,
)


def names_people(column: str) -> bool:
    """Return whether the values of a column of this name are people.

    Examples
    --------
    >>> names_people("moderator_id"), names_people("queue")
    (True, False)
    """
    return bool(_PERSON.fullmatch(column))


def is_null(value: object) -> bool:
    """Return whether a value stands for nothing: None, NaN, NaT, NA.

    Examples
    --------
    >>> is_null(None), is_null(float("nan")), is_null(0)
    (True, True, False)
    """
    try:
        return value is None or bool(value != value)  # NaN is the value that differs from itself
    except (TypeError, ValueError):  # pandas' NA has no truth value
        return type(value).__name__ == "NAType"


def label_of(value: object) -> str:
    """Return the text that stands for a level or period; null becomes "(missing)".

    Examples
    --------
    >>> label_of(None), label_of(3.0), label_of("JP"), label_of(True)
    ('(missing)', '3', 'JP', 'true')
    """
    # Most are, and there may be as many as there are people.
    if type(value) is str or type(value) is int:
        return str(value)
    if is_null(value):
        return MISSING
    if isinstance(value, bool) or type(value).__name__ == "bool":  # Python's or numpy's
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dt.datetime) and value.time() == dt.time(0):
        return value.date().isoformat()
    return str(value)


def natural_key(label: str) -> tuple[Any, ...]:
    """Sort key that puts "0-30" before "31-90" before "181-365", and "(missing)" last.

    Examples
    --------
    >>> sorted(["181-365", "31-90", "(missing)", "0-30"], key=natural_key)
    ['0-30', '31-90', '181-365', '(missing)']
    """
    parts = re.split(r"([0-9]+)", label)
    return (
        label == MISSING,
        tuple(
            (int(p), "") if i % 2 else (-1, p.casefold()) for i, p in enumerate(parts) if p or i % 2
        ),
        label,
    )


def naturally(labels: Iterable[str]) -> list[str]:
    """Sort labels by `natural_key`, those of one pattern by their number at once.

    Examples
    --------
    >>> naturally(["m10", "m9", "m010"]), naturally(["b", "(missing)", "a2", "a10"])
    (['m9', 'm010', 'm10'], ['a2', 'a10', 'b', '(missing)'])
    """
    labels = sorted(labels)
    if len(labels) > 1:
        # How the first and the last both begin, all begin.
        both = zip(labels[0], labels[-1], strict=False)
        start = "".join(a for a, _ in itertools.takewhile(lambda x: x[0] == x[1], both))
        begin = len(start.rstrip("0123456789"))
        numbers = [label[begin:] for label in labels]
        digits = "".join(numbers)
        if all(numbers) and digits.isascii() and digits.isdigit():
            return sorted(labels, key=lambda label: int(label[begin:]))
    return sorted(labels, key=natural_key)


def plural(column: str) -> str:
    """Return what the values of an identifier column are called together.

    Examples
    --------
    >>> plural("moderator_id"), plural("day"), plural("sites")
    ('moderators', 'days', 'sites')
    >>> plural("c")
    'c values'
    """
    noun = re.sub(r"(?i)[ _]?id$", "", column).replace("_", " ") or column
    if len(noun) < 3:
        return f"{noun} values"
    return noun if noun.endswith("s") else f"{noun}s"


def shortened(label: str, most: int = 60) -> str:
    """Return a label for a sentence: the middle of a long one is left out, its end tells it apart.

    Examples
    --------
    >>> shortened("Safety > Minors > Grooming", 16)
    'Safety > …ooming'
    """
    tail = most // 3 + 1
    kept = label if len(label) <= most else f"{label[: most - tail - 1]}…{label[-tail:]}"
    return kept + LEFT_TO_RIGHT if runs_left(kept) else kept


def runs_left(text: str) -> bool:
    """Return whether a text has letters that are written from right to left."""
    return _TURNED.search(text) is not None

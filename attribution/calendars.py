"""Periods of the calendar: the label of a date, the place of a label in time, what is missing.

    day       2026-03-09        fiscal month     FY2026-M12
    week      2026-W11 (ISO)    fiscal quarter   FY2026-Q4
    month     2026-03           fiscal year      FY2026
    quarter   2026-Q1
    year      2026

A fiscal year is named by the calendar year in which it ends; one that begins in January is the
calendar year.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["MONTHS", "UNITS", "Calendar", "calendar_of", "most_like"]

UNITS = ("day", "week", "month", "quarter", "year")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_PER_YEAR = {"month": 12, "quarter": 4, "year": 1}
_FORMS = {
    "day": re.compile(r"(\d{4})-(\d{2})-(\d{2})"),
    "week": re.compile(r"(\d{4})-W(\d{2})"),
    "month": re.compile(r"(\d{4})(-?)(\d{2})(-01)?"),
    "quarter": re.compile(r"(\d{4})-?Q([1-4])"),
    "year": re.compile(r"(\d{4})()"),
}
_FISCAL = {
    "month": re.compile(r"FY(\d{4})-M(\d{2})"),
    "quarter": re.compile(r"FY(\d{4})-Q([1-4])"),
    "year": re.compile(r"FY(\d{4})()"),
}


@dataclass(frozen=True)
class Calendar:
    """A sequence of periods: labels and their whole-numbered places in time.

    Parameters
    ----------
    unit : {"day", "week", "month", "quarter", "year", "number"}
        "number" is any numbering: sprints, waves, the years of a census.
    fiscal : bool
        Labels are those of fiscal years.
    start : int
        The month, from 1, in which a fiscal year begins.
    style : str
        How months are written: "2026-03", "202603" or "2026-03-01" (by the joint and the tail).

    Examples
    --------
    >>> Calendar("month").label_of_date(dt.date(2026, 3, 9))
    '2026-03'
    >>> Calendar("month", fiscal=True, start=4).label_of_date(dt.date(2026, 3, 9))
    'FY2026-M12'
    >>> Calendar("week").label_of_date(dt.date(2026, 1, 1)), Calendar("week").position("2026-W02")
    ('2026-W01', 105660)
    """

    unit: str
    fiscal: bool = False
    start: int = 1
    style: tuple[str, str] = ("-", "")

    def position(self, label: str) -> int | None:
        """Return the place of a label in time, None for what is no label of this calendar."""
        if self.unit == "number":
            return int(label) if re.fullmatch(r"-?\d{1,15}", label) else None
        found = (_FISCAL if self.fiscal else _FORMS)[self.unit].fullmatch(label)
        if not found:
            return None
        try:
            return self._position(found)
        except ValueError:  # the 31st of February
            return None

    def _position(self, found: re.Match) -> int | None:
        year = int(found.group(1))
        if self.unit == "day":
            return dt.date(year, int(found.group(2)), int(found.group(3))).toordinal()
        if self.unit == "week":
            return dt.date.fromisocalendar(year, int(found.group(2)), 1).toordinal() // 7
        if self.unit == "month" and not self.fiscal:
            if (found.group(2), found.group(4) or "") != self.style:
                return None
            part = int(found.group(3))
        else:
            part = int(found.group(2) or 1)
        per_year = _PER_YEAR[self.unit]
        return per_year * year + part - 1 if 1 <= part <= per_year else None

    def label(self, position: int) -> str:
        """Return the label of a place in time."""
        if self.unit == "number":
            return str(position)
        if self.unit == "day":
            return dt.date.fromordinal(position).isoformat()
        if self.unit == "week":
            year, week, _ = dt.date.fromordinal(7 * position + 1).isocalendar()
            return f"{year:04d}-W{week:02d}"
        year, part = divmod(position, _PER_YEAR[self.unit])
        named = f"FY{year:04d}" if self.fiscal else f"{year:04d}"
        if self.unit == "quarter":
            return f"{named}-Q{part + 1}"
        if self.unit == "month" and self.fiscal:
            return f"{named}-M{part + 1:02d}"
        joint, tail = self.style
        return f"{named}{joint}{part + 1:02d}{tail}" if self.unit == "month" else named

    def label_of_date(self, date: dt.date) -> str:
        """Return the label of the period that a date lies in."""
        if self.unit == "day":
            return self.label(date.toordinal())
        if self.unit == "week":
            return self.label((date.toordinal() - 1) // 7)
        months = 12 * date.year + date.month - 1
        if self.fiscal:
            # A year that begins in April is called by the next one; from January it is that year.
            months += 13 - self.start if self.start > 1 else 0
        return self.label(months // (12 // _PER_YEAR[self.unit]))

    def first_day(self, position: int) -> dt.date:
        """Return the day that a period begins with.

        Examples
        --------
        >>> Calendar("quarter", fiscal=True, start=4).first_day(4 * 2026)
        datetime.date(2025, 4, 1)
        """
        if self.unit == "day":
            return dt.date.fromordinal(position)
        if self.unit == "week":
            return dt.date.fromordinal(7 * position + 1)
        months = position * (12 // _PER_YEAR[self.unit])
        if self.fiscal and self.start > 1:
            months -= 13 - self.start
        return dt.date(months // 12, months % 12 + 1, 1)

    def days(self, label: str) -> int:
        """Return how many days a period has.

        Examples
        --------
        >>> Calendar("month").days("2028-02"), Calendar("quarter").days("2026-Q1")
        (29, 90)
        """
        at = self.position(label) or 0
        return (self.first_day(at + 1) - self.first_day(at)).days

    def a_year_before(self, label: str) -> str | None:
        """Return the same period of the year before, None where there is none."""
        at = self.position(label)
        if at is None or self.unit == "number":
            return None
        if self.unit in _PER_YEAR:
            return self.label(at - _PER_YEAR[self.unit])
        earlier = f"{int(label[:4]) - 1:04d}{label[4:]}"
        # Not every year has a 53rd week or a 29th of February.
        return earlier if self.position(earlier) is not None else None

    def year_of(self, label: str) -> str:
        """Return the year that a label lies in: what year-to-date begins with."""
        return label[: 6 if self.fiscal else 4]

    def step(self, positions: Sequence[int]) -> int:
        """Return how far apart neighbors are where none is missing.

        One unit; where the periods are numbers or years, or come four or more at one distance
        (every third month), their common distance.
        """
        distance = math.gcd(*(b - a for a, b in pairwise(positions)))
        free = self.unit in ("number", "year") or len(positions) >= 4
        return max(distance, 1) if free else 1

    def missing(self, labels: Sequence[str]) -> dict[tuple[str, str], list[str]]:
        """Return what is missing between neighbors, per pair that has a gap between.

        Parameters
        ----------
        labels : sequence of str
            In time order.

        Examples
        --------
        >>> Calendar("month").missing(["2025-11", "2026-02"])
        {('2025-11', '2026-02'): ['2025-12', '2026-01']}
        """
        at = [self.position(x) or 0 for x in labels]
        step, gaps = self.step(at), {}
        for i in range(len(at) - 1):
            between = range(at[i] + step, at[i + 1], step)
            if between:
                gaps[labels[i], labels[i + 1]] = [self.label(x) for x in between]
        return gaps


def calendar_of(labels: Sequence[str]) -> Calendar | None:
    """Return the calendar whose labels these are, None where they are of no or of several kinds.

    Examples
    --------
    >>> calendar_of(["2026-01", "2026-02"]).unit, calendar_of(["202601", "202602"]).unit
    ('month', 'month')
    >>> calendar_of(["1940", "1950"]).unit, calendar_of(["spring", "summer"])
    ('number', None)
    """
    return next((c for c in _KNOWN if all(c.position(x) is not None for x in labels)), None)


def most_like(labels: Sequence[str]) -> Calendar | None:
    """Return the calendar of most labels, where it is not that of all: something is mixed up.

    One date among names is enough; a number may be a name like the others.
    """
    fits = Counter({c: sum(c.position(x) is not None for x in labels) for c in _KNOWN})
    best, count = fits.most_common(1)[0]
    dated = best.unit != "number" and count > 0
    return best if dated or 2 * count > len(labels) else None


_KNOWN = (
    *(Calendar("month", style=style) for style in (("-", ""), ("-", "-01"), ("", ""))),
    *(Calendar(unit) for unit in ("quarter", "week", "day")),
    *(Calendar(unit, fiscal=True) for unit in _FISCAL),
    Calendar("number"),
)

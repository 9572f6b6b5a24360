"""Drill-downs as a configuration writes them: one level, its rows by one dimension, the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attribution.config.located import LocatedError
from attribution.errors import listing, nearest

__all__ = ["Drilldown", "check_drills"]


@dataclass(frozen=True)
class Drilldown:
    """What one text of `drill` asks for.

    Attributes
    ----------
    dimension, level : str
        Whose rows; both empty for the largest levels.
    by : str
        The one dimension they are explained over; empty for all that are left.
    top : int
        How many of the levels that contribute most; 0 where a level is named.
    """

    dimension: str = ""
    level: str = ""
    by: str = ""
    top: int = 0

    @classmethod
    def of(cls, text: str) -> Drilldown:
        """Read ``"market=BR by policy"`` or ``"top 3"``.

        Parameters
        ----------
        text : str

        Returns
        -------
        Drilldown

        Raises
        ------
        ValueError
            It is neither.

        Examples
        --------
        >>> Drilldown.of("market=BR by policy")
        Drilldown(dimension='market', level='BR', by='policy', top=0)
        >>> Drilldown.of("top 3").top
        3
        """
        kind, _, number = text.strip().partition(" ")
        if kind == "top" and number.isdecimal() and 0 < int(number) < 100:
            return cls(top=int(number))
        part, _, by = (x.strip() for x in text.partition(" by "))
        dimension, _, level = (x.strip() for x in part.partition("="))
        if not dimension or not level:
            raise ValueError(f"{text!r} is none of 'market=BR', 'market=BR by policy', 'top 3'")
        return cls(dimension, level, by)


def check_drills(
    drills: Sequence[str],
    by: Sequence[str],
    labels: Mapping[str, str],
    above: Mapping[str, str],
) -> None:
    """Refuse a drill-down into, or by, what is no dimension of its KPI.

    Parameters
    ----------
    drills : sequence of str
    by : sequence of str
        The dimensions of the KPI.
    labels : mapping of str to str
        What dimensions are called; a drill-down may use either name.
    above : mapping of str to str
        The dimension that another lies within.

    Raises
    ------
    LocatedError
        The message names the dimensions that are allowed, and the nearest.
    """
    columns = {labels.get(d, d): d for d in by} | {d: d for d in by}
    for i, text in enumerate(drills):
        asked = Drilldown.of(text)
        if asked.top:
            continue
        _check(asked.dimension, list(by), columns, ("drill", i))
        # Within a level its dimension, and those above it, have one level: nothing to divide by.
        fixed = [columns[asked.dimension]]
        while (higher := above.get(fixed[-1])) is not None and higher not in fixed:
            fixed.append(higher)
        if asked.by:
            _check(asked.by, [d for d in by if d not in fixed], columns, ("drill", i))


def _check(
    name: str, allowed: list[str], columns: Mapping[str, str], where: tuple[str, int]
) -> None:
    if columns.get(name) in allowed:
        return
    known = [text for text, column in columns.items() if column in allowed]
    there = f"Dimensions: {listing(allowed)}." if allowed else "There is no other in by."
    raise LocatedError(where, f"no dimension {name!r} here.{nearest(name, known)} {there}")

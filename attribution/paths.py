"""Which periods of a trend are compared with which: neighbors, ends, a year before, as mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attribution.calendars import Calendar
from attribution.cube import Cube
from attribution.errors import OptionError, PeriodError, listing
from attribution.finding import finding

__all__ = ["PATHS", "compared", "missing_between"]

PATHS = ("chained", "end-to-end", "year-over-year", "year-to-date")


def compared(
    cube: Cube,
    calendar: Calendar | None,
    path: str,
    lag: int | None,
    against: Mapping[object, object] | None,
) -> tuple[list[tuple[int, int]], str, list[dict[str, Any]]]:
    """Which periods are compared: (baseline, current) places, the path's name, findings."""
    P = len(cube.periods)
    if against is not None:
        pairs = [
            (cube.period_index(old, "against"), cube.period_index(new, "against"))
            for new, old in against.items()
        ]
        if not pairs:
            raise PeriodError("against: an empty mapping. Map periods: {'2026-01': '2025-01'}.")
        if same := [cube.periods[i] for i, j in pairs if i == j]:
            raise PeriodError(f"against: {listing(same)} compared with itself.")
        return sorted(pairs, key=lambda pair: pair[1]), "as mapped", []
    if lag is not None:
        if isinstance(lag, bool) or not isinstance(lag, int | np.integer) or not 1 <= lag < P:
            raise OptionError(f"lag: {lag!r} is not a whole number from 1 to {P - 1} periods.")
        if lag > 1:
            return _earlier(cube, calendar, int(lag))
    if path == "end-to-end":
        return [(0, P - 1)], path, []
    if path in ("year-over-year", "year-to-date"):
        return _year_before(cube, calendar, path)
    return [(t - 1, t) for t in range(1, P)], "chained", []


def _earlier(cube: Cube, calendar: Calendar | None, lag: int):
    """Each period against the one so many steps of the calendar, or of the list, before."""
    labels, found, lacking = cube.periods, [], []
    step = 1 if calendar is None else calendar.step([calendar.position(x) or 0 for x in labels])
    for t, label in enumerate(labels):
        if calendar is None:
            if t >= lag:
                found.append((t - lag, t))
            continue
        earlier = calendar.label((calendar.position(label) or 0) - lag * step)
        if earlier in labels:
            found.append((labels.index(earlier), t))
        elif (calendar.position(earlier) or 0) > (calendar.position(labels[0]) or 0):
            lacking.append((label, earlier))
    if not found:
        raise PeriodError(f"lag: no period has one {lag} periods before it.")
    return found, f"lag {lag}", _no_baseline(lacking)


def _year_before(cube: Cube, calendar: Calendar | None, path: str):
    """Each period, or those of the last year, against the same one of the year before."""
    labels = cube.periods
    if calendar is None or calendar.unit == "number":
        raise OptionError(
            f"path: {path!r} needs periods of a calendar (days, weeks, months, quarters), not "
            f"{listing(labels, most=4)}. Name the pairs with against={{'this': 'that'}}."
        )
    year = calendar.year_of(labels[-1])
    wanted = [x for x in labels if path == "year-over-year" or calendar.year_of(x) == year]
    pairs = [(calendar.a_year_before(x), x) for x in wanted]
    found = [(labels.index(old), labels.index(new)) for old, new in pairs if old in labels]
    first = calendar.position(labels[0]) or 0
    lacking = [
        (new, old or "that period of the year before")
        for old, new in pairs
        if old not in labels
        and (path == "year-to-date" or old is None or (calendar.position(old) or 0) > first)
    ]
    if not found:
        raise PeriodError(f"path: no period of {listing(labels, most=6)} has one a year before it.")
    if path == "year-to-date":
        _check_year(labels, calendar, year, lacking, found)
    return found, path, _no_baseline(lacking)


def _check_year(labels, calendar: Calendar, year: str, lacking: list, found: list) -> None:
    """A year to date with a period missing on either side compares unlike with unlike."""
    absent = [old for _, old in lacking]
    own = [labels[j] for _, j in found]
    beginning = [x for x in labels if calendar.year_of(x) == year]
    start = next(
        t
        for t in range(calendar.position(beginning[-1]) or 0, -1, -1)
        if calendar.year_of(calendar.label(t)) != year
    )
    due = [calendar.label(t) for t in range(start + 1, (calendar.position(beginning[-1]) or 0) + 1)]
    absent += [x for x in due if x not in beginning]
    if absent:
        raise PeriodError(
            f"path: year-to-date lacks {listing(absent, most=6)}. The years are compared over the "
            "same periods; leave the counterparts out and map what is left (against=...), or take "
            f"path='year-over-year'. There: {listing(own, most=14)}."
        )


def _no_baseline(lacking: list[tuple[str, str]]) -> list[dict[str, Any]]:
    if not lacking:
        return []
    shown = ", ".join(f"{new} (no {old})" for new, old in lacking[:6])
    more = f" and {len(lacking) - 6} more" if len(lacking) > 6 else ""
    message = f"Not compared, because what they are compared with is missing: {shown}{more}."
    facts = {"periods": dict(lacking)}
    return [finding("missing_periods", "warning", message, **facts)]


def missing_between(
    cube: Cube,
    missing: Mapping[tuple[str, str], Sequence[str]],
    pair: tuple[int, int],
    name: str,
) -> tuple[str, ...]:
    """What is missing between neighbors; comparisons over a year pass over periods anyway."""
    if name != "chained":
        return ()
    return tuple(missing.get((cube.periods[pair[0]], cube.periods[pair[1]]), ()))

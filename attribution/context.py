"""usual_change: how unusual a change is against the past changes of the same KPI.

A sampling interval tells a change from the noise of counting; an individuals (XmR) chart tells it
from what the KPI does from month to month anyway. Both belong beside each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.calendars import Calendar, calendar_of
from attribution.cube import Cube
from attribution.errors import ColumnTypeError, OptionError, PeriodError, listing, nearest
from attribution.formatting import Format
from attribution.infer.individuals import LEAST_CHANGES, changes_at, individual_limits
from attribution.kinds import period_values
from attribution.labels import is_null, label_of
from attribution.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = ["Context", "usual_change"]

# A history typed from a report is rounded; beyond this fraction of the KPI it is another one.
_ROUNDED = 1e-3


@dataclass(frozen=True, eq=False)
class Context:
    """How unusual a change is against the past; made by `usual_change`.

    Attributes
    ----------
    frame : DataFrame
        One row per period up to the current one: `period, value, change, center, limit_low,
        limit_high, change_limit, outside, role`. `change` is over `lag` periods; `outside` says
        whether it is larger than `change_limit` (null where either is unknown); `role` is
        "history", "baseline" or "current". The limits come from the periods before the current.
    change : float
        From baseline to current, KPI units.
    unusual : bool or None
        Whether the change is larger than the limit; None where the history is too short.
    larger : int
        How many of the past changes were at least as large in size.
    of : int
        How many past changes there are.
    lag : int
        The periods a change spans.
    notes : tuple of str
        What is missing from the history or was left out.
    metric, better : str
        The KPI's name, and which way is good.
    """

    frame: pd.DataFrame
    change: float
    unusual: bool | None
    larger: int
    of: int
    lag: int
    notes: tuple[str, ...]
    metric: str
    better: str
    _format: Format = field(repr=False)
    _unit: str = field(repr=False)

    def __str__(self) -> str:
        return " ".join([self._verdict(), *self._level(), *self.notes])

    def __repr__(self) -> str:
        word = {True: "unusual", False: "ordinary", None: "history too short"}[self.unusual]
        return (
            f"<Context {self._format.change(self.change)}: {word}, {self.larger} of {self.of} "
            "past changes at least as large>"
        )

    def _verdict(self) -> str:
        f, unit = self._format, self._unit
        plural = "s" * (self.of != 1)
        kind = f"{unit}-to-{unit} change{plural}"
        if self.lag > 1:
            kind = f"change{plural} over {self.lag} {unit}s"
        # As displayed levels differ, which is how every bridge shows it.
        values = self.frame["value"].iloc[[-1 - self.lag, -1]] * f.factor
        before, now = (round(float(x), f.decimals) for x in values)
        stated = f"The change of {f.change((now - before) / f.factor)}"
        if self.unusual is None:
            return (
                f"{stated} cannot be called usual or unusual: the history has {self.of} past "
                f"{kind}, limits need {LEAST_CHANGES}."
            )
        limit = f"limit ±{f.change(self.frame['change_limit'].iloc[-1]).lstrip('+')}"
        word = "unusual" if self.unusual else "ordinary"
        if not self.larger:
            but = "" if self.unusual else ", but within their limit"
            return (
                f"{stated} is larger than any of the {self.of} past {kind}{but} ({limit}): {word}."
            )
        were = "was" if self.larger == 1 else "were"
        but = ", but it is beyond their limit" if self.unusual else ""
        return (
            f"{stated}: {self.larger} of the {self.of} past {kind} {were} at least as "
            f"large{but} ({limit}): {word}."
        )

    def _level(self) -> list[str]:
        """A sentence where the level itself has left its natural limits."""
        f, last = self._format, self.frame.iloc[-1]
        side = "below" if last["value"] < last["limit_low"] else "above"
        if not (last["value"] < last["limit_low"] or last["value"] > last["limit_high"]):
            return []
        limits = f"{f.number(last['limit_low'])} to {f.level(last['limit_high'])}"
        return [
            f"The level of {f.level(last['value'])} lies {side} the natural limits of the past "
            f"({limits})."
        ]


def usual_change(change: Attribution, history: object, *, lag: int = 1) -> Context:
    """Say how unusual a change is against the past changes of the same KPI.

    An individuals (XmR) chart: with mR the mean size of the past changes ``x_t - x_{t - lag}``, a
    change is unusual beyond ``3.267 mR``, a level beyond ``mean -+ 2.66 mR``. All come from the
    periods before the current one.

    Parameters
    ----------
    change : Attribution
        Of two single periods, `lag` periods apart.
    history : Cube, Series or mapping
        The KPI over time: a cube of all periods, or period label -> KPI value (0.9266 for
        92.66 %) in time order. A cube's periods are in the natural order of their labels
        ("2025-9" before "2025-10"). It holds the baseline and the current period; later ones are
        left out.
    lag : int
        The periods a change spans; 12 compares months with the same month a year before.

    Returns
    -------
    Context

    Raises
    ------
    OptionError
        Pooled periods, another lag than the change has, a history that is not in time order or not
        of the same KPI.
    PeriodError
        The history lacks the baseline or the current period.
    ColumnTypeError
        The history is neither a cube nor period -> number.

    References
    ----------
    Wheeler, D. J. (2000). Understanding Variation, 2nd ed. SPC Press.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> correct = [920, 922, 919, 921, 918, 922, 880]
    >>> reviews = pd.DataFrame({"month": [f"2026-0{m}" for m in range(1, 8)], "queue": "A",
    ...                         "correct": correct, "reviewed": 1000})
    >>> cube = at.Cube.from_data(reviews, "correct / reviewed", by=["queue"], period="month")
    >>> change = cube.explain(baseline="2026-06", current="2026-07")
    >>> print(usual_change(change, cube))
    The change of −4.20 pp is larger than any of the 5 past month-to-month changes \
(limit ±0.91 pp): unusual. The level of 88.00 % lies below the natural limits of the past \
(91.29 to 92.78 %).
    """
    if isinstance(lag, bool) or not isinstance(lag, int | np.integer) or lag < 1:
        raise OptionError(f"lag: {lag!r} is not a whole number of periods, as in 1 or 12.")
    labels, values = _series(history, change.metric)
    ends = change.cube.periods
    baseline, current = (
        _place(labels, end, side) for end, side in zip(ends, ("baseline", "current"), strict=True)
    )
    calendar = _calendar(labels)
    steps = _steps(labels, calendar)
    span = int(steps[current] - steps[baseline])
    if span != lag:
        raise OptionError(_wrong_lag(ends, span, lag))
    total, left_out = change.total, len(labels) - 1 - current
    for place, of_change in ((baseline, total.baseline), (current, total.current)):
        size = max(abs(total.baseline), abs(total.current))
        _check_same(labels[place], values[place], of_change, size, change.format)
        # A history in rounded figures still ends in the change as it is.
        values[place] = of_change
    labels, values, steps = labels[: current + 1], values[: current + 1], steps[: current + 1]
    value = np.full(steps[-1] + 1, np.nan)
    value[steps] = values
    named = _named(labels, steps, calendar)
    unit = "period" if calendar is None else calendar.unit
    return _context(change, named, value, lag, _notes(named, value, left_out), unit)


def _context(
    change: Attribution,
    periods: list[str],
    value: np.ndarray,
    lag: int,
    notes: tuple[str, ...],
    unit: str,
) -> Context:
    """Judge the last value against those before it."""
    import pandas as pd

    limits = individual_limits(value[:-1], lag)
    moved = changes_at(value, lag)
    # Differences of equal levels are rounding, not movement.
    rounding = 1e-12 * float(np.nanmax(np.abs(value)))
    now, past = abs(moved[-1]), np.abs(moved[:-1][~np.isnan(moved[:-1])])
    known = not np.isnan(limits.change_limit)
    outside = pd.array(np.abs(moved) > limits.change_limit + rounding, dtype="boolean")
    outside[np.isnan(moved) | (not known)] = pd.NA
    role = np.full(len(value), "history", dtype=object)
    role[-1 - lag], role[-1] = "baseline", "current"
    frame = pd.DataFrame(
        {
            "period": periods,
            "value": value,
            "change": moved,
            "center": limits.center,
            "limit_low": limits.limit_low,
            "limit_high": limits.limit_high,
            "change_limit": limits.change_limit,
            "outside": outside,
            "role": role,
        }
    )
    return Context(
        frame=frame,
        change=change.total.change,
        unusual=bool(now > limits.change_limit + rounding) if known else None,
        larger=int((past >= now - rounding).sum()),
        of=len(past),
        lag=int(lag),
        notes=notes,
        metric=change.metric.label,
        better=change.metric.better,
        _format=change.format,
        _unit=unit,
    )


def _series(history: object, metric: Metric) -> tuple[list[str], np.ndarray]:
    """Period labels and KPI values in time order, NaN where there is none."""
    if isinstance(history, Cube):
        return list(history.periods), period_values(history, history.metric_named(metric))
    items: Any = getattr(history, "items", None)
    if not callable(items) or hasattr(history, "columns"):
        raise ColumnTypeError(
            f"history: an object of type {type(history).__name__} is not a Cube, a Series or a "
            "mapping of period label -> KPI value. Of a table of rows, pass at.Cube.from_data(...)."
        )
    pairs = [(label_of(period), value) for period, value in items()]  # pyright: ignore[reportGeneralTypeIssues]
    labels = [label for label, _ in pairs]
    if twice := sorted({x for x in labels if labels.count(x) > 1}):
        raise OptionError(f"history: {listing(twice, most=6)} more than once.")
    return labels, np.array([_number(label, value) for label, value in pairs])


def _number(label: str, value: object) -> float:
    if is_null(value):
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise ColumnTypeError(f"history: {value!r:.80} in {label} is not a number.")
    return float(value)


def _place(labels: list[str], end: str, side: str) -> int:
    """Where the baseline or current period of the change stands in the history."""
    if end in labels:
        return labels.index(end)
    if " + " in end:
        raise OptionError(
            f"{side}: {end!r} are pooled periods, and the past has no changes between pooled ones. "
            "Explain the change between two single periods, or pool the history the same way "
            "(Cube.pool)."
        )
    raise PeriodError(
        f"history: no period {end!r}, the {side} of the change.{nearest(end, labels)} "
        f"There: {listing(labels, most=30)}."
    )


def _check_same(label: str, value: float, of_change: float, size: float, format: Format) -> None:
    if not abs(value - of_change) <= _ROUNDED * size:
        raise OptionError(
            f"history: {value:g} in {label}, but {of_change:g} ({format.level(of_change)}) in the "
            "change. Pass the history of the same KPI, part and conditions, in the same units; "
            "Cube.select(...) takes a part."
        )


def _wrong_lag(ends: Iterable[str], span: int, lag: int) -> str:
    first, last = ends
    if span <= 0:
        return f"history: {first} does not come before {last}. Past changes are forward in time."
    return (
        f"lag: {lag}, but the change from {first} to {last} spans {span} periods. Pass lag={span} "
        "to compare it with past changes of the same span."
    )


def _calendar(labels: list[str]) -> Calendar | None:
    """The calendar whose gaps count: numberings may skip, and days off are no gap."""
    found = calendar_of(labels)
    return None if found is None or found.unit in ("number", "day") else found


def _steps(labels: list[str], calendar: Calendar | None) -> np.ndarray:
    """The position of each period in time, from 0: with room for those that are missing."""
    if calendar is None:
        return np.arange(len(labels))
    at = np.array([calendar.position(label) for label in labels])
    if (np.diff(at) <= 0).any():
        raise OptionError(
            f"history: not in time order. Sort it by {calendar.unit}, each once, oldest first."
        )
    return at - at[0]


def _named(labels: list[str], steps: np.ndarray, calendar: Calendar | None) -> list[str]:
    """A label for every position in time, the missing ones too."""
    if calendar is None:
        return labels
    first = calendar.position(labels[0]) or 0
    return [calendar.label(first + t) for t in range(steps[-1] + 1)]


def _notes(periods: list[str], value: np.ndarray, left_out: int) -> tuple[str, ...]:
    notes = []
    if missing := [p for p, x in zip(periods, value, strict=True) if np.isnan(x)]:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" * (len(missing) > 6))
        notes.append(f"The history has no value for {shown}; changes from or to it do not count.")
    if left_out:
        plural = "s" * (left_out > 1)
        notes.append(f"{left_out} period{plural} after {periods[-1]} left out.")
    return tuple(notes)

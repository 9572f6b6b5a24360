"""What a period is compared with: the one before, the same of last year, a mean, a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attribution.calendars import calendar_of
from attribution.config import Comparison, Kpi, resolved
from attribution.cube import Cube
from attribution.errors import OptionError, PeriodError, listing, nearest
from attribution.metrics import Metric
from attribution.result import Attribution

__all__ = ["baselines", "compared", "drilled", "until"]


def until(cube: Cube, period: str) -> Cube:
    """Return the periods of a cube up to one, in time order: what that period's review knew.

    Parameters
    ----------
    cube : Cube
    period : str

    Returns
    -------
    Cube

    Raises
    ------
    PeriodError
        The cube does not hold the period.
    """
    if period not in cube.periods:
        raise PeriodError(
            f"period: no rows of {period!r}.{nearest(period, cube.periods)} "
            f"There: {listing(cube.periods, most=30)}."
        )
    calendar = calendar_of(cube.periods)
    place = {p: i if calendar is None else calendar.position(p) for i, p in enumerate(cube.periods)}
    ordered = sorted(cube.periods, key=lambda p: place[p] or 0)
    return cube.pool({p: [p] for p in ordered[: ordered.index(period) + 1]})


def baselines(comparison: Comparison, periods: Sequence[str]) -> list[str]:
    """Return the periods that the last of `periods` is compared with.

    Parameters
    ----------
    comparison : Comparison
        Not with a plan.
    periods : sequence of str
        In time order.

    Returns
    -------
    list of str

    Raises
    ------
    PeriodError
        One of them is missing; the message names it.

    Examples
    --------
    >>> baselines(Comparison.of("rolling 2"), ["2025-11", "2025-12", "2026-01"])
    ['2025-11', '2025-12']
    """
    current, calendar = periods[-1], calendar_of(periods)
    if calendar is None:
        return _neighbors(comparison, periods)
    if comparison.kind == "year":
        before = calendar.a_year_before(current)
        wanted = [before] if before is not None else []
        if not wanted:
            raise PeriodError(f"compare: {current!r} has no same period of last year.")
    else:
        at = calendar.position(current) or 0
        wanted = [calendar.label(at - k) for k in range(comparison.periods, 0, -1)]
    if absent := [p for p in wanted if p not in periods]:
        raise PeriodError(
            f"compare: {comparison.words}: no rows of {listing(absent)}. "
            f"There: {listing(periods, most=30)}."
        )
    return wanted


def _neighbors(comparison: Comparison, periods: Sequence[str]) -> list[str]:
    """Periods that are no dates have an order but no distance."""
    if comparison.kind == "year":
        raise PeriodError(
            f"compare: 'year' needs periods of a calendar (2026-09); these are {listing(periods)}."
        )
    before = list(periods[-1 - comparison.periods : -1])
    if len(before) < comparison.periods:
        raise PeriodError(
            f"compare: {comparison.words}: there are {len(before)} before {periods[-1]!r}."
        )
    return before


def compared(
    cube: Cube, metric: Metric, kpi: Kpi, comparison: Comparison, **options: Any
) -> Attribution:
    """Explain the last period of a cube against what it is compared with.

    Parameters
    ----------
    cube : Cube
        In time order, over the KPI's own dimensions.
    metric : Metric
    kpi : Kpi
    comparison : Comparison
    **options
        Of `attribution.explain`.

    Returns
    -------
    Attribution
    """
    current = cube.periods[-1]
    asked: dict[str, Any] = {"current": current, "material": kpi.material, **options}
    if comparison.kind != "plan":
        before = baselines(comparison, cube.periods)
        return cube.explain(metric, baseline=before, rates=kpi.rates, **asked)
    if kpi.plan is not None:
        return cube.compare_to_plan(resolved(kpi.plan, "plan"), metric, **asked)
    before = baselines(Comparison.of("previous"), cube.periods)
    return cube.compare_to_plan(kpi.target, metric, baseline=before, **asked)


def drilled(change: Attribution, drill: str) -> list[tuple[str, Attribution]]:
    """Return the attributions of the parts that a drill-down asks for, each with its title.

    Parameters
    ----------
    change : Attribution
    drill : str
        ``"market=BR"``, ``"market=BR by policy"`` or ``"top 3"``: the levels that contribute most
        and stand out from noise.

    Returns
    -------
    list of (str, Attribution)

    Raises
    ------
    OptionError, ColumnNotFoundError
        It is none of these, or names no dimension or level.
    """
    kind, _, number = drill.strip().partition(" ")
    if kind == "top" and number.isdigit():
        return [
            (f"{dimension}: {level}", change.within(**{dimension: level}))
            for dimension, level in _largest(change, int(number))
        ]
    part, _, by = (x.strip() for x in drill.partition(" by "))
    dimension, equals, level = (x.strip() for x in part.partition("="))
    if not equals:
        raise OptionError(
            f"drill: {drill!r} is none of 'market=BR', 'market=BR by policy', 'top 3'."
        )
    inside = change.within(**{dimension: level})
    if by:
        inside.cube.dimension_index(by, "drill")
        inside = inside.cube.rollup([by]).explain(
            inside.metric,
            baseline=inside.cube.periods[0],
            current=inside.cube.periods[1],
            conf_level=change.options.conf_level,
            material=change.options.material,
        )
    return [(f"{dimension}: {level}" + f", by {by}" * bool(by), inside)]


def _largest(change: Attribution, number: int) -> list[tuple[str, str]]:
    """The levels with the largest significant totals that exist in both periods."""
    found = []
    for dimension in change.cube.dimensions:
        frame = change.levels(dimension)
        alpha = 1 - change.options.conf_level
        sure = frame[(frame["total_p_adjusted"] < alpha) & frame["mix"].notna()]
        named = zip(sure["total"].abs(), sure["segment"], strict=True)
        found += [(-size, dimension, segment) for size, segment in named]
    return [(dimension, level) for _, dimension, level in sorted(found)[:number]]

"""What a period is compared with: the one before, the same of last year, a mean, a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attribution.calendars import calendar_of
from attribution.config import Comparison, Drilldown, Kpi, resolved
from attribution.cube import Cube
from attribution.errors import OptionError, PeriodError, listing, nearest
from attribution.metrics import Metric
from attribution.privacy import Shown
from attribution.result import Attribution

__all__ = ["TooEarlyError", "baselines", "compared", "drill_names", "drilled", "until", "up_to"]


class TooEarlyError(PeriodError):
    """What a period is compared with lies before the first rows: no fault of anybody's."""


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
    return cube.pool({p: [p] for p in up_to(cube.periods, period)})


def up_to(periods: Sequence[str], period: str) -> list[str]:
    """Return the periods up to one of them, in time order.

    Parameters
    ----------
    periods : sequence of str
    period : str
        One of them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> up_to(["2026-10", "2026-09", "2026-11"], "2026-10")
    ['2026-09', '2026-10']
    """
    calendar = calendar_of(periods)
    place = {p: i if calendar is None else calendar.position(p) for i, p in enumerate(periods)}
    ordered = sorted(periods, key=lambda p: place[p] or 0)
    return ordered[: ordered.index(period) + 1]


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
    TooEarlyError
        One of them lies before the first period.
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
        first = calendar.position(periods[0]) or 0
        if all((calendar.position(p) or 0) < first for p in absent):
            raise TooEarlyError(
                f"There are no rows of {listing(absent)}; the first are of {periods[0]!r}."
            )
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
        raise TooEarlyError(
            f"There are {len(before)} of the {comparison.periods} periods before {periods[-1]!r}."
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
        return cube.explain(metric, baseline=before, **kpi.options, **asked)
    if kpi.plan is not None:
        return cube.compare_to_plan(resolved(kpi.plan, "plan"), metric, **asked)
    before = baselines(Comparison.of("previous"), cube.periods)
    return cube.compare_to_plan(kpi.target, metric, baseline=before, **asked)


def drill_names(place: int, drill: str) -> list[str]:
    """Return the names of the pages of a drill-down.

    Parameters
    ----------
    place : int
        Among those of its KPI, from 0.
    drill : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> drill_names(0, "market=BR"), drill_names(1, "top 2")
    (['drill-1'], ['drill-2-1', 'drill-2-2'])
    """
    top = Drilldown.of(drill).top
    if top:
        return [f"drill-{place + 1}-{i + 1}" for i in range(top)]
    return [f"drill-{place + 1}"]


def drilled(shown: Shown, drill: str, labels: Mapping[str, str]) -> list[tuple[str, Shown]]:
    """Return the parts that a drill-down asks for, each with its title.

    Parameters
    ----------
    shown : Shown
        Its dimensions by their labels.
    drill : str
        ``"market=BR"``, ``"market=BR by policy"`` or ``"top 3"``: the levels that contribute most
        and stand out from noise.
    labels : mapping of str to str
        What the dimensions of the configuration are called.

    Returns
    -------
    list of (str, Shown)

    Raises
    ------
    OptionError, ColumnNotFoundError
        It names no dimension or level, or one that may not be shown.
    PeriodError
        The part has no volume in one of the periods.
    """
    asked = Drilldown.of(drill)
    if asked.top:
        largest = _largest(shown, asked.top)
        return [(f"{d}: {level}", _part(shown, d, level)) for d, level in largest]
    dimension, by = labels.get(asked.dimension, asked.dimension), labels.get(asked.by, asked.by)
    title = f"{dimension}: {asked.level}" + f", by {by}" * bool(by)
    return [(title, _part(shown, dimension, asked.level, by))]


def _part(shown: Shown, dimension: str, level: str, by: str = "") -> Shown:
    """One level alone, over the other dimensions or over one of them."""
    shown.change.cube.level_index(dimension, level, "drill")
    if shown.suppressed((dimension, level)):
        raise OptionError(f"drill: {dimension} {level!r} may not be shown (see [privacy]).")
    inside = shown.change.within(**{dimension: level})
    if by:
        inside.cube.dimension_index(by, "drill")
        asked = inside.options
        inside = inside.cube.rollup([by]).explain(
            inside.metric,
            baseline=inside.cube.periods[0],
            current=inside.cube.periods[1],
            method=asked.method,
            inference=asked.bootstrap or asked.inference,
            conf_level=asked.conf_level,
            material=asked.material,
            rng=asked.seed,
        )
    return shown.part(inside, (dimension, level))


def _largest(shown: Shown, number: int) -> list[tuple[str, str]]:
    """The levels with the largest significant totals that exist in both periods."""
    found = []
    alpha = 1 - shown.change.options.conf_level
    for dimension, frame in shown.levels.items():
        sure = frame[(frame["total_p_adjusted"] < alpha) & frame["mix"].notna()]
        named = zip(sure["total"].abs(), sure["segment"], strict=True)
        found += [(-size, dimension, segment) for size, segment in named]
    return [(dimension, level) for _, dimension, level in sorted(found)[:number]]

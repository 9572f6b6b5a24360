"""Findings on what noise and comparison rest on: clusters, few units, periods of unequal length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy import sparse

from attribution.calendars import calendar_of
from attribution.finding import finding
from attribution.functions import Total
from attribution.infer import FEWEST_UNITS
from attribution.products import Composite
from attribution.quantiles import has_density
from attribution.tables import too_few

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["clusters", "periods"]

_FEW_CLUSTERS = 12


def clusters(change: Attribution) -> list[dict[str, Any]]:
    """What the standard errors rest on: rows, few clusters, or clusters that are rows."""
    units = change._units
    if not has_density(change.cube, change.metric):
        return []  # nothing is known of the noise, however many clusters there are
    if not units.clustered:
        return [
            finding(
                "no_clusters",
                "info",
                f"Rows are taken as independent (n = {units.count:,}). If they come in batches by "
                "moderator, day or reviewer, name that column as cluster: the standard errors "
                "are too small without it.",
                units=units.count,
            ),
            *_too_few(change),
        ]
    cube, found = change.cube, []
    names = cube.clusters.names if cube.clusters else ()
    n = cube.metric_sums(change.metric, "count").sum()
    for name, way in zip(names, units.ways, strict=True):
        if way.count < 2:
            message = f"There is one {name} only: no standard error can be computed."
        elif way.count < _FEW_CLUSTERS:
            message = (
                f"There are {way.count} clusters ({name}) only; intervals rest on t with "
                f"{way.count - 1} degree{'s' * (way.count != 2)} of freedom and are rough."
            )
        else:
            message = ""
        if message:
            found.append(finding("few_clusters", "warning", message, clusters=way.count))
        if way.count > 0.99 * n > 1:
            found.append(
                finding(
                    "cluster_per_row",
                    "warning",
                    f"cluster: {name!r} is different in nearly every row ({way.count:,} of "
                    f"{n:,.0f}), which is the same as independent rows. Name the unit whose rows "
                    "resemble each other, such as the moderator.",
                    column=name,
                    clusters=way.count,
                    rows=float(n),
                )
            )
    return found + _too_few(change)


def _too_few(change: Attribution) -> list[dict[str, Any]]:
    """Lines of the bridge, and levels, that rest on too few units in a period."""
    cube, parts, X = change.cube, change._parts, change._parts.design.matrix
    bars = [bar.label for bar in change.bridge().bars if bar.note]
    fewest = change._units.support(sparse.hstack([X.T, X.T])).fewest
    volume = cube.metric_sums(change.metric, "denominator")
    there = X.T @ volume.sum(axis=0) > 0
    levels = [
        f"{cube.dimensions[d]} {cube.levels[d][i - parts.design.offsets[d]]}"
        for i, d in enumerate(parts.design.of_dimension)
        if fewest[i] < FEWEST_UNITS and there[i]
    ]
    if not bars and not levels:
        return []
    listed = f"{', '.join([*bars, *levels][:8])}{' ...' if len(bars) + len(levels) > 8 else ''}"
    return [
        finding(
            "too_few_units",
            "warning" if bars else "info",
            f"{too_few(cube).capitalize()} (below {FEWEST_UNITS} in a period) stand behind "
            f"{listed}: intervals are widened, or there is none, and no claim rests on them.",
            lines=bars,
            levels=levels,
        )
    ]


def periods(change: Attribution) -> list[dict[str, Any]]:
    """Periods of unequal length: in days of the calendar, or in pooled values."""
    asked = change.metric
    kpis = asked.kpis.values() if isinstance(asked, Composite) else [asked]
    grows = any(isinstance(kpi, Total) for kpi in kpis)
    pooled = [label.split(" + ") for label in change.cube.periods]
    calendar, unit = calendar_of([*pooled[0], *pooled[1]]), "days"
    if calendar is None or calendar.unit == "number" or calendar.fiscal:
        (a, b), unit = map(len, pooled), "pooled periods"
    else:
        a, b = (sum(calendar.days(x) for x in labels) for labels in pooled)
    if a == b:
        return []
    much = max(a, b) > (1.0 if grows else 1.15) * min(a, b)
    means = (
        "Part of the volume line is the calendar; compare per day if that matters."
        if grows
        else "A ratio can be compared; volumes cannot."
    )
    return [
        finding(
            "unequal_periods",
            "warning" if much else "info",
            f"The periods differ in length: {a} and {b} {unit}. {means}",
            baseline=a,
            current=b,
            unit=unit,
        )
    ]

"""trend: a KPI over all consecutive periods, from one scan; which periods are compared with which.

The changes from period to period add up to the change from first to last with no linking factor
(METHODS.md 4), but mix and rate then divide otherwise than end to end: the result names its path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attribution.analysis import asked_options, explain_pair
from attribution.calendars import Calendar, calendar_of, most_like
from attribution.cube import Cube, several
from attribution.errors import (
    ColumnTypeError,
    OptionError,
    PeriodError,
    check_option,
    listing,
)
from attribution.evidence import Options
from attribution.finding import finding
from attribution.infer import Bootstrap, Draws
from attribution.joint import Joint
from attribution.labels import label_of
from attribution.metrics import Metric, Quantile, ratio_only
from attribution.paths import PATHS, compared, missing_between
from attribution.resampled import Compared, Resampled, check_resampling, redrawn
from attribution.steps import Step, segments_of
from attribution.total import Total
from attribution.trends import Trend

__all__ = ["trend", "trend_cube"]


def trend(
    data: object,
    metric: Metric | str,
    by: str | Sequence[str],
    *,
    period: str,
    periods: Sequence[object] | Mapping[str, Sequence[object]] | None = None,
    path: str = "chained",
    lag: int | None = None,
    against: Mapping[object, object] | None = None,
    window: int | None = None,
    gaps: str = "apart",
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    volume: object = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    timeout: float | None = None,
    method: str = "midpoint",
    mix: str = "adjusted",
    order: Sequence[str] | None = None,
    rates: str = "auto",
    pairs: Sequence[tuple[str, str]] | None = None,
    inference: str | Bootstrap = "analytic",
    conf_level: float = 0.95,
    adjust: str | None = "max-t",
    material: float | None = None,
    rng: object = None,
) -> Trend:
    """Explain a KPI over many periods: every change a bridge, from one scan, adding up over time.

    ``R_T - R_1 = sum over t of (R_t - R_(t-1))``, each of them divided as by `explain`. Along the
    year-to-date path ``K_1 - K_0 = sum_m (w_1m - w_0m)(R_m - K) + sum_m w_m (R_1m - R_0m)``: the
    first sum is phasing (volume that moved between periods of different level), w the part of a
    period in its year, R_m, K and w_m means over the two years.

    Parameters
    ----------
    data : table
        See `attribution.explain`.
    metric : Metric or str
        The KPI, ``at.Rate("correct", "reviewed")`` or ``"correct / reviewed"``.
    by : str or sequence of str
        The dimensions.
    period : str
        The period column, or a granularity of a date: ``"month of decided_at"``.
    periods : sequence or mapping, optional
        The periods in time order (all of them, in the order of their labels, by default); a mapping
        pools them: ``{"H1": ["2026-01", ...], "H2": [...]}``.
    path : {"chained", "end-to-end", "year-over-year", "year-to-date"}
        What is compared with what. "chained": each period with the one before. "end-to-end": the
        last with the first. "year-over-year": each with the same period of the year before.
        "year-to-date": the same for the last period's year, weighted so that the changes, with
        phasing, add up to the change of the year so far.
    lag : int, optional
        Compare each period with that many periods earlier; 12 is the year before for months.
    against : mapping, optional
        Period -> the period it is compared with.
    window : int, optional
        Rolling periods: each pools so many that follow each other.
    gaps : {"apart", "bridge"}
        A change over missing periods: one line "gap" that is not divided, or divided like any
        other. `check` names what is missing either way.
    cluster : str or sequence of str, optional
        The column of units that are independent of each other, or two. None: rows are independent.
    weight, volume, where, mapping, on_invalid, timeout : optional
        See `attribution.explain`.
    method, mix, order, rates, pairs : optional
        See `attribution.explain`; they hold for each change.
    inference : {"analytic", "bootstrap"} or Bootstrap
        The bootstrap draws clusters once for all periods: in each replicate the changes add up to
        the whole, and sums over periods hold the noise that they share. Percentile intervals.
    conf_level, adjust, material, rng : optional
        See `attribution.explain`; they hold for each change. `material` is for `verdict`.

    Returns
    -------
    Trend
        With `effects`, `summed`, `frame`, `steps`, `end_to_end`, `compare_paths()`, `plot`. Of a
        quantile the intervals of `summed` leave out the noise of its density, which `check` says.

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The request does not fit the table; the message names the nearest match.
    PeriodError
        Fewer than two periods, periods that cannot be put in order, or nothing to compare with.
    DataContractError, IdentificationError, SourceError
        As `attribution.explain`, for any of the changes.

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates: A User's Manual. Census
    P23-186, chapter 6 (why chained and direct effects differ).

    Examples
    --------
    >>> import pandas as pd
    >>> reviews = pd.DataFrame({
    ...     "month": ["2026-01"] * 2 + ["2026-02"] * 2 + ["2026-03"] * 2,
    ...     "queue": ["easy", "hard"] * 3,
    ...     "reviewed": [800, 200, 500, 500, 500, 500],
    ...     "correct": [760, 160, 475, 400, 470, 390],
    ... })
    >>> accuracy = trend(reviews, "correct / reviewed", by="queue", period="month")
    >>> accuracy
    <Trend correct / reviewed: 2 changes, 2026-01 → 2026-03 (−6.00 pp), chained>
    >>> accuracy.effects[["period", "effect", "dimension", "estimate"]].round(3)
        period effect dimension  estimate
    0  2026-02    mix     queue    -0.045
    1  2026-02   rate      None     0.000
    2  2026-03    mix     queue     0.000
    3  2026-03   rate      None    -0.015
    """
    if period is None:
        raise ColumnTypeError("period: None is not text. It names what tells the periods apart.")
    pools = _pools(periods)
    if pools is not None:
        read: list[object] | None = [x for members in pools.values() for x in members]
    else:
        read = None if periods is None else several(periods)
    if against is not None and read is not None:
        read += [x for pair in against.items() for x in pair]
    cube = Cube.from_data(
        data,
        metric,
        by,
        period=period,
        periods=None if read is None else list(dict.fromkeys(read)),
        cluster=cluster,
        weight=weight,
        volume=volume,
        where=where,
        mapping=mapping,
        on_invalid=on_invalid,
        timeout=timeout,
    )
    return trend_cube(
        cube,
        periods=periods,
        path=path,
        lag=lag,
        against=against,
        window=window,
        gaps=gaps,
        method=method,
        mix=mix,
        order=order,
        rates=rates,
        pairs=pairs,
        inference=inference,
        conf_level=conf_level,
        adjust=adjust,
        material=material,
        rng=rng,
    )


def trend_cube(
    cube: Cube,
    metric: Metric | str | None = None,
    *,
    periods: Sequence[object] | Mapping[str, Sequence[object]] | None = None,
    path: str = "chained",
    lag: int | None = None,
    against: Mapping[object, object] | None = None,
    window: int | None = None,
    gaps: str = "apart",
    **options: Any,
) -> Trend:
    """Explain a KPI over the periods of a cube, without reading data again; see `trend`.

    Parameters
    ----------
    cube : Cube
    metric : Metric or str, optional
        One of the cube's; the first by default.
    periods, path, lag, against, window, gaps : optional
        See `trend`.
    **options
        The options of `attribution.explain` from `method` on.

    Returns
    -------
    Trend
    """
    check_option("path", path, PATHS)
    check_option("gaps", gaps, ["apart", "bridge"])
    if sum((path != "chained", lag is not None, against is not None)) > 1:
        raise OptionError("path, lag, against: each says what is compared with what; give one.")
    asked = asked_options(**options)
    if asked.finite_population:
        raise OptionError("finite_population: it is for a change of two periods (at.explain).")
    check_resampling(asked)
    kpi = cube.metric_named(metric)
    if isinstance(kpi, Quantile) and asked.bootstrap is not None:
        raise OptionError("inference: a quantile needs inference='analytic'.")
    if path == "year-to-date":
        ratio_only(kpi, "path='year-to-date'")
    cube, findings = _chosen(cube, periods)
    calendar = _calendar(cube.periods, ordered=periods is not None)
    missing = {} if calendar is None else calendar.missing(cube.periods)
    single, pooled = cube, None
    if window is not None:
        if missing:
            raise PeriodError(
                f"window: {_named(missing)} missing, so that windows would differ in length. "
                "Choose periods=[...] without a gap."
            )
        cube, pooled = _rolled(cube, window)
        calendar = None
    _check_measured(cube, kpi)
    if isinstance(kpi, Quantile):
        findings.append(_of_quantiles(pooled is not None and cube.clusters is None))
    places, name, more = compared(cube, calendar, path, lag, against)
    findings += more
    joint = Joint.of(cube, kpi, single, pooled)
    overlapping = pooled is not None and cube.clusters is None
    steps, linear = [], replace(asked, inference="analytic", bootstrap=None)
    for pair in places:
        between = missing_between(cube, missing, pair, name)
        change = None
        if not between or gaps == "bridge":
            change = _explained(cube, kpi, linear, pair, joint if overlapping else None)
        steps.append(Step(pair, change, between))
    findings += _gap_findings(steps, cube.periods, gaps)
    again = None
    if asked.bootstrap is not None:
        steps, again = _resampled(cube, kpi, asked, steps, single, pooled)
    total = _total(cube, kpi, asked, steps, name, joint, again, overlapping)
    return Trend(cube, kpi, name, total, asked, tuple(findings), tuple(steps), joint, again)


def _pools(periods: object) -> dict[str, list] | None:
    if not isinstance(periods, Mapping):
        return None
    pools = {label_of(name): several(members) for name, members in periods.items()}
    if empty := [name for name, members in pools.items() if not members]:
        raise PeriodError(f"periods: {listing(empty)} pools no period.")
    return pools


def _chosen(cube: Cube, periods: object) -> tuple[Cube, list[dict[str, Any]]]:
    """The cube of the periods that were asked for, in their order."""
    pools = _pools(periods)
    if pools is None:
        asked = cube.periods if periods is None else several(periods)
        labels = [cube.periods[cube.period_index(x, "periods")] for x in asked]
        if twice := sorted({x for x in labels if labels.count(x) > 1}):
            raise PeriodError(f"periods: {listing(twice)} more than once.")
        pools = {label: [label] for label in labels}
    named = {
        name: [cube.periods[cube.period_index(x, "periods")] for x in members]
        for name, members in pools.items()
    }
    if len(named) < 2:
        there = listing(named)
        raise PeriodError(f"periods: a trend needs two of them at least; there is {there}.")
    lengths = {name: len(members) for name, members in named.items()}
    findings = []
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} ({k})" for name, k in lengths.items())
        findings.append(
            finding(
                "unequal_periods",
                "info",
                f"The periods pool different numbers of periods: {shown}. A ratio can be compared; "
                "volumes cannot.",
                lengths=lengths,
            )
        )
    same = list(named) == list(cube.periods) and set(lengths.values()) == {1}
    return cube if same else cube.pool(named), findings


def _calendar(labels: Sequence[str], ordered: bool) -> Calendar | None:
    """The calendar of the periods; only some having one is refused, unless they come in order."""
    calendar, like = calendar_of(labels), None if ordered else most_like(labels)
    if calendar is None and like is not None:
        odd = [x for x in labels if like.position(x) is None]
        known = next(x for x in labels if like.position(x) is not None)
        raise PeriodError(
            f"period: {listing(odd, most=6)} cannot be put in order with the {like.unit}s "
            f"{known!r} ... of the same column. Name the periods in time order (periods=[...])."
        )
    if calendar is None:
        return None
    at = [calendar.position(x) or 0 for x in labels]
    # Someone who names periods in another order means that order.
    return calendar if at == sorted(at) else None


def _rolled(cube: Cube, window: object) -> tuple[Cube, np.ndarray]:
    """The cube of windows of neighboring periods, and which periods each of them pools."""
    P = len(cube.periods)
    whole = isinstance(window, int | np.integer) and not isinstance(window, bool)
    if not whole or not 2 <= window < P:  # pyright: ignore[reportOperatorIssue]
        raise OptionError(
            f"window: {window!r} is not a whole number of periods from 2 to {P - 1}, one fewer "
            "than there are."
        )
    w, count = int(window), P - int(window) + 1  # pyright: ignore[reportArgumentType]
    pooled = np.array([[t <= s < t + w for s in range(P)] for t in range(count)], dtype=float)
    labels = tuple(f"{cube.periods[t]} to {cube.periods[t + w - 1]}" for t in range(count))
    clusters = cube.clusters
    if clusters is not None:
        # Each entry belongs to every window that its period lies in.
        entry, window_of = np.nonzero(pooled[:, clusters.period].T)
        clusters = replace(clusters.take(entry), period=window_of.astype(np.int32))
    sums = {k: np.einsum("ts,s...->t...", pooled, v) for k, v in cube.sums.items()}
    sketches = {k: x.pooled(pooled) for k, x in cube.sketches.items()}
    provenance = {**cube.provenance, "window": w}
    rolled = replace(
        cube, periods=labels, sums=sums, clusters=clusters, sketches=sketches, provenance=provenance
    )
    return rolled, pooled


def _check_measured(cube: Cube, metric: Metric) -> None:
    D = cube.metric_sums(metric, "denominator").sum(axis=1)
    if empty := [p for p, d in zip(cube.periods, D, strict=True) if not d > 0]:
        raise PeriodError(
            f"periods: the denominator {metric.denominator or 'rows'!r} of {metric.label!r} is 0 "
            f"in {listing(empty, most=6)}. Leave such periods out (periods=[...])."
        )


def _explained(
    cube: Cube, metric: Metric, options: Options, pair: tuple[int, int], joint: Joint | None
):
    there = segments_of(cube, metric, pair)
    units = None if joint is None else joint.step_units(pair, there)
    two = cube.between(cube.periods[pair[0]], cube.periods[pair[1]])
    return explain_pair(two, metric, options, units)


def _resampled(
    cube: Cube,
    metric: Metric,
    options: Options,
    steps: Sequence[Step],
    single: Cube,
    pooled: np.ndarray | None,
) -> tuple[list[Step], Resampled]:
    """The steps with the intervals of one bootstrap of all periods, and that bootstrap."""
    compared = [
        Compared(step.pair, segments_of(cube, metric, step.pair), step.change)
        for step in steps
        if step.change is not None
    ]
    again = Resampled.of(single, metric, pooled, options, compared)
    draws = iter(again.steps)
    found = [
        step
        if step.change is None
        else replace(step, change=redrawn(step.change, next(draws), options))
        for step in steps
    ]
    return found, again


def _gap_findings(steps: Sequence[Step], labels: Sequence[str], gaps: str) -> list[dict[str, Any]]:
    found = []
    for step in steps:
        if not step.missing:
            continue
        a, b = (labels[t] for t in step.pair)
        done = (
            "is one line, 'gap', and is not divided; gaps='bridge' would divide it"
            if step.change is None
            else "is divided like any other, as asked"
        )
        message = f"No data for {listing(step.missing, most=6)}. The change from {a} to {b} {done}."
        found.append(
            finding(
                "missing_periods", "warning", message, periods=list(step.missing), between=[a, b]
            )
        )
    return found


def _total(
    cube: Cube,
    metric: Metric,
    options: Options,
    steps: Sequence[Step],
    name: str,
    joint: Joint,
    again: Resampled | None,
    overlapping: bool,
) -> Total | None:
    """What the steps add up to, from the KPI alone."""
    if name not in ("chained", "end-to-end", "year-to-date"):
        return None
    whole_path = (0, len(cube.periods) - 1)
    if again is not None and name != "year-to-date":
        return again.change(whole_path, joint)
    if overlapping:
        return joint.change(whole_path, options.conf_level)
    sides = [[cube.periods[step.pair[side]] for step in steps] for side in (0, 1)]
    if name != "year-to-date":
        sides = [cube.periods[:1], cube.periods[-1:]]
    whole = cube.rollup([])
    asked = replace(options, mix="adjusted", order=None, rates="saturated", pairs=None)
    linear = replace(asked, inference="analytic", bootstrap=None)
    change = explain_pair(whole.between(*sides), metric, linear)
    if again is None:
        return change.total
    ends = [[cube.periods.index(x) for x in side] for side in sides]
    K = [again.sums[:, 1, at].sum(axis=1) / again.sums[:, 0, at].sum(axis=1) for at in ends]
    return redrawn(change, Draws((K[1] - K[0])[:, None]), options).total


def _of_quantiles(overlapping: bool) -> dict[str, Any]:
    """What the intervals of a quantile's bars leave out; levels and totals hold it."""
    summed = "those of each change too" if overlapping else "those of each change hold it"
    message = (
        "Of a quantile the intervals of summed mix and rate leave out the noise of its density, "
        f"{summed}; they can be a fifth too narrow at 3,000 rows a period. All levels and totals "
        "hold it."
    )
    return finding("quantile_sums", "info", message)


def _named(missing: Mapping[tuple[str, str], Sequence[str]]) -> str:
    return listing([x for gap in missing.values() for x in gap], most=6)

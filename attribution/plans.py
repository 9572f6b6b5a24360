"""compare_to_plan: actual against plan - mix variance, performance, what nobody planned.

The plan stands in the place of the baseline and the actual in that of the current period, divided
by the method "current" (METHODS.md 1 and 4):

    mix_c = (p_c - w_c)(T_c - T)      performance_c = p_c (r_c - T_c)

with w_c and T_c the planned share and target rate of a segment, p_c and r_c the actual ones, and
T = sum w_c T_c the plan's KPI. A plan has no sampling error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from attribution.analysis import asked_options, explain_pair
from attribution.cube import Cube, several, without_empty_levels
from attribution.errors import (
    DataContractError,
    OptionError,
    PeriodError,
    listing,
    nearest,
)
from attribution.labels import MISSING, label_of, natural_key
from attribution.metrics import Metric, Quantile, Rate
from attribution.result import Attribution
from attribution.source import PlanTable, read_plan
from attribution.spelling import slip_of

__all__ = ["compare_cube", "compare_to_plan"]

_SUM = 1e-6


def compare_to_plan(
    data: object,
    plan: object,
    metric: Metric | str,
    by: str | Sequence[str],
    *,
    period: str | None = None,
    current: object = None,
    baseline: object = None,
    volume: str | None = None,
    share: str | None = None,
    target: str | None = None,
    undelivered: Mapping[str, object] | None = None,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    conf_level: float = 0.95,
    adjust: str | None = "max-t",
    material: float | None = None,
    rng: object = None,
) -> Attribution:
    """Explain why a KPI is above or below plan: mix, performance, unplanned and undelivered work.

    ``R - T = sum over dimensions of mix + joint + rate + exit + entry``, exactly: mix is the plan's
    rates at actual less planned shares, rate (performance) the actual less the planned rates at
    actual shares. "exit" rows are segments planned and not delivered, "entry" rows delivered and
    not planned. With a single number as plan: ``R - T = (R - R_0) + (R_0 - T)``, the change from
    the baseline, divided as by `explain`, and the row "stretch".

    Parameters
    ----------
    data : table
        The actual; see `attribution.explain`.
    plan : table or float
        One row per segment: some or all of the dimensions, planned volume or share, target rate,
        and the period where it holds several. Or one target for the whole.
    metric : Metric or str
        The KPI, ``at.Rate("correct", "reviewed")``.
    by : str or sequence of str
        The dimensions. Planned rates hold for all levels of a dimension that the plan does not
        know, and its planned mix is the actual one within each planned segment: such a dimension
        moves nothing and is left out of the bridge, which `check` says.
    period : str, optional
        The period column, or a granularity of a date. None takes all rows.
    current : value or list of values, optional
        The actual period; needed where the data hold several.
    baseline : value or list of values, optional
        For a single target: the period that the change is measured from.
    volume, share, target : str, optional
        Columns of the plan. By default planned_volume or volume, planned_share or share, target.
    undelivered : dict, optional
        ``{dimension: levels}`` that were planned and occur nowhere in the data although a level
        that nobody planned is called nearly the same. Any other level that was planned and not
        done is a line without being named here, and `check` lists them all.
    cluster, weight, where, mapping, on_invalid : optional
        See `attribution.explain`; `mapping` holds for the actual.
    conf_level, adjust, material, rng : optional
        See `attribution.explain`.

    Returns
    -------
    Attribution
        With the plan as its baseline: `effects`, `levels`, `bridge`, `verdict`, `plot`.

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The request does not fit data or plan; the message names the nearest match.
    PeriodError
        No such period, or several and none is named.
    DataContractError
        The plan breaks its contract (a segment twice, shares that do not add up to 1, negative
        volumes, a rate outside 0 to 1, an unknown level called nearly as one that is not planned),
        covers nothing of the actual, or the data break theirs.

    Examples
    --------
    >>> import pandas as pd
    >>> plan = pd.DataFrame({"queue": ["easy", "hard"], "planned_share": [0.7, 0.3],
    ...                      "target": [0.96, 0.86]})
    >>> actual = pd.DataFrame({"queue": ["easy", "hard"], "reviewed": [600, 400],
    ...                        "correct": [573, 340]})
    >>> gap = compare_to_plan(actual, plan, "correct / reviewed", by="queue")
    >>> gap.effects[["effect", "dimension", "estimate"]].round(3)
      effect dimension  estimate
    0    mix     queue    -0.010
    1   rate      None    -0.007
    """
    scalar = _is_number(plan)
    wanted = [*several(current), *(several(baseline) if scalar else [])]
    named = [x for x in wanted if x is not None]
    cube = Cube.from_data(
        data,
        metric,
        by,
        period=period,
        periods=named or None,
        cluster=cluster,
        weight=weight,
        where=where,
        mapping=mapping,
        on_invalid=on_invalid,
    )

    def elsewhere(dimension: str) -> Sequence[str]:
        """The levels of a dimension in any period: planned work that was there before."""
        if period is None or not named:
            return []
        every = Cube.from_data(
            data, metric, [dimension], period=period, where=where, mapping=None, weight=weight,
            on_invalid=on_invalid,
        )  # fmt: skip
        return every.levels[0]

    return _compared(
        cube,
        plan,
        None,
        elsewhere=elsewhere,
        current=current,
        baseline=baseline,
        volume=volume,
        share=share,
        target=target,
        undelivered=undelivered,
        options={"conf_level": conf_level, "adjust": adjust, "material": material, "rng": rng},
    )


def compare_cube(
    cube: Cube,
    plan: object,
    metric: Metric | str | None = None,
    *,
    current: object = None,
    baseline: object = None,
    volume: str | None = None,
    share: str | None = None,
    target: str | None = None,
    undelivered: Mapping[str, object] | None = None,
    **options: Any,
) -> Attribution:
    """Compare a period of a cube with a plan, without reading data again; see `compare_to_plan`.

    Parameters
    ----------
    cube : Cube
    plan : table or float
    metric : Metric or str, optional
        One of the cube's; the first by default.
    current, baseline, volume, share, target, undelivered : optional
        See `compare_to_plan`.
    **options
        `conf_level, adjust, material, rng` of `compare_to_plan`.

    Returns
    -------
    Attribution
    """
    return _compared(
        cube,
        plan,
        metric,
        elsewhere=lambda dimension: cube.levels[cube.dimension_index(dimension)],
        current=current,
        baseline=baseline,
        volume=volume,
        share=share,
        target=target,
        undelivered=undelivered,
        options=options,
    )


def _compared(cube: Cube, plan: object, metric: Any, *, elsewhere, options, **asked) -> Attribution:
    kpi = cube.metric_named(metric)
    if isinstance(kpi, Quantile):
        raise OptionError(f"metric: {kpi.label!r} is a quantile; plans of quantiles do not add up.")
    chosen = asked_options(**options, method="current")
    actual = _actual(cube, asked["current"])
    if _is_number(plan):
        return _against_target(cube, kpi, chosen, float(plan), actual, asked)  # pyright: ignore[reportArgumentType]
    if asked["baseline"] is not None:
        raise OptionError("baseline: it is for a single target; a plan is its own baseline.")
    one = without_empty_levels(cube.pool({" + ".join(actual): actual}))
    names = (asked[x] for x in ("volume", "share", "target"))
    table = read_plan(plan, cube.dimensions, cube.provenance["period"], *names)
    planned = _planned(table, kpi, actual)
    unknown = tuple(d for d in cube.dimensions if d not in table.dimensions)
    one = one.rollup(table.dimensions)
    _check_levels(planned, one, elsewhere, asked["undelivered"] or {})
    two = _joined(one, planned, kpi)
    _check_covers(two, kpi)
    if unknown:
        two = replace(two, findings=(*two.findings, _not_planned_by(unknown)))
    return explain_pair(two, kpi, replace(chosen, rates="planned"))


def _is_number(plan: object) -> bool:
    return isinstance(plan, Real) and not isinstance(plan, bool)


def _actual(cube: Cube, current: object) -> list[str]:
    if current is not None:
        found = [cube.periods[cube.period_index(x, "current")] for x in several(current)]
        return list(dict.fromkeys(found))
    if len(cube.periods) > 1:
        raise PeriodError(
            f"current: the data hold several periods; name the actual one. There: "
            f"{listing(cube.periods, most=30)}."
        )
    return list(cube.periods)


def _against_target(
    cube: Cube, metric: Metric, options, goal: float, actual: list[str], asked: dict[str, Any]
) -> Attribution:
    """The change from the baseline, and the stretch from the target to the baseline."""
    if any(asked[x] is not None for x in ("volume", "share", "target", "undelivered")):
        raise OptionError("plan: a single target has no columns (volume, share, target).")
    if asked["baseline"] is None:
        raise PeriodError(
            "baseline: a single target says nothing on segments. Name the period that the change "
            "is measured from; the row 'stretch' leads from the target to it."
        )
    _check_rates(metric, np.array([goal]), "plan")
    two = cube.between(asked["baseline"], actual)
    two = replace(two, provenance={**two.provenance, "plan": goal, "path": "against target"})
    return explain_pair(two, metric, replace(options, target=goal))


# -- reading and checking the plan ------------------------------------------------------------


def _planned(table: PlanTable, metric: Metric, actual: list[str]) -> PlanTable:
    """The rows of the plan for the actual periods, checked; several periods are summed."""
    keep = np.ones(len(table.labels), dtype=bool)
    if table.periods is not None:
        keep = np.isin(table.periods, actual)
        if absent := [x for x in actual if x not in table.periods]:
            there = sorted(set(table.periods), key=natural_key)
            raise PeriodError(
                f"plan: no rows for {listing(absent)}.{nearest(absent[0], there)} There: "
                f"{listing(there, most=30)}."
            )
    labels = [x for x, k in zip(table.labels, keep, strict=True) if k]
    periods = [x for x, k in zip(table.periods or [""] * len(keep), keep, strict=True) if k]
    amount, target = table.amount[keep], table.target[keep]
    named = [" × ".join(x) for x in labels]
    problems = []
    repeated = sorted(_repeated(list(zip(periods, named, strict=True))))
    if repeated:
        listed = listing([name for _, name in repeated], most=6)
        hint = _told_apart(table, keep, list(zip(periods, named, strict=True)))
        if not hint and table.periods is None:
            hint = " If it holds several periods or KPIs, name the period or keep the rows of one."
        many = "segments come" if len(repeated) > 1 else "segment comes"
        problems.append(f"{len(repeated):,} {many} more than once: {listed}.{hint}")
    for column, values in ((table.amount_name, amount), (table.target_name, target)):
        if bad := [x for x, v in zip(named, values, strict=True) if not np.isfinite(v)]:
            problems.append(f"{column}: no number for {listing(bad, most=6)}.")
    if bad := [f"{x} ({v:g})" for x, v in zip(named, amount, strict=True) if v < 0]:
        problems.append(f"{table.amount_name}: negative for {listing(bad, most=6)}.")
    if isinstance(metric, Rate):
        outside = [(x, v) for x, v in zip(named, target, strict=True) if not 0 <= v <= 1]
        if bad := [f"{x} ({v:g})" for x, v in outside if np.isfinite(v)]:
            hint = " In percent? Divide by 100." if np.nanmax(target) <= 100 else ""
            problems.append(
                f"{table.target_name}: no rate between 0 and 1 for {listing(bad, most=6)}.{hint}"
            )
    if table.is_share:
        for period in dict.fromkeys(periods):
            own = np.array([p == period for p in periods])
            total = float(amount[own].sum())
            if abs(total - 1) > _SUM:
                of = f" in {period}" if period else ""
                hint = " In percent? Divide by 100." if abs(total - 100) <= 100 * _SUM else ""
                problems.append(
                    f"{table.amount_name}: shares add up to {total:.6g}{of}, not to 1.{hint}"
                )
        if len(set(periods)) > 1:
            problems.append(
                f"{table.amount_name}: shares of several periods cannot be pooled; plan volumes."
            )
    elif np.isfinite(amount).all() and not amount.sum() > 0:
        problems.append(f"{table.amount_name}: the plan has no volume.")
    if problems:
        facts = [{"problem": text} for text in problems]
        raise DataContractError("plan: " + "\n  ".join(problems), facts)
    if len(set(periods)) > 1:
        labels, amount, target = _pooled(labels, amount, target)
    return replace(table, labels=labels, periods=None, amount=amount, target=target)


def _told_apart(table: PlanTable, keep: np.ndarray, keys: list) -> str:
    """Name the column that tells rows of one segment apart: a dimension that `by` lacks."""
    for name, values in table.others.items():
        own = [x for x, k in zip(values, keep, strict=True) if k]
        if not _repeated(list(zip(keys, own, strict=True))):
            return (
                f" Its column {name!r} tells them apart and is not in by: add it (by={name!r} "
                f"beside {listing(table.dimensions)}), or sum the plan over it."
            )
    return ""


def _repeated(keys: list) -> set:
    seen, twice = set(), set()
    for key in keys:
        (twice if key in seen else seen).add(key)
    return twice


def _pooled(labels: list, amount: np.ndarray, target: np.ndarray):
    """Several planned periods as one: volumes add up, rates are weighted by them."""
    unique = list(dict.fromkeys(labels))
    at = np.array([unique.index(x) for x in labels])
    volume = np.bincount(at, amount, len(unique))
    hits = np.bincount(at, amount * target, len(unique))
    mean = np.bincount(at, target, len(unique)) / np.bincount(at, minlength=len(unique))
    return unique, volume, np.divide(hits, volume, out=mean, where=volume > 0)


def _check_rates(metric: Metric, values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise OptionError(f"{name}: {float(values[0])!r} is not a number.")
    if isinstance(metric, Rate) and not ((values >= 0) & (values <= 1)).all():
        hint = f" Did you mean {values[0] / 100:g}?" if 1 < values[0] <= 100 else ""
        raise OptionError(f"{name}: {values[0]:g} is no rate between 0 and 1.{hint}")


def _check_levels(planned: PlanTable, actual: Cube, elsewhere, said: Mapping[str, object]) -> None:
    """Refuse planned levels that are misspelled.

    One that occurs nowhere in the data is an ordinary line, work that was planned and not done.
    Where a level of the data that nobody planned is called nearly the same, one of the two is a
    slip: the bridge would show it as work not done and other work not planned.
    """
    known: dict[str, set[str]] = {}
    for dimension, levels in said.items():
        if dimension not in planned.dimensions:
            raise OptionError(
                f"undelivered: the plan has no dimension {dimension!r}."
                f"{nearest(dimension, planned.dimensions)}"
            )
        known[dimension] = {label_of(x) for x in several(levels)}
    problems = []
    for d, dimension in enumerate(planned.dimensions):
        named = list(dict.fromkeys(x[d] for x in planned.labels))
        lacking = [x for x in named if x not in actual.levels[d]]
        unplanned = [x for x in actual.levels[d] if x not in named]
        before = {*elsewhere(dimension), *known.get(dimension, set())}
        if MISSING in lacking and MISSING not in before:
            problems.append(
                f"{dimension}: rows without a level, which no row of the data lacks. Fill it in, "
                "or leave such rows out of the plan."
            )
        for level in (x for x in lacking if x not in before):
            if like := slip_of(level, unplanned):
                problems.append(
                    f"{dimension}: no level {level!r} in the data, which has {like!r} that is not "
                    f"planned. Did you mean {like!r}?"
                )
    if problems:
        raise DataContractError(
            "plan: " + "\n  ".join(problems) + "\n  If it was planned and never delivered: "
            "undelivered={dimension: [levels]}.",
            [{"problem": text} for text in problems],
        )


def _check_covers(cube: Cube, metric: Metric) -> None:
    D = cube.metric_sums(metric, "denominator")
    if not (D > 0).all(axis=0).any():
        raise DataContractError(
            f"plan: it covers nothing of the actual; no planned segment of "
            f"{listing(cube.dimensions)} has rows in {cube.periods[1]}."
        )


# -- plan and actual as one cube --------------------------------------------------------------


def _joined(actual: Cube, planned: PlanTable, metric: Metric) -> Cube:
    """The plan as the first period of a cube, the actual as its second."""
    levels, own, other = [], actual.codes.copy(), np.zeros((len(planned.labels), 0), dtype=int)
    for d, there in enumerate(actual.levels):
        labels = sorted({*there, *(x[d] for x in planned.labels)}, key=natural_key)
        position = {label: i for i, label in enumerate(labels)}
        own[:, d] = np.array([position[x] for x in there], dtype=own.dtype)[own[:, d]]
        column = np.array([position[x[d]] for x in planned.labels])
        other = np.column_stack([other, column])
        levels.append(tuple(labels))
    codes, at = np.unique(np.vstack([own, other]), axis=0, return_inverse=True)
    at_own, at_other = np.split(at.ravel(), [len(own)])
    sums = {}
    for name, values in actual.sums.items():
        sums[name] = np.zeros((2, len(codes)))
        sums[name][1, at_own] = values[0]
    moments = metric.moments(actual.weighted)
    volume = planned.amount
    if planned.is_share:
        volume = volume * actual.metric_sums(metric, "denominator").sum()
    for role, value in (
        ("denominator", volume),
        ("count", volume),
        ("numerator", volume * planned.target),
    ):
        sums[moments[role].key][0, at_other] = value
    clusters = actual.clusters
    if clusters is not None:
        clusters = replace(
            clusters,
            period=np.ones_like(clusters.period),
            segment=at_own[clusters.segment].astype(np.int32),
        )
    label = "" if actual.periods[0] == "all rows" else f" {actual.periods[0]}"
    cube = replace(
        actual,
        levels=tuple(levels),
        codes=codes.astype(np.int32),
        periods=(f"PL{label}", f"AC{label}"),
        sums=sums,
        clusters=clusters,
        # Of other KPIs of the same scan the plan says nothing.
        metrics=(metric,),
        sketches={},
        provenance={
            **actual.provenance,
            "plan": planned.name,
            "planned_by": list(planned.dimensions),
            "path": "against plan",
        },
    )
    # What has neither plan nor actual is nothing to compare.
    D = cube.metric_sums(metric, "denominator")
    return cube.keep_segments(np.asarray((D > 0).any(axis=0)))


def _not_planned_by(unknown: Sequence[str]) -> dict[str, Any]:
    """The finding on dimensions that the plan does not know."""
    return {
        "code": "not_planned_by",
        "severity": "info",
        "message": f"The plan does not know {listing(unknown)}: its rates hold for all their "
        "levels, and their planned mix is the actual one within each planned segment. They move "
        "nothing by themselves and are left out of the bridge.",
        "facts": {"dimensions": list(unknown)},
    }

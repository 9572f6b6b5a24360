"""plan and cascade: an overall target divided among segments by what each can reach and show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from attribution.cube import Cube, several
from attribution.decompose.allocation import allocate, allocate_detectable
from attribution.errors import (
    ColumnTypeError,
    DataContractError,
    OptionError,
    check_option,
    listing,
)
from attribution.formatting import Format
from attribution.goals import Labels, check_target, day, numbers_by_segment, require_ratio
from attribution.infer.power import detectable_factor, rows_needed
from attribution.metrics import Metric
from attribution.targets.plans import Targets, Version
from attribution.targets.variance import segment_variance

__all__ = ["cascade", "plan"]

METHODS = ("headroom", "proportional", "peer")
# A target further from the overall one than this does not roll up.
_ROUNDING = 1e-9


def plan(
    history: object,
    metric: Metric | str,
    by: str | Sequence[str],
    *,
    overall: float,
    floor: float | Mapping[object, float] | None = None,
    stretch: float | Mapping[object, float] | None = None,
    method: str = "headroom",
    volumes: object = None,
    periods: int = 1,
    effective: object = None,
    period: str | None = None,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    alpha: float = 0.05,
    power: float = 0.8,
) -> Targets:
    """Set a target for each segment so that they roll up to the overall target exactly.

    ``sum_c w_c T_c = overall`` with w the planned shares of volume, every T between its floor and
    what can be achieved, and no improvement asked for that the segment's volume could not show: a
    segment whose share of the work would be smaller than its minimum detectable change is held at
    its baseline, and the others take its part over.

    Parameters
    ----------
    history : table
        The last stable periods; see `attribution.explain`.
    metric : Metric or str
        A rate, ratio or mean.
    by : str or sequence of str
        The columns that tell the segments.
    overall : float
        The target of the whole, KPI units.
    floor : float or mapping, optional
        The worst that a segment's target may be (a contract), for all or per segment.
    stretch : float or mapping, optional
        The best that can be achieved. None: the 75th percentile of the segments or the baseline
        improved by twice the detectable change, whichever is further; never beyond 100 % of a rate
        or below 0.
    method : {"headroom", "proportional", "peer"}
        In which proportion segments improve: by the distance to what they can achieve; by their
        level; or by the distance to the better peers (the 75th percentile), who are left alone.
    volumes : mapping or table, optional
        Planned volume per segment (column "volume" or "planned_volume"). None: as in history.
    periods : int
        How many plan periods are judged together: targets of a quarter of three months can be
        finer than those of a month.
    effective : date or str, optional
        From when on the plan is in force.
    period : str, optional
        The period column of `history`; tells how many rows one period has.
    cluster, weight, where, mapping, on_invalid
        See `attribution.explain`.
    alpha, power : float
        Of the detectable change; see `attribution.minimum_detectable_change`.

    Returns
    -------
    Targets

    Raises
    ------
    OptionError
        The overall target lies outside what floors and bounds allow, or cannot be shared in parts
        that the segments' volumes show; the message says what could be.
    ColumnNotFoundError, ColumnTypeError, DataContractError, PeriodError, SourceError
        See `attribution.explain`.

    References
    ----------
    Cohen, J. (1988). Statistical Power Analysis for the Behavioral Sciences, 2nd ed. Erlbaum.

    Examples
    --------
    >>> import pandas as pd
    >>> history = pd.DataFrame({"queue": ["ads", "live", "spam"], "ok": [46_000, 27_000, 17_000],
    ...                         "n": [50_000, 30_000, 20_000]})
    >>> targets = plan(history, "ok / n", "queue", overall=0.91)
    >>> targets.frame[["segment", "share", "baseline", "target"]].round(4)
      segment  share  baseline  target
    0     ads    0.5      0.92  0.9248
    1    live    0.3      0.90  0.9069
    2    spam    0.2      0.85  0.8777
    >>> float((targets.frame["share"] * targets.frame["target"]).sum().round(12))
    0.91
    """
    check_option("method", method, METHODS)
    if isinstance(periods, bool) or not isinstance(periods, int) or periods < 1:
        raise OptionError(f"periods: {periods!r} is not a whole number of at least 1.")
    cube = Cube.from_data(
        history,
        metric,
        by,
        period=period,
        cluster=cluster,
        weight=weight,
        where=where,
        mapping=mapping,
        on_invalid=on_invalid,
    )
    if not cube.dimensions:
        raise OptionError("by: an empty list. Name at least one column of segments.")
    metric = require_ratio(cube.metrics[0])
    segments = _segments(cube, metric, volumes, periods)
    asked = _Asked(metric, method, alpha, power)
    limits = _limits(segments, asked, floor, stretch)
    wanted = check_target(metric, overall, "the whole", "overall")
    columns, notes, findings = _divided(segments, asked, limits, wanted, "overall")
    version = Version(
        number=1,
        effective=None if effective is None else day(effective, "effective"),
        method=method,
        overall=wanted,
        labels=segments.labels,
        columns=columns,
        notes=tuple(notes),
        findings=(*segments.findings, *findings),
    )
    return Targets(metric, cube.dimensions, (version,))


def cascade(
    targets: Targets,
    history: object,
    by: str | Sequence[str],
    *,
    floor: float | Mapping[object, float] | None = None,
    stretch: float | Mapping[object, float] | None = None,
    method: str | None = None,
    periods: int = 1,
    period: str | None = None,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    alpha: float = 0.05,
    power: float = 0.8,
) -> Targets:
    """Take a plan one level further down: the parts of a segment roll up to its target exactly.

    Parameters
    ----------
    targets : Targets
        The plan above; its latest version is divided.
    history : table
        With the plan's columns and those of `by`.
    by : str or sequence of str
        The columns of the level below: teams within sites, queues within markets.
    floor, stretch : float or mapping, optional
        See `plan`; per segment of the level below, all columns.
    method : str, optional
        As the plan's by default.
    periods, period, cluster, weight, where, mapping, on_invalid, alpha, power
        See `plan`.

    Returns
    -------
    Targets
        Over the columns of the plan and of `by`; planned volumes are divided as in history.

    Raises
    ------
    OptionError
        A segment of the plan has no history, or its target cannot be divided; see `plan`.
    """
    if not isinstance(targets, Targets):
        raise ColumnTypeError(f"targets: {type(targets).__name__} is no plan (at.targets.plan).")
    above, below = targets.versions[-1], several(by)
    method = above.method if method is None else method
    check_option("method", method, METHODS)
    if not below or any(d in targets.by for d in below):
        raise OptionError(f"by: {listing(below)} is not below {listing(targets.by)}.")
    cube = Cube.from_data(
        history,
        targets.metric,
        [*targets.by, *below],
        period=period,
        cluster=cluster,
        weight=weight,
        where=where,
        mapping=mapping,
        on_invalid=on_invalid,
    )
    metric, depth = require_ratio(targets.metric), len(targets.by)
    whole = _segments(cube, metric, None, periods)
    asked = _Asked(metric, method, alpha, power)
    limits = _limits(whole, asked, floor, stretch)
    parts, labels, notes, findings = [], [], [], list(whole.findings)
    for i, parent in enumerate(above.labels):
        inside = np.array([x[:depth] == parent for x in whole.labels])
        name = " × ".join(parent)
        if not inside.any():
            raise OptionError(f"history: nothing of {name!r}, which has a target to divide.")
        volume = whole.volume[inside]
        volume = volume / volume.sum() * above.columns["volume"][i]
        some = whole.part(inside, volume)
        goal = float(above.columns["target"][i])
        bounds = tuple(x[inside] for x in limits)
        columns, noted, found = _divided(some, asked, bounds, goal, name)
        parts.append(columns)
        labels += some.labels
        notes += noted
        findings += found
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["share"] = columns["volume"] / columns["volume"].sum()
    findings += _unplanned(whole, depth, above.labels) + _in_two(labels, depth, below)
    version = Version(
        number=1,
        effective=above.effective,
        method=method,
        overall=above.overall,
        labels=tuple(labels),
        columns=columns,
        notes=tuple(notes),
        findings=tuple(findings),
    )
    return Targets(metric, cube.dimensions, (version,))


@dataclass(frozen=True)
class _Asked:
    metric: Metric
    method: str
    alpha: float
    power: float


@dataclass(frozen=True, eq=False)
class _Segments:
    """What history says of S segments; arrays of shape (S,)."""

    labels: tuple[Labels, ...]
    volume: np.ndarray
    n_history: np.ndarray
    n: np.ndarray
    base: np.ndarray
    variance: np.ndarray
    findings: tuple[dict[str, Any], ...] = ()

    def part(self, keep: np.ndarray, volume: np.ndarray) -> _Segments:
        return _Segments(
            labels=tuple(x for x, k in zip(self.labels, keep, strict=True) if k),
            volume=volume,
            n_history=self.n_history[keep],
            n=self.n[keep],
            base=self.base[keep],
            variance=self.variance[keep],
        )


def _segments(cube: Cube, metric: Metric, volumes: object, periods: int) -> _Segments:
    count = cube.metric_sums(metric, "count")
    active = np.maximum((count > 0).sum(axis=0), 1)
    pooled = cube.pool({"history": cube.periods})
    D, N, n = (pooled.metric_sums(metric, r)[0] for r in ("denominator", "numerator", "count"))
    if (stray := (D == 0) & (N != 0)).any():
        named = [cube.segment_name(int(c)) for c in np.flatnonzero(stray)]
        raise DataContractError(
            f"history: a numerator and no denominator in {listing(named, most=8)}.",
            [{"segment": name, "problem": "numerator without denominator"} for name in named],
        )
    labels = [
        tuple(levels[c] for levels, c in zip(cube.levels, row, strict=True)) for row in cube.codes
    ]
    keep, findings = D > 0, [dict(f) for f in cube.findings]
    volume = D / len(cube.periods)
    if volumes is not None:
        planned = numbers_by_segment(
            volumes, cube.dimensions, ("volume", "planned_volume"), "volumes"
        )
        there = {x for x, d in zip(labels, D, strict=True) if d > 0}
        if unknown := [" × ".join(x) for x in planned if x not in there]:
            raise OptionError(
                f"volumes: {listing(unknown, most=8)} without history, so without a baseline. Plan "
                "such a segment apart, at the level it is expected to start from."
            )
        if bad := [" × ".join(x) for x, v in planned.items() if not v > 0]:
            raise OptionError(f"volumes: {listing(bad, most=8)}: not a positive number.")
        volume = np.array([planned.get(x, 0.0) for x in labels])
        left = [" × ".join(x) for x, v, k in zip(labels, volume, keep, strict=True) if k and not v]
        keep &= volume > 0
        if left:
            message = f"{listing(left, most=8)}: history, but no planned volume; without a target."
            findings.append(_finding("not_planned", "warning", message, segments=left))
    pooled = pooled.keep_segments(keep)
    base = N[keep] / D[keep]
    return _Segments(
        labels=tuple(x for x, k in zip(labels, keep, strict=True) if k),
        volume=volume[keep],
        n_history=n[keep],
        n=periods * (count.sum(axis=0) / active)[keep],
        base=base,
        variance=segment_variance(pooled, metric),
        findings=tuple(findings),
    )


def _limits(
    segments: _Segments, asked: _Asked, floor: Any, stretch: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The floor and bound of each segment, and its detectable change, KPI units."""
    metric, base = asked.metric, segments.base
    sign = 1.0 if metric.better == "higher" else -1.0
    per_row = segments.variance * (1 / segments.n_history + 1 / segments.n)
    detectable = detectable_factor(asked.alpha, asked.power) * np.sqrt(per_row)
    detectable = np.where(np.isfinite(detectable), detectable, 0.0)
    least, best = (0.0, 1.0) if metric.of_trials else (-np.inf, np.inf)
    worst = least if sign > 0 else best
    low = _per_segment("floor", floor, segments.labels, metric, np.full(len(base), worst))
    peers = float(np.quantile(sign * base, 0.75)) * sign
    reach = sign * np.maximum(sign * peers, sign * base + 2 * detectable)
    # Sums of a time or a cost do not fall below 0 either.
    reach = np.clip(reach, 0.0 if (base >= 0).all() else -np.inf, best)
    high = _per_segment("stretch", stretch, segments.labels, metric, reach)
    if (crossed := sign * low > sign * high).any():
        named = [" × ".join(segments.labels[i]) for i in np.flatnonzero(crossed)]
        raise OptionError(
            f"floor: it is beyond what can be achieved (stretch) in {listing(named, most=8)}."
        )
    return low, high, detectable


def _per_segment(
    parameter: str, given: Any, labels: Sequence[Labels], metric: Metric, default: np.ndarray
) -> np.ndarray:
    if given is None:
        return default
    if isinstance(given, Real) and not isinstance(given, bool):
        return np.full(len(labels), check_target(metric, given, "all", parameter))
    found = numbers_by_segment(given, [""] * len(labels[0]), (parameter, "target"), parameter)
    if unknown := [" × ".join(x) for x in found if x not in labels]:
        raise OptionError(f"{parameter}: no segment {listing(unknown, most=8)} in the history.")
    values = default.copy()
    for i, x in enumerate(labels):
        if x in found:
            values[i] = check_target(metric, found[x], repr(" × ".join(x)), parameter)
    return values


def _divided(
    segments: _Segments,
    asked: _Asked,
    limits: tuple[np.ndarray, ...],
    overall: float,
    of: str,
) -> tuple[dict[str, np.ndarray], list[str], list[dict[str, Any]]]:
    """Divide one target; the columns, notes and findings of `Targets`."""
    metric, base = asked.metric, segments.base
    floor, bound, detectable = limits
    sign = 1.0 if metric.better == "higher" else -1.0
    share = segments.volume / segments.volume.sum()
    B, low, high, T = sign * base, sign * floor, sign * bound, sign * overall
    form = Format.fitting(metric.display_unit, float(np.abs(T - share @ B)))
    where = "overall" if of == "overall" else f"target of {of!r}"
    for reach, words in ((share @ high, "at most"), (share @ low, "at least")):
        beyond = reach + _ROUNDING < T if words == "at most" else reach - _ROUNDING > T
        if beyond:
            best = "best" if words == "at most" else "worst"
            raise OptionError(
                f"{where}: {form.level(overall)} cannot be reached: the {best} that floors and "
                f"bounds allow is {form.level(sign * reach)} at the planned mix (today "
                f"{form.level(float(share @ base))}). Change overall, floor or stretch."
            )
    peers = np.quantile(B, 0.75)
    gain = {
        "headroom": high - np.clip(B, low, high),
        "proportional": np.abs(B) if (B != 0).any() else np.ones_like(B),
        "peer": np.maximum(peers - B, 0.0),
    }[asked.method]
    T = float(np.clip(T, share @ low, share @ high))
    found = allocate_detectable(B, share, gain, low, high, T, detectable)
    if found is None:
        raise OptionError(_not_shown(segments, asked, share, T - share @ B, detectable, where))
    target, held = found
    change = target - B
    needed = np.array(
        [
            rows_needed(float(x), float(v), 0.0, asked.alpha, asked.power)
            if x > _ROUNDING and v > 0
            else 0
            for x, v in zip(change, segments.variance, strict=True)
        ],
        dtype=float,
    )
    at_floor = (target <= low + _ROUNDING) & (low > B + _ROUNDING)
    notes = np.select(
        [held & ~at_floor, at_floor, target >= high - _ROUNDING],
        ["held: its share could not be shown", "at the floor", "at the bound"],
        default="",
    )
    still = np.abs(change) <= _ROUNDING
    notes = [n if n.startswith("held") or not s else "" for n, s in zip(notes, still, strict=True)]
    columns = {
        "volume": segments.volume,
        "share": share,
        "n": segments.n,
        "baseline": base,
        "std_error": np.sqrt(segments.variance / segments.n_history),
        "target": sign * target,
        "change": sign * change,
        "floor": floor,
        "bound": bound,
        "detectable": detectable,
        "n_needed": needed,
    }
    findings = []
    if held.any():
        some = np.flatnonzero(held)
        smallest = allocate(B, share, gain, low, high, T) - B
        texts = [
            f"{' × '.join(segments.labels[i])} "
            f"({_rows_for(float(smallest[i]), float(segments.variance[i]), asked)})"
            for i in some[:6]
        ]
        more = f" and {len(some) - 6} more" if len(some) > 6 else ""
        message = (
            f"Held at their baseline, since their share of {form.change(sign * (T - share @ B))} "
            f"would be less than their volume can show; rows a period it would take: "
            f"{', '.join(texts)}{more}."
        )
        findings.append(
            _finding(
                "held", "info", message, segments=[" × ".join(segments.labels[i]) for i in some]
            )
        )
    if (blind := at_floor & (change < detectable)).any():
        named = [" × ".join(segments.labels[i]) for i in np.flatnonzero(blind)]
        message = f"{listing(named, most=8)}: the floor asks for less than the volume can show."
        findings.append(_finding("floor_below_detectable", "warning", message, segments=named))
    return columns, notes, findings


def _rows_for(change: float, variance: float, asked: _Asked) -> str:
    if not (change > _ROUNDING and variance > 0):
        return "no change"
    return f"{rows_needed(float(change), float(variance), 0.0, asked.alpha, asked.power):,}"


def _not_shown(
    segments: _Segments,
    asked: _Asked,
    share: np.ndarray,
    gap: float,
    detectable: np.ndarray,
    where: str,
) -> str:
    form = Format.fitting(asked.metric.display_unit, float(detectable.min()))
    order = np.argsort(share * detectable)[:3]
    texts = [
        f"{' × '.join(segments.labels[i])} {form.change(float(detectable[i])).lstrip('+')} "
        f"(n = {segments.n[i]:,.0f})"
        for i in order
    ]
    return (
        f"{where}: an improvement of {form.change(float(gap)).lstrip('+')} cannot be divided so "
        "that each segment's part can be shown. Detectable: "
        f"{', '.join(texts)} ... Judge more periods together (periods=), name fewer columns (by=), "
        "or allow more (stretch=)."
    )


def _unplanned(whole: _Segments, depth: int, parents: Sequence[Labels]) -> list[dict[str, Any]]:
    above = set(parents)
    left = sorted({" × ".join(x[:depth]) for x in whole.labels if x[:depth] not in above})
    if not left:
        return []
    message = f"{listing(left, most=8)}: history, but no target above; without targets below."
    return [_finding("not_planned", "warning", message, segments=left)]


def _in_two(labels: Sequence[Labels], depth: int, below: Sequence[str]) -> list[dict[str, Any]]:
    """Children that stand under several parents, where most stand under one."""
    parents: dict[Labels, set[Labels]] = {}
    for x in labels:
        parents.setdefault(x[depth:], set()).add(x[:depth])
    several_of = [" × ".join(child) for child, above in parents.items() if len(above) > 1]
    if not several_of or len(several_of) > len(parents) / 2:
        return []
    message = (
        f"{listing(several_of, most=8)}: in more than one segment above; a target for each of them."
    )
    return [
        _finding("entity_in_several", "warning", message, column=list(below), entities=several_of)
    ]


def _finding(code: str, severity: str, message: str, **facts: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "facts": facts}

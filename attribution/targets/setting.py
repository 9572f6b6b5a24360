"""plan and cascade: an overall target divided among segments by what each can reach and show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attribution.cube import several
from attribution.errors import ColumnTypeError, OptionError, check_option, listing, naming
from attribution.finding import finding
from attribution.goals import Labels, check_target, day, in_several
from attribution.metrics import Metric
from attribution.targets.dividing import divided
from attribution.targets.plans import Targets, Version
from attribution.targets.scan import scan
from attribution.targets.segments import Asked, Segments, limits_of, segments_of

__all__ = ["cascade", "plan"]

METHODS = ("headroom", "proportional", "peer")


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
    its baseline, and the others take its part over. An overall target that today's level betters
    already is divided as asked, with the warning "target_below_today".

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
    request = {
        "period": period,
        "cluster": cluster,
        "weight": weight,
        "where": where,
        "mapping": mapping,
        "on_invalid": on_invalid,
    }
    with naming("history"):
        cube = scan(history, metric, by, request)
    metric = cube.metrics[0]
    segments = segments_of(cube, metric, volumes, periods)
    asked = Asked(metric, method, alpha, power)
    limits = limits_of(segments, asked, floor, stretch)
    wanted = check_target(metric, overall, "the whole", "overall")
    columns, notes, findings = divided(segments, asked, limits, wanted, "overall")
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
    request = {
        "period": period,
        "cluster": cluster,
        "weight": weight,
        "where": where,
        "mapping": mapping,
        "on_invalid": on_invalid,
    }
    with naming("history"):
        cube = scan(history, targets.metric, [*targets.by, *below], request)
    metric, depth = targets.metric, len(targets.by)
    whole = segments_of(cube, metric, None, periods)
    asked = Asked(metric, method, alpha, power)
    limits = limits_of(whole, asked, floor, stretch)
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
        columns, noted, found = divided(some, asked, bounds, goal, name)
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


def _unplanned(whole: Segments, depth: int, parents: Sequence[Labels]) -> list[dict[str, Any]]:
    above = set(parents)
    left = sorted({" × ".join(x[:depth]) for x in whole.labels if x[:depth] not in above})
    if not left:
        return []
    message = f"{listing(left, most=8)}: history, but no target above; without targets below."
    return [finding("not_planned", "warning", message, segments=left)]


def _in_two(labels: Sequence[Labels], depth: int, below: Sequence[str]) -> list[dict[str, Any]]:
    """Children that stand under several parents, where most stand under one."""
    several_of = in_several(labels, depth)
    if not several_of:
        return []
    message = (
        f"{listing(several_of, most=8)}: in more than one segment above; a target for each of them."
    )
    return [
        finding("entity_in_several", "warning", message, column=list(below), entities=several_of)
    ]

"""completion: the question, its targets read and what happened scanned once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.cube import Cube
from attribution.decompose.against import against_plan
from attribution.errors import OptionError, check_level, listing
from attribution.goals import Labels, day, numbers_by_segment, read_goals
from attribution.infer import Units, cluster_units, row_units
from attribution.metrics import Metric
from attribution.targets.plans import Targets
from attribution.targets.reached import Completion
from attribution.targets.scan import judged, labels_of, scan

__all__ = ["completion"]


def completion(
    data: object,
    targets: object,
    metric: Metric | str | None = None,
    by: str | Sequence[str] | None = None,
    *,
    volumes: object = None,
    baseline: object = None,
    period: str | None = None,
    current: object = None,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    min_n: int = 30,
    conf_level: float = 0.95,
) -> Completion:
    """Say how far targets were met, segment by segment and overall, and why they were missed.

    ``actual - plan = performance + mix + entry + exit`` exactly: ``sum p_c (r_c - T_c)`` at the
    actual mix; ``sum (p_c - w_c) T_c``, the mix against the planned one; and segments that only the
    data, or only the plan, have. Each with its interval; targets have no noise.

    Parameters
    ----------
    data : table
        What happened; see `attribution.explain`.
    targets : Targets, mapping or table
        A plan of `attribution.targets` (of its versions, the one in force in `current`), or a
        target per segment: ``{"ads": 0.95}``, or a table with the columns of `by` and "target".
    metric, by : optional
        Needed unless `targets` is a plan.
    volumes : mapping or table, optional
        Planned volumes, where `targets` is no plan and has no column "planned_volume" or "volume".
        Without any the actual volumes stand in, and the mix against plan is 0.
    baseline : mapping or table, optional
        Where segments started, for the gap closed; a plan and a column "baseline" know it.
    period : str, optional
        The period column.
    current : value or list of values, optional
        The period judged; the last by default.
    cluster, weight, where, mapping, on_invalid
        See `attribution.explain`.
    min_n : int
        Segments with fewer rows are "too few".
    conf_level : float

    Returns
    -------
    Completion

    Raises
    ------
    OptionError
        A target out of range; `metric` or `by` missing.
    DataContractError
        A segment has two targets; rows break the data contract.
    ColumnNotFoundError, ColumnTypeError, PeriodError, SourceError
        See `attribution.explain`.

    References
    ----------
    Kitagawa, E. M. (1955). Components of a Difference Between Two Rates. JASA 50:1168-1194.

    Examples
    --------
    The targets were met in both queues; too much of the work was in the harder one:

    >>> import pandas as pd
    >>> month = pd.DataFrame({"queue": ["easy", "hard"], "ok": [4_800, 4_300], "n": [5_000, 5_000]})
    >>> plan = pd.DataFrame({"queue": ["easy", "hard"], "target": [0.95, 0.85],
    ...                      "planned_volume": [8_000, 2_000]})
    >>> found = completion(month, plan, "ok / n", "queue")
    >>> found.frame[["segment", "actual", "target", "status"]]
      segment  actual  target status
    0    easy    0.96    0.95    met
    1    hard    0.86    0.85    met
    >>> found.effects[["effect", "estimate"]].round(3)
            effect  estimate
    0  performance      0.01
    1          mix     -0.03
    2        entry      0.00
    3         exit      0.00
    """
    conf_level = check_level("conf_level", conf_level)
    if isinstance(targets, Targets):
        metric, by = targets.metric if metric is None else metric, targets.by if by is None else by
    if metric is None or by is None:
        name = "metric" if metric is None else "by"
        raise OptionError(f"{name}: needed, unless targets is a plan of at.targets.")
    request = {
        "period": period,
        "cluster": cluster,
        "weight": weight,
        "where": where,
        "mapping": mapping,
        "on_invalid": on_invalid,
    }
    cube, now = judged(scan(data, metric, by, request), current)
    goals = _goals(targets, cube.metrics[0], cube.dimensions, now, volumes, baseline)
    return _complete(cube, cube.metrics[0], goals, min_n, conf_level)


@dataclass(frozen=True, eq=False)
class _Goals:
    """Target, planned volume and baseline per segment; volumes None where nobody planned any."""

    target: dict[Labels, float]
    volume: dict[Labels, float] | None
    baseline: dict[Labels, float]


def _goals(
    targets: object,
    metric: Metric,
    by: Sequence[str],
    now: Sequence[str],
    volumes: object,
    baseline: object,
) -> _Goals:
    table: Any = targets
    if isinstance(targets, Targets):
        if tuple(by) != targets.by:
            raise OptionError(f"by: {listing(by)}, but the plan is by {listing(targets.by)}.")
        table = _in_force(targets, now).frame
    found = read_goals(table, by, metric, "targets")
    if not isinstance(found, dict):
        raise OptionError(
            f"targets: {targets!r} is one number. Give a target per segment, as in "
            "{'ads': 0.95}, or a table with a column 'target'."
        )
    if not found:
        raise OptionError("targets: there is none.")
    is_table = not isinstance(table, Mapping)
    planned, start = volumes, baseline
    columns = set(_column_names(table)) if is_table else set()
    names = ("planned_volume", "volume")
    if planned is None and columns & set(names):
        planned = table
    if start is None and "baseline" in columns:
        start = table
    volume = None if planned is None else numbers_by_segment(planned, by, names, "volumes")
    if volume is not None and (bad := [x for x in found if not volume.get(x, 0) > 0]):
        joined = [" × ".join(x) for x in bad]
        raise OptionError(f"volumes: no positive number for {listing(joined, most=8)}.")
    known = {} if start is None else numbers_by_segment(start, by, ("baseline",), "baseline")
    return _Goals(found, volume, known)


def _column_names(table: Any) -> Sequence[str]:
    names = getattr(table, "columns", ())
    return [str(x) for x in names]


def _in_force(targets: Targets, now: Sequence[str]) -> Targets:
    """The version in force in the period judged, where the period says when it is."""
    if len(targets.versions) == 1:
        return targets
    try:
        when = day(now[-1], "current")
    except OptionError:
        raise OptionError(
            f"targets: {len(targets.versions)} versions, and {now[-1]!r} is no date that tells "
            "which is in force. Choose with targets.at(date)."
        ) from None
    return targets.at(when)


def _complete(
    cube: Cube, metric: Metric, goals: _Goals, min_n: int, conf_level: float
) -> Completion:
    D, N, n = (cube.metric_sums(metric, r)[0] for r in ("denominator", "numerator", "count"))
    if not D.sum() > 0:
        raise OptionError(f"data: no {metric.denominator or 'rows'!r} in {cube.periods[0]!r}.")
    observed = labels_of(cube)
    absent = [x for x in goals.target if x not in set(observed)]
    labels = [*observed, *absent]
    D, N, n = (np.concatenate([x, np.zeros(len(absent))]) for x in (D, N, n))
    target = np.array([goals.target.get(x, np.nan) for x in labels])
    planned = D if goals.volume is None else [goals.volume.get(x, 0.0) for x in labels]
    weight = np.where(np.isnan(target), 0.0, planned)
    if not weight.sum() > 0:
        raise OptionError("volumes: no segment with a target has data, and no volume is planned.")
    return Completion(
        metric=metric,
        by=cube.dimensions,
        period=cube.periods[0],
        conf_level=conf_level,
        min_n=min_n,
        labels=tuple(labels),
        n=n,
        volume=D,
        planned_volume=None if goals.volume is None else weight,
        rate=np.divide(N, D, out=np.full(len(D), np.nan), where=D > 0),
        target=target,
        baseline=np.array([goals.baseline.get(x, np.nan) for x in labels]),
        against=against_plan(D, N, target, weight),
        units=_units(cube, metric, D, N, len(absent)),
        findings=cube.findings,
    )


def _units(cube: Cube, metric: Metric, D: np.ndarray, N: np.ndarray, absent: int) -> Units:
    """The units over the segments, in the first of the two periods that inference knows."""
    clusters = cube.clusters
    if clusters is None:
        roles = ("den_den", "num_den", "num_num", "count")
        own = [cube.metric_sums(metric, role)[0] for role in roles]
        sums = [D, N, *(np.concatenate([x, np.zeros(absent)]) for x in own)]
        return row_units(*(np.stack([x, np.zeros_like(x)]) for x in sums))
    if len(clusters.names) > 2:
        raise OptionError(
            f"cluster: {len(clusters.names)} columns; one, or two for two-way clustering."
        )
    moments = metric.moments(cube.weighted)
    return cluster_units(
        clusters.codes,
        np.zeros_like(clusters.period),
        clusters.segment,
        clusters.sums[moments["denominator"].key],
        clusters.sums[moments["numerator"].key],
        len(D),
    )

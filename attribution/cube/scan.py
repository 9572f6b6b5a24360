"""One scan of a table into a cube: what was asked for is checked, then grouped, then arranged."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attribution.cube.asked import check_mapping, check_timeout, names_of, ordered, several
from attribution.cube.clusters import ClusterSums
from attribution.cube.cube import Cube
from attribution.errors import ColumnTypeError, OptionError, check_option
from attribution.kpis import as_metric
from attribution.metrics import Metric, quantiles_of
from attribution.sketch import Sketch
from attribution.source import Grouped, Request, group
from attribution.spill import let_go

if TYPE_CHECKING:
    from attribution.hierarchy import Dimension

__all__ = ["scan_table"]


def scan_table(
    data: object,
    metric: Metric | str | Sequence[Metric | str],
    by: str | Dimension | Sequence[str | Dimension],
    *,
    period: str | None,
    periods: Sequence[object] | None = None,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    volume: object = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    timeout: float | None = None,
) -> Cube:
    """Scan a table once into a cube; parameters and errors as for `Cube.from_data`."""

    metrics = tuple(as_metric(m) for m in several(metric))
    if not metrics:
        raise OptionError("metric: an empty list. Name at least one metric.")
    check_option("on_invalid", on_invalid, ["raise", "drop"])
    if where is not None and not isinstance(where, str):
        raise ColumnTypeError(
            f"where: {where!r} is not text. Write a condition, as in \"design == 'random'\"."
        )
    check_timeout(timeout)
    from attribution.hierarchy import declared, with_hierarchy
    from attribution.volumes import check_volume, with_volume

    check_mapping(mapping)
    asked = declared(ordered("by", by))
    if volume is not None and quantiles_of(metrics):
        raise OptionError(
            "volume: full counts cannot be combined with a quantile yet; weigh the rows "
            "(weight=...) by count over sample instead."
        )
    request = Request(
        metrics=metrics,
        dimensions=asked.columns,
        period=period,
        period_values=None if periods is None else tuple(several(periods)),
        clusters=names_of("cluster", cluster),
        weight=weight,
        where=where,
        on_invalid=on_invalid,
        timeout=timeout,
    )
    cube = _from_grouped(group(data, request), request)
    if volume is not None:
        cube = with_volume(cube, volume, request.period_values, timeout)
    # What is looked up from a dimension is looked up from its merged levels.
    late = {d: merges for d, merges in (mapping or {}).items() if d in asked.lookups}
    for dimension, merges in (mapping or {}).items():
        if dimension not in late:
            cube = cube.merge_levels(dimension, merges)
    cube = with_hierarchy(cube, asked)
    for dimension, merges in late.items():
        cube = cube.merge_levels(dimension, merges)
    if volume is not None:
        check_volume(cube)
    return cube


def _from_grouped(grouped: Grouped, request: Request) -> Cube:
    P, S = len(grouped.periods), len(grouped.codes)
    sketches = {
        value: Sketch.of(
            (x.grid.low, x.grid.high, x.grid.rungs),
            x.period.astype(np.int64) * S + x.segment,
            x.bucket,
            x.weight,
            P * S,
        )
        for value, x in grouped.distributions.items()
    }
    sums = {}
    for start, stop in itertools.pairwise(grouped.bounds):
        here = slice(start, stop)
        cell = grouped.period[here].astype(np.int64) * S + grouped.segment[here]
        for key, values in grouped.moments.items():
            part = np.bincount(cell, weights=values[here], minlength=P * S)
            sums[key] = part if start == 0 else sums[key] + part
        let_go(grouped.period, grouped.segment, *grouped.moments.values())
    sums = {key: values.reshape(P, S) for key, values in sums.items()}
    clusters = None
    if request.clusters:
        clusters = ClusterSums(
            names=request.clusters,
            codes=grouped.clusters,
            period=grouped.period.astype(np.int32, copy=False),
            segment=grouped.segment.astype(np.int32, copy=False),
            sums=grouped.moments,
            bounds=tuple(grouped.bounds),
        )
    provenance = {
        "source": grouped.kind,
        "name": grouped.name,
        "rows": grouped.rows,
        "period": request.period,
        "cluster": list(request.clusters),
        "weight": request.weight,
        "where": request.where,
        "values": grouped.resolved,
        "sql": grouped.sql,
    }
    return Cube(
        metrics=request.metrics,
        dimensions=request.dimensions,
        levels=tuple(tuple(x) for x in grouped.levels),
        periods=tuple(grouped.periods),
        codes=grouped.codes,
        sums=sums,
        clusters=clusters,
        weighted=request.weight is not None,
        sketches=sketches,
        provenance=provenance,
        findings=tuple(grouped.findings),
    )

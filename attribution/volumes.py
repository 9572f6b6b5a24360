"""Full decision counts beside a sample: the two tables as one cube, checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attribution.cube import VOLUME, Cube
from attribution.errors import AttributionError, DataContractError, listing
from attribution.labels import natural_key
from attribution.metrics import Ratio
from attribution.source import count_column

__all__ = ["check_volume", "with_volume"]


def with_volume(
    cube: Cube, volume: object, periods: Sequence[object] | None, timeout: float | None = None
) -> Cube:
    """Return a cube with the full counts of its segments, also of those never sampled.

    Parameters
    ----------
    cube : Cube
        Of the sample.
    volume : table, or (table, str)
        One row per period and segment, with one count; the name of its column where there are
        several numbers.
    periods : sequence, optional
        The values of the period column to read; all by default.
    timeout : float, optional
        Seconds after which a statement is stopped.

    Returns
    -------
    Cube

    Raises
    ------
    DataContractError
        A period and segment comes twice.
    AttributionError
        The table does not fit, as in `Cube.from_data`; the message begins with "volume".
    """
    period = cube.provenance["period"]
    table, column = volume if isinstance(volume, tuple) and len(volume) == 2 else (volume, None)
    try:
        column = column or count_column(table, period, cube.dimensions)
        counts = Cube.from_data(
            table,
            Ratio("1", column),
            cube.dimensions,
            period=period,
            periods=periods,
            timeout=timeout,
        )
    except AttributionError as error:
        if not str(error).startswith("volume"):
            error.args = (f"volume: {str(error).removeprefix('data: ')}",)
        raise
    _check_unique(counts)
    return _joined(cube, counts, counts.sums[column])


def _check_unique(counts: Cube) -> None:
    repeated = np.argwhere(counts.sums["#rows"] > 1)
    if len(repeated):
        named = [f"{counts.segment_name(c)} in {counts.periods[t]}" for t, c in repeated]
        raise DataContractError(
            f"volume: segments that come more than once ({len(named):,}): "
            f"{listing(named, most=6)}. "
            "Sum them first: one row per period and segment.",
            [{"segment": name, "problem": "counted twice"} for name in named],
        )


def _joined(cube: Cube, counts: Cube, volume: np.ndarray) -> Cube:
    """The cube over the segments of both, with the counts as one more sum."""
    levels, own, other = [], cube.codes.copy(), counts.codes.copy()
    for d, (a, b) in enumerate(zip(cube.levels, counts.levels, strict=True)):
        labels = sorted({*a, *b}, key=natural_key)
        position = {label: i for i, label in enumerate(labels)}
        own[:, d] = np.array([position[x] for x in a], dtype=np.int32)[own[:, d]]
        other[:, d] = np.array([position[x] for x in b], dtype=np.int32)[other[:, d]]
        levels.append(tuple(labels))
    codes, at = np.unique(np.vstack([own, other]), axis=0, return_inverse=True)
    at_own, at_other = np.split(at.ravel(), [len(own)])
    shape = len(cube.periods), len(codes)
    sums = {}
    for name, values in cube.sums.items():
        sums[name] = np.zeros(shape)
        sums[name][:, at_own] = values
    sums[VOLUME] = np.zeros(shape)
    for t, label in enumerate(counts.periods):
        if label in cube.periods:
            sums[VOLUME][cube.periods.index(label), at_other] = volume[t]
    clusters = cube.clusters
    if clusters is not None:
        clusters = replace(clusters, segment=at_own[clusters.segment].astype(np.int32))
    return replace(
        cube,
        levels=tuple(levels),
        codes=codes,
        sums=sums,
        clusters=clusters,
        provenance={**cube.provenance, "volume": counts.provenance["name"] or "table"},
        findings=(*cube.findings, *counts.findings),
    )


def check_volume(cube: Cube) -> None:
    """Refuse counts that contradict the sample.

    Parameters
    ----------
    cube : Cube
        With full counts.

    Raises
    ------
    DataContractError
        A sampled segment is not counted, or holds more of the sample than was counted.
    """
    volume = cube.sums[VOLUME]
    for metric in cube.metrics:
        n = cube.metric_sums(metric, "count")
        absent = np.argwhere((n > 0) & (volume <= 0))
        if len(absent):
            named = [f"{cube.segment_name(c)} in {cube.periods[t]}" for t, c in absent]
            raise DataContractError(
                f"volume: sampled segments without a count ({len(named):,}): "
                f"{listing(named, most=6)}. The table holds every segment of the sample; if levels "
                "are named differently, merge them (mapping=...).",
                [{"segment": name, "problem": "not counted"} for name in named],
            )
        above = np.argwhere(n > volume)
        if len(above):
            named = [
                f"{cube.segment_name(c)} in {cube.periods[t]} ({n[t, c]:,.0f} of "
                f"{volume[t, c]:,.0f})"
                for t, c in above
            ]
            raise DataContractError(
                f"volume: segments with more sampled than counted ({len(named):,}): "
                f"{listing(named, most=6)}.",
                [{"segment": name, "problem": "more sampled than counted"} for name in named],
            )

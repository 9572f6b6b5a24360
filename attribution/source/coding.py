"""The result of a GROUP BY with small integers in place of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attribution.labels import label_of, natural_key
from attribution.source.distributions import Cells, Distribution
from attribution.source.selection import Selection

__all__ = ["Grouped", "coded", "level_codes"]


@dataclass(frozen=True)
class Grouped:
    """The result of the GROUP BY, coded.

    Attributes
    ----------
    periods : list of str
        Labels of the P periods found.
    resolved : dict
        The text of each requested period value -> its label in the column.
    levels : list of list of str
        Labels per dimension, in natural order.
    codes : ndarray of int32, shape (S, D)
        The observed segments, sorted.
    period, segment : ndarray of int, shape (m,)
        The period and segment of each group.
    clusters : ndarray of int, shape (k, m)
        Cluster codes of each group; k = 0 where rows are independent.
    moments : dict of str to ndarray, shape (m,)
        The named sums.
    rows : int
        Rows read.
    kind, name : str
        Where they came from.
    findings : list of dict
        `code, severity, message, facts` of what the scan noticed.
    sql : str
        The GROUP BY.
    distributions : dict of str to Distribution
        Those of the values whose quantiles are asked for.
    cells : Cells or None
        Where the cells are that `distributions` are counted in.
    bounds : list of int
        Where parts of whole clusters begin and end, among the groups.
    """

    periods: list[str]
    levels: list[list[str]]
    codes: np.ndarray
    period: np.ndarray
    segment: np.ndarray
    clusters: np.ndarray
    moments: dict[str, np.ndarray]
    rows: int
    kind: str
    name: str
    resolved: dict[str, str] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    sql: str = ""
    distributions: dict[str, Distribution] = field(default_factory=dict)
    cells: Cells | None = None
    bounds: list[int] = field(default_factory=list)


def coded(
    workspace: Any,
    selection: Selection,
    sums: Sequence[str],
    located: bool,
) -> Grouped:
    """Replace the labels in `grouped` by integer codes and fetch it.

    Where cells are `located`, their labels are in the table `cells`, by the hash in `grouped`.
    """
    table, request, when = selection.table, selection.request, selection.when
    labelled, names = "cells" if located else "grouped", selection.cell_keys
    labelers = [when.label, *[label_of] * len(request.dimensions)]
    found = [level_codes(workspace, labelled, *pair) for pair in zip(names, labelers, strict=True)]
    labels, ranks = zip(*found, strict=True)
    clusters = [f"k{i}" for i in range(len(request.clusters))]
    for k in clusters:
        workspace.execute(
            f"CREATE OR REPLACE TEMP TABLE codes_{k} AS SELECT {k} AS value, row_number() "
            f"OVER (ORDER BY {k}) - 1 AS code FROM (SELECT DISTINCT {k} FROM grouped)"
        )

    def fetch(name: str, keys: list[str], rest: list[str]) -> dict[str, np.ndarray]:
        codes = [f"codes_{k}.code::INTEGER AS {k}" for k in keys]
        joins = [f"JOIN codes_{k} ON {name}.{k} IS NOT DISTINCT FROM codes_{k}.value" for k in keys]
        return workspace.execute(
            f"SELECT {', '.join([*codes, *rest])} FROM {name} {' '.join(joins)}"
        ).fetchnumpy()

    listed = ["row_count", *(f"m{i}" for i in range(len(sums)))]
    if located:
        where = fetch("cells", names, ["cell"])
        fetched = fetch("grouped", clusters, ["cell", *listed])
    else:
        where = fetched = fetch("grouped", [*names, *clusters], listed)
    coded = [ranks[i][where[name]] for i, name in enumerate(names)]
    codes, segment = _segments(coded[1:], [len(x) for x in labels[1:]], len(coded[0]))
    period, cells = coded[0], None
    if located:
        cells = Cells.of(where["cell"], period, segment)
        position = cells.positions(fetched["cell"])
        period, segment = cells.period[position], cells.segment[position]
    units = np.array([fetched[k] for k in clusters], dtype=np.int32)
    units = units.reshape(len(clusters), len(segment))
    # Threads return groups in any order; sums over them must not depend on it.
    order = np.lexsort((*units[::-1], segment, period))
    return Grouped(
        periods=labels[0],
        levels=list(labels[1:]),
        codes=codes,
        period=period[order],
        segment=segment[order],
        clusters=units[:, order],
        moments={key: fetched[f"m{i}"][order] for i, key in enumerate(sums)},
        rows=int(fetched["row_count"].sum()),
        kind=table.kind,
        name=table.name,
        cells=cells,
        bounds=[0, len(segment)],
    )


def level_codes(
    workspace: Any, table: str, name: str, label: Callable[[object], str]
) -> tuple[list[str], np.ndarray]:
    """Number the values of one column; return labels in natural order and code -> rank of label.

    The numbers stay in the workspace as the table `codes_` of the column: `value`, `code`.
    """
    workspace.execute(
        f"CREATE OR REPLACE TEMP TABLE codes_{name} AS SELECT {name} AS value, "
        f"row_number() OVER () - 1 AS code FROM (SELECT DISTINCT {name} FROM {table})"
    )
    rows = workspace.execute(f"SELECT value FROM codes_{name} ORDER BY code").fetchall()
    texts = [label(value) for (value,) in rows]
    labels = sorted(set(texts), key=natural_key)
    rank = {label: i for i, label in enumerate(labels)}
    return labels, np.array([rank[t] for t in texts], dtype=np.int32)


def _segments(
    dimension_codes: Sequence[np.ndarray], sizes: Sequence[int], m: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number the observed segments: (codes of shape (S, D), segment of each group)."""
    if not dimension_codes:
        return np.zeros((1, 0), dtype=np.int32), np.zeros(m, dtype=np.int64)
    key = np.zeros(m, dtype=np.int64)
    for code, size in zip(dimension_codes, sizes, strict=True):
        if key.max(initial=0) > 2**62 // size:
            key = np.unique(key, return_inverse=True)[1]
        key = key * size + code
    _, first, segment = np.unique(key, return_index=True, return_inverse=True)
    return np.stack([c[first] for c in dimension_codes], axis=1).astype(np.int32), segment

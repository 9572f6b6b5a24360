"""The result of a GROUP BY with small integers in place of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attribution.labels import MISSING, label_of, naturally
from attribution.numbering import numbered
from attribution.source.distributions import Cells, Distribution
from attribution.source.selection import Selection

__all__ = ["Grouped", "coded", "level_codes", "nameless"]


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
    rows: int,
) -> Grouped:
    """Replace the labels in `grouped` by integer codes and fetch it.

    Where cells are `located`, their labels are in the table `cells`, by the hash in `grouped`.
    """
    table, request, when = selection.table, selection.request, selection.when
    labelled, names = "cells" if located else "grouped", selection.cell_keys
    labelers = [when.label, *[label_of] * len(request.dimensions)]
    # All rows are one period where no column tells them apart.
    first_row = f"(SELECT * FROM {labelled} LIMIT 1)"
    tables = [labelled if when.column else first_row, *[labelled] * len(request.dimensions)]
    asked = zip(tables, names, labelers, strict=True)
    labels, ranks = zip(*[level_codes(workspace, *x) for x in asked], strict=True)
    clusters = [f"k{i}" for i in range(len(request.clusters))]
    for k in clusters:
        workspace.execute(
            f"CREATE OR REPLACE TEMP TABLE codes_{k} AS SELECT {k} AS value, row_number() "
            f"OVER (ORDER BY {k}) - 1 AS code FROM (SELECT DISTINCT {k} FROM grouped)"
        )

    single = {name for name, rank in zip(names, ranks, strict=True) if len(rank) == 1}

    def fetch(name: str, keys: list[str], rest: list[str]) -> dict[str, np.ndarray]:
        # A column of one label needs no join.
        keys = [k for k in keys if k not in single]
        codes = [f"codes_{k}.code::INTEGER AS {k}" for k in keys]
        joins = [f"JOIN codes_{k} ON {name}.{k} IS NOT DISTINCT FROM codes_{k}.value" for k in keys]
        return workspace.execute(
            f"SELECT {', '.join([*codes, *rest])} FROM {name} {' '.join(joins)}"
        ).fetchnumpy()

    listed = [f"m{i}" for i in range(len(sums))]
    if located:
        where = fetch("cells", names, ["cell"])
        fetched = fetch("grouped", clusters, ["cell", *listed])
    else:
        where = fetched = fetch("grouped", [*names, *clusters], listed)
    m = len(where["cell" if located else "m0"])
    coded = [
        np.zeros(m, dtype=np.int32) if name in single else rank[where[name]]
        for name, rank in zip(names, ranks, strict=True)
    ]
    sizes = [len(x) for x in labels]
    codes, segment, first = _segments(coded[1:], sizes[1:], m)
    period, cells = coded[0], None
    if located:
        cells = Cells.of(where["cell"], period, segment)
        position = cells.positions(fetched["cell"])
        period, segment = cells.period[position], cells.segment[position]
    units = np.array([fetched[k] for k in clusters], dtype=np.int32)
    units = units.reshape(len(clusters), len(segment))
    if len(first) == len(segment) and sizes[0] == 1 and cells is None:
        # One group per segment: where each is, has been found.
        order, segment = first, np.arange(len(first))
    else:
        order = _order([period, segment, *units], [sizes[0], len(codes)])
        period, segment = period[order], segment[order]
    return Grouped(
        periods=labels[0],
        levels=list(labels[1:]),
        codes=codes,
        period=period,
        segment=segment,
        clusters=units[:, order],
        moments={key: fetched[f"m{i}"][order] for i, key in enumerate(sums)},
        rows=rows,
        kind=table.kind,
        name=table.name,
        cells=cells,
        bounds=[0, len(segment)],
    )


def _order(columns: list[np.ndarray], sizes: list[int]) -> np.ndarray:
    """Sort groups: threads return them in any order, and sums must not depend on it."""
    sizes += [int(column.max(initial=-1)) + 1 for column in columns[len(sizes) :]]
    varied = [i for i, size in enumerate(sizes) if size > 1] or [0]
    first, _ = numbered([columns[i] for i in varied], [sizes[i] for i in varied])
    # Two values may have one label, and so two groups one place.
    return first if len(first) == len(columns[0]) else np.lexsort(columns[::-1])


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
    labels = naturally(set(texts))
    rank = dict(zip(labels, range(len(labels)), strict=True))
    return labels, np.array([rank[t] for t in texts], dtype=np.int32)


def nameless(workspace: Any, levels: Sequence[Sequence[str]]) -> dict[int, set[bool]]:
    """What "(missing)" stands for in each dimension of a result just coded: null (true), text."""
    return {
        d: {
            bool(null)
            for (null,) in workspace.execute(
                f"SELECT DISTINCT value IS NULL FROM codes_d{d} "
                f"WHERE value IS NULL OR value::VARCHAR = '{MISSING}'"
            ).fetchall()
        }
        for d, labels in enumerate(levels)
        if MISSING in labels
    }


def _segments(
    dimension_codes: Sequence[np.ndarray], sizes: Sequence[int], m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the observed segments: codes (S, D), segment of each group, first group of each."""
    if not dimension_codes:
        return np.zeros((1, 0), dtype=np.int32), np.zeros(m, dtype=np.int64), np.zeros(1, dtype=int)
    first, segment = numbered(dimension_codes, sizes)
    codes = np.empty((len(first), len(dimension_codes)), dtype=np.int32)
    for d, column in enumerate(dimension_codes):
        codes[:, d] = column[first]
    return codes, segment, first

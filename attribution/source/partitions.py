"""A GROUP BY too large for the memory: fetched in hash partitions of the cluster, kept in files.

Each partition holds whole clusters, so what is summed over clusters can be summed partition by
partition: psi'psi, and with it every standard error, is the same as in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from attribution.labels import natural_key
from attribution.source.coding import Grouped
from attribution.source.distributions import Cells
from attribution.source.selection import Selection
from attribution.spill import Growing, let_go

__all__ = ["merged", "partitions"]

# More groups than these are fetched in partitions of about this many.
_MOST_GROUPS = 20_000_000
_AT_ONCE = 8_000_000
# The groups are counted among one of so many clusters.
_SAMPLED = 64


def partitions(asked: Selection, selection: str) -> list[str]:
    """Return conditions on the cluster that divide a selection; one that holds if it fits.

    Parameters
    ----------
    asked : Selection
    selection : str
        Its SQL.
    """
    # There are no more groups than rows.
    if asked.size.rows <= _MOST_GROUPS or len(asked.request.clusters) != 1:
        return ["true"]
    keys = ", ".join([*asked.cell_keys, "k0"])
    # DuckDB's name for it; `translate` knows those of other engines.
    some = f"abs(hash(k0) % {_SAMPLED}) = 0"
    sampled = asked.table.query(
        f"SELECT count(*) FROM (SELECT {keys} FROM ({selection}) WHERE {some} GROUP BY {keys})"
    ).fetchall()[0][0]
    groups = int(sampled) * _SAMPLED
    if groups <= _MOST_GROUPS:
        return ["true"]
    count = -(-groups // _AT_ONCE)
    return [f"coalesce(abs(hash(k0) % {count}), 0) = {i}" for i in range(count)]


def merged(parts: Iterable[Grouped]) -> Grouped | None:
    """Put the parts of a scan below each other: one set of labels, the entries in files.

    Parameters
    ----------
    parts : iterable of Grouped
        Of different clusters. They are asked for one after the other.

    Returns
    -------
    Grouped or None
        None of no parts.
    """
    files, heads, ends, clusters = Growing(), [], [0], 0
    for part in parts:
        files.append("period", part.period.astype(np.int32))
        files.append("segment", part.segment.astype(np.int32))
        files.append("cluster", (part.clusters[0] + clusters).astype(np.int32))
        for key, values in part.moments.items():
            files.append(f"sum {key}", values)
        ends.append(ends[-1] + len(part.period))
        clusters += int(part.clusters[0].max(initial=-1)) + 1
        nothing = np.zeros(0, dtype=np.int32)
        moments = dict.fromkeys(part.moments, nothing)
        head = replace(part, period=nothing, segment=nothing, clusters=nothing, moments=moments)
        heads.append(head)
    if not heads:
        return None
    periods, in_periods = _united([head.periods for head in heads])
    by_dimension = [_united(list(x)) for x in zip(*(head.levels for head in heads), strict=True)]
    recoded = []
    for i, head in enumerate(heads):
        columns = [maps[i][head.codes[:, d]] for d, (_, maps) in enumerate(by_dimension)]
        recoded.append(np.stack(columns, axis=1) if columns else head.codes)
    codes, segment = np.unique(np.concatenate(recoded), axis=0, return_inverse=True)
    in_segments = np.split(segment.ravel(), np.cumsum([len(x) for x in recoded])[:-1])
    period_of, segment_of = files.array("period"), files.array("segment")
    cells = []
    for i, head in enumerate(heads):
        here = slice(ends[i], ends[i + 1])
        period_of[here] = in_periods[i][period_of[here]]
        segment_of[here] = in_segments[i][segment_of[here]]
        let_go(period_of, segment_of)
        if (found := head.cells) is not None:
            placed = in_periods[i][found.period], in_segments[i][found.segment]
            cells.append((found.hashes, *placed))
    return replace(
        heads[0],
        periods=periods,
        levels=[labels for labels, _ in by_dimension],
        codes=codes,
        period=period_of,
        segment=segment_of,
        clusters=files.array("cluster")[None, :],
        moments={key: files.array(f"sum {key}") for key in heads[0].moments},
        rows=sum(head.rows for head in heads),
        cells=Cells.of(*map(np.concatenate, zip(*cells, strict=True))) if cells else None,
        bounds=ends,
    )


def _united(labels: list[list[str]]) -> tuple[list[str], list[np.ndarray]]:
    """All labels in natural order, and where those of each part are among them."""
    every = sorted({label for own in labels for label in own}, key=natural_key)
    rank = {label: i for i, label in enumerate(every)}
    return every, [np.array([rank[x] for x in own], dtype=np.int32) for own in labels]

"""The distribution of a value per period and segment: a histogram counted by the engine.

    bucket of x = floor(log(x) / log(1.04)), the sign kept, 0 a bucket of its own

The grid is fixed, so that histograms add up across segments, periods and tables, whatever engine
counted them. A first pass over the value alone counts the buckets of the whole table and finds the
smallest and largest value in each; a bucket that holds one value is exact. Up to 50,000 rows, and
with whole numbers of a small range, every value is a bucket of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attribution.errors import SourceError
from attribution.metrics import above
from attribution.source.tables import Table

__all__ = ["Cells", "Distribution", "Grid", "count_buckets", "counted", "find_grid"]

# Buckets are at most this much wider than their smallest value.
WIDTH = 0.04
EXACT_ROWS = 50_000
# So are whole numbers from 0 up to here, or from minus it: minutes of a day and a half.
_WHOLE = 2_000
# Whether v has a fraction; beyond 2 ** 53 none has, and some engines' whole numbers end.
_FRACTION = "CASE WHEN abs(v) < 9007199254740992 THEN v <> floor(v) ELSE false END"
# Buckets of positive numbers are counted from here, down to the smallest number there is.
_ZERO = 40_000
# Where clusters are counted apart: at the quantile and about as far as its p90 is from its p95.
_RUNGS = (-0.75, 0.0, 0.75)
# A bucket with more of the rows than this is counted from both of its sides.
_LUMP = 0.02


@dataclass(frozen=True, eq=False)
class Grid:
    """The m buckets of a value.

    Attributes
    ----------
    low, high : ndarray, shape (m,)
        The smallest and the largest value in each, in order.
    key : ndarray, shape (m,)
        What the engine calls them: their number, or their value.
    sql : str
        That, as an expression.
    value : str
        The SQL of the value.
    rungs : ndarray, shape (k,)
        Thresholds, each the upper end of a bucket, at which rows above are summed by cluster.
    clean : bool
        Whether no row that the condition lets through has a value that is null or not finite.
    """

    low: np.ndarray
    high: np.ndarray
    key: np.ndarray
    sql: str
    value: str
    rungs: np.ndarray
    clean: bool

    def sums_above(self, text: str, weight: str | None, powers: Sequence[int]) -> dict[str, str]:
        """Return the sums of rows above the rungs: name -> SQL."""
        found = {}
        for power in powers:
            for rung in self.rungs:
                over = f"{self.value} > {float(rung)!r}::DOUBLE"
                heft = " * ".join([f"{weight}::DOUBLE"] * power)
                summed = f"fsum(CASE WHEN {over} THEN {heft} ELSE 0 END)" if power else ""
                found[above(text, rung, power)] = summed or f"count_if({over})::DOUBLE"
        return found


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells, period by segment, by the hash of their labels.

    Attributes
    ----------
    hashes : ndarray, shape (cells,)
        Sorted.
    period, segment : ndarray of int, shape (cells,)
    """

    hashes: np.ndarray
    period: np.ndarray
    segment: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray, period: np.ndarray, segment: np.ndarray) -> Cells:
        """Return the cells of groups.

        Raises
        ------
        SourceError
            Two cells have one hash (one table in ten million, with a million cells).
        """
        unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        found = cls(unique, period[first], segment[first])
        if (found.period[inverse] != period).any() or (found.segment[inverse] != segment).any():
            raise SourceError("data: two segments share a hash; rename a level and ask again.")
        return found

    def positions(self, hashes: np.ndarray) -> np.ndarray:
        """Return where the cells of these hashes are; each is one of them."""
        import pandas as pd

        # A hash table: a binary search among thousands misses the cache at every step.
        return pd.Index(self.hashes).get_indexer(pd.Index(hashes))


@dataclass(frozen=True, eq=False)
class Distribution:
    """The counts of a grid by cell, one entry per bucket that a cell has.

    Attributes
    ----------
    grid : Grid
    period, segment, bucket : ndarray of int, shape (entries,)
    weight : ndarray, shape (entries,)
    """

    grid: Grid
    period: np.ndarray
    segment: np.ndarray
    bucket: np.ndarray
    weight: np.ndarray


def find_grid(
    table: Table, sql: str, alias: str, condition: str | None, quantiles: Sequence[float]
) -> Grid:
    """Count the whole table by bucket and choose the grid.

    Parameters
    ----------
    table : Table
    sql : str
        The value over `source`.
    alias : str
        What the value is called in the selection of rows.
    condition : str, optional
        That of the rows, in SQL. Periods do not matter: whichever are asked for, the grid is one.
    quantiles : sequence of float
        Those asked for.

    Returns
    -------
    Grid
    """
    where = f" WHERE {condition}" if condition else ""
    rows = f"(SELECT ({sql})::DOUBLE + 0.0 AS v FROM source{where})"

    def counts(key: str) -> tuple[dict[str, np.ndarray], bool]:
        found = table.query(
            f"SELECT CASE WHEN isfinite(v) THEN {key} END AS key, count(*) AS n, min(v) AS low, "
            f"max(v) AS high, count_if({_FRACTION}) AS parts FROM {rows} GROUP BY 1 ORDER BY 1"
        ).fetchnumpy()
        numbers = ~np.ma.getmaskarray(np.ma.asarray(found["key"]))
        return {k: np.asarray(x)[numbers] for k, x in found.items()}, bool(numbers.all())

    (found, clean), bucket = counts(_bucket("v")), _bucket
    whole = not found["parts"].any() and np.ptp([*found["low"], *found["high"], 0]) <= _WHOLE
    if whole or found["n"].sum() <= EXACT_ROWS:
        (found, _), bucket = counts("v"), "({} + 0.0)".format
    elif found["low"].min() > 0:
        bucket = _bucket_of_positive
    value = f"{alias}::DOUBLE"
    low, high = found["low"].astype(float), found["high"].astype(float)
    rungs = _rungs(found["n"].astype(float), high, quantiles)
    return Grid(low, high, found["key"], bucket(value), value, rungs, clean)


def _bucket(v: str) -> str:
    size = f"({_bucket_of_positive(f'abs({v})')})"
    return f"CASE WHEN {v} = 0 THEN 0 ELSE sign({v}) * {size} END"


def _bucket_of_positive(v: str) -> str:
    return f"floor(ln({v}) / {math.log1p(WIDTH)!r})::INTEGER + {_ZERO}"


def _rungs(n: np.ndarray, high: np.ndarray, quantiles: Sequence[float]) -> np.ndarray:
    """Thresholds around the quantiles of the whole table."""
    if not len(n):
        return np.zeros(0)
    share, chosen = n / n.sum(), set()
    at = np.cumsum(share)
    for q in quantiles:
        odds = math.log(q / (1 - q))
        for step in _RUNGS:
            i = int(np.searchsorted(at, 1 / (1 + math.exp(-odds - step)) - 1e-12))
            chosen.add(min(i, len(n) - 1))
            if share[min(i, len(n) - 1)] > _LUMP and i:
                chosen.add(i - 1)
    return high[sorted(chosen)]


def count_buckets(
    table: Table, selection: str, keys: Sequence[str], grid: Grid, weight: str | None
) -> dict[str, np.ndarray]:
    """Count the selected rows by cell and bucket: `cell, key, weight`, cells by their hash.

    Cells go by a 64-bit hash of period and levels, a third of the work of grouping by labels.
    """
    heft = f"fsum({weight}::DOUBLE)" if weight else "count(*)::DOUBLE"
    listed = ", ".join(keys)
    counts = f"{grid.sql} AS key, {heft} AS weight FROM ({selection})"
    if table.remote:  # whose engine does not hash alike
        grouped = ", ".join(str(i + 1) for i in range(len(keys) + 1))
        counted = table.query(f"SELECT {listed}, {counts} GROUP BY {grouped}").materialize()
        found = counted.query("counted", f"SELECT hash({listed}) AS cell, key, weight FROM counted")
    else:
        found = table.query(f"SELECT hash({listed}) AS cell, {counts} GROUP BY 1, 2")
    found = found.fetchnumpy()
    return {name: np.asarray(column) for name, column in found.items()}


def counted(grid: Grid, found: dict[str, np.ndarray], cells: Cells) -> Distribution:
    """Put counts by the hash of their cell where they belong.

    Parameters
    ----------
    grid : Grid
    found : dict of str to ndarray
        As `count_buckets` returns them.
    cells : Cells
    """
    at = cells.positions(found["cell"])
    bucket = np.searchsorted(grid.key, found["key"])
    return Distribution(grid, cells.period[at], cells.segment[at], bucket, found["weight"])

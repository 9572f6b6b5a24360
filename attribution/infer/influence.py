"""Units from influence functions: what each row adds to some statistics, summed over clusters.

Where lines are functions of statistics that are not sums of a cube - coefficients of a regression -
the influence of a row on those statistics takes the place of its sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import sparse

from attribution.infer.unit_sums import Support, UnitSums
from attribution.infer.units import Units

__all__ = ["influence_units", "level_support"]

_ROWS_AT_ONCE = 65_536


def influence_units(
    influence: Callable[[slice], np.ndarray], n: int, clusters: Sequence[np.ndarray]
) -> Units:
    """Arrange influence as one row per cluster, or as the root of its Gram for independent rows.

    Parameters
    ----------
    influence : callable
        Rows -> what they add to M statistics, shape (rows, M); 0 over all n rows.
    n : int
    clusters : sequence of ndarray of int, shape (n,)
        The codes, from 0, of no, one or two cluster columns.

    Returns
    -------
    Units

    Examples
    --------
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> units = influence_units(lambda rows: x[rows], 3, [np.array([0, 0, 1])])
    >>> units.ways[0].sums.toarray()
    array([[-1.],
           [ 1.]])
    """
    if not clusters:
        return Units((_of_rows(influence, n),))
    ways = tuple(_of_clusters(influence, n, codes) for codes in clusters)
    if len(ways) == 1:
        return Units(ways)
    crossed = clusters[0].astype(np.int64) * (int(clusters[1].max()) + 1) + clusters[1]
    overlap = np.unique(crossed, return_inverse=True)[1].ravel()
    return Units(ways, _of_clusters(influence, n, overlap))


def _of_clusters(influence: Callable[[slice], np.ndarray], n: int, codes: np.ndarray) -> UnitSums:
    G, sums = int(codes.max()) + 1, 0.0
    for rows in _chunks(n):
        own = codes[rows]
        entries = (np.ones(len(own)), (own, np.arange(len(own))))
        sums = sums + sparse.csr_array(entries, shape=(G, len(own))) @ influence(rows)
    sums = np.asarray(sums)
    # An order of their own, so that what is drawn for a unit does not depend on its label.
    size = np.maximum(np.abs(sums).sum(axis=0), np.finfo(float).tiny)
    mark = (sums / size) @ np.random.default_rng(0).random(sums.shape[1])
    sums = sums[np.argsort(mark, kind="stable")]
    return UnitSums(sparse.csr_array(sums), sums.sum(axis=0), G, True, np.zeros((2, 0)))


def _of_rows(influence: Callable[[slice], np.ndarray], n: int) -> UnitSums:
    gram = np.asarray(sum(x.T @ x for x in map(influence, _chunks(n))))
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return UnitSums(sparse.csr_array(root), np.zeros(len(gram)), n, False, np.zeros((2, 0)))


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _ROWS_AT_ONCE, n)) for start in range(0, n, _ROWS_AT_ONCE))


def level_support(
    codes: np.ndarray, size: int, period: np.ndarray, clusters: Sequence[np.ndarray]
) -> Support:
    """Count the units that have each level; of two cluster columns the fewer.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        The level of each row.
    size : int
        The number of levels.
    period : ndarray of {0, 1}, shape (n,)
        The period, or group, of each row.
    clusters : sequence of ndarray of int, shape (n,)

    Returns
    -------
    Support
        Of the levels.

    Examples
    --------
    >>> level_support(np.array([0, 0, 1]), 2, np.array([0, 1, 1]), []).per_period
    array([[1., 1.],
           [0., 1.]])
    """

    def units(rows: np.ndarray) -> np.ndarray:
        own = codes[rows]
        seen = [np.unique(way[rows].astype(np.int64) * size + own) % size for way in clusters]
        return np.minimum.reduce([np.bincount(x, minlength=size) for x in seen or [own]])

    per_period = np.stack([units(period == t) for t in (0, 1)], axis=1)
    return Support(per_period.astype(float), units(np.ones(len(codes), dtype=bool)).astype(float))

"""Numbering: combinations of integer codes as one number each, in order, without sorting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["numbered"]


def numbered(columns: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Number the combinations of codes that occur, in the order of the columns.

    Where most combinations occur, each is put at its place in a table of all of them; only where
    they are few among the possible ones are they sorted.

    Parameters
    ----------
    columns : sequence of ndarray of int, shape (m,)
        Codes from 0; at least one column.
    sizes : sequence of int
        How many codes each column may have.

    Returns
    -------
    first : ndarray of int, shape (n,)
        The first entry of each combination.
    number : ndarray of int, shape (m,)
        The number of each entry's combination, from 0 to n - 1.

    Examples
    --------
    >>> first, number = numbered([np.array([1, 0, 1, 0]), np.array([0, 2, 0, 1])], [2, 3])
    >>> first, number
    (array([3, 1, 0]), array([2, 1, 2, 0]))
    """
    m = len(columns[0])
    key, span = columns[0].astype(np.int64), sizes[0]
    for column, size in zip(columns[1:], sizes[1:], strict=True):
        if span > 2**62 // max(size, 1):
            found, key = np.unique(key, return_inverse=True)
            span = len(found)
        key *= size
        key += column
        span *= size
    if span > 4 * m + 1000:
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        return first, number.ravel()
    place = np.full(span, -1, dtype=np.int64)
    place[key[::-1]] = np.arange(m - 1, -1, -1)
    there = place >= 0
    if there.all():
        return place, key
    return place[there], (np.cumsum(there) - 1)[key]

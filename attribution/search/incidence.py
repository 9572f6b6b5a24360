"""Every segment up to an order as one column of a sparse cell x segment table.

A segment fixes the levels of a few dimensions and leaves the others free; the segments that fix the
same dimensions form a cuboid and split the cells between them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Segments", "group_columns", "groups", "level_columns", "segments_up_to"]


@dataclass(frozen=True, eq=False)
class Segments:
    """J segments over S cells.

    Attributes
    ----------
    members : csr_array, shape (S, J)
        1 where a cell lies in a segment.
    cuboid : ndarray of int, shape (J,)
        The position of a segment's cuboid in `fixed`.
    fixed : tuple of tuple of int
        The dimensions that each cuboid fixes.
    example : ndarray of int, shape (J,)
        A cell of each segment, from which its levels can be read.
    """

    members: sparse.csr_array
    cuboid: np.ndarray
    fixed: tuple[tuple[int, ...], ...]
    example: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """How many dimensions each segment fixes, shape (J,)."""
        return np.array([len(f) for f in self.fixed], dtype=int)[self.cuboid]

    def take(self, keep: np.ndarray) -> Segments:
        """Return the segments that `keep` (a mask) selects."""
        members = sparse.csr_array(self.members[:, keep])
        return Segments(members, self.cuboid[keep], self.fixed, self.example[keep])


def groups(codes: np.ndarray, dimensions: Sequence[int]) -> np.ndarray:
    """Return which group of equal levels in some dimensions each cell belongs to, from 0.

    Examples
    --------
    >>> groups(np.array([[0, 1], [0, 0], [2, 1]]), [0])
    array([0, 0, 1])
    """
    key = np.zeros(len(codes), dtype=np.int64)
    for d in dimensions:
        # Renumbered at each step, so that the key never outgrows its type.
        key = key * (int(codes[:, d].max(initial=0)) + 1) + codes[:, d]
        key = np.unique(key, return_inverse=True)[1].ravel()
    return key


def level_columns(codes: np.ndarray) -> sparse.csr_array:
    """Return which levels each cell has, one column per level that occurs, shape (S, q).

    Examples
    --------
    >>> level_columns(np.array([[0, 5], [3, 5]])).toarray()
    array([[1., 0., 1.],
           [0., 1., 1.]])
    """
    return group_columns([groups(codes, [d]) for d in range(codes.shape[1])])


def group_columns(grouped: Sequence[np.ndarray]) -> sparse.csr_array:
    """Return which groups each cell belongs to, one column per group of each grouping, (S, K).

    Examples
    --------
    >>> group_columns([np.array([0, 1, 1]), np.array([0, 0, 1])]).toarray()
    array([[1., 0., 1., 0.],
           [0., 1., 1., 0.],
           [0., 1., 0., 1.]])
    """
    start = np.cumsum([0, *(int(own.max(initial=-1)) + 1 for own in grouped)])
    column = np.stack(grouped, axis=1) + start[:-1]
    S, count = column.shape
    entries = (np.ones(S * count), column.ravel(), np.arange(S + 1) * count)
    return sparse.csr_array(entries, shape=(S, int(start[-1])))


def segments_up_to(
    codes: np.ndarray,
    max_order: int,
    informative: np.ndarray,
    apart: Collection[tuple[int, int]] = (),
) -> Segments:
    """List the segments of all cuboids up to an order, each set of cells once.

    Of segments with the same informative cells the one of the lowest order is kept, and of those
    the first; a segment of all informative cells is "everywhere" and no cause.

    Parameters
    ----------
    codes : ndarray of int, shape (S, D)
    max_order : int
    informative : ndarray of bool, shape (S,)
        Cells in which the periods can be compared.
    apart : collection of (int, int)
        Dimensions that never combine: a parent and its child in a hierarchy.

    Returns
    -------
    Segments

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> found = segments_up_to(codes, 2, np.ones(4, dtype=bool))
    >>> found.fixed, found.members.shape
    (((0,), (1,), (0, 1)), (4, 8))
    """
    S, D = codes.shape
    cells = np.flatnonzero(informative)
    forbidden = {frozenset(pair) for pair in apart}
    fixed = [
        combination
        for order in range(1, min(max_order, D) + 1)
        for combination in itertools.combinations(range(D), order)
        if not any(frozenset(p) in forbidden for p in itertools.combinations(combination, 2))
    ]
    own = codes[cells]
    columns, cuboid, example, start = [], [], [], 0
    for k, dimensions in enumerate(fixed):
        group = groups(own, dimensions)
        _, first = np.unique(group, return_index=True)
        columns.append(group + start)
        cuboid.append(np.full(len(first), k))
        example.append(cells[first])
        start += len(first)
    if not fixed or not len(cells):
        none = np.zeros(0, dtype=int)
        return Segments(sparse.csr_array((S, 0)), none, tuple(fixed), none)
    column = np.stack(columns, axis=1).ravel()
    row = np.repeat(cells, len(fixed))
    members = sparse.csr_array((np.ones(len(row)), (row, column)), shape=(S, start))
    found = Segments(
        members,
        np.concatenate(cuboid),
        tuple(fixed),
        np.concatenate(example),
    )
    return found.take(_distinct(members, len(cells)))


def _distinct(members: sparse.csr_array, everything: int) -> np.ndarray:
    """Mark the first column of each set of cells, leaving out the set of all cells."""
    size = np.asarray(members.sum(axis=0)).ravel()
    # Cells are added in the same order, so that equal sets have equal sums to the last bit.
    marks = members.T @ np.random.default_rng(0).random((members.shape[0], 2))
    _, first = np.unique(np.column_stack([size, marks]), axis=0, return_index=True)
    keep = np.zeros(members.shape[1], dtype=bool)
    keep[first] = True
    return keep & (size < everything)

"""Who belongs to each coalition of players, and what it counts for in a player's Shapley value."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from attribution.errors import OptionError

__all__ = ["coalitions", "groups", "shapley_weights"]

_MOST_PLAYERS = 10  # 1,024 coalitions


def coalitions(players: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all coalitions and their coefficients in the Shapley value of each player.

    ``effect_i = sum over A of coefficient_i(A) v(A)``, for any value v that vectors, tables or
    logarithms of shares may have: the marginal contributions of i, averaged over all orders.

    Parameters
    ----------
    players : int

    Returns
    -------
    member : ndarray of bool, shape (2 ** players, players)
        From no one, first, to everyone, last.
    coefficient : ndarray, shape (2 ** players, players)

    Raises
    ------
    OptionError
        More than 10 players.

    References
    ----------
    Shapley 1953.

    Examples
    --------
    >>> member, coefficient = coalitions(2)
    >>> coefficient.T @ [0., 2, 3, 6]  # no one, the second, the first, both
    array([3.5, 2.5])
    """
    if players > _MOST_PLAYERS:
        raise OptionError(
            f"mix: {players} players (the dimensions, and for 'shapley' their association) take "
            f"{2**players:,} tables of shares; the most is {_MOST_PLAYERS} players. Leave "
            "dimensions out of by, or use mix='adjusted'."
        )
    member = np.indices((2,) * players).reshape(players, 2**players).T.astype(bool)
    others = member.sum(axis=1)[:, None] - member
    return member, np.where(member, 1.0, -1.0) * shapley_weights(players)[others]


def shapley_weights(players: int) -> np.ndarray:
    """Return what joining a coalition of each size counts for: s! (P - 1 - s)! / P!, shape (P,).

    Examples
    --------
    >>> shapley_weights(3).round(4)
    array([0.3333, 0.1667, 0.3333])
    """
    return np.array([1 / (players * math.comb(players - 1, s)) for s in range(players)])


def groups(codes: np.ndarray, sizes: Sequence[int], dimensions: Sequence[int]) -> np.ndarray:
    """Number the combinations of levels of some dimensions that occur.

    Parameters
    ----------
    codes : ndarray of int, shape (n, D)
    sizes : sequence of int
    dimensions : sequence of int

    Returns
    -------
    ndarray of int, shape (n,)
        The combination of each cell, from 0; without dimensions all cells are one.

    Examples
    --------
    >>> groups(np.array([[0, 2], [1, 2], [0, 2]]), (2, 3), [0, 1])
    array([0, 1, 0])
    """
    found = np.zeros(len(codes), dtype=np.int64)
    for d in dimensions:
        # Numbered anew at each step: the product of many sizes would not fit an integer.
        _, found = np.unique(found * sizes[d] + codes[:, d], return_inverse=True)
    return found

"""One overall target divided among segments, between a floor and a bound, adding up exactly.

Everything here is oriented so that more is better. With weights w (shares of the plan's volume)

    sum_c w_c T_c = T        T_c = clip(base_c + lambda gain_c, low_c, high_c)

where `gain` says in which proportion segments improve (their headroom, their level, their distance
to the better peers) and one lambda fits the sum.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

__all__ = ["allocate", "allocate_detectable"]

_TINY = 1e-12
# The integer program holds its constraints to a millionth only.
_SOLVED = 2e-6
# Nodes of its search tree, not seconds: the same answer on any machine.
_MOST_NODES = 10_000


def allocate(
    base: np.ndarray,
    weight: np.ndarray,
    gain: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    overall: float,
) -> np.ndarray:
    """Return the targets, shape (S,).

    Where the gains run out before the sum is reached, the rest is divided in proportion to what is
    left up to the bounds. An overall target below today's level lowers all by the same amount.

    Parameters
    ----------
    base : ndarray, shape (S,)
        Where segments are today.
    weight : ndarray, shape (S,)
        Shares of the plan's volume; they add up to 1.
    gain : ndarray, shape (S,)
        Not negative.
    low, high : ndarray, shape (S,)
        ``weight @ low <= overall <= weight @ high``.
    overall : float

    Returns
    -------
    ndarray

    Examples
    --------
    In proportion to the headroom below 100 %:

    >>> base, half = np.array([0.9, 0.8]), np.array([0.5, 0.5])
    >>> allocate(base, half, 1 - base, np.zeros(2), np.ones(2), 0.88)
    array([0.92, 0.84])
    """
    start = np.clip(base, low, high)
    # Only proportions count, and a gain beside which the others are huge is none.
    gain = gain / (gain.max(initial=0.0) or 1.0)
    gain = np.where(gain > _TINY, gain, 0.0)
    if weight @ start > overall:
        return _filled(base, weight, -np.ones_like(base), low, high, overall)
    if weight @ np.where(gain > 0, high, start) >= overall:
        return _filled(base, weight, gain, low, high, overall)
    full = np.where(gain > 0, high, start)
    return _filled(full, weight, high - full, low, high, overall)


def _filled(
    start: np.ndarray,
    weight: np.ndarray,
    gain: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    overall: float,
) -> np.ndarray:
    """Raise lambda from 0 until the sum fits: halve, then solve exactly for those still free."""

    def at(scale: float) -> np.ndarray:
        return np.clip(start + scale * gain, low, high)

    most = 1.0
    while abs(weight @ at(most) - overall) > _TINY and (
        (weight @ at(most) < overall) == (weight @ gain > 0)
    ):
        most *= 2
        if most > 1e15:
            break
    below, above = 0.0, most
    for _ in range(200):
        middle = (below + above) / 2
        short = (weight @ at(middle) < overall) == (weight @ gain > 0)
        below, above = (middle, above) if short else (below, middle)
    found = at(above)
    free = (found > low) & (found < high) & (gain != 0) & (weight > 0)
    if free.any():
        lacking = overall - weight @ found
        found[free] += lacking * gain[free] / (weight[free] @ gain[free])
    return found


def allocate_detectable(
    base: np.ndarray,
    weight: np.ndarray,
    gain: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    overall: float,
    detectable: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return targets that no segment has to improve by less than can be shown, and who is held.

    Segments that improve do so by their detectable change at least; the others are held where they
    are. First come those whose part of the plain division is the largest multiple of their
    detectable change, among equals those who are worst today, as many as fit in the sum. Where they
    cannot reach it, those with the smallest parts come first; where these cannot either, as many as
    any choice allows.

    Parameters
    ----------
    base, weight, gain, low, high, overall
        See `allocate`.
    detectable : ndarray, shape (S,)
        The smallest change that a segment's volume can show.

    Returns
    -------
    (target, held) or None
        None where no choice of segments reaches the overall target.

    Notes
    -----
    A choice A is possible where ``sum_A w_c detectable_c <= T - w @ start <= sum_A w_c (high_c -
    start_c)``: a knapsack with two sides, solved by branch and bound.

    Examples
    --------
    >>> base, third = np.array([0.9, 0.8, 0.85]), np.full(3, 1 / 3)
    >>> target, held = allocate_detectable(base, third, 1 - base, np.zeros(3), np.ones(3), 0.86,
    ...                                    np.full(3, 0.012))
    >>> target.round(4), held
    (array([0.9   , 0.8171, 0.8629]), array([ True, False, False]))
    """
    start = np.clip(base, low, high)
    plain = allocate(base, weight, gain, low, high, overall)
    change, lacking = plain - start, float(overall - weight @ start)
    asked = change > _TINY
    if lacking <= _TINY or (change[asked] >= detectable[asked] * (1 - 1e-9)).all():
        return plain, np.zeros(len(base), dtype=bool)
    multiple = change / np.maximum(detectable, _TINY)
    preferred = np.lexsort((base, -multiple.round(6)))
    able = high - start >= detectable
    least, most = weight * detectable, weight * (high - start)
    active = None
    for order in (preferred, np.argsort(weight * detectable)):
        active = _first(order[able[order]], least, most, lacking) if active is None else active
    if active is None:
        active = _any(preferred[able[preferred]], least, most, lacking)
    if active is None:
        return None
    bottom = np.where(active, np.minimum(start + detectable, high), start)
    top = np.where(active, high, start)
    target = allocate(base, weight, np.where(active, gain, 0.0), bottom, top, overall)
    return target, asked & ~active


def _first(
    order: np.ndarray, least: np.ndarray, most: np.ndarray, lacking: float
) -> np.ndarray | None:
    """As many segments as fit, one after the other; None where they do not reach the sum."""
    count = int(np.searchsorted(np.cumsum(least[order]), lacking * (1 + 1e-12), side="right"))
    if not count or most[order[:count]].sum() < lacking - _TINY:
        return None
    return _chosen(order[:count], len(least))


def _any(
    order: np.ndarray, least: np.ndarray, most: np.ndarray, lacking: float
) -> np.ndarray | None:
    """The largest choice that is possible, among equals the earlier in order; None without any."""
    if not len(order):
        return None
    # All ranks together count for less than one segment.
    worth = 1 + np.linspace(1, 0, len(order)) / (len(order) + 1)
    sides = np.stack([least[order], -most[order]]) / lacking
    found = optimize.milp(
        -worth,
        integrality=np.ones(len(order), dtype=np.int64),
        bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(sides, ub=[1 - _SOLVED, -1 - _SOLVED]),
        options={"node_limit": _MOST_NODES, "mip_rel_gap": 0},
    )
    return None if found.x is None else _chosen(order[found.x > 0.5], len(least))


def _chosen(which: np.ndarray, size: int) -> np.ndarray:
    active = np.zeros(size, dtype=bool)
    active[which] = True
    return active

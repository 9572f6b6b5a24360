"""Where a value axis begins and ends, so that bars and the words beside them have room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Need", "fitted"]


class Need(NamedTuple):
    """A value that must be on the axis, with points of room for words below and above it."""

    value: float
    below: float = 0.0
    above: float = 0.0


def fitted(needs: Sequence[Need], length: float, least: float) -> tuple[float, float]:
    """Return the narrowest limits of an axis of `length` points that meet all needs.

    Parameters
    ----------
    needs : sequence of Need
    length : float
    least : float
        The limits are never closer than this, so that dust is not blown up to a chart.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> low, high = fitted([Need(0.0), Need(8.0, above=20)], 100, 1)
    >>> round(low, 6), round(high, 6)
    (0.0, 10.0)
    """
    words = max(n.below for n in needs) + max(n.above for n in needs)
    # In a drawing that is all words there is no solution; bars then keep a third of it.
    length = max(length, 1.5 * words)
    low = min(n.value for n in needs)
    high = max(n.value for n in needs)
    low, high = _widened(low, high, least)
    # Words take (points / length) of an unknown width, which shrinks the error at each step.
    for _ in range(60):
        unit = (high - low) / length
        low, high = _widened(
            min(n.value - n.below * unit for n in needs),
            max(n.value + n.above * unit for n in needs),
            least,
        )
    return low, high


def _widened(low: float, high: float, least: float) -> tuple[float, float]:
    lacking = max(least - (high - low), 0.0)
    return low - lacking / 2, high + lacking / 2

"""Limits of an individuals (XmR) chart: how far a KPI wanders when nothing is new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LEAST_CHANGES", "IndividualLimits", "changes_at", "individual_limits"]

# Below this many past changes their mean says too little to set limits by.
LEAST_CHANGES = 4

# 3 / d2 and D4 for ranges of two values: three-sigma limits from a mean moving range.
_OF_VALUES = 2.66
_OF_CHANGES = 3.267


@dataclass(frozen=True)
class IndividualLimits:
    """The limits that past values set for the next; all NaN where there are too few.

    Attributes
    ----------
    center : float
        The mean of the past values.
    mean_moving_range : float
        The mean size of the past changes.
    limit_low, limit_high : float
        Natural limits of a value: center -+ 2.66 mean moving ranges.
    change_limit : float
        The limit of the size of a change: 3.267 mean moving ranges.
    """

    center: float
    mean_moving_range: float
    limit_low: float
    limit_high: float
    change_limit: float


def changes_at(values: np.ndarray, lag: int = 1) -> np.ndarray:
    """Return ``x_t - x_{t - lag}``, NaN where either is not observed.

    Parameters
    ----------
    values : ndarray, shape (T,)
        A KPI in time order, NaN where not observed.
    lag : int

    Returns
    -------
    ndarray, shape (T,)

    Examples
    --------
    >>> changes_at(np.array([10.0, 12.0, 11.0]))
    array([nan,  2., -1.])
    """
    changes = np.full(len(values), np.nan)
    changes[lag:] = values[lag:] - values[: max(len(values) - lag, 0)]
    return changes


def individual_limits(past: np.ndarray, lag: int = 1) -> IndividualLimits:
    """Return the limits that past values set: ``mean -+ 2.66 mR`` and, for changes, ``3.267 mR``.

    mR is the mean size of the past changes ``x_t - x_{t - lag}``.

    Parameters
    ----------
    past : ndarray, shape (T,)
        The KPI in time order before the value that is judged, NaN where not observed.
    lag : int
        Periods a change spans; 12 compares months with the same month a year before.

    Returns
    -------
    IndividualLimits

    References
    ----------
    Wheeler, D. J. (2000). Understanding Variation, 2nd ed. SPC Press.

    Examples
    --------
    Changes of 2, 1, 2 and 1 have the mean 1.5:

    >>> limits = individual_limits(np.array([10.0, 12.0, 11.0, 13.0, 12.0]))
    >>> [round(x, 3) for x in (limits.center, limits.limit_low, limits.limit_high)]
    [11.6, 7.61, 15.59]
    >>> round(limits.change_limit, 4)
    4.9005
    """
    sizes = np.abs(changes_at(past, lag))
    sizes = sizes[~np.isnan(sizes)]
    if len(sizes) < LEAST_CHANGES:
        return IndividualLimits(*[float("nan")] * 5)
    center, moving = float(np.nanmean(past)), float(sizes.mean())
    return IndividualLimits(
        center=center,
        mean_moving_range=moving,
        limit_low=center - _OF_VALUES * moving,
        limit_high=center + _OF_VALUES * moving,
        change_limit=_OF_CHANGES * moving,
    )

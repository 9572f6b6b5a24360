"""Intervals and p-values from estimates and standard errors: t, with few clusters few degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from attribution.infer.unit_sums import Support

__all__ = ["FEWEST_UNITS", "Inference", "half_width", "infer", "t_inference"]

# Below this fraction of the KPI's own size a standard error is rounding, not variance.
_ROUNDING = 1e-12
# A line that rests on fewer units than this in a period has a rough standard error at best.
FEWEST_UNITS = 6


@dataclass(frozen=True, eq=False)
class Inference:
    """What is known of K estimates, each array of shape (K,).

    Attributes
    ----------
    estimate, std_error, conf_low, conf_high, p_value : ndarray
        `std_error` is 0 and `p_value` NaN where a line cannot vary; all are NaN where it is
        unknown.
    few : ndarray of bool
        Lines that rest on too few units: their interval is widened, or there is none.
    """

    estimate: np.ndarray
    std_error: np.ndarray
    conf_low: np.ndarray
    conf_high: np.ndarray
    p_value: np.ndarray
    few: np.ndarray


def half_width(degrees_of_freedom: Any, conf_level: float) -> np.ndarray:
    """Return the half width of a t interval in standard errors.

    Examples
    --------
    >>> half_width(11, 0.95).round(3)
    np.float64(2.201)
    """
    return special.stdtrit(np.maximum(degrees_of_freedom, 1), (1 + conf_level) / 2)


def t_inference(
    estimate: np.ndarray,
    std_error: np.ndarray,
    degrees_of_freedom: Any,
    conf_level: float,
    few: np.ndarray | bool = False,
) -> Inference:
    """Return t intervals and two-sided p-values.

    Parameters
    ----------
    estimate, std_error : ndarray, shape (K,)
    degrees_of_freedom : int or ndarray, shape (K,)
    conf_level : float
    few : ndarray of bool, optional
        Lines that rest on too few units.

    Returns
    -------
    Inference

    Examples
    --------
    >>> t_inference(np.array([1.0]), np.array([0.5]), 1000, 0.95).p_value.round(3)
    array([0.046])
    """
    half = half_width(degrees_of_freedom, conf_level) * std_error
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(estimate) / std_error
    dof = np.maximum(degrees_of_freedom, 1)
    p = np.where(std_error > 0, 2 * special.stdtr(dof, -t), np.nan)
    few = np.broadcast_to(np.asarray(few), estimate.shape)
    return Inference(estimate, std_error, estimate - half, estimate + half, p, few)


def degrees_of_freedom(support: Support) -> np.ndarray:
    """Return the degrees of freedom of lines, shape (K,).

    G - 1, G the units a line rests on in either period; where it rests on fewer than 6 in a period,
    those of its smaller period less one.
    """
    few = support.fewest < FEWEST_UNITS
    return np.maximum(np.where(few, support.fewest, support.either), 1.0) - 1


def infer(
    estimate: np.ndarray,
    std_error: np.ndarray,
    support: Support,
    conf_level: float,
    size: float,
) -> Inference:
    """Return intervals and p-values of lines from their standard errors and what they rest on.

    t with `degrees_of_freedom`; a line that rests on a single unit in a period has no interval.

    Parameters
    ----------
    estimate, std_error : ndarray, shape (K,)
    support : Support
    conf_level : float
    size : float
        The size of the KPI, against which a standard error can be mere rounding.

    Returns
    -------
    Inference
    """
    se = np.where(std_error <= _ROUNDING * size, 0.0, std_error)
    fewest = support.fewest
    few = fewest < FEWEST_UNITS
    se = np.where(fewest < 2, np.nan, se)
    return t_inference(estimate, se, degrees_of_freedom(support), conf_level, few)

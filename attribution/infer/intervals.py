"""Intervals and p-values from estimates and standard errors: t with G - 1 degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from attribution.gradient import Gradient
from attribution.infer.covariance import UnitSums, std_errors

__all__ = ["Inference", "half_width", "infer", "t_inference"]

# Below this fraction of the KPI's own size a standard error is rounding, not variance.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Inference:
    """What is known of K estimates, each array of shape (K,).

    `std_error` is 0 and `p_value` NaN where a line cannot vary; all are NaN where it is unknown.
    """

    estimate: np.ndarray
    std_error: np.ndarray
    conf_low: np.ndarray
    conf_high: np.ndarray
    p_value: np.ndarray


def half_width(degrees_of_freedom: int, conf_level: float) -> float:
    """Return the half width of a t interval in standard errors.

    Examples
    --------
    >>> round(half_width(11, 0.95), 3)
    2.201
    """
    return float(special.stdtrit(max(degrees_of_freedom, 1), (1 + conf_level) / 2))


def t_inference(
    estimate: np.ndarray, std_error: np.ndarray, degrees_of_freedom: int, conf_level: float
) -> Inference:
    """Return t intervals and two-sided p-values.

    Parameters
    ----------
    estimate, std_error : ndarray, shape (K,)
    degrees_of_freedom : int
    conf_level : float

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
    p = np.where(std_error > 0, 2 * special.stdtr(max(degrees_of_freedom, 1), -t), np.nan)
    return Inference(estimate, std_error, estimate - half, estimate + half, p)


def infer(
    estimate: np.ndarray, gradient: Gradient, units: UnitSums, conf_level: float, size: float
) -> Inference:
    """Return intervals and p-values of lines from their gradient.

    Parameters
    ----------
    estimate : ndarray, shape (K,)
    gradient : Gradient
    units : UnitSums
    conf_level : float
    size : float
        The size of the KPI, against which a standard error can be mere rounding.

    Returns
    -------
    Inference
    """
    se = std_errors(gradient, units)
    se = np.where(se <= _ROUNDING * size, 0.0, se)
    return t_inference(estimate, se, units.degrees_of_freedom, conf_level)

"""Intervals of shares and rates on a scale that respects 0 and 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from attribution.infer.intervals import Inference

__all__ = ["proportions"]

# A proportion nearer to 0 or 1 than this is there but for rounding.
_ROUNDING = 1e-12


def proportions(
    found: Inference,
    conf_level: float,
    n: np.ndarray | None = None,
    units: np.ndarray | None = None,
) -> Inference:
    """Return the same with intervals that lie in [0, 1].

    ``expit(logit(p) ± t SE / (p (1 - p)))``: the t interval of the logit, by the delta method. At
    0 or 1, where units that all agree show no noise, Wilson's score interval of n trials less the
    design effect, ``SE^2 n / (p (1 - p))`` pooled over the proportions between 0 and 1 and at least
    1; where there is none, every unit counts as one trial.

    Parameters
    ----------
    found : Inference
        Proportions with their t intervals.
    conf_level : float
    n : ndarray, shape (K,), optional
        Trials. None: a proportion of 0 or 1 is certain, as the share of a dimension's only level.
    units : ndarray, shape (K,), optional
        Independent units; n by default.

    Returns
    -------
    Inference
        Unchanged where nothing can vary or nothing is known.

    References
    ----------
    Korn, E. L. and Graubard, B. I. (1999). Analysis of Health Surveys. Wiley, ch. 2.
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference.
    Journal of the American Statistical Association 22:209-212.

    Examples
    --------
    >>> from attribution.infer.intervals import t_inference
    >>> known = t_inference(np.array([0.98, 1.0]), np.array([0.02, 0.0]), 1000, 0.95)
    >>> known.conf_high.round(3)
    array([1.019, 1.   ])
    >>> inside = proportions(known, 0.95, n=np.array([49.0, 49.0]))
    >>> inside.conf_low.round(3), inside.conf_high.round(3)
    (array([0.869, 0.927]), array([0.997, 1.   ]))
    """
    p, se = found.estimate, found.std_error
    between = (p > _ROUNDING) & (p < 1 - _ROUNDING) & (se > 0)
    variance = np.where(between, p * (1 - p), 1.0)
    half = np.where(between, found.conf_high - p, 0.0) / variance
    logit = special.logit(np.where(between, p, 0.5))
    low = np.where(between, special.expit(logit - half), found.conf_low)
    high = np.where(between, special.expit(logit + half), found.conf_high)
    if n is not None:
        at_end = ((np.abs(p) <= _ROUNDING) | (np.abs(1 - p) <= _ROUNDING)) & (se == 0) & (n > 0)
        size = n if units is None else np.minimum(n, units)
        if between.any():
            noise = float((n * se**2)[between].sum() / variance[between].sum())
            size = n / max(noise, 1.0)
        z2 = special.ndtri((1 + conf_level) / 2) ** 2
        reach = z2 / (np.where(at_end, size, 1.0) + z2)
        low = np.where(at_end, np.where(p > 0.5, 1 - reach, 0.0), low)
        high = np.where(at_end, np.where(p > 0.5, 1.0, reach), high)
    return replace(found, conf_low=low, conf_high=high)

"""Effects corrected for having been chosen: what is named for being large looks too large.

The estimate is the mean of the posterior under a prior of usual sizes, N(0, σ²) on the scale of the
effects. A posterior is not moved by the choice: averaged over causes of such sizes it is right for
those that are named as for all others (Dawid 1994; Senn 2008). Thin segments give way most.

Limits make no such assumption. A cause is named where |θ̂ / se| > c. Given that, z = θ̂ / se is a
truncated normal, and its law is known for every true effect μ (in standard errors):

    P(Z > z | |Z| > c; μ) = Φ(μ - z) / (Φ(μ - c) + Φ(-μ - c))          for z > c > 0

They solve it for 0.025 and 0.975.
"""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["corrected_effects", "corrected_limits"]

_HALVINGS = 60


def corrected_effects(theta: np.ndarray, covariance: np.ndarray, usual: float) -> np.ndarray:
    """Return the posterior mean of effects that are usually of size `usual`.

    Parameters
    ----------
    theta : ndarray, shape (K,)
        Estimates.
    covariance : ndarray, shape (K, K)
    usual : float
        The prior standard deviation σ; that of an effect beyond it is the effect itself.

    Returns
    -------
    ndarray, shape (K,)

    References
    ----------
    Dawid, A. P. (1994). Selection paradoxes of Bayesian inference. IMS Lecture Notes 24:211-220.
    Senn, S. (2008). A note concerning a selection "paradox" of Dawid's. The American Statistician
    62:206-210.

    Examples
    --------
    >>> corrected_effects(np.array([-0.5, 0.9]), np.diag([0.01, 0.04]), 1.0).round(3)
    array([-0.495,  0.865])
    """
    prior = np.diag(np.maximum(usual, np.abs(theta)) ** 2)
    return prior @ np.linalg.solve(prior + covariance, theta)


def corrected_limits(
    z: np.ndarray, cutoff: np.ndarray, conf_level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return limits of effects that were named for exceeding a cutoff.

    Far beyond the cutoff they are the usual ones.

    Parameters
    ----------
    z : ndarray, shape (K,)
        Estimates in standard errors.
    cutoff : ndarray, shape (K,)
    conf_level : float

    Returns
    -------
    low, high : ndarray, shape (K,)

    Examples
    --------
    >>> [x.round(2) for x in corrected_limits(np.array([4.6, -9.0]), np.array([4.4, 4.4]), 0.95)]
    [array([ -0.28, -10.96]), array([ 6.06, -7.04])]
    """
    size, sign = np.abs(z), np.where(z < 0, -1.0, 1.0)
    c = np.minimum(cutoff, size)
    tail = (1 - conf_level) / 2
    low, high = (_solved(size, c, q) for q in (tail, 1 - tail))
    ends = np.sort(np.stack([sign * low, sign * high]), axis=0)
    return ends[0], ends[1]


def _solved(z: np.ndarray, c: np.ndarray, q: float) -> np.ndarray:
    """The effect at which a named one exceeds z with chance q; the chance grows with the effect."""
    low, high = -z - 10.0, z + 10.0
    for _ in range(_HALVINGS):
        mu = (low + high) / 2
        named = np.logaddexp(special.log_ndtr(mu - c), special.log_ndtr(-mu - c))
        beyond = special.log_ndtr(mu - z) - named < np.log(q)
        low, high = np.where(beyond, mu, low), np.where(beyond, high, mu)
    return (low + high) / 2

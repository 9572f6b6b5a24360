"""Limits of a funnel plot: how far an entity wanders from its expectation when it is not special.

Exact binomial for trials, widened where entities vary more than chance alone makes them: by
sqrt(phi), phi the winsorized mean of squared z scores, or by a between-entity variance tau^2.
"""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["binomial_quantile", "dispersion", "normal_quantile"]

# Above this variance of the count the binomial is as good as normal with its skewness.
_LARGE = 100.0
# An effective size that is a whole number but for rounding is that number.
_WHOLE = 1e-9


def dispersion(z: np.ndarray, winsorize: float = 0.1) -> float:
    """Return phi: by how much entities vary more than the variance behind their z scores.

    ``phi = mean(z_w^2) / c``, z_w the scores with the outer `winsorize` at each end pulled in to
    that quantile, so that those who are special do not hide themselves, and c what the mean is for
    standard normal scores, so that phi is 1 where nothing but chance is at work (the published form
    has c = 1 and is a third too small).

    Parameters
    ----------
    z : ndarray, shape (K,)
        Scores against the expectation, at least one.
    winsorize : float
        From 0 (plain mean of squares) to below 0.5.

    Returns
    -------
    float

    References
    ----------
    Spiegelhalter, D. J. (2005). Handling over-dispersion of performance indicators. Quality and
    Safety in Health Care 14:347-351.

    Examples
    --------
    >>> scores = np.array([-1.0, 0.5, 2.0, -0.5, 12.0])
    >>> round(dispersion(scores, 0), 2), round(dispersion(scores, 0.2), 2)
    (29.9, 10.12)
    """
    if winsorize == 0:
        return float(np.mean(z**2))
    low, high = np.quantile(z, [winsorize, 1 - winsorize])
    a = special.ndtri(1 - winsorize)
    density = np.exp(-(a**2) / 2) / np.sqrt(2 * np.pi)
    normal = 1 - 2 * winsorize - 2 * a * density + 2 * winsorize * a**2
    return float(np.mean(np.clip(z, low, high) ** 2) / normal)


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile.

    Examples
    --------
    >>> round(normal_quantile(0.999), 2)
    3.09
    """
    return float(special.ndtri(probability))


def binomial_quantile(probability: float, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return binomial quantiles, interpolated between counts so that limits are smooth in n.

    The mid-distribution ``F(k - 1) + f(k) / 2`` is interpolated linearly over k: lower and upper
    limits then mirror each other when successes become failures. Where n p (1 - p) is above 100, a
    normal quantile with the binomial's skewness, which differs by less than a twentieth of a count.

    Parameters
    ----------
    probability : float
    n : ndarray, shape (K,)
        Trials; need not be whole (an effective size).
    p : ndarray, shape (K,)

    Returns
    -------
    ndarray, shape (K,)
        In counts, from 0 to n.

    References
    ----------
    Spiegelhalter, D. J. (2005). Funnel plots for comparing institutional performance. Statistics
    in Medicine 24:1185-1202 (limits interpolated between counts).
    Parzen, E. (2004). Quantile probability and statistical data modeling. Statistical Science 19
    (the mid-distribution).

    Examples
    --------
    >>> low, high = (binomial_quantile(q, np.array([30.0]), np.array([0.9])) for q in (.025, .975))
    >>> low.round(2), high.round(2)
    (array([23.25]), array([29.96]))
    """
    n, p = np.asarray(n, dtype=float), np.asarray(p, dtype=float)
    variance = n * p * (1 - p)
    z = special.ndtri(probability)
    found = n * p + z * np.sqrt(variance) + (z**2 - 1) * (1 - 2 * p) / 6
    small = (variance <= _LARGE) & (variance > 0)
    if small.any():
        found[small] = _interpolated(probability, n[small], p[small], found[small])
    # Counts of successes and of failures are both whole only where n is.
    part = small & (np.abs(n - np.rint(n)) > _WHOLE)
    if part.any():
        size, failures = n[part], 1 - p[part]
        guess = size - found[part]
        mirrored = size - _interpolated(1 - probability, size, failures, guess)
        found[part] = (found[part] + mirrored) / 2
    return np.clip(found, 0, n)


def _interpolated(q: float, n: np.ndarray, p: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """The place k where the mid-distribution, linear between counts, reaches q.

    ``F(k - 1) + f(k) / 2`` is kept for k and k - 1 while k walks to the place: one incomplete beta
    function at the start, products after it.
    """
    top = np.ceil(n - _WHOLE)
    k = np.clip(np.floor(guess), 0, top)
    below = _cdf(k - 1, n, p)
    here, before = _mass(k, n, p, below), _mass_before(k, n, p)
    walking = np.arange(len(k))
    for _ in range(1000):
        w = walking
        up = (below[w] + here[w] / 2 < q) & (k[w] < top[w])
        down = (below[w] - before[w] / 2 >= q) & (k[w] > 0)
        walking = w[up | down]
        if not len(walking):
            break
        u, d = w[up], w[down]
        below[u] += here[u]
        below[d] -= before[d]
        k[u] += 1
        k[d] -= 1
        before[u], here[d] = here[u], before[d]
        here[u] = _mass(k[u], n[u], p[u], below[u])
        before[d] = _mass_before(k[d], n[d], p[d])
    at, start = below + here / 2, below - before / 2
    step = np.divide(q - start, at - start, out=np.ones_like(k), where=at > start)
    return k - 1 + np.clip(step, 0, 1)


def _mass(k: np.ndarray, n: np.ndarray, p: np.ndarray, below: np.ndarray) -> np.ndarray:
    """f(k); all that is left where k is the last count."""
    inside = np.maximum(n - k, 0.0)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(inside + 1)
    found = np.exp(ways + special.xlogy(k, p) + special.xlog1py(inside, -p))
    return np.where(k >= n - _WHOLE, 1 - below, found)


def _mass_before(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """f(k - 1), 0 before the first count."""
    return np.where(k > 0, _mass(np.maximum(k - 1, 0.0), n, p, 0.0 * k), 0.0)


def _cdf(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    inside = special.betainc(np.maximum(n - k, 1e-300), np.maximum(k, 0) + 1, 1 - p)
    return np.where(k < 0, 0.0, np.where(k >= n - _WHOLE, 1.0, inside))

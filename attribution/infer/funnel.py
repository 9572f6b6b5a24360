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


def binomial_quantile(probability: float | np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return binomial quantiles, interpolated between counts so that limits are smooth in n.

    The mid-distribution ``F(k - 1) + f(k) / 2`` is interpolated linearly over k: lower and upper
    limits then mirror each other when successes become failures. Where n p (1 - p) is above 100, a
    normal quantile with the binomial's skewness, which differs by less than a twentieth of a count.

    Parameters
    ----------
    probability : float or ndarray, shape (Q,)
    n : ndarray, shape (K,)
        Trials; need not be whole (an effective size).
    p : ndarray, shape (K,)

    Returns
    -------
    ndarray, shape (K,) or (Q, K)
        In counts, from 0 to n.

    References
    ----------
    Spiegelhalter, D. J. (2005). Funnel plots for comparing institutional performance. Statistics
    in Medicine 24:1185-1202 (limits interpolated between counts).
    Parzen, E. (2004). Quantile probability and statistical data modeling. Statistical Science 19
    (the mid-distribution).

    Examples
    --------
    >>> binomial_quantile(np.array([0.025, 0.975]), np.array([30.0]), np.array([0.9])).round(2)
    array([[23.25],
           [29.96]])
    """
    n, p = np.asarray(n, dtype=float), np.asarray(p, dtype=float)
    q = np.atleast_1d(np.asarray(probability, dtype=float))
    found = np.empty((len(q), *n.shape))
    # From the outside to the middle in either half: what is added up on the way stays small.
    order = np.argsort(q)
    for half in (order[q[order] < 0.5], order[q[order] >= 0.5][::-1]):
        if len(half):
            found[half] = _quantiles(q[half], n, p)
    return found.reshape(np.shape(probability) + n.shape)


def _quantiles(q: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Quantiles in the order of q, either up or down, shape (Q, K)."""
    variance = n * p * (1 - p)
    z = special.ndtri(q)[:, None]
    found = n * p + z * np.sqrt(variance) + (z**2 - 1) * (1 - 2 * p) / 6
    small = (variance <= _LARGE) & (variance > 0)
    if small.any():
        found[:, small] = _interpolated(q, n[small], p[small], found[0, small])
    # Counts of successes and of failures are both whole only where n is.
    part = small & (np.abs(n - np.rint(n)) > _WHOLE)
    if part.any():
        size, failures = n[part], 1 - p[part]
        mirrored = size - _interpolated(1 - q, size, failures, size - found[0, part])
        found[:, part] = (found[:, part] + mirrored) / 2
    return np.clip(found, 0, n)


def _interpolated(q: np.ndarray, n: np.ndarray, p: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """The places k where the mid-distribution, linear between counts, reaches each q; (Q, K).

    ``F(k - 1) + f(k) / 2`` is kept for k and k - 1 while k walks from a guess of the first place to
    that of each q in turn: one incomplete beta function at the start, products after it.
    """
    top, odds = np.ceil(n - _WHOLE), p / (1 - p)
    k = np.clip(np.floor(guess), 0, top)
    below = _cdf(k - 1, n, p)
    here = _mass(k, n, p)
    # f(k - 1) / f(k) = k / ((n - k + 1) odds), and f(-1) = 0; the last count has all that is left.
    before, last = here * k / ((n - k + 1) * odds), k >= n - _WHOLE
    before[last] = _mass(np.maximum(k[last] - 1, 0), n[last], p[last]) * (k[last] > 0)
    here[last] = 1 - below[last]
    found = np.empty((len(q), len(k)))
    for i, wanted in enumerate(q):
        walking = np.flatnonzero((below - before / 2 >= wanted) & (k > 0))
        while len(walking):
            w = walking
            below[w] -= before[w]
            k[w] -= 1
            here[w] = before[w]
            before[w] *= k[w] / ((n[w] - k[w] + 1) * odds[w])
            walking = w[(below[w] - before[w] / 2 >= wanted) & (k[w] > 0)]
        walking = np.flatnonzero((below + here / 2 < wanted) & (k < top))
        while len(walking):
            w, size = walking, n[walking]
            below[w] += here[w]
            k[w] += 1
            before[w] = here[w]
            next_one = here[w] * (size - k[w] + 1) / k[w] * odds[w]
            here[w] = np.where(k[w] >= size - _WHOLE, 1 - below[w], next_one)
            walking = w[(below[w] + here[w] / 2 < wanted) & (k[w] < top[w])]
        at, start = below + here / 2, below - before / 2
        step = np.divide(wanted - start, at - start, out=np.ones_like(k), where=at > start)
        found[i] = k - 1 + np.clip(step, 0, 1)
    return found


def _mass(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """f(k)."""
    inside = np.maximum(n - k, 0.0)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(inside + 1)
    return np.exp(ways + special.xlogy(k, p) + special.xlog1py(inside, -p))


def _cdf(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    inside = special.betainc(np.maximum(n - k, 1e-300), np.maximum(k, 0) + 1, 1 - p)
    return np.where(k < 0, 0.0, np.where(k >= n - _WHOLE, 1.0, inside))

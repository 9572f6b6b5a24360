"""The cluster bootstrap: whole clusters drawn anew, the lines worked out from their sums.

A replicate weighs each cluster by how often it was drawn, so one sparse product of weights and
cluster sums gives a chunk of replicates. It needs no gradient: a cross-check of the analytic
standard errors, and intervals for what is not smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from attribution.errors import OptionError, check_option
from attribution.gradient import Gradient
from attribution.infer.intervals import FEWEST_UNITS, Inference, t_inference
from attribution.infer.populations import Spread, of_clusters, of_trials
from attribution.infer.units import Units
from attribution.progress import progress

__all__ = ["Bootstrap", "Draws", "bootstrap_inference", "resample"]

# The part of the data's own sums in every replicate: no cell, level or rate vanishes in one, and
# standard errors are smaller by this part only.
_MIXED = 1e-4
# More replicates at once fall out of the processor's cache; fewer for cubes of many cells.
_CHUNK = 32
_CHUNK_NUMBERS = 2**23
# Below this fraction of the KPI's own size a standard error is rounding, not variance.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Bootstrap:
    """How to bootstrap.

    Parameters
    ----------
    replicates : int
        How often the clusters are drawn anew.
    weights : {"multinomial", "poisson"}
        Draw clusters with replacement, or weigh each by a Poisson(1) number of its own.
    interval : {"percentile", "studentized"}
        Quantiles of the replicates, or of their t values (bootstrap-t).
    strata : str, optional
        A dimension whose levels hold whole clusters; clusters are drawn within each.
    workers : int
        Threads. The answer does not depend on it.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> Bootstrap(replicates=200).interval
    'percentile'
    >>> Bootstrap(interval="student")
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: interval: 'student' is not one of 'percentile', 'studentized'. \
Did you mean 'studentized'?
    """

    replicates: int = 1000
    weights: str = "multinomial"
    interval: str = "percentile"
    strata: str | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        for parameter in ("replicates", "workers"):
            value = getattr(self, parameter)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{parameter}: {value!r} is not a whole number of at least 1.")
        check_option("weights", self.weights, ["multinomial", "poisson"])
        check_option("interval", self.interval, ["percentile", "studentized"])
        if self.strata is not None and not (isinstance(self.strata, str) and self.strata):
            raise OptionError(f"strata: {self.strata!r} is not the name of a dimension.")
        if self.strata is not None and self.weights == "poisson":
            raise OptionError(
                "strata: weights='poisson' draws each cluster on its own, which keeps the size of "
                "no stratum. Use weights='multinomial'."
            )


@dataclass(frozen=True, eq=False)
class Draws:
    """The replicates of K estimates.

    Attributes
    ----------
    estimates : ndarray, shape (B, K)
        NaN with fewer than two units: there is nothing to draw from.
    std_errors : ndarray, shape (B, K), or None
        The standard error of each replicate, for studentized intervals.
    std_error : ndarray, shape (K,), or None
        That of the data, worked out in the same way.
    """

    estimates: np.ndarray
    std_errors: np.ndarray | None = None
    std_error: np.ndarray | None = None

    def columns(self, chosen: slice) -> Draws:
        """The replicates of some of the estimates."""
        if self.std_errors is None or self.std_error is None:
            return Draws(self.estimates[:, chosen])
        std_errors, std_error = self.std_errors[:, chosen], self.std_error[chosen]
        return Draws(self.estimates[:, chosen], std_errors, std_error)


def resample(
    units: Units,
    recompute: Callable[[np.ndarray], np.ndarray],
    options: Bootstrap,
    seed: int,
    strata: np.ndarray | None = None,
    gradient: Gradient | None = None,
) -> Draws:
    """Draw clusters anew and recompute the estimates from the sums of those drawn.

        sums_b = sum_g w_bg sums_g,  w_bg = G / (G - 1) times how often g is among G - 1 draws

    One draw less than there are clusters, per stratum, gives the linear case exactly the variance
    G/(G-1) sum_g (psi_g - mean)^2 (Rao and Wu 1988). With Poisson weights it is (G - 1)/G of that.
    Each replicate holds 1e-4 of the data's own sums, so that no cell vanishes in it. Independent
    rows that are trials are drawn as counts of successes and failures, which is exact.

    Parameters
    ----------
    units : Units
        One cluster column, or rows of 0/1 outcomes.
    recompute : callable
        Sums of shape (b, 4 S) to estimates of shape (b, K).
    options : Bootstrap
    seed : int
        The same seed gives the same draws on any number of workers.
    strata : ndarray of int, shape (G,), optional
        The stratum of each cluster; see `cluster_strata`.
    gradient : Gradient, optional
        Of the K estimates; needed for studentized intervals. Their standard errors are linearized:
        psi_g held at the data and reweighted by the replicate, which costs one product with
        (psi, psi^2).

    Returns
    -------
    Draws

    Raises
    ------
    OptionError
        Rows that are neither clusters nor trials; two cluster columns; a stratum of one cluster;
        studentized intervals without a gradient.

    References
    ----------
    Rao, J. N. K. and Wu, C. F. J. (1988). Resampling inference with complex survey data. JASA 83.
    Hall, P. (1992). The Bootstrap and Edgeworth Expansion. Springer (studentized intervals).
    """
    if units.overlap is not None:
        raise OptionError(
            "cluster: inference='bootstrap' draws the clusters of one column, and two were named. "
            "Name one, or use inference='analytic'."
        )
    way = units.ways[0]
    if way.count < 2:
        K = recompute(way.totals[None, :]).shape[1]
        return Draws(np.full((options.replicates, K), np.nan))
    population = of_clusters(way, strata) if way.clustered else of_trials(way)
    spread = None
    if options.interval == "studentized":
        if gradient is None:
            raise OptionError("interval: 'studentized' needs the gradient of the estimates.")
        spread = Spread.of(population, gradient)
    at_once = max(1, min(_CHUNK, _CHUNK_NUMBERS // way.sums.shape[1]))
    starts = range(0, options.replicates, at_once)
    sizes = [min(at_once, options.replicates - start) for start in starts]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes))
    columns = population.sums.T.tocsr()

    def chunk(size: int, own: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray | None]:
        w = population.draw(np.random.default_rng(own), size, options.weights)
        w = (1 - _MIXED) * w + _MIXED * population.counts[:, None]
        found = recompute((columns @ w).T)
        return found, None if spread is None else spread.std_errors(w)

    text = f"Bootstrap of {options.replicates:,} replicates"
    found = list(progress(_each(chunk, sizes, seeds, options.workers), len(sizes), text))
    estimates = np.concatenate([estimates for estimates, _ in found])
    if spread is None:
        return Draws(estimates)
    std_errors = np.concatenate([errors for _, errors in found if errors is not None])
    return Draws(estimates, std_errors, spread.std_errors(population.counts[:, None])[0])


def _each(work: Callable, sizes: list[int], seeds: list, workers: int):
    """Results in order, by threads if there are several."""
    if workers == 1:
        yield from map(work, sizes, seeds)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(work, sizes, seeds)
    finally:
        # After Ctrl-C: what has not begun is dropped.
        pool.shutdown(cancel_futures=True)


def bootstrap_inference(
    estimate: np.ndarray, draws: Draws, conf_level: float, size: float, fewest: np.ndarray
) -> Inference:
    """Return standard errors, intervals and p-values from replicates.

        percentile:   [q_{a/2}, q_{1-a/2}] of the replicates
        studentized:  [x - SE q_{1-a/2}, x - SE q_{a/2}], q of t_b = (x_b - x) / SE_b

    The standard error is the standard deviation of the replicates. With k replicates at or beyond
    0 on the rarer side, p = 2 (1 + k) / (B + 1). Quantiles are order statistics chosen so that
    p <= 1 - conf_level exactly where the interval excludes 0.

    Parameters
    ----------
    estimate : ndarray, shape (K,)
        Of the data.
    draws : Draws
        Studentized if they hold standard errors.
    conf_level : float
    size : float
        The size of the KPI, against which a standard error can be mere rounding.
    fewest : ndarray, shape (K,)
        The number of units each line rests on in its smaller period (`UnitSums.support`).

    Returns
    -------
    Inference

    Raises
    ------
    OptionError
        Too few replicates for the level.

    References
    ----------
    Davison, A. C. and Hinkley, D. V. (1997). Bootstrap Methods and their Application. Cambridge.
    """
    B = len(draws.estimates)
    # A hair more than (B + 1) a / 2: 0.05 * 40 / 2 must give 1.
    k = int((B + 1) * (1 - conf_level) / 2 + 1e-9)
    if k < 1:
        needed = int(np.ceil(2 / (1 - conf_level) - 1e-9)) - 1
        raise OptionError(
            f"replicates: {B:,} are too few for {100 * conf_level:g} % intervals, which need at "
            f"least {needed:,}; 1000 or more make them steady."
        )
    se = np.std(draws.estimates, axis=0, ddof=1)
    se = np.where(fewest < 2, np.nan, np.where(se <= _ROUNDING * size, 0.0, se))
    varies = se > 0
    values, null, scale = draws.estimates, np.zeros(len(estimate)), None
    if draws.std_errors is not None and draws.std_error is not None:
        # A line that varies in the second order only has no t value.
        scale = np.where(draws.std_error > _ROUNDING * size, draws.std_error, np.nan)
        usable = np.where(np.isnan(scale), np.nan, draws.std_errors)
        values, null = (draws.estimates - estimate) / usable, estimate / scale
    ordered = np.sort(values, axis=0)
    low, high = ordered[k - 1], ordered[B - k]
    if scale is not None:
        low, high = estimate - scale * high, estimate - scale * low
    rarer = np.minimum((values <= null).sum(axis=0), (values >= null).sum(axis=0))
    p = np.where(np.isnan(low), np.nan, np.minimum(2 * (1 + rarer) / (B + 1), 1.0))
    few = fewest < FEWEST_UNITS
    # A handful of units has a handful of replicates: never narrower than t with their degrees.
    wide = t_inference(estimate, se, np.maximum(fewest, 1) - 1, conf_level)
    low, high = (
        np.where(few & varies, outer(of_t, own), own)
        for outer, of_t, own in ((np.fmin, wide.conf_low, low), (np.fmax, wide.conf_high, high))
    )
    p = np.where(few & varies, np.fmax(p, wide.p_value), p)
    fixed = np.where(np.isnan(se), np.nan, estimate)
    return Inference(
        estimate=estimate,
        std_error=se,
        conf_low=np.where(varies, low, fixed),
        conf_high=np.where(varies, high, fixed),
        p_value=np.where(varies, p, np.nan),
        few=few,
    )

"""The numbers of a scorecard: a cube of one period in, one value per entity out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.cube import Cube
from attribution.decompose.indirect import Indirect, indirect_standardization
from attribution.errors import DataContractError, OptionError, listing
from attribution.infer.comparison import (
    Noise,
    cluster_noise,
    difference_interval,
    effective_trials,
    row_noise,
)
from attribution.infer.funnel import binomial_quantile, dispersion, normal_quantile
from attribution.infer.ranks import joint_half_width, rank_intervals
from attribution.infer.shrinkage import between_variance, shrink
from attribution.metrics import Metric
from attribution.numbering import numbered

__all__ = ["FEWEST_ENTITIES", "Scores", "score"]

# With fewer entities their spread says too little to widen limits by.
FEWEST_ENTITIES = 5
WINSORIZE = 0.1


@dataclass(frozen=True, eq=False)
class Scores:
    """One period of K entities; arrays of shape (K,) in KPI units.

    Attributes
    ----------
    labels : tuple of tuple of str
        The levels of the entity columns of each entity.
    n : ndarray
        Unweighted rows, or trials.
    crude : ndarray
        The KPI as it is.
    compared : ndarray
        The part of the denominator in cells where others work too.
    overall : float
        The KPI of all entities.
    center : ndarray
        R_ref: the KPI of all; of the others where there are no cells, so that nothing is adjusted.
    found : Indirect
    noise : Noise
    conf_low, conf_high : ndarray
        Of the difference (O - E) / volume.
    phi, tau2, mean : float
        Overdispersion of the entities (at least 1), variance and mean of their true differences.
    deviation : ndarray
        The standard deviation of the difference of an entity that is not special, widened.
    shrunk : ndarray
        The difference drawn in by its own noise.
    enough : ndarray of bool
        Entities with at least `min_n` rows, something to compare with and two clusters.
    trials : bool
        Whether limits are binomial.
    """

    labels: tuple[tuple[str, ...], ...]
    n: np.ndarray
    crude: np.ndarray
    compared: np.ndarray
    overall: float
    center: np.ndarray
    found: Indirect
    noise: Noise
    conf_low: np.ndarray
    conf_high: np.ndarray
    phi: float
    tau2: float
    mean: float
    deviation: np.ndarray
    shrunk: np.ndarray
    enough: np.ndarray
    trials: bool

    @property
    def names(self) -> list[str]:
        """The entities as they are called, K."""
        return list(map(" × ".join, self.labels))

    @property
    def z(self) -> np.ndarray:
        """Standard deviations from the expectation, before any widening, shape (K,)."""
        sd = np.sqrt(self.noise.expected)
        return np.divide(self.found.difference, sd, out=np.zeros_like(sd), where=sd > 0)

    def limits(self, *levels: float) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the funnel limits of the difference, low and high, at levels such as 0.95."""
        tails = [(1 - level) / 2 for level in levels]
        if not self.trials:
            halves = [normal_quantile(1 - tail) * self.deviation for tail in tails]
            return [(-half, half) for half in halves]
        n, p = effective_trials(self.found, self.noise)
        scale = self.deviation / np.sqrt(p * (1 - p) / n)
        ends = binomial_quantile(np.array([[tail, 1 - tail] for tail in tails]).ravel(), n, p)
        low, high = scale * (ends[::2] / n - p), scale * (ends[1::2] / n - p)
        return list(zip(low, high, strict=True))

    def ranks(self, conf_level: float, higher: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the rank intervals among those with enough rows, 1 the best; 0 for the others."""
        low, high = np.zeros(len(self.n), dtype=int), np.zeros(len(self.n), dtype=int)
        some = self.enough
        half = joint_half_width(
            np.sqrt(self.noise.observed[some]), self.noise.degrees_of_freedom[some], conf_level
        )
        value = self.found.difference[some] * (1 if higher else -1)
        low[some], high[some] = rank_intervals(value - half, value + half)
        return low, high


def score(
    cube: Cube,
    metric: Metric,
    entities: int,
    *,
    conf_level: float,
    min_n: int,
    overdispersion: str | None,
) -> Scores:
    """Compare the entities of a cube of one period.

    Parameters
    ----------
    cube : Cube
        Of one period; its first dimensions tell the entities, the others the cells.
    metric : Metric
    entities : int
        How many dimensions tell the entities.
    conf_level, min_n, overdispersion
        See `attribution.scorecard`.

    Returns
    -------
    Scores

    Raises
    ------
    DataContractError
        A numerator without a denominator.
    """
    D, N, count = (cube.metric_sums(metric, r)[0] for r in ("denominator", "numerator", "count"))
    _check_denominators(cube, metric, D, N)
    seen = D > 0
    kept = _index(seen)
    sizes = [len(levels) for levels in cube.levels]
    codes = [column[kept] for column in cube.codes.T]
    first, entity = numbered(codes[:entities], sizes[:entities])
    cell = np.zeros(len(entity), dtype=np.int64)
    if cube.dimensions[entities:]:
        _, cell = numbered(codes[entities:], sizes[entities:])
    who, K = np.stack([column[first] for column in codes[:entities]], axis=1), len(first)
    found = indirect_standardization(entity, cell, D[kept], N[kept], K)
    noise = _noise(cube, metric, found, seen)
    trials = metric.of_trials
    low, high = difference_interval(found, noise, conf_level, trials)

    n = np.bincount(entity, count[kept], K)
    some = found.volume > 0
    enough = (n >= min_n) & some
    if cube.clusters is not None:
        enough &= noise.units >= 2
    delta, expected = found.difference, noise.expected
    phi, tau2, mean = 1.0, 0.0, 0.0
    # A KPI that is the same in every row has no noise to compare a difference with.
    noisy = enough & (expected > 0)
    if noisy.sum() >= FEWEST_ENTITIES:
        z = delta[noisy] / np.sqrt(expected[noisy])
        phi = max(dispersion(z, WINSORIZE), 1.0)
    if noisy.sum() > 1:
        tau2, mean = between_variance(delta[noisy], expected[noisy])
    variance = {
        None: expected,
        "multiplicative": phi * expected,
        "additive": expected + tau2,
    }[overdispersion]
    return Scores(
        labels=_labels(cube, who),
        n=n,
        crude=np.bincount(entity, N[kept], K) / found.total,
        compared=found.volume / found.total,
        overall=found.overall,
        center=_center(found, adjusted=len(cube.dimensions) > entities),
        found=found,
        noise=noise,
        conf_low=low,
        conf_high=high,
        phi=phi,
        tau2=tau2,
        mean=mean,
        deviation=np.sqrt(variance),
        shrunk=np.where(some, shrink(delta, np.where(some, expected, 1.0), tau2, mean), 0.0),
        enough=enough,
        trials=trials,
    )


def _labels(cube: Cube, who: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """The levels of each entity from its codes, shape (K, columns)."""
    columns = [
        np.array(levels, dtype=object)[codes].tolist()
        for levels, codes in zip(cube.levels, who.T, strict=False)
    ]
    return tuple(zip(*columns, strict=True))


def _center(found: Indirect, adjusted: bool) -> np.ndarray:
    if adjusted:
        return np.full(len(found.volume), found.overall)
    V = found.volume
    return np.divide(found.expected, V, out=np.full(len(V), found.overall), where=V > 0)


def _index(seen: np.ndarray) -> np.ndarray | slice:
    """Where all are seen, nothing needs to be copied."""
    return slice(None) if seen.all() else seen


def _noise(cube: Cube, metric: Metric, found: Indirect, seen: np.ndarray) -> Noise:
    clusters = cube.clusters
    if clusters is None:
        moments = metric.moments(cube.weighted)
        keys = [moments[x].key for x in ("den_den", "num_den", "num_num", "count")]
        sums = {key: cube.sums[key][0][_index(seen)] for key in keys}
        return row_noise(found, *(sums[key] for key in keys), trials=metric.of_trials)
    if len(clusters.names) > 2:
        raise OptionError(
            f"cluster: {len(clusters.names)} columns; one, or two for two-way clustering."
        )
    kept = clusters.take(seen[clusters.segment])
    entry = (np.cumsum(seen) - 1)[kept.segment]
    moments = metric.moments(cube.weighted)
    D, N = (kept.sums[moments[role].key] for role in ("denominator", "numerator"))
    binomial = metric.of_trials and not cube.weighted
    return cluster_noise(found, kept.codes, entry, D, N, binomial)


def _check_denominators(cube: Cube, metric: Metric, D: np.ndarray, N: np.ndarray) -> None:
    stray = np.flatnonzero((D == 0) & (N != 0))
    if len(stray):
        named = [cube.segment_name(int(c)) for c in stray]
        raise DataContractError(
            f"data: {len(named):,} segment{'s' * (len(named) > 1)} of {metric.label!r} with a "
            f"numerator and no denominator: {listing(named, most=8)}. A rate needs both.",
            [{"segment": name, "problem": "numerator without denominator"} for name in named],
        )

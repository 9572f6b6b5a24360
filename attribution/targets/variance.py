"""What the rows of a segment vary by, clusters included, so that a plan knows what it can show."""

from __future__ import annotations

import numpy as np

from attribution.cube import Cube
from attribution.infer.power import ratio_covariance, row_variance
from attribution.metrics import Metric

__all__ = ["segment_variance"]

# Fewer clusters than this say too little; the mean of the other segments stands in.
_FEWEST_CLUSTERS = 6


def segment_variance(cube: Cube, metric: Metric) -> np.ndarray:
    """Return the variance of each segment's KPI in a sample of one row, shape (S,).

    For trials ``deff r (1 - r)``, the design effect pooled over segments; for values the variance
    of rows, or of clusters times their rows.

    Parameters
    ----------
    cube : Cube
        Of one period, with rows in every segment.
    metric : Metric

    Returns
    -------
    ndarray
    """
    D, N, n = (cube.metric_sums(metric, r)[0] for r in ("denominator", "numerator", "count"))
    clustered = _clustered(cube, metric)
    if metric.of_trials:
        r = (N / D * n + 0.5) / (n + 1)
        simple = r * (1 - r)
        if clustered is None:
            return simple
        known = np.isfinite(clustered)
        if not known.any():
            return simple
        deff = (n**2 * clustered)[known].sum() / (n * simple)[known].sum()
        return max(float(deff), 1.0) * simple
    if clustered is None:
        roles = ("den_den", "num_den", "num_num")
        DD, DN, NN = (cube.metric_sums(metric, role)[0] for role in roles)
        with np.errstate(divide="ignore", invalid="ignore"):
            clustered = row_variance(D, N, DD, DN, NN, n)
    known = np.isfinite(clustered) & (clustered > 0)
    if not known.any():
        return np.full(len(n), np.nan)
    pooled = float((n**2 * clustered)[known].sum() / n[known].sum())
    return np.where(known, n * np.where(known, clustered, 0.0), pooled)


def _clustered(cube: Cube, metric: Metric) -> np.ndarray | None:
    """The variance of each segment's KPI over clusters; NaN where there are too few."""
    clusters = cube.clusters
    if clusters is None:
        return None
    moments, S = metric.moments(cube.weighted), len(cube.codes)
    D, N = (clusters.sums[moments[role].key] for role in ("denominator", "numerator"))
    some = D > 0
    segment = clusters.segment[some]
    found = ratio_covariance(clusters.codes[:, some], segment, D[some], N[some], S).diagonal()
    counts = [
        np.bincount(np.unique(codes.astype(np.int64) * S + segment) % S, minlength=S)
        for codes in clusters.codes[:, some]
    ]
    return np.where(np.minimum.reduce(counts) >= _FEWEST_CLUSTERS, found, np.nan)

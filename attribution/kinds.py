"""Which decomposition a KPI takes, and its independent units: where metrics become arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attribution.cube import Cube
from attribution.decompose import (
    COMPLEMENT,
    PRODUCT,
    Decomposed,
    Form,
    Joined,
    RatioForm,
    SmoothForm,
    TotalForm,
    decompose,
    decompose_function,
    differentiated,
)
from attribution.errors import OptionError
from attribution.evidence import Options
from attribution.functions import FunctionOfSums, Total
from attribution.infer import Units, cluster_sum_units, cluster_units, row_sum_units, row_units
from attribution.metrics import Metric, Quantile, is_ratio, ratio_only
from attribution.products import Composite, ErrorTypes, sum_roles
from attribution.quantile_noise import quantile_units
from attribution.quantiles import group_quantiles

__all__ = [
    "check_asked",
    "decomposed",
    "denominators_of",
    "form_of",
    "joined_by",
    "levels_of",
    "units_of",
    "value_of",
]


def check_asked(cube: Cube, metric: Metric, options: Options) -> None:
    """Refuse options that a KPI of several sums has no meaning for.

    Parameters
    ----------
    cube : Cube
    metric : Metric
    options : Options

    Raises
    ------
    OptionError
    """
    if is_ratio(metric):
        return
    if options.target is not None:
        ratio_only(metric, "a target")
    if options.finite_population:
        ratio_only(metric, "finite_population")
    if isinstance(metric, Composite):
        return  # each factor is asked by itself
    what = f"{metric.label!r} is a {type(metric).__name__}"
    if options.method != "midpoint":
        raise OptionError(
            f"method: {what}, which method='midpoint' explains; not {options.method!r}."
        )
    if cube.volume is not None:
        raise OptionError(
            f"volume: {what}; full counts beside a sample go with one ratio of sums (at.Rate, "
            "at.Mean, at.Ratio)."
        )
    if options.rates == "pairs" and options.pairs is None:
        raise OptionError(f"pairs: {what}, for which the pairs must be named.")


def decomposed(
    cube: Cube, metric: Metric, options: Options, order: Sequence[int], pairs: Sequence[Any]
) -> Decomposed:
    """Decompose the change of a metric between the two periods of a cube.

    Parameters
    ----------
    cube : Cube
    metric : Metric
    options : Options
    order : sequence of int
        Positions of the dimensions, for mix="ordered".
    pairs : sequence of (int, int)
        The dimensions whose two-way terms the rates have.

    Returns
    -------
    Decomposed
    """
    n = cube.metric_sums(metric, "count")
    sizes = tuple(len(levels) for levels in cube.levels)
    if is_ratio(metric):
        return decompose(
            cube.metric_sums(metric, "denominator"),
            cube.metric_sums(metric, "numerator"),
            n,
            cube.codes,
            sizes,
            method=options.method,
            mix=options.mix,
            order=order,
            rates=options.rates,
            pairs=pairs,
            volume=cube.volume,
            nested=cube.nested,
            target=options.target,
        )
    return decompose_function(
        np.stack([cube.metric_sums(metric, role) for role in sum_roles(metric)]),
        n,
        cube.codes,
        sizes,
        form_of(metric),
        mix=options.mix,
        order=order,
        rates=options.rates,
        pairs=pairs,
        nested=cube.nested,
    )


def form_of(metric: Metric) -> Form:
    """Return what a KPI that is no plain ratio is of its sums.

    Parameters
    ----------
    metric : Metric

    Returns
    -------
    Form
    """
    if isinstance(metric, Total):
        return TotalForm()
    if isinstance(metric, FunctionOfSums):
        return SmoothForm(metric.of_means)
    return RatioForm()


def levels_of(cube: Cube, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Return a KPI in every period of a cube, and its slope in each of its sums there.

    Parameters
    ----------
    cube : Cube
    metric : Metric

    Returns
    -------
    R : ndarray, shape (P,)
    slopes : ndarray, shape (M, P)
        In the sums of `sum_roles`, each over all segments.
    """
    sums = [cube.metric_sums(metric, role).sum(axis=1) for role in sum_roles(metric)]
    return value_of(metric, np.stack(sums))


def value_of(metric: Metric, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a KPI of sums over everything, and its slope in each of them.

    Parameters
    ----------
    metric : Metric
    sums : ndarray, shape (M, P)
        Those of `sum_roles`, P times.

    Returns
    -------
    R : ndarray, shape (P,)
    slopes : ndarray, shape (M, P)
    """
    if isinstance(metric, Composite):
        found, start = [], 0
        for kpi in metric.kpis.values():
            stop = start + len(sum_roles(kpi))
            found.append(value_of(kpi, sums[start:stop]))
            start = stop
        joined, f = joined_by(metric), np.stack([R for R, _ in found])
        own = zip(joined.slopes(f), found, strict=True)
        return joined.value(f), np.vstack([slope * slopes for slope, (_, slopes) in own])
    value = _ratio if is_ratio(metric) else form_of(metric).value
    return differentiated(value, sums[0], sums[1:])


def period_values(cube: Cube, metric: Metric) -> np.ndarray:
    """Return the KPI in every period of a cube, shape (P,), NaN where it has none.

    Parameters
    ----------
    cube : Cube
    metric : Metric

    Returns
    -------
    ndarray
    """
    if isinstance(metric, Quantile):
        D = cube.metric_sums(metric, "denominator").sum(axis=1)
        everyone, periods = np.ones((1, len(cube.codes))), range(len(cube.periods))
        values = [group_quantiles(cube, metric, everyone, t)[0] for t in periods]
        return np.where(D > 0, values, np.nan)
    sums = np.stack([cube.metric_sums(metric, role).sum(axis=1) for role in sum_roles(metric)])
    known = (sums[sorted(set(denominators_of(metric)))] > 0).all(axis=0)
    found = np.full(len(cube.periods), np.nan)
    found[known] = value_of(metric, sums[:, known])[0]
    return np.where(np.isfinite(found), found, np.nan)


def denominators_of(metric: Metric) -> tuple[int, ...]:
    """Return the place of the denominator, or volume, of each of a KPI's sums."""
    kpis = metric.kpis.values() if isinstance(metric, Composite) else [metric]
    found: list[int] = []
    for kpi in kpis:
        found += [len(found)] * len(sum_roles(kpi))
    return tuple(found)


def joined_by(metric: Composite) -> Joined:
    """Return how the factors of a KPI make it."""
    return COMPLEMENT if isinstance(metric, ErrorTypes) else PRODUCT


def _ratio(D: np.ndarray, N: np.ndarray) -> np.ndarray:
    return N[0] / D


def units_of(cube: Cube, metric: Metric) -> Units:
    """Return the independent units behind the sums of a metric: clusters, or rows.

    Parameters
    ----------
    cube : Cube
    metric : Metric

    Returns
    -------
    Units

    Raises
    ------
    OptionError
        More than two cluster columns.
    """
    if isinstance(metric, Quantile) and cube.provenance.get("distribution"):
        return quantile_units(cube, metric)
    clusters = cube.clusters
    if clusters is not None and len(clusters.names) > 2:
        raise OptionError(
            f"cluster: {len(clusters.names)} columns; one, or two for two-way clustering."
        )
    moments = metric.moments(cube.weighted)
    roles = sum_roles(metric)
    if clusters is not None:
        sums = [clusters.sums[moments[role].key] for role in roles]
        where = clusters.codes, clusters.period, clusters.segment
        bounds = clusters.bounds
        if is_ratio(metric):
            D, N = sums
            return cluster_units(*where, D, N, len(cube.codes), bounds)
        return cluster_sum_units(*where, sums, len(cube.codes), bounds)
    n = cube.metric_sums(metric, "count")
    sums = [cube.metric_sums(metric, role) for role in roles]
    if is_ratio(metric):
        DD, DN, NN = (cube.metric_sums(metric, role) for role in ("den_den", "num_den", "num_num"))
        D, N = sums
        return row_units(D, N, DD, DN, NN, n)
    gram = np.zeros((len(sums), len(sums), *n.shape))
    for i in range(len(sums)):
        for j in range(i, len(sums)):
            # Of error types some products are left out: no row has a part in both.
            if (pair := f"sum{i}_sum{j}") in moments:
                gram[i, j] = gram[j, i] = cube.metric_sums(metric, pair)
    return row_sum_units(np.stack(sums), gram, n)

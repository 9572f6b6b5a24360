"""Funnel limits, overdispersion, shrinkage, ranks and the noise of a comparison, as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attribution.decompose.indirect import indirect_standardization
from attribution.infer.comparison import cluster_noise, difference_interval, row_noise
from attribution.infer.funnel import binomial_quantile, dispersion
from attribution.infer.ranks import joint_half_width, rank_intervals
from attribution.infer.shrinkage import between_variance, shrink


def test_phi_as_published_for_standardized_ratios():
    """FunnelPlotR (R, CRAN), tests/testthat/test-classes_methods.R: six units, phi = 2.948033.

    Its default scores are sqrt(E) log(O / E); of six units its trimming of 10 % cuts none off.
    """
    observed = np.array([100.0, 150, 180, 80, 120, 225])
    expected = np.array([108.0, 112, 165, 95, 100, 220])
    assert (
        round(dispersion(np.sqrt(expected) * np.log(observed / expected), winsorize=0), 6)
        == 2.948033
    )


def test_phi_is_one_for_chance_alone_and_ignores_a_special_one():
    z = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    assert dispersion(z) == pytest.approx(1, abs=0.01)
    assert dispersion(2 * z) == pytest.approx(4, abs=0.04)
    with_outlier = np.append(z, [60.0] * 20)
    assert dispersion(with_outlier) < 1.1 < dispersion(with_outlier, 0)


@given(
    whole=st.integers(1, 4000),
    part=st.sampled_from([0.0, -1e-12, -0.02, 0.4]),
    p=st.floats(0.005, 0.995),
    q=st.sampled_from([0.001, 0.025, 0.2, 0.975, 0.999]),
)
@settings(max_examples=150, deadline=None)
def test_binomial_quantiles_lie_between_counts_and_mirror(whole, part, p, q):
    n = whole + part
    k = float(binomial_quantile(q, np.array([n]), np.array([p]))[0])
    exact = stats.binom.ppf(q, whole, p)
    assert exact - 1.5 <= k <= exact + 1.5
    mirrored = n - float(binomial_quantile(1 - q, np.array([n]), np.array([1 - p]))[0])
    assert k == pytest.approx(mirrored, abs=1e-6 * n + 1e-6)


def test_a_size_just_below_a_whole_number_still_reaches_all_of_it():
    """Effective sizes are rarely whole; 30 of 30 is then no more than can happen."""
    n, p = np.array([30.0, 30 - 1e-9, 29.98, 29.6]), np.full(4, 0.95)
    assert binomial_quantile(0.975, n, p) == pytest.approx(n)


def test_binomial_quantiles_solve_the_mid_distribution():
    n, p, q = 40, 0.9, 0.025
    k = float(binomial_quantile(q, np.array([40.0]), np.array([p]))[0])
    low = int(np.floor(k))
    mid = [stats.binom.cdf(x, n, p) - stats.binom.pmf(x, n, p) / 2 for x in (low, low + 1)]
    assert np.interp(k, [low, low + 1], mid) == pytest.approx(q, abs=1e-12)


def test_limits_are_smooth_where_the_normal_takes_over():
    n = np.arange(1050.0, 1180.0)
    for q in (0.001, 0.025, 0.975, 0.999):
        k = binomial_quantile(q, n, np.full(len(n), 0.9))
        assert np.abs(np.diff(k, 2)).max() < 0.1


def test_between_variance_solves_its_equation():
    rng = np.random.default_rng(0)
    v = rng.uniform(0.5, 3, 30)
    y = rng.normal(0, np.sqrt(2 + v))
    tau2, mean = between_variance(y, v)
    assert ((y - mean) ** 2 / (tau2 + v)).sum() == pytest.approx(29)
    assert between_variance(np.array([0.1, -0.1]), np.ones(2))[0] == 0
    drawn = shrink(y, v, tau2, mean)
    assert (np.abs(drawn - mean) <= np.abs(y - mean)).all()


def test_rank_intervals_by_counting():
    rng = np.random.default_rng(1)
    value, half = rng.normal(size=40), rng.uniform(0.05, 0.8, 40)
    low, high = value - half, value + half
    first, last = rank_intervals(low, high)
    for e in range(40):
        assert first[e] == 1 + (low > high[e]).sum()
        assert last[e] == 40 - (high < low[e]).sum()


@pytest.mark.slow
def test_rank_intervals_hold_together():
    rng = np.random.default_rng(2)
    truth, se, inside = np.linspace(0, 2, 12), np.full(12, 0.3), 0
    rank = np.arange(12, 0, -1)
    for _ in range(400):
        y = rng.normal(truth, se)
        half = joint_half_width(se, np.full(12, np.inf), 0.95)
        low, high = rank_intervals(y - half, y + half)
        inside += ((low <= rank) & (rank <= high)).all()
    assert inside / 400 >= 0.95


def _world(seed, entities=5, cells=4, clusters=60):
    """Clusters that work for two entities each, in two cells of either."""
    rng = np.random.default_rng(seed)
    rows = [
        (g, e, c, n := rng.integers(5, 30), rng.binomial(n, 0.8))
        for g in range(clusters)
        for e in rng.choice(entities, 2, replace=False)
        for c in rng.choice(cells, 2, replace=False)
    ]
    return np.array(rows), entities, cells


def _fit(rows, K, C, weight):
    key, w = rows[:, 1] * C + rows[:, 2], weight[rows[:, 0]]
    D = np.bincount(key, rows[:, 3] * w, K * C)
    N = np.bincount(key, rows[:, 4] * w, K * C)
    there = np.flatnonzero(np.bincount(key, minlength=K * C))
    return indirect_standardization(there // C, there % C, D[there] + 1e-12, N[there], K), there


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cluster_noise_is_the_jackknife_even_where_clusters_cross(seed):
    rows, K, C = _world(seed)
    G = rows[:, 0].max() + 1
    found, there = _fit(rows, K, C, np.ones(G))
    place = np.full(K * C, -1)
    place[there] = np.arange(len(there))
    entry, D, N = place[rows[:, 1] * C + rows[:, 2]], rows[:, 3] * 1.0, rows[:, 4] * 1.0
    noise = cluster_noise(found, rows[:, :1].T, entry, D, N, binomial=True)
    left_out = np.array(
        [_fit(rows, K, C, np.where(np.arange(G) == g, 0.0, 1.0))[0].difference for g in range(G)]
    )
    jackknife = np.sqrt((G - 1) / G * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    assert np.sqrt(noise.observed) == pytest.approx(jackknife, rel=0.05)


def test_two_way_noise_is_at_least_that_of_either_way():
    rows, K, C = _world(3)
    found, there = _fit(rows, K, C, np.ones(rows[:, 0].max() + 1))
    place = np.full(K * C, -1)
    place[there] = np.arange(len(there))
    entry, D, N = place[rows[:, 1] * C + rows[:, 2]], rows[:, 3] * 1.0, rows[:, 4] * 1.0
    days = np.random.default_rng(0).integers(0, 20, len(rows))
    ways = [rows[:, 0], days]
    both = cluster_noise(found, np.array(ways), entry, D, N, binomial=True)
    for way in ways:
        one = cluster_noise(found, way[None], entry, D, N, binomial=True)
        assert (both.observed >= one.observed * (1 - 1e-9)).all()


def test_row_noise_of_trials_never_vanishes():
    D = np.array([40.0, 400, 40, 400])
    found = indirect_standardization(np.array([0, 1, 2, 3]), np.zeros(4, int), D, D, 4)
    noise = row_noise(found, D, D, D, D, trials=True)
    assert (noise.observed > 0).all()
    low, high = difference_interval(found, noise, 0.95, trials=True)
    assert (low < 0).all()
    assert (high >= 0).all()


def test_row_noise_of_values_is_the_variance_of_a_mean():
    rng = np.random.default_rng(4)
    y, entity = rng.normal(10, 3, 4000), np.repeat([0, 1], [1000, 3000])
    n = np.bincount(entity).astype(float)
    total, squares = np.bincount(entity, y), np.bincount(entity, y**2)
    found = indirect_standardization(np.array([0, 1]), np.zeros(2, int), n, total, 2)
    noise = row_noise(found, n, total, squares, n, trials=False)
    wanted = sum(y[entity == e].var(ddof=1) / n[e] for e in (0, 1))
    assert noise.observed == pytest.approx(wanted, rel=1e-9)

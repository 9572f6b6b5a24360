"""Standard errors: against theory, against leaving clusters out, against rows as clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from statsmodels.stats.multitest import multipletests

import attribution as at
from attribution.decompose import Design
from attribution.decompose.design import AdditiveFit
from attribution.gradient import Gradient
from attribution.infer import covariance, std_errors, stepwise

ASK = {"by": ["queue", "market"], "period": "month", "baseline": 1, "current": 2}


def worlds(
    seed: int, rows: int = 4000, clusters: int = 50, spread: float = 0.5, growth: float = 0.3
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, clusters, rows)
    month = rng.integers(1, 3, rows)
    # The third queue grows, and it is the hard one.
    moved = rng.random(rows) < np.where(month == 1, 0.2, 0.2 + growth)
    queue = np.where(moved, 2, (cluster + rng.integers(0, 2, rows)) % 3)
    logit = 2 - 0.4 * queue + rng.normal(0, spread, clusters)[cluster]
    return pd.DataFrame(
        {
            "month": month,
            "queue": queue,
            "market": cluster % 4,
            "moderator": cluster,
            "correct": (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int),
            "seconds": rng.gamma(2, 20, rows),
        }
    )


def all_estimates(change: at.Attribution) -> np.ndarray:
    parts = change._parts
    levels = [parts.level_parts[part] for part in ("mix", "rate")]
    return np.concatenate([parts.estimate, *levels])


def without_cluster(cube: at.Cube, cluster: int) -> at.Cube:
    kept = cube.clusters.take(cube.clusters.codes[0] != cluster)
    P, S = len(cube.periods), len(cube.codes)
    sums = {
        name: np.bincount(kept.period * S + kept.segment, values, P * S).reshape(P, S)
        for name, values in kept.sums.items()
    }
    return replace(cube, clusters=kept, sums=sums)


def all_errors(change: at.Attribution) -> np.ndarray:
    parts, width = change._parts, change._parts.design.width
    gradients = [parts.gradient, *(parts.level_gradient(k, 0, width) for k in ("mix", "rate"))]
    return np.concatenate([std_errors(g, change._units) for g in gradients])


@pytest.mark.parametrize("rates", ["saturated", "additive"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_analytic_errors_agree_with_the_jackknife(seed, rates):
    rows = worlds(seed, rows=8000, clusters=100)
    change = at.explain(rows, "correct / 1", cluster="moderator", rates=rates, **ASK)
    G = change._units.count
    ask = {"baseline": "1", "current": "2", "rates": rates}
    left_out = np.array(
        [all_estimates(without_cluster(change.cube, g).explain(**ask)) for g in range(G)]
    )
    jackknife = np.sqrt((G - 1) / G * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    varies = jackknife > 1e-6
    ratio = all_errors(change)[varies] / jackknife[varies]
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    # A mix line of a share that hardly moved and a level that hardly differs is second-order.
    assert ratio.min() > 0.85
    assert ratio.max() < 1.15


def test_independent_trials_have_the_binomial_standard_error():
    rows = pd.DataFrame({"month": [1, 2], "queue": "a", "good": [900, 850], "trials": [1000, 1000]})
    total = at.explain(
        rows, "good / trials", by="queue", period="month", baseline=1, current=2
    ).total
    binomial = np.sqrt(0.9 * 0.1 / 1000 + 0.85 * 0.15 / 1000)
    assert total.std_error == pytest.approx(binomial * np.sqrt(2000 / 1999), rel=1e-12)


@pytest.mark.parametrize("metric", ["correct / 1", "ratio(seconds / 1)"])
def test_independent_rows_are_clusters_of_one(metric):
    rows = worlds(4, rows=600).assign(row=range(600))
    ask = {**ASK, "rates": "additive"}
    independent = at.explain(rows, metric, **ask)
    clustered = at.explain(rows, metric, cluster="row", **ask)
    np.testing.assert_allclose(
        independent.effects["std_error"], clustered.effects["std_error"], rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(
        all_errors(independent), all_errors(clustered), rtol=1e-8, atol=1e-12
    )


def test_clusters_in_both_periods_bring_their_covariance():
    rng = np.random.default_rng(5)
    moderator = np.repeat(np.arange(100), 40)
    skill = rng.normal(0, 0.15, 100)[moderator]
    rows = pd.DataFrame(
        {
            "month": np.tile(np.repeat([1, 2], 20), 100),
            "queue": "a",
            "moderator": moderator,
            "score": 0.8 + skill + rng.normal(0, 0.05, 4000),
        }
    )
    ask = {"by": "queue", "period": "month", "baseline": 1, "current": 2}
    paired = at.explain(rows, "ratio(score / 1)", cluster="moderator", **ask).total
    rows["moderator"] = rows["moderator"] + 1000 * rows["month"]
    apart = at.explain(rows, "ratio(score / 1)", cluster="moderator", **ask).total
    assert paired.std_error < 0.2 * apart.std_error


def test_the_lines_covary_so_that_their_sum_has_the_error_of_the_total():
    change = at.explain(worlds(6), "correct / 1", cluster="moderator", **ASK)
    joint = covariance(change._parts.gradient, change._units)
    assert np.sqrt(joint.sum()) == pytest.approx(change.total.std_error, rel=1e-10)
    np.testing.assert_allclose(
        np.sqrt(np.diag(joint)), std_errors(change._parts.gradient, change._units), rtol=1e-10,
        atol=1e-14,
    )  # fmt: skip


def test_many_lines_have_the_errors_of_the_same_lines_one_by_one():
    rng = np.random.default_rng(7)
    rows = worlds(7, rows=6000).assign(policy=rng.integers(0, 12, 6000))
    change = at.explain(
        rows, "correct / 1", cluster="moderator", **{**ASK, "by": ["queue", "market", "policy"]}
    )
    segments = sparse.eye_array(len(change._parts.segment_parts["mix"]), format="csr")
    gradient = change._parts.segments_gradient("mix", segments)
    assert gradient.shape[0] > 64
    units = change._units.ways[0]
    psi = gradient.dot(units.sums)
    np.testing.assert_allclose(gradient.squares(units.sums), (psi**2).sum(axis=0), rtol=1e-9)


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(0).random(30) ** 3
    np.testing.assert_allclose(stepwise(p, "holm"), multipletests(p, method="holm")[1])


def test_a_weight_of_one_changes_nothing():
    rows = worlds(8).assign(weight=1.0)
    plain = at.explain(rows, "correct / 1", **ASK)
    weighted = at.explain(rows, "correct / 1", weight="weight", **ASK)
    pd.testing.assert_frame_equal(plain.effects, weighted.effects, rtol=1e-12)


def simulated(seed: int, clustered: bool) -> bool:
    """Whether the interval of a change that did not happen covers 0."""
    change = at.explain(
        worlds(seed, rows=2000, clusters=80, spread=0.7, growth=0.0), "correct / 1",
        cluster="moderator" if clustered else None, **ASK,
    )  # fmt: skip
    return change.total.conf_low <= 0 <= change.total.conf_high


@pytest.mark.slow
def test_intervals_of_a_change_that_did_not_happen_cover_zero():
    covered = np.mean([simulated(seed, clustered=True) for seed in range(400)])
    assert abs(covered - 0.95) < 2.6 * np.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize(
    ("sizes", "nested"),
    [((200, 3), False), ((150, 4, 3), False), ((300,), False), ((200, 6), True)],
)
def test_a_solution_for_many_lines_is_that_of_each(sizes, nested):
    rng = np.random.default_rng(1)
    codes = np.column_stack([rng.integers(0, k, 900) for k in sizes])
    if nested:  # what few cells tell apart, and aliased directions
        codes[:, 1] = codes[:, 0] % 6
        codes[:5, 1] = (codes[:5, 0] + 1) % 6
    weights = rng.random(900) * (rng.random(900) > 0.1)
    fit = AdditiveFit(Design(codes, sizes), weights, rng.random(900))
    right = rng.normal(size=(sum(sizes), sum(sizes)))
    assert fit.shared < len(right)
    expected = fit.solve(right)
    found = fit.solved(Gradient.of(right, sparse.eye_array(len(right)))).toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_squares_that_cancel_stay_0():
    # 80 lines whose own and shared parts cancel for every unit.
    rng = np.random.default_rng(0)
    sums = sparse.csr_array(rng.random((500, 90)))
    weights = rng.random((80, 90))
    own = Gradient.of(sparse.eye_array(80, format="csr"), weights)
    shared = Gradient.of(np.ones((80, 1)), weights[:1])
    squares = (own - shared).squares(sums)
    expected = ((sums @ (weights - weights[:1]).T) ** 2).sum(axis=0)
    np.testing.assert_allclose(squares, expected, rtol=1e-9, atol=1e-20)

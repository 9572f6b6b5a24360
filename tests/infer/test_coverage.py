"""Stated uncertainty holds in simulated worlds with a known truth: a small form of the benchmark.

benchmarks/coverage.py asks far more of the same worlds; docs/explanation/coverage.md has its
figures. Seeds are fixed, so a test that passes keeps passing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from worlds import PERIODS, World, draw, make_world, truth

ASK = {"baseline": PERIODS[0], "current": PERIODS[1]}


def covered(world: World, runs: int, rates: str) -> dict[float, np.ndarray]:
    """How often 95 % and 80 % intervals of the bridge and its total hold the truth."""
    parts = truth(world, rates)
    true = np.append(parts.estimate, parts.R[1] - parts.R[0])
    # With additive rates nothing is left over to act jointly.
    free = [line.effect != "joint" or rates == "saturated" for line in parts.lines] + [True]
    held = {0.95: [], 0.8: []}
    for seed in np.random.SeedSequence(1).spawn(runs):
        change = draw(world, np.random.default_rng(seed)).explain(**ASK, rates=rates)
        for level, found in held.items():
            lines = change.conf_int(level)
            found.append(((lines["conf_low"] <= true) & (true <= lines["conf_high"]))[free])
    return {level: np.mean(found, axis=0) for level, found in held.items()}


@pytest.mark.parametrize("nested", [False, True])
def test_draws_have_the_expected_shares_and_rates(nested):
    world = make_world(nested=nested, rows_per_cell=50)
    cubes = [draw(world, np.random.default_rng(seed)) for seed in range(100)]
    D, N = (np.sum([cube.sums[key] for cube in cubes], axis=0) for key in ("reviewed", "correct"))
    for values, expected in (
        (D / D.sum(axis=1, keepdims=True), world.shares),
        (N / D, world.rates),
    ):
        # Over all cells the errors are small, and as often up as down.
        off = values / expected - 1
        assert np.sqrt((off**2).mean()) < 0.1
        assert abs(off.mean()) < 0.01


def test_the_truth_does_not_depend_on_how_much_people_differ():
    alike, different = (truth(make_world(sd=sd), "additive").estimate for sd in (0.0, 0.5))
    np.testing.assert_allclose(alike, different, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "rates"),
    [
        ({}, "additive"),
        ({"rows_per_cell": 3}, "saturated"),
        ({"people": 12, "rows_per_cell": 50}, "saturated"),
    ],
    ids=["center", "thin cells", "12 clusters"],
)
def test_intervals_hold_the_truth_as_often_as_they_say(world, rates):
    runs = 100
    found = covered(make_world(**world), runs, rates)
    assert found[0.95].min() > 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)
    # Nor are they much too wide; 80 % intervals miss often enough for 100 worlds to tell.
    assert found[0.8].mean() < 0.8 + 3 * np.sqrt(0.8 * 0.2 / runs)


@pytest.mark.slow
def test_few_clusters_make_no_false_claims_where_nothing_happened():
    runs, world = 150, make_world(people=12, moved=False)
    claims, unadjusted = [], []
    for seed in np.random.SeedSequence(3).spawn(runs):
        lines = draw(world, np.random.default_rng(seed)).explain(**ASK).effects
        claims.append((lines["p_adjusted"] < 0.05).any())
        unadjusted.append((lines["p_value"] < 0.05).any())
    assert np.mean(claims) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / runs)
    # The family is large enough to need an adjustment.
    assert np.mean(unadjusted) > 0.1

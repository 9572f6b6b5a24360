"""The permutation test: against enumeration by hand, its size, and what it refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attribution.errors import OptionError
from attribution.infer.permutation import permutation_test


def t_value(D: np.ndarray, N: np.ndarray) -> float:
    (D0, D1), (R0, R1) = D.sum(axis=0), N.sum(axis=0) / D.sum(axis=0)
    psi = (N[:, 1] - R1 * D[:, 1]) / D1 - (N[:, 0] - R0 * D[:, 0]) / D0
    G = len(D)
    return (R1 - R0) / np.sqrt(G / (G - 1) * (psi**2).sum())


def operation(seed: int, pairs: int, before: int, after: int, change: float = 0.0):
    """Clusters of both periods, of the baseline only, of the current period only."""
    rng = np.random.default_rng(seed)
    G = pairs + before + after
    D = rng.integers(20, 60, (G, 2)).astype(float)
    D[pairs : pairs + before, 1] = 0
    D[pairs + before :, 0] = 0
    rate = np.clip(rng.normal(0.85, 0.06, G)[:, None] + [0, change], 0.05, 0.99)
    return D, rng.binomial(D.astype(int), rate).astype(float)


def by_hand(D: np.ndarray, N: np.ndarray) -> tuple[float, int]:
    """The p-value over all arrangements, one after the other."""
    both = np.flatnonzero((D > 0).all(axis=1))
    alone = np.flatnonzero((D == 0).any(axis=1))
    late = int((D[alone, 1] > 0).sum())
    found = []
    for flips in itertools.product([False, True], repeat=len(both)):
        for chosen in itertools.combinations(alone, late):
            d, n = D.copy(), N.copy()
            swap = both[list(flips)]
            d[swap], n[swap] = d[swap][:, ::-1], n[swap][:, ::-1]
            for g in alone:
                there = int(g in chosen)
                d[g], n[g] = np.zeros(2), np.zeros(2)
                d[g, there], n[g, there] = D[g].sum(), N[g].sum()
            found.append(abs(t_value(d, n)))
    found = np.array(found)
    return float((found >= abs(t_value(D, N)) * (1 - 1e-9)).mean()), len(found)


@pytest.mark.parametrize("shape", [(7, 0, 0), (0, 4, 4), (4, 2, 3), (5, 3, 0)])
def test_few_clusters_are_enumerated(shape):
    # Seeds 8 and 28 have arrangements that tie with the data but for rounding.
    for seed in (1, 8, 28):
        D, N = operation(seed, *shape, change=-0.03)
        test = permutation_test(D, N)
        expected, arrangements = by_hand(D, N)
        assert test.exact
        assert test.permutations == arrangements
        assert test.p_value == pytest.approx(expected, abs=1e-12)
        assert test.statistic == pytest.approx(t_value(D, N), rel=1e-9)


def test_drawn_permutations_tend_to_the_enumerated_ones():
    D, N = operation(2, 6, 3, 3, change=-0.05)
    exact, drawn = permutation_test(D, N), permutation_test(D, N, permutations=1200, rng=0)
    assert exact.permutations == 2**6 * 20
    assert not drawn.exact
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.05)


def test_the_same_seed_gives_the_same_p_value():
    D, N = operation(3, 30, 10, 10)
    assert permutation_test(D, N, 500, rng=7) == permutation_test(D, N, 500, rng=7)
    assert permutation_test(D, N, 500, rng=7) != permutation_test(D, N, 500, rng=8)


def test_a_large_change_has_the_smallest_p_value_there_is():
    D, N = operation(4, 40, 5, 5, change=-0.3)
    assert permutation_test(D, N, 199, rng=0).p_value == 1 / 200


def test_without_a_change_small_p_values_are_as_rare_as_they_say():
    p = np.array([permutation_test(*operation(s, 6, 3, 4), 199, s).p_value for s in range(300)])
    for level in (0.1, 0.5):
        assert abs((p <= level).mean() - level) < 3.3 * np.sqrt(level * (1 - level) / 300)


def test_clusters_without_rows_change_nothing():
    D, N = operation(5, 5, 2, 2)
    more = [np.vstack([x, np.zeros((3, 2))]) for x in (D, N)]
    assert permutation_test(*more) == permutation_test(D, N)


def test_the_direction_of_time_does_not_matter():
    D, N = operation(6, 5, 2, 3)
    there, back = permutation_test(D, N), permutation_test(D[:, ::-1], N[:, ::-1])
    assert back.p_value == there.p_value
    assert back.statistic == pytest.approx(-there.statistic, rel=1e-12)


def test_rates_that_are_all_alike_are_no_evidence():
    D, _ = operation(7, 8, 0, 0)
    test = permutation_test(D, D * 0.9)
    assert np.isnan(test.statistic)
    assert test.p_value == 1.0


def test_a_change_without_any_noise_has_an_infinite_statistic():
    D, _ = operation(8, 8, 0, 0)
    test = permutation_test(D, D * [0.9, 0.8])
    assert test.statistic == -np.inf
    assert test.p_value == 2 / 256


ONES = np.ones((4, 2))


@pytest.mark.parametrize(
    ("D", "N", "permutations", "words"),
    [
        (ONES[:, :1], ONES[:, :1], 99, r"D: an array of shape \(4, 1\)"),
        (ONES, ONES[:3], 99, r"N: an array of shape \(3, 2\)"),
        (-ONES, ONES, 99, "D: 8 negative denominators"),
        (ONES, ONES * np.nan, 99, "N: 8 values not finite"),
        (ONES * [0, 1], ONES, 99, r"baseline \(column 0\) add up to 0"),
        (ONES, ONES, 0, "permutations: 0 is not a whole number"),
        (ONES, ONES, 9.5, "permutations: 9.5 is not a whole number"),
        (ONES, ONES, True, "permutations: True is not a whole number"),
    ],
)
def test_bad_input_is_refused(D, N, permutations, words):
    with pytest.raises(OptionError, match=words):
        permutation_test(D, N, permutations)

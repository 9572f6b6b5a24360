"""Many sets of sums at once: the same lines as one decomposition after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from attribution.decompose import Decomposition, decompose
from attribution.decompose.replicates import Recomputed, recompute
from attribution.testing import Case, random_case


def turnover_case() -> Case:
    """Levels leave in the first dimension and enter in the second."""
    case = random_case(1, sizes=(4, 4, 2))
    D = case.D.copy()
    D[1, case.codes[:, 0] == 3] = 0
    D[0, case.codes[:, 1] == 0] = 0
    seen = D.sum(axis=0) > 0
    N = np.minimum(case.N, D)
    return Case(D[:, seen], N[:, seen], case.codes[seen], case.sizes)


def nested_case(*above: list[int]) -> Case:
    """Further dimensions are functions of the first."""
    case = random_case(2, sizes=(6, 3), empty=0.2)
    parents = [np.array(levels)[case.codes[:, 0]] for levels in above]
    sizes = (6, 3, *(max(levels) + 1 for levels in above))
    return Case(case.D, case.N, np.column_stack([case.codes, *parents]), sizes)


def aliased_case() -> Case:
    """Levels of two dimensions occur in blocks that no cell links."""
    case = random_case(3, sizes=(5, 6, 4))
    linked = case.codes[:, 0] // 2 == case.codes[:, 1] // 2
    return Case(case.D[:, linked], case.N[:, linked], case.codes[linked], case.sizes)


def undivided_case() -> Case:
    case = random_case(1, sizes=(5,))
    return Case(case.D, case.N, np.zeros((5, 0), dtype=np.int64), ())


CASES = {
    "full": random_case(1),
    "sparse": random_case(4, (3, 3, 2, 2), 0.5, 20),
    "very sparse": random_case(5, (6, 5, 4), 0.8, 3),
    "one dimension": random_case(3, (5,)),
    "no dimension": undivided_case(),
    "turnover": turnover_case(),
    "one parent": nested_case([0, 0, 0, 1, 1, 1]),
    "two parents": nested_case([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 0, 1]),
    "grandparent": nested_case([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]),
    "aliased": aliased_case(),
}


def assert_same(found: Recomputed, b: int, expected: Decomposition) -> None:
    close = {"rtol": 0, "atol": 1e-9}
    np.testing.assert_allclose(found.lines[b], expected.estimate, **close)
    np.testing.assert_allclose(found.total[b], np.diff(expected.R)[0], **close)
    assert found.level_parts.keys() == expected.level_parts.keys()
    for part, values in expected.level_parts.items():
        np.testing.assert_allclose(found.level_parts[part][b], values, **close)
    for part, values in expected.segment_parts.items():
        np.testing.assert_allclose(found.segment_parts[part][b], values, **close)


def check(case: Case, again: Callable[..., Decomposition]) -> None:
    """The first set of sums is the data's own, the others have other sums in the same cells."""
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.05, 3, (3, 2, *case.D.shape))
    factors[0] = 1
    D, N = case.D * factors[:, 0], case.N * factors[:, 1]
    sums = np.hstack([D.reshape(3, -1), N.reshape(3, -1)])
    found = recompute(again(case.D, case.N), sums, segments=True)
    for b in range(3):
        assert_same(found, b, again(D[b], N[b]))


@pytest.mark.parametrize("rates", ["saturated", "additive"])
@pytest.mark.parametrize("name", CASES)
def test_replicates_are_decompositions_of_their_sums(name, rates):
    case = CASES[name]

    def again(D, N):
        return decompose(D, N, D, case.codes, case.sizes, rates=rates)

    check(case, again)


@pytest.mark.parametrize("method", ["threefold", "baseline", "current"])
@pytest.mark.parametrize("name", ["very sparse", "turnover", "two parents", "aliased"])
def test_replicates_follow_the_method(name, method):
    case = CASES[name]

    def again(D, N):
        return decompose(D, N, D, case.codes, case.sizes, method=method, rates="additive")

    check(case, again)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if len(case.sizes) > 1])
def test_replicates_fit_the_pairs_of_the_data(name):
    case = CASES[name]

    def again(D, N):
        return decompose(D, N, D, case.codes, case.sizes, rates="pairs", pairs=[(0, 1)])

    check(case, again)


@pytest.mark.parametrize("rates", ["saturated", "additive"])
@pytest.mark.parametrize("name", ["full", "very sparse", "turnover", "two parents", "aliased"])
def test_known_volumes_stay_what_they_are(name, rates):
    case = CASES[name]
    rng = np.random.default_rng(1)
    # Some counted cells were not sampled, in both periods if need be.
    volume = np.where(case.D > 0, 5 * case.D, rng.integers(0, 30, case.D.shape))

    def again(D, N):
        return decompose(D, N, D, case.codes, case.sizes, rates=rates, volume=volume)

    check(case, again)


def test_segments_that_entered_without_a_sample_take_the_rate_of_their_line():
    case = turnover_case()
    volume = 5 * case.D
    entered = np.flatnonzero((case.D[0] == 0) & (case.codes[:, 1] == 0))
    D, N = case.D.copy(), case.N.copy()
    D[1, entered[1]], N[1, entered[1]] = 0, 0

    def again(D, N):
        return decompose(D, N, D, case.codes, case.sizes, rates="additive", volume=volume)

    assert "entry" in {line.effect for line in again(D, N).lines}
    check(Case(D, N, case.codes, case.sizes), again)


def test_normal_equations_in_small_blocks_are_those_in_one(monkeypatch):
    case = CASES["aliased"]
    parts = decompose(case.D, case.N, case.D, case.codes, case.sizes, rates="additive")
    rng = np.random.default_rng(2)
    data = np.concatenate([case.D.ravel(), case.N.ravel()])
    sums = data * rng.uniform(0.5, 2, (7, len(data)))
    at_once = recompute(parts, sums)
    monkeypatch.setattr("attribution.decompose.replicates._AT_ONCE", 1)
    np.testing.assert_allclose(recompute(parts, sums).lines, at_once.lines, rtol=0, atol=1e-13)


def test_parts_per_segment_come_only_if_asked_for():
    case = CASES["full"]
    parts = decompose(case.D, case.N, case.D, case.codes, case.sizes)
    sums = np.concatenate([case.D.ravel(), case.N.ravel()])[None, :]
    assert recompute(parts, sums).segment_parts == {}
    assert recompute(parts, sums, segments=True).segment_parts["mix"].shape == (1, 24)

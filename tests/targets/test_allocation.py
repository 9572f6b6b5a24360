"""Dividing a target: exact roll-up, bounds, detectable parts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.decompose.against import against_plan
from attribution.decompose.allocation import allocate, allocate_detectable


@st.composite
def problems(draw):
    S = draw(st.integers(1, 12))
    numbers = st.lists(st.floats(0, 1), min_size=S, max_size=S)
    base, a, b = (np.array(draw(numbers)) for _ in range(3))
    weight = np.array(draw(st.lists(st.floats(0.01, 1), min_size=S, max_size=S)))
    weight /= weight.sum()
    low, high = np.minimum(a, b), np.maximum(a, b)
    gain = np.array(draw(numbers))
    part = draw(st.floats(0, 1))
    overall = float(weight @ low + part * (weight @ (high - low)))
    detectable = np.array(draw(st.lists(st.floats(0, 0.3), min_size=S, max_size=S)))
    return base, weight, gain, low, high, overall, detectable


@given(problems())
@settings(max_examples=100, deadline=None)
def test_targets_roll_up_within_floor_and_bound(problem):
    base, weight, gain, low, high, overall, _ = problem
    target = allocate(base, weight, gain, low, high, overall)
    assert weight @ target == pytest.approx(overall, abs=1e-9)
    assert (target >= low - 1e-9).all()
    assert (target <= high + 1e-9).all()


@given(problems())
@settings(max_examples=100, deadline=None)
def test_no_improvement_is_smaller_than_what_can_be_shown(problem):
    base, weight, gain, low, high, overall, detectable = problem
    found = allocate_detectable(base, weight, gain, low, high, overall, detectable)
    if found is None:
        return
    target, held = found
    start = np.clip(base, low, high)
    change = target - start
    assert weight @ target == pytest.approx(overall, abs=1e-9)
    asked = change > 1e-9
    assert (change[asked] >= detectable[asked] * (1 - 1e-6)).all()
    assert (change[held] <= 1e-9).all()


def test_only_what_no_choice_of_segments_can_reach_is_refused():
    """Against all choices there are: one large segment may do what the first ones cannot."""
    answered = refused = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        S = int(rng.integers(2, 7))
        base, n = rng.uniform(0.8, 0.97, S), rng.integers(200, 60_000, S)
        weight = rng.dirichlet(np.ones(S))
        detectable = 2.8 * np.sqrt(2 * base * (1 - base) / n)
        high = np.minimum(np.maximum(np.quantile(base, 0.75), base + 2 * detectable), 1)
        lacking = rng.uniform(0, weight @ (high - base))
        overall = float(weight @ base + lacking)
        able = high - base >= detectable
        possible = any(
            able[list(A)].all()
            and weight[list(A)] @ detectable[list(A)] <= lacking * (1 - 1e-5)
            and weight[list(A)] @ (high - base)[list(A)] >= lacking * (1 + 1e-5)
            for size in range(1, S + 1)
            for A in itertools.combinations(range(S), size)
        )
        limits = np.zeros(S), high, overall, detectable
        found = allocate_detectable(base, weight, high - base, *limits)
        if not possible:
            refused += found is None
            continue
        answered += 1
        assert found is not None, seed
        change = found[0] - base
        assert weight @ found[0] == pytest.approx(overall, abs=1e-12)
        assert ((change < 1e-12) | (change >= detectable * (1 - 1e-9))).all()
    assert answered > 300
    assert refused > 5


def test_headroom_is_used_in_proportion():
    base, weight = np.array([0.9, 0.8, 0.95]), np.array([0.5, 0.3, 0.2])
    target = allocate(base, weight, 1 - base, np.zeros(3), np.ones(3), 0.9)
    part = (target - base) / (1 - base)
    assert part == pytest.approx(np.full(3, part[0]))


def test_against_plan_is_the_plan_form_of_the_decomposition():
    """The same as method "current" with the plan as its baseline."""
    from attribution.decompose import decompose

    rng = np.random.default_rng(0)
    D, w = rng.uniform(10, 100, 6), rng.uniform(10, 100, 6)
    T, r = rng.uniform(0.8, 1, 6), rng.uniform(0.8, 1, 6)
    T[1], w[1] = np.nan, 0  # data without a target
    D[4] = 0  # a target without data
    found = against_plan(D, r * D, T, w)
    sums = np.stack([w, D]), np.stack([w * np.nan_to_num(T), r * D])
    codes = np.arange(6)[:, None]
    parts = decompose(*sums, np.ones((2, 6)), codes, (6,), method="current", rates="saturated")
    lines = {}
    for line, value in zip(parts.lines, parts.estimate, strict=True):
        lines[line.effect] = lines.get(line.effect, 0) + value
    wanted = [lines["rate"], lines["mix"], lines["entry"], lines["exit"]]
    assert found.estimate == pytest.approx(wanted)
    assert found.estimate.sum() == pytest.approx(found.actual - found.planned, abs=1e-15)


def test_slopes_against_plan_are_finite_differences():
    rng = np.random.default_rng(1)
    D, T, w = rng.uniform(10, 50, 5), rng.uniform(0.8, 1, 5), rng.uniform(10, 50, 5)
    N = D * rng.uniform(0.8, 1, 5)
    T[2], w[2] = np.nan, 0

    def lines(sums):
        x = against_plan(sums[:5], sums[5:], T, w)
        return np.array([x.actual, x.actual - x.adjusted, *x.estimate])

    at = np.concatenate([D, N])
    slopes = against_plan(D, N, T, w).gradient
    for i in range(10):
        step = np.zeros(10)
        step[i] = 1e-4
        found = (lines(at + step) - lines(at - step)) / 2e-4
        assert slopes[:, i] == pytest.approx(found, abs=1e-7)

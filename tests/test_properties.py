"""The properties of METHODS.md 7, on every method and form of rates, also by hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution.decompose import decompose
from attribution.errors import OptionError
from attribution.testing import PROPERTIES, Case, check_decomposition, random_case

METHODS = ("midpoint", "threefold", "baseline", "current")
RATES = ("saturated", "additive")
NOT_REVERSIBLE = {"threefold", "baseline", "current"}


def decomposition(method: str, rates: str):
    def run(D, N, codes, sizes):
        return decompose(D, N, D, codes, sizes, method=method, rates=rates)

    return run


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_the_properties(method, rates):
    without = ["time_reversal"] if method in NOT_REVERSIBLE else []
    check_decomposition(decomposition(method, rates), without=without)


@pytest.mark.parametrize("rates", RATES)
def test_baseline_and_current_swap_under_time_reversal(rates):
    case = random_case(5, empty=0.2)
    forward = case.run(decomposition("baseline", rates))
    back = Case(case.D[::-1].copy(), case.N[::-1].copy(), case.codes, case.sizes).run(
        decomposition("current", rates)
    )
    np.testing.assert_allclose(forward.estimate, -back.estimate, atol=1e-13)


def turnover_case(seed: int) -> Case:
    """Levels that leave in the first dimension and enter in the second."""
    case = random_case(seed, sizes=(4, 4, 2))
    D = case.D.copy()
    D[1, case.codes[:, 0] == 3] = 0
    D[0, case.codes[:, 1] == 0] = 0
    seen = D.sum(axis=0) > 0
    N = np.minimum(case.N, D)
    return Case(D[:, seen], N[:, seen], case.codes[seen], case.sizes)


def nested_case(seed: int) -> Case:
    """Dimension 2 (a region) is a function of dimension 0 (a market)."""
    case = random_case(seed, sizes=(4, 3), empty=0.2)
    region = np.array([0, 0, 1, 1])[case.codes[:, 0]]
    return Case(case.D, case.N, np.column_stack([case.codes, region]), (4, 3, 2))


def aliased_case(seed: int) -> Case:
    """The last level of dimension 0 occurs with the last of dimension 1 only, and vice versa."""
    case = random_case(seed, sizes=(3, 4, 2))
    together = (case.codes[:, 0] == 2) == (case.codes[:, 1] == 3)
    return Case(case.D[:, together], case.N[:, together], case.codes[together], case.sizes)


# What a property's own construction assumes of the case, and so cannot be asked of it.
NOT_FOR = {
    turnover_case: ("unmoved_margin", "no_own_effect", "splitting"),
    # A child's rates make its parent's; splitting a region would leave a market in two regions.
    nested_case: ("no_own_effect", "splitting"),
    aliased_case: ("no_own_effect",),
}


@pytest.mark.parametrize("make", [turnover_case, nested_case, aliased_case])
@pytest.mark.parametrize("rates", RATES)
def test_turnover_nesting_and_aliasing_keep_the_properties(make, rates):
    check_decomposition(
        decomposition("midpoint", rates), cases=[make(1), make(2)], without=NOT_FOR[make]
    )


@st.composite
def cases(draw) -> Case:
    sizes = tuple(draw(st.lists(st.integers(2, 4), min_size=1, max_size=3)))
    empty = draw(st.sampled_from([0.0, 0.3, 0.7]))
    return random_case(draw(st.integers(0, 10**6)), sizes, empty, draw(st.sampled_from([3, 500])))


@pytest.mark.parametrize("name", sorted(PROPERTIES))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(), rates=st.sampled_from(RATES))
def test_property_holds_on_random_cases(name, case, rates):
    PROPERTIES[name](decomposition("midpoint", rates), case)


def test_nested_parent_is_between_and_child_within():
    case = nested_case(3)
    fitted = case.run(decomposition("midpoint", "additive"))
    alone = decompose(case.D, case.N, case.D, case.codes[:, :2], case.sizes[:2], rates="additive")
    mix = dict(zip([(x.effect, x.dimension) for x in fitted.lines], fitted.estimate, strict=True))
    only = dict(zip([(x.effect, x.dimension) for x in alone.lines], alone.estimate, strict=True))
    assert mix["mix", 0] + mix["mix", 2] == pytest.approx(only["mix", 0], abs=1e-14)
    assert mix["mix", 1] == pytest.approx(only["mix", 1], abs=1e-14)
    within = fitted.alpha[:4]
    volume = np.bincount(case.codes[:, 0], weights=(case.D / case.D.sum(axis=1)[:, None]).mean(0))
    centre = [np.average(within[i : i + 2], weights=volume[i : i + 2]) for i in (0, 2)]
    assert centre[0] == pytest.approx(centre[1], abs=1e-14)


def test_aliased_levels_are_reported():
    found = aliased_case(1).run(decomposition("midpoint", "saturated")).aliased
    assert found.tolist() == [False, False, True, False, False, False, True, False, False]


def test_additive_rates_keep_every_margin():
    case = random_case(6, sizes=(4, 3, 3), empty=0.6, rows=10)
    used = case.run(decomposition("midpoint", "additive")).stages.rates.r
    for d, size in enumerate(case.sizes):
        for t in (0, 1):
            kept = np.bincount(case.codes[:, d], weights=case.D[t] * used[t], minlength=size)
            observed = np.bincount(case.codes[:, d], weights=case.N[t], minlength=size)
            np.testing.assert_allclose(kept, observed, rtol=1e-11)


def test_a_broken_decomposition_is_caught():
    def uncentred(D, N, codes, sizes):
        result = decompose(D, N, D, codes, sizes, rates="saturated")
        wrong = result.estimate.copy()
        wrong[0] += 0.01
        object.__setattr__(result, "estimate", wrong)
        return result

    with pytest.raises(AssertionError, match="adds_up fails in case 0"):
        check_decomposition(uncentred)


def test_an_unknown_property_is_refused():
    with pytest.raises(OptionError, match=r"time_reversed.*Did you mean 'time_reversal'"):
        check_decomposition(decomposition("midpoint", "additive"), without=["time_reversed"])

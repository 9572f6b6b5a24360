"""at.factors: what holds of every decomposition by factors, and what it refuses."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq

import attribution as at
from attribution.decompose.factors import MOST_PLAYERS, line_integral, shapley
from attribution.drivers import Factors, factors
from attribution.errors import (
    ColumnTypeError,
    DataQualityWarning,
    ExpressionError,
    OptionError,
)
from attribution.formulas import Formula, mentioned

METHODS = ["shapley", "integral"]
positive = st.floats(0.1, 10)


def estimates(change: Factors) -> dict[str, float]:
    return change.effects.groupby("dimension")["estimate"].sum().to_dict()


def named(values) -> dict[str, float]:
    return {f"x{i}": float(x) for i, x in enumerate(values)}


def smooth(x0, x1, x2, x3):
    """Neither a product nor a sum: curved in every factor."""
    return x0 * math.exp(-0.1 * x1) / (1 + x2) + math.sqrt(x3 * x0)


@st.composite
def two_points(draw, size: int):
    return draw(arrays(float, size, elements=positive)), draw(
        arrays(float, size, elements=positive)
    )


# -- properties ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(two_points(4), st.sampled_from(METHODS))
def test_effects_add_up_to_the_change(points, method):
    before, after = map(named, points)
    change = factors(smooth, before, after, method=method)
    exact = smooth(**after) - smooth(**before)
    movement = change.effects["estimate"].abs().sum()
    assert change.total.change == pytest.approx(exact, rel=1e-12)
    within = 1e-12 * (movement + change.total.baseline) if method == "shapley" else 1e-8 * movement
    assert change.effects["estimate"].sum() == pytest.approx(exact, abs=within + 1e-14)
    assert change.residual == pytest.approx(
        change.total.change - change.effects["estimate"].sum(), abs=1e-13
    )


@settings(max_examples=25, deadline=None)
@given(two_points(4), st.sampled_from(METHODS))
def test_swapping_the_sides_flips_every_sign(points, method):
    before, after = map(named, points)
    forth, back = (
        factors(smooth, *sides, method=method).effects["estimate"]
        for sides in ((before, after), (after, before))
    )
    np.testing.assert_allclose(forth, -back, atol=1e-8 * (1 + forth.abs().sum()))


@settings(max_examples=25, deadline=None)
@given(two_points(4), st.permutations(range(4)), st.sampled_from(METHODS))
def test_the_order_of_the_factors_changes_nothing(points, order, method):
    before, after = map(named, points)
    names = [f"x{i}" for i in order]
    first = estimates(factors(smooth, before, after, method=method))
    other = factors(smooth, {n: before[n] for n in names}, after, method=method)
    assert list(other.effects["dimension"]) == names
    assert estimates(other) == pytest.approx(first, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_factor_that_did_not_change_gets_exactly_0(method):
    before, after = named([1, 2, 3, 4]), named([2, 2, 5, 4])
    found = estimates(factors(smooth, before, after, method=method))
    assert found["x1"] == found["x3"] == 0
    assert found["x0"] != 0


@pytest.mark.parametrize("method", METHODS)
def test_a_factor_that_the_function_ignores_gets_0(method):
    found = estimates(factors(lambda a, b: a**2, {"a": 1, "b": 2}, {"a": 3, "b": 7}, method=method))
    assert found == pytest.approx({"a": 8, "b": 0}, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(two_points(2), st.sampled_from(METHODS))
def test_a_product_of_two_is_the_midpoint_formula(points, method):
    (a0, b0), (a1, b1) = points
    change = factors("a * b", {"a": a0, "b": b0}, {"a": a1, "b": b1}, method=method)
    expected = {"a": (a1 - a0) * (b0 + b1) / 2, "b": (b1 - b0) * (a0 + a1) / 2}
    assert estimates(change) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_shapley_is_the_mean_over_all_orders_of_changing_the_factors():
    before, after = named([1, 2, 3, 4]), named([2.5, 1, 5, 3])
    expected = dict.fromkeys(before, 0.0)
    orders = list(itertools.permutations(before))
    for order in orders:
        at = dict(before)
        for name in order:
            value = smooth(**at)
            at[name] = after[name]
            expected[name] += (smooth(**at) - value) / len(orders)
    assert estimates(factors(smooth, before, after)) == pytest.approx(expected, rel=1e-12)


def test_the_integral_has_its_closed_form_for_a_ratio():
    # Along (2 + 2t) / (1 + 2t) the numerator adds ln 3, the denominator the rest.
    change = factors("a / b", {"a": 2, "b": 1}, {"a": 4, "b": 3}, method="integral")
    expected = {"a": math.log(3), "b": 4 / 3 - 2 - math.log(3)}
    assert estimates(change) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("degree", [2, 5, 8])
def test_the_integral_is_exact_for_polynomials(degree):
    # d/dt along a = 1 + t, b = 2 + t of a b^k: both integrals by numpy's own polynomials.
    a, b = np.polynomial.Polynomial([1, 1]), np.polynomial.Polynomial([2, 1])
    k = degree - 1
    of_a, of_b = (b**k).integ(), (k * a * b ** (k - 1)).integ()
    found = line_integral(
        lambda x: x[0] * x[1] ** k, np.array([1.0, 2.0]), np.array([2.0, 3.0]), np.arange(2)
    )
    np.testing.assert_allclose(found.effects, [of_a(1) - of_a(0), of_b(1) - of_b(0)], rtol=1e-12)


def test_a_kink_is_refined_until_the_residual_is_small():
    change = factors(
        lambda volume, aht, hours: max(volume * aht - hours, 0),
        {"volume": 1, "aht": 2, "hours": 3.3},
        {"volume": 2, "aht": 5, "hours": 2},
        method="integral",
    )
    assert abs(change.residual) < 1e-8 * change.total.change
    assert set(change.effects["effect"]) == {"factor"}


def test_a_jump_leaves_a_residual_that_is_said_and_shown():
    with pytest.warns(DataQualityWarning, match="residual") as caught:
        change = factors(
            lambda a, b: a * b + 3 * (a + b > 4),
            {"a": 1, "b": 2},
            {"a": 2, "b": 5},
            method="integral",
        )
    assert caught[0].filename == __file__
    assert change.residual != 0
    last = change.effects.iloc[-1]
    assert (last["effect"], last["estimate"]) == ("residual", change.residual)
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, rel=1e-12)
    assert change.bridge().bars[-1].label == "Residual"
    assert "Residual" in change.summary()


def test_a_function_known_to_few_digits_ends_the_refinement_early():
    rng, calls = np.random.default_rng(1), []

    def noisy(x):
        calls.append(1)
        return x[0] / x[1] + 1e-7 * rng.normal()

    found = line_integral(noisy, np.array([1.0, 2.0]), np.array([2.0, 3.0]), np.arange(2))
    assert len(calls) < 10_000
    assert abs(found.residual) < 1e-5


# -- arrays and elements -------------------------------------------------------------------------

BEFORE = {"share": np.array([0.5, 0.3, 0.2]), "rate": np.array([0.95, 0.90, 0.80])}
AFTER = {"share": np.array([0.4, 0.3, 0.3]), "rate": np.array([0.95, 0.92, 0.78])}


def test_elements_add_up_to_the_integral_effect_of_their_array():
    formula = "sum(share * rate) / (1 + sum(share * share))"
    whole = estimates(factors(formula, BEFORE, AFTER, method="integral"))
    change = factors(formula, BEFORE, AFTER, elements=True)
    assert estimates(change) == pytest.approx(whole, rel=1e-8)
    assert list(change.effects["segment"]) == ["0", "1", "2"] * 2
    assert change.method == "integral"


def test_elements_of_a_mean_are_the_midpoint_formula_per_segment():
    rows = factors("sum(share * rate)", BEFORE, AFTER, elements=True).effects
    p, r = ((BEFORE[n] + AFTER[n]) / 2 for n in ("share", "rate"))
    of_share = (AFTER["share"] - BEFORE["share"]) * r
    of_rate = (AFTER["rate"] - BEFORE["rate"]) * p
    np.testing.assert_allclose(rows["estimate"], [*of_share, *of_rate], atol=1e-14)


def test_elements_may_be_players_of_shapley():
    rows = factors("sum(share * rate)", BEFORE, AFTER, elements=True, method="shapley").effects
    other = factors("sum(share * rate)", BEFORE, AFTER, elements=True).effects
    np.testing.assert_allclose(rows["estimate"], other["estimate"], atol=1e-14)


def test_a_number_beside_arrays_is_one_row_without_a_segment():
    change = factors(
        "volume * sum(share * rate)",
        {"volume": 100, **BEFORE},
        {"volume": 120, **AFTER},
        elements=True,
    )
    first = change.effects.iloc[0]
    assert (first["dimension"], first["segment"]) == ("volume", None)
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, rel=1e-12)
    assert [bar.label for bar in change.bridge().bars][:2] == ["volume", "share: 0"]


def test_the_index_of_a_series_names_the_elements():
    sides = [
        {name: pd.Series(x, index=["live", "spam", "hate"]) for name, x in side.items()}
        for side in (BEFORE, AFTER)
    ]
    change = factors("sum(share * rate)", *sides, elements=True)
    assert list(change.effects["segment"]) == ["live", "spam", "hate"] * 2
    assert change.bridge().bars[0].label == "share: live"


def test_row_numbers_of_a_table_cut_in_two_are_not_labels():
    table = pd.DataFrame({"month": [1] * 3 + [2] * 3, "rate": [*BEFORE["rate"], *AFTER["rate"]]})
    first, second = (table.loc[table["month"] == m, "rate"] for m in (1, 2))
    change = factors("sum(rate)", {"rate": first}, {"rate": second}, elements=True)
    np.testing.assert_allclose(change.effects["estimate"], AFTER["rate"] - BEFORE["rate"])


def test_rows_of_a_table_or_its_columns_are_the_factors():
    table = pd.DataFrame({"a": [2.0, 3.0], "b": [5.0, 7.0]}, index=["2026-08", "2026-09"])
    change = factors("a * b", table.loc["2026-08"], table.loc["2026-09"])
    assert change.effects["estimate"].to_list() == [6.0, 5.0]
    both = factors("sum(a * b)", table, 2 * table)
    assert both.total.change == pytest.approx(3 * (2 * 5 + 3 * 7))


def test_series_in_different_orders_are_refused():
    live, moved = pd.Series([1, 2], ["a", "b"]), pd.Series([1, 2], ["b", "a"])
    with pytest.raises(OptionError, match="element 0 of 'x' is 'b', at baseline 'a'"):
        factors("sum(x)", {"x": live}, {"x": moved})
    with pytest.raises(OptionError, match="'x' and 'y' hold the same elements in different orders"):
        factors("sum(x * y)", {"x": live, "y": moved}, {"x": live, "y": moved})


def test_a_root_finding_function_of_vectors_is_decomposed():
    age = np.arange(17.5, 50, 5)
    survival, births = np.linspace(0.98, 0.92, 7), np.array([0.1, 0.5, 0.6, 0.4, 0.2, 0.1, 0.02])

    def growth(survival, births):
        return brentq(lambda r: np.exp(-r * age) @ (survival * births) - 1, -0.5, 0.5)

    before = {"survival": survival, "births": births}
    after = {"survival": survival * 1.01, "births": births * [0.9, 0.8, 0.8, 0.9, 1, 1.1, 1.1]}
    exact = growth(**after) - growth(**before)
    exactly = factors(growth, before, after)
    along = factors(growth, before, after, elements=True)
    assert exactly.effects["estimate"].sum() == pytest.approx(exact, rel=1e-10)
    assert along.effects["estimate"].sum() == pytest.approx(exact, rel=1e-6)
    # The growth rate is nearly linear in both, so the two attributions are close.
    assert estimates(exactly) == pytest.approx(estimates(along), rel=1e-3)
    assert estimates(exactly)["births"] < 0 < estimates(exactly)["survival"]


def test_the_function_may_write_into_its_arguments():
    def careless(rate):
        rate *= 2
        return rate.sum()

    before = np.array([1.0, 2.0])
    change = factors(careless, {"rate": before}, {"rate": [2.0, 3.0]}, elements=True)
    np.testing.assert_allclose(change.effects["estimate"], [2, 2])
    np.testing.assert_array_equal(before, [1, 2])


# -- how many factors ----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "method"), [(10, "shapley"), (11, "integral")])
def test_auto_is_shapley_up_to_ten_factors_and_the_integral_beyond(count, method):
    rng = np.random.default_rng(count)
    change = factors(
        "product", named(rng.uniform(0.5, 2, count)), named(rng.uniform(0.5, 2, count))
    )
    assert change.method == method
    assert len(change.effects) == count
    movement = change.effects["estimate"].abs().sum()
    assert change.effects["estimate"].sum() == pytest.approx(
        change.total.change, abs=1e-9 * movement
    )


def test_both_methods_agree_on_a_product_of_ten():
    rng = np.random.default_rng(3)
    before, after = (named(rng.uniform(0.5, 2, 10)) for _ in range(2))
    exact, along = (estimates(factors("product", before, after, method=m)) for m in METHODS)
    assert along == pytest.approx(exact, rel=1e-7)


def test_shapley_calls_the_function_once_per_coalition():
    calls = []

    def counted(x):
        calls.append(x)
        return float(x.sum())

    shapley(counted, np.zeros(5), np.ones(5), np.arange(5))
    assert len(calls) == 2**5
    assert MOST_PLAYERS == 10


# -- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("a + b * c", 2 + 3 * 4),
        ("(a + b) * c", (2 + 3) * 4),
        ("-a / (b - c)", 2),
        ("a - b - c", 2 - 3 - 4),
        ("2.5e1 * a", 50),
        ("sum(v)", 6),
        ("sum(v * v) / sum(v) - sum(a * v) / sum (v)", 14 / 6 - 2),
        ("sum(v / sum(v))", 1),
        ("`handle time` * sum(`handle time` * v)", 25 * 6),
    ],
)
def test_a_formula_has_the_value_that_arithmetic_gives(formula, expected):
    values = {"a": 2.0, "b": 3.0, "c": 4.0, "v": np.array([1.0, 2.0, 3.0]), "handle time": 5.0}
    parsed = Formula.of(formula, list(values))
    assert parsed.value(values) == pytest.approx(expected, rel=1e-15)
    assert set(parsed.names) == set(mentioned(formula))


def test_a_factor_whose_name_is_the_formula_is_meant():
    assert Formula.of("a / b", ["a / b", "a", "b"]).value({"a / b": 7.0}) == 7


@pytest.mark.parametrize(
    "formula",
    ["a **  b", "a > b", "sqrt(a)", "a.real", "a if b else a", "(a", "sum(a", "", "3", "'a' + 'b'",
     "__import__('os')", "a; b", "lambda: a", "a and b", "True"],
)  # fmt: skip
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises((ExpressionError, OptionError), match="formula|factor"):
        factors(formula, {"a": 1, "b": 2}, {"a": 2, "b": 3})


def test_a_name_that_is_no_factor_is_named_with_the_nearest():
    with pytest.raises(OptionError, match=r"'volme' in 'volme \* aht'.*Did you mean 'volume'"):
        factors("volme * aht", {"volume": 1, "aht": 2}, {"volume": 2, "aht": 2})


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "c": 2}, OptionError, "current: no value for 'b'"),
        ({"a": 1}, {"a": 1, "b": 2}, OptionError, "baseline: no value for 'b'"),
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 2, 3]}, OptionError, r"\(3,\).*\(2,\)"),
        ({"a": 1, "b": [1]}, {"a": 1, "b": 1}, OptionError, r"'b' has the shape \(\)"),
        ({"a": 1, "b": []}, {"a": 1, "b": []}, OptionError, "'b' is an empty array"),
        ({"a": float("nan"), "b": 1}, {"a": 1, "b": 1}, OptionError, "baseline: 'a' holds nan"),
        ({"a": 1, "b": 1}, {"a": None, "b": 1}, OptionError, "current: 'a' holds nan"),
        ({"a": 1, "b": 1}, {"a": 1, "b": float("inf")}, OptionError, "current: 'b' holds inf"),
        ({"a": "1", "b": 1}, {"a": 1, "b": 1}, ColumnTypeError, "baseline: 'a' is '1'"),
        ({"a": ["1", 2], "b": 1}, {"a": [1, 2], "b": 1}, ColumnTypeError, "baseline: 'a' is"),
        ({"a": 1j, "b": 1}, {"a": 1, "b": 1}, ColumnTypeError, "baseline: 'a' is 1j"),
        ({"a": [[1], [1, 2]], "b": 1}, {"a": 1, "b": 1}, ColumnTypeError, "baseline: 'a' is"),
        ({}, {}, OptionError, "it is empty"),
        ([1, 2], {"a": 1, "b": 1}, ColumnTypeError, "baseline: list is not a mapping"),
        ({"a": 1, "b": 1}, None, ColumnTypeError, "current: NoneType is not a mapping"),
        ({1: 1}, {1: 2}, ColumnTypeError, "the name 1 is not text"),
    ],
)
def test_sides_that_do_not_match_are_refused(before, after, error, message):
    with pytest.raises(error, match=message):
        factors("product", before, after)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: math.nan if a > 1 > b - 2 else a, "it is nan at a = .*, b = "),
        ("a / (b - 2)", "it is inf at a = 1, b = 2"),
        (lambda a, b: np.log(2 - b) + a, "it is (nan|-inf) at a = "),
        (lambda a, b: np.array([a, b]), r"an array of shape \(2,\), not one number, at a = 1"),
        (lambda a, b: None, "it gives None, not one number"),
        (lambda a, b: a + 1j, "not one number"),
    ],
)
def test_a_function_that_gives_no_finite_number_along_the_path_is_refused(
    function, message, method
):
    with pytest.raises(OptionError, match=message):
        factors(function, {"a": 1, "b": 2}, {"a": 2, "b": 2.5}, method=method)


def test_a_formula_of_arrays_without_a_sum_says_to_wrap_it():
    with pytest.raises(OptionError, match=r"shape \(3,\), not one number.*sum\(\.\.\.\)"):
        factors("share * rate", BEFORE, AFTER)


@pytest.mark.parametrize("function", ["sum(a * b)", "product"])
def test_arrays_that_cannot_be_combined_are_named_with_their_shapes(function):
    side = {"a": [1, 2], "b": [1, 2, 3]}
    with pytest.raises(OptionError, match=r"a \(2,\), b \(3,\)"):
        factors(function, side, side)


@pytest.mark.parametrize(
    ("function", "raised", "message"),
    [
        (lambda a, b: 1 // 0, ZeroDivisionError, "a = 1, b = 2: "),
        (lambda a, b: math.sqrt(a - b + 1.0), ValueError, r"a = 1, b = 3: .* \(ValueError\)"),
        (
            lambda a, b: brentq(lambda x: x * x + a + b, -9, 9),
            ValueError,
            r"a = 1, b = 2: f\(a\) and f\(b\) must have different signs \(ValueError\)",
        ),
        (lambda a, b: np.ones(2) + np.ones(3), ValueError, "broadcast together"),
        (lambda a, b: {}["x"], KeyError, r"a = 1, b = 2: 'x' \(KeyError\)"),
    ],
)
def test_where_the_function_fails_is_said_with_its_own_words(function, raised, message):
    with pytest.raises(OptionError, match=f"^function: it fails at .*{message}") as caught:
        factors(function, {"a": 1, "b": 2}, {"a": 2, "b": 3})
    assert isinstance(caught.value.__cause__, raised)


@pytest.mark.parametrize("value", [[[1], [1, 2]], {}, None, "x" * 500, 1j])
def test_what_is_no_number_is_refused_in_few_words(value):
    with pytest.raises(
        OptionError, match="function: it gives .*, not one number, at a = 1"
    ) as caught:
        factors(lambda a: value, {"a": 1.0}, {"a": 2.0})
    assert len(str(caught.value)) < 300


def test_a_function_that_takes_one_mapping_fails_in_words():
    with pytest.raises(OptionError, match=r"it fails at a = 3: .*\(IndexError\)") as caught:
        factors(lambda d: d["a"], {"a": 3.0}, {"a": -1.0})
    assert isinstance(caught.value.__cause__, IndexError)


def test_the_same_holds_of_many_populations():
    sides = {"A": {"a": 1.0}, "B": {"a": -1.0}}
    with pytest.raises(OptionError, match="function: it fails at a = -1: "):
        at.standardize_factors(lambda a: math.sqrt(a), sides)


def test_shapley_over_more_than_ten_factors_is_refused():
    sides = named(range(11)), named(range(1, 12))
    with pytest.raises(OptionError, match="at most 10 factors .* got 11"):
        factors("product", *sides, method="shapley")
    with pytest.raises(OptionError, match="at most 10 factors .* got 12"):
        factors("sum(a)", {"a": [0] * 12}, {"a": [1] * 12}, method="shapley", elements=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "shaply"}, "Did you mean 'shapley'"),
        ({"better": "up"}, "better: 'up'"),
        ({"labels": "ab"}, "labels: 'ab'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError, match=message):
        factors("a", {"a": 1}, {"a": 2}, **options)


@pytest.mark.parametrize("function", [lambda a: a, lambda sides: 1, lambda a, c: 1])
def test_a_callable_must_take_the_factors_by_name(function):
    with pytest.raises((OptionError, TypeError), match="by keyword|argument"):
        factors(function, {"a": 1, "b": 2}, {"a": 2, "b": 3})


def test_what_is_no_function_is_refused():
    with pytest.raises(ColumnTypeError, match="function: 3 is neither"):
        factors(3, {"a": 1}, {"a": 2})


# -- the result ----------------------------------------------------------------------------------


@pytest.fixture
def cost() -> Factors:
    return factors(
        "volume * aht * wage",
        {"volume": 1000, "aht": 0.10, "wage": 20},
        {"volume": 1000, "aht": 0.11, "wage": 19},
        name="Cost",
        unit="EUR",
        better="lower",
        labels=("plan", "actual"),
    )


def test_effects_have_the_columns_of_every_bridge(cost):
    table = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["a", "b"] * 2, "ok": [8, 9, 7, 9]})
    change = at.explain(
        table.assign(n=10), "ok / n", by="queue", period="month", baseline=1, current=2
    )
    assert list(cost.effects.columns) == list(change.effects.columns)
    assert cost.effects["std_error"].isna().all()
    assert cost.effects["share_of_change"].sum() == pytest.approx(1, rel=1e-12)


def test_shares_are_null_where_the_change_is_little_beside_the_movement():
    change = factors("a - b", {"a": 100, "b": 50}, {"a": 120, "b": 69.9})
    assert change.effects["share_of_change"].isna().all()


def test_the_bridge_leads_from_baseline_to_current(cost):
    bridge = cost.bridge()
    assert (bridge.metric, bridge.unit, bridge.better) == ("Cost", "EUR", "lower")
    assert (bridge.baseline_label, bridge.current_label) == ("plan", "actual")
    assert (bridge.baseline, bridge.current) == pytest.approx((2000, 2090))
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(bridge.change, rel=1e-12)
    assert len(cost.bridge(max_bars=2).bars) == 2


def test_the_summary_tells_the_whole_bridge(cost):
    assert cost.summary() == (
        "Cost rose from 2,000.0 EUR to 2,090.0 EUR (+90.0 EUR), most of it in aht.\n\n"
        "plan      2,000.0\n"
        "  volume      0.0  1,000 -> 1,000\n"
        "  aht      +195.0  0.1 -> 0.11\n"
        "  wage     −105.0  20 -> 19\n"
        "actual    2,090.0\n"
        "(EUR)\n\n"
        "Method: Shapley over 3 factors."
    )
    assert repr(cost) == "<Factors Cost: 2,000.0 EUR -> 2,090.0 EUR (+90.0 EUR)>"


def test_no_change_is_all_zero():
    change = factors("a * b", {"a": 1, "b": 2}, {"a": 1, "b": 2})
    assert list(change.effects["estimate"]) == [0, 0]
    assert change.effects["share_of_change"].isna().all()
    assert change.summary().startswith("a * b stayed at 2.00.")


def test_percent_shows_points(cost):
    change = factors("a / b", {"a": 90, "b": 100}, {"a": 91, "b": 100}, name="Accuracy", unit="%")
    assert repr(change) == "<Factors Accuracy: 90.00 % -> 91.00 % (+1.00 pp)>"


def test_notebook_display_escapes_names():
    change = factors("product", {"<b>": 1, "c": 2}, {"<b>": 2, "c": 2})
    assert "<b>" not in change._repr_html_()


def test_the_waterfall_draws_the_bridge(cost):
    import matplotlib.pyplot as plt

    ax = cost.plot.waterfall(sort="given")
    widths = [bar.get_width() for bar in ax.patches[1:-1]]
    np.testing.assert_allclose(widths, cost.effects["estimate"], atol=1e-9)
    plt.close(ax.figure)


def test_results_can_be_pickled_copied_and_compared(cost):
    again = pickle.loads(pickle.dumps(cost))
    assert again == cost == copy.deepcopy(cost)
    assert hash(again) == hash(cost)
    assert again != factors("a", {"a": 1}, {"a": 2})
    with pytest.raises(AttributeError):
        cost.name = "other"


@pytest.mark.parametrize("function", [np.multiply, lambda x, y: x * y])
def test_a_callable_with_names_of_its_own_takes_the_factors_in_their_order(function):
    change = factors(function, {"aht": 2.0, "wage": 5.0}, {"aht": 3.0, "wage": 7.0})
    assert change.effects["estimate"].tolist() == [6.0, 5.0]


def test_a_callable_of_one_argument_is_told_how_to_take_all():
    with pytest.raises(OptionError, match=r"As one argument: lambda \*\*factors"):
        factors(lambda pars: pars["a"], {"a": 1, "b": 2}, {"a": 2, "b": 2})


@pytest.mark.parametrize("form", [np.array, list, tuple, pd.Series])
def test_one_array_is_taken_whole_and_each_element_has_its_effect(form):
    def survival(pars):
        return float(np.prod(np.asarray(pars)[:2]) + np.asarray(pars)[2])

    change = factors(survival, form([2.0, 5.0, 1.0]), form([3.0, 7.0, 1.5]))
    assert change.effects["segment"].tolist() == ["0", "1", "2"]
    assert set(change.effects["dimension"]) == {"pars"}
    np.testing.assert_allclose(change.effects["estimate"], [6.0, 5.0, 0.5], rtol=1e-12)


def test_of_a_table_only_what_the_function_names_is_a_factor():
    table = pd.DataFrame({"pop": ["A", "B"], "year": [1960, 1970], "aht": [2.0, 3.0],
                          "wage": [5.0, 7.0]})  # fmt: skip
    for asked in ("aht * wage", lambda aht, wage: aht * wage):
        rows = factors(asked, table.iloc[0], table.iloc[1])
        frames = factors(asked, table[table["pop"] == "A"], table[table["pop"] == "B"])
        for change in (rows, frames):
            assert change.effects["dimension"].tolist() == ["aht", "wage"]
            assert change.effects["estimate"].tolist() == [6.0, 5.0]
    with pytest.raises(ColumnTypeError, match="'pop' is 'A'"):
        factors("product", table.iloc[0], table.iloc[1])


def test_a_function_that_solves_for_a_root_is_divided_exactly():
    """The growth rate r of sum(exp(-r x) L F) = 1, against the mean over all orders."""
    from itertools import permutations

    from scipy.optimize import brentq

    age = np.arange(15, 50, 5) + 2.5

    def growth(L, F, births):
        return brentq(lambda r: births * np.sum(np.exp(-r * age) * L * F) - 1, -1, 1, xtol=1e-15)

    sides = [
        {"L": np.linspace(4.8, 4.5, 7), "F": np.array([1, 3, 4, 3, 2, 1, 0.2]) / 10,
         "births": 0.4886},
        {"L": np.linspace(4.9, 4.7, 7), "F": np.array([0.5, 2, 4, 3, 1, 0.5, 0.1]) / 10,
         "births": 0.4878},
    ]  # fmt: skip
    change = factors(growth, *sides)
    wanted = dict.fromkeys(sides[0], 0.0)
    for order in permutations(wanted):
        now = dict(sides[0])
        for name in order:
            before = growth(**now)
            now[name] = sides[1][name]
            wanted[name] += (growth(**now) - before) / 6
    assert dict(
        zip(change.effects["dimension"], change.effects["estimate"], strict=True)
    ) == pytest.approx(wanted, rel=1e-9)
    each = factors(growth, *sides, elements=True).effects
    assert each["estimate"].sum() == pytest.approx(change.total.change, rel=1e-8)


def test_standardized_values_differ_by_the_effects_and_the_integral_has_none():
    change = factors(lambda a, b: np.exp(a) / b, {"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 3.0})
    found = change.standardized.set_index("dimension")
    assert found.loc["a", "baseline"] == pytest.approx((np.e / 2 + np.e / 3) / 2)
    np.testing.assert_allclose(found["current"] - found["baseline"], found["estimate"], rtol=1e-12)
    with pytest.raises(OptionError, match="the line integral has effects only"):
        _ = factors("a * b", {"a": 1, "b": 2}, {"a": 2, "b": 3}, method="integral").standardized

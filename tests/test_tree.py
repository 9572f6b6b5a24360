"""at.Tree: effects that add up at every level, and the trees and values it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.drivers import factors
from attribution.errors import ColumnTypeError, ExpressionError, OptionError
from attribution.tree import Tree, capacity_tree
from attribution.tree_change import TreeChange

PLAN = {"inflow": 1000, "backlog_change": 50, "aht": 0.10, "wage": 20}
ACTUAL = {"inflow": 1200, "backlog_change": -30, "aht": 0.11, "wage": 19}

# A tree, and whether a leaf stands in several places of it.
TREES = {
    "products": {"cost": "volume * aht * wage", "volume": "inflow - backlog_change"},
    "ratios": {
        "fte": "work / supply",
        "work": "(inflow - backlog_change) * aht + fixed",
        "supply": "hours * utilization",
    },
    "shared leaf": {
        "rate": "errors / decisions",
        "errors": "decisions * base_rate + decisions * new_share * excess",
    },
    "shared node": {
        "cost": "labor + tools",
        "labor": "volume * aht * wage",
        "tools": "volume * fee",
        "volume": "inflow - backlog_change",
    },
    "four levels": {"a": "b / c", "b": "d * e", "d": "f + g", "f": "h * i - j"},
    "twelve leaves": {"y": "left + right"}
    | {s: " * ".join(f"{s}{i}" for i in range(6)) for s in ("left", "right")},
}


@pytest.fixture(params=TREES)
def tree(request) -> Tree:
    return Tree(TREES[request.param])


def sides(tree: Tree, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    rng = np.random.default_rng(seed)
    # Differences stay positive where formulas subtract: no denominator crosses 0.
    low = {"inflow": 5, "h": 5, "i": 5, "g": 5}
    first, second = (
        {leaf: float(low.get(leaf, 0) + rng.uniform(0.5, 2)) for leaf in tree.leaves}
        for _ in range(2)
    )
    return first, second


def estimate_of(change: TreeChange) -> dict[str, float]:
    rows = change.effects
    return rows[rows["leaf"]].groupby("node")["estimate"].sum().to_dict()


# -- adding up -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_leaves_add_up_to_the_change_of_the_root(tree, seed):
    change = tree.explain(*sides(tree, seed))
    rows = change.effects
    leaves = rows.loc[rows["leaf"], "estimate"]
    assert leaves.sum() == pytest.approx(change.total.change, abs=1e-9 * leaves.abs().sum())


@pytest.mark.parametrize("seed", range(5))
def test_children_add_up_to_their_parent_at_every_level(tree, seed):
    rows = tree.explain(*sides(tree, seed)).effects
    for _, parent in rows[~rows["leaf"]].iterrows():
        path = parent["path"] + " / "
        children = rows[rows["path"].str.startswith(path) & (rows["level"] == parent["level"] + 1)]
        assert tuple(children["node"]) == tree.children(parent["node"])
        on_root, on_parent = children["estimate"], children["on_parent"]
        assert on_root.sum() == pytest.approx(parent["estimate"], abs=1e-11 * on_root.abs().sum())
        assert on_parent.sum() == pytest.approx(parent["change"], abs=1e-9 * on_parent.abs().sum())


def test_effects_on_the_root_are_effects_on_the_parent_at_the_first_level(tree):
    rows = tree.explain(*sides(tree, 1)).effects
    first = rows[rows["level"] == 1]
    np.testing.assert_allclose(first["estimate"], first["on_parent"], rtol=1e-12)
    assert np.isnan(rows["on_parent"][0])


def test_swapping_the_sides_flips_every_sign(tree):
    first, second = sides(tree, 2)
    forth, back = tree.explain(first, second).effects, tree.explain(second, first).effects
    movement = forth["estimate"].abs().sum()
    np.testing.assert_allclose(forth["estimate"], -back["estimate"], atol=1e-9 * movement)


def test_a_leaf_that_did_not_change_gets_exactly_0(tree):
    first, second = sides(tree, 3)
    still = tree.leaves[-1]
    change = tree.explain(first, second | {still: first[still]})
    assert (change.effects.query("node == @still")["estimate"] == 0).all()


def test_lines_of_text_are_the_same_tree_as_a_mapping():
    mapping = {"cost": "volume * aht", "volume": "`items in` - held"}
    lines = ["cost = volume * aht", "volume = `items in` - held"]
    for written in (lines, tuple(lines), "\n".join(["", *lines, "  "])):
        tree = Tree(written, better="lower")
        assert tree == Tree(mapping, better="lower")
        assert tree.formulas == mapping
    assert Tree("`full cost` = a * b").root == "full cost"


def test_the_order_of_formulas_changes_nothing(tree):
    other = Tree(dict(reversed(tree.formulas.items())))
    assert other.root == tree.root
    points = sides(tree, 4)
    np.testing.assert_allclose(
        other.explain(*points).effects["estimate"], tree.explain(*points).effects["estimate"]
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_leaves_have_the_effects_of_the_factors_of_the_whole_formula(seed):
    tree = Tree(TREES["ratios"])
    points = sides(tree, seed)
    whole = "((inflow - backlog_change) * aht + fixed) / (hours * utilization)"
    expected = factors(whole, *points).effects.set_index("dimension")["estimate"]
    assert estimate_of(tree.explain(*points)) == pytest.approx(dict(expected), rel=1e-9)


def test_the_places_of_a_shared_leaf_add_up_to_the_effect_of_the_leaf():
    # The number of decisions cancels: more errors, and as many more decisions.
    tree = Tree(TREES["shared leaf"])
    first, second = sides(tree, 0)
    change = tree.explain(first, second)
    places = change.effects.query("node == 'decisions'")["estimate"]
    assert len(places) == 2
    assert places.abs().min() > 0.01
    assert places.sum() == pytest.approx(0, abs=1e-9)
    whole = factors("base_rate + new_share * excess + 0 * decisions", first, second)
    expected = whole.effects.set_index("dimension")["estimate"]
    assert estimate_of(change) == pytest.approx(dict(expected), rel=1e-8, abs=1e-9)


def test_a_shared_node_acts_through_each_of_its_parents():
    change = Tree(TREES["shared node"]).explain(PLAN | {"fee": 0.3}, ACTUAL | {"fee": 0.3})
    rows = change.effects.set_index("path")
    labor = Tree(TREES["products"]).explain(PLAN, ACTUAL).effects.set_index("path")
    for name in ("volume", "aht", "wage"):
        assert rows["estimate"][f"cost / labor / {name}"] == pytest.approx(
            labor["estimate"][f"cost / {name}"], rel=1e-9
        )
    assert rows["estimate"]["cost / tools / volume"] == pytest.approx(0.3 * 280, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "method"),
    [("ratios", "shapley"), ("shared leaf", "integral"), ("twelve leaves", "integral")],
)
def test_the_integral_serves_shared_leaves_and_more_than_ten(name, method):
    tree = Tree(TREES[name])
    assert tree.explain(*sides(tree, 0)).method == method


def test_nodes_have_the_values_of_their_formulas():
    rows = Tree(TREES["products"]).explain(PLAN, ACTUAL).effects.set_index("node")
    assert rows["baseline"]["volume"] == 950
    assert rows["current"]["volume"] == 1230
    assert rows["baseline"]["cost"] == pytest.approx(950 * 0.1 * 20)
    assert list(rows["level"]) == [0, 1, 2, 2, 1, 1]
    assert list(rows["parent"]) == [None, "cost", "volume", "volume", "cost", "cost"]


def test_arrays_are_leaves_of_formulas_that_sum_them():
    tree = Tree({"quality": "sum(volume * rate) / sum(volume)"}, units={"quality": "%"})
    first = {"volume": [50, 50], "rate": [0.9, 0.8]}
    second = {"volume": [40, 60], "rate": [0.9, 0.85]}
    change = tree.explain(first, second)
    rows = change.effects.set_index("node")
    assert rows["estimate"]["rate"] == pytest.approx(0.05 * 0.55)
    assert rows["estimate"]["volume"] == pytest.approx(-0.1 * (0.9 - 0.825))
    assert np.isnan(rows["baseline"]["rate"])
    assert "quality rose from 85.00 % to 87.00 %" in change.summary()


# -- showing -------------------------------------------------------------------------------------


@pytest.fixture
def change() -> TreeChange:
    tree = Tree(TREES["products"], units={"cost": "EUR"}, better="lower")
    return tree.explain(PLAN, ACTUAL, labels=("plan", "actual"))


def test_the_summary_is_the_indented_tree(change):
    assert change.summary() == (
        "cost rose from 1,900 EUR to 2,571 EUR (+671 EUR), most of it in inflow.\n\n"
        "                      plan  actual   change  on cost\n"
        "cost                 1,900   2,571     +671     +671  EUR\n"
        "  volume               950   1,230     +280     +573\n"
        "    inflow           1,000   1,200     +200     +409\n"
        "    backlog_change    50.0   −30.0    −80.0     +164\n"
        "  aht               0.1000  0.1100  +0.0100     +213\n"
        "  wage               20.00   19.00    −1.00     −115\n\n"
        "Method: Shapley over 4 leaves; a node is the sum of its leaves."
    )
    assert repr(change) == "<TreeChange cost: 1,900 EUR -> 2,571 EUR (+671 EUR)>"
    assert change._repr_html_().startswith("<pre>cost rose")


def test_the_bridge_has_one_bar_per_leaf(change):
    bridge = change.bridge()
    assert [bar.label for bar in bridge.bars] == ["inflow", "backlog_change", "aht", "wage"]
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(bridge.change, rel=1e-12)
    assert (bridge.baseline_label, bridge.better, bridge.unit) == ("plan", "lower", "EUR")
    rows = change.effects
    assert rows["node"][bridge.bars[1].rows[0]] == "backlog_change"
    shared = Tree(TREES["shared node"]).explain(PLAN | {"fee": 1}, ACTUAL | {"fee": 2}).bridge()
    assert shared.bars[0].label == "inflow"
    assert len(shared.bars) == 5
    assert sum(bar.value for bar in shared.bars) == pytest.approx(shared.change, rel=1e-9)


def test_results_can_be_pickled_and_compared(change):
    assert pickle.loads(pickle.dumps(change)) == change
    assert change != Tree(TREES["products"]).explain(PLAN, PLAN)


def test_names_that_are_no_identifiers_are_quoted():
    tree = Tree({"work hours": "volume * `handle time`"})
    assert tree.leaves == ("volume", "handle time")
    change = tree.explain({"volume": 2, "handle time": 3}, {"volume": 2, "handle time": 4})
    assert estimate_of(change) == {"volume": 0, "handle time": 2}


# -- capacity ------------------------------------------------------------------------------------


def test_capacity_is_work_over_the_time_that_people_have():
    plan = {"volume": 90_000, "aht": 0.05, "productive_hours": 125, "utilization": 0.80}
    actual = plan | {"volume": 99_000, "utilization": 0.72}
    change = capacity_tree().explain(plan, actual, labels=("plan", "actual"))
    assert (change.total.baseline, change.total.current) == pytest.approx((45, 55))
    # Two factors moved: 10 % more volume, at the mean of both utilizations.
    volume = 0.1 * (45 + 45 * 0.80 / 0.72) / 2
    expected = {"volume": volume, "aht": 0, "productive_hours": 0, "utilization": 10 - volume}
    assert estimate_of(change) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert "productive_hours" in change.summary()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formulas", "error", "message"),
    [
        ({"a": "b", "b": "c", "c": "a"}, OptionError, "a -> b -> c -> a is a cycle"),
        ({"a": "b + 1", "b": "b * c"}, OptionError, "b -> b is a cycle"),
        ({"a": "b", "c": "d"}, OptionError, "'a', 'c' are in no other formula"),
        ({}, OptionError, "it is empty"),
        ({"a": "b ** 2"}, ExpressionError, "'a': 'b .. 2' is no formula"),
        ({"a": "3"}, ExpressionError, "'3' is no formula"),
        ({"a": 3}, ColumnTypeError, "not a mapping of text to text"),
        ("a b", OptionError, "formulas, line 1: 'a b' is not of the form"),
        (["a = b", " = c"], OptionError, "formulas, line 2: '= c' is not of the form"),
        ("a = b\n\na = c", OptionError, "formulas, line 3: 'a' has a formula already, in line 1"),
        ("a = b\nb = c +", ExpressionError, "formulas, line 2: 'c [+]' is no formula"),
        ("a =", ExpressionError, "formulas, line 1: '' is no formula"),
        (["a = b", 3], ColumnTypeError, "formulas, line 2: 3 is not text"),
        ([], OptionError, "it is empty"),
        ("\n", OptionError, "it is empty"),
        (7, ColumnTypeError, "not a mapping of text to text"),
    ],
)
def test_what_is_no_tree_is_refused(formulas, error, message):
    with pytest.raises(error, match=message):
        Tree(formulas)


def test_units_and_direction_are_checked():
    with pytest.raises(OptionError, match="'agt' is not in the tree. Did you mean 'aht'"):
        Tree(TREES["products"], units={"agt": "s"})
    with pytest.raises(OptionError, match="better: 'up'"):
        Tree(TREES["products"], better="up")


@pytest.mark.parametrize(
    ("baseline", "current", "error", "message"),
    [
        ({}, ACTUAL, OptionError, "baseline: no value for 'inflow', 'backlog_change', 'aht'"),
        (
            PLAN,
            {k: ACTUAL[k] for k in list(ACTUAL)[:3]},
            OptionError,
            "current: no value for 'wage'",
        ),
        (
            {**PLAN, "volume": 3},
            ACTUAL,
            OptionError,
            "baseline: 'volume' has the formula 'inflow - backlog_change'; leave it out",
        ),
        (
            PLAN,
            ACTUAL | {"wages": 3},
            OptionError,
            "'wages' is not in the tree. Did you mean 'wage'",
        ),
        (PLAN, ACTUAL | {"wage": float("nan")}, OptionError, "current: 'wage' holds nan"),
        (PLAN, ACTUAL | {"wage": [1, 2]}, OptionError, "'wage' has the shape"),
        (PLAN, ACTUAL | {"wage": "20"}, ColumnTypeError, "current: 'wage' is '20'"),
        (None, ACTUAL, ColumnTypeError, "baseline: NoneType is not a mapping"),
    ],
)
def test_values_that_do_not_fit_the_tree_are_named(baseline, current, error, message):
    with pytest.raises(error, match=message):
        Tree(TREES["products"]).explain(baseline, current)


def test_a_node_that_is_an_array_says_to_sum_it():
    tree = Tree({"a": "sum(b * c)", "b": "d * e"})
    with pytest.raises(OptionError, match=r"'b' = 'd \* e' gives an array of shape \(2,\)"):
        tree.explain({"d": [1, 2], "e": 1, "c": 1}, {"d": [1, 3], "e": 1, "c": 1})


def test_dividing_by_zero_names_the_node_and_the_values():
    with pytest.raises(OptionError, match="a: it is inf at b = 1, c = 0"):
        Tree({"a": "b / c"}).explain({"b": 1, "c": 0}, {"b": 1, "c": 2})


def test_a_denominator_that_passes_through_zero_is_refused_by_the_integral():
    tree = Tree({"a": "b + d", "d": "b / c"})
    with pytest.raises(OptionError, match="a denominator passes through 0"):
        tree.explain({"b": 1, "c": -1}, {"b": 1.5, "c": 2})

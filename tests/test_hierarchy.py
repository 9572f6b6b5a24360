"""Hierarchies: declared once, checked against the data, rolled up and drilled down exactly."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.cube import Cube
from attribution.decompose import decompose
from attribution.errors import ColumnNotFoundError, ColumnTypeError, DataContractError, OptionError
from attribution.hierarchy import declared

REGION = {"ID": "APAC", "JP": "APAC", "VN": "APAC", "BR": "LATAM", "MX": "LATAM", "DE": "EMEA"}
WORLD = {"APAC": "East", "EMEA": "West", "LATAM": "West"}
MARKET = at.Dimension("market", within="region")
CHAIN = [MARKET, at.Dimension("region", within="world")]
ASK = {"period": "month", "baseline": "2026-08", "current": "2026-09"}


def reviews(seed: int = 0, rows: int = 400, newcomer: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    market = rng.choice(list(REGION), rows, p=rng.dirichlet(np.full(len(REGION), 4.0)))
    month = rng.choice(["2026-08", "2026-09"], rows)
    month[:12], market[:12] = np.repeat(["2026-08", "2026-09"], 6), [*REGION, *REGION]
    region = np.array([REGION[m] for m in market])
    if newcomer:
        new = (month == "2026-09") & (market == "ID")
        market = np.where(new & (rng.random(rows) < 0.5), "NG", market)
        region = np.where(market == "NG", "EMEA", region)
    return pd.DataFrame(
        {
            "month": month,
            "market": market,
            "region": region,
            "world": [WORLD[x] for x in region],
            "site": [f"{r}-{i}" for r, i in zip(region, rng.integers(0, 2, rows), strict=True)],
            "queue": rng.choice(["live", "video"], rows),
            "correct": (rng.random(rows) < rng.uniform(0.6, 0.95)).astype(int),
            "moderator": rng.integers(0, 25, rows),
        }
    )


def explain(frame: pd.DataFrame, by: object, **options) -> at.Attribution:
    return at.explain(frame, at.Rate("correct"), by=by, **{**ASK, **options})


def mix_of(change: at.Attribution) -> pd.Series:
    return change.effects.query("effect == 'mix'").set_index("dimension")["estimate"]


# -- what is declared --------------------------------------------------------------------------


def test_a_parent_stands_in_front_of_its_first_child_named_or_not():
    assert declared([*CHAIN, "queue"]).dimensions == ("world", "region", "market", "queue")
    assert declared([MARKET, "queue", "region"]).dimensions == ("region", "market", "queue")
    assert declared([at.Dimension("queue")]).hierarchy == {}


@pytest.mark.parametrize(
    ("by", "error", "words"),
    [
        ([at.Dimension("a", "b"), at.Dimension("b", "a")], OptionError, "circle: 'a' within 'b'"),
        (["queue", at.Dimension("queue", "kind")], OptionError, "'queue' is named twice"),
        ([at.Dimension("a", "r", {"x": 1}), at.Dimension("b", "r", {"y": 1})], OptionError, "'r' is looked up from 'a' and from 'b'"),
        ([7], ColumnTypeError, "by: 7 is not text"),
        ({"a", "b"}, ColumnTypeError, "a set has no order"),
    ],
)  # fmt: skip
def test_what_makes_no_hierarchy_is_refused(by, error, words):
    with pytest.raises(error, match=words):
        explain(reviews(), by)


def test_a_dimension_is_checked_when_it_is_made():
    with pytest.raises(OptionError, match="cannot lie within itself"):
        at.Dimension("market", within="market")
    with pytest.raises(OptionError, match="not what they are"):
        at.Dimension("market", parents={"ID": "APAC"})
    with pytest.raises(ColumnTypeError, match="not of the form"):
        at.Dimension("market", "region", parents="APAC")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ColumnNotFoundError, match="no column 'regoin'. Did you mean 'region'"):
        explain(reviews(), at.Dimension("market", within="regoin"))


# -- checked against the data ------------------------------------------------------------------


def test_a_child_with_two_parents_is_named_with_them_and_when():
    frame = reviews()
    frame.loc[(frame["market"] == "ID") & (frame["month"] == "2026-09"), "region"] = "EMEA"
    with pytest.raises(DataContractError) as caught:
        explain(frame, ["queue", MARKET])
    assert "'ID' is in 'APAC' (2026-08) and 'EMEA' (2026-09)" in str(caught.value)
    assert caught.value.findings == [
        {
            "dimension": "market",
            "level": "ID",
            "parents": {"APAC": ["2026-08"], "EMEA": ["2026-09"]},
        }
    ]
    # Undeclared it is no hierarchy, and has an answer.
    assert "nested" not in set(explain(frame, ["queue", "market", "region"]).check()["code"])


def test_a_broken_link_higher_up_is_found_too():
    frame = reviews()
    frame.loc[frame.index[frame["region"] == "APAC"][0], "world"] = "West"
    with pytest.raises(DataContractError, match="'APAC' is in 'East' .* and 'West'"):
        explain(frame, CHAIN)


def test_merging_levels_of_two_parents_breaks_a_hierarchy():
    merges = {"market": {"DE": "other", "MX": "other"}}
    with pytest.raises(DataContractError, match="'other' is in 'EMEA' .* and 'LATAM'"):
        explain(reviews(), CHAIN, mapping=merges)
    both = {**merges, "region": {"LATAM": "West", "EMEA": "West"}}
    assert explain(reviews(), CHAIN, mapping=both).cube.levels[1] == ("APAC", "West")


# -- the numbers -------------------------------------------------------------------------------


def by_hand(frame: pd.DataFrame, leaves: list[str], chain: list[str]) -> dict[str, float]:
    """METHODS.md 2: fit the leaves; a parent takes the weighted mean of its children's alpha."""
    cells = frame.groupby([*leaves, "month"])["correct"].agg(["sum", "size"]).unstack(fill_value=0)
    N, D = cells["sum"].to_numpy().T, cells["size"].to_numpy().T
    p = D / D.sum(axis=1)[:, None]
    r = np.where(D > 0, N / np.maximum(D, 1), (N / np.maximum(D, 1))[::-1])
    rho, pbar, shift = r.mean(axis=0), p.mean(axis=0), p[1] - p[0]
    labels = cells.index.to_frame(index=False)
    X = np.column_stack([np.ones(len(labels)), pd.get_dummies(labels, dtype=float)])
    root = np.sqrt(pbar)
    beta = np.linalg.lstsq(X * root[:, None], rho * root, rcond=None)[0]
    names = pd.get_dummies(labels, dtype=float).columns
    alpha = dict(zip(names, beta[1:], strict=True))
    value = labels[chain[-1]].map(lambda level: alpha[f"{chain[-1]}_{level}"]).to_numpy()
    found, rest = {}, value
    upper = [
        {"region": REGION, "world": {m: WORLD[r] for m, r in REGION.items()}}[d] for d in chain[:-1]
    ]
    for name, lookup in zip(chain[:-1], upper, strict=True):
        group = labels[chain[-1]].map(lookup)
        mean = (pd.Series(rest * pbar).groupby(group).transform("sum")
                / pd.Series(pbar).groupby(group).transform("sum")).to_numpy()  # fmt: skip
        found[name], rest = float(shift @ mean), rest - mean
    return {**found, chain[-1]: float(shift @ rest)}


@pytest.mark.parametrize("seed", range(4))
def test_between_and_within_are_those_of_the_definition(seed):
    frame = reviews(seed)
    two = explain(frame, ["queue", MARKET], rates="saturated")
    expected = by_hand(frame, ["queue", "market"], ["region", "market"])
    assert mix_of(two)[["region", "market"]].to_dict() == pytest.approx(expected, abs=1e-14)
    three = explain(frame, ["queue", *CHAIN], rates="saturated")
    expected = by_hand(frame, ["queue", "market"], ["world", "region", "market"])
    assert mix_of(three)[["world", "region", "market"]].to_dict() == pytest.approx(
        expected, abs=1e-14
    )


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    method=st.sampled_from(["midpoint", "threefold", "baseline", "current"]),
    rates=st.sampled_from(["saturated", "additive"]),
    newcomer=st.booleans(),
)
def test_levels_roll_up_and_drill_down(seed, method, rates, newcomer):
    frame = reviews(seed, newcomer=newcomer)
    change = explain(frame, ["queue", *CHAIN], method=method, rates=rates)
    tree = change.hierarchy("market").fillna({"mix": 0.0, "mix_below": 0.0, "rate": 0.0})
    size = {"abs": 1e-13}
    parts = [
        "mix",
        "mix_below",
        "rate",
        *(["interaction"] if method == "threefold" else []),
        "turnover",
    ]
    assert tree["total"].to_list() == pytest.approx(
        tree[parts].fillna(0.0).sum(axis=1).to_list(), **size
    )
    for _, row in tree.iterrows():
        below = tree[(tree["within"] == row["segment"]) & (tree["dimension"] != row["dimension"])]
        if len(below):
            assert row["total"] == pytest.approx(row["mix"] + below["total"].sum(), **size)
            assert row["rate"] == pytest.approx(below["rate"].sum(), **size)
            assert row["mix_below"] == pytest.approx(
                (below["mix"] + below["mix_below"]).sum(), **size
            )
    # The top rows are everything but the mix of queue and joint.
    left = change.effects.query("effect != 'joint' and dimension != 'queue'")["estimate"].sum()
    assert tree[tree["dimension"] == "world"]["total"].sum() == pytest.approx(left, **size)
    for dimension in ("world", "region", "market"):
        own = change.levels(dimension).set_index("segment").fillna({"mix": 0.0, "rate": 0.0})
        same = tree[tree["dimension"] == dimension].set_index("segment")
        pd.testing.assert_frame_equal(own[["mix", "rate"]], same.loc[own.index, ["mix", "rate"]])


def test_intervals_of_the_tree_are_those_of_the_level_tables():
    change = explain(
        reviews(newcomer=True), ["queue", *CHAIN], cluster="moderator", rates="additive"
    )
    tree = change.hierarchy("market").set_index(["dimension", "segment"])
    for dimension in ("world", "region", "market"):
        own = change.levels(dimension).set_index(["dimension", "segment"])
        for column in ("mix_std_error", "rate_std_error", "mix_conf_low"):
            assert tree.loc[own.index, column].to_list() == pytest.approx(
                own[column].to_list(), nan_ok=True
            )
        alone = own.loc[[(dimension, x) for x in own.index.get_level_values(1) if x == "NG"]]
        entry = tree.loc[alone.index, "turnover_std_error"].to_list()
        assert entry == pytest.approx(alone["total_std_error"].to_list())
    # A leaf has no level below it; a market's total is mix and rate, as in its own table.
    leaf = change.levels("market").set_index("segment")["total_std_error"]
    assert tree.loc["market"]["total_std_error"].to_dict() == pytest.approx(leaf.to_dict())
    assert tree.loc["market"]["mix_below"].dropna().eq(0).all()


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["adjusted", "shapley"])
def test_two_children_of_one_parent(mix):
    by = [MARKET, at.Dimension("site", within="region")]
    change = explain(reviews(3, 2_000), by, mix=mix)
    assert change.cube.dimensions == ("region", "market", "site")
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-14)
    assert set(change.hierarchy("site")["dimension"]) == {"region", "site"}
    # What market and site share is their region's, so nothing is left open.
    assert "aliased_levels" not in set(change.check()["code"])
    for child in ("market", "site"):
        tree = change.hierarchy(child)
        assert tree[tree["dimension"] == child]["mix"].sum() == pytest.approx(
            mix_of(change)[child], abs=1e-14
        )


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["adjusted", "shapley"])
def test_gradients_of_two_children_are_their_slopes(mix):
    rng = np.random.default_rng(5)
    codes = np.array([[m // 2, m, s] for m in range(4) for s in range(4) if s // 2 == m // 2])
    D = rng.uniform(1, 2, (2, len(codes)))
    N = D * rng.uniform(0.5, 0.9, D.shape)

    def lines(sums: np.ndarray) -> np.ndarray:
        d, n = sums.reshape(2, 2, -1)
        asked = {"mix": mix, "rates": "saturated"}
        return decompose(d, n, D, codes, (2, 4, 4), **asked).estimate

    gradient = decompose(D, N, D, codes, (2, 4, 4), mix=mix, rates="saturated").gradient.toarray()
    at, step = np.concatenate([D.ravel(), N.ravel()]), 1e-5
    slopes = [(lines(at + step * e) - lines(at - step * e)) / (2 * step) for e in np.eye(len(at))]
    np.testing.assert_allclose(gradient, np.transpose(slopes), atol=1e-9)


def test_declaring_what_is_nested_anyway_changes_no_number():
    frame = reviews()
    plain, told = explain(frame, ["queue", "region", "market"]), explain(frame, ["queue", MARKET])
    pd.testing.assert_frame_equal(plain.effects, told.effects)
    facts = {c.check().set_index("code").loc["nested", "facts"]["declared"] for c in (plain, told)}
    assert facts == {False, True}
    message = plain.check().set_index("code").loc["nested", "message"]
    assert "at.Dimension('market', within='region')" in message
    assert told.provenance["hierarchy"] == {"market": "region"}
    assert told.levels("market")["within"].to_list() == [
        REGION[m] for m in told.levels("market")["segment"]
    ]
    assert "within" not in told.levels("region")
    assert "within" not in plain.levels("market")


def test_only_direct_links_of_a_chain_are_reported():
    found = explain(reviews(), CHAIN).check().query("code == 'nested'")["facts"]
    assert [(f["child"], f["parent"]) for f in found] == [("region", "world"), ("market", "region")]


# -- drilling ----------------------------------------------------------------------------------


def test_within_keeps_what_still_varies():
    change = explain(reviews(rows=1_500), ["queue", *CHAIN])
    assert change.within(region="APAC").cube.dimensions == ("queue", "market")
    assert change.within(market="ID").cube.dimensions == ("queue",)
    west = change.within(world="West")
    assert west.cube.dimensions == ("queue", "region", "market")
    assert west.cube.hierarchy == {"market": "region"}


def test_where_each_region_has_one_market_left_the_region_takes_it_all():
    change = explain(reviews(rows=1_500), ["queue", MARKET])
    part = change.within(market=["ID", "BR"])
    assert part.cube.dimensions == ("queue", "region", "market")
    alone = part.cube.rollup(["queue", "region"]).explain(baseline="2026-08", current="2026-09")
    assert mix_of(part)["region"] == pytest.approx(mix_of(alone)["region"], abs=1e-15)
    assert mix_of(part)["market"] == pytest.approx(0, abs=1e-15)


def test_a_level_of_a_chain_can_be_rolled_out():
    cube = explain(reviews(), ["queue", *CHAIN]).cube
    assert cube.hierarchy == {"market": "region", "region": "world"}
    assert cube.ancestors("market") == ("region", "world")
    assert cube.rollup(["market", "world"]).hierarchy == {"market": "world"}
    assert cube.rollup(["queue", "market"]).hierarchy == {}
    assert cube.select(region="APAC").hierarchy == cube.hierarchy


def test_a_cube_keeps_its_hierarchy_in_a_file(tmp_path):
    cube = Cube.from_data(reviews(), "correct / 1", CHAIN, period="month")
    cube.save(tmp_path / "cube")
    loaded = Cube.load(tmp_path / "cube")
    assert loaded.hierarchy == cube.hierarchy == {"market": "region", "region": "world"}
    change = loaded.explain(baseline="2026-08", current="2026-09")
    assert pickle.loads(pickle.dumps(change)).cube.hierarchy == cube.hierarchy


# -- parents looked up -------------------------------------------------------------------------


def test_parents_may_come_from_a_lookup_instead_of_columns():
    frame, table = reviews(), {**REGION, "NO": "EMEA"}
    columns = explain(frame, ["queue", *CHAIN])
    chain = [at.Dimension("market", "region", table), at.Dimension("region", "world", WORLD)]
    looked_up = explain(frame.drop(columns=["region", "world"]), ["queue", *chain])
    pd.testing.assert_frame_equal(looked_up.effects, columns.effects)
    assert looked_up.cube.digest() == columns.cube.digest()


def test_a_lookup_sees_merged_levels_and_may_be_merged_itself():
    market = at.Dimension(
        "market", "region", {"SEA": "APAC", "JP": "APAC", "BR": "L", "MX": "L", "DE": "E"}
    )
    merges = {"region": {"L": "other", "E": "other"}, "market": {"ID": "SEA", "VN": "SEA"}}
    cube = explain(reviews(), ["queue", market], mapping=merges).cube
    assert cube.levels[1:] == (("APAC", "other"), ("BR", "DE", "JP", "MX", "SEA"))


def test_a_level_without_a_parent_is_named():
    frame = reviews()
    with pytest.raises(OptionError, match="no region is given for 'DE', 'VN' of 'market'"):
        explain(
            frame,
            at.Dimension("market", "region", {k: REGION[k] for k in ("ID", "JP", "BR", "MX")}),
        )
    frame["market"] = frame["market"].where(frame["market"] != "DE", None)
    cube = explain(frame, at.Dimension("market", "region", REGION)).cube
    assert cube.levels[0] == ("APAC", "LATAM", "(missing)")


def test_groups_are_standardized_over_a_hierarchy():
    frame = reviews(rows=2_000)
    told = at.standardize(frame, at.Rate("correct"), ["queue", MARKET], group="month")
    plain = at.standardize(frame, at.Rate("correct"), ["queue", "region", "market"], group="month")
    pd.testing.assert_frame_equal(told.frame, plain.frame)


def test_full_counts_and_a_lookup_go_together():
    frame = reviews()
    counts = frame.groupby(["month", "market", "queue"], as_index=False).size()
    counts["size"] *= 10
    by = ["queue", at.Dimension("market", "region", REGION)]
    change = explain(frame, by, volume=counts)
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-14)
    assert change.cube.dimensions == ("queue", "region", "market")

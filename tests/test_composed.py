"""Products of KPIs and error types: exact, with the intervals that one KPI of the same sums has."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import attribution as at
from attribution.decompose import PRODUCT as TIMES
from attribution.decompose import Design, compose, decompose

ASKED = {"period": "month", "baseline": 1, "current": 2}
COST: Any = at.Product(
    {
        "volume": at.Total("n", volume="n"),
        "AHT": "ratio(hours / n)",
        "wage": "ratio(cost / hours)",
    },
    name="Cost",
    unit="EUR",
    better="lower",
)
TYPES = {"Over": "over / n", "Under": "under / n", "Policy": "policy / n"}


@pytest.fixture(scope="module")
def reviews():
    """Counted reviews with three error types, and decisions with their time and pay."""
    rng = np.random.default_rng(3)
    rows = 400
    frame = pd.DataFrame(
        {
            "month": np.repeat([1, 2], rows // 2),
            "queue": rng.choice(list("ABC"), rows),
            "market": rng.choice(["BR", "ID"], rows),
            "moderator": rng.integers(0, 30, rows),
            "n": rng.integers(20, 40, rows),
        }
    )
    errors = rng.multinomial(frame["n"], [0.05, 0.04, 0.03, 0.88])
    frame[["over", "under", "policy", "correct"]] = errors
    frame["hours"] = frame["n"] * rng.gamma(20, 0.01, rows) * np.where(frame["month"] == 2, 1.4, 1)
    frame["cost"] = frame["hours"] * np.where(frame["market"] == "BR", 9, 12.5)
    frame["decided"] = np.where(frame["queue"] == "C", 0, rng.binomial(frame["n"], 0.4))
    frame["overturned"] = rng.binomial(frame["decided"], 0.3)
    return frame


@pytest.mark.parametrize("cluster", ["moderator", None])
def test_error_types_are_accuracy_line_by_line(reviews, cluster):
    asked = {**ASKED, "cluster": cluster, "rates": "saturated"}
    found = at.error_types(reviews, ["queue", "market"], TYPES, **asked)
    whole = at.explain(reviews, "correct / n", ["queue", "market"], **asked)
    for name in ("baseline", "current", "change", "std_error", "conf_low", "p_value"):
        assert getattr(found.total, name) == pytest.approx(getattr(whole.total, name), rel=1e-9)
    # Every line of accuracy is the sum of that line over the types, its noise included.
    lines, effects = whole.effects, found.effects
    stacked = np.tile(np.eye(len(lines)), 3)
    assert stacked @ effects["estimate"] == pytest.approx(lines["estimate"], abs=1e-12)
    errors = np.sqrt(np.diag(stacked @ found.cov.to_numpy() @ stacked.T))
    assert errors == pytest.approx(lines["std_error"], rel=1e-6)
    assert found.factors["estimate"].sum() == pytest.approx(found.total.change, abs=1e-12)
    one = found.changes["Over"].total
    assert found.factors["estimate"][0] == pytest.approx(-one.change, abs=1e-12)
    assert found.factors["std_error"][0] == pytest.approx(one.std_error, rel=0.05)


def test_the_dictionary_has_the_error_types():
    rng = np.random.default_rng(0)
    kinds = ["none", "over_enforcement", "under_enforcement", "wrong_policy", "technical"]
    rows = pd.DataFrame({"month": [1] * 300 + [2] * 300, "queue": list("AB") * 300, "reviewed": 1})
    rows["error_type"] = rng.choice(kinds, 600, p=[0.8, 0.05, 0.05, 0.05, 0.05])
    rows["correct"] = (rows["error_type"] == "none").astype(int)
    found = at.error_types(rows, "queue", **ASKED)
    whole = at.explain(rows, "correct / reviewed", "queue", **ASKED)
    assert found.total.change == pytest.approx(whole.total.change, abs=1e-12)
    assert list(found.factors["factor"])[:2] == ["Over-enforcement", "Under-enforcement"]


@pytest.mark.parametrize("cluster", ["moderator", None])
def test_a_product_that_is_one_ratio_has_its_change_and_noise(reviews, cluster):
    product = at.Product({"AHT": "ratio(hours / n)", "wage": "ratio(cost / hours)"}, name="Cost")
    asked = {**ASKED, "cluster": cluster}
    found = at.explain(reviews, product, ["queue", "market"], **asked)
    whole = at.explain(reviews, "ratio(cost / n)", ["queue", "market"], **asked)
    assert found.total.change == pytest.approx(whole.total.change, rel=1e-12)
    assert found.total.std_error == pytest.approx(whole.total.std_error, rel=0.01)
    assert found.effects["estimate"].sum() == pytest.approx(found.total.change, rel=1e-12)


def test_factors_are_das_guptas(reviews):
    product = at.Product(
        {"volume": "total(n)", "AHT": "ratio(hours / n)", "wage": "ratio(cost / hours)"}
    )
    found = at.explain(reviews, product, "queue", **ASKED).factors
    sides = [
        dict(zip(found["factor"], found[side], strict=True)) for side in ("baseline", "current")
    ]
    expected = at.factors("product", *sides).effects["estimate"]
    assert found["estimate"].tolist() == pytest.approx(expected.tolist(), rel=1e-9)


def test_factors_may_lack_segments_of_each_other(reviews):
    product = at.Product({"appeals": "decided / n", "overturns": "overturned / decided"}, unit="%")
    found = at.explain(reviews, product, "queue", **ASKED, cluster="moderator")
    sums = reviews.groupby("month")[["n", "overturned"]].sum()
    rate = sums["overturned"] / sums["n"]
    assert found.total.change == pytest.approx(rate[2] - rate[1], abs=1e-12)
    assert found.effects["estimate"].sum() == pytest.approx(found.total.change, abs=1e-12)


@pytest.mark.slow
def test_the_gradient_is_that_of_the_estimates():
    rng = np.random.default_rng(1)
    codes = np.array([[a, b] for a in range(3) for b in range(2)])
    there = [np.ones(6, dtype=bool), np.arange(6) != 4]
    sums = rng.uniform(5, 10, (4, 2, 6))
    sums[0, 0, 5] = sums[1, 0, 5] = 0  # a cell of one period only

    def composed(flat):
        """The lines of a product of two ratios."""
        D0, N0, D1, N1 = flat.reshape(4, 2, 6)
        parts = [
            decompose(D[:, c], N[:, c], D[:, c], codes[c], (3, 2), rates="saturated")
            for D, N, c in zip((D0, D1), (N0, N1), there, strict=True)
        ]
        return compose(parts, there, TIMES, Design(codes, (3, 2)))

    flat = sums.ravel()
    found = composed(flat)
    assert found.estimate.sum() == pytest.approx(np.diff(found.R)[0], abs=1e-12)
    exact, step = found.scores.toarray(), 1e-5
    levels = {part: found.level_gradient(part, 0, 5).toarray() for part in found.level_parts}
    segments = {
        part: found.segments_gradient(part, sparse.eye_array(len(x), format="csr")).toarray()
        for part, x in found.segment_parts.items()
    }
    everyone = found.everywhere[:, :6]
    rate = found.group_rates(everyone, 1)[1].toarray()
    for i in np.flatnonzero(flat):
        up, down = flat.copy(), flat.copy()
        up[i], down[i] = flat[i] + step, flat[i] - step
        ends = [composed(x) for x in (up, down)]
        numeric = (ends[0].estimate - ends[1].estimate) / (2 * step)
        assert exact[:, i] == pytest.approx(numeric, abs=1e-7)
        for part, known in levels.items():
            numeric = (ends[0].level_parts[part] - ends[1].level_parts[part]) / (2 * step)
            assert known[:, i] == pytest.approx(numeric, abs=1e-7)
            numeric = (ends[0].segment_parts[part] - ends[1].segment_parts[part]) / (2 * step)
            assert segments[part][:, i] == pytest.approx(numeric, abs=1e-7)
        numeric = (ends[0].group_rates(everyone, 1)[0] - ends[1].group_rates(everyone, 1)[0]) / (
            2 * step
        )
        assert rate[:, i] == pytest.approx(numeric, abs=1e-7)


def test_a_result_is_drawn_told_and_written(reviews, tmp_path):
    found = at.explain(reviews, COST, ["queue", "market"], **ASKED, cluster="moderator")
    bridge = found.bridge()
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(found.total.change, rel=1e-12)
    assert len(found.bridge(5).bars) == 5
    # The volume counts itself: it has neither mix nor rate, and so one bar.
    assert [bar.label for bar in bridge.bars if bar.factor == "volume"] == ["volume"]
    assert "AHT: mix queue" in found.summary()
    assert "The change is made up of" in found.narrative("page")
    assert "Within AHT: " in found.narrative()
    for picture in (found.plot.waterfall(), found.plot.levels("queue")):
        assert picture.get_figure() is not None
    assert json.loads(found.to_json(tmp_path / "c.json"))["effects"][0]["factor"] == "volume"
    for write in (found.to_html, found.to_pptx, found.to_excel, found.to_tidy):
        assert write(tmp_path / write.__name__).exists()


def test_a_product_answers_what_any_kpi_does(reviews):
    asked = {**ASKED, "by": ["queue", "market"]}
    found = at.explain(reviews, COST, **asked, cluster="moderator")
    effects, change = found.effects, found.total.change
    volume = effects.loc[effects["effect"] == "volume", "estimate"].sum()
    segments = found.segments()["total"].sum()
    assert segments + volume == pytest.approx(change, rel=1e-12)
    levels = found.levels("queue")
    of_queue = effects.query("effect == 'mix' and dimension == 'queue'")["estimate"].sum()
    assert levels["mix"].sum() == pytest.approx(of_queue, rel=1e-9)
    rate = effects.loc[effects["effect"] == "rate", "estimate"].sum()
    assert levels["rate"].sum() == pytest.approx(rate, rel=1e-12)
    per_review = reviews["cost"].groupby([reviews["month"], reviews["queue"]]).sum()
    per_review = per_review / reviews.groupby(["month", "queue"])["n"].sum()
    assert levels["rate_current"].tolist() == pytest.approx(per_review[2].tolist(), rel=1e-12)
    assert found.factors["estimate"].sum() == pytest.approx(change, rel=1e-12)
    assert set(found.changes) == {"volume", "AHT", "wage"}
    one = found.test("rate[AHT] = 0")
    row = effects.query("effect == 'rate' and factor == 'AHT'").iloc[0]
    assert one.p_value == pytest.approx(row["p_value"])
    assert found.conf_int().loc["total"].tolist() == [found.total.conf_low, found.total.conf_high]
    inside = found.within(market="BR")
    part = at.explain(reviews[reviews["market"] == "BR"], COST, "queue", **ASKED,
                      cluster="moderator")  # fmt: skip
    assert inside.total.change == pytest.approx(part.total.change, rel=1e-12)
    assert found.check()["code"].tolist()[0] == "residual"


def test_time_and_order_of_factors_do_not_matter(reviews):
    found = at.explain(reviews, COST, "queue", **ASKED).factors.set_index("factor")["estimate"]
    swapped = {**ASKED, "baseline": 2, "current": 1}
    back = at.explain(reviews, COST, "queue", **swapped).factors.set_index("factor")["estimate"]
    assert back.tolist() == pytest.approx((-found).tolist(), rel=1e-9)
    other = at.Product(dict(reversed(COST.factors.items())))
    again = at.explain(reviews, other, "queue", **ASKED).factors.set_index("factor")["estimate"]
    assert again[found.index].tolist() == pytest.approx(found.tolist(), rel=1e-9)


@pytest.mark.slow
def test_a_bootstrap_agrees_with_the_linear_errors(reviews):
    asked = {**ASKED, "by": "queue", "cluster": "moderator"}
    found = at.explain(reviews, COST, **asked)
    drawn = at.explain(reviews, COST, **asked, inference="bootstrap")
    # The mixes are products of two noises here, of which a linear error sees nothing.
    sure = found.effects["effect"].isin(["volume", "rate"]) & (found.effects["std_error"] > 1)
    ratio = drawn.effects["std_error"][sure] / found.effects["std_error"][sure]
    assert len(ratio) == 3  # volume, and the rates of AHT and wage
    assert ratio.between(0.85, 1.15).all()
    assert drawn.total.std_error == pytest.approx(found.total.std_error, rel=0.15)


def test_a_product_is_written_kept_and_named(reviews, tmp_path):
    text = "product(volume = total(n), AHT = ratio(hours / n), ratio(cost / hours))"
    found = at.explain(reviews, text, "queue", **ASKED)
    assert found.effects["factor"].unique().tolist() == ["volume", "AHT", "cost / hours"]
    cube = at.Cube.from_data(reviews, [COST, "correct / n"], "queue", period="month")
    cube.save(tmp_path / "costs.cube")
    kept = at.Cube.load(tmp_path / "costs.cube")
    assert kept.metrics[0] == COST
    assert kept.explain(baseline=1, current=2) == cube.explain(baseline=1, current=2)
    at.kpis.add("handling cost", COST)
    at.kpis.bind({"hours": "time"})
    try:
        named = at.explain(reviews.rename(columns={"hours": "time"}), "handling_cost", "queue",
                           **ASKED)  # fmt: skip
        assert named.total.change == pytest.approx(found.total.change, rel=1e-12)
        columns = at.kpis.table().set_index("name").loc["handling_cost", "columns"]
        assert columns == "n, time, cost"
    finally:
        at.kpis.reset()


def test_the_mix_of_a_product_may_be_that_of_full_counts(reviews):
    counts = reviews.groupby(["month", "queue"], as_index=False)["n"].sum()
    counts.loc[counts["queue"] == "A", "n"] *= 3
    rates: Any = at.Product({"appeals": "decided / n", "overturns": "overturned / decided"})
    sample = reviews[reviews["queue"] != "C"]
    found = at.explain(sample, rates, "queue", **ASKED,
                       volume=counts[counts["queue"] != "C"])  # fmt: skip
    assert found.effects["estimate"].sum() == pytest.approx(found.total.change, abs=1e-12)
    assert set(found.effects["effect"]) == {"mix", "rate", "sampling"}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda d: at.Product({"AHT": "mean(hours)"}), "2 to 10 names"),
        (lambda d: at.Product({"a": "mean(n)", "b": "quantile(n, 0.5)"}), "'b' is a quantile"),
        (lambda d: at.Product({"a": "mean(n)", "b": COST}), "'b' is made of KPIs itself"),
        (lambda d: at.Product({"a": "mean(n)", " ": "mean(n)"}), "' ' is no name of a factor"),
        (lambda d: at.explain(d, "product(mean(n), mean(n))", "queue", **ASKED), "two factors"),
        (lambda d: at.explain(d, "product(a = , b = mean(n))", "queue", **ASKED),
         "a factor without a KPI"),
        (lambda d: at.error_types(d, "queue", {"a": "over / n", "b": "under / hours"}, **ASKED),
         "shares of the same trials"),
        (lambda d: at.explain(d, COST, "queue", **ASKED, inference="bootstrap"),
         r"draws clusters\. Name cluster"),
        (lambda d: at.error_types(d, "queue", {"a": "correct / n", "b": "n / n"}, **ASKED),
         "more errors than trials in 6 segments: .*A in 1"),
        (lambda d: at.explain(d, at.Product({"a": "total(n)", "b": "total(hours)"}), "queue",
                              **ASKED).causes(), r"causes: no factor of 'a × b' is one ratio"),
        (lambda d: at.explain(d, "mean(n)", "queue", **ASKED).factors, "is one KPI"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(reviews, build, words):
    with pytest.raises(at.errors.AttributionError, match=words):
        build(reviews)


@pytest.fixture(scope="module")
def hours(reviews):
    """Cost in which handle time rose for one market, and pay for one queue."""
    up = reviews["month"] == 2
    longer = np.where(up & (reviews["market"] == "ID"), 1.5, 1)
    paid = np.where(up & (reviews["queue"] == "A"), 1.2, 1)
    frame = reviews.assign(hours=reviews["hours"] * longer)
    return frame.assign(cost=frame["hours"] * 10 * paid)


def test_causes_of_a_product_are_those_of_its_factors_and_add_up(hours):
    change = at.explain(hours, COST, ["queue", "market"], **ASKED, cluster="moderator")
    rate = change.effects.query("effect == 'rate'")["estimate"].sum()
    worth = dict(zip(COST.kpis, change._parts.worth, strict=True))
    for found in (change.causes(max_order=2), change.mix_causes(max_order=2)):
        named = found.frame["contribution"].sum() + found.everywhere["contribution"]
        assert named + found.remainder == pytest.approx(found.effect, rel=1e-12)
    found = change.causes(max_order=2)
    assert found.effect == pytest.approx(rate, rel=1e-12)
    assert {"AHT: market = ID", "wage: queue = A"} <= set(found.frame["segment"])
    # Each is the factor's own cause at half of alpha, times what the factor is worth.
    own = change.changes["wage"].causes(max_order=2, alpha=0.025).frame.iloc[0]
    mine = found.frame.set_index("segment").loc["wage: queue = A"]
    for name in ("contribution", "std_error", "conf_low", "conf_high"):
        assert mine[name] == pytest.approx(worth["wage"] * own[name], rel=1e-12)
    bridge = change.bridge(causes=True)
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(change.total.change, rel=1e-12)
    assert not [bar.label for bar in bridge.bars if bar.label.endswith(": rate")]


def test_where_no_factor_has_causes_the_answer_says_what_would_have_in_the_units_of_both(reviews):
    cost = at.Product({"AHT": at.Ratio("hours", "n", unit="h"), "wage": "ratio(cost / hours)"},
                      name="Cost", unit="EUR")  # fmt: skip
    change = at.explain(reviews, cost, ["queue"], **ASKED, cluster="moderator")
    found = change.causes()
    assert found.none is not None
    said = re.search(r"AHT: an effect of ([\d.]+) h in a segment of (\d+) % of the volume would "
                     r"have, some ([\d.]+) EUR of Cost\.", found.none)  # fmt: skip
    assert said is not None
    effect, share, worth = (float(x) for x in said.groups())
    assert worth == pytest.approx(effect * share / 100 * found.provenance["worth"]["AHT"], rel=0.05)


def test_causes_of_a_factor_that_lowers_the_kpi_have_their_bounds_in_order(hours):
    worse = np.where((hours["month"] == 2) & (hours["queue"] == "A"), 3, 1)
    data = hours.assign(over=np.minimum(hours["over"] * worse, hours["n"] // 2))
    found = at.error_types(data, ["queue", "market"], TYPES, **ASKED, cluster="moderator").causes(2)
    (row,) = [r for r in found.rows() if r["segment"] == "Over: queue = A"]
    assert row["conf_low"] < row["contribution"] < row["conf_high"] < 0
    assert found.everywhere["conf_low"] < found.everywhere["contribution"]


def test_methods_and_pathways_of_a_product_add_up(hours):
    change = at.explain(hours, COST, ["queue", "market"], **ASKED)
    methods, effects = change.compare_methods(["market", "queue"]), change.effects
    for name in ("adjusted", "shapley", "das_gupta", "ordered"):
        assert methods[name].sum() == pytest.approx(change.total.change, rel=1e-10)
    np.testing.assert_allclose(methods["adjusted"], effects["estimate"], rtol=1e-12, atol=1e-9)
    assert methods["factor"].tolist() == effects["factor"].tolist()
    matrix = change.pathways().frame
    mix = effects[effects["effect"].isin(["mix", "joint"])]
    assert matrix.to_numpy().sum() == pytest.approx(mix["estimate"].sum(), rel=1e-9)
    for factor, rows in mix.groupby("factor"):
        own = matrix[matrix.index.str.startswith(f"{factor}: ")]
        np.testing.assert_allclose(own.sum(), rows["estimate"], atol=1e-9)
    change.plot.pathways()


def test_a_permutation_of_a_product_is_that_of_the_ratio_it_is(hours):
    product = at.Product({"AHT": "ratio(hours / n)", "wage": "ratio(cost / hours)"})
    asked = {**ASKED, "cluster": "moderator"}
    found, one = (
        at.explain(hours, kpi, "queue", **asked).permutation_test(500, rng=4)
        for kpi in (product, "ratio(cost / n)")
    )
    assert found.statistic == pytest.approx(one.statistic, rel=1e-9)
    assert (found.p_value, found.permutations) == (one.p_value, one.permutations)
    total = at.explain(hours, COST, "queue", **asked)
    assert total.permutation_test(99).statistic == pytest.approx(
        total.total.change / total.total.std_error, rel=1e-9
    )

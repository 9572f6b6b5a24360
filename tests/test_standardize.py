"""Many groups: transitive effects, fair rates, honest errors, and what is refused."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest

import attribution as at
import attribution.cube.scan
import attribution.groups
from attribution.decompose import RatioForm, SmoothForm, TotalForm
from attribution.decompose.standardize import standardize_populations
from attribution.errors import (
    ColumnNotFoundError,
    DataContractError,
    IdentificationError,
    OptionError,
)
from attribution.groups import standardize

BY = ["queue", "market"]


def reviews(seed: int = 0, sites: int = 4, moderators: int = 12, each: int = 60) -> pd.DataFrame:
    """Rows of sites whose mix and rates differ; a moderator works at one site."""
    rng = np.random.default_rng(seed)
    rows = sites * moderators * each
    site = np.repeat(np.arange(sites), moderators * each)
    moderator = np.repeat(np.arange(sites * moderators), each)
    tilt = rng.uniform(0.2, 0.8, sites)[site]
    queue = (rng.random(rows) < tilt).astype(int) + (rng.random(rows) < 0.2)
    market = rng.integers(0, 3, rows)
    skill = rng.normal(0, 0.05, sites * moderators)[moderator]
    rate = 0.85 - 0.08 * queue + 0.03 * market + 0.02 * site + skill
    return pd.DataFrame(
        {
            "site": np.array(list("ABCDEFGH"))[site],
            "queue": np.array(["q0", "q1", "q2"])[queue],
            "market": np.array(["m0", "m1", "m2"])[market],
            "moderator_id": moderator,
            "reviewed": 1,
            "correct": (rng.random(rows) < rate).astype(int),
        }
    )


def lines(pairs: pd.DataFrame, baseline: str, current: str) -> pd.Series:
    """Estimates of one pair by effect and dimension, in either direction."""
    for a, b, sign in ((baseline, current, 1.0), (current, baseline, -1.0)):
        rows = pairs[(pairs["baseline"] == a) & (pairs["current"] == b)]
        if len(rows):
            rows = rows.assign(dimension=rows["dimension"].fillna(""))
            return sign * rows.set_index(["effect", "dimension"])["estimate"]
    raise AssertionError(f"no pair of {baseline} and {current}")


@pytest.mark.parametrize("rates", ["saturated", "additive"])
def test_effects_are_transitive_and_add_up_to_every_difference(rates):
    found = standardize(reviews(), "correct / reviewed", BY, group="site", rates=rates)
    crude = found.frame.set_index("group")["crude"]
    for a, b, c in itertools.permutations("ABCD", 3):
        chain = lines(found.pairs, a, b) + lines(found.pairs, b, c)
        np.testing.assert_allclose(chain, lines(found.pairs, a, c), atol=1e-15)
        assert lines(found.pairs, a, b).sum() == pytest.approx(crude[b] - crude[a], abs=1e-14)


def test_an_effect_is_the_mean_over_third_groups_of_pairwise_bridges():
    table = reviews()
    table = table[(table["site"] != "C") | (table["queue"] != "q2")]  # C does not work q2
    found = standardize(table, "correct / reviewed", BY, group="site", rates="saturated")
    direct = {}
    for a, b in itertools.permutations("ABCD", 2):
        effects = at.explain(
            table,
            "correct / reviewed",
            BY,
            period="site",
            baseline=a,
            current=b,
            rates="saturated",
        ).effects
        effect = effects["effect"].replace({"entry": "turnover", "exit": "turnover"})
        dimension = effects["dimension"].where(effect == "mix", "")
        direct[a, b] = effects.groupby([effect, dimension])["estimate"].sum()
    for a, b in itertools.combinations("ABCD", 2):
        chains = [direct[a, c].add(direct[c, b], fill_value=0) for c in "ABCD" if c not in a + b]
        through = pd.concat([direct[a, b], direct[a, b], *chains]).groupby(level=[0, 1]).sum() / 4
        own = lines(found.pairs, a, b)
        np.testing.assert_allclose(own, through.reindex(own.index), atol=1e-14)
    assert (found.pairs["effect"] == "turnover").sum() == 6


def test_two_groups_are_compared_through_explain_too():
    table = reviews(sites=2)
    change = at.explain(
        table,
        "correct / reviewed",
        BY,
        period="site",
        baseline="A",
        current="B",
        cluster="moderator_id",
        rates="saturated",
    )
    found = standardize(
        table, "correct / reviewed", BY, group="site", cluster="moderator_id", rates="saturated"
    )
    assert change.cube.periods == ("A", "B")
    for column in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
        np.testing.assert_allclose(found.pairs[column], change.effects[column], rtol=1e-9)
    standardized = found.frame["standardized"]
    rate = change.effects.set_index("effect").loc["rate", "estimate"]
    assert standardized[1] - standardized[0] == pytest.approx(rate, abs=1e-15)


def test_equal_rates_in_every_segment_give_equal_standardized_rates():
    table = pd.DataFrame(
        itertools.product("ABC", ["q0", "q1"], ["m0", "m1"]), columns=["site", "queue", "market"]
    )
    table["reviewed"] = np.random.default_rng(1).integers(50, 900, len(table))
    rate = table["queue"].map({"q0": 0.9, "q1": 0.7}) + table["market"].map({"m0": 0.0, "m1": 0.05})
    table["correct"] = table["reviewed"] * rate
    found = standardize(table, at.Ratio("correct", "reviewed"), BY, group="site")
    assert np.ptp(found.frame["standardized"]) < 1e-14
    assert np.ptp(found.frame["crude"]) > 0.01
    np.testing.assert_allclose(
        found.pairs[found.pairs["effect"] == "rate"]["estimate"], 0, atol=1e-14
    )


def test_order_of_rows_and_dimensions_and_names_of_groups_change_nothing():
    table = reviews()
    first = standardize(table, "correct / reviewed", BY, group="site")
    turned = table.sample(frac=1, random_state=3)
    turned["site"] = turned["site"].map({"A": "Z", "B": "Y", "C": "X", "D": "W"})
    second = standardize(turned, "correct / reviewed", BY[::-1], group="site")
    wanted = first.frame.set_index("group")["standardized"]
    renamed = second.frame.set_index("group")["standardized"].loc[list("ZYXW")]
    np.testing.assert_allclose(renamed, wanted, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("rates", ["saturated", "additive"])
def test_standard_errors_agree_with_the_jackknife_over_clusters(rates):
    table = reviews(sites=2, moderators=25, each=60)
    options = {"group": "site", "rates": rates}
    found = standardize(table, "correct / reviewed", BY, cluster="moderator_id", **options)
    left_out = []
    for moderator in table["moderator_id"].unique():
        rest = table[table["moderator_id"] != moderator]
        parts = standardize(rest, "correct / reviewed", BY, **options)._parts
        left_out.append([*parts.standardized, *(parts.effects[:, 1] - parts.effects[:, 0])])
    left_out = np.array(left_out)
    G = len(left_out)
    jackknife = np.sqrt((G - 1) / G * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    ours = np.concatenate([found.frame["std_error"], found.pairs["std_error"]])
    varying = ours > 0  # with additive rates the joint line is 0 by construction
    assert varying.sum() == len(ours) - (1 if rates == "additive" else 0)
    ratio = ours[varying] / jackknife[varying]
    assert np.median(np.abs(ratio - 1)) < 0.05
    assert np.abs(ratio - 1).max() < 0.1


FORMS = {
    "ratio": None,
    "total": TotalForm(),
    "ratio with a volume": RatioForm(),
    "F-beta": SmoothForm(at.f_score("tp", "fp", "fn").of_means),
}


@pytest.mark.parametrize("form", ["total", "ratio with a volume", "F-beta"])
@pytest.mark.parametrize("rates", ["saturated", "additive"])
def test_gradients_of_functions_of_sums_are_finite_differences(form, rates):
    rng, sizes, P = np.random.default_rng(0), (3, 2), 3
    codes = np.array(list(itertools.product(range(3), range(2))))
    V = rng.integers(50, 200, (P, 6)).astype(float)
    V[1, codes[:, 0] == 2] = 0
    V[2, 3] = 0
    of = {"total": 1, "ratio with a volume": 2, "F-beta": 3}[form]
    sums = np.stack([V, *(V * rng.uniform(0.2, 0.9, (of, P, 6)))])

    def parts(sums: np.ndarray):
        told = {"function": FORMS[form], "rates": rates}
        return standardize_populations(sums, V, codes, sizes, **told)

    def values(sums: np.ndarray) -> np.ndarray:
        found = parts(sums)
        return np.concatenate([found.effects.ravel(), found.standardized])

    found = parts(sums)
    assert found.effects.sum(axis=0) == pytest.approx(found.R - found.R.mean(), rel=1e-11)
    gradients = found.gradient(range(len(found.lines))), found.standardized_gradient()
    slopes = np.vstack([g.toarray() for g in gradients]).reshape(-1, *sums.shape)
    scale = np.abs(slopes).max()
    for m, k, c in itertools.product(range(len(sums)), range(P), range(6)):
        if V[k, c] > 0:
            step = np.zeros(sums.shape)
            step[m, k, c] = 1e-3
            wanted = (values(sums + step) - values(sums - step)) / 2e-3
            np.testing.assert_allclose(slopes[:, m, k, c], wanted, atol=2e-7 * max(scale, 1e-2))


@pytest.mark.parametrize(
    ("rates", "mix"),
    [("saturated", "adjusted"), ("additive", "adjusted"), ("saturated", "das_gupta")],
)  # fmt: skip
def test_gradients_are_finite_differences(rates, mix):
    rng, sizes, P = np.random.default_rng(0), (3, 2), 3
    codes = np.array(list(itertools.product(range(3), range(2))))
    D = rng.integers(5, 200, (P, 6)).astype(float)
    D[1, codes[:, 0] == 2] = 0  # a level that population 1 lacks
    D[2, 3] = 0  # an empty cell
    N = D * rng.uniform(0.5, 0.95, D.shape)

    def values(D: np.ndarray, N: np.ndarray) -> np.ndarray:
        sums = np.stack([D, N])
        parts = standardize_populations(sums, D, codes, sizes, rates=rates, mix=mix)
        return np.concatenate([parts.effects.ravel(), parts.standardized])

    sums = np.stack([D, N])
    parts = standardize_populations(sums, D, codes, sizes, rates=rates, mix=mix)
    gradients = parts.gradient(range(len(parts.lines))), parts.standardized_gradient()
    slopes = np.vstack([g.toarray() for g in gradients]).reshape(-1, 2, P, 6)
    for side, k, c in itertools.product((0, 1), range(P), range(6)):
        if D[k, c] > 0:
            step = np.zeros((2, P, 6))
            step[side, k, c] = 1e-4
            above, below = values(D + step[0], N + step[1]), values(D - step[0], N - step[1])
            np.testing.assert_allclose(slopes[:, side, k, c], (above - below) / 2e-4, atol=1e-9)


def test_independent_rows_are_rows_as_clusters():
    table = reviews()
    table["row"] = np.arange(len(table))
    rows = standardize(table, "correct / reviewed", BY, group="site")
    clusters = standardize(table, "correct / reviewed", BY, group="site", cluster="row")
    np.testing.assert_allclose(rows.frame["std_error"], clusters.frame["std_error"], rtol=1e-3)
    np.testing.assert_allclose(rows.pairs["std_error"], clusters.pairs["std_error"], rtol=1e-3)


def test_frame_and_pairs_have_their_columns_and_an_interval_around_each_estimate():
    found = standardize(reviews(), "correct / reviewed", BY, group="site", cluster="moderator_id")
    frame, pairs = found.frame, found.pairs
    assert list(frame) == [
        "group",
        "n",
        "crude",
        "standardized",
        "std_error",
        "conf_low",
        "conf_high",
    ]
    assert frame["n"].tolist() == [720] * 4
    assert (
        (frame["conf_low"] < frame["standardized"]) & (frame["standardized"] < frame["conf_high"])
    ).all()
    assert list(pairs)[:5] == ["baseline", "current", "effect", "dimension", "estimate"]
    assert len(pairs) == 6 * 4
    assert (pairs["p_adjusted"] >= pairs["p_value"]).all()


def test_a_level_that_a_group_lacks_is_turnover_of_its_pairs_and_named():
    table = reviews()
    table = table[(table["site"] != "C") | (table["queue"] != "q2")]
    found = standardize(table, "correct / reviewed", BY, group="site")
    named = found.check().set_index("code").loc["level_not_shared", "facts"]
    assert named == {"dimension": "queue", "level": "q2", "groups": ["C"]}
    assert "turnover" in set(found.pairs["effect"])
    assert "turnover" not in set(
        standardize(reviews(), "correct / reviewed", BY, group="site").pairs["effect"]
    )


def test_a_group_of_one_moderator_has_no_interval_and_is_named():
    table = reviews()
    table.loc[table["site"] == "D", "moderator_id"] = 999
    found = standardize(table, "correct / reviewed", BY, group="site", cluster="moderator_id")
    assert found.frame["std_error"].isna().tolist() == [False, False, False, True]
    message = found.check().set_index("code").loc["few_units", "message"]
    assert message.startswith("'D': fewer than 6 moderators")


def test_pairs_computed_a_few_lines_at_a_time_are_the_same(monkeypatch):
    found = standardize(reviews(), "correct / reviewed", BY, group="site")
    whole = found.pairs
    monkeypatch.setattr(attribution.groups, "_MOST_SLOPES", 1)
    pd.testing.assert_frame_equal(found.pairs, whole, check_exact=False, rtol=1e-12)


def test_the_data_are_scanned_once(monkeypatch):
    scans, real = [], attribution.cube.scan.group
    monkeypatch.setattr(attribution.cube.scan, "group", lambda *a: scans.append(a) or real(*a))
    _ = standardize(reviews(), "correct / reviewed", BY, group="site").pairs
    assert len(scans) == 1


def test_results_are_frozen_comparable_and_travel():
    found = standardize(reviews(), "correct / reviewed", BY, group="site")
    again = pickle.loads(pickle.dumps(found))
    assert again == found == copy.copy(found)
    assert found != standardize(reviews(1), "correct / reviewed", BY, group="site")
    pd.testing.assert_frame_equal(again.pairs, found.pairs)
    with pytest.raises(AttributeError):
        found.group = "market"
    assert repr(found).startswith("<Standardized correct / reviewed: 4 groups of site, ")


def test_rows_without_a_group_are_counted_in_check():
    table = reviews()
    table.loc[:9, "site"] = None
    found = standardize(table, "correct / reviewed", BY, group="site").check().set_index("code")
    assert found.loc["null_group", "message"] == "10 rows have no 'site' and belong to no group."
    assert found.loc["residual", "severity"] == "ok"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"group": "siet"}, ColumnNotFoundError, "group: no column 'siet'. Did you mean 'site'?"),
        ({"group": "reviewed"}, OptionError, "group: 'reviewed' has 1 value ('1')"),
        ({"group": "moderator_id", "where": "site == 'A' or site == 'B'", "by": ["site"]},
         IdentificationError, "share no segment"),
        ({"rates": "pairs"}, OptionError, "rates: 'pairs' is not one of"),
        ({"conf_level": 95}, OptionError, "conf_level: 95 is not between 0 and 1"),
        ({"conf_level": "high"}, OptionError, "conf_level: 'high' is not between 0 and 1"),
        ({"by": ["queue", "twin"]}, IdentificationError, "'queue' and 'twin' are identical"),
        ({"where": "site == 'A'"}, OptionError, "There is nothing to compare."),
        ({"cluster": ["moderator_id", "market2", "day"]}, OptionError, "cluster: 3 columns"),
        ({"mapping": {"queue": {"q9": "q1"}}}, OptionError, "mapping: no level 'q9'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_by_name(options, error, words):
    table = reviews()
    table["twin"] = table["queue"].str.upper()
    table["market2"], table["day"] = table["market"], table["moderator_id"] % 7
    asked = {"by": BY, "group": "site", **options}
    with pytest.raises(error) as raised:
        standardize(table, "correct / reviewed", **asked)
    assert words in str(raised.value)


def test_a_group_without_a_denominator_is_refused_by_name():
    table = reviews()
    table.loc[table["site"] == "B", ["reviewed", "correct"]] = 0
    with pytest.raises(OptionError, match="the denominator 'reviewed' .* is 0 in 'B'"):
        standardize(table, "correct / reviewed", BY, group="site")


def test_a_numerator_without_a_denominator_is_refused_by_name():
    table = pd.DataFrame(
        {"site": list("AABB"), "queue": ["x", "y"] * 2, "hours": [1, 0, 1, 1], "cost": 2}
    )
    with pytest.raises(DataContractError, match="y in A"):
        standardize(table, at.Ratio("cost", "hours"), "queue", group="site")


def test_too_many_groups_are_refused_before_any_work():
    table = pd.DataFrame({"id": range(101), "queue": "x", "reviewed": 1, "correct": 1})
    with pytest.raises(OptionError, match="2 to 100 groups"):
        standardize(table, "correct / reviewed", "queue", group="id")


def test_effects_of_many_groups_are_divided_by_the_method_that_is_asked_for():
    table = reviews(sites=3)
    asked = {"group": "site", "rates": "saturated"}
    plain = standardize(table, "correct / reviewed", BY, **asked)
    found = standardize(table, "correct / reviewed", BY, **asked, mix="das_gupta")
    pd.testing.assert_frame_equal(found.frame, plain.frame)
    chain = lines(found.pairs, "A", "B") + lines(found.pairs, "B", "C")
    np.testing.assert_allclose(chain, lines(found.pairs, "A", "C"), atol=1e-15)
    two = table[table["site"] != "C"]
    direct = at.explain(two, "correct / reviewed", BY, period="site", baseline="A", current="B",
                        rates="saturated", mix="das_gupta")  # fmt: skip
    pair = lines(standardize(two, "correct / reviewed", BY, **asked, mix="das_gupta").pairs,
                 "A", "B")  # fmt: skip
    np.testing.assert_allclose(pair, direct.effects["estimate"], atol=1e-15)
    with pytest.raises(OptionError, match="mix: 'ordered'"):
        standardize(table, "correct / reviewed", BY, group="site", mix="ordered")


def counted(seed: int = 0) -> pd.DataFrame:
    """Rows with hours, and with true and false positives and negatives."""
    table = reviews(seed, sites=3)
    rng = np.random.default_rng(seed)
    truth = rng.random(len(table)) < 0.6
    said = np.where(rng.random(len(table)) < 0.85, truth, ~truth)
    return table.assign(
        hours=rng.gamma(2.0, 0.5, len(table)) * (1 + table["queue"].eq("q1")),
        tp=(truth & said).astype(int),
        fp=(~truth & said).astype(int),
        fn=(truth & ~said).astype(int),
    )


KPIS = [
    pytest.param(at.Total("hours"), ["volume", "mix", "mix", "joint", "rate"], id="total"),
    pytest.param(
        at.Ratio("hours", "correct", volume="reviewed"),
        ["mix", "mix", "joint", "rate"],
        id="ratio with a volume",
    ),
    pytest.param(at.f_score("tp", "fp", "fn"), ["mix", "mix", "joint", "rate"], id="F-beta"),
]


@pytest.mark.parametrize(("metric", "effects"), KPIS)
def test_totals_and_functions_of_sums_are_standardized_and_transitive(metric, effects):
    table, asked = counted(), {"group": "site", "rates": "saturated", "cluster": "moderator_id"}
    found = standardize(table, metric, BY, **asked)
    crude = found.frame.set_index("group")["crude"]
    first = found.pairs.iloc[: len(effects)]
    assert list(first["effect"]) == effects
    for a, b, c in itertools.permutations("ABC", 3):
        chain = lines(found.pairs, a, b) + lines(found.pairs, b, c)
        np.testing.assert_allclose(chain, lines(found.pairs, a, c), atol=1e-11)
        assert lines(found.pairs, a, b).sum() == pytest.approx(crude[b] - crude[a], abs=1e-11)
    gap = found.frame.set_index("group")["standardized"]
    rate = lines(found.pairs, "A", "C")["rate", ""]
    assert gap["C"] - gap["A"] == pytest.approx(rate, abs=1e-11)
    assert (found.check()["severity"] != "warning").all()
    # Two groups are explain's own bridge, with its errors.
    two = table[table["site"] != "C"]
    pair = standardize(two, metric, BY, **asked)
    told = {"rates": "saturated", "cluster": "moderator_id"}
    change = at.explain(two, metric, BY, period="site", baseline="A", current="B", **told)
    for column in ("estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(pair.pairs[column], change.effects[column], rtol=1e-8)
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_volume_that_is_the_denominator_changes_nothing():
    asked = {"group": "site", "rates": "saturated", "cluster": "moderator_id"}
    plain = standardize(counted(), at.Ratio("correct", "reviewed"), BY, **asked)
    own = standardize(counted(), at.Ratio("correct", "reviewed", volume="reviewed"), BY, **asked)
    for column in ("crude", "standardized", "std_error"):
        np.testing.assert_allclose(own.frame[column], plain.frame[column], rtol=1e-9)
    np.testing.assert_allclose(own.pairs["estimate"], plain.pairs["estimate"], atol=1e-14)


def test_a_total_at_the_same_volume_and_mix_differs_by_what_an_hour_is_worth():
    codes = itertools.product("ABC", "xy")
    table = pd.DataFrame(codes, columns=["site", "queue"])
    table["n"] = [100, 50, 200, 80, 60, 90]
    same = table.assign(hours=table["n"] * table["queue"].map({"x": 2.0, "y": 3.0}))
    found = standardize(same, at.Total("hours", volume="n"), "queue", group="site")
    assert np.ptp(found.frame["standardized"]) < 1e-9
    assert abs(found.pairs.query("effect == 'rate'")["estimate"]).max() < 1e-9
    twice = same.assign(hours=same["hours"] * same["site"].map({"A": 1, "B": 2, "C": 1}))
    found = standardize(twice, at.Total("hours", volume="n"), "queue", group="site").frame
    assert found["standardized"][0] == pytest.approx(found["standardized"][2], rel=0.1)
    assert found["standardized"][1] > 1.5 * found["standardized"][0]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (at.Product({"volume": "total(1)", "AHT": "mean(hours)"}), "at.standardize_factors"),
        (at.Quantile("hours", 0.9), "is a quantile"),
    ],
)
def test_kpis_without_a_value_at_the_same_mix_are_refused_with_what_to_do(metric, words):
    with pytest.raises(OptionError, match=words):
        standardize(counted(), metric, BY, group="site")


def test_intervals_of_standardized_rates_of_tiny_groups_lie_in_0_to_1():
    right = {"P": [4, 4, 3, 4], "Q": [4, 4, 4, 4], "R": [0, 0, 0, 1]}
    rows = pd.DataFrame(
        [
            {"site": site, "who": f"{site}{g // 2}", "queue": "ab"[g % 2], "right": k, "seen": 4}
            for site, counts in right.items()
            for g, k in enumerate(counts)
        ]
    )
    asked = {"by": "queue", "group": "site", "cluster": "who", "rates": "saturated"}
    frame = standardize(rows, at.Rate("right", "seen"), **asked).frame
    assert frame["conf_low"].between(0, 1).all()
    assert frame["conf_high"].between(0, 1).all()
    free = standardize(rows, at.Ratio("right", "seen"), **asked).frame
    np.testing.assert_allclose(frame["standardized"], free["standardized"], rtol=1e-12)
    assert free["conf_high"].max() > 1
    assert free["conf_low"].min() < 0

"""Regression decomposition: adding up, invariance, honest errors, and what is refused."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import attribution as at
import attribution.infer.influence
from attribution.decompose.regression import decompose_regression
from attribution.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    DataContractError,
    DataQualityWarning,
    IdentificationError,
    OptionError,
    PeriodError,
    SourceError,
)
from attribution.predictors import Request, observe
from attribution.regression import Oaxaca, oaxaca

PREDICTORS = ["length", "queue", "policy"]
REFERENCES = [0, 1, 0.5, 0.3, "weighted", "neumark", "pooled"]


def decisions(seed: int = 0, moderators: int = 30, each: int = 40) -> pd.DataFrame:
    """Decisions of two sites that differ in their mix and in what it costs them."""
    rng = np.random.default_rng(seed)
    rows = moderators * each
    moderator = np.repeat(np.arange(moderators), each)
    site = (moderator >= moderators // 2).astype(int)
    queue = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    queue = np.where((site == 1) & (rng.random(rows) < 0.3), 2, queue)
    length = rng.gamma(2.0, 10.0, rows) + 4 * site
    slow = rng.normal(0, 4, moderators)[moderator]
    seconds = 20 + 1.5 * length + 12 * (queue == 2) + 6 * site * (queue == 1) + slow
    risk = -1.5 + 0.02 * length + 0.6 * (queue == 2) + 0.4 * site + slow / 10
    return pd.DataFrame(
        {
            "site": np.array(["A", "B"])[site],
            "moderator_id": moderator,
            "day": rng.integers(0, 20, rows),
            "length": length,
            "queue": np.array(["image", "text", "video"])[queue],
            "policy": np.array(["x", "y"])[rng.integers(0, 2, rows)],
            "seconds": seconds + rng.normal(0, 8, rows),
            "overturned": (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(int),
            "w": rng.uniform(0.5, 3.0, rows),
        }
    )


def explained(table: object, outcome: str = "seconds", **options) -> Oaxaca:
    predictors = options.pop("predictors", PREDICTORS)
    return oaxaca(table, outcome, predictors, "site", "A", "B", **options)


MODELS = [("linear", "seconds"), ("logit", "overturned")]


@pytest.mark.parametrize(("model", "outcome"), MODELS)
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_lines_add_up_to_the_difference_of_means(model, outcome, weight, reference):
    table = decisions()
    found = explained(table, outcome, model=model, weight=weight, reference=reference)
    w = np.ones(len(table)) if weight is None else table[weight]
    means = [
        np.average(table[outcome][s], weights=w[s])
        for s in (table["site"] == "A", table["site"] == "B")
    ]
    assert found.total.baseline == pytest.approx(means[0], rel=1e-12)
    assert found.total.change == pytest.approx(means[1] - means[0], rel=1e-12)
    for view in (found.effects, found.predictors, found.parts):
        assert view["estimate"].sum() == pytest.approx(found.total.change, rel=1e-10)
    assert found.check().loc[0, "severity"] == "ok"


@pytest.mark.parametrize(("model", "outcome"), MODELS)
def test_threefold_lines_add_up_and_contain_the_twofold_ones(model, outcome):
    table = decisions()
    three = explained(table, outcome, model=model, kind="threefold").parts.set_index("effect")[
        "estimate"
    ]
    at_baseline = explained(table, outcome, model=model, reference=0).parts.set_index("effect")[
        "estimate"
    ]
    assert three.sum() == pytest.approx(at_baseline.sum(), rel=1e-12)
    assert three["endowments"] == pytest.approx(at_baseline["explained"], rel=1e-9)
    rest = three["coefficients"] + three["interaction"]
    assert rest == pytest.approx(at_baseline["unexplained"], rel=1e-9)


@pytest.mark.parametrize(("model", "outcome"), MODELS)
@pytest.mark.parametrize(
    ("reference", "opposite"),
    [(0, 1), (0.3, 0.7), (0.5, 0.5), ("weighted",) * 2, ("neumark",) * 2, ("pooled",) * 2],
)
def test_exchanging_the_groups_flips_every_sign(model, outcome, reference, opposite):
    table, options = decisions(), {"model": model, "weight": "w"}
    there = oaxaca(table, outcome, PREDICTORS, "site", "A", "B", reference=reference, **options)
    back = oaxaca(table, outcome, PREDICTORS, "site", "B", "A", reference=opposite, **options)
    np.testing.assert_allclose(back.effects["estimate"], -there.effects["estimate"], atol=1e-9)
    np.testing.assert_allclose(back.effects["std_error"], there.effects["std_error"], rtol=1e-6)


@pytest.mark.parametrize(("model", "outcome"), MODELS)
def test_two_groups_that_are_the_same_have_nothing_to_explain(model, outcome):
    table = decisions()
    one = table[table["site"] == "A"]
    twice = pd.concat([one, one.assign(site="B")])
    for options in ({"reference": "pooled"}, {"reference": 0}, {"kind": "threefold"}):
        found = explained(twice, outcome, model=model, **options)
        np.testing.assert_allclose(found.effects["estimate"], 0, atol=1e-9)
        assert (found.effects["std_error"] > 0).sum() >= 8


def test_normalized_effects_are_the_mean_over_all_reference_levels():
    table, without = decisions(), []
    for first in ("image", "text", "video"):
        renamed = table.assign(queue=table["queue"].where(table["queue"] != first, f"a {first}"))
        found = explained(renamed, predictors=["length", "queue"], reference=0, normalize=False)
        lines = found.effects
        lines["segment"] = lines["segment"].str.removeprefix("a ")
        without.append(lines)
        assert f"a {first}" not in set(found.effects["segment"])
    keys = ["effect", "dimension", "segment"]
    mean = pd.concat(without).groupby(keys, dropna=False)["estimate"].sum() / 3
    normalized = explained(table, predictors=["length", "queue"], reference=0)
    ours = normalized.effects.groupby(keys, dropna=False)["estimate"].sum()
    np.testing.assert_allclose(ours, mean[ours.index], rtol=1e-9)


def test_names_of_levels_and_order_of_rows_and_predictors_change_nothing():
    table = decisions()
    first = explained(table).effects.set_index(["effect", "dimension", "segment"])["estimate"]
    turned = table.sample(frac=1, random_state=1)
    turned["queue"] = turned["queue"].map({"image": "z", "text": "y", "video": "x"})
    again = explained(turned, predictors=PREDICTORS[::-1]).effects
    again["segment"] = again["segment"].replace({"z": "image", "y": "text", "x": "video"})
    # "x" and "y" are levels of policy too.
    policy = again["dimension"] == "policy"
    again.loc[policy, "segment"] = again.loc[policy, "segment"].replace({"video": "x", "text": "y"})
    again = again.set_index(["effect", "dimension", "segment"])["estimate"]
    np.testing.assert_allclose(again[first.index], first, atol=1e-9)


def test_a_logit_is_shared_out_as_yun_2004_does_it():
    from scipy.special import expit
    from statsmodels.discrete.discrete_model import Logit

    table = decisions()
    X = np.column_stack([np.ones(len(table)), table["length"], table["day"]])
    in_B, y = (table["site"] == "B").to_numpy(), table["overturned"].to_numpy()
    b = {t: Logit(y[in_B == t], X[in_B == t]).fit(disp=0, tol=1e-14).params for t in (False, True)}
    x = {t: X[in_B == t].mean(axis=0) for t in (False, True)}
    mean = {(t, s): expit(X[in_B == t] @ b[s]).mean() for t in (False, True) for s in (False, True)}
    share = (x[True] - x[False]) * b[False] / ((x[True] - x[False]) @ b[False])
    characteristics = share * (mean[True, False] - mean[False, False])
    share = x[True] * (b[True] - b[False]) / (x[True] @ (b[True] - b[False]))
    coefficients = share * (mean[True, True] - mean[True, False])
    found = explained(table, "overturned", predictors=["length", "day"], model="logit", reference=0)
    np.testing.assert_allclose(found.effects["estimate"][:2], characteristics[1:], rtol=1e-8)
    np.testing.assert_allclose(found.effects["estimate"][2:], coefficients, rtol=1e-8)


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({"reference": "pooled"}, "seconds"),
        ({"reference": "weighted", "model": "logit"}, "overturned"),
        ({"reference": "pooled", "model": "logit"}, "overturned"),
        ({"kind": "threefold"}, "seconds"),
    ],
)
def test_standard_errors_agree_with_the_jackknife_over_clusters(options, outcome):
    table = decisions(moderators=60, each=25)
    found = explained(table, outcome, cluster="moderator_id", weight="w", **options).effects
    predictors = ["length", "queue", "policy"]
    request = Request(outcome, predictors, "site", "A", "B", cluster="moderator_id", weight="w")
    rows, left_out = observe(table, request), []
    for g in range(60):
        kept = rows.clusters["moderator_id"] != g
        columns = replace(rows.columns, X=rows.columns.X[kept])
        sums = columns, rows.y[kept], rows.w[kept], rows.side[kept]
        left_out.append(decompose_regression(*sums, **options).estimate)
    left_out = np.array(left_out)
    jackknife = np.sqrt(59 / 60 * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    ratio = found["std_error"] / jackknife
    assert ratio.median() == pytest.approx(1, abs=0.05)
    assert ratio.between(0.85, 1.05).all()


@pytest.mark.parametrize("cluster", [None, "moderator_id", ["moderator_id", "day"]])
@pytest.mark.parametrize("weight", [None, "w"])
def test_the_total_is_as_certain_as_explain_says(cluster, weight):
    table = decisions().assign(one=1)
    found = explained(table, cluster=cluster, weight=weight)
    change = at.explain(
        table,
        at.Ratio("seconds", "one"),
        [],
        period="site",
        baseline="A",
        current="B",
        cluster=cluster,
        weight=weight,
        rates="additive",
    )
    assert found.total.change == pytest.approx(change.total.change, rel=1e-12)
    assert found.total.std_error == pytest.approx(change.total.std_error, rel=1e-9)
    assert found.total.conf_low == pytest.approx(change.total.conf_low, rel=1e-9)


def test_independent_rows_are_rows_as_clusters():
    table = decisions().assign(row=lambda t: np.arange(len(t)))
    rows, clusters = explained(table), explained(table, cluster="row")
    for column in ("estimate", "std_error", "conf_low", "p_value"):
        np.testing.assert_allclose(rows.effects[column], clusters.effects[column], rtol=1e-6)


def test_names_of_clusters_change_nothing():
    table = decisions()
    first = explained(table, cluster="moderator_id").effects
    table["moderator_id"] = (table["moderator_id"] * 7919) % 10007
    again = explained(table, cluster="moderator_id").effects
    pd.testing.assert_frame_equal(again, first, check_exact=False, rtol=1e-9)


def test_clusters_widen_the_intervals_where_rows_of_one_are_alike():
    table = decisions()
    of_rows, of_clusters = explained(table), explained(table, cluster="moderator_id")
    assert of_clusters.total.std_error > 1.3 * of_rows.total.std_error
    both = explained(table, cluster=["moderator_id", "day"])
    assert both.total.std_error >= of_clusters.total.std_error


def test_integer_weights_are_repeated_rows():
    table = decisions(each=10).assign(times=lambda t: np.arange(len(t)) % 3 + 1)
    repeated = table.loc[table.index.repeat(table["times"])]
    weighted = explained(table, weight="times", reference="weighted")
    np.testing.assert_allclose(
        weighted.effects["estimate"], explained(repeated, reference="weighted").effects["estimate"]
    )


def test_rows_are_summed_in_chunks(monkeypatch):
    table = decisions()
    whole, of_rows = explained(table, cluster="moderator_id"), explained(table)
    monkeypatch.setattr(attribution.infer.influence, "_ROWS_AT_ONCE", 77)
    chunked = explained(table, cluster="moderator_id")
    np.testing.assert_allclose(chunked.effects["std_error"], whole.effects["std_error"], rtol=1e-12)
    np.testing.assert_allclose(
        explained(table).effects["std_error"], of_rows.effects["std_error"], rtol=1e-9
    )


def test_effects_predictors_and_parts_have_their_rows_and_columns():
    found = explained(decisions())
    effects = found.effects
    assert list(effects) == [
        "effect", "dimension", "segment", "estimate", "std_error", "conf_low", "conf_high",
        "p_value", "p_adjusted",
    ]  # fmt: skip
    explained_rows = effects[effects["effect"] == "explained"]
    assert explained_rows["dimension"].tolist() == ["length", *["queue"] * 3, *["policy"] * 2]
    assert explained_rows["segment"].tolist()[1:] == ["image", "text", "video", "x", "y"]
    assert effects["dimension"].value_counts()["(constant)"] == 1
    assert len(found.predictors) == 3 + 4
    assert found.parts["effect"].tolist() == ["explained", "unexplained"]
    assert (effects["p_adjusted"] >= effects["p_value"]).all()


def test_a_level_of_one_moderator_has_no_interval_and_is_named():
    table = decisions()
    table.loc[(table["queue"] == "video") & (table["site"] == "B"), "moderator_id"] = 29
    found = explained(table, cluster="moderator_id")
    video = found.effects["segment"] == "video"
    assert found.effects.loc[video, "std_error"].isna().all()
    assert found.effects.loc[~video, "std_error"].notna().all()
    assert found.parts["std_error"].notna().all()
    message = found.check().set_index("code").loc["few_units", "message"]
    assert message.startswith("'queue video': fewer than 6 moderators in a group.")


def test_null_levels_are_a_level_and_flags_are_levels():
    table = decisions()
    table["queue"] = table["queue"].where(table["queue"] != "text", None)
    table["flagged"] = table["policy"] == "x"
    found = explained(table, predictors=["queue", "flagged"])
    segments = found.effects.groupby("dimension")["segment"].unique()
    assert set(segments["queue"]) == {"image", "video", "(missing)"}
    assert set(segments["flagged"]) == {"false", "true"}


def test_numbers_can_be_levels_and_expressions_predictors():
    table = decisions().assign(grade=lambda t: t["day"] % 3)
    as_levels = explained(table, predictors=["grade"], categorical=["grade"])
    assert as_levels.predictors["dimension"].tolist() == ["grade", "(constant)", "grade"]
    assert set(as_levels.effects["segment"].dropna()) == {"0", "1", "2"}
    squared = explained(table, predictors=["length", "length * length"])
    table["square"] = table["length"] ** 2
    stored = explained(table, predictors=["length", "square"])
    np.testing.assert_allclose(squared.effects["estimate"], stored.effects["estimate"])


def test_nulls_are_listed_or_dropped_with_a_warning():
    table = decisions()
    table.loc[[3, 5], "length"] = np.nan
    table.loc[7, "seconds"] = np.inf
    with pytest.raises(DataContractError) as raised:
        explained(table)
    found = {(f["column"], f["problem"]): f["rows"] for f in raised.value.findings}
    assert found[("seconds", "infinite values")] == [7]
    assert [3, 5] in found.values()
    with pytest.warns(DataQualityWarning, match="3 rows break the data contract"):
        dropped = explained(table, on_invalid="drop")
    clean = explained(table.drop(index=[3, 5, 7]))
    np.testing.assert_allclose(dropped.effects["estimate"], clean.effects["estimate"])
    assert "dropped_rows" in set(dropped.check()["code"])


def test_every_engine_gives_the_same_answer(tmp_path):
    import duckdb
    import polars as pl

    table = decisions()
    path = tmp_path / "decisions.csv"
    table.to_csv(path, index=False)
    wanted = explained(table, cluster="moderator_id", where="day < 15").effects
    relation = duckdb.connect().sql(f"FROM read_csv('{path}')")
    for data in (pl.from_pandas(table), pl.from_pandas(table).lazy(), str(path),
                 f"SELECT * FROM read_csv('{path}')", relation):  # fmt: skip
        found = explained(data, cluster="moderator_id", where="day < 15").effects
        pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-9)


def test_periods_can_be_the_groups_and_lists_of_them_are_pooled():
    table = decisions()
    found = oaxaca(table, "seconds", "length", "day", [0, 1, "2"], range(3, 20))
    early = table["day"] < 3
    assert found.total.baseline == pytest.approx(table["seconds"][early].mean())
    assert found.provenance["baseline"] == "0 + 1 + 2"


def test_results_are_frozen_comparable_and_travel():
    found = explained(decisions(), cluster="moderator_id")
    again = pickle.loads(pickle.dumps(found))
    assert again == found == copy.copy(found)
    assert found != explained(decisions(), reference=0, cluster="moderator_id")
    pd.testing.assert_frame_equal(again.effects, found.effects)
    with pytest.raises(AttributeError):
        found.findings = ()
    assert repr(found).startswith("<Oaxaca seconds: A ")
    assert "explained +" in repr(found)


def test_importing_the_module_loads_no_model_library():
    code = "import sys, attribution.regression; print('statsmodels' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def _lacking(t: pd.DataFrame) -> pd.DataFrame:
    return t[(t["site"] == "A") | (t["queue"] != "video")]


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (None, {"predictors": []}, OptionError, "predictors: an empty list"),
        (None, {"predictors": ["lenght"]}, ColumnNotFoundError, "predictors: no column 'lenght'. Did you mean 'length'?"),
        (None, {"predictors": ["queue", "queue"]}, OptionError, "'queue' is named twice"),
        (None, {"predictors": [3]}, ColumnTypeError, "predictors: 3 is not text"),
        (None, {"predictors": ["seconds"]}, OptionError, "'seconds' is also the outcome"),
        (None, {"predictors": ["site"]}, OptionError, "'site' is also the group"),
        (None, {"outcome": "queue", "predictors": "length"}, ColumnTypeError, "outcome: 'queue' is text, not a number"),
        (None, {"kind": "fourfold"}, OptionError, "kind: 'fourfold' is not one of"),
        (None, {"reference": "poled"}, OptionError, "Did you mean 'pooled'?"),
        (None, {"reference": 2}, OptionError, "reference: 2 is not a number from 0"),
        (None, {"reference": True}, OptionError, "reference: True is not a number from 0"),
        (None, {"kind": "threefold", "reference": 0}, OptionError, "threefold has none"),
        (None, {"model": "probit"}, OptionError, "model: 'probit' is not one of"),
        (None, {"adjust": "bonferroni"}, OptionError, "adjust: 'bonferroni'"),
        (None, {"conf_level": 95}, OptionError, "conf_level: 95"),
        (None, {"categorical": ["day"]}, OptionError, "categorical: 'day' is not one of"),
        (None, {"cluster": ["moderator_id", "day", "policy"]}, OptionError, "cluster: 3 columns"),
        (None, {"where": "day > 99"}, OptionError, "where: 'day > 99' leaves no rows"),
        (None, {"where": "site == 'A'"}, PeriodError, "leaves no rows of period 'B'"),
        (None, {"model": "logit"}, DataContractError, "values other than 0 and 1"),
        (_lacking, {}, IdentificationError, "no queue 'video' in 'B'"),
        (lambda t: t.assign(twice=2 * t["length"] + 1), {"predictors": ["length", "twice"]},
         IdentificationError, "determine 'twice'"),
        (lambda t: t.assign(copy=t["queue"].str.upper()), {"predictors": ["queue", "copy"]},
         IdentificationError, "determine 'copy TEXT', 'copy VIDEO'"),
        (lambda t: t.assign(flat=1.5), {"predictors": ["flat"]}, IdentificationError, "'flat'"),
        (lambda t: t.assign(one="x"), {"predictors": ["one"]}, IdentificationError,
         "'one' is 'x' in every row"),
        (lambda t: t.assign(when=pd.Timestamp("2026-01-01")), {"predictors": ["when"]},
         ColumnTypeError, "'when' is a time, neither a number nor text"),
        (lambda t: t.assign(id=np.arange(len(t)).astype(str)), {"predictors": ["id"]},
         OptionError, "'id' has 1,200 levels"),
        (lambda t: t.assign(w=-t["w"]), {"weight": "w"}, DataContractError, "negative values"),
        (lambda t: t.assign(moderator_id=None), {"cluster": "moderator_id"}, DataContractError,
         "moderator_id: null values"),
        (lambda t: t.iloc[:0], {}, SourceError, "the table has no rows"),
        (lambda t: t.assign(overturned=(t["site"] == "A").astype(int)),
         {"model": "logit", "outcome": "overturned"}, IdentificationError, "is 1 in every row of 'A'"),
        (lambda t: t.assign(overturned=t["overturned"].where(t["queue"] != "video", 1)),
         {"model": "logit", "outcome": "overturned"}, IdentificationError,
         "the logit of the baseline group has no finite coefficients"),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_refused_by_name(change, options, error, words):
    table = decisions() if change is None else change(decisions())
    with pytest.raises(error) as raised:
        explained(table, **options)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("baseline", "current", "error", "words"),
    [
        ("A", "C", PeriodError, "group: no 'C' in column 'site'"),
        ("A", ["A", "B"], OptionError, "baseline and current overlap: 'A'"),
        ([], "B", OptionError, "baseline: an empty list"),
        (None, "B", PeriodError, "group: None is no"),
    ],
)
def test_groups_that_are_not_there_are_refused_by_name(baseline, current, error, words):
    with pytest.raises(error) as raised:
        oaxaca(decisions(), "seconds", "length", "site", baseline, current)
    assert words in str(raised.value)

"""Samples: inclusion weights, full decision counts beside them, and conditions on rows."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import attribution as at
from attribution import errors

BY = ["queue", "market"]
ASK = {
    "by": BY, "period": "month", "baseline": "2026-08", "current": "2026-09",
    "cluster": "moderator",
}  # fmt: skip


def reviews() -> pd.DataFrame:
    """A sample that takes more of the hard queue in the second month."""
    rng = np.random.default_rng(4)
    n = 1600
    month, market = rng.integers(8, 10, n), rng.integers(0, 3, n)
    hard = rng.random(n) < np.where(month == 8, 0.3, 0.6)
    queue = np.where(hard, 2, rng.integers(0, 2, n))
    return pd.DataFrame(
        {
            "month": [f"2026-{m:02d}" for m in month],
            "queue": np.array(["chat", "live", "video"])[queue],
            "market": np.array(["BR", "ID", "JP"])[market],
            "moderator": rng.integers(0, 30, n),
            "inclusion_prob": np.where(hard, 0.5, 0.1),
            "design": np.where(rng.random(n) < 0.1, "targeted", "random"),
            "correct": (rng.random(n) < 0.92 - 0.07 * queue - 0.03 * market).astype(int),
        }
    )


def full_counts(rows: pd.DataFrame) -> pd.DataFrame:
    sampled = rows.groupby(["month", *BY]).size()
    more = np.random.default_rng(5).integers(5, 30, len(sampled))
    return (sampled * more).rename("decisions").reset_index()


ROWS = reviews()
COUNTS = full_counts(ROWS)


def explain(rows: pd.DataFrame = ROWS, **options) -> at.Attribution:
    return at.explain(rows, at.Rate("correct", name="Accuracy"), **{**ASK, **options})


@functools.cache
def scanned(counted: bool) -> at.Cube:
    return at.Cube.from_data(
        ROWS, at.Rate("correct", name="Accuracy"), BY, period="month", cluster="moderator",
        volume=COUNTS if counted else None,
    )  # fmt: skip


def plain() -> at.Attribution:
    return scanned(False).explain(baseline="2026-08", current="2026-09")


def counted(**options) -> at.Attribution:
    return scanned(True).explain(baseline="2026-08", current="2026-09", **options)


@functools.cache
def weighted() -> at.Attribution:
    return explain(weight="1 / inclusion_prob")


def line(change: at.Attribution, effect: str) -> pd.Series:
    return change.effects.query("effect == @effect").iloc[0]


def warned(change: at.Attribution, code: str) -> pd.Series:
    return change.check().query("code == @code").iloc[0]


# -- weight -----------------------------------------------------------------------------------


def test_an_expression_weighs_as_its_column_does():
    column = explain(ROWS.assign(weight=1 / ROWS["inclusion_prob"]), weight="weight")
    written = weighted()
    pd.testing.assert_frame_equal(written.effects, column.effects, rtol=1e-12)
    assert written.provenance["weight"] == "1 / inclusion_prob"
    weight = 1 / ROWS["inclusion_prob"]
    for month, found in (("2026-08", written.total.baseline), ("2026-09", written.total.current)):
        here = ROWS["month"] == month
        assert found == pytest.approx(np.average(ROWS["correct"][here], weights=weight[here]))
    assert written.total != plain().total


def test_a_weighted_change_has_the_linearized_error():
    change = explain(weight="1 / inclusion_prob", cluster=None)
    variance = 0.0
    for month, R in (("2026-08", change.total.baseline), ("2026-09", change.total.current)):
        here = ROWS[ROWS["month"] == month]
        w = 1 / here["inclusion_prob"]
        variance += (w**2 * (here["correct"] - R) ** 2).sum() / w.sum() ** 2
    n = len(ROWS)
    assert change.total.std_error == pytest.approx(np.sqrt(n / (n - 1) * variance))


def test_the_scale_of_weights_does_not_matter():
    light = explain(ROWS.assign(weight=0.01 / ROWS["inclusion_prob"]), weight="weight")
    columns = ["estimate", "std_error", "conf_low", "p_value"]
    pd.testing.assert_frame_equal(light.effects[columns], weighted().effects[columns], rtol=1e-9)


BAD = {
    "zero": (0.0, "weight: zero values in 1 row (7)"),
    "negative": (-1.0, "weight: negative values in 1 row (7)"),
    "infinite": (np.inf, "weight: infinite values in 1 row (7)"),
    "NaN": (np.nan, "weight: null values in 1 row (7)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_weight_is_a_positive_number(case):
    value, words = BAD[case]
    weight = (1 / ROWS["inclusion_prob"]).where(ROWS.index != 7, value)
    with pytest.raises(errors.DataContractError) as caught:
        explain(ROWS.assign(weight=weight), weight="weight")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.2, "1 / inclusion_prob: inclusion probabilities above 1 in 1 row (7)"),
        (0.0, "1 / inclusion_prob: zero or null probabilities in 1 row (7)"),
        (-0.5, "1 / inclusion_prob: negative values in 1 row (7)"),
        (None, "1 / inclusion_prob: zero or null probabilities in 1 row (7)"),
    ],
)
def test_an_inclusion_probability_lies_between_0_and_1(value, words):
    given = ROWS["inclusion_prob"].where(ROWS.index != 7, value)
    with pytest.raises(errors.DataContractError) as caught:
        explain(ROWS.assign(inclusion_prob=given), weight="1 / inclusion_prob")
    assert words in str(caught.value)


def test_an_inclusion_probability_may_be_1():
    everyone = explain(ROWS.assign(inclusion_prob=1.0), weight="1 / inclusion_prob")
    assert everyone.total.change == pytest.approx(plain().total.change)


def test_weights_below_1_are_a_finding():
    share = explain(ROWS.assign(weight=ROWS["inclusion_prob"]), weight="weight")
    found = warned(share, "weights_below_1")
    assert found["severity"] == "warning"
    assert found["facts"]["rows"] == len(ROWS)
    assert "1,600 rows have a 'weight' below 1" in found["message"]
    scaled = ROWS["inclusion_prob"] / ROWS["inclusion_prob"].mean()
    mean_1 = explain(ROWS.assign(weight=scaled), weight="weight")
    assert warned(mean_1, "weights_below_1")["severity"] == "info"
    assert "weights_below_1" not in weighted().check()["code"].tolist()


# -- where ------------------------------------------------------------------------------------


def test_a_condition_leaves_rows_out_and_is_on_record():
    condition = "design == 'random'"
    change = explain(where=condition)
    kept = explain(ROWS[ROWS["design"] == "random"])
    pd.testing.assert_frame_equal(change.effects, kept.effects, rtol=1e-10)
    assert change.provenance["where"] == condition
    assert change.provenance["rows"] == (ROWS["design"] == "random").sum()
    assert f"Rows where {condition}." in change.summary()
    assert change.to_dict()["provenance"]["where"] == condition
    assert plain().provenance["where"] is None


def test_rows_that_a_condition_leaves_out_need_no_weight():
    weight = (1 / ROWS["inclusion_prob"]).where(ROWS["design"] == "random", 0.0)
    rows = ROWS.assign(weight=weight)
    change = explain(rows, weight="weight", where="design != 'targeted'")
    assert change.cube.provenance["rows"] == (ROWS["design"] == "random").sum()
    with pytest.raises(errors.DataContractError, match="weight: zero values in"):
        explain(rows, weight="weight")


def test_a_condition_that_leaves_nothing_is_an_error():
    with pytest.raises(errors.OptionError, match="where: \"design == 'void'\" leaves no rows"):
        explain(where="design == 'void'")
    with pytest.raises(errors.PeriodError, match="where: .* leaves no rows of period '2026-09'"):
        explain(where="month == '2026-08'")


# -- volume: the figures ----------------------------------------------------------------------


def test_with_known_rates_the_mix_is_that_of_the_counts_without_any_error():
    # Every segment is all right or all wrong: its rate is known from the sample.
    right = ROWS["queue"].eq("chat") | ROWS["market"].eq("JP")
    sample = explain(ROWS.assign(correct=right.astype(int)), volume=COUNTS)
    assert sample._parts.form == "saturated"
    counted = COUNTS["queue"].eq("chat") | COUNTS["market"].eq("JP")
    truth = at.explain(
        COUNTS.assign(correct=COUNTS["decisions"] * counted), "correct / decisions",
        **{**ASK, "cluster": None},
    )  # fmt: skip
    for effect in ("mix", "joint", "rate"):
        known = sample.effects[sample.effects["effect"] == effect]
        expected = truth.effects.loc[truth.effects["effect"] == effect, "estimate"]
        np.testing.assert_allclose(known["estimate"], expected, atol=1e-14)
        np.testing.assert_array_equal(known["std_error"], 0)
        assert known["p_value"].isna().all()
    # All the doubt there is lies in how the sample was drawn.
    assert line(sample, "sampling")["estimate"] == pytest.approx(
        sample.total.change - truth.total.change
    )
    assert line(sample, "sampling")["std_error"] > 0


@pytest.mark.parametrize(("rates", "method"), [("auto", "midpoint"), ("additive", "threefold")])
def test_the_bridge_leads_to_the_headline(rates, method):
    change = counted(rates=rates, method=method)
    effects = change.effects
    assert change.total == plain().total
    assert effects["effect"].tolist().count("sampling") == 1
    assert effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-14)
    shown = [round(100 * x, 2) for x in (change.total.baseline, change.total.current)]
    assert sum(change.bridge().shown()) == pytest.approx(shown[1] - shown[0], abs=1e-9)


def post_stratified(rows: pd.DataFrame, counts: pd.DataFrame) -> pd.Series:
    """sum_c V_c / V r_c of each month."""
    rate = rows.groupby(["month", *BY])["correct"].mean()
    volume = counts.set_index(["month", *BY])["decisions"]
    return (rate * volume).groupby("month").sum() / volume.groupby("month").sum()


def test_sampling_separates_the_sample_from_the_counts():
    change = counted()
    kpi = post_stratified(ROWS, COUNTS)
    moved = kpi["2026-09"] - kpi["2026-08"]
    sampling = line(change, "sampling")["estimate"]
    assert sampling == pytest.approx(change.total.change - moved, abs=1e-14)
    found = warned(change, "known_volumes")
    assert found["facts"]["sampling"] == pytest.approx(sampling)
    assert found["facts"]["unsampled_baseline"] == 0
    # The sample took more of the hard queue; the counts know better.
    assert sampling < -0.01
    assert "Sampling" in change.summary()
    assert "mix from full counts" in change.summary()


@pytest.mark.parametrize("finite", [False, True])
def test_rates_have_the_error_of_a_post_stratified_sample(finite):
    counts = COUNTS.groupby(["month", "queue"], as_index=False)["decisions"].sum()
    change = explain(by="queue", volume=counts, cluster=None, finite_population=finite)
    cells = ROWS.groupby(["month", "queue"])["correct"].agg(["mean", "size"])
    V = counts.set_index(["month", "queue"])["decisions"]
    share = (V / V.groupby("month").sum()).unstack("month").mean(axis=1)
    n = cells["size"]
    assert n.min() > 10
    variance = cells["mean"] * (1 - cells["mean"]) / (n - 1)
    if finite:
        variance = variance * (1 - n / V)
    total = (share**2 * variance.unstack("month").sum(axis=1)).sum()
    by_hand = np.sqrt(len(ROWS) / (len(ROWS) - 1) * total)
    assert line(change, "rate")["std_error"] == pytest.approx(by_hand, rel=1e-9)


def test_shares_are_those_of_the_counts_and_have_no_error():
    levels = counted().levels("queue").set_index("segment")
    V = COUNTS.groupby(["month", "queue"])["decisions"].sum().unstack("month")
    np.testing.assert_allclose(levels["share_current"], V["2026-09"] / V["2026-09"].sum())
    assert (levels["share_current_std_error"] == 0).all()
    assert levels["n_current"].sum() == (ROWS["month"] == "2026-09").sum()
    observed = ROWS.groupby(["month", "queue"])["correct"].mean()["2026-09"]
    np.testing.assert_allclose(levels["rate_current"], observed)


def test_shares_of_the_counts_need_no_clusters():
    few = ROWS.assign(moderator=np.where(ROWS["queue"] == "live", 0, ROWS["moderator"]))
    levels = explain(few, volume=COUNTS).levels("queue").set_index("segment")
    assert (levels["share_current_std_error"] == 0).all()
    assert np.isnan(levels.loc["live", "rate_current_std_error"])


def test_a_counted_segment_that_was_never_sampled_gets_a_fitted_rate():
    rows = ROWS[ROWS["queue"].ne("live") & ROWS["market"].ne("JP")]
    counts = COUNTS[COUNTS["queue"].ne("live") & COUNTS["market"].ne("JP")]
    hidden = rows["queue"].eq("video") & rows["market"].eq("ID")
    change = explain(rows[~hidden], volume=counts)
    assert change._parts.form == "additive"
    assert "1 counted segments were never sampled" in change.provenance["rates_because"]
    seen = rows[~hidden].groupby(["month", *BY])["correct"].mean()
    share = counts.set_index(["month", *BY])["decisions"]
    share = share / share.groupby("month").sum()
    kpi = {}
    for month in ("2026-08", "2026-09"):
        r = seen[month]
        # Three cells of a 2 x 2 table determine the fourth.
        r["video", "ID"] = r["video", "BR"] + r["chat", "ID"] - r["chat", "BR"]
        kpi[month] = (share[month] * r).sum()
    sampling = change.total.change - (kpi["2026-09"] - kpi["2026-08"])
    assert line(change, "sampling")["estimate"] == pytest.approx(sampling, abs=1e-12)
    facts = warned(change, "known_volumes")["facts"]
    assert facts["unsampled_current"] == pytest.approx(share["2026-09", "video", "ID"])
    with pytest.raises(errors.OptionError, match="1 counted segments were never sampled"):
        explain(rows[~hidden], volume=counts, rates="saturated")


def entering() -> tuple[pd.DataFrame, pd.DataFrame]:
    new = ROWS[ROWS["month"] == "2026-09"].head(90).assign(queue="shop")
    more = COUNTS[COUNTS["month"] == "2026-09"].head(3).assign(queue="shop", decisions=400)
    return pd.concat([ROWS, new]), pd.concat([COUNTS, more])


def test_a_level_that_enters_counts_with_its_volume():
    rows, counts = entering()
    change = explain(rows, volume=counts)
    inside = post_stratified(ROWS, COUNTS)["2026-09"]
    rate = rows[rows["queue"] == "shop"].groupby("market")["correct"].mean()
    V = counts[counts["month"] == "2026-09"]["decisions"].sum()
    by_hand = 400 / V * (rate - inside).sum()
    assert line(change, "entry")["estimate"] == pytest.approx(by_hand)
    assert line(change, "entry")["segment"] == "shop"
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-14)
    level = change.levels("queue").query("segment == 'shop'").iloc[0]
    assert level["total"] == pytest.approx(by_hand)
    assert level["share_current"] == pytest.approx(1200 / V)


@pytest.mark.parametrize("rates", ["additive", "saturated"])
def test_an_entry_has_one_error_in_every_view(rates):
    rows, counts = entering()
    change = explain(rows, volume=counts, rates=rates)
    level = change.levels("queue").query("segment == 'shop'").iloc[0]
    assert level["total_std_error"] == pytest.approx(line(change, "entry")["std_error"])


def test_a_crossing_of_new_levels_without_a_sample_moves_nothing():
    rows, counts = entering()
    other = ROWS[ROWS["month"] == "2026-09"].tail(90).assign(market="NG")
    more = COUNTS[COUNTS["month"] == "2026-09"]
    more = more.drop_duplicates("queue").assign(market="NG", decisions=300)
    crossing = more.head(1).assign(queue="shop")
    change = explain(pd.concat([rows, other]), volume=pd.concat([counts, more, crossing]))
    named = change.effects.set_index("segment")["estimate"]
    share = 300 / (counts[counts["month"] == "2026-09"]["decisions"].sum() + 1200)
    # A rate of 0 would be some -80 pp times the share.
    assert abs(named["shop × NG"]) < 0.2 * share


def test_an_entry_of_one_row_per_segment_has_the_noise_of_its_rows():
    rng = np.random.default_rng(6)
    rows = pd.DataFrame({"month": np.repeat(["2026-08", "2026-09"], 1000), "queue": "video"})
    rows["market"] = np.arange(2000) % 50
    new = pd.DataFrame({"month": "2026-09", "queue": "shop", "market": range(50)})
    rows = pd.concat([rows, new], ignore_index=True)
    rows["correct"] = rng.random(len(rows)) < 0.8
    counts = rows.groupby(["month", *BY]).size().mul(100).rename("decisions").reset_index()
    entry = line(explain(rows, volume=counts, cluster=None), "entry")
    r = rows.loc[rows["queue"] == "shop", "correct"].mean()
    # The share of the new queue times the error of a rate of 50 rows.
    assert entry["std_error"] > 50 / 1050 * np.sqrt(r * (1 - r) / 50)


def test_parts_add_up_and_are_those_of_the_part_alone():
    part = counted().within(queue="video")
    alone = explain(
        ROWS[ROWS["queue"] == "video"], by="market",
        volume=COUNTS[COUNTS["queue"] == "video"].drop(columns="queue"),
    )  # fmt: skip
    assert part.effects["estimate"].sum() == pytest.approx(part.total.change, abs=1e-14)
    pd.testing.assert_frame_equal(part.effects, alone.effects, rtol=1e-9, atol=1e-14)


# -- volume: for these decisions alone --------------------------------------------------------


def test_a_finite_population_leaves_less_doubt():
    process, decisions = (counted(rates="additive", finite_population=f) for f in (False, True))
    assert decisions.effects["estimate"].tolist() == process.effects["estimate"].tolist()
    varies = process.effects["std_error"] > 0
    ratio = (decisions.effects["std_error"] / process.effects["std_error"])[varies]
    # Of 5 to 30 decisions one was reviewed.
    assert ratio.between(np.sqrt(1 - 1 / 5), np.sqrt(1 - 1 / 30)).all()
    assert decisions.total.std_error < process.total.std_error
    assert decisions.provenance["finite_population"] is True
    assert "for these decisions alone" in decisions.summary()


def test_a_finite_population_takes_observed_rates_of_clusters():
    changes = [counted(rates="saturated", finite_population=f) for f in (False, True)]
    errors_of = [change.effects["std_error"] for change in changes]
    assert (errors_of[1] < errors_of[0]).all()


@pytest.mark.parametrize(
    "cluster",
    [
        None,
        "moderator",
    ],
)
def test_a_full_review_leaves_no_doubt(cluster):
    everything = ROWS.groupby(["month", *BY]).size().rename("decisions").reset_index()
    change = explain(volume=everything, finite_population=True, rates="additive", cluster=cluster)
    assert change.total.std_error == 0
    assert change.verdict == "real"
    np.testing.assert_array_equal(change.effects["std_error"], 0)
    assert line(change, "sampling")["estimate"] == pytest.approx(0, abs=1e-12)


def test_a_finite_population_needs_counts_and_no_bootstrap():
    with pytest.raises(errors.OptionError, match="finite_population: it needs the full counts"):
        explain(finite_population=True)
    with pytest.raises(errors.OptionError, match="finite_population: it needs inference='analytic"):
        counted(finite_population=True, inference="bootstrap")
    with pytest.raises(errors.OptionError, match="finite_population: it needs the full counts"):
        scanned(False).explain(baseline="2026-08", current="2026-09", finite_population=True)


# -- volume: the table ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv", "named", "polars"])
def test_counts_come_in_any_table(kind, tmp_path: Path):
    COUNTS.to_parquet(tmp_path / "counts.parquet")
    COUNTS.to_csv(tmp_path / "counts.csv", index=False)
    table = {
        "parquet": tmp_path / "counts.parquet",
        "csv": str(tmp_path / "*.csv"),
        "named": (COUNTS.assign(backlog=3.5), "decisions"),
        "polars": pl.from_pandas(COUNTS),
    }[kind]
    change = explain(volume=table)
    assert change == counted()
    named = str(table) if kind in ("parquet", "csv") else "table"
    assert change.provenance["volume"] == named


FIRST = COUNTS.iloc[0]
NAME = f"{FIRST['queue']} × {FIRST['market']} in {FIRST['month']}"
TABLES = {
    "lacks a sampled segment": (
        COUNTS.iloc[1:], errors.DataContractError, ["sampled segments without a count (1)", NAME]),
    "twice": (
        pd.concat([COUNTS, COUNTS.head(2)]), errors.DataContractError,
        ["segments that come more than once (2)", NAME, "Sum them first"]),
    "below the sample": (
        COUNTS.assign(decisions=COUNTS["decisions"].where(COUNTS.index > 0, 2)),
        errors.DataContractError, ["segments with more sampled than counted (1)", NAME,
        "of 2)"]),
    "several numbers": (
        COUNTS.assign(hours=1.5), errors.OptionError,
        ["'decisions', 'hours' are numbers", "volume=(table, 'decisions')"]),
    "no number": (
        COUNTS.drop(columns="decisions"), errors.ColumnNotFoundError, ["no column of counts"]),
    "no such column": (
        (COUNTS, "decision"), errors.ColumnNotFoundError,
        ["no column 'decision'", "Did you mean 'decisions'"]),
    "a missing period": (
        COUNTS[COUNTS["month"] == "2026-08"], errors.PeriodError, ["no '2026-09' in column"]),
    "a missing dimension": (
        COUNTS.drop(columns="market"), errors.ColumnNotFoundError, ["no column 'market'"]),
    "a missing period column": (
        COUNTS.rename(columns={"month": "months"}), errors.ColumnNotFoundError,
        ["no column 'month'", "Did you mean 'months'"]),
    "a level never sampled": (
        pd.concat([COUNTS, COUNTS.head(1).assign(queue="shop", decisions=9)]),
        errors.DataContractError, ["never sampled", "queue shop (", "mapping="]),
    "null": (
        COUNTS.assign(decisions=COUNTS["decisions"].astype(float).where(COUNTS.index > 0)),
        errors.DataContractError, ["decisions: null values in 1 row"]),
    "no table": (5, errors.ColumnTypeError, ["is not a table"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_counts_that_do_not_fit_are_refused(case):
    table, error, words = TABLES[case]
    with pytest.raises(error) as caught:
        explain(volume=table)
    message = str(caught.value)
    assert message.startswith("volume: ")
    for word in words:
        assert word in message


def test_a_mapping_merges_the_levels_of_both_tables():
    merged = explain(volume=COUNTS, mapping={"queue": {"live": "video"}})
    V = COUNTS.replace({"queue": {"live": "video"}})
    V = V.groupby(["month", *BY], as_index=False)["decisions"].sum()
    own = explain(ROWS.replace({"queue": {"live": "video"}}), volume=V)
    pd.testing.assert_frame_equal(merged.effects, own.effects, rtol=1e-10)
    # So levels may have another name in each.
    other = COUNTS.replace({"queue": {"live": "Live streams"}})
    renamed = explain(volume=other, mapping={"queue": {"Live streams": "live"}})
    pd.testing.assert_frame_equal(renamed.effects, counted().effects, rtol=1e-10)
    with pytest.raises(errors.DataContractError, match=r"volume: .*mapping="):
        explain(volume=other)


def test_a_saved_cube_keeps_its_counts(tmp_path: Path):
    scanned(True).save(tmp_path / "reviews.cube")
    loaded = at.Cube.load(tmp_path / "reviews.cube")
    ask = {"baseline": "2026-08", "current": "2026-09"}
    pd.testing.assert_frame_equal(loaded.explain(**ask).effects, counted().effects)
    queues = loaded.rollup(["queue"])
    assert queues.volume is not None
    assert queues.volume.sum() == COUNTS["decisions"].sum()
    assert "sampling" in queues.explain(**ask).effects["effect"].tolist()


def test_neither_table_is_changed():
    rows, counts = ROWS.copy(deep=True), COUNTS.copy(deep=True)
    explain(volume=COUNTS).levels("queue")
    pd.testing.assert_frame_equal(ROWS, rows)
    pd.testing.assert_frame_equal(COUNTS, counts)

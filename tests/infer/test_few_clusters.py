"""Few clusters: wide intervals or none, said in words; and clusters of two kinds."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import attribution as at

ASK = {"by": ["queue", "market"], "period": "month", "baseline": 1, "current": 2}


def reviews(people: int = 40, rows: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    who, month = rng.integers(0, people, rows), rng.integers(1, 3, rows)
    queue, market = rng.integers(0, 3, rows), rng.integers(0, 3, rows)
    day = rng.integers(0, 15, rows) + 15 * (month - 1)
    p = 0.85 - 0.04 * queue + rng.normal(0, 0.03, people)[who] + rng.normal(0, 0.03, 30)[day]
    return pd.DataFrame(
        {
            "month": month,
            "queue": queue,
            "market": market,
            "moderator_id": who,
            "day": day,
            "correct": (rng.random(rows) < p).astype(int),
        }
    )


ROWS = reviews()
ALONE = ROWS.assign(moderator_id="only")


@functools.cache
def launched(people: int) -> pd.DataFrame:
    """A queue that starts with a few moderators, all bad at it alike."""
    new = ROWS[ROWS["month"] == 2].head(60)
    flags = np.tile([1, 0, 0, 0, 0], 12)
    return pd.concat(
        [ROWS, new.assign(queue=9, moderator_id=np.arange(60) % people, correct=flags)]
    )


# One scan per table, however often it is asked about.
SCANNED: dict[tuple[int, str], tuple[pd.DataFrame, at.Cube]] = {}


def explain(rows: pd.DataFrame, **options) -> at.Attribution:
    asked = {"cluster": "moderator_id", **ASK, **options}
    read = {k: asked.pop(k) for k in ("by", "period", "cluster", "on_invalid") if k in asked}
    key = id(rows), str(read)
    if key not in SCANNED:
        SCANNED[key] = rows, at.Cube.from_data(rows, at.Rate("correct"), **read)
    return SCANNED[key][1].explain(**asked)


def entry(change: at.Attribution) -> pd.Series:
    return change.effects.query("effect == 'entry'").iloc[0]


def messages(change: at.Attribution, code: str) -> list[str]:
    return change.check().query("code == @code")["message"].tolist()


# -- lines that rest on few -------------------------------------------------------------------


@pytest.mark.parametrize(("people", "few"), [(2, True), (5, True), (6, False), (20, False)])
def test_a_line_of_fewer_than_6_clusters_is_widened_and_makes_no_claim(people, few):
    change = explain(launched(people))
    line, level = entry(change), change.levels("queue").query("segment == '9'").iloc[0]
    half = (line["conf_high"] - line["conf_low"]) / 2
    # Degrees of its own clusters, not of all 40.
    assert half == pytest.approx(stats.t.ppf(0.975, people - 1) * line["std_error"], rel=1e-9)
    assert np.isnan(line["p_adjusted"]) == few
    assert np.isnan(level["total_p_adjusted"]) == few
    # What p-value there is belongs to the widened interval.
    assert line["p_value"] == pytest.approx(
        2 * stats.t.sf(abs(line["estimate"] / line["std_error"]), people - 1), rel=1e-9
    )
    assert level["note"] == ("too few moderators" if few else "")
    assert level["total_conf_low"] == pytest.approx(line["conf_low"])
    bar = change.bridge().bars[-1]
    assert bar.label == "New: 9"
    assert bar.note == level["note"]
    assert ("too few moderators" in change.summary()) == few


def test_a_line_of_a_single_cluster_has_an_estimate_only():
    change = explain(launched(1))
    line, level = entry(change), change.levels("queue").query("segment == '9'").iloc[0]
    known = ["std_error", "conf_low", "conf_high", "p_value", "p_adjusted"]
    assert line[known].isna().all()
    assert np.isfinite(line["estimate"])
    assert level[[f"total_{x}" for x in known]].isna().all()
    assert level["note"] == "too few moderators"
    assert change.conf_int().loc["entry[queue: 9]"].isna().all()
    # The others and the total keep what is known of them.
    assert change.effects["std_error"].iloc[:-1].notna().all()
    assert np.isfinite(change.total.std_error)


def test_few_clusters_behind_a_line_are_a_finding():
    change = explain(launched(4))
    (message,) = messages(change, "too_few_units")
    assert message.startswith("Too few moderators (below 6 in a period) stand behind New: 9")
    facts = change.check().query("code == 'too_few_units'")["facts"].iloc[0]
    assert facts == {"lines": ["New: 9"], "levels": ["queue 9"]}
    assert messages(explain(ROWS), "too_few_units") == []


@pytest.mark.parametrize("people", [1, 4])
def test_a_hypothesis_about_such_a_line_is_no_more_certain_than_its_interval(people):
    change = explain(launched(people))
    line = entry(change)
    if people == 1:
        with pytest.raises(at.errors.OptionError):
            change.test("entry[9] = 0")
    else:
        assert change.test("entry[9] = 0").p_value >= line["p_value"] - 1e-9


def test_the_covariance_knows_no_more_than_the_standard_errors():
    change = explain(launched(1))
    np.testing.assert_allclose(np.diag(change.cov), change.effects["std_error"] ** 2, rtol=1e-9)


def test_levels_of_few_clusters_are_widened_in_mix_and_rate():
    rare = ROWS.assign(queue=np.where(ROWS["moderator_id"] < 3, 7, ROWS["queue"]))
    row = explain(rare).levels("queue").query("segment == '7'").iloc[0]
    for part in ("mix", "rate", "total"):
        half = (row[f"{part}_conf_high"] - row[f"{part}_conf_low"]) / 2
        assert half == pytest.approx(stats.t.ppf(0.975, 2) * row[f"{part}_std_error"])
        assert np.isnan(row[f"{part}_p_adjusted"])
    assert row["note"] == "too few moderators"


# -- few in all -------------------------------------------------------------------------------


@pytest.mark.parametrize(("people", "warned"), [(3, True), (11, True), (12, False)])
def test_fewer_than_12_clusters_are_a_warning(people, warned):
    change = explain(ROWS.assign(moderator_id=ROWS["moderator_id"] % people))
    found = change.check().query("code == 'few_clusters'")
    assert found["severity"].tolist() == ["warning"] * warned
    if warned:
        assert found["facts"].iloc[0]["clusters"] == people
        assert f"{people} clusters (moderator_id)" in found["message"].iloc[0]
        assert f"{people - 1} degrees of freedom" in found["message"].iloc[0]
    half = (change.total.conf_high - change.total.conf_low) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, people - 1) * change.total.std_error)


def test_one_cluster_in_a_period_gives_no_interval_and_no_verdict():
    rows = ROWS.assign(moderator_id=np.where(ROWS["month"] == 2, 0, ROWS["moderator_id"]))
    change = explain(rows)
    assert change._units.count == 40
    assert np.isfinite(change.total.change)
    assert np.isnan([change.total.std_error, change.total.conf_low, change.total.p_value]).all()
    assert change.verdict == "inconclusive"
    assert "fewer than two independent units stand behind a period" in change.summary()
    assert change.effects["std_error"].isna().all()
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change)
    levels = change.levels("queue")
    assert levels["share_baseline_std_error"].notna().all()
    assert levels["share_current_std_error"].isna().all()


def test_a_constant_cluster_column_is_said_to_be_one():
    change = explain(ALONE)
    assert change.verdict == "inconclusive"
    assert messages(change, "few_clusters") == [
        "There is one moderator_id only: no standard error can be computed."
    ]
    assert change.effects["p_adjusted"].isna().all()
    assert np.isnan(change.cov.to_numpy()).all()
    with pytest.raises(at.errors.OptionError, match="^hypothesis: "):
        change.test("rate = 0")


def test_where_no_error_is_known_nothing_is_said_about_noise():
    text = explain(ALONE).summary()
    assert "stands out from noise" not in text


def test_one_cluster_has_no_simultaneous_intervals_either():
    change = explain(ALONE)
    assert change.conf_int(simultaneous=True).isna().all(axis=None)


def test_a_cluster_per_row_is_named_and_means_independent_rows():
    each = explain(ROWS.assign(moderator_id=np.arange(len(ROWS))), rates="additive")
    (message,) = messages(each, "cluster_per_row")
    assert "'moderator_id' is different in nearly every row (3,000 of 3,000)" in message
    plain = explain(ROWS, cluster=None, rates="additive")
    np.testing.assert_allclose(each.effects["std_error"], plain.effects["std_error"], rtol=1e-9)
    assert messages(explain(ROWS), "cluster_per_row") == []


def test_a_null_cluster_is_named_with_its_rows():
    holes = ROWS["moderator_id"].astype(float).where(~ROWS.index.isin([3, 8]))
    with pytest.raises(at.errors.DataContractError) as caught:
        explain(ROWS.assign(moderator_id=holes))
    assert "moderator_id: null values in 2 rows (3, 8)" in str(caught.value)
    with pytest.warns(at.errors.DataQualityWarning, match="2 rows"):
        kept = explain(ROWS.assign(moderator_id=holes), on_invalid="drop")
    assert kept.cube.provenance["rows"] == 2998


# -- two kinds of clusters --------------------------------------------------------------------


def psi_by(change: at.Attribution, rows: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """What each group of rows adds to each line, centred: the gradient at its own sums."""
    cube, S = change.cube, len(change.cube.codes)
    names = [cube.segment_name(c) for c in range(S)]
    segment = rows["queue"].astype(str) + " × " + rows["market"].astype(str)
    column = segment.map({name: c for c, name in enumerate(names)}) + S * (rows["month"] - 1)
    g = rows.groupby(columns).ngroup()
    sums = np.zeros((g.max() + 1, 4 * S))
    np.add.at(sums, (g, column), 1.0)
    np.add.at(sums, (g, column + 2 * S), rows["correct"])
    psi = sums @ change._parts.gradient.toarray().T
    return psi - psi.mean(axis=0)


def variances(psi: np.ndarray) -> np.ndarray:
    return len(psi) / (len(psi) - 1) * (psi**2).sum(axis=0)


def test_two_kinds_of_clusters_add_up_less_their_crossing():
    both = explain(ROWS, cluster=["moderator_id", "day"], rates="additive")
    each = [explain(ROWS, cluster=c, rates="additive") for c in ("moderator_id", "day")]
    V_a, V_b, V_ab = (
        variances(psi_by(both, ROWS, columns))
        for columns in (["moderator_id"], ["day"], ["moderator_id", "day"])
    )
    varies = V_a > 1e-20
    by_hand = np.sqrt(np.maximum.reduce([V_a + V_b - V_ab, V_a, V_b]))
    np.testing.assert_allclose(both.effects["std_error"], np.where(varies, by_hand, 0), rtol=1e-9)
    for change, V in zip(each, (V_a, V_b), strict=True):
        own = change.effects["std_error"]
        np.testing.assert_allclose(own, np.where(varies, np.sqrt(V), 0), rtol=1e-9)
        assert (both.effects["std_error"] >= own * (1 - 1e-12)).all()
        assert both.total.std_error >= change.total.std_error * (1 - 1e-12)
    # Somewhere neither kind alone would do.
    assert (V_a + V_b - V_ab > 1.05 * np.maximum(V_a, V_b)).any()
    assert both.effects["estimate"].tolist() == each[0].effects["estimate"].tolist()


def test_the_covariance_of_two_kinds_has_the_variances_of_the_lines():
    change = explain(ROWS, cluster=["moderator_id", "day"])
    V = change.cov.to_numpy()
    np.testing.assert_allclose(np.diag(V), change.effects["std_error"] ** 2, rtol=1e-9)
    assert np.linalg.eigvalsh(V).min() > -1e-12 * V.max()


def test_the_same_column_twice_is_one_kind():
    twin = explain(ROWS.assign(again=ROWS["moderator_id"]), cluster=["moderator_id", "again"])
    pd.testing.assert_frame_equal(twin.effects, explain(ROWS).effects, rtol=1e-9)


def test_two_kinds_have_the_degrees_of_the_fewer():
    rows = ROWS.assign(week=ROWS["day"] // 2)
    change = explain(rows, cluster=["moderator_id", "week"])
    half = (change.total.conf_high - change.total.conf_low) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, 14) * change.total.std_error)
    days = explain(rows.assign(week=rows["day"] // 5), cluster=["moderator_id", "week"])
    assert "There are 6 clusters (week) only" in messages(days, "few_clusters")[0]
    assert days.bridge().bars[0].note == "too few moderators or weeks"


def test_nested_clusters_have_the_errors_of_the_outer_ones():
    rows = ROWS.assign(team=ROWS["moderator_id"] % 13)
    nested, outer = (
        explain(rows, cluster=c, rates="additive") for c in (["moderator_id", "team"], "team")
    )
    inner = explain(rows, rates="additive").effects["std_error"]
    expected = np.maximum(outer.effects["std_error"], inner)
    np.testing.assert_allclose(nested.effects["std_error"], expected, rtol=1e-9)


def test_three_kinds_are_refused():
    with pytest.raises(at.errors.OptionError, match="3 columns; one, or two for two-way"):
        explain(ROWS.assign(week=ROWS["day"] // 2), cluster=["moderator_id", "day", "week"])


def test_what_needs_one_kind_refuses_two():
    change = explain(ROWS, cluster=["moderator_id", "day"])
    with pytest.raises(at.errors.OptionError, match="one cluster column"):
        change.permutation_test()
    with pytest.raises(at.errors.OptionError, match="two were named"):
        explain(ROWS, cluster=["moderator_id", "day"], inference="bootstrap")

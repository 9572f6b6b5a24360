"""Many periods: every change adds up, sums over time have honest errors, gaps are named."""

from __future__ import annotations

import copy
import json
import pickle
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import (
    ColumnTypeError,
    IdentificationError,
    OptionError,
    PeriodError,
)
from attribution.products import ErrorTypes

ASKED = {
    "metric": at.Rate("correct", name="Accuracy"),
    "by": ["queue", "tenure"],
    "period": "month",
    "cluster": "moderator_id",
}


def months(count: int, year: int = 2025) -> list[str]:
    return [f"{year + m // 12}-{m % 12 + 1:02d}" for m in range(count)]


def reviews(count: int = 5, moderators: int = 30, each: int = 8, seed: int = 0) -> pd.DataFrame:
    """Moderators, some away in a month, while the mix drifts to harder queues."""
    rng = np.random.default_rng(seed)
    month, who = np.meshgrid(np.arange(count), np.arange(moderators), indexing="ij")
    there = rng.random(month.shape) > 0.15
    n = rng.poisson(each, there.sum()) + 1
    m, g = np.repeat(month[there], n), np.repeat(who[there], n)
    queue = (rng.random(len(m)) < 0.4 + 0.03 * m).astype(int) + (rng.random(len(m)) < 0.2)
    tenure = rng.integers(0, 2, len(m))
    skill = rng.normal(0, 0.05, moderators)
    rate = 0.9 - 0.08 * queue + 0.02 * tenure + skill[g] + 0.01 * (m % 3)
    return pd.DataFrame(
        {
            "month": np.array(months(count))[m],
            "moderator_id": g,
            "queue": np.array(["A", "B", "C"])[queue],
            "tenure": np.array(["new", "old"])[tenure],
            "correct": (rng.random(len(m)) < rate).astype(int),
        }
    )


def jackknife(rows: pd.DataFrame, statistic) -> np.ndarray:
    moderators = rows["moderator_id"].unique()
    left = np.array([statistic(rows[rows["moderator_id"] != g]) for g in moderators])
    G = len(moderators)
    return np.sqrt((G - 1) / G * ((left - left.mean(axis=0)) ** 2).sum(axis=0))


def sums(trend) -> np.ndarray:
    """The estimates alone: no intervals are worked out."""
    return trend._sums.estimate


# -- adding up --------------------------------------------------------------------------------


def test_effects_add_up_to_each_change_and_to_first_to_last():
    rows = reviews()
    trend = at.trend(rows, **ASKED)
    rate = rows.groupby("month")["correct"].mean()
    by_period = trend.effects.groupby("period")["estimate"].sum()
    np.testing.assert_allclose(by_period, rate.diff().dropna(), atol=1e-14)
    assert trend.effects["estimate"].sum() == pytest.approx(rate.iloc[-1] - rate.iloc[0], abs=1e-14)
    assert trend.summed["estimate"].sum() == pytest.approx(trend.total.change, abs=1e-14)
    np.testing.assert_allclose(trend.frame["value"], rate, rtol=1e-14)


def test_each_step_is_the_attribution_of_its_two_periods():
    rows = reviews()
    trend = at.trend(rows, **ASKED)
    change = at.explain(rows, **ASKED, baseline="2025-02", current="2025-03")
    assert trend.steps["2025-03"] == change
    mine = trend.effects.query("period == '2025-03'").drop(
        columns=["period", "baseline", "current"]
    )
    pd.testing.assert_frame_equal(mine.reset_index(drop=True), change.effects)


def test_both_paths_are_there_and_named():
    trend = at.trend(reviews(), **ASKED)
    assert (trend.path, trend.provenance["path"]) == ("chained", "chained")
    assert trend.end_to_end.provenance["path"] == "end-to-end"
    both = trend.compare_paths()
    np.testing.assert_allclose(
        both[["chained", "end_to_end"]].sum(), trend.total.change, atol=1e-14
    )
    assert (both["chained"] - both["end_to_end"]).abs().max() > 1e-4
    direct = at.trend(reviews(), **ASKED, path="end-to-end")
    assert direct.path == "end-to-end"
    np.testing.assert_allclose(direct.effects["estimate"], trend.end_to_end.effects["estimate"])


def test_one_scan_answers_like_the_table():
    rows = reviews()
    cube = at.Cube.from_data(
        rows, ASKED["metric"], ASKED["by"], period="month", cluster="moderator_id"
    )
    assert cube.trend() == at.trend(rows, **ASKED)
    assert cube.trend(periods=["2025-04", "2025-01"]).total.change == pytest.approx(
        -cube.trend(periods=["2025-01", "2025-04"]).total.change
    )


@pytest.mark.parametrize("method", ["midpoint", "threefold", "baseline", "current"])
@pytest.mark.parametrize("rates", ["saturated", "additive"])
def test_any_method_adds_up_with_levels_that_come_and_go(method, rates):
    rows = reviews()
    rows.loc[(rows["queue"] == "C") & (rows["month"] < "2025-03"), "queue"] = "A"
    rows.loc[(rows["tenure"] == "old") & (rows["month"] == "2025-05"), "tenure"] = "new"
    trend = at.trend(rows, **ASKED, method=method, rates=rates)
    assert set(trend.effects["effect"]) >= {"entry", "exit"}
    assert trend.summed["estimate"].sum() == pytest.approx(trend.total.change, abs=1e-13)
    residual = trend.check().iloc[0]["facts"]
    assert max(map(abs, residual.values())) < 1e-13


def test_reversed_in_time_every_sum_flips_its_sign():
    rows = reviews()
    forth = at.trend(rows, **ASKED, rates="additive").summed
    back = at.trend(rows, **ASKED, rates="additive", periods=months(5)[::-1]).summed
    np.testing.assert_allclose(back["estimate"], -forth["estimate"], atol=1e-13)
    np.testing.assert_allclose(back["std_error"], forth["std_error"], rtol=1e-9)


# -- errors of sums ---------------------------------------------------------------------------


@pytest.mark.parametrize("rates", ["additive", pytest.param("saturated", marks=pytest.mark.slow)])
def test_standard_errors_of_sums_agree_with_the_jackknife(rates):
    rows = reviews(3, moderators=16)
    asked = {**ASKED, "rates": rates, "by": "queue"}
    found = at.trend(rows, **asked).summed["std_error"]
    expected = jackknife(rows, lambda left: sums(at.trend(left, **asked)))
    np.testing.assert_allclose(found, expected, rtol=0.12)


def test_a_trend_of_two_periods_has_the_errors_of_explain():
    rows = reviews(2)
    trend = at.trend(rows, **ASKED)
    change = at.explain(rows, **ASKED, baseline="2025-01", current="2025-02")
    assert vars(trend.total) == pytest.approx(vars(change.total), rel=1e-12)
    numbers = ["estimate", "std_error", "conf_low", "conf_high", "p_value"]
    pd.testing.assert_frame_equal(trend.summed[numbers], change.effects[numbers], rtol=1e-9)
    # Chance signs fall on the same units in another order.
    adjusted = [x["p_adjusted"].to_numpy(float) for x in (trend.summed, change.effects)]
    np.testing.assert_allclose(*adjusted, atol=0.02)


KINDS = {
    "total": at.Total("correct", volume="reviewed"),
    "ratio of a volume": at.Ratio("correct", "hours", volume="reviewed"),
    "function": at.f_score("correct", "wrong", "void"),
    "product": at.Product({"work": at.Total("reviewed", volume="reviewed"), "ok": "mean(correct)"}),
    "error types": ErrorTypes({"a": "wrong / reviewed", "b": "void / reviewed"}),
}


@pytest.mark.parametrize("cluster", ["moderator_id", None])
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_sums_has_a_trend(kind, cluster):
    rows = reviews(3)
    rows["reviewed"] = 1
    rows["void"] = (1 - rows["correct"]) * (np.arange(len(rows)) % 3 == 0)
    rows["wrong"] = 1 - rows["correct"] - rows["void"]
    rows["hours"] = 1.0 + np.arange(len(rows)) % 7 + rows["correct"]
    asked = {**ASKED, "metric": KINDS[kind], "cluster": cluster}
    trend = at.trend(rows, **asked)
    assert trend.effects["estimate"].sum() == pytest.approx(trend.total.change, rel=1e-9)
    paths = trend.compare_paths()
    assert paths["chained"].sum() == pytest.approx(paths["end_to_end"].sum(), rel=1e-9)
    two = at.trend(rows, **asked, periods=["2025-01", "2025-02"])
    change = two.steps["2025-02"]
    assert vars(two.total) == pytest.approx(vars(change.total), rel=1e-9)
    keys = [x for x in ("effect", "dimension", "segment", "factor") if x in two.summed]
    found, wanted = two.summed.set_index(keys), change.effects.set_index(keys)
    size = trend.total.current
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(
            found[column].reindex(wanted.index), wanted[column], rtol=1e-6, atol=1e-9 * size
        )
    levels = trend.frame["std_error"]
    assert (levels > 0).all()
    assert trend.plot.bars().get_figure() is not None
    assert trend.bridge().bars


def test_noise_that_steps_share_cancels_in_the_sum():
    # A period in the middle moves its two steps against each other and the sum not at all.
    trend = at.trend(reviews(5), **{**ASKED, "by": []})
    steps = trend.effects["std_error"]
    direct = trend.end_to_end.effects["std_error"]
    np.testing.assert_allclose(trend.summed["std_error"], direct, rtol=1e-9)
    assert np.sqrt((steps**2).sum()) > 1.3 * direct.iloc[0]


def test_rows_that_are_independent_and_two_way_clusters():
    rows = reviews(3)
    alone = at.trend(rows, **{**ASKED, "cluster": None})
    direct = at.explain(rows, **{**ASKED, "cluster": None}, baseline="2025-01", current="2025-03")
    assert alone.total.std_error == pytest.approx(direct.total.std_error, rel=1e-9)
    rows["day"] = np.arange(len(rows)) % 25
    both = at.trend(rows, **{**ASKED, "cluster": ["moderator_id", "day"]})
    assert (both.summed["std_error"].iloc[-1]) > 0


# -- other comparisons ------------------------------------------------------------------------


def test_year_to_date_has_the_formula_with_phasing():
    rows = reviews(15)
    trend = at.trend(rows, **ASKED, path="year-to-date")
    cell = (
        rows.groupby("month")["correct"].agg(["sum", "count"]).loc[[*months(3), *months(3, 2026)]]
    )
    D, N = (cell[c].to_numpy(float).reshape(2, 3) for c in ("count", "sum"))
    w, R, K = D / D.sum(axis=1, keepdims=True), N / D, N.sum(axis=1) / D.sum(axis=1)
    phasing = (w[1] - w[0]) * (R.mean(axis=0) - K.mean())
    weighted = w.mean(axis=0) * (R[1] - R[0])
    effects = trend.effects
    mine = effects[effects["effect"] == "phasing"].groupby("period")["estimate"].sum()
    np.testing.assert_allclose(mine, phasing, atol=1e-15)
    rest = effects[effects["effect"] != "phasing"].groupby("period")["estimate"].sum()
    np.testing.assert_allclose(rest, weighted, atol=1e-15)
    assert trend.total.change == pytest.approx(K[1] - K[0], abs=1e-15)
    assert effects["estimate"].sum() == pytest.approx(trend.total.change, abs=1e-14)
    assert trend.bridge().baseline_label == "2025-01 to 2025-03"


@pytest.mark.slow
def test_year_to_date_errors_agree_with_the_jackknife():
    rows = reviews(14, moderators=16)
    # A month of far less volume: phasing is then more than a product of two small differences.
    rows = rows[(rows["month"] != "2026-02") | (rows.index % 3 == 0)]
    rows = rows[rows["month"].isin(["2025-01", "2025-02", "2026-01", "2026-02"])]
    asked = {**ASKED, "by": "queue", "path": "year-to-date", "rates": "additive"}
    found = at.trend(rows, **asked).summed["std_error"]
    expected = jackknife(rows, lambda left: sums(at.trend(left, **asked)))
    np.testing.assert_allclose(found, expected, rtol=0.15)


@pytest.mark.parametrize("asked", [{"path": "year-over-year"}, {"lag": 12}])
def test_year_over_year_compares_the_same_months(asked):
    trend = at.trend(reviews(14), **ASKED, **asked)
    assert list(
        trend.effects[["baseline", "current"]].drop_duplicates().itertuples(index=False)
    ) == [
        ("2025-01", "2026-01"),
        ("2025-02", "2026-02"),
    ]
    assert trend.total is None
    with pytest.raises(OptionError, match="overlap and add up to nothing"):
        trend.summed  # noqa: B018


def test_periods_are_mapped_pooled_and_rolled():
    rows = reviews(6)
    mapped = at.trend(rows, **ASKED, against={"2025-06": "2025-02", "2025-05": "2025-01"})
    assert (mapped.path, list(mapped.steps)) == ("as mapped", ["2025-05", "2025-06"])
    pooled = at.trend(rows, **ASKED, periods={"early": months(2), "late": months(6)[2:]})
    first = rows[rows["month"].isin(months(2))]["correct"].mean()
    assert pooled.frame["value"].iloc[0] == pytest.approx(first)
    assert "unequal_periods" in set(pooled.check()["code"])
    rolling = at.trend(rows, **ASKED, window=3)
    assert rolling.cube.periods[0] == "2025-01 to 2025-03"
    value = rows[rows["month"].between("2025-02", "2025-04")]["correct"].mean()
    assert rolling.frame["value"].iloc[1] == pytest.approx(value)
    assert rolling.effects["estimate"].sum() == pytest.approx(rolling.total.change, abs=1e-14)


def test_windows_share_rows_with_clusters_or_without():
    # A cluster of its own for every row is the same as independent rows.
    rows = reviews(4).assign(row=lambda f: np.arange(len(f)))
    asked = {**ASKED, "by": "queue", "window": 2, "rates": "saturated"}
    alone = at.trend(rows, **{**asked, "cluster": None})
    each = at.trend(rows, **{**asked, "cluster": "row"})
    np.testing.assert_allclose(alone.summed["std_error"], each.summed["std_error"], rtol=2e-3)
    np.testing.assert_allclose(alone.effects["std_error"], each.effects["std_error"], rtol=2e-3)
    assert alone.total.std_error == pytest.approx(each.total.std_error, rel=1e-3)


# -- gaps and bad input -----------------------------------------------------------------------


def test_a_missing_month_is_named_and_not_bridged_unless_asked():
    rows = reviews(5)
    rows = rows[rows["month"] != "2025-03"]
    trend = at.trend(rows, **ASKED)
    gap = trend.effects.query("effect == 'gap'")
    assert gap["segment"].tolist() == ["2025-03"]
    assert "2025-04" not in trend.steps
    assert trend.effects["estimate"].sum() == pytest.approx(trend.total.change, abs=1e-14)
    found = trend.check().query("code == 'missing_periods'").iloc[0]
    assert found["severity"] == "warning"
    assert found["facts"]["periods"] == ["2025-03"]
    assert "'2025-03'" in trend.summary()
    whole = at.explain(rows, **ASKED, baseline="2025-02", current="2025-04").total
    assert gap["std_error"].iloc[0] == pytest.approx(whole.std_error, rel=0.02)
    bridged = at.trend(rows, **ASKED, gaps="bridge")
    assert "gap" not in set(bridged.effects["effect"])
    assert "missing_periods" in set(bridged.check()["code"])


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"path": "chain"}, OptionError, "Did you mean 'chained'"),
        ({"gaps": "fill"}, OptionError, "'apart', 'bridge'"),
        ({"lag": 0}, OptionError, "lag: 0"),
        ({"lag": 12}, OptionError, "lag: 12"),
        ({"lag": 2, "path": "end-to-end"}, OptionError, "give one"),
        ({"window": 1}, OptionError, "window: 1"),
        ({"window": 5}, OptionError, "window: 5"),
        ({"periods": ["2025-01"]}, PeriodError, "two of them"),
        ({"periods": ["2025-01", "2025-01"]}, PeriodError, "more than once"),
        ({"periods": ["2025-01", "2024-13"]}, PeriodError, "2024-13"),
        ({"periods": {"x": [], "y": ["2025-01"]}}, PeriodError, "pools no period"),
        ({"against": {"2025-02": "2025-02"}}, PeriodError, "2025-02"),
        ({"path": "year-to-date"}, PeriodError, "a year before"),
        ({"inference": "bootstrp"}, OptionError, "Did you mean 'bootstrap'"),
        ({"period": None}, ColumnTypeError, "None"),
    ],
)
def test_bad_requests_are_named(asked, error, words):
    with pytest.raises(error, match=words):
        at.trend(reviews(5), **{**ASKED, **asked})


def test_bad_periods_are_named():
    rows = reviews(4)
    rows.loc[rows["month"] == "2025-04", "month"] = "spring"
    with pytest.raises(PeriodError, match="'spring' cannot be put in order with the months"):
        at.trend(rows, **ASKED)
    rows.loc[rows["month"] != "2025-01", "month"] = "later"
    with pytest.raises(PeriodError, match="'later' cannot be put in order with the months '2025-0"):
        at.trend(rows, **ASKED)
    rows = reviews(4)
    rows.loc[rows["month"] == "2025-04", "month"] = "spring"
    named = ["spring", "2025-01", "2025-02"]
    assert list(at.trend(rows, **ASKED, periods=named).steps) == named[1:]
    ordered = at.trend(rows, **ASKED, periods=["spring", "2025-01"])
    assert list(ordered.steps) == ["2025-01"]
    empty = reviews(3).assign(reviewed=lambda f: (f["month"] != "2025-02").astype(int))
    empty["correct"] *= empty["reviewed"]
    with pytest.raises(PeriodError, match="is 0 in '2025-02'"):
        at.trend(empty, **{**ASKED, "metric": "correct / reviewed"})
    renamed = reviews(3)
    renamed.loc[renamed["month"] > "2025-01", "queue"] += "2"
    with pytest.raises(IdentificationError, match="2025-01"):
        at.trend(renamed, **ASKED)
    lacking = reviews(15)
    lacking = lacking[lacking["month"] != "2025-02"]
    with pytest.raises(PeriodError, match="year-to-date lacks '2025-02'"):
        at.trend(lacking, **ASKED, path="year-to-date")
    over_year = at.trend(lacking, **ASKED, path="year-over-year")
    assert over_year.check().query("code == 'missing_periods'")["facts"].iloc[0]["periods"] == {
        "2026-02": "2025-02"
    }


# -- the result -------------------------------------------------------------------------------


def test_the_result_travels_and_prints():
    trend = at.trend(reviews(3), **ASKED)
    again = pickle.loads(pickle.dumps(trend))
    assert again == trend == copy.deepcopy(trend)
    assert hash(again) == hash(trend)
    pd.testing.assert_frame_equal(again.summed, trend.summed)
    assert trend != at.trend(reviews(3), **ASKED, path="end-to-end")
    assert len(repr(trend)) < 120
    held = json.loads(trend.to_json())
    assert held["path"] == "chained"
    assert [row["period"] for row in held["periods"]] == months(3)
    assert sum(row["estimate"] for row in held["summed"]) == pytest.approx(held["total"]["change"])
    assert list(trend.to_frame().columns[:3]) == ["metric", "path", "period"]
    for words in ("2025-02", "Added up (chained)", "End to end"):
        assert words in str(trend)
    shown = trend.bridge().shown()
    first, last = (round(100 * x, 2) for x in (trend.total.baseline, trend.total.current))
    assert sum(shown) == pytest.approx(last - first)


def test_weeks_of_a_date_and_the_path_of_a_mean():
    rows = reviews(3).assign(seconds=lambda f: 30 + 5 * f["correct"])
    rows["at"] = pd.to_datetime(rows["month"] + "-01") + pd.to_timedelta(rows.index % 28, unit="D")
    trend = at.trend(rows, at.Mean("seconds"), by="queue", period="week of at")
    assert trend.cube.periods[0] == "2025-W01"
    assert trend.effects["estimate"].sum() == pytest.approx(trend.total.change)


# -- people ---------------------------------------------------------------------------------------

HERE = {
    "2026-07": ("m-1", "m-2", "m-3"),
    "2026-08": ("m-1", "m-2"),
    "2026-09": ("m-1", "m-2", "m-4"),
}


@pytest.fixture(scope="module")
def by_person():
    """One moderator leaves, another comes: each is the only one in a step."""
    rng = np.random.default_rng(0)
    rows = [
        (month, person, queue, 60, int(rng.binomial(60, 0.9)))
        for month, people in HERE.items()
        for person in people
        for queue in ("Live", "Video")
    ]
    frame = pd.DataFrame(rows, columns=["month", "moderator_id", "queue", "reviewed", "correct"])
    by = ["queue", "moderator_id"]
    return at.trend(
        frame, "correct / reviewed", by=by, period="month", where="moderator_id != 'm-9'"
    )


def every_text(trend, privacy=None):
    pictures = trend.plot if privacy is None else trend.plot(privacy=privacy)
    drawn = [pictures.bars(), pictures.line(), pictures.waterfall()]
    texts = [t.get_text() for ax in drawn for t in ax.figure.findobj(mpl.text.Text)]
    for ax in drawn:
        plt.close(ax.figure)
    return "\n".join([trend.summary(privacy=privacy), trend.to_json(privacy=privacy), *texts])


def test_people_are_in_no_text_of_a_trend_unless_asked_for(by_person):
    text = f"{every_text(by_person)}\n{by_person}\n{by_person._repr_html_()}"
    assert not re.findall(r"m-\d", text)
    assert "New and gone: people" in text
    assert "moderator_id != '…'" in text
    named = every_text(by_person, at.Privacy(people="names"))
    assert all(x in named for x in ("m-3", "m-4", "m-9"))
    renamed = every_text(by_person, at.Privacy(people="pseudonyms", key="correct horse"))
    assert not re.findall(r"m-\d", renamed)
    assert len(set(re.findall(r"p-[0-9a-f]{10}", renamed))) == 2


def test_protected_rows_of_a_trend_add_up(by_person):
    told = by_person.to_dict()
    total = told["total"]["change"]
    assert sum(x["estimate"] for x in told["summed"]) == pytest.approx(total, abs=1e-11)
    assert sum(x["estimate"] for x in told["effects"]) == pytest.approx(total, abs=1e-11)
    alone = by_person.summed
    turnover = alone.loc[alone["effect"].isin(["entry", "exit"]), "estimate"].sum()
    (row,) = [x for x in told["summed"] if x["effect"] == "turnover"]
    assert row["estimate"] == pytest.approx(turnover, abs=1e-11)
    assert row["std_error"] > 0


def test_a_small_level_of_a_trend_is_not_alone_in_its_row(by_person):
    rows = by_person.to_dict(privacy=at.Privacy(people="names", min_n=200))
    assert not re.findall(r"m-[34]", json.dumps(rows["summed"]) + json.dumps(rows["effects"]))
    assert rows["provenance"]["sha256"].startswith("withheld")


def test_displayed_steps_fit_the_displayed_levels():
    rng = np.random.default_rng(5)
    months = [f"2025-{m:02d}" for m in range(1, 13)]
    frame = pd.DataFrame(
        {"month": months, "queue": "a", "reviewed": 9_973, "correct": rng.integers(9000, 9100, 12)}
    )
    trend = at.trend(frame, "correct / reviewed", by=["queue"], period="month")
    rows = [line.split() for line in str(trend).splitlines() if line.startswith("2025-")][:12]
    levels = [float(row[1]) for row in rows]
    steps = [float(row[2].replace("−", "-")) for row in rows[1:]]
    unrounded = trend.frame["change"].to_numpy()[1:] * 100
    assert steps == pytest.approx(np.diff(levels), abs=1e-9)
    assert steps == pytest.approx(unrounded, abs=0.0101)
    # Rounded each for itself they would not fit.
    assert np.abs(np.round(unrounded, 2) - np.diff(levels)).max() > 0.005
    drawn = trend.plot.bars()
    texts = [t.get_text() for t in drawn.texts]
    shown = [float(t.replace("−", "-")) for t in texts if t.strip("+−").replace(".", "").isdigit()]
    assert shown == pytest.approx(steps)


@pytest.mark.parametrize("cluster", [None, "moderator_id"])
def test_intervals_of_the_rates_of_tiny_months_lie_in_0_to_1(cluster):
    good = {"2025-01": [4, 4, 3], "2025-02": [4, 4, 4], "2025-03": [0, 1, 0], "2025-04": [2, 3, 4]}
    rows = pd.DataFrame(
        [
            {"month": month, "moderator_id": g, "queue": "A", "right": k, "seen": 4}
            for month, counts in good.items()
            for g, k in enumerate(counts)
        ]
    )
    asked = {"by": "queue", "period": "month", "cluster": cluster}
    frame = at.trend(rows, at.Rate("right", "seen"), **asked).frame
    assert frame["value"].tolist() == [11 / 12, 1, 1 / 12, 9 / 12]
    assert frame["conf_low"].between(0, 1).all()
    assert frame["conf_high"].between(0, 1).all()
    # The same data as a ratio of any two sums, with the interval that knows no bounds.
    free = at.trend(rows, at.Ratio("right", "seen"), **asked).frame
    assert free["conf_high"].iloc[0] > 1
    assert free["conf_low"].iloc[2] < 0
    np.testing.assert_allclose(frame["value"], free["value"])
    # Nothing varies in a month without an error, and it is not known for certain.
    assert frame["conf_low"].iloc[1] < 0.95
    half = (free["conf_high"] - free["value"]).iloc[3] / (0.75 * 0.25)
    if cluster:  # rows of 4 are 4 trials of a rate without clusters, one unit of a ratio
        odds = np.exp(np.log(3) + np.array([-half, half]))
        found = frame[["conf_low", "conf_high"]].iloc[3]
        np.testing.assert_allclose(found, odds / (1 + odds), rtol=1e-12)

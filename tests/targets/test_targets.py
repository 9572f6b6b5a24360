"""at.targets: plans that roll up, cascades, completion with its reasons, what-ifs."""

from __future__ import annotations

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decompose.against import against_plan
from attribution.errors import ColumnNotFoundError, DataContractError, OptionError

LEVEL = {"ads": 0.95, "live": 0.90, "spam": 0.85}


def months(seed=0, n=60, lower=False):
    rng, rows = np.random.default_rng(seed), []
    for month in ("2026-06", "2026-07", "2026-08", "2026-09"):
        for site, shift in (("A", 0.01), ("B", 0.0), ("M", -0.03)):
            for queue, p in LEVEL.items():
                for m in range(15):
                    k = int(rng.integers(n // 2, n))
                    ok = rng.binomial(k, p + shift)
                    rows.append((month, site, queue, f"{site}{m}", k, k - ok if lower else ok))
    return pd.DataFrame(rows, columns=["month", "site", "queue", "moderator_id", "n", "ok"])


DATA = months()
HISTORY = DATA[DATA.month < "2026-09"]
TODAY = HISTORY.ok.sum() / HISTORY.n.sum()


def a_plan(**options):
    given = {"overall": TODAY + 0.012, "period": "month", "cluster": "moderator_id"} | options
    return at.targets.plan(HISTORY, "ok / n", ["site", "queue"], **given)


@pytest.mark.parametrize("method", ["headroom", "proportional", "peer"])
@pytest.mark.parametrize("floor", [None, 0.84])
def test_a_plan_rolls_up_and_keeps_its_limits(method, floor):
    targets = a_plan(method=method, floor=floor)
    frame = targets.frame
    assert (frame.share * frame.target).sum() == pytest.approx(TODAY + 0.012, abs=1e-12)
    assert (frame.target >= frame.floor - 1e-9).all()
    assert (frame.target <= frame.bound + 1e-9).all()
    assert frame.target.to_numpy() == pytest.approx((frame.baseline + frame.change).to_numpy())
    asked = frame[frame.change > 1e-9]
    visible = (asked.change >= asked.detectable * (1 - 1e-6)) | (asked.note == "at the floor")
    assert visible.all()
    assert (asked.n_needed > 0).all()
    assert (frame.n_needed[frame.change.abs() < 1e-9] == 0).all()
    assert np.isfinite(frame.select_dtypes(float)).all(axis=None)
    by = HISTORY.groupby(["site", "queue"])[["ok", "n"]].sum()
    assert frame.baseline.to_numpy() == pytest.approx((by.ok / by.n).to_numpy())
    assert frame.n.to_numpy() == pytest.approx(by.n.to_numpy() / 3)


def test_held_segments_are_said_with_the_rows_it_would_take():
    targets = a_plan(overall=TODAY + 0.004)
    held = targets.frame[targets.frame.note.str.startswith("held")]
    assert len(held)
    message = targets.check().set_index("code").loc["held", "message"]
    assert held.segment.iloc[0] in message
    assert "n needed" in str(targets)
    # Longer periods show finer changes.
    quarter = a_plan(overall=TODAY + 0.004, periods=12)
    assert (quarter.frame.detectable < targets.frame.detectable).all()


@pytest.mark.parametrize("higher", [True, False])
def test_floors_that_alone_go_beyond_the_target_are_said(higher):
    history = pd.DataFrame({"queue": list("abc"), "ok": [950, 900, 700], "n": [1_000] * 3})
    metric, floor, overall = at.Rate("ok", "n", name="KPI"), 0.80, 0.86
    if not higher:
        history["ok"] = history.n - history.ok
        metric, floor, overall = at.Rate("ok", "n", name="KPI", better="lower"), 0.20, 0.14
    targets = at.targets.plan(history, metric, "queue", overall=overall, floor=floor)
    assert (targets.frame.share * targets.frame.target).sum() == pytest.approx(overall, abs=1e-12)
    found = targets.check().set_index("code").loc["floors_beyond_target"]
    assert found.facts["segments"] == ["a", "b"]
    reach = "88.33 %" if higher else "11.67 %"
    assert f"Floors alone would bring the KPI to {reach}" in found.message
    assert "may get worse by up to 3.50 pp" in found.message
    assert found.message in str(targets)
    enough = at.targets.plan(
        history, metric, "queue", overall=0.90 if higher else 0.10, floor=floor
    )
    assert "floors_beyond_target" not in set(enough.check().code)


def test_numbers_of_a_database_are_numbers():
    """DECIMAL columns arrive as Decimal."""
    month = pd.DataFrame({"queue": ["ads", "live"], "ok": [900, 850], "n": [1_000, 1_000]})
    plan = pd.DataFrame(
        {
            "queue": ["ads", "live"],
            "target": [Decimal("0.92"), Decimal("0.88")],
            "planned_volume": [Decimal("10.5"), Decimal("31.5")],
            "baseline": [Decimal("0.9"), Decimal("0.8")],
        }
    )
    found = at.targets.completion(month, plan, "ok / n", "queue")
    assert found.frame.planned_share.tolist() == [0.25, 0.75]
    assert found.frame.gap_closed.iloc[1] == pytest.approx(0.05 / 0.08)
    moved = at.targets.whatif(month, "ok / n", "queue", scale={"ads": Decimal("2")})
    assert moved.frame.volume_then.tolist() == [2_000, 1_000]


def test_a_target_that_today_betters_already_is_warned_of():
    data = HISTORY.assign(bad=HISTORY.n - HISTORY.ok, seconds=30.0 + 5 * (HISTORY.queue == "ads"))
    mean = float((data.seconds).mean())
    for metric, overall, of_today in (
        ("ok / n", 0.5, TODAY),
        (at.Rate("bad", "n", better="lower"), 0.4, 1 - TODAY),
        ("mean(seconds)", mean / 2, mean),
    ):
        lax = at.targets.plan(data, metric, "site", overall=overall, period="month")
        found = lax.check().set_index("code").loc["target_below_today"]
        assert found["severity"] == "warning"
        assert found["facts"]["today"] == pytest.approx(of_today)
        assert found["message"] in lax.summary()
    for metric, overall in (
        ("ok / n", TODAY + 0.012),
        ("ok / n", TODAY),
        (at.Rate("bad", "n", better="lower"), 0.98 - TODAY),
        (at.Mean("seconds", better="lower"), mean),
    ):
        some = at.targets.plan(data, metric, "site", overall=overall, period="month")
        assert "target_below_today" not in set(some.check()["code"])


def test_detectable_is_minimum_detectable_change():
    frame = at.targets.plan(HISTORY, "ok / n", "site", overall=TODAY, period="month").frame
    row = frame.set_index("segment").loc["M"]
    own = HISTORY[HISTORY.site == "M"]
    wanted = at.minimum_detectable_change(n=(own.n.sum(), own.n.sum() / 3), rate=row["baseline"])
    assert row["detectable"] == pytest.approx(wanted.change, rel=1e-3)


def test_lower_is_better_mirrors_higher():
    data = months(lower=True)
    data = data[data.month < "2026-09"]
    bad = at.Rate("ok", "n", name="Errors", better="lower")
    options = {"period": "month", "cluster": "moderator_id"}
    down = at.targets.plan(data, bad, ["site", "queue"], overall=1 - TODAY - 0.012, **options)
    up = a_plan()
    assert down.frame.target.to_numpy() == pytest.approx(1 - up.frame.target.to_numpy())
    assert down.frame.note.tolist() == up.frame.note.tolist()
    assert down.frame.detectable.to_numpy() == pytest.approx(up.frame.detectable.to_numpy())


def test_ratio_and_mean_have_targets_too():
    rng = np.random.default_rng(3)
    data = HISTORY.assign(seconds=HISTORY.n * rng.gamma(20, 2, len(HISTORY)))
    aht = at.Ratio("seconds", "n", better="lower", unit="s")
    today = data.seconds.sum() / data.n.sum()
    for cluster in (None, "moderator_id"):
        frame = at.targets.plan(
            data, aht, "site", overall=today - 1.5, period="month", cluster=cluster
        ).frame
        assert (frame.share * frame.target).sum() == pytest.approx(today - 1.5)
        assert (frame.detectable > 0).all()
    mean = at.targets.plan(data, at.Mean("seconds"), "site", overall=data.seconds.mean())
    assert (mean.frame.change.abs() < 1e-9).all()


def test_planned_volumes_weigh_the_roll_up():
    volumes = {(s, q): 1000.0 * (1 + (s == "A")) for s in "ABM" for q in LEVEL}
    frame = a_plan(volumes=volumes).frame
    assert frame.share.to_numpy() == pytest.approx(np.repeat([1 / 6, 1 / 12, 1 / 12], 3))
    assert (frame.share * frame.target).sum() == pytest.approx(TODAY + 0.012)
    table = a_plan().frame[["site", "queue", "volume"]].assign(volume=500)
    assert a_plan(volumes=table).frame.share.to_numpy() == pytest.approx(np.full(9, 1 / 9))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overall": 0.999, "stretch": 0.96}, "99.90 % cannot be reached: the best .* 96.00 %"),
        ({"overall": 0.80, "floor": 0.85}, "cannot be reached: the worst"),
        ({"overall": 91}, "overall: 91 for the whole is above 100 %"),
        ({"floor": 0.97, "stretch": 0.95}, "floor: it is beyond what can be achieved"),
        ({"floor": {("A", "adds"): 0.9}}, "floor: no segment 'A × adds'"),
        ({"method": "headrom"}, "Did you mean 'headroom'"),
        ({"periods": 0}, "periods"),
        ({"volumes": {("Z", "ads"): 10}}, "volumes: 'Z × ads' without history"),
        ({"effective": "soon"}, "effective: 'soon' is not a date"),
        ({"overall": TODAY + 1e-5}, "cannot be divided so that each segment's part can be shown"),
    ],
)
def test_plans_that_cannot_be(options, words):
    with pytest.raises(OptionError, match=words):
        a_plan(**options)


def test_a_cascade_rolls_up_to_each_target_above():
    above = at.targets.plan(HISTORY, "ok / n", "site", overall=TODAY + 0.012, period="month")
    below = at.targets.cascade(above, HISTORY, "queue", period="month", cluster="moderator_id")
    frame = below.frame
    rolled = frame.assign(x=frame.volume * frame.target).groupby("site")[["x", "volume"]].sum()
    wanted = above.frame.set_index("site")
    assert (rolled.x / rolled.volume).to_numpy() == pytest.approx(wanted.target.to_numpy())
    assert rolled.volume.to_numpy() == pytest.approx(wanted.volume.to_numpy())
    assert (frame.share * frame.target).sum() == pytest.approx(above.overall)
    with pytest.raises(OptionError, match="history: nothing of 'M'"):
        at.targets.cascade(above, HISTORY[HISTORY.site != "M"], "queue", period="month")


def test_a_child_of_two_parents_is_said():
    moved = HISTORY.copy()
    moved.loc[moved.index[0], "moderator_id"] = "B1"
    above = at.targets.plan(moved, "ok / n", "site", overall=TODAY, period="month")
    below = at.targets.cascade(above, moved, "moderator_id", period="month")
    found = below.check().set_index("code").loc["entity_in_several"]
    assert found["facts"]["entities"] == ["B1"]


def test_versions_take_over_on_their_day():
    first = a_plan(effective="2026-07")
    second = first.revised(a_plan(overall=TODAY + 0.02), "2026-09-01")
    assert second.at("2026-08-31").overall == pytest.approx(TODAY + 0.012)
    assert second.at("2026-09").overall == pytest.approx(TODAY + 0.02)
    assert second.frame.version.value_counts().to_dict() == {1: 9, 2: 9}
    with pytest.raises(OptionError, match="before 2026-07-01"):
        second.at("2026-06")
    with pytest.raises(OptionError, match="not after"):
        second.revised(a_plan(), "2026-09-01")
    july, september = (
        at.targets.completion(DATA, second, period="month", current=m)
        for m in ("2026-07", "2026-09")
    )
    assert july.total.planned == pytest.approx(TODAY + 0.012)
    assert september.total.planned == pytest.approx(TODAY + 0.02)
    with pytest.raises(DataContractError, match="plan.at"):
        at.scorecard(DATA, "ok / n", ["site", "queue"], target=second)


def test_a_plan_is_the_target_of_a_scorecard():
    targets = at.targets.plan(HISTORY, "ok / n", "site", overall=TODAY + 0.012, period="month")
    card = at.scorecard(DATA, "ok / n", "site", adjust_for="queue", period="month", target=targets)
    assert card.frame.target.to_numpy() == pytest.approx(targets.frame.target.to_numpy())


@pytest.mark.parametrize(
    ("aht", "hours", "words"),
    [
        (float("inf"), 160, "aht: inf is not a positive number of hours"),
        (0.01, float("inf"), "paid_hours: inf is not a positive number"),
        ({"ads": 0.01, "live": 0.02, "lvie": 0.02}, 160, "no segment 'lvie'. Did you mean 'live'"),
    ],
)
def test_headcounts_that_cannot_be(aht, hours, words):
    history = pd.DataFrame(
        {"queue": ["ads", "live"], "n": [50_000, 30_000], "ok": [46_000, 27_000]}
    )
    plan = at.targets.plan(history, "ok / n", "queue", overall=0.92)
    with pytest.raises(OptionError, match=words):
        plan.capacity(aht, paid_hours=hours)


def test_capacity_is_the_root_of_the_capacity_tree():
    targets = a_plan()
    aht = {
        x: 0.04 + 0.001 * i
        for i, x in enumerate(zip(targets.frame.site, targets.frame.queue, strict=True))
    }
    frame = targets.capacity(aht, paid_hours=160, shrinkage=0.3, utilization=0.85)
    one = frame.iloc[4]
    leaves = {
        "volume": one.volume,
        "aht": one.aht,
        "productive_hours": 160 * 0.7,
        "utilization": 0.85,
    }
    tree = at.capacity_tree().explain(leaves, leaves | {"volume": 2 * one.volume})
    assert tree.total.baseline == pytest.approx(one.headcount)
    assert frame.headcount.iloc[-1] == pytest.approx(frame.headcount.iloc[:-1].sum())
    for bad in ({"shrinkage": 1.0}, {"utilization": 0.0}, {"paid_hours": 0}):
        with pytest.raises(OptionError, match=next(iter(bad))):
            targets.capacity(0.05, **({"paid_hours": 160} | bad))


def test_why_a_target_was_missed_adds_up_and_is_compared_to_by_hand():
    targets = a_plan()
    found = at.targets.completion(DATA, targets, period="month", cluster="moderator_id")
    now = DATA[DATA.month == "2026-09"].groupby(["site", "queue"])[["ok", "n"]].sum()
    p, r = (now.n / now.n.sum()).to_numpy(), (now.ok / now.n).to_numpy()
    T, w = targets.frame.target.to_numpy(), targets.frame.share.to_numpy()
    lines = found.effects.set_index("effect")["estimate"]
    assert lines["performance"] == pytest.approx((p * (r - T)).sum())
    assert lines["mix"] == pytest.approx(((p - w) * T).sum())
    t = found.total
    assert t.adjusted == pytest.approx((p * T).sum())
    assert lines.sum() == pytest.approx(t.actual - t.planned, abs=1e-15)
    assert found.frame[["performance", "mix"]].sum().to_numpy() == pytest.approx(
        lines[["performance", "mix"]].to_numpy()
    )
    rates = found.rates
    assert rates.segments.sum() == 9
    assert rates.share_of_volume.sum() == pytest.approx(1)
    bridge = found.bridge()
    assert bridge.baseline + sum(b.value for b in bridge.bars) == pytest.approx(bridge.current)


def test_the_noise_of_performance_is_that_of_clusters():
    """Delete one moderator at a time and decompose anew."""
    targets = a_plan()
    now = DATA[DATA.month == "2026-09"]
    found = at.targets.completion(now, targets, period="month", cluster="moderator_id")
    sums = now.groupby(["moderator_id", "site", "queue"])[["n", "ok"]].sum()
    each = sums.unstack(["site", "queue"], fill_value=0)
    order = [*zip(targets.frame.site, targets.frame.queue, strict=True)]
    D, N = (each[column][order].to_numpy(float) for column in ("n", "ok"))
    goal, share = targets.frame.target.to_numpy(), targets.frame.share.to_numpy()
    left_out = np.array(
        [
            against_plan(D.sum(axis=0) - d, N.sum(axis=0) - k, goal, share).estimate
            for d, k in zip(D, N, strict=True)
        ]
    )
    G = len(D)
    jackknife = np.sqrt((G - 1) / G * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    assert found.effects.std_error[:2].to_numpy() == pytest.approx(jackknife[:2], rel=0.05)


def test_a_plan_feeds_compare_to_plan_and_both_agree():
    targets, now = a_plan(), DATA[DATA.month == "2026-09"]
    found = at.targets.completion(now, targets, cluster="moderator_id").effects.set_index("effect")
    wanted = at.compare_to_plan(
        now, targets.to_plan(), "ok / n", ["site", "queue"], cluster="moderator_id"
    ).combined({"performance": ["rate"], "mix": ["mix", "joint"]})
    for row in wanted.itertuples():
        for column in ("estimate", "std_error", "p_value"):
            assert found.loc[row.part, column] == pytest.approx(getattr(row, column), rel=1e-6)


def test_turnover_between_plan_and_data():
    targets = a_plan()
    now = DATA[DATA.month == "2026-09"]
    new = now[now.site == "A"].assign(site="NEW")
    data = pd.concat([now[now.site != "M"], new])
    found = at.targets.completion(data, targets, period="month")
    status = found.frame.set_index("segment")["status"]
    assert status["M × ads"] == "no data"
    assert status["NEW × ads"] == "no target"
    lines = found.effects.set_index("effect")["estimate"]
    assert lines["entry"] != 0 != lines["exit"]
    assert lines.sum() == pytest.approx(found.total.actual - found.total.planned)
    codes = set(found.check()["code"])
    assert {"target_without_data", "data_without_target"} <= codes
    assert "nan" not in str(found).lower()
    assert found.rates.set_index("status").loc["no data", "segments"] == 3


def test_nothing_in_common_is_all_turnover():
    found = at.targets.completion(
        DATA[DATA.site == "A"],
        pd.DataFrame({"site": ["Z"], "target": [0.9], "planned_volume": [10]}),
        "ok / n",
        "site",
    )
    lines = found.effects.set_index("effect")["estimate"]
    assert lines["entry"] == pytest.approx(found.total.actual - 0.9)
    assert np.isfinite(found.effects["estimate"]).all()
    assert "nan" not in str(found).lower()


def test_completion_ratios_and_what_is_not_applicable():
    data = pd.DataFrame({"q": ["a", "b", "c", "d"], "ok": [95, 90, 0, 80], "n": [100] * 4})
    table = pd.DataFrame(
        {
            "q": ["a", "b", "c", "d"],
            "target": [0.9, 0.9, 0.9, 0.0],
            "baseline": [0.8, 0.9, 0.0, 0.5],
        }
    )
    found = at.targets.completion(data, table, "ok / n", "q").frame.set_index("q")
    assert found.loc["a", "completion"] == pytest.approx(0.95 / 0.9)
    assert found.loc["a", "gap_closed"] == pytest.approx(1.5)
    assert pd.isna(found.loc["b", "gap_closed"])  # T = base
    assert pd.isna(found.loc["c", "gap_closed"])  # a baseline of 0
    assert pd.isna(found.loc["c", "completion"])
    assert pd.isna(found.loc["d", "completion"])
    assert not np.isinf(found.select_dtypes(float)).any(axis=None)
    lower = at.Rate("ok", "n", better="lower")
    found = at.targets.completion(data, table, lower, "q").frame.set_index("q")
    assert found.loc["a", "completion"] == pytest.approx(0.9 / 0.95)
    assert found.loc["c", "status"] == "met"
    assert found.loc["d", "status"] == "missed"


def test_intervals_of_clustered_rates_are_rates():
    """All right at one segment, nearly all at another: neither certain nor beyond 100 %."""
    now = DATA[DATA.month == "2026-09"].copy()
    right = (now.site == "A") & (now.queue != "spam")
    now.loc[right, "ok"] = now.n[right]
    now.loc[right & (now.queue == "live") & (now.moderator_id == "A0"), "ok"] -= 1
    frame = at.targets.completion(
        now, a_plan(), "ok / n", ["site", "queue"], cluster="moderator_id"
    ).frame.set_index("segment")
    assert (frame.conf_low >= 0).all()
    assert (frame.conf_high <= 1).all()
    certain = frame.loc["A × ads"]
    assert certain.actual == certain.conf_high == 1
    assert certain.conf_low <= certain.n / (certain.n + 1.96**2)


def test_few_rows_are_not_judged():
    data = pd.DataFrame({"q": ["a", "b"], "ok": [29, 300], "n": [29, 300]})
    found = at.targets.completion(data, {"a": 0.5, "b": 0.5}, "ok / n", "q").frame
    assert found.status.tolist() == ["too few", "met"]
    assert (found.std_error > 0).all()


@pytest.mark.parametrize(
    ("targets", "error", "words"),
    [
        ({"A": 0.9, "B": 95}, OptionError, "95 for 'B' is above 100 %"),
        (
            pd.DataFrame({"site": ["A", "A"], "target": [0.9, 0.9]}),
            DataContractError,
            "more than one",
        ),
        (pd.DataFrame({"sit": ["A"], "target": [0.9]}), ColumnNotFoundError, "Did you mean 'sit'"),
        (0.9, OptionError, "one number"),
        ({}, OptionError, "there is none"),
        (
            pd.DataFrame({"site": ["A"], "target": [0.9], "volume": [0]}),
            OptionError,
            "volumes: no positive number for 'A'",
        ),
    ],
)
def test_targets_that_cannot_be(targets, error, words):
    with pytest.raises(error, match=words):
        at.targets.completion(DATA, targets, "ok / n", "site")
    with pytest.raises(OptionError, match="by: needed"):
        at.targets.completion(DATA, {"A": 0.9}, "ok / n")


def test_whatif_is_explain_forward():
    now = DATA[DATA.month == "2026-09"].groupby(["site", "queue"])[["ok", "n"]].sum().reset_index()
    found = at.targets.whatif(
        now, "ok / n", ["site", "queue"], rates={("M", "spam"): 0.9}, scale={("A", "ads"): 1.5}
    )
    then = now.copy()
    grown = (then.site == "A") & (then.queue == "ads")
    better = (then.site == "M") & (then.queue == "spam")
    then["n"] = then.n * np.where(grown, 1.5, 1.0)
    then["ok"] = then.n * np.where(better, 0.9, now.ok / now.n)
    both = pd.concat([now.assign(t="now"), then.assign(t="then")])
    wanted = at.explain(
        both,
        at.Ratio("ok", "n"),
        by=["site", "queue"],
        period="t",
        baseline="now",
        current="then",
        rates="saturated",
    )
    assert found.effects.estimate.to_numpy() == pytest.approx(wanted.effects.estimate.to_numpy())
    assert found.change == pytest.approx(then.ok.sum() / then.n.sum() - now.ok.sum() / now.n.sum())
    assert found.frame.total.sum() == pytest.approx(found.change)
    assert found.bridge().change == pytest.approx(found.change)


def test_reaching_all_targets_gives_the_plan_at_the_mix_of_today():
    targets = a_plan()
    now = DATA[DATA.month == "2026-09"]
    all_of_them = at.targets.whatif(now, "ok / n", ["site", "queue"], rates=targets)
    adjusted = at.targets.completion(now, targets, period="month").total.adjusted
    assert all_of_them.current == pytest.approx(adjusted)
    one = at.targets.whatif(now, "ok / n", ["site", "queue"], rates=targets, reach=[("M", "spam")])
    changed = one.frame[one.frame.rate_now != one.frame.rate_then]
    assert changed.segment.tolist() == ["M × spam"]


def test_a_segment_may_leave():
    found = at.targets.whatif(DATA, "ok / n", "queue", volumes={"spam": 0})
    assert found.effects.effect.tolist()[-1] == "exit"
    assert found.effects.estimate.sum() == pytest.approx(found.change)
    assert found.frame.total.sum() == pytest.approx(found.change)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing is supposed"),
        ({"rates": {"adds": 0.9}}, "no segment 'adds'. Did you mean 'ads'"),
        ({"rates": {"ads": 90}}, "above 100 %"),
        ({"scale": {"ads": -1}}, "negative"),
        ({"volumes": dict.fromkeys(LEVEL, 0)}, "nothing is left"),
        ({"reach": ["ads"], "scale": {"ads": 2}}, "give rates too"),
    ],
)
def test_what_cannot_be_supposed(options, words):
    with pytest.raises(OptionError, match=words):
        at.targets.whatif(DATA, "ok / n", "queue", **options)


def test_results_pickle_and_compare():
    targets = a_plan()
    found = at.targets.completion(DATA, targets, period="month", cluster="moderator_id")
    supposed = at.targets.whatif(DATA, "ok / n", "queue", scale={"ads": 2})
    for result in (targets, found, supposed):
        again = pickle.loads(pickle.dumps(result))
        assert again == result
        assert len(repr(result)) < 250
        assert result.__class__.__name__ in repr(result)


# -- people ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_person():
    rng, rows = np.random.default_rng(2), []
    for m in range(6):
        n = 40 if m == 4 else int(rng.integers(2_000, 6_000))
        rows.append((f"mod-{m}", n, rng.binomial(n, 0.9)))
    data = pd.DataFrame(rows, columns=["moderator_id", "n", "ok"])
    plan = at.targets.plan(data, "ok / n", "moderator_id", overall=0.925)
    goals = {f"mod-{m}": 0.9 for m in range(7) if m != 4}
    done = at.targets.completion(data, goals, "ok / n", "moderator_id", min_n=50)
    supposed = at.targets.whatif(data, "ok / n", "moderator_id", rates={"mod-1": 0.95})
    return plan, done, supposed


def test_words_about_people_count_them_and_do_not_name_them(by_person):
    for result in by_person:
        said = [result.summary(), str(result), repr(result), result.message]
        said.append(getattr(result, "_repr_html_", str)())
        assert not any("mod-" in text for text in said)
        assert "people, who are not shown. Ask for them: privacy=" in result.summary()
    plan = by_person[0]
    asked = int((plan.frame["change"] > 0).sum())
    assert plan.display_rows()[0][1] == "moderators"
    assert ("asked for a change", f"{asked}", "") in plan.display_rows()


def test_people_are_named_or_renamed_in_words_where_they_are_asked_for(by_person):
    plan, done, supposed = by_person
    names = at.Privacy(people="names")
    for result, named in ((plan, range(6)), (done, (4, 6)), (supposed, range(6))):
        assert all(f"mod-{m}" in result.summary(privacy=names) for m in named)
        renamed = result.summary(privacy=at.Privacy(people="pseudonyms", key="a secret key"))
        assert "mod-" not in renamed
    assert "and 4 more" in supposed.summary(2, privacy=names)
    with pytest.raises(OptionError, match=r"privacy: 'names' is not an at\.Privacy"):
        done.summary(privacy="names")


def test_a_small_segment_cannot_be_worked_out_from_words(by_person):
    plan, done, supposed = by_person
    small = at.Privacy(people="names", min_n=100)
    for result in (plan, supposed):
        text = result.summary(privacy=small)
        assert "2 of 6 moderators are suppressed" in text
        assert "mod-4" not in text
        assert sum(f"mod-{m}" in text for m in range(6)) == 4
    # mod-4 alone has no target: what entered is no line of its own, and nobody says who it was.
    assert "mod-4" in done.summary(privacy=at.Privacy(people="names"))
    text = done.summary(privacy=small)
    assert "mod-4" not in text
    assert "  entry" not in text
    assert "of the volume" not in text
    assert "mix, no target and no data: " in text
    rest = done.effects.set_index("effect")["estimate"].drop("performance").sum()
    assert done.format.change(rest) in text


def test_a_plan_of_what_is_asks_nobody_and_no_bound_is_infinite():
    same = at.targets.plan(HISTORY, "ok / n", "queue", overall=TODAY, period="month")
    assert "0 ask for a change" in same.message
    assert (same.frame["change"] == 0).all()
    seconds = HISTORY.assign(seconds=HISTORY.n * 30.0 + HISTORY.ok)
    mean = seconds["seconds"].mean()
    kpi = at.Mean("seconds", better="lower")
    slower = at.targets.plan(seconds, kpi, "queue", overall=mean * 1.01, period="month")
    ends = slower.frame[["floor", "bound"]].to_numpy()
    assert not np.isinf(ends).any()
    assert np.isnan(ends).any()

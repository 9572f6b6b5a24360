"""Actual against plan: exact, a plan without noise, unplanned and undelivered work by name."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decompose import decompose
from attribution.errors import ColumnNotFoundError, DataContractError, OptionError, PeriodError
from attribution.spelling import slip_of
from attribution.testing import check_decomposition, random_case

RATE = at.Rate("correct", name="Accuracy")


def actual(seed: int = 0, rows: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    month = rng.choice(["2026-08", "2026-09"], rows)
    queue = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    market = rng.choice(2, rows)
    who = rng.integers(0, 40, rows)
    rate = 0.93 - 0.06 * queue + 0.02 * market + rng.normal(0, 0.04, 40)[who]
    return pd.DataFrame(
        {
            "month": month,
            "queue": np.array(["A", "B", "C"])[queue],
            "market": np.array(["ID", "JP"])[market],
            "moderator_id": who,
            "correct": (rng.random(rows) < rate).astype(int),
        }
    )


def plan(**columns) -> pd.DataFrame:
    cells = [(q, m) for q in "ABC" for m in ("ID", "JP")]
    frame = pd.DataFrame(cells, columns=["queue", "market"])
    frame["planned_volume"] = [400.0, 300, 200, 100, 100, 100]
    frame["target"] = [0.95, 0.96, 0.9, 0.88, 0.82, 0.85]
    return frame.assign(**columns)


ASKED = {"metric": RATE, "by": ["queue", "market"], "period": "month", "current": "2026-09"}


def lines(change) -> dict:
    effects = change.effects
    names = zip(effects["effect"], effects["dimension"], effects["segment"], strict=True)
    return dict(zip([tuple(x) for x in names], effects["estimate"], strict=True))


def test_the_gap_to_plan_is_divided_by_the_formula():
    rows, table = actual(), plan()
    change = at.compare_to_plan(rows, table, **ASKED, cluster="moderator_id")
    now = rows[rows["month"] == "2026-09"].groupby(["queue", "market"])["correct"]
    p, r = (now.count() / now.count().sum()).to_numpy(), now.mean().to_numpy()
    w, T = (table["planned_volume"] / 1200).to_numpy(), table["target"].to_numpy()
    assert change.total.baseline == pytest.approx(w @ T, rel=1e-14)
    assert change.total.change == pytest.approx(p @ r - w @ T, rel=1e-12)
    effects = change.effects
    assert effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-15)
    rate = effects.query("effect == 'rate'")["estimate"].iloc[0]
    assert rate == pytest.approx(p @ (r - T), rel=1e-12)
    mix = effects[effects["effect"].isin(["mix", "joint"])]["estimate"].sum()
    assert mix == pytest.approx((p - w) @ T, rel=1e-12)
    levels = change.levels("queue")
    assert levels["rate"].sum() == pytest.approx(rate)
    assert change.cube.periods == ("PL 2026-09", "AC 2026-09")
    assert change.provenance["path"] == "against plan"
    assert "plan" in change.summary().splitlines()[0]


def test_the_noise_is_that_of_the_actual_alone():
    rows = actual()
    change = at.compare_to_plan(rows, plan(), **ASKED, cluster="moderator_id")
    now = rows[rows["month"] == "2026-09"]

    def gap(part: pd.DataFrame) -> np.ndarray:
        cell = part.groupby(["queue", "market"])["correct"].agg(["sum", "count"])
        T = plan()["target"].to_numpy()
        p = (cell["count"] / cell["count"].sum()).to_numpy()
        return np.array(
            [p @ (cell["sum"] / cell["count"] - T), cell["sum"].sum() / cell["count"].sum()]
        )

    moderators = now["moderator_id"].unique()
    left = np.array([gap(now[now["moderator_id"] != g]) for g in moderators])
    G = len(moderators)
    se = np.sqrt((G - 1) / G * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    rate = change.effects.query("effect == 'rate'")["std_error"].iloc[0]
    np.testing.assert_allclose([rate, change.total.std_error], se, rtol=0.02)
    planned = change.levels("queue")
    assert (planned["rate_baseline_std_error"] == 0).all()
    assert (planned["share_baseline_std_error"] == 0).all()


def test_unplanned_and_undelivered_segments_are_lines():
    table = plan().query("not (queue == 'A' and market == 'JP')")
    rows = actual()
    rows = rows[(rows["month"] == "2026-08") | (rows["queue"] != "C")]
    change = at.compare_to_plan(rows, table, **ASKED)
    found = lines(change)
    assert ("entry", "queue × market", "A × JP") in found
    assert ("exit", "queue", "C") in found
    assert sum(found.values()) == pytest.approx(change.total.change, abs=1e-15)
    gone = change.effects.query("effect == 'exit'").iloc[0]
    assert gone["std_error"] == 0
    assert gone["conf_low"] == gone["estimate"]
    assert {"unplanned", "undelivered"} <= set(change.check()["code"])


def test_a_plan_by_some_dimensions_holds_for_the_others():
    by_queue = pd.DataFrame(
        {"queue": list("ABC"), "share": [0.5, 0.3, 0.2], "target": [0.95, 0.9, 0.8]}
    )
    change = at.compare_to_plan(actual(), by_queue, **ASKED, cluster="moderator_id")
    assert [x for x, *_ in lines(change)] == ["mix", "rate"]
    assert change.total.baseline == pytest.approx(0.905)
    found = change.check().query("code == 'not_planned_by'").iloc[0]
    assert found["facts"]["dimensions"] == ["market"]


def test_a_single_target_has_a_stretch():
    rows = actual()
    asked = {**ASKED, "cluster": "moderator_id", "baseline": "2026-08"}
    change = at.compare_to_plan(rows, 0.95, **asked)
    before = at.explain(rows, **asked, method="current")
    found = lines(change)
    assert found["stretch", None, None] == pytest.approx(before.total.baseline - 0.95)
    assert sum(found.values()) == pytest.approx(before.total.current - 0.95, abs=1e-15)
    assert {k: v for k, v in found.items() if k[0] != "stretch"} == lines(before)
    stretch = change.effects.query("effect == 'stretch'").iloc[0]
    assert stretch["std_error"] > 0
    now = rows[rows["month"] == "2026-09"].groupby("moderator_id")["correct"]
    psi = now.sum() - now.sum().sum() / now.count().sum() * now.count()
    se = np.sqrt(len(psi) / (len(psi) - 1) * (psi**2).sum()) / now.count().sum()
    assert change.total.std_error == pytest.approx(se, rel=0.02)
    assert change.bridge().baseline_label == "PL"
    assert pickle.loads(pickle.dumps(change)) == change


def test_months_of_a_plan_are_found_and_pooled():
    both = pd.concat([plan(month="2026-08"), plan(month="2026-09")])
    one = at.compare_to_plan(actual(), both, **ASKED)
    assert lines(one) == lines(at.compare_to_plan(actual(), plan(), **ASKED))
    two = at.compare_to_plan(actual(), both, **{**ASKED, "current": ["2026-08", "2026-09"]})
    assert two.total.baseline == pytest.approx(one.total.baseline)
    cube = at.Cube.from_data(actual(), RATE, ["queue", "market"], period="month")
    assert cube.compare_to_plan(both, current="2026-09") == one


def test_the_plan_of_the_simulator_is_a_plan():
    ops = at.datasets.simulate_moderation("small", months=2)
    table = ops.targets[ops.targets["kpi"] == "accuracy"]
    change = at.compare_to_plan(
        ops.qa_reviews,
        table,
        at.Rate("correct", "reviewed", name="Accuracy"),
        by=["queue", "market", "tenure"],
        period="month of decided_at",
        current="2025-02",
        cluster="moderator_id",
        weight="weight",
        where="design != 'targeted'",
    )
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-14)
    month = table[table["month"] == "2025-02"]
    assert change.total.baseline == pytest.approx(
        np.average(month["target"], weights=month["planned_volume"])
    )


@pytest.mark.parametrize(
    ("table", "asked", "error", "words"),
    [
        (pd.concat([plan(), plan().head(1)]), {}, DataContractError, "A × ID"),
        (plan(share=0.2).drop(columns="planned_volume"), {}, DataContractError, "add up to 1.2"),
        (plan(planned_volume=[-1, 1, 1, 1, 1, 1]), {}, DataContractError, "negative for 'A × ID"),
        (plan(target=95.0), {}, DataContractError, "In percent"),
        (plan(target=np.nan), {}, DataContractError, "no number"),
        (plan(planned_volume=0), {}, DataContractError, "no volume"),
        (
            plan(tenure=["new", "old"] * 3, queue="A", market="ID"),
            {},
            DataContractError,
            "more than once: 'A × ID'",
        ),
        (
            plan().assign(
                queue=["A", "A", "B", "B", "A", "B"],
                market=["ID", "JP"] * 3,
                tenure=["new"] * 4 + ["old"] * 2,
            ),
            {},
            DataContractError,
            r"Its column 'tenure' tells them apart and is not in by: add it",
        ),
        (
            plan(queue="Z"),
            {"undelivered": {"queue": "Z"}, "by": ["queue"]},
            DataContractError,
            "more than once",
        ),
        (plan().drop(columns="target"), {}, ColumnNotFoundError, "target"),
        (plan().drop(columns="planned_volume"), {}, ColumnNotFoundError, "volume or share"),
        (plan().drop(columns=["queue", "market"]), {}, ColumnNotFoundError, "none of the dim"),
        (plan(month="2026-10"), {}, PeriodError, "plan: no rows for '2026-09'"),
        (plan(target="high"), {}, OptionError, "does not hold numbers"),
        (plan(), {"current": None}, PeriodError, "several periods"),
        (plan(), {"target": "gaol"}, ColumnNotFoundError, "no column 'gaol'"),
        (95, {"baseline": "2026-08"}, OptionError, "Did you mean 0.95"),
        (float("nan"), {"baseline": "2026-08"}, OptionError, "not a number"),
        (0.95, {}, PeriodError, "baseline"),
        (plan().head(0), {}, at.errors.SourceError, "no rows"),
    ],
)
def test_plans_that_cannot_be_met_or_read_are_named(table, asked, error, words):
    with pytest.raises(error, match=words):
        at.compare_to_plan(actual(), table, **{**ASKED, **asked})


@pytest.mark.parametrize("cluster", ["moderator_id", None])
def test_a_part_of_a_comparison_is_the_comparison_of_that_part(cluster):
    rows, table = actual(), plan().query("not (queue == 'A' and market == 'JP')")
    asked = {**ASKED, "cluster": cluster}
    part = at.compare_to_plan(rows, table, **asked).within(market="ID")
    alone = at.compare_to_plan(
        rows[rows["market"] == "ID"],
        table[table["market"] == "ID"],
        **{**asked, "by": ["queue"]},
    )
    pd.testing.assert_frame_equal(part.effects, alone.effects)
    pd.testing.assert_frame_equal(part.levels("queue"), alone.levels("queue"))
    assert part.effects["estimate"].sum() == pytest.approx(part.total.change, abs=1e-15)
    assert part.total.std_error == pytest.approx(alone.total.std_error, rel=1e-12)
    # What was done without a plan was done in the other market.
    assert "unplanned" not in set(part.check()["code"])


def test_a_plan_that_covers_nothing_and_levels_said_to_be_undelivered():
    nothing = pd.DataFrame({"queue": ["Z"], "share": [1.0], "target": [0.9]})
    with pytest.raises(DataContractError, match="covers nothing"):
        at.compare_to_plan(actual(), nothing, **ASKED, undelivered={"queue": "Z"})
    more = pd.DataFrame({"queue": list("ABCZ"), "share": [0.4, 0.3, 0.2, 0.1], "target": 0.9})
    change = at.compare_to_plan(actual(), more, **ASKED, undelivered={"queue": ["Z"]})
    assert ("exit", "queue", "Z") in lines(change)


def test_conformance():
    def planned(D, N, codes, sizes):
        return decompose(D, N, D, codes, sizes, method="current", rates="planned")

    check_decomposition(
        planned, without=["time_reversal"], cases=[random_case(1), random_case(3, sizes=(5,))]
    )
    # Entries and exits of segments are named by all their levels, so splitting one renames them;
    # margins are those of the segments that both sides have.
    check_decomposition(
        planned,
        without=["time_reversal", "splitting", "unmoved_margin"],
        cases=[random_case(2, empty=0.3), random_case(4, sizes=(3, 3, 2, 2), empty=0.5, rows=20)],
    )


def test_brinson_and_fachler_of_bacon():
    # Bacon (2008), tables 5.2 and 5.3: allocation by Brinson-Fachler, selection with interaction.
    table = pd.DataFrame(
        {"asset": ["UK", "JP", "US"], "share": [0.4, 0.2, 0.4], "target": [0.10, -0.04, 0.08]}
    )
    rows = pd.DataFrame({"asset": ["UK", "JP", "US"], "weight": [0.4, 0.3, 0.3]})
    rows["gain"] = rows["weight"] * np.array([0.20, -0.05, 0.06])
    change = at.compare_to_plan(rows, table, at.Ratio("gain", "weight"), by="asset")
    levels = change.levels("asset").set_index("segment").loc[["UK", "JP", "US"]]
    assert change.total.change == pytest.approx(0.019)
    np.testing.assert_allclose(levels["mix"], [0.0, -0.0104, -0.0016], atol=1e-15)
    np.testing.assert_allclose(levels["rate"], [0.04, -0.003, -0.006], atol=1e-15)


def test_words_against_a_plan_say_planned_and_done():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"month": "2026-09", "queue": np.tile(list("AB"), 40)})
    table["n"] = rng.integers(20, 80, 80)
    table["mod"] = np.arange(80) // 2
    table.loc[table["queue"] == "B", "n"] *= 3
    table["ok"] = rng.binomial(table["n"], np.where(table["queue"] == "A", 0.95, 0.8))
    plan = pd.DataFrame({"queue": ["A", "B"], "share": [0.6, 0.4], "target": [0.96, 0.9]})
    asked = {"period": "month", "current": "2026-09", "cluster": "mod"}
    change = at.compare_to_plan(table, plan, "ok / n", ["queue"], **asked,
                                share="share", target="target")  # fmt: skip
    told = change.narrative("page")
    assert "The difference from the plan is made up of" in told
    assert re.search(r"B was planned at 40.0 % and took 7\d.\d % of the volume", told)
    assert "located in B, whose target is 90.00 % and whose rate is" in told
    assert "the plan has shares or the same volume" in told
    assert "grew" not in told
    before = table.assign(month="2026-08", ok=(0.9 * table["ok"]).astype(int))
    both = pd.concat([before, table])
    single = at.compare_to_plan(both, 0.97, "ok / n", ["queue"], **asked, baseline="2026-08")
    assert "in the stretch between target and baseline" in single.summary()


def test_a_single_target_of_a_total_is_refused():
    table = pd.DataFrame({"month": [1, 1, 2, 2], "queue": list("abab"), "hours": [1.0, 2, 3, 4]})
    with pytest.raises(at.errors.OptionError, match=r"a target needs one ratio.*is a Total"):
        at.compare_to_plan(table, 5.0, at.Total("hours"), ["queue"], period="month", baseline=1,
                           current=2)  # fmt: skip


def test_a_level_nobody_delivered_is_a_line_and_a_misspelled_one_is_pointed_out():
    names = {"A": "video", "B": "live 1", "C": "chat"}
    rows = actual().replace({"queue": names})
    table = plan().replace({"queue": names})

    def change(slip, **more):
        return at.compare_to_plan(rows, table.replace({"queue": slip}), **ASKED, **more)

    found = change({"video": "games", "live 1": "live 2"})
    assert {("exit", "queue", "games"), ("entry", "queue", "video")} <= set(lines(found))
    assert ("exit", "queue", "live 2") in lines(found)
    assert sum(lines(found).values()) == pytest.approx(found.total.change, abs=1e-14)
    assert "'games'" in " ".join(found.check()["message"]) or "games" in found.summary()
    for slip in ("vidoe", "Video", "vi-deo"):
        with pytest.raises(DataContractError, match=f"no level '{slip}'.*Did you mean 'video'"):
            change({"video": slip})
    assert ("exit", "queue", "vidoe") in lines(
        change({"video": "vidoe"}, undelivered={"queue": "vidoe"})
    )


@pytest.mark.parametrize(
    ("planned", "there"),
    [("spma", "spam"), ("vidio", "video"), ("nudty", "nudity"), ("Hate speach", "hate speech"),
     ("harrasment", "harassment"), ("new_york", "New York"), ("tier1", "tier 1")],
)  # fmt: skip
def test_a_slip_of_the_plan_is_pointed_out_however_short_the_name(planned, there):
    assert slip_of(planned, ["live", there, "zzz"]) == there
    rows, table = actual().replace({"queue": {"A": there}}), plan().replace({"queue": {"A": there}})
    at.compare_to_plan(rows, table, **ASKED)
    with pytest.raises(DataContractError, match=f"no level '{planned}'.*Did you mean '{there}'"):
        at.compare_to_plan(rows, table.replace({"queue": {there: planned}}), **ASKED)


@pytest.mark.parametrize(
    ("planned", "there"),
    [("UK", "US"), ("DE", "ES"), ("A1", "A2"), ("AUS", "AUT"), ("spam", "scam"), ("ads", "aids"),
     ("site A", "site B"), ("vendor north", "vendor south"), ("pre-review", "post-review"),
     ("misinformation", "disinformation"), ("male", "female"), ("queue 1", "queue 2")],
)  # fmt: skip
def test_two_names_that_look_alike_are_two_lines_of_a_plan(planned, there):
    assert slip_of(planned, [there]) is None
    rows = actual().replace({"queue": {"A": there}})
    found = at.compare_to_plan(rows, plan().replace({"queue": {"A": planned}}), **ASKED)
    assert {("exit", "queue", planned), ("entry", "queue", there)} <= set(lines(found))


def test_planned_rows_without_a_level_are_refused_where_the_data_have_all():
    table = plan()
    table.loc[table["queue"] == "A", "queue"] = None
    with pytest.raises(DataContractError, match="queue: rows without a level, which no row"):
        at.compare_to_plan(actual(), table, **ASKED)
    rows = actual()
    rows.loc[rows["queue"] == "A", "queue"] = None
    found = at.compare_to_plan(rows, table, **ASKED)
    assert not [key for key in lines(found) if "(missing)" in key]


def test_shares_in_percent_are_told_to_be_divided():
    table = pd.DataFrame({"queue": list("ABC"), "share": [30, 30, 40], "target": 0.9})
    rows = pd.DataFrame({"queue": list("ABC"), "n": 10, "ok": 9})
    with pytest.raises(DataContractError, match=r"add up to 100, not to 1\. In percent\? Divide"):
        at.compare_to_plan(rows, table, "ok / n", "queue")

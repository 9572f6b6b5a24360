"""The simulator: story and truth hold, tables are consistent, options do what they say."""

import copy
import io
import pickle
import tracemalloc
from dataclasses import replace
from itertools import permutations

import duckdb
import numpy as np
import pandas as pd
import pytest

from attribution.datasets import simulate_moderation
from attribution.datasets.events import STORY, conditions
from attribution.datasets.expected import expect
from attribution.datasets.reviews import draw
from attribution.datasets.truth import shapley
from attribution.errors import OptionError

SEGMENT = ["queue", "policy", "market", "tenure"]
# DOMAIN figures of the story, in % and pp.
ACCURACY = {
    "2025-01": 92.66,
    "2025-02": 92.66,
    "2025-03": 92.66,
    "2025-04": 91.43,
    "2025-05": 92.20,
    "2025-06": 90.73,
    "2025-07": 90.05,
    "2025-08": 90.83,
    "2025-09": 91.20,
    "2025-10": 91.37,
    "2025-11": 90.80,
    "2025-12": 90.99,
}
EFFECTS = {
    ("2025-04", "wave"): -1.23,
    ("2025-05", "wave"): -0.46,
    ("2025-06", "migration"): -1.69,
    ("2025-07", "refresh"): -1.48,
    ("2025-08", "launch"): -0.39,
    ("2025-09", "sampling"): 0.0,
    ("2025-11", "spike"): -0.84,
    ("2025-12", "spike"): -0.84,
}


@pytest.fixture(scope="module")
def ops():
    return simulate_moderation("small", seed=3)


@pytest.fixture(scope="module")
def standard():
    return simulate_moderation("standard", seed=5)


@pytest.fixture(scope="module")
def clean():
    return simulate_moderation("small", months=4, seed=2)


@pytest.fixture(scope="module")
def quarter():
    return simulate_moderation("small", months=3, seed=6)


def counted(ops):
    """The reviews that estimate the KPI."""
    reviews = ops.qa_reviews
    return reviews[(reviews["design"] != "targeted") & ~reviews["void"]]


def by_month(frame, top, bottom):
    sums = frame.groupby("month", observed=True)[[top, bottom]].sum()
    return sums[top] / sums[bottom]


def with_expected_rate(ops):
    """The reviews that count, each with the expected accuracy of its segment."""
    cells = ops.truth.cells.assign(p=lambda c: c["correct"] / c["volume"])
    rates = cells.set_index(["month", *SEGMENT])["p"]
    reviews = counted(ops)
    keys = pd.MultiIndex.from_frame(reviews[["month", *SEGMENT]].astype(str))
    return reviews.assign(p=rates.reindex(keys).to_numpy())


def bridge(ops, current):
    rows = ops.truth.bridges[ops.truth.bridges["current"] == current]
    names = rows["effect"] + rows["dimension"].radd(" ").fillna("")
    return dict(zip(names, 100 * rows["estimate"], strict=True))


class TestStory:
    def test_expected_accuracy_is_the_published_one(self, ops):
        accuracy = 100 * ops.truth.kpis.set_index("month")["accuracy"]
        assert accuracy.to_dict() == pytest.approx(ACCURACY, abs=0.1)

    def test_effects_of_the_events_are_the_published_ones(self, ops):
        effects = 100 * ops.truth.effects.set_index(["month", "event"])["accuracy"]
        assert {k: effects[k] for k in EFFECTS} == pytest.approx(EFFECTS, abs=0.1)

    def test_effects_add_up_to_the_month_with_less_the_month_without_events(self, ops):
        quiet = simulate_moderation("small", events=()).truth.kpis.set_index("month")
        change = ops.truth.kpis.set_index("month") - quiet
        effects = ops.truth.effects.drop(columns="event").groupby("month").sum()
        np.testing.assert_allclose(effects, change[effects.columns], rtol=1e-9, atol=1e-9)

    def test_the_quiet_quarter_is_a_placebo(self, ops):
        for month in ("2025-02", "2025-03"):
            assert list(bridge(ops, month).values()) == pytest.approx([0] * 6, abs=1e-12)

    def test_the_wave_is_all_tenure_mix(self, ops):
        wave = bridge(ops, "2025-04")
        assert wave.pop("mix tenure") == pytest.approx(-1.23, abs=0.02)
        assert list(wave.values()) == pytest.approx([0] * len(wave), abs=1e-9)

    def test_the_migration_is_queue_mix_and_rate_in_the_receiving_queue(self, ops):
        june = bridge(ops, "2025-06")
        assert june["mix queue"] < -0.6
        assert june["rate"] < -0.6
        cells = ops.truth.cells.groupby(["month", "queue"])[["volume", "correct"]].sum()
        rate = (cells["correct"] / cells["volume"]).unstack()
        fell = rate.loc["2025-06"] - rate.loc["2025-05"]
        assert fell.idxmin() == "live"
        # A little tenure mix is all that happens elsewhere.
        assert fell.drop("live").abs().max() < 0.005 < -fell["live"]

    def test_unfamiliarity_halves_every_month(self):
        only = simulate_moderation("small", events=["migration"]).truth.cells
        live = only[only["queue"] == "live"].groupby(["month"])[["volume", "correct"]].sum()
        odds = live["correct"] / (live["volume"] - live["correct"])
        lost = np.log(odds["2025-05"]) - np.log(odds["2025-06":"2025-09"])
        np.testing.assert_allclose(lost.to_numpy()[:-1] / lost.to_numpy()[1:], 2, rtol=0.05)

    def test_the_refresh_is_rate_in_minors_and_makes_over_enforcement(self, standard):
        july = bridge(standard, "2025-07")
        assert july["rate"] < -0.8
        minors = counted(standard)[lambda r: r["policy"] == "minors"]
        over = minors.assign(over=minors["error_type"] == "over_enforcement")
        share = over.groupby("month", observed=True)["over"].mean()
        assert share["2025-07"] > 3 * share["2025-05"]
        under = minors.assign(under=minors["error_type"] == "under_enforcement")
        share = under.groupby("month", observed=True)["under"].mean()
        assert share["2025-07"] < 2 * share["2025-05"]

    def test_the_launch_is_an_entering_market(self, ops):
        assert bridge(ops, "2025-08")["entry market"] == pytest.approx(-0.39, abs=0.05)
        first = ops.decisions.loc[ops.decisions["market"] == "NG", "month"].min()
        assert first == "2025-08"

    def test_the_spike_is_all_rate_and_lowers_sla_and_handle_time(self, standard):
        november = bridge(standard, "2025-11")
        assert november.pop("rate") < -0.4
        assert list(november.values()) == pytest.approx([0] * len(november), abs=1e-9)
        decisions = standard.decisions.groupby("month", observed=True)
        for column, largest_ratio in (("in_sla", 0.9), ("handle_seconds", 0.9)):
            means = decisions[column].mean()
            assert means["2025-11"] < largest_ratio * means["2025-10"]
        assert decisions.size()["2025-11"] > 1.2 * decisions.size()["2025-10"]

    def test_bridges_add_up_to_the_change(self, ops):
        kpi = ops.truth.kpis.set_index("month")["accuracy"]
        sums = ops.truth.bridges.groupby("current")["estimate"].sum()
        np.testing.assert_allclose(sums, kpi.diff()[sums.index], atol=1e-14)


class TestTruth:
    def test_cells_add_up_to_the_kpis(self, ops):
        sums = ops.truth.cells.groupby("month")[["volume", "correct"]].sum()
        kpis = ops.truth.kpis.set_index("month")
        np.testing.assert_allclose(sums["volume"], kpis["volume"])
        np.testing.assert_allclose(sums["correct"] / sums["volume"], kpis["accuracy"])

    def test_shapley_is_the_mean_over_all_orders(self):
        month, events = 10, tuple(e for e in STORY if e.name != "sampling")

        def value(on):
            return expect(month, conditions(month, dict.fromkeys(on, 1.0)), 1.0).kpis

        by_order = dict.fromkeys(events, 0.0)
        orders = list(permutations(events))
        for order in orders:
            for k, event in enumerate(order):
                step = value(frozenset(order[: k + 1])) - value(frozenset(order[:k]))
                by_order[event] = by_order[event] + step / len(orders)
        phi = shapley(events[:3], lambda on: value(on | set(events[3:])))
        assert set(phi) == set(events[:3])
        for event, effect in shapley(events, value).items():
            np.testing.assert_allclose(effect, by_order[event], atol=1e-12)

    def test_the_order_of_events_does_not_matter(self):
        month = 11
        forward = expect(month, conditions(month, dict.fromkeys(STORY, 1.3)), 1.0)
        backward = expect(month, conditions(month, dict.fromkeys(STORY[::-1], 1.3)), 1.0)
        np.testing.assert_allclose(forward.rate, backward.rate, rtol=1e-12)
        np.testing.assert_allclose(forward.volume, backward.volume, rtol=1e-12)

    def test_the_sample_is_drawn_from_the_expected_segments(self, standard):
        decided = standard.decisions.groupby("month", observed=True).size()
        expected = standard.truth.kpis.set_index("month")
        assert (decided - expected["volume"]).abs().max() < 5 * expected["volume"].max() ** 0.5
        for dimension in ("queue", "policy", "market", "tenure"):
            cells = standard.truth.cells.groupby(dimension)["volume"].sum()
            seen = standard.decisions[dimension].astype(str).value_counts()
            share, got = cells / cells.sum(), seen / seen.sum()
            # Staffing is drawn, so shares of a year stray by some points, above all of tenure.
            assert (share - got).abs().max() < 0.05, dimension

    def test_handle_time_and_sla_follow_their_expectations(self, standard):
        kpis = standard.truth.kpis.set_index("month")
        means = standard.decisions.groupby("month", observed=True)
        np.testing.assert_allclose(means["handle_seconds"].mean(), kpis["aht_seconds"], rtol=0.05)
        np.testing.assert_allclose(means["in_sla"].mean(), kpis["sla"], atol=0.01)


class TestSampling:
    def test_inclusion_probabilities_sum_to_the_decisions(self, ops):
        sample = ops.qa_reviews[ops.qa_reviews["design"] != "targeted"]
        # Every moderator-week with decisions is in the sample, so the sum is exact, not estimated.
        assert sample["weight"].sum() == pytest.approx(len(ops.decisions), rel=1e-12)

    def test_weights_are_exact_within_a_moderator_week(self, ops):
        monday = ops.decisions["decided_at"].dt.to_period("W-SUN").astype(str)
        decided = ops.decisions.groupby([ops.decisions["moderator_id"], monday], observed=True)
        sample = ops.qa_reviews[ops.qa_reviews["design"] != "targeted"]
        week = sample["decided_at"].dt.to_period("W-SUN").astype(str)
        sampled = sample.groupby([sample["moderator_id"], week], observed=True)
        pd.testing.assert_series_equal(
            sampled["weight"].sum(), decided.size().astype(float), check_names=False
        )
        full_weeks = sampled.size()[lambda n: n > 0]
        assert full_weeks.max() == 8

    def test_probabilities_differ_between_moderators(self, ops):
        january = counted(ops)[lambda r: r["month"] == "2025-01"]
        assert january.groupby("moderator_id", observed=True)["inclusion_prob"].mean().std() > 0.02

    def test_september_changes_the_design(self, ops):
        designs = ops.qa_reviews.groupby("month", observed=True)["design"].unique()
        assert set(designs["2025-08"]) == {"random", "targeted"}
        assert set(designs["2025-09"]) == {"risk_weighted", "targeted"}
        sample = counted(ops)[lambda r: r["month"] >= "2025-09"]
        by_tier = sample.groupby("risk_tier", observed=True)["inclusion_prob"].mean()
        assert by_tier["high"] > 2 * by_tier["standard"]
        assert set(sample["stratum"]) == {"high_risk", "standard_risk"}

    @pytest.mark.slow
    def test_unweighted_september_reads_two_points_low_and_weighted_is_right(self):
        # Expected accuracies of the reviewed segments leave only the noise of the design.
        naive, weighted = [], []
        for seed in range(3):
            ops = simulate_moderation("standard", months=9, seed=seed)
            september = with_expected_rate(ops)[lambda r: r["month"] == "2025-09"]
            naive.append(september["p"].mean())
            weighted.append(np.average(september["p"], weights=september["weight"]))
        true = ops.truth.kpis["accuracy"].iloc[8]
        assert 100 * (np.mean(naive) - true) == pytest.approx(-2.17, abs=0.25)
        assert 100 * (np.mean(weighted) - true) == pytest.approx(0, abs=0.1)

    @pytest.mark.slow
    def test_weighted_september_is_unbiased_over_seeds(self):
        naive, weighted = [], []
        for seed in range(200):
            ops = simulate_moderation("small", months=9, seed=seed)
            september = with_expected_rate(ops)[lambda r: r["month"] == "2025-09"]
            naive.append(september["correct"].mean())
            weighted.append(np.average(september["p"], weights=september["weight"]))
        true = ops.truth.kpis["accuracy"].iloc[8]
        assert 100 * (np.mean(weighted) - true) == pytest.approx(0, abs=0.1)
        assert -2.8 < 100 * (np.mean(naive) - true) < -1.2

    def test_coaching_picks_what_is_wrong_and_has_no_weight(self, ops):
        coaching = ops.qa_reviews[ops.qa_reviews["design"] == "targeted"]
        assert coaching["inclusion_prob"].isna().all()
        assert (coaching["weight"] == 0).all()
        read = coaching["correct"].sum() / coaching["reviewed"].sum()
        assert read < counted(ops)["correct"].mean() - 0.05

    def test_draw_takes_the_number_asked_for_and_is_fair(self):
        group = np.repeat([0, 1, 2], [4, 10, 2])
        take = np.array([2, 3, 5])
        rng = np.random.default_rng(0)
        hits = np.zeros(16)
        for _ in range(2000):
            rows, inclusion = draw(rng, group, take)
            assert np.bincount(group[rows]).tolist() == [2, 3, 2]
            hits[rows] += 1
        np.testing.assert_allclose(inclusion, np.repeat([0.5, 0.3, 1.0], [2, 3, 2]))
        np.testing.assert_allclose(hits / 2000, np.array([0.5, 0.3, 1.0])[group], atol=0.05)


class TestTables:
    def test_every_review_and_appeal_belongs_to_a_decision(self, ops):
        shared = ["month", "moderator_id", *SEGMENT, "region", "site", "vendor"]
        decisions = ops.decisions.set_index("decision_id")
        for frame in (ops.qa_reviews, ops.appeals):
            parents = decisions.loc[frame["decision_id"], shared].reset_index(drop=True)
            pd.testing.assert_frame_equal(frame[shared].reset_index(drop=True), parents)
        assert decisions.index.is_unique
        assert ops.qa_reviews["decision_id"].is_unique
        assert (decisions.loc[ops.appeals["decision_id"], "actioned"] == 1).all()

    def test_months_are_months_of_the_decision(self, ops):
        stamp = ops.decisions["decided_at"].dt.strftime("%Y-%m")
        assert (stamp == ops.decisions["month"].astype(str)).all()
        assert ops.decisions["decided_at"].is_monotonic_increasing

    def test_accuracy_and_the_error_types_are_a_stacked_bridge(self, ops):
        reviews = ops.qa_reviews
        wrong = reviews["error_type"] != "none"
        assert (reviews["reviewed"] == reviews["correct"] + wrong).all()
        assert (reviews["void"] == (reviews["reviewed"] == 0)).all()
        kinds = reviews.loc[wrong]
        assert ((kinds["actioned"] == 1) & (kinds["violating"] == 0))[
            kinds["error_type"] == "over_enforcement"
        ].all()
        assert ((kinds["actioned"] == 0) & (kinds["violating"] == 1))[
            kinds["error_type"] == "under_enforcement"
        ].all()
        assert set(kinds["error_type"]) == {
            "over_enforcement",
            "under_enforcement",
            "wrong_policy",
            "technical",
        }

    def test_second_labels_mostly_agree(self, standard):
        double = counted(standard).dropna(subset="second_correct")
        agreement = (double["second_correct"] == double["correct"]).mean()
        assert 0.93 < agreement < 0.98
        assert 0.08 < len(double) / len(counted(standard)) < 0.12
        assert 0.015 < standard.qa_reviews["void"].mean() < 0.025

    def test_moderators_age_leave_and_move(self, standard):
        roster = standard.moderators
        bands = roster.groupby("moderator_id", observed=True)["tenure"]
        codes = roster.assign(code=roster["tenure"].cat.codes)
        assert (codes.groupby("moderator_id", observed=True)["code"].diff().dropna() >= 0).all()
        assert (bands.nunique() > 1).mean() > 0.2
        assert roster["leave_date"].notna().any()
        gone = roster["leave_date"] < roster["month"].astype(str).astype("datetime64[s]")
        assert not gone.any()
        homes = roster.groupby("moderator_id", observed=True)["home_queue"].nunique()
        assert 0.05 < (homes > 1).mean() < 0.5

    def test_tenure_of_a_decision_is_that_of_its_day(self, ops):
        hired = ops.moderators.groupby("moderator_id", observed=True)["hire_date"].first()
        hire_date = ops.decisions["moderator_id"].astype(str).map(hired)
        days = (ops.decisions["decided_at"] - hire_date).dt.days
        assert days.min() >= 0
        band = pd.cut(
            days, [-1, 30, 90, 180, 365, np.inf], labels=ops.decisions["tenure"].cat.categories
        )
        assert (band.astype(str) == ops.decisions["tenure"].astype(str)).all()

    def test_nested_columns_are_nested(self, ops):
        for child, parent in (("market", "region"), ("site", "vendor")):
            parents = ops.decisions.groupby(child, observed=True)[parent].nunique()
            assert (parents == 1).all()

    def test_guidelines_change_for_minors_in_july(self, ops):
        old = ops.decisions["guideline_version"] == "2025.1"
        new = (ops.decisions["policy"] == "minors") & (ops.decisions["month"] >= "2025-07")
        assert (old == ~new).all()

    def test_hours_make_utilization_computable(self, standard):
        roster = standard.moderators
        assert (roster["attended_hours"] <= roster["paid_hours"] + 1e-9).all()
        assert (roster["productive_hours"] <= roster["attended_hours"] + 1e-9).all()
        seconds = standard.decisions["handle_seconds"].sum() / 3600
        assert roster["productive_hours"].sum() == pytest.approx(seconds)
        assert roster["decisions"].sum() == len(standard.decisions)
        use = by_month(roster, "productive_hours", "paid_hours")
        assert use["2025-04"] < use["2025-03"] < use["2025-11"] < 0.95

    def test_stamps_make_sla_turnaround_and_backlog_computable(self, standard):
        decisions, waiting = standard.decisions, standard.open_items
        assert (decisions["enqueued_at"] < decisions["decided_at"]).all()
        assert ((decisions["decided_at"] <= decisions["due_at"]) == decisions["in_sla"]).all()
        end = pd.Timestamp("2026-01-01")
        assert (waiting["enqueued_at"] < end).all()

        def backlog(moment):
            inside = (decisions["enqueued_at"] < moment) & (decisions["decided_at"] >= moment)
            return inside.sum() + (waiting["enqueued_at"] < moment).sum()

        assert backlog(pd.Timestamp("2025-11-15")) > 1.5 * backlog(pd.Timestamp("2025-10-15"))
        # What waits at the end is what waited a month before: the stamps go on seamlessly.
        assert 0.6 < len(waiting) / backlog(pd.Timestamp("2025-12-20")) < 1.4

    def test_appeals_mature(self, standard):
        appeals = standard.appeals
        assert (appeals["filed_at"] < pd.Timestamp("2026-01-01")).all()
        assert (appeals["decided_at"].isna() == (appeals["decided"] == 0)).all()
        assert (appeals["overturned"] <= appeals["decided"]).all()
        decided = appeals.groupby("month", observed=True)["decided"].mean()
        assert decided["2025-06"] == 1
        assert decided["2025-12"] < 0.9
        overturn = by_month(appeals, "overturned", "decided")
        assert overturn["2025-03":"2025-10"].between(0.35, 0.60).all()
        assert overturn["2025-07"] == overturn["2025-03":"2025-10"].max()

    def test_targets_cover_the_markets_that_are_open(self, ops):
        assert not ops.targets.duplicated(["month", "kpi", "queue", "market"]).any()
        accuracy = ops.targets[ops.targets["kpi"] == "accuracy"]
        volume = accuracy.groupby("month")["planned_volume"].sum()
        assert volume["2025-01"] == pytest.approx(6_000, rel=1e-3)
        assert accuracy["target"].between(0.70, 0.99).all()
        assert set(accuracy.loc[accuracy["market"] == "NG", "month"]) == {
            f"2025-{m:02d}" for m in range(8, 13)
        }

    def test_the_moderators_of_a_month_share_a_random_effect(self, standard):
        # Design effect about 1.7: accuracy varies more between moderators than by chance.
        effects = []
        for _, reviews in counted(standard).groupby("month", observed=True):
            weight, correct = reviews["weight"], reviews["correct"]
            rate = np.average(correct, weights=weight)
            by_moderator = (
                (weight * (correct - rate)).groupby(reviews["moderator_id"].astype(str)).sum()
            )
            variance = (by_moderator**2).sum() / weight.sum() ** 2
            effects.append(variance / (rate * (1 - rate) / len(reviews)))
        assert 1.4 < np.mean(effects) < 2.3


class TestSwitches:
    def test_without_events_nothing_happens(self):
        ops = simulate_moderation("small", events=())
        assert ops.truth.kpis["accuracy"].nunique() == 1
        assert ops.truth.kpis["volume"].nunique() == 1
        assert len(ops.events) == 0
        assert set(ops.qa_reviews["design"]) == {"random", "targeted"}
        assert "NG" not in set(ops.decisions["market"])
        assert set(ops.decisions["guideline_version"]) == {"2025.1"}

    @pytest.mark.parametrize("half", [0, 1])
    def test_events_can_be_switched_off_and_are_then_without_effect(self, half):
        names = [e.name for e in STORY]
        off, others = names[half::2], names[1 - half :: 2]
        ops = simulate_moderation("small", events=dict.fromkeys(off, 0))
        effects = ops.truth.effects.set_index("event")[["accuracy", "volume", "sla"]]
        assert (effects.loc[off] == 0).all(axis=None)
        for event in {*others} - {"sampling"}:  # which changes what is read, not what is true
            assert (effects.loc[event] != 0).any(axis=None)
        assert set(ops.events["event"]) == set(others)

    @pytest.mark.parametrize(
        ("event", "month"),
        [("wave", 3), ("migration", 5), ("refresh", 6), ("launch", 7), ("spike", 10)],
    )
    def test_an_event_scales(self, event, month):
        loss = [
            -simulate_moderation(
                "small", months=month + 1, events={e.name: 0 for e in STORY} | {event: s}
            )
            .truth.effects.set_index("event")
            .loc[event, "accuracy"]
            .iloc[month]
            for s in (0.5, 1, 2)
        ]
        assert 0 < 1.3 * loss[0] < loss[1] < loss[2] / 1.3

    def test_scaled_sampling_moves_the_naive_reading_only(self):
        more = simulate_moderation("small", months=9, events={"sampling": 1.5}, seed=1)
        less = simulate_moderation("small", months=9, events={"sampling": 0.4}, seed=1)
        pd.testing.assert_frame_equal(more.truth.kpis, less.truth.kpis)
        assert more.decisions.equals(less.decisions)
        high = [
            (counted(o)[lambda r: r["month"] == "2025-09"]["risk_tier"] == "high").mean()
            for o in (more, less)
        ]
        assert high[0] > 1.3 * high[1]

    def test_the_reversal_raises_every_queue_and_lowers_the_total(self):
        truth = simulate_moderation("small", months=3, options=["reversal"]).truth
        cells = truth.cells.groupby(["month", "queue"])[["volume", "correct"]].sum()
        rate = (cells["correct"] / cells["volume"]).unstack("month")
        assert (rate["2025-03"] > rate["2025-02"]).all()
        assert 100 * truth.kpis["accuracy"].diff().iloc[2] < -0.2

    def test_the_offsetting_pair_cancels(self):
        truth = simulate_moderation("small", months=3, options="offsetting_pair").truth
        cells = truth.cells.groupby(["month", "market"])[["volume", "correct"]].sum()
        rate = (cells["correct"] / cells["volume"]).unstack("month")
        moved = 100 * (rate["2025-03"] - rate["2025-02"])
        assert moved["BR"] < -2
        assert moved["ID"] > 2
        assert 100 * truth.kpis["accuracy"].diff().iloc[2] == pytest.approx(0, abs=0.01)

    def test_the_vendor_swap_replaces_a_vendor_by_a_less_accurate_one(self):
        ops = simulate_moderation("standard", months=4, seed=1, options=["vendor_swap"], events=())
        vendors = ops.decisions.groupby("month", observed=True)["vendor"].unique()
        assert set(vendors["2025-02"]) == {"Vendor 1", "Vendor 2", "Vendor 3"}
        assert set(vendors["2025-03"]) == {"Vendor 1", "Vendor 3", "Vendor 4"}
        assert 100 * ops.truth.kpis["accuracy"].diff().iloc[2] == pytest.approx(-0.68, abs=0.05)
        late = ops.decisions[ops.decisions["month"] >= "2025-03"]
        tenure = late.groupby("vendor", observed=True)["tenure"].value_counts(normalize=True)
        gap = tenure["Vendor 4"]["365+"] - tenure["Vendor 1"]["365+"]
        assert abs(gap) < 0.15
        both = ops.moderators.groupby("moderator_id", observed=True)["vendor"].nunique()
        assert (both == 1).all()

    def test_a_swap_during_the_wave_takes_its_members_over(self):
        ops = simulate_moderation("standard", months=6, options={"vendor_swap": "2025-05"})
        assert "Vendor 2" not in set(
            ops.decisions.loc[ops.decisions["month"] >= "2025-05", "vendor"]
        )
        april = ops.moderators["hire_date"] == pd.Timestamp("2025-04-01")
        assert "Vendor 4" in set(ops.moderators.loc[april, "vendor"])
        heads = ops.moderators[april].groupby("month", observed=True).size()
        assert heads["2025-05"] == heads["2025-04"] > heads["2025-06"]

    def test_an_option_strikes_in_the_month_named(self):
        truth = simulate_moderation("small", months=6, options={"reversal": "2025-02"}).truth
        effects = truth.effects[truth.effects["event"] == "reversal"].set_index("month")
        assert effects.index[effects["accuracy"] != 0].tolist() == ["2025-02"]


class TestFaults:
    def spoiled(self, options):
        return simulate_moderation("small", months=4, seed=2, options=options)

    @pytest.mark.parametrize(
        "fault", ["policy_code_split", "duplicates", "missing_tenure", "missing_month"]
    )
    def test_faults_leave_the_truth_alone(self, clean, fault):
        truth, spoiled = clean.truth, self.spoiled([fault])
        for name in ("kpis", "effects", "cells", "bridges"):
            pd.testing.assert_frame_equal(getattr(truth, name), getattr(spoiled.truth, name))
        assert spoiled != clean

    def test_a_policy_code_is_split_from_its_month_on(self, clean):
        spoiled = self.spoiled({"policy_code_split": "2025-03"})
        for name in ("decisions", "qa_reviews", "appeals"):
            before, after = getattr(clean, name), getattr(spoiled, name)
            new = after["policy"] == "bullying"
            assert (before.loc[new, "policy"] == "harassment").all()
            assert (after.loc[new, "month"] >= "2025-03").all()
            assert (before.loc[~new, "policy"].astype(str) == after.loc[~new, "policy"]).all()
        late = clean.decisions["month"] >= "2025-03"
        harassment = clean.decisions["policy"] == "harassment"
        recoded = (spoiled.decisions["policy"] == "bullying").sum()
        assert recoded / (late & harassment).sum() == pytest.approx(0.7, abs=0.03)
        ids = spoiled.qa_reviews.set_index("decision_id")["policy"].astype(str)
        parents = spoiled.decisions.set_index("decision_id")["policy"].astype(str)
        assert (ids == parents.loc[ids.index]).all()

    def test_duplicates_repeat_rows_of_the_month(self, clean):
        spoiled = self.spoiled(["duplicates"])
        twice = spoiled.decisions[spoiled.decisions.duplicated("decision_id")]
        assert set(twice["month"]) == {"2025-02"}
        assert 0.02 < len(twice) / (clean.decisions["month"] == "2025-02").sum() < 0.04
        once = spoiled.decisions.drop_duplicates(["decision_id"]).reset_index(drop=True)
        assert once.equals(clean.decisions)
        reviews = spoiled.qa_reviews
        assert set(reviews.loc[reviews.duplicated("review_id"), "decision_id"]) <= set(
            twice["decision_id"]
        )

    def test_tenure_goes_missing_at_one_site(self, clean):
        spoiled = self.spoiled(["missing_tenure"])
        for name in ("decisions", "qa_reviews", "appeals", "moderators"):
            frame = getattr(spoiled, name)
            lost = (frame["site"] == "Site A") & (frame["month"] >= "2025-02")
            assert lost.any()
            assert (frame["tenure"].isna() == lost).all()

    def test_a_month_goes_missing(self):
        spoiled = self.spoiled({"missing_month": "2025-03"})
        for name in ("decisions", "qa_reviews", "appeals", "moderators"):
            assert set(getattr(spoiled, name)["month"]) == {"2025-01", "2025-02", "2025-04"}

    def test_faults_and_events_combine(self):
        ops = self.spoiled(["duplicates", "missing_tenure", "reversal", "policy_code_split"])
        assert ops.decisions.duplicated("decision_id").any()
        assert ops.decisions["tenure"].isna().any()
        assert "bullying" in set(ops.decisions["policy"])
        assert "reversal" in set(ops.events["event"])


class TestReproducibility:
    def test_the_same_seed_gives_the_same_frames(self, ops):
        again = simulate_moderation("small", seed=3)
        assert again == ops
        pd.testing.assert_frame_equal(again.qa_reviews.head(1000), ops.qa_reviews.head(1000))

    def test_another_seed_gives_other_data_and_the_same_truth(self, ops):
        other = simulate_moderation("small", seed=4)
        assert not other.decisions.equals(ops.decisions)
        pd.testing.assert_frame_equal(other.truth.kpis, ops.truth.kpis)

    def test_global_random_state_is_neither_read_nor_changed(self, ops):
        np.random.seed(1)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        assert simulate_moderation("small", seed=3) == ops
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002

    def test_results_are_frozen_picklable_and_copyable(self):
        ops = simulate_moderation("small", months=1)
        assert pickle.loads(pickle.dumps(ops)) == ops == copy.deepcopy(ops)
        with pytest.raises(AttributeError):
            ops.decisions = None
        assert repr(ops).startswith("<Moderation 2025-01 to 2025-01: ")

    def test_months_cut_the_year(self):
        ops = simulate_moderation("small", months=5)
        assert ops.decisions["month"].cat.categories.tolist() == [f"2025-0{m}" for m in range(1, 6)]
        assert ops.truth.kpis["month"].tolist() == [f"2025-0{m}" for m in range(1, 6)]
        assert set(ops.events["event"]) == {"wave"}


class TestWriting:
    def test_csv_bytes_are_reproducible(self, quarter, tmp_path):
        again = simulate_moderation("small", months=3, seed=6)
        files = quarter.write(tmp_path / "a", format="csv")
        again.write(tmp_path / "b", format="csv")
        assert len(files) == 11
        for file in files:
            assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()

    def test_parquet_and_duckdb_hold_what_the_frames_hold(self, quarter, tmp_path):
        quarter.write(tmp_path)
        (database,) = quarter.write(tmp_path, format="duckdb")
        with duckdb.connect(str(database), read_only=True) as connection:
            for name, frame in quarter.tables().items():
                stored = connection.table(name)
                copied = connection.read_parquet(str(tmp_path / f"{name}.parquet"))
                assert stored.columns == copied.columns == list(frame.columns)
                assert len(stored) == len(copied) == len(frame)
            correct = connection.execute(
                "SELECT sum(correct), sum(weight) FROM qa_reviews"
            ).fetchone()
        expected = (quarter.qa_reviews["correct"].sum(), quarter.qa_reviews["weight"].sum())
        assert correct == pytest.approx(expected)

    def test_other_files_of_the_folder_stay(self, quarter, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        quarter.write(tmp_path, format="csv")
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert {p.suffix for p in tmp_path.iterdir()} == {".txt", ".csv"}

    def test_a_write_that_fails_leaves_the_previous_files(self, quarter, tmp_path):
        (file, *_) = quarter.write(tmp_path, format="csv")
        before = file.read_bytes()
        broken = replace(quarter, open_items=quarter.open_items.assign(queue=1j))
        with pytest.raises(Exception):  # noqa: B017 - whatever the database says
            broken.write(tmp_path, format="csv")
        assert file.read_bytes() == before
        assert {p.suffix for p in tmp_path.iterdir()} == {".csv"}

    def test_an_unknown_format_names_the_allowed_ones(self, quarter, tmp_path):
        with pytest.raises(OptionError, match=r"format: 'parket' .* Did you mean 'parquet'\?"):
            quarter.write(tmp_path / "never", format="parket")
        assert not (tmp_path / "never").exists()


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": "huge"}, "size: 'huge' is not one of 'small', 'standard', 'large'."),
            ({"size": "Standart"}, "Did you mean 'standard'?"),
            ({"months": 0}, "months: 0 is not a whole number from 1 to 12."),
            ({"months": 13}, "months: 13 is not"),
            ({"months": True}, "months: True is not"),
            ({"months": "12"}, "months: '12' is not"),
            ({"seed": -1}, "seed: -1 is not a whole number of 0 or more."),
            ({"seed": 1.5}, "seed: 1.5 is not"),
            ({"seed": None}, "seed: None is not"),
            ({"events": 3}, "events: 3 is neither None nor names out of 'wave', 'migration'"),
            ({"options": 3}, "options: 3 is neither None nor names out of 'reversal'"),
            ({"events": ["wafe"]}, "events: 'wafe' is not one of 'wave', 'migration'"),
            ({"events": {"wave": -1}}, "events: the scale of 'wave' is -1; allowed are numbers"),
            ({"events": {"wave": float("nan")}}, "the scale of 'wave' is nan"),
            ({"events": {"wave": "2"}}, "the scale of 'wave' is '2'"),
            ({"events": {"spike": 6}}, "from 0 (off) to 5"),
            ({"options": "duplicate"}, "Did you mean 'duplicates'?"),
            ({"options": {"duplicates": "2026-01"}}, "'duplicates' strikes in '2026-01', which"),
            ({"options": ["reversal"], "months": 2}, "simulated months '2025-01' to '2025-02'"),
        ],
    )
    def test_bad_arguments_name_what_is_allowed(self, arguments, message):
        with pytest.raises(OptionError) as error:
            simulate_moderation(**{"months": 3} | arguments)
        assert message in str(error.value)
        assert isinstance(error.value, ValueError)


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_only(monkeypatch, capsys):
    simulate_moderation("small", months=1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("attribution.progress._SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", screen := Screen())
    simulate_moderation("small", months=1)
    assert "months simulated" in screen.getvalue()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_memory_stays_small():
    tracemalloc.start()
    simulate_moderation("small")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6

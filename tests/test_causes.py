"""Named causes: planted ones are found, nothing is named where nothing happened, all adds up."""

from __future__ import annotations

import copy
import io
import json
import pickle
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import DataQualityWarning, IdentificationError, OptionError

SIZES = {"queue": 4, "policy": 5, "market": 6, "tenure": 3}


def reviews(
    seed: int, effects: dict[tuple[tuple[str, int], ...], float] | None = None, people: int = 90
) -> pd.DataFrame:
    """Pre-counted reviews of people at home in a market and a tenure band, who drift."""
    rng = np.random.default_rng(seed)
    market, tenure = rng.integers(SIZES["market"], size=people), rng.integers(3, size=people)
    rows = []
    for g in range(people):
        for q in rng.choice(4, 2, replace=False):
            rows += [(g, q, p, market[g], tenure[g]) for p in range(5)]
    frame = pd.DataFrame(rows, columns=["person", *SIZES])
    base = 2.0 + rng.normal(0, 0.3, people)[frame["person"]]
    base += sum(rng.normal(0, 0.3, size)[frame[d]] for d, size in SIZES.items())
    moved = rng.normal(0, 0.15, people)[frame["person"]]
    for levels, effect in (effects or {}).items():
        inside = np.logical_and.reduce([frame[d] == x for d, x in levels] or [np.ones(len(frame))])
        moved = moved + effect * inside
    months = []
    for month, eta in ((1, base), (2, base + moved)):
        n = 5 + rng.poisson(25, len(frame))
        counted = frame.assign(month=month, n=n, ok=rng.binomial(n, 1 / (1 + np.exp(-eta))))
        months.append(counted)
    found = pd.concat(months, ignore_index=True)
    return found.assign(**{d: found[d].map(lambda x, d=d: f"{d[0]}{x}") for d in SIZES})


def explained(data: pd.DataFrame, by=tuple(SIZES), **options) -> at.Attribution:
    asked = {"cluster": "person", "metric": "ok / n"} | options
    return at.explain(data, by=list(by), period="month", baseline=1, current=2, **asked)


PLANTED = {(("policy", 1),): -0.9, (("queue", 2), ("market", 3)): -1.1}


@pytest.fixture(scope="module")
def change() -> at.Attribution:
    return explained(reviews(3, PLANTED))


@pytest.fixture(scope="module")
def causes(change):
    return change.causes()


def test_planted_segments_are_named(causes):
    assert set(causes.frame["segment"]) == {"policy = p1", "queue = q2 and market = m3"}
    assert causes.none is None
    assert causes.frame.set_index("segment").loc["policy = p1", "odds_ratio"] == pytest.approx(
        np.exp(-0.9), rel=0.25
    )


def test_the_frame_says_where_each_cause_is(causes):
    row = causes.frame.set_index("segment").loc["queue = q2 and market = m3"]
    assert (row["queue"], row["market"], row["order"]) == ("q2", "m3", 2)
    assert row["policy"] is None
    assert row["tenure"] is None
    assert row["rate_current"] < row["rate_baseline"]
    assert row["conf_low"] < row["contribution"] < row["conf_high"] < 0


def test_contributions_everywhere_and_remainder_add_up_to_the_rate_effect(change, causes):
    rate = change.effects.set_index("effect").loc["rate", "estimate"]
    parts = causes.frame["contribution"].sum() + causes.everywhere["contribution"]
    assert parts + causes.remainder == pytest.approx(rate, rel=1e-12)
    assert abs(causes.remainder) < 0.2 * abs(rate)


def test_counts_and_rates_are_those_of_the_segment(change, causes):
    row = causes.frame.set_index("segment").loc["policy = p1"]
    level = change.levels("policy").set_index("segment").loc["p1"]
    for column in ("n_baseline", "n_current", "rate_baseline", "rate_current"):
        assert row[column] == pytest.approx(level[column])


def test_the_bridge_with_causes_adds_up(change, causes):
    bridge = change.bridge(causes=True)
    labels = [bar.label for bar in bridge.bars]
    assert "policy = p1" in labels
    assert "Rate" not in labels
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(bridge.change, rel=1e-12)


def test_the_same_seed_gives_the_same_answer_and_results_travel(change, causes):
    assert change.causes(rng=0) == causes
    assert pickle.loads(pickle.dumps(causes)) == causes
    assert copy.deepcopy(causes) == causes
    assert json.loads(json.dumps(causes.to_dict()))["provenance"]["seed"] == 0


def test_order_of_rows_and_labels_does_not_matter(causes):
    data = reviews(3, PLANTED).sample(frac=1, random_state=1)
    again = explained(data.assign(person="m" + (1000 - data["person"]).astype(str))).causes()
    assert list(again.frame["segment"]) == list(causes.frame["segment"])
    np.testing.assert_allclose(again.frame["contribution"], causes.frame["contribution"], rtol=1e-6)


def test_causes_that_pass_together_for_drift_of_all_segments_like_them_are_named():
    # One at a time, none of them stands out of the drift that the others seem to be.
    grown = {(("queue", 3), ("tenure", 0)): 0.9}
    fallen = {(("queue", 2), ("tenure", 1)): -1.0, (("queue", 0), ("tenure", 2)): -0.9}
    found = explained(reviews(5, fallen | grown, people=120)).causes()
    assert set(found.frame["segment"]) == {
        "queue = q2 and tenure = t1",
        "queue = q0 and tenure = t2",
        "queue = q3 and tenure = t0",
    }


def test_where_nothing_happened_nothing_is_named():
    found = explained(reviews(11)).causes()
    assert found.frame.empty
    assert "No segment stands out" in found.none
    assert "pp in a segment of" in found.none
    rate = explained(reviews(11)).effects.set_index("effect").loc["rate", "estimate"]
    assert found.everywhere["contribution"] + found.remainder == pytest.approx(rate, rel=1e-12)


def test_a_change_of_everybody_is_no_segment():
    found = explained(reviews(5, {(): -0.4})).causes()
    assert found.frame.empty
    assert found.everywhere["conf_high"] < 0


def test_nested_dimensions_never_combine():
    data = reviews(3, PLANTED)
    data["region"] = data["market"].map(lambda m: f"r{int(m[1:]) % 2}")
    found = explained(data, by=["region", *SIZES]).causes()
    both = found.frame["region"].notna() & found.frame["market"].notna()
    assert not both.any()
    assert any("market in region" in note for note in found.notes)
    assert "queue = q2 and market = m3" in set(found.frame["segment"])


def test_an_order_above_the_dimensions_is_clipped_with_a_note_where_it_was_asked_for():
    change = explained(reviews(4, PLANTED), by=["policy"])
    usual, asked = change.causes(), change.causes(max_order=4)
    assert list(usual.frame["segment"]) == list(asked.frame["segment"]) == ["policy = p1"]
    assert not any("max_order" in note for note in usual.notes)
    assert asked.notes[0] == "max_order = 4 is above the 1 dimension searched."
    assert asked.notes[1:] == usual.notes
    assert usual.provenance["max_order"] == 1


def test_few_clusters_have_an_answer_and_a_note():
    data = reviews(3, PLANTED)
    found = explained(data.assign(person=1)).causes()
    assert any("Only 1 different person" in note for note in found.notes)


def test_a_dimension_with_one_level_names_nothing():
    data = reviews(3, PLANTED).assign(site="here")
    found = explained(data, by=["site"]).causes()
    assert found.frame.empty
    assert "No segment can be judged" in found.none


def test_all_successes_have_an_answer():
    data = reviews(3)
    found = explained(data.assign(ok=data["n"])).causes()
    assert found.frame.empty
    assert "do not vary" in found.none
    assert found.remainder == 0


def test_people_seen_in_one_period_only_are_compared_with_each_other():
    data = reviews(3, PLANTED)
    found = explained(data.assign(person=data["person"] + 1000 * (data["month"] == 2))).causes()
    assert "policy = p1" in set(found.frame["segment"])
    assert any("No person is in the same segment" in note for note in found.notes)
    assert any("read everywhere and the rest as one figure" in note for note in found.notes)


def test_effects_that_do_not_settle_are_refused(change, monkeypatch):
    monkeypatch.setattr("attribution.search.select._SETTLED", 0.0)
    with pytest.raises(IdentificationError, match="did not settle in 40 steps"):
        change.causes()


def test_without_clusters_rows_are_independent_and_a_warning_says_so():
    with pytest.warns(DataQualityWarning, match="false alarms rise"):
        found = explained(reviews(3, PLANTED), cluster=None).causes()
    assert "policy = p1" in set(found.frame["segment"])


def test_a_ratio_is_searched_by_differences():
    data = reviews(3)
    rng = np.random.default_rng(0)
    slower = 1 + 0.4 * ((data["month"] == 2) & (data["queue"] == "q1"))
    seconds = rng.gamma(4.0 * data["n"], 15.0 * slower)
    change = explained(data.assign(seconds=seconds), metric=at.Ratio("seconds", "n", unit="s"))
    found = change.causes()
    assert list(found.frame["segment"]) == ["queue = q1"]
    assert np.isnan(found.frame["odds_ratio"]).all()
    row = found.frame.iloc[0]
    share = data.loc[data["queue"] == "q1", "n"].sum() / data["n"].sum()
    moved = (row["rate_current"] - row["rate_baseline"]) * share
    assert row["contribution"] == pytest.approx(moved, rel=0.15)


def test_counted_beforehand_or_not_is_the_same(change, causes):
    data = reviews(3, PLANTED)
    each = data.loc[data.index.repeat(data["n"])]
    place = each.groupby(level=0).cumcount()
    again = explained(each.assign(right=place < each["ok"]), metric=at.Rate("right")).causes()
    columns = ["segment", "n_baseline", "n_current", "contribution", "conf_low", "p_adjusted"]
    pd.testing.assert_frame_equal(again.frame[columns], causes.frame[columns], rtol=1e-9)


@pytest.fixture(scope="module")
def timed() -> pd.DataFrame:
    """Rows of a few decisions, of which those of q1 take longer in the second month."""
    data = reviews(3)
    slower = 1 + 0.4 * ((data["month"] == 2) & (data["queue"] == "q1"))
    seconds = np.random.default_rng(0).gamma(8.0, 8.0 * slower)
    return data.assign(seconds=seconds, handled=seconds * data["n"])


@pytest.mark.parametrize("cluster", ["person", None])
@pytest.mark.parametrize("metric", [at.Mean("seconds"), at.Ratio("handled", "n", unit="s")])
@pytest.mark.filterwarnings("ignore::attribution.errors.DataQualityWarning")
def test_means_and_ratios_with_and_without_clusters(timed, metric, cluster):
    found = explained(timed, metric=metric, cluster=cluster).causes()
    assert found.frame["segment"][0] == "queue = q1"
    assert found.frame["contribution"][0] > 0.8 * found.effect > 0


def test_a_cause_of_order_four_takes_max_order_four():
    deep = (("queue", 1), ("policy", 2), ("market", 3), ("tenure", 1))
    data = reviews(3)
    rows = np.logical_and.reduce([data[d] == f"{d[0]}{x}" for d, x in deep])
    # Where nobody of that market and band works in that queue there is no such segment.
    assert rows.any()
    fallen = rows & (data["month"] == 2)
    data["n"] = np.where(rows, 10 * data["n"], data["n"])
    data["ok"] = np.where(rows, np.where(fallen, data["n"] // 3, 9 * data["n"] // 10), data["ok"])
    change = explained(data)
    found = change.causes(max_order=4, max_causes=1)
    assert found.provenance["max_order"] == 4
    assert found.provenance["segments"] > change.causes(max_causes=1).provenance["segments"]


def actual(effect: float, people: int = 80) -> pd.DataFrame:
    """One month of people who differ, at a target of 85 % but for policy p1."""
    rng = np.random.default_rng(6)
    frame = pd.MultiIndex.from_product(
        [range(people), range(4), ["p0", "p1", "p2"]], names=["person", "queue", "policy"]
    ).to_frame(index=False)
    eta = np.log(0.85 / 0.15) + rng.normal(0, 0.2, people)[frame["person"]]
    p = 1 / (1 + np.exp(-eta - effect * (frame["policy"] == "p1")))
    n = 10 + rng.poisson(30, len(frame))
    return frame.assign(queue="q" + frame["queue"].astype(str), n=n, ok=rng.binomial(n, p))


def against_plan(data: pd.DataFrame, **options) -> at.Attribution:
    by = ["queue", "policy"]
    segments = pd.MultiIndex.from_product([["q0", "q1", "q2", "q3"], ["p0", "p1", "p2"]], names=by)
    plan = pd.DataFrame({"planned_share": 1 / 12, "target": 0.85}, index=segments).reset_index()
    asked = {"metric": "ok / n", "by": by, "cluster": "person"} | options
    if asked["metric"] != "ok / n":
        plan["target"] = 40.0
    return at.compare_to_plan(data, plan, **asked)


def test_against_plan_the_segment_below_its_target_is_named():
    change = against_plan(actual(-0.5))
    found = change.causes()
    assert list(found.frame["segment"]) == ["policy = p1"]
    assert found.frame["odds_ratio"][0] == pytest.approx(np.exp(-0.5), rel=0.1)
    assert any("targets are taken as known" in note for note in found.notes)
    rate = change.effects.set_index("effect").loc["rate", "estimate"]
    parts = found.frame["contribution"].sum() + found.everywhere["contribution"]
    assert parts + found.remainder == pytest.approx(rate, rel=1e-12)
    bridge = change.bridge(causes=True)
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(bridge.change, rel=1e-12)


def test_against_plan_nothing_is_named_where_all_are_on_target():
    found = against_plan(actual(0.0)).causes()
    assert found.frame.empty
    assert "No segment stands out" in found.none


@pytest.mark.parametrize("cluster", ["person", None])
@pytest.mark.filterwarnings("ignore::attribution.errors.DataQualityWarning")
def test_against_plan_ratios_and_rows_without_clusters(cluster):
    data = actual(0.0)
    seconds = np.random.default_rng(1).gamma(4.0 * data["n"], 10 + 3.0 * (data["queue"] == "q2"))
    data = data.assign(seconds=seconds)
    slow = against_plan(data, metric=at.Ratio("seconds", "n", unit="s"), cluster=cluster).causes()
    assert list(slow.frame["segment"]) == ["queue = q2"]
    assert slow.frame["contribution"][0] == pytest.approx(3.0, rel=0.25)
    low = against_plan(actual(-0.5), cluster=cluster).causes()
    assert low.frame["segment"][0] == "policy = p1"


def test_a_target_of_every_decision_has_no_odds_and_judges_nothing():
    data = actual(-0.5)
    plan = pd.DataFrame({"policy": ["p0", "p1", "p2"], "planned_share": 1 / 3, "target": 1.0})
    change = at.compare_to_plan(data, plan, "ok / n", by="policy", cluster="person")
    assert "No segment can be judged" in change.causes().none


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_and_an_interrupt_leaves_nothing(change, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("attribution.progress._SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm-256color")
    before = threading.active_count()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("attribution.search.select._backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        change.causes()
    shown = stream.getvalue()
    assert "causes" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before
    monkeypatch.undo()
    assert not change.causes().frame.empty


def test_weights_are_used():
    data = reviews(3, PLANTED)
    data["weight"] = 1.0 + (data["person"] % 3)
    found = explained(data, weight="weight").causes()
    assert "policy = p1" in set(found.frame["segment"])


def test_mix_causes_name_the_segment_whose_volume_grew():
    data = reviews(3)
    more = np.where((data["month"] == 2) & (data["policy"] == "p4"), 3, 1)
    change = explained(data.assign(n=data["n"] * more, ok=data["ok"] * more))
    found = change.mix_causes()
    assert found.frame["segment"][0] == "policy = p4"
    assert found.frame["odds_ratio"][0] == pytest.approx(3, rel=0.1)
    mix = change.effects[change.effects["effect"].isin(["mix", "joint"])]["estimate"].sum()
    parts = found.frame["contribution"].sum() + found.everywhere["contribution"]
    assert parts + found.remainder == pytest.approx(mix, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_order": 0}, "max_order: 0"),
        ({"max_order": 1.5}, "max_order: 1.5"),
        ({"max_causes": True}, "max_causes: True"),
        ({"max_causes": 1000}, "max_causes: 1000"),
        ({"alpha": 5}, "alpha: 5"),
        ({"rng": "seed"}, "rng: 'seed'"),
    ],
)
def test_wrong_options_are_refused_by_name(change, options, words):
    with pytest.raises(OptionError, match=words):
        change.causes(**options)


def test_words_and_pictures(change, causes):
    text = str(causes)
    assert "spread over the rest" in text
    assert text.splitlines()[0].startswith("2 segments carry")
    assert repr(causes).startswith("<Causes of ok / n: ")
    ax = causes.plot()
    assert len(ax.patches) == len(causes.frame) + 2
    widths = [bar.get_width() for bar in ax.patches]
    assert sum(widths) == pytest.approx(causes.effect)

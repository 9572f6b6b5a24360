"""An Attribution: frames that add up, verdicts, parts, exports, and what it refuses to say."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import ColumnNotFoundError, OptionError, PeriodError


@pytest.fixture(scope="module")
def reviews() -> pd.DataFrame:
    """Reviews of 60 moderators: new hires grow, and the rate falls in one queue."""
    rng = np.random.default_rng(3)
    n = 12_000
    moderator = rng.integers(0, 60, n)
    month = rng.integers(8, 10, n)
    new = rng.random(n) < np.where(month == 8, 0.15, 0.35)
    queue = rng.choice(["Live", "Video", "Comments"], n, p=[0.3, 0.5, 0.2])
    p = 0.93 - 0.08 * new - 0.05 * ((queue == "Live") & (month == 9))
    p = p + rng.normal(0, 0.01, 60)[moderator]
    return pd.DataFrame(
        {
            "month": np.where(month == 8, "2026-08", "2026-09"),
            "queue": queue,
            "market": rng.choice(["ID", "BR", "JP"], n),
            "tenure": np.where(new, "0-30", "31+"),
            "moderator_id": moderator,
            "correct": (rng.random(n) < p).astype(int),
        }
    )


ASK = {
    "by": ["queue", "market", "tenure"],
    "period": "month",
    "baseline": "2026-08",
    "current": "2026-09",
}


@pytest.fixture(scope="module")
def change(reviews) -> at.Attribution:
    return at.explain(reviews, at.Rate("correct", name="Accuracy"), cluster="moderator_id", **ASK)


def test_effects_add_up_and_have_the_published_columns(change):
    effects = change.effects
    assert list(effects.columns) == [
        "effect", "dimension", "segment", "estimate", "std_error", "conf_low", "conf_high",
        "p_value", "p_adjusted", "share_of_change",
    ]  # fmt: skip
    assert effects["estimate"].sum() == pytest.approx(change.total.change, rel=1e-12)
    assert effects["effect"].tolist() == ["mix", "mix", "mix", "joint", "rate"]
    assert effects["share_of_change"].sum() == pytest.approx(1)
    assert change.total.current - change.total.baseline == pytest.approx(change.total.change)


@pytest.mark.parametrize("dimension", ASK["by"])
def test_levels_sum_to_the_rows_of_the_bridge(change, dimension):
    levels = change.levels(dimension)
    effects = change.effects
    mix = effects.query("effect == 'mix' and dimension == @dimension")["estimate"].iloc[0]
    rate = effects.query("effect == 'rate'")["estimate"].iloc[0]
    assert list(levels.columns[:2]) == ["dimension", "segment"]
    assert levels["mix"].sum() == pytest.approx(mix, abs=1e-14)
    assert levels["rate"].sum() == pytest.approx(rate, abs=1e-14)
    assert levels["share_current"].sum() == pytest.approx(1)
    for column in ("share_baseline", "rate_current", "mix", "rate", "total"):
        assert {f"{column}{x}" for x in ("_std_error", "_conf_low", "_conf_high")} <= set(levels)
    observed = (levels["share_current"] * levels["rate_current"]).sum()
    assert observed == pytest.approx(change.total.current)


@pytest.mark.parametrize("cluster", [None, "moderator_id"])
def test_intervals_of_shares_and_rates_are_shares_and_rates(reviews, cluster):
    rng = np.random.default_rng(5)
    rare = reviews.iloc[:60].assign(queue="Rare", correct=1)
    often = reviews.iloc[60:110].assign(queue="Often", correct=(rng.random(50) < 0.97).astype(int))
    often.iloc[0, often.columns.get_loc("correct")] = 0
    data = pd.concat([reviews, rare, often]).assign(one=1, all="all")
    asked = {"period": "month", "baseline": "2026-08", "current": "2026-09", "cluster": cluster}
    levels = at.explain(data, "correct / one", "queue", **asked).levels("queue")
    for name in ("share_baseline", "share_current", "rate_baseline", "rate_current"):
        low, high = levels[f"{name}_conf_low"], levels[f"{name}_conf_high"]
        assert low.between(0, levels[name]).all()
        assert high.between(levels[name], 1).all()
    row = levels.set_index("segment").loc["Rare"]
    # All right, and no more certain than Wilson's interval of as many independent rows.
    assert row["rate_baseline"] == row["rate_baseline_conf_high"] == 1
    wilson = row["n_baseline"] / (row["n_baseline"] + 1.959964**2)
    assert row["rate_baseline_conf_low"] <= wilson + 1e-6
    assert row["rate_baseline_conf_low"] > wilson - 0.15
    # Far from 0 and 1 it is the t interval.
    live = levels.set_index("segment").loc["Live"]
    assert live["rate_current_conf_high"] - live["rate_current_conf_low"] == pytest.approx(
        2 * 1.96 * live["rate_current_std_error"], rel=0.03
    )
    # A level that is all there is has a share of 1 for certain.
    whole = at.explain(data, "correct / one", "all", **asked).levels("all")
    assert whole[["share_current_conf_low", "share_current_conf_high"]].eq(1).all(axis=None)


def test_segments_sum_to_the_change_and_name_their_levels(change):
    segments = change.segments()
    assert segments["total"].sum() == pytest.approx(change.total.change, abs=1e-14)
    assert set(ASK["by"]) <= set(segments)
    assert segments["segment"].iloc[0].count(" × ") == 2
    assert (segments["mix_std_error"] > 0).all()


def test_swapping_the_periods_flips_every_sign(reviews, change):
    back = at.explain(
        reviews, "correct / 1", cluster="moderator_id",
        **{**ASK, "baseline": "2026-09", "current": "2026-08"},
    )  # fmt: skip
    np.testing.assert_allclose(back.effects["estimate"], -change.effects["estimate"], atol=1e-14)
    np.testing.assert_allclose(back.effects["std_error"], change.effects["std_error"], atol=1e-12)


def test_within_is_the_attribution_of_the_part_alone(reviews, change):
    part = change.within(queue="Live")
    alone = at.explain(
        reviews[reviews["queue"] == "Live"], at.Rate("correct", name="Accuracy"),
        cluster="moderator_id", **{**ASK, "by": ["market", "tenure"]},
    )  # fmt: skip
    pd.testing.assert_frame_equal(part.effects, alone.effects, rtol=1e-10, atol=1e-14)
    assert part.total.change < change.total.change
    chained = part.within(market="ID").levels("tenure")
    assert chained["rate"].sum() < 0
    several = change.within(market=["ID", "BR"])
    assert several.cube.dimensions == ("queue", "market", "tenure")


def test_within_refuses_what_is_not_there(change):
    with pytest.raises(ColumnNotFoundError, match=r"no dimension 'quue'.*Did you mean 'queue'"):
        change.within(quue="Live")
    with pytest.raises(OptionError, match=r"queue: no level 'Liv'.*Did you mean 'Live'"):
        change.within(queue="Liv")
    with pytest.raises(OptionError, match="name at least one level"):
        change.within()


def test_a_part_without_volume_in_a_period_is_an_error(reviews):
    grown = pd.concat([reviews, reviews[reviews["month"] == "2026-09"].assign(market="New")])
    change = at.explain(grown, "correct / 1", **ASK)
    with pytest.raises(PeriodError, match="baseline: the denominator '1' of"):
        change.within(market="New")


def test_a_real_change_is_called_real_and_noise_noise(reviews, change):
    assert change.verdict == "real"
    rng = np.random.default_rng(0)
    shuffled = reviews.assign(month=rng.permutation(reviews["month"]))
    still = at.explain(shuffled, "correct / 1", **ASK)
    assert still.verdict == "noise"
    assert "not distinguishable from noise" in still.summary()
    assert "could not be seen" in still.summary()


@pytest.mark.parametrize(("material", "verdict"), [(0.5, "noise"), (1e-6, "inconclusive")])
def test_material_tells_noise_from_inconclusive(reviews, material, verdict):
    rng = np.random.default_rng(0)
    shuffled = reviews.assign(month=rng.permutation(reviews["month"]))
    assert at.explain(shuffled, "correct / 1", material=material, **ASK).verdict == verdict


def test_summary_shows_parts_that_add_up_as_displayed(change):
    bridge = change.bridge()
    ends = [round(100 * x, 2) for x in (bridge.baseline, bridge.current)]
    assert sum(bridge.shown()) == pytest.approx(ends[1] - ends[0], abs=1e-9)
    text = str(change)
    assert text.startswith("Accuracy fell from")
    for shown in bridge.texts():
        assert shown in text


def test_other_bars_keep_the_sum_and_get_an_interval(change):
    full, short = change.bridge(), change.bridge(max_bars=3)
    assert [b.label for b in short.bars][-1] == "other (3)"
    assert sum(b.value for b in short.bars) == pytest.approx(sum(b.value for b in full.bars))
    assert short.bars[-1].conf_low < short.bars[-1].value < short.bars[-1].conf_high
    with pytest.raises(OptionError, match="max_bars"):
        change.bridge(max_bars=1)


def test_notebook_display_escapes_labels(reviews):
    nasty = reviews.replace({"queue": {"Live": "<script>alert(1)</script>"}})
    grown = pd.concat([nasty, nasty[nasty["month"] == "2026-09"].assign(queue="<b>new</b>")])
    shown = at.explain(grown, at.Rate("correct", name="<i>KPI</i>"), **ASK)._repr_html_()
    assert "<script>" not in shown
    assert "<b>new" not in shown
    assert "&lt;i&gt;KPI" in shown


def test_results_are_frozen_picklable_copyable_comparable(change):
    with pytest.raises(AttributeError):
        change.verdict = "noise"
    for twin in (pickle.loads(pickle.dumps(change)), copy.deepcopy(change)):
        assert twin == change
        pd.testing.assert_frame_equal(twin.effects, change.effects)
    assert change.within(queue="Live") != change
    assert repr(change).startswith("<Attribution Accuracy: ")


def test_json_has_everything_without_nan(change, tmp_path):
    text = change.to_json(tmp_path / "effects.json")
    parsed = json.loads(text, parse_constant=lambda x: pytest.fail(f"{x} in JSON"))
    assert parsed == json.loads((tmp_path / "effects.json").read_text(encoding="utf-8"))
    assert parsed["schema"] == "kpi-attribution/1"
    assert sum(row["estimate"] for row in parsed["effects"]) == pytest.approx(
        parsed["total"]["change"], abs=1e-11
    )
    assert set(parsed["levels"]) == set(ASK["by"])
    assert parsed["provenance"]["rows"] == 12_000
    assert len(parsed["provenance"]["sha256"]) == 64


def test_same_rows_in_another_order_give_the_same_bytes(reviews, change):
    again = at.explain(
        reviews.sample(frac=1, random_state=1), at.Rate("correct", name="Accuracy"),
        cluster="moderator_id", **ASK,
    )  # fmt: skip
    assert again.to_json() == change.to_json()


def test_inputs_are_not_mutated(reviews):
    before = reviews.copy(deep=True)
    at.explain(reviews, "correct / 1", **ASK).levels("queue")
    pd.testing.assert_frame_equal(reviews, before)


def test_threefold_has_an_interaction_line_and_columns(reviews):
    change = at.explain(reviews, "correct / 1", method="threefold", **ASK)
    assert "interaction" in change.effects["effect"].tolist()
    levels = change.levels("queue")
    row = change.effects.query("effect == 'interaction'")["estimate"].iloc[0]
    assert levels["interaction"].sum() == pytest.approx(row, abs=1e-14)
    np.testing.assert_allclose(
        levels["total"], levels["mix"] + levels["rate"] + levels["interaction"], atol=1e-14
    )


def test_pooled_periods_and_text_values_of_numbers(reviews):
    numbered = reviews.assign(month=np.where(reviews["month"] == "2026-08", 8, 9))
    change = at.explain(numbered, "correct / 1", **{**ASK, "baseline": "8", "current": ["9"]})
    assert change.cube.periods == ("8", "9")


def test_no_dimension_leaves_the_rate(reviews):
    change = at.explain(reviews, "correct / 1", **{**ASK, "by": []})
    assert change.effects["effect"].tolist() == ["rate"]
    assert change.effects["estimate"].iloc[0] == pytest.approx(change.total.change)


def test_one_cluster_gives_no_standard_error_and_no_verdict(reviews):
    change = at.explain(
        reviews.assign(moderator_id=1), "correct / 1", cluster="moderator_id", **ASK
    )
    assert np.isnan(change.total.std_error)
    assert change.verdict == "inconclusive"
    assert "fewer than two independent units" in change.summary()
    assert "few_clusters" in change.check()["code"].tolist()


def test_a_change_that_may_be_noise_does_not_drive_the_decimals():
    rng = np.random.default_rng(3)
    n = 4000
    seconds = rng.gamma(2, 150, n)
    frame = pd.DataFrame(
        {"month": np.arange(n) % 2, "queue": np.where(rng.random(n) < 0.5, "A", "B")}
    )
    # The same mean in both months, but for a tenth of a second.
    month = frame["month"].to_numpy()
    seconds -= np.array([seconds[month == t].mean() - 294.0825 for t in (0, 1)])[month]
    frame["seconds"] = seconds - 0.0852 * month
    change = at.explain(frame, at.Mean("seconds", unit="s"), by="queue", period="month",
                        baseline=0, current=1)  # fmt: skip
    assert change.verdict == "noise"
    assert change.total.std_error > 5 * abs(change.total.change)
    bridge = change.bridge()
    assert change.format == bridge.format
    assert bridge.format.level(bridge.baseline) == "294.08 s"
    assert bridge.format.level(bridge.current) == "294.00 s"
    assert round(sum(bridge.shown()), 2) == -0.08
    assert "294.08 s to 294.00 s" in change.summary()

"""The toolkit against the simulator's truth: on expected segments exactly, on samples within noise."""

from __future__ import annotations

import numpy as np
import pytest

import attribution as at

BY = ["queue", "policy", "market", "tenure"]
ACCURACY = at.Rate("correct", "reviewed", name="Accuracy")


@pytest.fixture(scope="module")
def truth():
    return at.datasets.simulate_moderation("small").truth


def expected(truth, baseline: str, current: str, by=BY, **options) -> at.Attribution:
    return at.explain(
        truth.cells, at.Ratio("correct", "volume", unit="%"), by=by, period="month",
        baseline=baseline, current=current, rates="saturated", **options,
    )  # fmt: skip


def sampled(ops, baseline: str, current: str, by=BY, **options) -> at.Attribution:
    return at.explain(
        ops.qa_reviews, ACCURACY, by=by, period="month", baseline=baseline, current=current,
        cluster="moderator_id", weight="weight", where="design != 'targeted'", **options,
    )  # fmt: skip


def effect(change: at.Attribution, name: str, dimension: str | None = None) -> float:
    rows = change.effects[change.effects["effect"] == name]
    rows = rows[rows["dimension"] == dimension] if dimension else rows
    return float(rows["estimate"].sum())


@pytest.mark.slow
def test_every_month_pair_of_expected_segments_is_recovered(truth):
    pairs = truth.bridges[["baseline", "current"]].drop_duplicates()
    assert len(pairs) == 11
    for baseline, current in pairs.itertuples(index=False):
        due = truth.bridges.query("baseline == @baseline and current == @current")
        found = expected(truth, baseline, current).effects
        for name in ("mix", "joint", "rate", "entry", "exit"):
            true = due.loc[due["effect"] == name, "estimate"].sum()
            assert found.loc[found["effect"] == name, "estimate"].sum() == pytest.approx(
                true, abs=1e-9
            )
        mix = due[due["effect"] == "mix"].set_index("dimension")["estimate"]
        ours = found[found["effect"] == "mix"].set_index("dimension")["estimate"]
        np.testing.assert_allclose(ours[mix.index], mix, atol=1e-9)


def test_the_wave_is_mix_of_tenure_and_a_by_queue_bridge_calls_it_rate(truth):
    full = expected(truth, "2025-03", "2025-04")
    assert 100 * full.total.change == pytest.approx(-1.23, abs=0.02)
    assert effect(full, "mix", "tenure") == pytest.approx(full.total.change, abs=0.0005)
    by_queue = expected(truth, "2025-03", "2025-04", by=["queue"])
    assert effect(by_queue, "rate") == pytest.approx(full.total.change, rel=0.02)
    by_tenure = expected(truth, "2025-03", "2025-04", by=["tenure"])
    assert effect(by_tenure, "mix") == pytest.approx(full.total.change, rel=0.02)


def test_the_refresh_is_rate_in_minors_and_the_launch_an_entry(truth):
    refresh = expected(truth, "2025-06", "2025-07")
    rate = refresh.levels("policy").set_index("segment")["rate"]
    assert rate.idxmin() == "minors"
    assert rate["minors"] < 5 * rate.drop("minors").min()
    launch = expected(truth, "2025-07", "2025-08")
    entry = launch.effects.query("effect == 'entry'")
    assert entry["dimension"].tolist() == ["market"]
    assert 100 * entry["estimate"].iloc[0] == pytest.approx(-0.39, abs=0.05)


@pytest.fixture(scope="module")
def standard():
    return at.datasets.simulate_moderation("standard", months=5, seed=11)


def test_samples_recover_the_truth_within_their_intervals(standard):
    for baseline, current in (("2025-03", "2025-04"), ("2025-04", "2025-05")):
        change = sampled(standard, baseline, current)
        true = expected(standard.truth, baseline, current)
        for name, dimension in [("mix", d) for d in BY] + [("rate", None)]:
            row = change.effects[change.effects["effect"] == name]
            row = (row[row["dimension"] == dimension] if dimension else row).iloc[0]
            off = abs(row["estimate"] - effect(true, name, dimension))
            # Ten lines are looked at: 3.5 standard errors are passed once in 200 such tests.
            assert off < 3.5 * row["std_error"] + 1e-4, (baseline, name, dimension)


def test_the_wave_is_called_real_and_located_in_tenure(standard):
    change = sampled(standard, "2025-03", "2025-04")
    assert change.verdict == "real"
    assert "the mix of tenure" in change.bridge().message


@pytest.mark.slow
def test_placebo_months_are_flagged_at_the_nominal_level():
    flagged = []
    for seed in range(200):
        ops = at.datasets.simulate_moderation("small", months=2, seed=seed)
        flagged.append(sampled(ops, "2025-01", "2025-02").total.p_value < 0.05)
    assert np.mean(flagged) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 200)

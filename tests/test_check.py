"""check(): each finding appears where it should, with its figures, and nowhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at

ALWAYS = {"residual", "rates"}


def explain(*cells: tuple, by=("queue",), cluster: bool = True, **options) -> at.Attribution:
    """Cells of (period, levels ..., volume, rate), reviewed by 20 moderators."""
    frame = pd.DataFrame(cells, columns=["period", *by, "n", "rate"])
    frame = frame.loc[frame.index.repeat(20)].reset_index(drop=True)
    frame["moderator"] = np.arange(len(frame)) % 20
    frame["good"] = frame["n"] * frame["rate"] * (1 + 0.02 * np.cos(frame["moderator"]))
    ask = {"period": "period", "baseline": "2026-03", "current": "2026-05", **options}
    return at.explain(
        frame, at.Ratio("good", "n", unit="%"), by=list(by),
        cluster="moderator" if cluster else None, **ask,
    )  # fmt: skip


def found(change: at.Attribution) -> dict[str, dict]:
    rows = change.check()
    assert set(rows["severity"]) <= {"ok", "info", "warning"}
    return dict(zip(rows["code"], rows["facts"], strict=True))


A, B = "2026-03", "2026-05"
QUIET = [(A, "a", 100, 0.9), (A, "b", 100, 0.8), (B, "a", 100, 0.89), (B, "b", 101, 0.79)]


def test_clean_data_have_no_warning():
    change = explain(*QUIET)
    assert set(found(change)) == ALWAYS
    assert abs(found(change)["residual"]["residual"]) < 1e-15


def test_rows_without_a_cluster_column_are_told_what_that_assumes():
    assert "no_clusters" in found(explain(*QUIET, cluster=False))


def test_few_clusters_are_a_warning():
    frame = pd.DataFrame({"t": [0, 1] * 8, "q": ["a", "b"] * 8, "k": [0, 0, 1, 1] * 4, "x": 0.5})
    frame["q"] = ["a"] * 8 + ["b"] * 8
    change = at.explain(frame, "ratio(x / 1)", by="q", period="t", baseline=0, current=1,
                        cluster="k")  # fmt: skip
    assert found(change)["few_clusters"] == {"clusters": 2}


@pytest.mark.parametrize(
    ("baseline", "current", "expected"),
    [("2026-02", "2026-03", {"baseline": 28, "current": 31, "unit": "days"}),
     (["2026-03", "2026-04"], "2026-05", {"baseline": 61, "current": 31, "unit": "days"}),
     ("2026-Q1", "2026-Q2", {"baseline": 90, "current": 91, "unit": "days"}),
     (["2026-03-01", "2026-03-02"], "2026-03-09", {"baseline": 2, "current": 1, "unit": "days"}),
     (["wave 1", "wave 2"], "wave 3", {"baseline": 2, "current": 1, "unit": "pooled periods"})],
)  # fmt: skip
def test_periods_of_other_lengths_are_reported(baseline, current, expected):
    periods = [*(baseline if isinstance(baseline, list) else [baseline]), current]
    cells = [(t, q, 100, r) for t in periods for q, r in (("a", 0.9), ("b", 0.8))]
    change = explain(*cells, baseline=baseline, current=current)
    assert found(change)["unequal_periods"] == expected


def test_thin_and_one_period_cells_are_counted():
    by = ("queue", "market")
    rows = [(t, q, m, 1, 0.9) for t in (A, B) for q in "abc" for m in ("ID", "BR")]
    frame = pd.DataFrame(rows[:-1], columns=["period", *by, "n", "good"])
    change = at.explain(frame, "ratio(good / n)", by=list(by), period="period", baseline=A,
                        current=B)  # fmt: skip
    facts = found(change)
    assert facts["one_period_cells"]["segments"] == 1
    assert facts["one_period_cells"]["of"] == 6
    assert facts["thin_cells"]["cells"] == 11
    assert facts["rates"]["form"] == "additive"


def test_the_auto_rule_says_why_and_can_be_overridden():
    by = ("queue", "market")
    rows = [(t, q, m, 1, 0.9) for t in (A, B) for q in "ab" for m in ("ID", "BR")]
    assert "need 98 % and 10" not in found(explain(*rows, by=by))["rates"]["reason"]
    asked = explain(*rows, by=by, rates="additive")
    assert found(asked)["rates"] == {
        "form": "additive", "reason": "as asked", "pairs": [], "fit": [1.0, 1.0],
    }  # fmt: skip


def test_a_small_new_market_does_not_switch_the_form_of_rates():
    by = ("queue", "market")
    rows = [(t, q, m, 100, 0.9) for t in (A, B) for q in "ab" for m in ("ID", "BR")]
    assert found(explain(*rows, by=by))["rates"]["form"] == "saturated"
    grown = [*rows, (B, "a", "NG", 1, 0.8)]
    assert found(explain(*grown, by=by))["rates"]["form"] == "saturated"


def test_a_collapsed_level_is_a_change_of_coding():
    change = explain((A, "a", 1000, 0.9), (A, "b", 1000, 0.8),
                     (B, "a", 1000, 0.9), (B, "b", 1, 0.8))  # fmt: skip
    facts = found(change)["recoded_level"]
    assert facts["segment"] == "b"
    assert facts["volume_current"] == pytest.approx(20)


def test_nested_dimensions_are_reported_and_exact():
    by = ("market", "region")
    region = {"ID": "APAC", "JP": "APAC", "BR": "LATAM", "MX": "LATAM"}
    rng = np.random.default_rng(0)
    rows = [(t, m, r, int(rng.integers(50, 150)), rng.uniform(0.7, 0.95))
            for t in (A, B) for m, r in region.items()]  # fmt: skip
    change = explain(*rows, by=by)
    facts = found(change)
    assert facts["nested"] == {"child": "market", "parent": "region", "declared": False}
    assert "aliased_levels" not in facts
    mix = change.effects.query("effect == 'mix'").set_index("dimension")["estimate"]
    alone = explain(*[(t, m, n, x) for t, m, r, n, x in rows], by=("market",))
    total = alone.effects.query("effect == 'mix'")["estimate"].iloc[0]
    assert mix.sum() == pytest.approx(total, abs=1e-14)
    between = explain(*[(t, r, n, x) for t, m, r, n, x in rows], by=("region",))
    shift = between.levels("region")
    assert mix["region"] != 0
    assert (shift["share_current"] - shift["share_baseline"]).sum() == pytest.approx(0, abs=1e-14)


def test_levels_that_occur_only_together_are_named():
    by = ("queue", "market")
    pairs = [("Live", "ID"), ("Live", "BR"), ("Video", "ID"), ("Video", "BR"), ("JP-live", "JP")]
    rows = [(t, q, m, 100 + 10 * i * (t == B), 0.9 - 0.02 * i) for t in (A, B)
            for i, (q, m) in enumerate(pairs)]  # fmt: skip
    change = explain(*rows, by=by)
    assert found(change)["aliased_levels"]["levels"] == {"queue": ["JP-live"], "market": ["JP"]}


def test_cells_that_a_period_cannot_predict_take_the_other_periods_rate():
    by = ("queue", "market")
    pairs = [(q, m) for q in ("a", "b") for m in ("x", "y")]
    rows = [(t, q, m, 100, 0.9) for t in (A, B) for q, m in pairs]
    # In the baseline c is seen at z only and z at c only: c x y cannot be predicted from it.
    rows += [(A, "c", "z", 50, 0.7), (B, "c", "z", 50, 0.7), (B, "c", "y", 50, 0.6),
             (B, "a", "z", 50, 0.8)]  # fmt: skip
    change = explain(*rows, by=by, rates="additive")
    assert found(change)["borrowed_rates"]["cells"] == 2
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-14)


def test_a_reversal_is_not_reported_where_levels_move_with_the_total():
    assert "simpson" not in found(explain(*QUIET))
    assert "sign_depends_on_weights" not in found(explain(*QUIET))


def test_findings_of_the_scan_come_through():
    rows = pd.DataFrame({"t": [0, 0, 1, 1, None], "q": ["a", "b"] * 2 + ["a"], "x": 0.5})
    rows["design"] = ["random", None, "random", "random", "random"]
    rows = pd.concat([rows, rows.assign(design="random")])
    change = at.explain(rows, "ratio(x / 1)", by="q", period="t", baseline=0, current=1,
                        where="design == 'random'")  # fmt: skip
    facts = found(change)
    assert facts["null_period"]["rows"] == 2
    assert facts["null_condition"]["rows"] == 1


def test_thousands_of_levels_of_one_dimension_have_the_numbers_of_a_table_at_once(monkeypatch):
    from attribution import tables

    rng, rows = np.random.default_rng(0), 3_000
    frame = pd.DataFrame({"t": rng.integers(0, 2, rows), "item": rng.integers(0, 120, rows),
                          "queue": rng.integers(0, 3, rows), "ok": rng.integers(0, 2, rows),
                          "who": rng.integers(0, 30, rows)})  # fmt: skip
    change = at.explain(frame, at.Rate("ok"), by=["item", "queue"], period="t", baseline=0,
                        current=1, cluster="who", adjust="holm")  # fmt: skip
    whole = change.levels("item")
    monkeypatch.setattr(tables, "_MOST_SLOPES", 50 * 123)
    pd.testing.assert_frame_equal(change.levels("item"), whole, rtol=1e-9)


@pytest.mark.parametrize(
    ("by", "of"), [(["item"], "'item' has 21"), (["queue", "item"], "'item' has 21")]
)
def test_more_levels_than_the_memory_holds_are_refused_by_name(monkeypatch, by, of):
    from attribution import preparation

    rows = np.arange(420)
    frame = pd.DataFrame({"t": rows % 2, "item": rows // 20, "queue": rows // 2 % 7, "ok": 1})
    asked = {"period": "t", "baseline": 0, "current": 1}
    assert at.explain(frame, at.Rate("ok"), by=by, **asked).total.change == 0
    limit, most = ("_MOST_OF_ONE", 20) if len(by) == 1 else ("_MOST_OF_OTHERS", 6)
    monkeypatch.setattr(preparation, limit, most)
    with pytest.raises(at.errors.OptionError, match=f"{of} levels"):
        at.explain(frame, at.Rate("ok"), by=by, **asked)


def test_a_finding_quotes_the_numbers_that_the_bridge_displays():
    """The effect of the weights in use is rounded as its bar is, so that text and bars agree."""
    rng, found = np.random.default_rng(4), 0
    for _ in range(60):
        n = rng.integers(100, 400, 6)
        frame = pd.DataFrame(
            {
                "month": [1, 1, 1, 2, 2, 2],
                "queue": ["a", "b", "c"] * 2,
                "n": n,
                "ok": rng.binomial(n, 0.9),
            }
        )
        change = at.explain(frame, "ok / n", by="queue", period="month", baseline=1, current=2)
        checks = change.check().set_index("code")
        if "sign_depends_on_weights" not in checks.index:
            continue
        bridge = change.bridge()
        shown = dict(zip([b.label for b in bridge.bars], bridge.texts(), strict=True))
        for row in checks.loc[["sign_depends_on_weights"]].to_dict(orient="records"):
            bar = "Rate" if row["facts"]["effect"] == "rate" else "Mix: queue"
            assert f"{shown[bar]} pp (midpoint)" in row["message"]
            found += 1
        if found > 3:  # enough of them
            return
    assert found > 3

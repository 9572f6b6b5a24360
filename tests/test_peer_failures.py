"""What other tools get wrong on small, plain cases (each was reproduced with them)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import DataContractError, IdentificationError, PeriodError


def table(*rows: tuple, by: tuple[str, ...] = ("queue",)) -> pd.DataFrame:
    """Rows of (period, levels ..., volume, rate)."""
    frame = pd.DataFrame(rows, columns=["period", *by, "volume", "rate"])
    return frame.assign(good=frame["volume"] * frame["rate"])


def explain(frame: pd.DataFrame, by="queue", **options) -> at.Attribution:
    return at.explain(
        frame, at.Ratio("good", "volume", unit="%"), by=by, period="period", baseline=0,
        current=1, **options,
    )  # fmt: skip


def levels(change: at.Attribution, dimension: str = "queue") -> pd.DataFrame:
    return change.levels(dimension).set_index("segment")


def estimate(change: at.Attribution, effect: str, dimension: str | None = None) -> float:
    rows = change.effects
    chosen = rows[rows["effect"] == effect]
    if dimension:
        chosen = chosen[chosen["dimension"] == dimension]
    return float(chosen["estimate"].sum())


def test_simpson_both_queues_improve_and_the_growing_hard_queue_is_named():
    change = explain(
        table((0, "easy", 800, 0.96), (0, "hard", 200, 0.80),
              (1, "easy", 500, 0.97), (1, "hard", 500, 0.81))
    )  # fmt: skip
    found = levels(change)["total"]
    assert change.total.change == pytest.approx(-0.038)
    assert 100 * found["easy"] == pytest.approx(-1.03, abs=0.005)
    assert 100 * found["hard"] == pytest.approx(-2.77, abs=0.005)
    assert "simpson" in set(change.check()["code"])


def test_a_new_queue_is_an_entry_line_of_its_own_size():
    change = explain(
        table((0, "a", 600, 0.96), (0, "b", 400, 0.90),
              (1, "a", 540, 0.96), (1, "b", 360, 0.899), (1, "new", 100, 0.85))
    )  # fmt: skip
    entry = change.effects.query("effect == 'entry'")
    assert entry["segment"].tolist() == ["new"]
    stayed = (540 * 0.96 + 360 * 0.899) / 900
    assert entry["estimate"].iloc[0] == pytest.approx(0.1 * (0.85 - stayed))
    assert change.effects["estimate"].abs().max() < 0.01
    row = levels(change).loc["new"]
    assert np.isnan(row["mix"])
    assert np.isnan(row["rate"])
    assert np.isnan(row["rate_baseline"])
    assert row["total"] == pytest.approx(entry["estimate"].iloc[0])


def test_a_total_rename_is_an_error_that_proposes_the_mapping():
    frame = table((0, "old", 100, 0.9), (1, "new", 100, 0.9))
    with pytest.raises(IdentificationError, match=r"'queue'.*mapping=\{'queue': \{'old': 'new'"):
        explain(frame)
    change = explain(frame, mapping={"queue": {"old": "new"}})
    assert change.total.change == 0


def test_a_rename_beside_other_queues_is_proposed_by_check():
    change = explain(
        table((0, "a", 600, 0.95), (0, "old name", 400, 0.80),
              (1, "a", 600, 0.95), (1, "new name", 410, 0.80))
    )  # fmt: skip
    found = change.check().set_index("code").loc["probable_rename"]
    assert found["facts"]["mapping"] == {"queue": {"old name": "new name"}}


@pytest.mark.parametrize("volume", [1, 10, 1000])
def test_an_unchanged_segment_is_not_blamed_whatever_the_total_volume(volume):
    change = explain(
        table((0, "a", 500, 0.95), (0, "b", 500, 0.90),
              (1, "a", 500 * volume, 0.95), (1, "b", 500 * volume, 0.80))
    )  # fmt: skip
    found = levels(change)["total"]
    assert found["a"] == pytest.approx(0, abs=1e-15)
    assert found["b"] == pytest.approx(-0.05)


def test_confounded_market_gets_nothing_when_only_the_queue_matters():
    by = ("queue", "market")
    rates = {"q1": 0.80, "q2": 0.95}
    before = {("q1", "IN"): 160, ("q1", "BR"): 40, ("q2", "IN"): 240, ("q2", "BR"): 560}
    after = {("q1", "IN"): 320, ("q1", "BR"): 80, ("q2", "IN"): 180, ("q2", "BR"): 420}
    rows = [
        (t, q, m, n, rates[q]) for t, cells in enumerate((before, after))
        for (q, m), n in cells.items()
    ]  # fmt: skip
    both = explain(table(*rows, by=by), by=list(by))
    assert estimate(both, "mix", "queue") == pytest.approx(both.total.change)
    assert estimate(both, "mix", "market") == pytest.approx(0, abs=1e-15)
    # One dimension at a time, the market is blamed.
    alone = explain(table(*rows, by=by), by="market")
    assert estimate(alone, "mix", "market") < -0.005


def test_absent_cells_never_count_as_rate_zero():
    by = ("queue", "market")
    change = explain(
        table((0, "a", "ID", 100, 0.90), (0, "b", "ID", 100, 0.90), (0, "a", "BR", 100, 0.90),
              (1, "a", "ID", 100, 0.89), (1, "b", "ID", 100, 0.89), (1, "b", "BR", 100, 0.89),
              by=by),
        by=list(by),
    )  # fmt: skip
    assert estimate(change, "rate") < 0
    assert change.effects["estimate"].min() > -0.02


def test_null_markets_are_a_level_and_reported_with_their_share():
    by = ("market",)
    rows = [(t, m, n, 0.9) for t in (0, 1) for m, n in (("ID", 60), (None, 40))]
    change = explain(table(*rows, by=by), by="market")
    assert levels(change, "market")["share_current"]["(missing)"] == pytest.approx(0.4)
    facts = change.check().set_index("code").loc["missing_level", "facts"]
    assert facts["share_current"] == pytest.approx(0.4)


def test_null_numerators_are_an_error_and_never_wrong_answers():
    frame = table((0, "a", 100, 0.9), (0, "b", 100, 0.9), (1, "a", 100, 0.9), (1, "b", 100, 0.9))
    frame.loc[1, "good"] = np.nan
    with pytest.raises(DataContractError, match=r"good: null values in 1 row \(1\)"):
        explain(frame)


def test_overlapping_periods_are_refused():
    frame = table((0, "a", 100, 0.9), (1, "a", 100, 0.9), (2, "a", 100, 0.9))
    with pytest.raises(PeriodError, match=r"overlap: '1'"):
        at.explain(frame, at.Ratio("good", "volume"), by="queue", period="period",
                   baseline=[0, 1], current=[1, 2])  # fmt: skip


def test_shares_of_a_change_near_zero_are_null():
    change = explain(
        table((0, "a", 500, 0.96), (0, "b", 500, 0.80),
              (1, "a", 560, 0.95), (1, "b", 440, 0.789))
    )  # fmt: skip
    assert abs(change.total.change) < 0.001
    assert change.effects["share_of_change"].isna().all()


def test_the_sign_of_a_rate_effect_that_depends_on_the_weights_is_reported():
    change = explain(
        table((0, "a", 800, 0.90), (0, "b", 200, 0.80),
              (1, "a", 300, 0.88), (1, "b", 700, 0.82))
    )  # fmt: skip
    facts = change.check().set_index("code").loc["sign_depends_on_weights", "facts"]
    assert facts["effect"] == "rate"
    assert facts["baseline"] < 0 < facts["current"]

"""Real input: published figures, and what the toolkit must notice in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import DataContractError

ON_TIME = at.Rate("arr_delay <= 15", name="On time")


def codes(change: at.Attribution) -> dict[str, dict]:
    found = change.check()
    return dict(zip(found["code"], found["facts"], strict=True))


def test_flights_by_carrier_name_the_carriers_that_lost_most(flights):
    change = at.explain(
        flights, ON_TIME, by="carrier", period="month", baseline=11, current=12, cluster="date"
    )
    levels = change.levels("carrier").set_index("segment")
    assert change.total.baseline == pytest.approx(0.82648, abs=5e-6)
    assert change.total.current == pytest.approx(0.67387, abs=5e-6)
    assert change.total.change == pytest.approx(-0.15261, abs=5e-6)
    assert levels["n_baseline"].sum() == 26971
    assert levels["n_current"].sum() == 27020
    worst = levels["total"].sort_values().head(3)
    assert list(worst.index) == ["B6", "UA", "EV"]
    np.testing.assert_allclose(worst, [-0.0391, -0.0353, -0.0279], atol=5e-5)
    assert change._units.count == 61


def test_flights_over_sparse_crossed_cells_have_no_phantom_mix(flights):
    by = ["origin", "carrier", "dest", "hour"]
    asked = {"by": by, "period": "month", "baseline": "11", "current": "12"}
    change = at.explain(flights, ON_TIME, **asked)
    mix = change.effects.query("effect in ['mix', 'joint']")["estimate"].sum()
    assert change._parts.form == "additive"
    assert len(change.cube.codes) == 1939
    assert abs(mix) < 0.002
    assert mix == pytest.approx(0.0012, abs=1e-4)
    raw = at.explain(flights, ON_TIME, rates="saturated", **asked)
    phantom = raw.effects.query("effect in ['mix', 'joint']")["estimate"].sum()
    assert phantom == pytest.approx(-0.0112, abs=0.002)


def test_overturn_rate_of_a_platform_is_rate_against_mix(real_data):
    appeals = pd.read_csv(real_data / "tiktok_dsa" / "appeals_by_decision_type.csv")
    change = at.explain(
        appeals,
        at.Rate("reversed", "complaints", name="Overturn rate"),
        by="decision_type",
        period="period",
        baseline="2025-H2",
        current="2026-H1",
        where="service == 'TikTok'",
    )
    parts = change.effects.groupby("effect")["estimate"].sum()
    assert 100 * change.total.change == pytest.approx(1.97, abs=0.005)
    assert 100 * parts["rate"] == pytest.approx(2.20, abs=0.01)
    assert 100 * parts["mix"] == pytest.approx(-0.24, abs=0.01)


def test_more_automated_decisions_than_decisions_are_refused_and_listed(real_data):
    table = pd.read_csv(real_data / "tiktok_dsa" / "own_initiative_by_policy.csv")
    with pytest.raises(DataContractError, match="successes above trials") as caught:
        at.explain(
            table,
            "automated / measures",
            by="subcategory",
            period="period",
            baseline="2025-H2",
            current="2026-H1",
        )
    above = [f for f in caught.value.findings if "above" in f["problem"]]
    rows = (table["automated"] > table["measures"]).to_numpy().nonzero()[0]
    assert above[0]["count"] == len(rows) == 8
    assert above[0]["rows"] == rows[:5].tolist()


def test_a_collapsed_sub_category_is_flagged_as_recoded(real_data):
    table = pd.read_csv(real_data / "tiktok_dsa" / "own_initiative_by_policy.csv")
    table["policy"] = table["category"] + " / " + table["subcategory"].fillna("none")
    table["removal"] = table["removal"].fillna(0)
    change = at.explain(
        table,
        "removal / measures",
        by="policy",
        period="period",
        baseline="2025-H2",
        current="2026-H1",
    )
    facts = codes(change)["recoded_level"]
    assert facts["segment"] == "PROTECTION_OF_MINORS / KEYWORD_OTHER"
    assert facts["volume_baseline"] == pytest.approx(12_256_718)
    assert facts["volume_current"] == pytest.approx(1_230)


def test_a_platform_that_improved_while_its_policies_fell_is_a_simpson_reversal(real_data):
    table = pd.read_csv(real_data / "meta_india_it_rules" / "content_actioned_proactive.csv")
    table["proactive"] = table["content_actioned"] * table["proactive_rate_pct"] / 100
    change = at.explain(
        table,
        at.Rate("proactive", "content_actioned", name="Proactive rate"),
        by="policy",
        period="period",
        baseline="2023-07",
        current="2023-09",
        where="platform == 'Facebook'",
    )
    assert 100 * change.total.change == pytest.approx(1.46, abs=0.005)
    facts = codes(change)["simpson"]
    assert (facts["against"], facts["levels"]) == (12, 13)
    assert "Simpson" in change.summary()

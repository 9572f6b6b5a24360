"""The configurations that the documentation shows, run: on the simulator and on real flights."""

from pathlib import Path

import pandas as pd
import pytest

import attribution as at
from attribution.config import load_config

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FLIGHTS = Path(__file__).parents[3] / "shared" / "data" / "nycflights13" / "on_time_by_day.csv"


@pytest.mark.slow
def test_the_moderation_review_answers_every_kpi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ops = at.datasets.simulate_moderation("small", months=7)
    ops.write("data")
    for month in ("2025-06", "2025-07"):
        done = at.review(EXAMPLES / "moderation-review.toml", period=month)
    assert {k.kpi.name: k.failure for k in done.kpis} == dict.fromkeys(
        ("Accuracy", "Overturn rate", "SLA", "AHT", "TAT p90", "Volume")
    )
    assert [f for k in done.kpis for c in k.compared if (f := c.failure)] == []
    july = ops.decisions[ops.decisions["month"] == "2025-07"]
    assert done.kpi("Volume").value == len(july)
    assert done.kpi("AHT").value == pytest.approx(july["handle_seconds"].mean())
    assert done.kpi("SLA").value == pytest.approx(july["in_sla"].mean())
    hours = (july["decided_at"] - july["enqueued_at"]).dt.total_seconds() / 3600
    assert done.kpi("TAT p90").value == pytest.approx(hours.quantile(0.9), rel=2e-3)
    plan = ops.targets[(ops.targets["kpi"] == "sla") & (ops.targets["month"] == "2025-07")]
    planned = (plan["planned_volume"] * plan["target"]).sum() / plan["planned_volume"].sum()
    against = next(c for c in done.kpi("SLA").compared if c.comparison.kind == "plan")
    assert against.change.total.baseline == pytest.approx(planned)


@pytest.mark.slow
@pytest.mark.skipif(not FLIGHTS.exists(), reason="the real data lie beside the project")
def test_a_review_of_real_flights(tmp_path, monkeypatch):
    monkeypatch.setenv("ON_TIME", str(FLIGHTS))
    config = load_config(EXAMPLES / "flights-review.toml").model_dump(exclude_defaults=True)
    config["output"] = {"charts": False, "pptx": False, "xlsx": False, "tidy": False}
    for month in ("2013-11", "2013-12"):
        done = at.review(config, period=month, out=tmp_path / "out")
    on_time, flights = done.kpis
    days = pd.read_csv(FLIGHTS)
    december, november = (days[days["month"] == m] for m in (12, 11))
    assert on_time.value == pytest.approx(december["on_time"].sum() / december["flights"].sum())
    assert flights.value == december["flights"].sum()
    # As published for these months: see tests/test_real_data.py.
    assert on_time.main.total.change == pytest.approx(-0.15261, abs=5e-6)
    assert on_time.status == "breach"
    assert november["flights"].sum() == flights.main.total.baseline
    assert list(on_time.values) == [f"2013-{m:02d}" for m in range(1, 13)]
    assert str(FLIGHTS) not in (done.folder / "review.json").read_text()

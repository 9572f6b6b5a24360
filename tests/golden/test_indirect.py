"""Indirect standardization and funnel limits against tables that R packages print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.infer.funnel import binomial_quantile

CASE = Path(__file__).parent / "cases" / "epir_indirect_tuberculosis"


@pytest.mark.parametrize("area", ["A", "B"])
def test_an_area_against_a_standard_population_has_the_published_ratio(area):
    table = pd.read_csv(CASE / "input.csv")
    published = json.loads((CASE / "expected.json").read_text(encoding="utf-8"))
    # The standard as a population of its own: alone beside the area, it is the area's reference.
    herds = 1_000_000
    standard = pd.DataFrame(
        [("standard", herd, herds, herds * p) for herd, p in published["standard"].items()],
        columns=table.columns,
    )
    both = pd.concat([table[table["area"] == area], standard])
    card = at.scorecard(both, "obs / pop", "area", adjust_for="herd")
    row = card.frame.set_index("entity").loc[area]
    assert row["observed"] == published["observed"][area]
    assert row["expected"] == pytest.approx(published["expected"][area], rel=1e-12)
    assert row["ratio"] == pytest.approx(published["smr"][area], abs=5e-8)
    assert 100 * row["crude"] == pytest.approx(published["crude_per_100"][area], abs=1e-9)
    adjusted = 100 * row["ratio"] * published["standard_total"]
    assert adjusted == pytest.approx(published["adjusted_per_100"][area], abs=5e-7)


@pytest.mark.parametrize(
    ("right", "at_95", "at_998"), [(2, "Extreme", "Extreme"), (5, "Extreme", "In Control")]
)
def test_units_beyond_funnel_limits_as_published(right, at_95, at_998):
    """funnelR (R, CRAN), example output of `funscore`: n of 20 against a benchmark of 50 %."""
    n, p = np.array([20.0]), np.array([0.5])
    for level, published in ((0.95, at_95), (0.998, at_998)):
        low, high = (binomial_quantile(q, n, p)[0] for q in ((1 - level) / 2, (1 + level) / 2))
        found = "In Control" if low <= right <= high else "Extreme"
        assert found == published

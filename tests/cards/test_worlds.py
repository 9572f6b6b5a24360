"""Scorecards in simulated worlds: false alarms, finds and shrinkage as the documentation has them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scorecards.py"


@pytest.fixture(scope="module")
def worlds():
    spec = importlib.util.spec_from_file_location("scorecards_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_sites_that_do_not_differ_are_outside_in_five_percent_and_a_bad_one_is_found(worlds):
    forms, count = list(worlds.FORMS), 120
    false = np.array([worlds.outside(worlds.world(seed)).mean(axis=1) for seed in range(count)])
    error = false.std(axis=0, ddof=1) / np.sqrt(count)
    assert false[:, forms.index("binomial, not widened")].mean() >= 0.15
    for name in forms[1:]:
        i = forms.index(name)
        assert false[:, i].mean() <= 0.05 + 2.6 * error[i]
    found = np.array(
        [worlds.outside(worlds.world(10_000 + seed, worse=0.03))[:, 0] for seed in range(count)]
    )
    assert (found.mean(axis=0) >= 0.9).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100, 300, 1000, 3000])
def test_shrunk_rates_beat_raw_ones_at_every_n(n):
    raw, shrunk = [], []
    for seed in range(25):
        rng = np.random.default_rng(20_000 + seed)
        truth = np.clip(rng.normal(0.92, 0.02, 40), 0.5, 0.999)
        names = [f"{i:02d}" for i in range(40)]
        data = pd.DataFrame({"who": names, "n": n, "ok": rng.binomial(n, truth)})
        frame = at.scorecard(data, "ok / n", "who").frame
        raw.append(((frame["crude"] - truth) ** 2).mean())
        shrunk.append(((frame["shrunk"] - truth) ** 2).mean())
    assert np.mean(shrunk) < np.mean(raw)

"""Intervals of shares and rates: inside [0, 1], and they cover."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.infer import proportions, t_inference


@pytest.mark.parametrize("p", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("n", [30, 200])
def test_they_cover_where_symmetric_ones_do_not(p, n):
    rng = np.random.default_rng(0)
    rate = rng.binomial(n, p, 4000) / n
    known = t_inference(rate, np.sqrt(rate * (1 - rate) / (n - 1)), n - 1, 0.95)
    inside = proportions(known, 0.95, np.full(4000, float(n)))
    assert ((inside.conf_low >= 0) & (inside.conf_high <= 1)).all()
    assert ((inside.conf_low <= rate) & (rate <= inside.conf_high)).all()
    covered = ((inside.conf_low <= p) & (p <= inside.conf_high)).mean()
    assert covered > 0.93
    if n * min(p, 1 - p) < 5:
        assert ((known.conf_low <= p) & (p <= known.conf_high)).mean() < covered - 0.02


def test_success_and_failure_mirror_each_other():
    rate, se = np.array([0.9, 0.5, 1.0, 0.0]), np.array([0.05, 0.1, 0.0, 0.0])
    n = np.array([40.0, 30.0, 20.0, 50.0])
    up = proportions(t_inference(rate, se, 30, 0.95), 0.95, n)
    down = proportions(t_inference(1 - rate, se, 30, 0.95), 0.95, n)
    assert up.conf_low == pytest.approx(1 - down.conf_high)
    assert up.conf_high == pytest.approx(1 - down.conf_low)


def test_at_the_ends_the_design_effect_counts_and_what_is_unknown_stays_so():
    n = np.array([100.0, 100.0])
    alone = proportions(t_inference(np.array([1.0, 1.0]), np.zeros(2), 9, 0.95), 0.95, n, n / 10)
    assert alone.conf_low == pytest.approx(10 / (10 + 1.959964**2))
    se = np.array([0.0, np.sqrt(4 * 0.09 / 100)])
    beside = proportions(t_inference(np.array([1.0, 0.9]), se, 9, 0.95), 0.95, n, n / 10)
    assert beside.conf_low[0] == pytest.approx(25 / (25 + 1.959964**2))
    nothing = proportions(t_inference(np.array([1.0]), np.array([np.nan]), 9, 0.95), 0.95, n[:1])
    assert np.isnan(nothing.conf_low).all()
    certain = proportions(t_inference(np.array([1.0]), np.zeros(1), 9, 0.95), 0.95)
    assert certain.conf_low[0] == certain.conf_high[0] == 1

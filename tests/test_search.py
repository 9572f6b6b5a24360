"""The search over arrays: what a model of drift says of scores, and how few cells are judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import attribution as at
from attribution.search.corrected import corrected_effects, corrected_limits
from attribution.search.drift import Grains
from attribution.search.hidden import log_evidence
from attribution.search.strata import paired_strata
from attribution.search.working import Block, Drift, working


def cells_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.indices(shape).reshape(len(shape), -1).T


def test_the_evidence_is_the_likelihood_of_normal_scores():
    rng = np.random.default_rng(4)
    codes = cells_of((3, 4))
    R, S = 60, len(codes)
    cell, unit = np.arange(R) % S, np.arange(R) // 5
    n = 20.0 + rng.poisson(20, (2, R))
    k = rng.binomial(n.astype(int), 0.8).astype(float)
    strata = paired_strata(n, k, cell, unit, "odds", codes)
    work = working(strata, strata.scores(np.zeros(S)), Drift(np.full(12, 0.05)), S)
    blocks = (Block(codes[:, 0], 0.03), Block(codes[:, 1], 0.01))
    # The same by covariances written out: y = u / v of rows, effect η, drifts, noise 1 / v.
    v, u = work.row.v, work.row.u
    units = 0.05 * (unit[:, None] == unit)
    plain = np.diag(1 / v) + units
    drifting = plain + sum(b.variance * (b.group[cell][:, None] == b.group[cell]) for b in blocks)

    def likelihood(effect: np.ndarray, covariance: np.ndarray) -> float:
        residual = u / v - effect[cell]
        return float(stats.multivariate_normal.logpdf(residual, np.zeros(R), covariance))

    effect = np.where(codes[:, 0] == 1, 0.3, -0.1)
    base = likelihood(np.zeros(S), plain)
    assert log_evidence(work, -effect, ())[0] == pytest.approx(likelihood(effect, plain) - base)
    assert log_evidence(work, -effect, blocks)[0] == pytest.approx(
        likelihood(effect, drifting) - base
    )


def test_effects_are_drawn_in_by_their_error_and_stay_within_their_limits():
    z = np.array([4.5, -6.0, 30.0])
    se = np.array([0.3, 0.05, 0.4])
    estimate = corrected_effects(z * se, np.diag(se**2), 1.0)
    assert (np.abs(estimate) < np.abs(z * se)).all()
    assert estimate[0] / (z * se)[0] < estimate[1] / (z * se)[1]
    low, high = corrected_limits(z, np.full(3, 4.2), 0.95)
    assert ((low * se < estimate) & (estimate < high * se)).all()
    # What barely passed may be little; what is far beyond has the usual limits.
    assert low[0] < 1 < high[0]
    assert (low[2], high[2]) == pytest.approx((30 - 1.96, 30 + 1.96), abs=0.01)


@pytest.mark.parametrize(
    ("shape", "freedom", "too_few"),
    [((3, 4), 6, False), ((2, 4), np.inf, True), ((8,), 7, False), ((4,), np.inf, True),
     ((10, 11), np.inf, False)],
)  # fmt: skip
def test_few_cells_are_judged_by_what_is_left_of_them(shape, freedom, too_few):
    grains = Grains(cells_of(shape))
    assert (grains.freedom, grains.too_few) == (freedom, too_few)


def month_by_month(seed: int, fall: float, drift: float) -> pd.DataFrame:
    """Reviews of 80 people in 3 queues by 4 policies; q1 by p2 falls, and all cells drift."""
    rng = np.random.default_rng(seed)
    codes = cells_of((80, 3, 4))
    inside = (codes[:, 1] == 1) & (codes[:, 2] == 2)
    moved = rng.normal(0, 0.2, 80)[codes[:, 0]] + fall * inside
    moved = moved + rng.normal(0, drift, (3, 4))[codes[:, 1], codes[:, 2]]
    months = []
    for month, eta in ((1, 2.0), (2, 2.0 + moved)):
        n = 10 + rng.poisson(30, len(codes))
        ok = rng.binomial(n, 1 / (1 + np.exp(-eta)))
        names = {"person": codes[:, 0], "queue": codes[:, 1], "policy": codes[:, 2]}
        months.append(pd.DataFrame({"month": month, **names, "n": n, "ok": ok}))
    found = pd.concat(months, ignore_index=True)
    return found.assign(queue="q" + found["queue"].astype(str), policy=found["policy"].astype(str))


def named(data: pd.DataFrame, by: list[str]):
    return at.explain(
        data, "ok / n", by=by, period="month", baseline=1, current=2, cluster="person"
    ).causes()


def test_in_two_small_dimensions_a_fallen_segment_is_named_and_drift_of_cells_is_not():
    for seed in range(4):
        found = named(month_by_month(seed, -1.0, 0.0), ["queue", "policy"])
        assert list(found.frame["segment"]) == ["queue = q1 and policy = 2"]
        assert not found.notes[1:]
        assert named(month_by_month(seed, 0.0, 0.3), ["queue", "policy"]).frame.empty


def test_where_cells_are_too_few_to_tell_their_drift_a_note_says_so():
    found = named(month_by_month(0, -1.0, 0.0), ["policy"])
    assert list(found.frame["segment"]) == ["policy = 2"]
    assert any("4 segments are too few" in note for note in found.notes)

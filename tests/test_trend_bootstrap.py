"""Trends whose intervals come from one bootstrap of all periods."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import OptionError

MONTHS = [f"{year}-{month:02d}" for year in (2025, 2026) for month in (1, 2, 3, 4)]
B = 400


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two years of four months, 120 moderators who work in every month, three queues."""
    rng = np.random.default_rng(11)
    n = 24_000
    frame = pd.DataFrame(
        {
            "month": rng.choice(MONTHS, n),
            "queue": rng.choice(["chat", "live", "video"], n, p=[0.5, 0.3, 0.2]),
            "moderator": rng.integers(0, 120, n),
            "seconds": rng.gamma(2.0, 30.0, n),
        }
    )
    skill = rng.normal(0, 0.05, 120)[frame["moderator"]]
    level = frame["queue"].map({"chat": 0.9, "live": 0.8, "video": 0.7})
    return frame.assign(ok=(rng.random(n) < level + skill).astype(int), site=frame["moderator"] % 3)


@pytest.fixture(scope="module")
def cube(rows) -> at.Cube:
    return at.Cube.from_data(
        rows, [at.Rate("ok"), at.Total("seconds")], ["queue"], period="month", cluster="moderator"
    )


PATHS = [
    pytest.param({}, id="chained"),
    pytest.param({"path": "year-to-date"}, id="year to date"),
    pytest.param({"path": "end-to-end"}, id="end to end"),
    pytest.param({"window": 2, "periods": MONTHS[:4]}, id="windows"),
    pytest.param({"periods": [*MONTHS[:2], MONTHS[3]]}, id="a gap"),
]


@pytest.mark.parametrize("asked", PATHS)
def test_the_bars_of_every_replicate_add_up_to_its_whole(cube, asked):
    found = cube.trend("ok", inference=at.Bootstrap(replicates=B), rng=5, **asked)
    linear = cube.trend("ok", **asked)
    np.testing.assert_array_equal(found.summed["estimate"], linear.summed["estimate"])
    # The variance of the whole is that of the sum of the bars, with all their covariances.
    assert np.sqrt(found.bridge().covariance.sum()) == pytest.approx(found.total.std_error)
    for step in found.steps.values():
        assert np.sqrt(step.bridge().covariance.sum()) == pytest.approx(step.total.std_error)
    # As the linearized standard errors, but for the noise of 400 replicates.
    mine, theirs = found.summed, linear.summed
    sure = theirs["std_error"] > 1e-4
    ratio = mine["std_error"][sure] / theirs["std_error"][sure]
    assert ratio.between(0.85, 1.2).all()
    ratio = found.frame["std_error"] / linear.frame["std_error"]
    assert ratio.between(0.88, 1.14).all()
    assert found.total.std_error == pytest.approx(linear.total.std_error, rel=0.14)
    assert "(bootstrap)" in found.summary()


def test_first_to_last_is_the_same_change_along_either_path(cube):
    found = cube.trend("ok", inference=at.Bootstrap(replicates=B), rng=5)
    assert found.end_to_end.total == found.total
    assert found.end_to_end.options.inference == "bootstrap"
    chained, direct = found.compare_paths()[["chained", "end_to_end"]].sum()
    assert chained == pytest.approx(direct)
    one = cube.trend("ok", inference=at.Bootstrap(replicates=B), rng=5, path="end-to-end")
    pd.testing.assert_frame_equal(
        one.steps[MONTHS[-1]].effects, found.end_to_end.effects, check_exact=False
    )


def test_a_step_is_what_explain_draws_for_it_but_for_other_draws(rows, cube):
    asked = {"inference": at.Bootstrap(replicates=1000), "rng": 2}
    step = cube.trend("ok", **asked).steps["2025-02"]
    alone = cube.explain("ok", baseline="2025-01", current="2025-02", **asked)
    ratio = step.effects["std_error"] / alone.effects["std_error"]
    assert ratio.between(0.9, 1.1).all()
    levels = step.levels("queue")["rate_std_error"] / alone.levels("queue")["rate_std_error"]
    assert levels.between(0.88, 1.14).all()


def test_the_answer_depends_on_the_seed_and_not_on_workers_or_storage(cube):
    one = cube.trend("ok", inference=at.Bootstrap(replicates=100), rng=1)
    two = cube.trend("ok", inference=at.Bootstrap(replicates=100, workers=2), rng=1)
    pd.testing.assert_frame_equal(one.summed, two.summed)
    other = cube.trend("ok", inference=at.Bootstrap(replicates=100), rng=2)
    assert other.total.std_error != one.total.std_error
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(one)).summed, one.summed)
    assert one.provenance["inference"] == "bootstrap"


def test_a_total_of_clusters_and_trials_without_clusters_are_drawn_too(rows, cube):
    asked = {"inference": at.Bootstrap(replicates=200), "rng": 3, "periods": MONTHS[:3]}
    found = cube.trend("total(seconds)", **asked)
    linear = cube.trend("total(seconds)", periods=MONTHS[:3])
    assert np.sqrt(found.bridge().covariance.sum()) == pytest.approx(found.total.std_error)
    assert found.total.std_error == pytest.approx(linear.total.std_error, rel=0.2)
    for more in ({}, {"window": 2}):
        told = {"by": "queue", "period": "month", **more}
        drawn = at.trend(rows, at.Rate("ok"), **told, **asked)
        plain = at.trend(rows, at.Rate("ok"), **told, periods=MONTHS[:3])
        assert np.sqrt(drawn.bridge().covariance.sum()) == pytest.approx(drawn.total.std_error)
        assert drawn.total.std_error == pytest.approx(plain.total.std_error, rel=0.2)


def test_strata_are_drawn_within(rows):
    told = {"by": ["queue", "site"], "period": "month", "cluster": "moderator"}
    asked = {"periods": MONTHS[:2], "rng": 1}
    boot = at.Bootstrap(replicates=200, strata="site")
    found = at.trend(rows, at.Rate("ok"), **told, **asked, inference=boot)
    plain = at.trend(rows, at.Rate("ok"), **told, **asked)
    assert found.total.std_error == pytest.approx(plain.total.std_error, rel=0.25)


@pytest.mark.parametrize(
    ("metric", "inference", "message"),
    [
        ("ok", at.Bootstrap(interval="studentized"), "interval: 'studentized' is for a change of"),
        ("ok", at.Bootstrap(replicates=20), "replicates: 20 are too few"),
        ("ok", at.Bootstrap(strata="queue"), "lie in more than one level of 'queue'"),
        ("ok", "bootstrp", "Did you mean 'bootstrap'"),
        ("quantile(seconds, 0.9)", "bootstrap", "a quantile needs inference='analytic'"),
    ],
)
def test_a_bootstrap_that_has_no_answer_is_refused_in_words(rows, metric, inference, message):
    told = {"by": "queue", "period": "month", "cluster": "moderator", "periods": MONTHS[:2]}
    kpi = at.Rate("ok") if metric == "ok" else metric
    with pytest.raises(OptionError, match=message):
        at.trend(rows, kpi, **told, inference=inference)


def test_means_of_rows_without_clusters_have_nothing_to_draw(rows):
    with pytest.raises(OptionError, match=r"Name cluster=\.\.\."):
        at.trend(
            rows, at.Mean("seconds"), "queue", period="month", periods=MONTHS[:2],
            inference="bootstrap",
        )  # fmt: skip


def test_bars_of_a_factor_that_counts_itself_are_left_out_and_windows_named_apart(rows):
    time = at.Product({"volume": "total(1)", "AHT": "mean(seconds)"}, name="Time", unit="s")
    told = {"by": "queue", "period": "month", "cluster": "moderator", "periods": MONTHS[:4]}
    for more in ({}, {"inference": at.Bootstrap(replicates=100)}):
        found = at.trend(rows, time, **told, **more)
        labels = [bar.label for bar in found.bridge().bars]
        assert labels == ["volume", "AHT: mix queue", "AHT: rate"]
        bars = sum(bar.value for bar in found.bridge().bars)
        assert bars == pytest.approx(found.total.change, rel=1e-9)
    rolling = at.trend(rows, at.Rate("ok"), **told, window=2)
    assert rolling.headline().endswith("2025-03 to 2025-04 against 2025-01 to 2025-02")

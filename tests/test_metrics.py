"""What a KPI is: the metric classes, their text forms, and what they refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution import errors
from attribution.metric_text import as_metric


def handled(seed: int = 0, rows: int = 400) -> pd.DataFrame:
    """Decisions with a handle time, in two months, two queues and three markets."""
    rng = np.random.default_rng(seed)
    queue, market = rng.integers(0, 2, rows), rng.integers(0, 3, rows)
    month = rng.integers(0, 2, rows)
    seconds = 40 + 10 * queue + 5 * market + 6 * month * queue + rng.normal(0, 4, rows)
    return pd.DataFrame(
        {
            "month": np.array(["2026-08", "2026-09"])[month],
            "queue": np.array(["chat", "live"])[queue],
            "market": np.array(["DE", "ID", "JP"])[market],
            "moderator": rng.integers(0, 40, rows),
            "seconds": seconds,
            "weight": rng.uniform(1, 3, rows),
            "one": 1,
        }
    )


ASKED = {
    "by": ["queue", "market"],
    "period": "month",
    "baseline": "2026-08",
    "current": "2026-09",
    "cluster": "moderator",
}


def test_a_mean_is_the_ratio_over_rows():
    data = handled()
    mean = at.explain(data, at.Mean("seconds"), **ASKED)
    ratio = at.explain(data, at.Ratio("seconds", "one"), **ASKED)
    pd.testing.assert_frame_equal(mean.effects, ratio.effects)
    by_month = data.groupby("month")["seconds"].mean()
    assert mean.total.change == pytest.approx(by_month["2026-09"] - by_month["2026-08"], rel=1e-12)
    assert mean.effects["estimate"].sum() == pytest.approx(mean.total.change, rel=1e-12)


def test_a_weighted_mean_weighs_rows():
    data = handled()
    mean = at.explain(data, "mean(seconds)", weight="weight", **ASKED)
    of = [np.average(x["seconds"], weights=x["weight"]) for _, x in data.groupby("month")]
    assert [mean.total.baseline, mean.total.current] == pytest.approx(of, rel=1e-12)


def test_a_mean_without_clusters_has_the_error_of_independent_rows():
    data = handled()
    mean = at.explain(data, "mean(seconds)", **{**ASKED, "cluster": None})
    parts = [x["seconds"] for _, x in data.groupby("month")]
    expected = np.sqrt(sum(x.var(ddof=0) / len(x) for x in parts) * len(data) / (len(data) - 1))
    assert mean.total.std_error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("correct / reviewed", at.Rate("correct", "reviewed")),
        ("(a + b) / (c + d)", at.Rate("(a + b)", "(c + d)")),
        (" ratio( a / b ) ", at.Ratio("a", "b")),
        ("mean(seconds / 60)", at.Mean("seconds / 60")),
        ("mean((a) - (b))", at.Mean("(a) - (b)")),
    ],
)
def test_text_is_read_as_the_metric_it_means(text, metric):
    assert as_metric(text) == metric


def test_the_text_of_a_mean_is_its_label():
    assert as_metric(at.Mean("seconds").label) == at.Mean("seconds")


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: at.Mean(""), errors.ColumnTypeError, "value"),
        (lambda: at.Mean(3), errors.ColumnTypeError, "Mean: 3 is not a column"),
        (lambda: at.Mean("x", better="less"), errors.OptionError, "'higher', 'lower'"),
        (lambda: at.Mean("x", name=" "), errors.ColumnTypeError, "name"),
        (lambda: at.Mean("x", unit=1), errors.ColumnTypeError, "unit"),
        (lambda: at.Ratio("x", None), errors.ColumnTypeError, "at.Mean"),
        (lambda: as_metric("mean()"), errors.OptionError, "names nothing"),
        (lambda: as_metric("ratio(a)"), errors.OptionError, "not a ratio of two"),
        (lambda: as_metric(7), errors.ColumnTypeError, "is not a metric"),
    ],
)
def test_what_is_no_metric_is_refused_in_words(build, error, said):
    with pytest.raises(error, match=said):
        build()


def test_a_mean_of_lower_is_better_keeps_its_sign_and_turns_what_is_good():
    mean = at.explain(handled(), at.Mean("seconds", name="AHT", better="lower", unit="s"), **ASKED)
    bridge = mean.bridge()
    rate = next(bar for bar in bridge.bars if bar.label == "Rate")
    assert rate.value > 0
    assert not bridge.good(rate.value)
    assert "AHT rose from" in mean.summary()


def test_a_cube_of_means_is_kept_and_read_back(tmp_path):
    cube = at.Cube.from_data(handled(), "mean(seconds)", by=["queue"], period="month")
    cube.save(tmp_path / "cube.zip")
    assert at.Cube.load(tmp_path / "cube.zip").metrics == (at.Mean("seconds"),)

"""Pictures of a trend: what is drawn is what the tables say, and no words collide."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import attribution as at
from attribution.errors import OptionError
from attribution.plots import save


@cache
def made(count: int, missing: tuple[int, ...] = (), **asked):
    rng = np.random.default_rng(0)
    there = [t for t in range(count) if t not in missing]
    rows = pd.DataFrame(
        {
            "month": [f"{2020 + t // 12}-{t % 12 + 1:02d}" for t in there for _ in range(3)],
            "queue": ["A", "B", "C"] * len(there),
            "reviewed": rng.integers(400, 900, 3 * len(there)),
        }
    )
    rate = np.tile([0.95, 0.9, 0.8], len(there)) + rng.normal(0, 0.01, len(rows))
    rows["correct"] = np.floor(rows["reviewed"] * rate).astype(int)
    return at.trend(
        rows, at.Rate("correct", "reviewed", name="Accuracy"), "queue", period="month", **asked
    )


def parts(ax, label):
    return [x for x in [*ax.lines, *ax.patches, *ax.texts] if x.get_label() == f"_{label}"]


def boxes(ax, roles):
    FigureCanvasAgg(ax.figure)
    ax.figure.draw_without_rendering()
    texts = [t for t in ax.texts if t.get_label()[1:] in roles and t.get_text()]
    return [t.get_window_extent() for t in texts], ax.figure.bbox


def assert_no_collision(ax):
    found, page = boxes(ax, {"label", "value", "words"})
    for i, a in enumerate(found):
        inside = page.x0 - 1 <= a.x0 and a.x1 <= page.x1 + 1
        assert inside, "words leave the picture at a side"
        inside = page.y0 - 1 <= a.y0 and a.y1 <= page.y1 + 1
        assert inside, "words leave the picture above or below"
        for b in found[i + 1 :]:
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            high = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert not (wide > 1 and high > 1), "words collide"


@pytest.mark.parametrize("count", [2, 13, 60])
@pytest.mark.parametrize("kind", ["bars", "line"])
def test_words_neither_collide_nor_leave_the_picture(count, kind):
    assert_no_collision(getattr(made(count).plot, kind)())


def test_bars_stack_to_the_change_of_each_period():
    trend = made(8)
    ax = trend.plot.bars()
    change = trend.frame["change"].dropna().to_numpy()
    found = np.zeros(len(change))
    for bar in parts(ax, "bar"):
        found[round(bar.get_x() + bar.get_width() / 2)] += bar.get_height()
    np.testing.assert_allclose(found, change, atol=1e-15)
    np.testing.assert_allclose(parts(ax, "total")[0].get_ydata(), change, atol=1e-15)
    low, high = ax.get_ylim()
    assert low <= trend.frame["change_conf_low"].min()
    assert high >= trend.frame["change_conf_high"].max()


def test_the_line_has_every_period_and_stops_at_a_gap():
    trend = made(8, missing=(4,))
    ax = trend.plot.line()
    (line,) = parts(ax, "line")
    values = np.asarray(line.get_ydata(), dtype=float)
    assert np.isnan(values).sum() == 1
    np.testing.assert_allclose(values[~np.isnan(values)], trend.frame["value"])
    assert any("2020-05" in t.get_text() for t in parts(ax, "words"))
    assert any("missing periods" in t.get_text() for t in parts(trend.plot.bars(), "words"))


def test_every_path_is_drawn_and_the_sum_is_a_waterfall(tmp_path):
    for asked in ({"path": "year-to-date"}, {"lag": 12}, {"window": 3}, {"path": "end-to-end"}):
        trend = made(14, **asked)
        assert_no_collision(trend.plot.bars())
        assert_no_collision(trend.plot.line())
    bars = made(5).plot.waterfall().patches
    assert len(bars) == 4
    first, second = (save(made(5).plot.bars(), tmp_path / f"{i}.png") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_given_axes_are_drawn_into_and_too_small_ones_refused():
    figure = Figure(figsize=(8, 9))
    top, bottom = figure.subplots(2)
    trend = made(6)
    assert trend.plot.bars(ax=top) is top
    assert trend.plot.line(ax=bottom) is bottom
    assert_no_collision(top)
    with pytest.raises(OptionError, match="too small for 5 periods"):
        trend.plot.bars(ax=Figure(figsize=(2, 1)).subplots())

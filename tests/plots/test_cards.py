"""Funnel, caterpillar and status pictures of a scorecard: what is drawn is what the table says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import OptionError
from attribution.plots import save


def _data(seed=0, sites=12, bad=0.08):
    rng, rows = np.random.default_rng(seed), []
    for month in ("2026-08", "2026-09"):
        for s in range(sites):
            n = int(rng.integers(300, 3000))
            p = 0.92 - (bad if s == 0 else 0)
            for queue, level in (("ads", 0.02), ("spam", -0.03)):
                rows.append((month, f"Site $ {s}_x", queue, n, rng.binomial(n, p + level)))
    rows.append(("2026-09", "tiny", "ads", 10, 3))
    return pd.DataFrame(rows, columns=["month", "site", "queue", "n", "ok"])


@pytest.fixture(scope="module")
def card():
    metric = at.Rate("ok", "n", name="Accuracy")
    return at.scorecard(_data(), metric, "site", adjust_for="queue", period="month", target=0.9)


def _artists(ax, role):
    lines = [x for x in ax.lines if x.get_label() == f"_{role}"]
    return lines or [x for x in ax.texts if x.get_label() == f"_{role}"]


def test_the_funnel_draws_every_entity_where_it_is(card, tmp_path):
    ax = card.plot.funnel()
    frame = card.frame[card.frame["signal"] != "too few"]
    points = [x.get_xydata() for x in _artists(ax, "entity")]
    drawn = {(float(n), float(value)) for n, value in np.concatenate(points)}
    assert {
        (float(a), float(b)) for a, b in zip(frame["n"], frame["adjusted"], strict=True)
    } <= drawn
    limits = _artists(ax, "limit")
    assert len(limits) == 4
    ordered = frame.sort_values("n", kind="stable")
    assert limits[0].get_ydata() == pytest.approx(ordered["limit_low_95"].to_numpy())
    assert _artists(ax, "center")[0].get_ydata()[0] == card.overall
    names = {x.get_text() for x in _artists(ax, "name")}
    assert "Site $ 0_x" in names
    words = " ".join(x.get_text() for x in _artists(ax, "words"))
    assert "Site $ 0_x" in words
    assert "does not start at 0" in words
    one, two = (save(card.plot.funnel(), tmp_path / f"{i}.svg").read_bytes() for i in "ab")
    assert one == two


def test_the_caterpillar_is_sorted_and_shows_ranks(card):
    ax = card.plot.caterpillar()
    frame = card.frame[card.frame["signal"] != "too few"]
    values = [float(x.get_xdata()[0]) for x in _artists(ax, "entity")]
    assert values == sorted(frame["adjusted"], reverse=True)
    cells = {x.get_text() for x in _artists(ax, "cell")}
    assert "1–12" in cells or any("–" in x for x in cells)
    assert len(_artists(ax, "target")) == 12
    few = card.plot.caterpillar(most=5)
    assert len(_artists(few, "entity")) == 5
    assert any("7 entities nearer" in x.get_text() for x in few.texts)


def test_lower_is_better_turns_the_order_and_the_colors():
    data = _data().assign(bad=lambda x: x.n - x.ok)
    metric = at.Rate("bad", "n", better="lower")
    card = at.scorecard(data, metric, "site", adjust_for="queue")
    ax = card.plot.caterpillar()
    values = [float(x.get_xdata()[0]) for x in _artists(ax, "entity")]
    assert values == sorted(values)
    assert _artists(ax, "entity")[-1].get_color() == at.Theme().bad


def test_status_over_time_has_a_cell_per_entity_and_period(card):
    ax = card.plot.status()
    texts = [x.get_text() for x in _artists(ax, "value")]
    assert len(texts) == 25
    assert not any("nan" in x for x in texts)
    plain = at.scorecard(_data(), "ok / n", "site", adjust_for="queue", period="month")
    assert len(_artists(plain.plot.status(), "value")) == 25


def test_pictures_fit_into_given_axes_or_say_so(card):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5))
    left, right = figure.subplots(1, 2)
    assert card.plot.funnel(left) is left
    card.plot.caterpillar(right)
    small = Figure(figsize=(3, 1.5)).subplots()
    with pytest.raises(OptionError, match="too low for 12 rows"):
        card.plot.caterpillar(small)
    with pytest.raises(OptionError, match="too small for 13 entities"):
        card.plot.status(small)

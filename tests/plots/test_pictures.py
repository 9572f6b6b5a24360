"""Scatter, individuals, driver tree, pathways: what is drawn is what was computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import attribution as at
from attribution.errors import OptionError
from attribution.plots import save
from attribution.plots.scaled import spread
from attribution.plots.theme import THEME

LONG = ["x" * 500, "新しいポリシー 内容审核 政策" * 20, "مراجعة المحتوى للقاصرين", "$x^2$ & <b>"]
THEMES = [THEME, THEME.dark(), replace(THEME, style="plain")]


@pytest.fixture(scope="module")
def changes():
    """Changes by 2, 8 and 30 queues, the last one new."""
    made = {}
    for count in (2, 8, 30):
        rng = np.random.default_rng(count)
        names = [LONG[i] if i < len(LONG) and count > 2 else f"queue {i}" for i in range(count)]
        rows = [
            (month, name, market, round(0.01 * n * p), n)
            for month in ("2026-08", "2026-09")
            for name in names[: count - (month == "2026-08" and count > 2)]
            for market in ("ID", "BR")
            for n, p in [(int(rng.integers(400, 4_000)), rng.normal(91, 2))]
        ]
        frame = pd.DataFrame(rows, columns=["month", "queue", "market", "correct", "reviewed"])
        ask = {"period": "month", "baseline": "2026-08", "current": "2026-09"}
        metric = at.Rate("correct", "reviewed", name="Accuracy")
        made[count] = at.explain(frame, metric, by=["queue", "market"], **ask)
    return made


@pytest.fixture(scope="module")
def history(changes):
    total, rng = changes[8].total, np.random.default_rng(0)
    past = {f"2025-{m:02d}": float(rng.normal(0.91, 0.003)) for m in range(1, 13)}
    past |= {f"2026-{m:02d}": float(rng.normal(0.91, 0.003)) for m in range(1, 8)}
    return past | {"2026-08": total.baseline, "2026-09": total.current}


def tree_change(leaves=6):
    names = [f"part_{i}" for i in range(leaves)]
    tree = at.Tree({"cost": "volume * price", "volume": " + ".join(names)}, better="lower",
                   units={"cost": "EUR"})  # fmt: skip
    rng = np.random.default_rng(0)
    sides = [
        {
            name: float(v)
            for name, v in zip([*names, "price"], rng.uniform(1, 9, leaves + 1), strict=True)
        }
        for _ in range(2)
    ]
    return tree.explain(*sides, labels=("plan", "actual"))


def of(ax, role):
    return [p for p in ax.patches if p.get_label() == f"_{role}"]


def number(text):
    return float(text.split()[0].replace("−", "-").replace(",", ""))


# -- what is drawn -----------------------------------------------------------------------------


def test_bubbles_stand_at_mix_and_rate_with_areas_of_volume(changes):
    made = changes[8].breakdown("queue")
    bubbles = of(changes[8].plot.scatter("queue"), "bubble")
    there = [x for x in made.by_size().levels if not x.status]
    rate = np.array([x.parts[made.parts.index("rate")].value for x in there])
    mix = np.array([x.parts[made.parts.index("mix")].value for x in there])
    for axis, values in ((0, rate), (1, mix)):
        places = np.array([b.center[axis] for b in bubbles])
        slope, start = np.polyfit(values, places, 1)
        np.testing.assert_allclose(places, slope * values + start, atol=1e-6)
        assert (slope > 0) == (axis == 0)
    areas = np.array([b.radius**2 for b in bubbles])
    shares = np.array([sum(x.share) for x in there])
    np.testing.assert_allclose(areas / areas.max(), shares / shares.max(), rtol=1e-9)


def test_new_levels_are_named_below_the_scatter(changes):
    ax = changes[8].plot.scatter("queue")
    assert any("queue 7: new or gone" in t.get_text() for t in ax.texts)


def test_the_individuals_chart_draws_the_context(changes, history):
    context = changes[8].context(history)
    ax = changes[8].plot.individuals(history)
    (line,) = [x for x in ax.lines if x.get_label() == "_level"]
    values = context.frame["value"].to_numpy()
    slope, start = np.polyfit(values, line.get_ydata(), 1)
    np.testing.assert_allclose(line.get_ydata(), slope * values + start, atol=1e-6)
    (high,) = [x for x in ax.lines if x.get_label() == "_limit_high"]
    limit = context.frame["limit_high"].iloc[-1]
    assert high.get_ydata()[0] == pytest.approx(slope * limit + start)
    assert len(of(ax, "bar")) == context.frame["change"].notna().sum()
    title = " ".join(t.get_text() for t in ax.texts)
    assert str(context).split(". ")[0].split(" (")[0] in title


def test_a_history_with_gaps_or_too_short_is_drawn(changes, history, assert_readable):
    few = dict(list(history.items())[-2:])
    assert_readable(changes[8].plot.individuals(few))
    gap = {k: v for k, v in history.items() if k != "2025-06"}
    assert_readable(changes[8].plot.individuals(gap))


def test_displayed_effects_of_a_tree_add_up_from_leaves_to_root(texts):
    change = tree_change()
    written = [t for t in texts(change.plot(), "node") if t.endswith(" on cost")]
    effects = [number(t) for t in written]
    by_place = dict(zip((n.place for n in change.nodes), effects, strict=True))
    for place, effect in by_place.items():
        below = [v for p, v in by_place.items() if p[:-1] == place]
        assert not below or sum(below) == pytest.approx(effect)


def test_impact_in_a_tree_goes_by_what_is_better():
    change = tree_change()
    strips = [to_hex(p.get_facecolor()) for p in of(change.plot(), "impact")]
    assert strips[0] == THEME.current
    for node, color in zip(change.nodes[1:], strips[1:], strict=True):
        assert color == (THEME.good if node.estimate < 0 else THEME.bad)


def test_displayed_pathways_add_up_to_the_bridge(changes, texts):
    change = changes[8]
    shown = [number(t) for t in texts(change.plot.pathways(), "value")]
    columns = len(change.pathways().frame.columns) + 1
    table = np.array(shown).reshape(-1, columns)
    np.testing.assert_allclose(table[:-1].sum(axis=0), table[-1], atol=1e-9)
    np.testing.assert_allclose(table[:, :-1].sum(axis=1), table[:, -1], atol=1e-9)
    lines = dict(zip((b.label for b in change.bridge().bars), change.bridge().shown(), strict=True))
    for name, value in zip(change.pathways().frame.columns, table[-1], strict=False):
        label = "Mix: jointly" if name == "joint" else f"Mix: {name}"
        assert value == pytest.approx(lines.get(label, value))


# -- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
def test_words_stay_inside_and_apart(changes, history, theme, assert_readable):
    for change in changes.values():
        assert_readable(change.plot.scatter("queue", theme=theme))
    assert_readable(changes[8].plot.pathways(theme=theme))
    assert_readable(changes[8].plot.individuals(history, theme=theme))
    assert_readable(tree_change().plot(theme=theme))
    assert_readable(tree_change(28).plot(theme=theme))


def test_given_axes_are_used_and_too_small_ones_refused(changes, history, assert_readable):
    draws = [
        lambda ax: changes[8].plot.scatter("queue", ax),
        lambda ax: changes[8].plot.pathways(ax),
        lambda ax: changes[8].plot.individuals(history, ax),
        lambda ax: tree_change().plot(ax),
    ]
    for draw in draws:
        ax = Figure(figsize=(9, 7)).add_axes((0, 0, 1, 1))
        assert draw(ax) is ax
        assert_readable(ax)
        with pytest.raises(OptionError, match=r"^ax: 2\.5 x 1\.5 inches is too small"):
            draw(Figure(figsize=(2.5, 1.5)).add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_picture_gives_the_same_bytes(changes, history, tmp_path, ending):
    for i in range(2):
        save(changes[2].plot.scatter("queue"), tmp_path / f"s{i}.{ending}")
        save(changes[8].plot.individuals(history), tmp_path / f"i{i}.{ending}")
        save(tree_change().plot(), tmp_path / f"t{i}.{ending}")
    for kind in "sit":
        first, second = (tmp_path / f"{kind}{i}.{ending}" for i in range(2))
        assert first.read_bytes() == second.read_bytes()


def test_words_that_would_touch_are_spread():
    found = spread([10.0, 9.0, 50.0, 52.0, 99.0], 5.0, 0.0, 100.0)
    assert sorted(found)[0] >= 0
    assert max(found) <= 100
    assert np.diff(sorted(found)).min() >= 5 - 1e-9
    assert spread([5.0, 30.0], 5.0, 0.0, 100.0) == [5.0, 30.0]

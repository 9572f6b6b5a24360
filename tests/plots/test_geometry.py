"""Every chart, from 2 to 30 items with any label: words lie inside it and apart from each other."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.labels import LEFT_TO_RIGHT, runs_left
from attribution.plots import save
from attribution.plots.causes import causes_plot
from attribution.plots.theme import THEME

PERIOD = {"period": "month", "baseline": "2026-08", "current": "2026-09"}
LABELS = {
    "long": lambda i: f"queue {i} " + "of_everything_that_came_in " * 20,
    "cjk": lambda i: f"新しいポリシー内容审核政策콘텐츠 {i} " + "审核" * 40,
    "arabic": lambda i: f"مراجعة المحتوى للقاصرين رقم {i} قائمة الانتظار",
    "markup": lambda i: f"$x_{i}^2$ & <b>{i}</b> % \\alpha",
}


def names(kind: str, count: int) -> list[str]:
    if kind == "mixed":
        kinds = list(LABELS.values())
        return [kinds[i % len(kinds)](i) for i in range(count)]
    return [LABELS[kind](i) for i in range(count)]


@cache
def change(kind: str, count: int) -> at.Attribution:
    """By `count` queues and as many markets, one of the queues new."""
    rng = np.random.default_rng(count)
    queues, markets = names(kind, count), [f"{x} M" for x in names(kind, min(count, 8))]
    rows = [
        (month, queue, market, rng.binomial(n, rng.uniform(0.8, 0.97)), n)
        for month in ("2026-08", "2026-09")
        for queue in (queues[:-1] if month == "2026-08" and count > 2 else queues)
        for market in markets
        for n in [int(rng.integers(100, 4_000))]
    ]
    frame = pd.DataFrame(rows, columns=["month", "queue", "market", "correct", "reviewed"])
    metric = at.Rate("correct", "reviewed", name="Accuracy")
    return at.explain(frame, metric, by=["queue", "market"], **PERIOD)


@cache
def entering(kind: str, count: int) -> at.Attribution:
    """A bridge of many bars: all queues but one are new."""
    queues = names(kind, count)
    rows = [("2026-08", queues[0], 900, 1000)]
    rows += [("2026-09", queue, 850 + 3 * i, 1000) for i, queue in enumerate(queues)]
    frame = pd.DataFrame(rows, columns=["month", "queue", "correct", "reviewed"])
    return at.explain(frame, "correct / reviewed", by=["queue"], **PERIOD)


@cache
def trend(kind: str, count: int) -> at.Trend:
    rng = np.random.default_rng(count)
    rows = [
        (f"{2020 + t // 12}-{t % 12 + 1:02d}", queue, rng.binomial(900, 0.9), 900)
        for t in range(count)
        for queue in names(kind, 6)
    ]
    frame = pd.DataFrame(rows, columns=["month", "queue", "correct", "reviewed"])
    return at.trend(frame, "correct / reviewed", "queue", period="month")


@cache
def card(kind: str, count: int) -> at.Scorecard:
    rng = np.random.default_rng(count)
    rows = [
        (site, queue, rng.binomial(n, rng.uniform(0.85, 0.95)), n)
        for site in names(kind, count)
        for queue in "AB"
        for n in [int(rng.integers(80, 3_000))]
    ]
    frame = pd.DataFrame(rows, columns=["site", "queue", "correct", "reviewed"])
    metric = at.Rate("correct", "reviewed", name="Accuracy")
    return at.scorecard(frame, metric, "site", adjust_for="queue", target=0.9)


@cache
def tree(kind: str, count: int):
    parts = [f"part_{i}" for i in range(count)]
    made = at.Tree({"cost": "volume * price", "volume": " + ".join(parts)}, better="lower")
    rng = np.random.default_rng(count)
    sides = [dict(zip([*parts, "price"], rng.uniform(1, 9, count + 1), strict=True)) for _ in "ab"]
    return made.explain(*sides, labels=tuple(names(kind, 2)))


@cache
def causes(kind: str, count: int):
    queues = names(kind, count)
    bad = queues[: max(count // 4, 1)]
    rows = [
        (month, f"m{g}", queue, 200 - 10 - (month == "2026-09" and queue in bad) * 40, 200)
        for month in ("2026-08", "2026-09")
        for g in range(12)
        for queue in queues
    ]
    frame = pd.DataFrame(rows, columns=["month", "who", "queue", "correct", "reviewed"])
    asked = at.explain(frame, "correct / reviewed", by=["queue"], cluster="who", **PERIOD)
    return asked.causes()


def history(count: int) -> dict[str, float]:
    rng, total = np.random.default_rng(count), change("long", 7).total
    past = {
        f"{2020 + t // 12}-{t % 12 + 1:02d}": float(rng.normal(0.9, 0.01)) for t in range(count)
    }
    return past | {"2026-08": total.baseline, "2026-09": total.current}


CHARTS = {
    "waterfall": lambda k, n, look: change(k, n).plot.waterfall(theme=look),
    "waterfall of entries": lambda k, n, look: entering(k, n).plot.waterfall(theme=look),
    "columns": lambda k, n, look: entering(k, n).plot.waterfall(theme=look, orientation="vertical"),
    "levels": lambda k, n, look: change(k, n).plot.levels("queue", max_levels=30, theme=look),
    "heatmap": lambda k, n, look: change(k, n).plot.heatmap("queue", "market", theme=look),
    "scatter": lambda k, n, look: change(k, n).plot.scatter("queue", theme=look),
    "pathways": lambda k, n, look: change(k, min(n, 7)).plot.pathways(theme=look),
    "trend bars": lambda k, n, look: trend(k, n).plot.bars(theme=look),
    "trend line": lambda k, n, look: trend(k, n).plot.line(theme=look),
    "individuals": lambda k, n, look: change("long", 7).plot.individuals(history(n), theme=look),
    "funnel": lambda k, n, look: card(k, n).plot.funnel(theme=look),
    "caterpillar": lambda k, n, look: card(k, n).plot.caterpillar(theme=look),
    "status": lambda k, n, look: card(k, n).plot.status(theme=look),
    "tree": lambda k, n, look: tree(k, n).plot(theme=look),
    "causes": lambda k, n, look: causes_plot(causes(k, n), theme=look),
}
LOOKS = {"ibcs": THEME, "plain": at.Theme(style="plain"), "dark": THEME.dark()}
# Each number of items with a look and a kind of label: what matters here is the two together.
QUICK = [(2, "plain", "long"), (30, "ibcs", "mixed")]
ALL = [
    (n, list(LOOKS)[(i + n) % 3], kind)
    for n in (2, 9, 30)
    for i, kind in enumerate([*LABELS, "mixed"])
]


@pytest.mark.parametrize(("count", "look", "kind"), QUICK)
@pytest.mark.parametrize("chart", CHARTS)
def test_words_stay_inside_and_apart(chart, count, look, kind, assert_readable):
    assert_readable(CHARTS[chart](kind, count, LOOKS[look]))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "look", "kind"), ALL)
@pytest.mark.parametrize("chart", CHARTS)
def test_words_stay_inside_and_apart_whatever_they_are(chart, count, look, kind, assert_readable):
    assert_readable(CHARTS[chart](kind, count, LOOKS[look]))


@pytest.mark.slow
@pytest.mark.parametrize("chart", CHARTS)
def test_the_same_chart_gives_the_same_bytes(chart, tmp_path):
    for ending in ("png", "svg"):
        first, second = (
            save(CHARTS[chart]("mixed", 9, THEME), tmp_path / f"{i}.{ending}").read_bytes()
            for i in range(2)
        )
        assert first == second


def test_a_number_behind_arabic_keeps_its_sign_in_front():
    ax = change("arabic", 9).plot.scatter("queue")
    numbered = [t.get_text() for t in ax.texts if runs_left(t.get_text())]
    numbered = [x for x in numbered if x[-1].isdigit()]
    assert numbered
    # The mark ends the run from right to left; without it "+0.46" is drawn as "0.46+".
    for text in numbered:
        assert f"{LEFT_TO_RIGHT}+" in text or f"{LEFT_TO_RIGHT}−" in text


def test_a_title_that_begins_in_arabic_reads_from_left_to_right():
    data = {"m": ["a", "b"] * 2, "q": ["x", "x", "y", "y"], "ok": [90, 80, 95, 92], "n": [100] * 4}
    metric = at.Rate("ok", "n", name="الدقة")
    made = at.explain(
        pd.DataFrame(data), metric, by=["q"], period="m", baseline="a", current="b"
    ).plot.waterfall()
    title = next(t.get_text() for t in made.texts if "الدقة" in t.get_text())
    # Without the marks the name is drawn behind the rest: "fell from 92.50 % ... الدقة".
    assert title.startswith(f"{LEFT_TO_RIGHT}الدقة{LEFT_TO_RIGHT} ")


def test_labels_of_a_scatter_are_not_struck_out_by_the_lines_at_0():
    # The shares stay, so all bubbles lie on the line of no mix effect.
    data = {
        "m": ["a", "b"] * 3,
        "q": list("xxyyzz"),
        "ok": [90, 80, 95, 92, 70, 81],
        "n": [100] * 6,
    }
    made = at.explain(pd.DataFrame(data), "ok / n", by=["q"], period="m", baseline="a", current="b")
    ax = made.plot.scatter("q")
    lines = [x.get_window_extent() for x in ax.lines if x.get_label() == "_origin"]
    labels = [x.get_window_extent() for x in ax.texts if x.get_label() == "_label"]
    assert (len(lines), len(labels)) == (2, 3)
    for label in labels:
        for line in lines:
            across = label.x0 < line.x1 and line.x0 < label.x1
            assert not (across and label.y0 < line.y1 and line.y0 < label.y1)

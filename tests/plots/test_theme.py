"""A theme is applied inside a block and leaves nothing behind."""

import pickle
from threading import Thread

import matplotlib as mpl
import pandas as pd
import pytest

import attribution as at
from attribution.errors import ColumnTypeError, OptionError
from attribution.plots.theme import THEME, Theme, contrast


def test_a_theme_is_in_use_inside_its_block_only():
    company = Theme(good="#006400")
    with company:
        assert Theme.in_use() is company
        with company.dark() as dark:
            assert Theme.in_use() is dark
        assert Theme.in_use() is company
    assert Theme.in_use() is THEME


def test_a_theme_ends_with_its_block_even_after_an_error():
    with pytest.raises(RuntimeError), Theme(good="#006400"):
        raise RuntimeError
    assert Theme.in_use() is THEME


def test_other_threads_do_not_see_a_theme():
    seen = []
    with Theme(good="#006400"):
        other = Thread(target=lambda: seen.append(Theme.in_use()))
        other.start()
        other.join()
    assert seen == [THEME]


def test_themes_change_no_global_setting():
    before = dict(mpl.rcParams)
    with Theme(fonts=["DejaVu Serif"]) as theme, theme.context():
        pass
    assert dict(mpl.rcParams) == before


def test_a_notebook_that_turns_interactive_with_our_figure_stays_so():
    before = mpl.is_interactive()
    try:
        mpl.interactive(False)
        with THEME.context():
            mpl.interactive(True)
        assert mpl.is_interactive()
    finally:
        mpl.interactive(before)


@pytest.mark.parametrize("theme", [THEME, Theme(good="#002b55", bad="#7a1f00")])
def test_dark_colors_stand_out_from_dark_paper(theme):
    dark = theme.dark()
    for color in (dark.good, dark.bad, dark.neutral, dark.baseline, dark.current):
        assert contrast(color, dark.paper) >= 3
    for color in (dark.ink, dark.quiet):
        assert contrast(color, dark.paper) >= 4.5


def test_text_on_any_ground_can_be_read():
    for color in (THEME.good, THEME.bad, THEME.tint(THEME.bad, 0.1), "#808080"):
        assert contrast(THEME.on(color), color) >= 4.4


def test_a_theme_is_a_value():
    assert pickle.loads(pickle.dumps(Theme(fonts=["Arial"]))) == Theme(fonts=("Arial",))
    assert hash(Theme()) == hash(THEME)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"good": "green"}, "good: 'green' is not a color of the form \"#1f6fb4\""),
        ({"fonts": "Arial"}, "fonts: 'Arial' is one text"),
        ({"size": 0}, "size: 0 is not a size"),
        ({"style": "plane"}, "plain"),
    ],
)
def test_what_is_wrong_is_said(given, words):
    with pytest.raises(OptionError, match=words):
        Theme(**given)


def _pictures():
    """Every picture there is a method for."""
    rows = [
        (month, g, queue, tenure, 40, 36 - (month == 2) * (g % 3) - (queue == "A"))
        for month in (1, 2)
        for g in range(12)
        for queue in "AB"
        for tenure in "xy"
    ]
    names = ["month", "site", "queue", "tenure", "reviewed", "correct"]
    table, kpi = pd.DataFrame(rows, columns=names), "correct / reviewed"
    by = ["queue", "tenure"]
    change = at.explain(table, kpi, by, period="month", baseline=1, current=2)
    past = at.Cube.from_data(table, kpi, by, period="month")
    trend = at.trend(table, kpi, by, period="month")
    card = at.scorecard(table, kpi, "site", adjust_for="queue")
    factors = at.factors("a * b", {"a": 1, "b": 2}, {"a": 2, "b": 3})
    tree = at.Tree("c = a * b").explain({"a": 1, "b": 2}, {"a": 2, "b": 3})
    return {
        "waterfall": change.plot.waterfall,
        "levels": lambda **x: change.plot.levels("queue", **x),
        "heatmap": lambda **x: change.plot.heatmap("queue", "tenure", **x),
        "scatter": lambda **x: change.plot.scatter("queue", **x),
        "pathways": change.plot.pathways,
        "individuals": lambda **x: change.plot.individuals(past, **x),
        "bars": trend.plot.bars,
        "line": trend.plot.line,
        "trend": trend.plot.waterfall,
        "funnel": card.plot.funnel,
        "caterpillar": card.plot.caterpillar,
        "factors": factors.plot.waterfall,
        "tree": tree.plot,
    }


def test_every_picture_says_what_a_theme_and_axes_are():
    for name, draw in _pictures().items():
        with pytest.raises(ColumnTypeError, match=r"theme: 'dark' is not an at\.Theme.*dark\(\)"):
            draw(theme="dark")
        with pytest.raises(ColumnTypeError, match="ax: int is not matplotlib axes"):
            draw(ax=3)
        assert draw(theme=Theme().dark()).figure, name

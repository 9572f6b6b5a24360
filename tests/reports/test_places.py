"""Pages at the width of a telephone, a tablet and a screen; numbers of a line beside the line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pandas as pd
import pytest
from pptx import Presentation

import attribution as at
from attribution.formatting import Format
from attribution.reports.past import Past
from attribution.reports.places import SIDES, label_box, label_sides

from .conftest import ASK

WIDTHS = (380, 800, 1400)
OPEN = """
document.querySelectorAll("section[hidden]").forEach(e => { e.hidden = false; });
document.querySelectorAll("details").forEach(e => { e.open = true; });
"""
# What reaches beyond the right edge and is in no container that scrolls by itself.
BEYOND = """
const edge = document.documentElement.clientWidth + 1;
return [...document.querySelectorAll("body *")].filter(
  e => e.getBoundingClientRect().right > edge && !e.closest(".wide, .scroll")
).map(e => `${e.tagName} ${e.textContent.slice(0, 40)}`);
"""


@contextmanager
def at_width(browser, width: int) -> Iterator[None]:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def pages(table, change, tmp_path_factory):
    """A report, a scorecard, and the index of a review whose trend has many columns."""
    folder = tmp_path_factory.mktemp("pages")
    months = [
        table[table["month"] == "2026-08"].assign(month=f"2026-{m:02d}", other=m)
        for m in range(1, 10)
    ]
    pd.concat(months).to_parquet(folder / "reviews.parquet")
    config = {
        "sources": {"qa": {"data": f"{folder}/reviews.parquet", "period": "month"}},
        "kpis": [{"name": "Accuracy", "metric": "correct / reviewed", "by": ["queue", "market"]}],
        "output": {"pptx": False, "xlsx": False, "charts": False, "tidy": False},
    }
    at.review(config, period="2026-09", out=folder / "out")
    card = at.scorecard(table, "correct / reviewed", entity="queue", period="month",
                        current="2026-09")  # fmt: skip
    return {
        "report": change.to_html(folder / "report.html"),
        "kpi": folder / "out" / "2026-09" / "kpis" / "accuracy.html",
        "index": folder / "out" / "2026-09" / "index.html",
        "card": card.to_html(folder / "card.html"),
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "kpi", "index", "card"])
def test_only_tables_and_pictures_scroll_to_the_side(pages, browser, name, width):
    with at_width(browser, width):
        browser.get(pages[name].as_uri())
        browser.execute_script(OPEN)
        whole, seen = browser.execute_script(
            "const e = document.documentElement; return [e.scrollWidth, e.clientWidth];"
        )
        assert whole <= seen
        assert browser.execute_script(BEYOND) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "kpi"])
def test_words_of_a_picture_can_be_read_at_any_width(pages, browser, name, width):
    with at_width(browser, width):
        browser.get(pages[name].as_uri())
        browser.execute_script(OPEN)
        heights = browser.execute_script(
            """return [...document.querySelectorAll("main svg")].map(
              e => [...e.querySelectorAll("text")].map(t => t.getBoundingClientRect().height)
            ).map(x => Math.min(...x));"""
        )
    shown = [h for h in heights if h]
    # Of the broad and the narrow picture one is there.
    assert len(shown) == len(heights) / 2
    assert min(shown) > 9


def test_columns_of_words_are_never_a_letter_wide_and_captions_are_seen_whole(pages, browser):
    with at_width(browser, 380):
        for name in ("index", "report"):
            browser.get(pages[name].as_uri())
            browser.execute_script(OPEN)
            widths = browser.execute_script(
                "return [...document.querySelectorAll('tbody th')].map(e => e.clientWidth)"
            )
            assert min(widths) >= 60, name
            captions = browser.execute_script(
                "return [...document.querySelectorAll('caption')].map("
                "e => e.getBoundingClientRect().right)"
            )
            assert max(captions) <= 380, name


# -- numbers of a line ----------------------------------------------------------------------------


def covered(points, sizes, sides):
    """The points of the line, finely, that lie under a label."""
    found = 0
    for i, side in sides.items():
        left, top, right, bottom = label_box(points[i], sizes[i], side)
        for a, b in pairwise(points):
            if a is None or b is None:
                continue
            for k in range(101):
                x, y = (u + k / 100 * (v - u) for u, v in zip(a, b, strict=True))
                found += left < x < right and top < y < bottom
    return found


@pytest.mark.parametrize(
    ("heights", "side"),
    [
        ([50, 10, 50], "above"),
        ([10, 50, 10], "below"),
        ([50, 50, 50], "above"),
    ],
)
def test_a_label_stands_where_the_line_is_not(heights, side):
    points = [(100.0 * i, float(y)) for i, y in enumerate(heights)]
    assert label_sides(points, {1: (30.0, 14.0)}, (-50.0, -50.0, 400.0, 200.0)) == {1: side}


def test_labels_keep_off_steep_lines_other_labels_and_the_edge():
    points = [(40.0, 300.0), (100.0, 20.0), (160.0, 290.0), None, (280.0, 150.0), (290.0, 150.0)]
    sizes = dict.fromkeys((0, 1, 2, 4, 5), (36.0, 14.0))
    within = (0.0, 0.0, 340.0, 310.0)
    sides = label_sides(points, sizes, within)
    assert set(sides.values()) <= set(SIDES)
    assert covered(points, sizes, sides) == 0
    boxes = [label_box(points[i], sizes[i], side) for i, side in sides.items()]
    for k, a in enumerate(boxes):
        assert within[0] <= a[0] < a[2] <= within[2]
        assert within[1] <= a[1] < a[3] <= within[3]
        for b in boxes[:k]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_the_trend_slide_writes_low_points_below_the_line(table, change, tmp_path):
    accuracy = {"2026-05": 0.9, "2026-06": 0.8, "2026-07": 0.85, "2026-08": 0.95}
    frame = pd.concat(
        [
            table[["queue"]].assign(month=m, reviewed=100, correct=round(100 * x))
            for m, x in accuracy.items()
        ]
    )
    trend = at.trend(frame, "correct / reviewed", by=["queue"], period="month")
    deck = Presentation(str(change.to_pptx(tmp_path / "a.pptx", trend=trend)))
    (chart,) = (s.chart for slide in deck.slides for s in slide.shapes
                if s.has_chart and s.name == "Trend")  # fmt: skip
    points = chart.plots[0].series[0].points
    places = [points[i].data_label.position.name for i in range(4)]
    assert places[1] == "BELOW"
    assert places[3] == "ABOVE"


def test_the_line_of_a_page_has_its_lowest_number_below():
    frame = pd.DataFrame({"period": list("abc"), "value": [0.9, 0.8, 0.95], "n": [10] * 3})
    drawn = Past(frame, Format("%")).svg("x")
    for kind in drawn.split("<svg")[1:]:
        dots = [float(x.split('"')[0]) for x in kind.split(' cy="')[1:]]
        texts = {
            text.split(">")[1].split("<")[0]: float(text.split('"')[1])
            for text in kind.split(" y=")[1:]
            if "</text>" in text
        }
        assert texts["80.00"] > dots[1]
        assert texts["95.00"] < dots[2]


# -- the notebook ---------------------------------------------------------------------------------


def test_a_notebook_shows_labels_as_text_and_numbers_in_their_order(table, browser, tmp_path):
    odd = table.replace({"queue": {"id": "قائمة 1", "<30": "<b>x</b>"}})
    metric = at.Rate("correct", "reviewed", name="دقة")
    change = at.explain(odd, metric, by=["queue"], **ASK)
    page = tmp_path / "cell.html"
    page.write_text(
        f"<!DOCTYPE html><meta charset='utf-8'><link rel='icon' href='data:,'>"
        f"<div id='cell'>{change._repr_html_()}</div>",
        encoding="utf-8",
    )
    browser.get_log("browser")
    with at_width(browser, 800):
        browser.get(page.as_uri())
        said = browser.find_element("css selector", "#cell p b").text
        assert said.rstrip(".") == change.bridge().message
        # From left to right as they are read: the name, where it was, where it is, the change.
        f, total = change.format, change.total
        across = browser.execute_script(
            """const texts = arguments[0];
            const walker = document.createTreeWalker(
              document.querySelector("#cell p"), NodeFilter.SHOW_TEXT);
            const found = {};
            while (walker.nextNode()) for (const text of texts) {
              const at = walker.currentNode.data.indexOf(text);
              if (at < 0 || text in found) continue;
              const range = document.createRange();
              range.setStart(walker.currentNode, at);
              range.setEnd(walker.currentNode, at + text.length);
              found[text] = range.getBoundingClientRect().left;
            }
            return texts.map(text => found[text]);""",
            ["دقة", f.number(total.baseline), f.number(total.current)],
        )
        assert across == sorted(across)
        ways = browser.execute_script(
            "return [...document.querySelectorAll('#cell bdi')].map("
            "e => [e.textContent, getComputedStyle(e).unicodeBidi])"
        )
    assert {way for _, way in ways} == {"isolate"}
    assert "دقة" in {text for text, _ in ways}
    assert browser.execute_script("return document.querySelectorAll('#cell td b').length") == 0
    assert [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []

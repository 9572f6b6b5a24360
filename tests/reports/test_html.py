"""The HTML report in a real browser: sort, filter, drill, tabs; no network, labels as text."""

from __future__ import annotations

import html
import re

import pandas as pd
import pytest
from pptx import Presentation

import attribution as at
from attribution.errors import OptionError

from .conftest import ASK, MARKETS, QUEUES


@pytest.fixture(scope="module")
def report(change, tmp_path_factory):
    return change.to_html(tmp_path_factory.mktemp("html") / "report.html")


def test_numbers_are_read_back_and_add_up(report, change):
    tables = pd.read_html(report, flavor="lxml")
    bridge = tables[0].set_index("Bar")["Effect"]
    steps = [float(x.replace("−", "-").removesuffix(" pp")) for x in bridge.iloc[1:-1]]
    ends = [float(bridge.iloc[i].removesuffix(" %")) for i in (0, -1)]
    assert sum(steps) == pytest.approx(ends[1] - ends[0], abs=1e-9)
    assert ends == [round(100 * x, 2) for x in (change.total.baseline, change.total.current)]
    levels = tables[1]
    mix = next(c for c in levels.columns if c.startswith("mix"))
    known = [float(x.replace("−", "-")) for x in levels[mix] if x != "–"]
    assert sum(known[:-1]) == pytest.approx(known[-1], abs=1e-9)


def test_one_file_without_network_and_small(report):
    text = report.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)
    assert "default-src 'none'" in text
    assert text.count("<svg") >= 1
    assert "<desc" in text


def test_labels_with_markup_are_text(report):
    text = report.read_text(encoding="utf-8")
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def test_every_table_header_has_a_scope(report):
    text = report.read_text(encoding="utf-8")
    heads = re.findall(r"<th\b[^>]*>", text)
    assert heads
    assert all("scope=" in head for head in heads)


def test_in_a_browser(report, browser, change):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(report.as_uri())
    tabs = browser.find_elements(By.CSS_SELECTOR, "[role=tab]")

    def seen(selector):
        return [x for x in browser.find_elements(By.CSS_SELECTOR, selector) if x.is_displayed()]

    def shown():
        return [section.get_attribute("id") for section in seen("section")]

    def rows():
        return seen("#table-1 tbody tr")

    assert shown() == ["bridge"]
    tabs[0].send_keys(Keys.ARROW_RIGHT)
    assert shown() == ["words"]
    tabs[1].send_keys(Keys.ARROW_RIGHT)
    assert shown() == ["levels"]
    assert tabs[2].get_attribute("aria-selected") == "true"

    names = [r.find_element(By.CSS_SELECTOR, "th").text for r in rows()]
    assert set(names) == set(QUEUES)
    heads = browser.find_elements(By.CSS_SELECTOR, "#table-1 thead th")
    place = next(i for i, h in enumerate(heads) if h.text.startswith("n before"))
    heads[place].find_element(By.TAG_NAME, "button").click()
    counts = [int(r.find_elements(By.XPATH, "./*")[place].text.replace(",", "")) for r in rows()]
    assert counts == sorted(counts, reverse=True)
    assert heads[place].get_attribute("aria-sort") == "descending"

    search = browser.find_element(By.CSS_SELECTOR, "input[data-filter=table-1]")
    search.send_keys("id")
    assert {r.find_element(By.CSS_SELECTOR, "th").text for r in rows()} == {"id", "ID"}
    search.send_keys(Keys.BACKSPACE, Keys.BACKSPACE)

    link = browser.find_element(By.CSS_SELECTOR, "#table-1 tbody a")
    level = link.text
    link.click()
    assert shown() == ["drill"]
    opened = browser.find_element(By.CSS_SELECTOR, "details[open]:has(summary:focus)")
    assert level in opened.find_element(By.TAG_NAME, "summary").text
    assert opened.find_element(By.TAG_NAME, "svg").is_displayed()

    assert browser.execute_script("return document.querySelectorAll('td b, th b').length") == 0
    texts = browser.execute_script(
        "return [...document.querySelectorAll('th')].map(x => x.textContent)"
    )
    assert set(MARKETS) <= set(texts)
    assert [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    requests = [e["message"] for e in browser.get_log("performance")
                if '"Network.requestWillBeSent"' in e["message"] and '"url":"http' in e["message"]]  # fmt: skip
    assert requests == []


def test_it_is_complete_without_javascript(report, browser):
    from selenium.webdriver.common.by import By

    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(report.as_uri())
        sections = browser.find_elements(By.CSS_SELECTOR, "section")
        assert len(sections) >= 5
        assert all(s.is_displayed() for s in sections)
        assert not browser.find_element(By.CSS_SELECTOR, ".filter").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_words_are_those_of_the_narrative(report, change):
    text = html.unescape(report.read_text(encoding="utf-8"))
    told = change.narrative("page").sections
    assert [section.title for section in told[1:-1]] == [
        "What moved",
        "Where the rates moved",
        "What to check first",
        "What cannot be said",
    ]
    assert all(s.text in text for section in told for s in section.sentences)


def test_two_way_tables_are_the_crossings(report, change):
    made = change.crossing("queue", "market").condensed(12, 12)
    table = next(
        t for t in pd.read_html(report, flavor="lxml") if t.columns[0] == "queue" and "*" in t
    )
    shown = table.set_index("queue").fillna("")
    for row, cells in zip(made.rows, made.cells, strict=True):
        for column, part in zip(made.columns, cells, strict=True):
            assert shown.loc[row, column] == ("" if part is None else made.text(part))


def test_causes_are_in_page_and_deck_where_there_are_clusters(caused, change, tmp_path):
    (row,) = caused.causes().rows()
    page = caused.to_html(tmp_path / "caused.html").read_text(encoding="utf-8")
    section = page.partition('<section id="causes">')[2].partition("</section>")[0]
    assert row["segment"] == "policy = minors"
    assert row["segment"] in section
    deck = Presentation(str(caused.to_pptx(tmp_path / "caused.pptx")))
    (slide,) = [s for s in deck.slides if "rate effect is largest in" in s.shapes.title.text]
    assert row["segment"] in slide.shapes.title.text
    told = caused.narrative("page").sections
    notes = deck.slides[0].notes_slide.notes_text_frame.text
    assert all(s.text in notes for section in told[1:-1] for s in section.sentences)
    without = change.to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert '<section id="causes">' not in without


# The contrast that WCAG 2.2 AA asks of text against what is painted behind it.
AUDIT = """
const parse = text => {
  const n = text.match(/-?[\\d.]+(?:e-?\\d+)?/g).map(Number);
  const scale = text.startsWith("color(") ? 255 : 1;
  return [n[0] * scale, n[1] * scale, n[2] * scale, n.length > 3 ? n[3] : 1];
};
const light = c => {
  const [r, g, b] = c.slice(0, 3).map(v => {
    v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]);
const ground = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement)
    layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
};
document.querySelectorAll("[hidden]").forEach(e => e.removeAttribute("hidden"));
document.querySelectorAll("details").forEach(e => { e.open = true; });
const found = [];
let seen = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || element.closest("script, style, title, desc")) continue;
  const style = getComputedStyle(element);
  // The letters of a drawing have an edge of paper around them.
  const inPicture = element.closest("svg");
  const paper = inPicture ? parse(style.stroke) : [...ground(element), 1];
  const color = over(parse(inPicture ? style.fill : style.color), paper);
  const [low, high] = [light(color), light(paper)].sort((a, b) => a - b);
  const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
  const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
  const ratio = (high + 0.05) / (low + 0.05);
  seen += 1;
  if (ratio < least) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return [seen, found];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(report, browser, scheme):
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    try:
        browser.get(report.as_uri())
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        seen, found = browser.execute_script(AUDIT)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert seen > 300
    assert found == []


def test_the_audit_sees_text_that_is_too_pale(change, browser, tmp_path):
    with at.Theme(quiet="#aaaaaa"):
        page = change.to_html(tmp_path / "pale.html")
    browser.get(page.as_uri())
    assert browser.execute_script(AUDIT)[1]


def test_same_input_gives_the_same_bytes(report, change, tmp_path):
    assert change.to_html(tmp_path / "again.html").read_bytes() == report.read_bytes()


def test_no_dimension_long_labels_and_an_unwritable_path(table, change, tmp_path):
    alone = at.explain(table, "correct / reviewed", by=[], **ASK)
    assert "Rate" in alone.to_html(tmp_path / "alone.html").read_text(encoding="utf-8")
    odd = table.replace({"queue": {"id": "x" * 500, "<30": "قائمة الانتظار"}})
    text = at.explain(odd, "correct / reviewed", by=["queue"], **ASK).to_html(tmp_path / "odd.html")
    assert "<bdi>قائمة الانتظار</bdi>" in text.read_text(encoding="utf-8")
    with pytest.raises(OptionError, match="it is a folder"):
        change.to_html(tmp_path)


def test_many_levels_are_the_largest_and_the_rest(tmp_path):
    labels = [f"level {i}" for i in range(900)]
    rows = [(m, x, 20, 18 - (m == "2026-09" and i % 5 == 0))
            for m in ("2026-08", "2026-09") for i, x in enumerate(labels)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["month", "queue", "reviewed", "correct"])
    page = at.explain(frame, "correct / reviewed", by=["queue"], **ASK).to_html(tmp_path / "a.html")
    assert page.stat().st_size < 1_000_000
    levels = pd.read_html(page, flavor="lxml")[1]
    assert "other (501)" in set(levels.iloc[:, 0])


def test_the_total_of_a_level_is_the_sum_of_what_stands_beside_it(demo, tmp_path):
    table = next(
        t
        for t in pd.read_html(demo.to_html(tmp_path / "a.html"), flavor="lxml")
        if t.columns[0] == "tenure" and "n before" in t
    )
    deck = Presentation(str(demo.to_pptx(tmp_path / "a.pptx")))
    texts = [x.text for slide in deck.slides for x in slide._element.iter("{*}t")]
    shown = table.iloc[:-1].set_index("tenure").astype(str)
    for level, row in shown.iterrows():
        mix, rate, total = (
            float(row[c].replace("−", "-")) for c in ("mix (pp)", "rate (pp)", "total (pp)")
        )
        assert mix + rate == pytest.approx(total, abs=1e-9), level
    largest = demo.breakdown("tenure").by_size().levels[0]
    written = demo.breakdown("tenure").text(largest.parts[-1])
    # A note may stand behind the name of a level.
    (row,) = shown[shown.index.str.split(" (", regex=False).str[0] == largest.label].to_dict(
        "records"
    )
    assert row["total (pp)"] == written
    assert written in texts

"""Scorecards and targets in files, opened again: same rows everywhere, nothing leaks, no NaN."""

from __future__ import annotations

import itertools
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook
from pptx import Presentation

import attribution as at
from attribution.errors import ColumnTypeError, OptionError
from attribution.reports.sections import sections_of, write_excel, write_html, write_pptx

from .conftest import recalculated

ODD = "<b>Odd</b> & =SUM(1)"
ACCURACY = at.Rate("ok", "n", name="Accuracy")
AHT = at.Ratio("seconds", "n", name="AHT", better="lower", unit="s")


def reviews(seed=0):
    """Sites over three months: one is bad, one tiny, one new, one alone in its queue."""
    rng, rows = np.random.default_rng(seed), []
    sites = [f"Site {i}" for i in range(7)]
    for month in ("2026-07", "2026-08", "2026-09"):
        for s, site in enumerate(sites):
            for queue, level in (("ads", 0.95), ("live", 0.88)):
                n = int(rng.integers(300, 900))
                p = level - (0.06 if s == 0 else 0)
                rows.append((month, site, queue, n, rng.binomial(n, p), n * rng.uniform(40, 60)))
        rows.append((month, ODD, "ads", 12, 11, 600.0))
    rows.append(("2026-09", "New", "live", 400, 350, 20_000.0))
    rows.append(("2026-09", "Alone", "own queue", 300, 290, 15_000.0))
    return pd.DataFrame(rows, columns=["month", "site", "queue", "n", "ok", "seconds"])


@pytest.fixture(scope="module")
def results():
    data = reviews()
    asked = {"adjust_for": "queue", "period": "month"}
    goals = {"Site 0": 0.9, "Site 1": 0.9, "Gone": 0.9}
    card = at.scorecard(data, ACCURACY, "site", target=goals, **asked)
    both = at.composite_scorecard(
        data, [ACCURACY, AHT], "site", targets={"Accuracy": 0.9, "AHT": 55},
        gates={"Accuracy": 0.87}, **asked,
    )  # fmt: skip
    months = data[data["queue"] != "own queue"]
    plan = at.targets.plan(months, ACCURACY, "queue", overall=0.925, period="month")
    done = at.targets.completion(data, plan, period="month")
    supposed = at.targets.whatif(data, ACCURACY, "queue", scale={"live": 2}, period="month")
    return {"card": card, "composite": both, "plan": plan, "done": done, "supposed": supposed}


@pytest.fixture(scope="module")
def sections(results):
    return sections_of(list(results.values()))


@pytest.fixture(scope="module")
def files(sections, tmp_path_factory):
    folder, every = tmp_path_factory.mktemp("sections"), sections
    return (
        write_html(every, folder / "all.html", title="September"),
        write_pptx(every, folder / "all.pptx"),
        write_excel(every, folder / "all.xlsx"),
    )


def texts_of(folder, *results, privacy=None):
    """Everything that can be read in a page, a deck and a workbook."""
    results = sections_of(results, privacy)
    found = [write_html(results, folder / "a.html").read_text(encoding="utf-8")]
    deck = Presentation(str(write_pptx(results, folder / "a.pptx")))
    for slide in deck.slides:
        found += [x.text for x in slide._element.iter("{*}t") if x.text]
        found.append(slide.notes_slide.notes_text_frame.text)
    with zipfile.ZipFile(folder / "a.pptx") as parts:
        found += [parts.read(x).decode(errors="replace") for x in parts.namelist() if "chart" in x]
    book = load_workbook(write_excel(results, folder / "a.xlsx"))
    for sheet in book:
        found += [str(c.value) for row in sheet.iter_rows() for c in row if c.value is not None]
    return "\n".join(found)


def test_the_page_says_what_the_frame_says(files, results):
    page = files[0]
    tables = pd.read_html(page, flavor="lxml")
    frame = results["card"].frame.set_index("entity")
    shown = tables[0].set_index("site")
    assert set(shown.index) == set(frame.index)
    assert len(frame) == 11
    assert float(shown.loc["Site 0", "adjusted (%)"]) == round(
        100 * frame.loc["Site 0", "adjusted"], 2
    )
    assert shown.loc["Site 0", "status"] == frame.loc["Site 0", "status"] == "missed"
    assert shown.loc["Gone", "status"] == "no data"
    assert shown.loc["Alone", "status"] == "no reference"
    changes = next(t for t in tables if "performance (pp)" in t)
    parts = changes[["mix (pp)", "performance (pp)", "turnover (pp)", "change (pp)"]]
    parts = parts.apply(
        lambda c: [float(str(x).replace("−", "-").replace("n/a", "nan")) for x in c]
    )
    assert len(parts) >= 7
    left = parts.iloc[:, :3].sum(axis=1) - parts["change (pp)"]
    assert np.abs(left[parts["change (pp)"].notna()]).max() < 1e-9


def test_no_file_holds_a_number_that_is_none(files):
    page, deck, book = files
    markup = re.sub(r"<(style|script)>.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S)
    text = "\n".join(re.findall(r">([^<]+)<", markup))
    words = "\n".join(
        x.text or "" for s in Presentation(str(deck)).slides for x in s._element.iter("{*}t")
    )
    for found in (text, words):
        assert not re.findall(r"(?:\b(?:nan|NaN|inf|None|NaT)\b|<NA>)", found)
    for sheet in load_workbook(book, data_only=True):
        for row in sheet.iter_rows():
            values = [str(c.value).lower() for c in row if c.value is not None]
            assert not {"nan", "inf", "none", "#num!", "#div/0!"} & set(values)


def test_labels_stay_text_everywhere(files):
    page, _, book = files
    text = page.read_text(encoding="utf-8")
    assert "<b>Odd</b>" not in text
    assert "&lt;b&gt;Odd&lt;/b&gt; &amp; =SUM(1)" in text
    sheets = load_workbook(book)
    cells = [c for s in sheets for row in s.iter_rows() for c in row if c.value == ODD]
    assert cells
    assert {c.data_type for c in cells} == {"s"}


def test_one_page_without_network_that_can_be_used(files, browser):
    from selenium.webdriver.common.by import By

    page = files[0]
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"(?:src|href|srcset)\s*=\s*[\"']?(?:https?:)?//", text)
    assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", text))
    browser.get(page.as_uri())
    shown = [s for s in browser.find_elements(By.TAG_NAME, "section") if s.is_displayed()]
    assert len(shown) == 1
    drawn = shown[0].find_elements(By.TAG_NAME, "img")
    assert len(drawn) == 2
    assert all(int(x.get_property("naturalWidth")) > 100 for x in drawn)
    heads = shown[0].find_elements(By.CSS_SELECTOR, "#table-0-0 thead th")
    names = [h.text for h in heads]
    heads[names.index("status")].find_element(By.TAG_NAME, "button").click()
    rows = shown[0].find_elements(By.CSS_SELECTOR, "#table-0-0 tbody tr")
    found = [r.find_elements(By.XPATH, "./*")[names.index("status")].text for r in rows]
    assert found == sorted(found, reverse=True)
    assert [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []


def test_the_deck_has_native_charts_with_words(files, results):
    deck = Presentation(str(files[1]))
    charts = [(s, x) for s in deck.slides for x in s.shapes if x.has_chart]
    assert [x.name for _, x in charts] == ["Funnel plot", "Waterfall", "Waterfall"]
    slide, funnel = charts[0]
    assert slide.shapes.title.text_frame.text == results["card"].message
    assert "Site 0: worse" in funnel._element._nvXxPr.cNvPr.get("descr")
    series = {s.name: list(s.values) for s in funnel.chart.plots[0].series}
    frame = results["card"].frame
    worse = frame[frame["signal"].str.startswith("worse")]["adjusted"]
    assert series["worse"] == pytest.approx([100 * x for x in worse])
    assert {"95 % limits", "99.8 % limits", "all"} <= set(series)
    tables = [x for s in deck.slides for x in s.shapes if x.has_table]
    assert len(tables) >= 6


def test_the_workbook_has_a_native_chart_of_every_result(files):
    with zipfile.ZipFile(files[2]) as parts:
        drawn = [parts.read(x).decode() for x in parts.namelist() if "/charts/chart" in x]
        said = "".join(parts.read(x).decode() for x in parts.namelist() if "/drawings/drawing" in x)
    kinds = [re.findall(r"<c:(scatter|bar)Chart>", x)[0] for x in drawn]
    # The funnel of the card; score, targets, completion and supposition.
    assert sorted(kinds) == ["bar", "bar", "bar", "bar", "scatter"]
    assert sum('<c:grouping val="stacked"/>' in x for x in drawn) == 2
    assert len(re.findall('descr="(?:Funnel plot|Waterfall|Bars)', said)) == 5


@pytest.mark.slow
def test_formulas_of_the_workbook_come_to_what_is_written(files, office, tmp_path):
    book = files[2]
    cached, formulas = load_workbook(book, data_only=True), load_workbook(book)
    anew = load_workbook(recalculated(office, [book], tmp_path)[0], data_only=True)
    count = 0
    for sheet in formulas:
        for cell in (c for row in sheet.iter_rows() for c in row if c.data_type == "f"):
            was, now = (b[sheet.title][cell.coordinate].value for b in (cached, anew))
            assert now == (was if isinstance(was, str) else pytest.approx(was, abs=1e-9))
            count += 1
    assert count > 40


def test_same_results_give_the_same_bytes(sections, files, tmp_path):
    again = (
        write_html(sections, tmp_path / "b.html", title="September"),
        write_pptx(sections, tmp_path / "b.pptx"),
        write_excel(sections, tmp_path / "b.xlsx"),
    )
    assert [x.read_bytes() for x in again] == [x.read_bytes() for x in files]


def test_methods_of_the_results_write_them(results, tmp_path):
    card = results["composite"]
    assert card.to_html(tmp_path / "c.html").exists()
    assert results["plan"].to_excel(tmp_path / "p.xlsx").exists()
    assert results["done"].to_pptx(tmp_path / "d.pptx", append_to=None).exists()
    with pytest.raises(OptionError, match="no layout 'Titel'"):
        card.to_pptx(tmp_path / "c.pptx", layout="Titel")
    with pytest.raises(OptionError, match="it is a folder"):
        card.to_html(tmp_path)
    with pytest.raises(OptionError, match="is not an at.Privacy"):
        card.to_html(tmp_path / "c.html", privacy="names")
    with pytest.raises(ColumnTypeError, match="a DataFrame is none of Scorecard"):
        write_html([card.frame], tmp_path / "c.html")
    with pytest.raises(OptionError, match="there is none"):
        write_html([], tmp_path / "c.html")


# -- privacy --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people():
    rng, rows = np.random.default_rng(1), []
    for month in ("2026-08", "2026-09"):
        for m in range(9):
            n = 12 if m == 4 else int(rng.integers(60, 300))
            p = 0.70 if m == 2 else 0.93
            rows.append((month, f"mod-{m}", "ads", n, rng.binomial(n, p), n * 50.0))
    data = pd.DataFrame(rows, columns=["month", "moderator_id", "queue", "n", "ok", "seconds"])
    goals = {f"mod-{m}": 0.9 for m in range(10)}
    card = at.scorecard(data, ACCURACY, "moderator_id", period="month", target=goals)
    both = at.composite_scorecard(
        data, [ACCURACY, AHT], "moderator_id", period="month",
        targets={"Accuracy": 0.9, "AHT": 55}, gates={"Accuracy": 0.85},
    )  # fmt: skip
    done = at.targets.completion(data, goals, ACCURACY, "moderator_id", period="month")
    return card, both, done


def test_people_are_counted_not_shown_unless_asked_for(people, tmp_path):
    text = texts_of(tmp_path, *people)
    assert "mod-" not in text
    assert "moderator_id: people, who are not shown." in text
    assert "1 of 8 moderators worse than their work explains" in text
    named = texts_of(tmp_path, *people, privacy=at.Privacy(people="names"))
    assert all(f"mod-{m}" in named for m in range(9))
    key = at.Privacy(people="pseudonyms", key="correct horse")
    renamed = texts_of(tmp_path, *people, privacy=key)
    assert "mod-" not in renamed
    assert len(set(re.findall(r"p-[0-9a-f]{10}", renamed))) == 10
    (again,) = sections_of([people[2]], key)
    segments = next(t for t in again.tables if t.name == "Segments")
    assert {str(r["segment"]) for r in segments.rows} <= set(re.findall(r"p-\w{10}", renamed))


def test_a_suppressed_entity_cannot_be_worked_out(tmp_path):
    """The small site goes, and the next smallest with it, so that the total does not tell."""
    data = reviews()
    card = at.scorecard(data, ACCURACY, "site", adjust_for="queue", period="month", target=0.9)
    privacy = at.Privacy(min_n=50)
    text = texts_of(tmp_path, card, privacy=privacy)
    assert "Odd" not in text
    # Guesses at what is hidden could be checked against it.
    assert card.provenance["sha256"] not in text
    book = load_workbook(tmp_path / "a.xlsx", data_only=True)
    sheet = book["Scorecard"]
    head = {c.value: c.column for c in sheet[6]}
    shown = {
        sheet.cell(r, 1).value: sheet.cell(r, head["n"]).value
        for r in range(7, sheet.max_row + 1)
        if sheet.cell(r, 1).value
    }
    true = card.frame.set_index("entity")["n"]
    hidden = [x for x in true.index if x not in shown]
    assert ODD in hidden
    assert len(hidden) >= 2
    # What is shown: rows of the others, of statuses, of all. What is asked: any hidden one.
    names = list(true.index)
    known = [[float(name == x) for name in names] for x in shown] + [[1.0] * len(names)]
    counts = book["Counts"]
    words = {counts.cell(r, 1).value: counts.cell(r, 4).value for r in range(7, counts.max_row + 1)}
    assert words["suppressed"] == true[hidden].sum()
    known.append([float(name in hidden) for name in names])
    rank = np.linalg.matrix_rank(known)
    for name in hidden:
        with_it = [*known, [float(name == x) for x in names]]
        assert np.linalg.matrix_rank(with_it) == rank + 1
    assert true[hidden].sum() >= 50
    for name, status in itertools.product(hidden, ("met", "missed", "not distinguishable")):
        assert f"{name}: {status}" not in text


def test_every_period_of_the_grid_is_protected_by_itself():
    data = reviews()
    few = data[(data["site"] != "Site 1") | (data["month"] != "2026-07")]
    small = pd.DataFrame([("2026-07", "Site 1", "ads", 9, 9, 400.0)], columns=data.columns)
    card = at.scorecard(
        pd.concat([few, small]), ACCURACY, "site", adjust_for="queue", period="month", target=0.9
    )
    (section,) = sections_of([card], at.Privacy(min_n=50))
    table = next(t for t in section.tables if t.name == "Over time")
    row = next(r for r in table.rows if r["entity"] == "Site 1")
    assert row["p0"].text == "×"
    assert row["p2"].text != "×"
    crossed = sum(r["p0"].text == "×" for r in table.rows if "p0" in r)
    assert crossed >= 1
    assert ODD not in {r["entity"] for r in table.rows}


def test_a_small_segment_does_not_show_in_what_targets_missed(tmp_path):
    data = reviews()
    goals = {"Site 0": 0.9, "Site 1": 0.9, "Site 2": 0.9, "Site 3": 0.9}
    done = at.targets.completion(data, goals, ACCURACY, "site", period="month")
    (section,) = sections_of([done], at.Privacy(min_n=50))
    why = next(t for t in section.tables if t.name == "Why")
    assert [r["effect"] for r in why.rows] == ["performance", "mix, no target and no data"]
    total = sum(r["estimate"] for r in why.rows)
    assert total == pytest.approx(done.total.actual - done.total.planned)
    assert ODD not in texts_of(tmp_path, done, privacy=at.Privacy(min_n=50))
    how_many = next(t for t in section.tables if t.name == "How many")
    assert "volume" not in {c.key for c in how_many.columns}


@pytest.mark.slow
def test_many_entities_are_the_furthest_and_the_rest_is_in_the_workbook(tmp_path):
    rng = np.random.default_rng(2)
    n = rng.integers(30, 400, 800)
    data = pd.DataFrame({"team": [f"t{i}" for i in range(800)], "n": n, "ok": rng.binomial(n, 0.9)})
    card = at.scorecard(data, ACCURACY, "team")
    page = card.to_html(tmp_path / "a.html")
    assert page.stat().st_size < 1_000_000
    assert len(pd.read_html(page, flavor="lxml")[0]) == 400
    assert "400 more are in the workbook" in page.read_text(encoding="utf-8")
    assert load_workbook(card.to_excel(tmp_path / "a.xlsx"))["Scorecard"].max_row > 800

"""Ten thousand levels of one dimension: the largest and the rest, in files of a size to be mailed."""

from __future__ import annotations

import re
import time
from contextlib import closing

import pandas as pd
import pytest
from openpyxl import load_workbook
from pptx import Presentation

import attribution as at

from .conftest import ASK

COUNT = 10_000


@pytest.fixture(scope="module")
def many() -> at.Attribution:
    rows = [
        (month, f"site {i}", queue, 20, 18 - (month == "2026-09") * (i % 5 == 0))
        for month in ("2026-08", "2026-09")
        for i in range(COUNT)
        for queue in "AB"
    ]
    frame = pd.DataFrame(rows, columns=["month", "site", "queue", "reviewed", "correct"])
    return at.explain(frame, "correct / reviewed", by=["queue", "site"], **ASK)


@pytest.mark.slow
def test_page_deck_and_workbook_of_ten_thousand_levels(many, tmp_path):
    start = time.process_time()
    page = many.to_html(tmp_path / "a.html")
    deck = many.to_pptx(tmp_path / "a.pptx")
    book = many.to_excel(tmp_path / "a.xlsx")
    # Measured 9 s; what grows with the square of the levels takes minutes.
    assert time.process_time() - start < 60
    assert page.stat().st_size < 1_000_000
    levels = next(t for t in pd.read_html(page, flavor="lxml") if t.columns[0] == "site")
    names = levels["site"].astype(str)
    (other,) = [x for x in names if x.startswith("other")]
    left_out = int(re.sub(r"\D", "", other))
    assert left_out + names.str.startswith("site").sum() == COUNT
    counted = levels.loc[names != "Sum", "n before"].astype(str).str.replace(",", "").astype(float)
    assert counted.sum() == 2 * 20 * COUNT
    assert all(slide.shapes.title.text for slide in Presentation(str(deck)).slides)
    assert deck.stat().st_size < 1_000_000
    # Read only keeps the file open until it is closed, unlike the whole workbook.
    with closing(load_workbook(book, read_only=True, data_only=True)) as opened:
        rows = opened["Levels site"].iter_rows(values_only=True)
        assert sum(str(row[1]).startswith("site ") for row in rows) == COUNT


@pytest.mark.slow
def test_suppression_of_ten_thousand_levels(many, tmp_path):
    start = time.process_time()
    page = many.to_html(tmp_path / "a.html", privacy=at.Privacy(min_n=50))
    assert time.process_time() - start < 60
    text = page.read_text(encoding="utf-8")
    assert "10,000 levels are suppressed" in text

"""Factors, driver trees, trends and standardized groups go into the files that all results have."""

from __future__ import annotations

import json
import math

import lxml.html
import openpyxl
import pandas as pd
import pytest
from pptx import Presentation

import attribution as at
from attribution.errors import OptionError

SITES = pd.DataFrame(
    {
        "site": ["Austin"] * 2 + ["Dublin"] * 2 + ["Manila"] * 2,
        "queue": ["easy", "hard"] * 3,
        "reviewed": [800, 200, 500, 500, 200, 800],
        "correct": [760, 160, 480, 410, 190, 648],
    }
)
MONTHS = pd.DataFrame(
    [
        {
            "month": f"2026-{m:02d}",
            "queue": q,
            "correct": 80 + 3 * m % 7 + 5 * i,
            "reviewed": 100 + m,
        }
        for m in range(1, 9)
        for i, q in enumerate(["easy", "hard"])
    ]
)
PLAN = {"volume": 90_000, "aht": 0.05, "utilization": 0.8}


def results() -> dict[str, object]:
    tree = at.Tree({"hours": "volume * aht / utilization"})
    return {
        "Factors": at.factors("a * b", {"a": 0.001, "b": 5}, {"a": 0.003, "b": 4}, name="Cost"),
        "TreeChange": tree.explain(PLAN, PLAN | {"volume": 99_000, "utilization": 0.72}),
        "Trend": at.trend(MONTHS, "correct / reviewed", "queue", period="month"),
        "Standardized": at.standardize(SITES, "correct / reviewed", "queue", group="site"),
    }


@pytest.mark.parametrize("kind", ["Factors", "TreeChange", "Trend", "Standardized"])
def test_every_comparison_has_every_file(kind, tmp_path):
    result = results()[kind]
    page = result.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "https://" not in page.split("</title>")[1].replace("http://www.w3.org", "")
    message = result.headline() if hasattr(result, "headline") else result.bridge().message
    assert message.split(",")[0] in page
    result.to_pptx(tmp_path / "deck.pptx")
    assert len(Presentation(str(tmp_path / "deck.pptx")).slides) >= 1
    result.to_excel(tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(tmp_path / "book.xlsx")
    names = set(book.sheetnames)
    book.close()
    values = json.loads(result.to_json(tmp_path / "values.json"))
    assert json.loads((tmp_path / "values.json").read_text(encoding="utf-8")) == values
    if kind != "Trend":  # whose plain values are of its own
        assert values["kind"] == kind
        assert set(values["tables"]) <= names
    assert "<pre>" in result._repr_html_()


def test_plain_values_hold_the_numbers_of_the_frames():
    found = results()
    change = found["Factors"]
    rows = change.to_dict()["tables"]["Factors"]
    assert [row["estimate"] for row in rows] == pytest.approx(list(change.effects["estimate"]))
    assert math.fsum(row["estimate"] for row in rows) == pytest.approx(change.total.change)
    groups = found["Standardized"]
    rows = {row["group"]: row for row in groups.to_dict()["tables"]["Groups"]}
    for row in groups.frame.to_dict(orient="records"):
        assert rows[row["group"]]["standardized"] == pytest.approx(row["standardized"], rel=1e-11)
    tree = found["TreeChange"]
    rows = tree.to_dict()["tables"]["Tree"]
    assert [row["path"] for row in rows] == list(tree.effects["path"])


def test_cards_and_targets_have_plain_values_too(tmp_path):
    card = at.scorecard(SITES, "correct / reviewed", "site", adjust_for=["queue"])
    values = card.to_dict()
    assert values["kind"] == "Scorecard"
    (rows,) = [table for name, table in values["tables"].items() if len(table) == 3][:1]
    assert {"Austin", "Dublin", "Manila"} <= {str(x) for row in rows for x in row.values()}
    supposed = at.targets.whatif(SITES, "correct / reviewed", "site", rates={"Manila": 0.9})
    assert json.loads(supposed.to_json())["kind"] == "WhatIf"
    assert "<pre>" in supposed._repr_html_()


def test_people_are_in_no_file_of_standardized_groups_unless_asked_for(tmp_path):
    people = SITES.rename(columns={"site": "moderator_id"})
    groups = at.standardize(people, "correct / reviewed", "queue", group="moderator_id")
    page = groups.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    for text in (page, groups.to_json(), groups.summary(), groups._repr_html_()):
        assert not any(name in text for name in ("Austin", "Dublin", "Manila"))
    shown = groups.to_json(privacy=at.Privacy(people="names"))
    assert "Austin" in shown
    assert "Austin" in groups.summary(privacy=at.Privacy(people="names"))


def test_an_individuals_chart_of_a_trend_is_that_of_its_last_change():
    trend = at.trend(MONTHS, "correct / reviewed", "queue", period="month")
    drawn = trend.plot.individuals()
    same = list(trend.steps.values())[-1].plot.individuals(trend.cube)
    texts = [[t.get_text() for t in ax.texts] for ax in (drawn, same)]
    assert texts[0] == texts[1]
    assert any("2026-08" in text for text in texts[0])
    direct = at.trend(MONTHS, "correct / reviewed", "queue", period="month", path="end-to-end")
    with pytest.raises(OptionError, match="not of 'end-to-end'"):
        direct.plot.individuals()


def test_a_tree_is_written_alike_in_words_and_tables(tmp_path):
    plan = {"volume": 90_000, "aht": 0.05, "productive_hours": 125, "utilization": 0.80}
    # Two leaves of 4.75 and 5.25: a tie that every surface has to round the same way.
    change = at.capacity_tree().explain(plan, plan | {"volume": 99_000, "utilization": 0.72})
    change.to_html(tmp_path / "tree.html")
    page = lxml.html.fromstring((tmp_path / "tree.html").read_bytes())
    rows = [[c.text_content() for c in row.iter("td", "th")] for row in page.iter("tr")]
    rows = [row for row in rows if row[0].startswith("headcount")]
    assert [row[-1] for row in rows] == ["+10.0", "+4.7", "0.0", "0.0", "+5.3"]
    assert rows[-1][1:4] == ["80.00", "72.00", "\N{MINUS SIGN}8.00"]
    for text in ("+4.7", "+5.3", "125", "80.00"):
        assert text in change.summary()

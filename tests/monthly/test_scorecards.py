"""Scorecards of a review: the card of `at.scorecard`, in every file, with nobody named."""

import json
import zipfile

import numpy as np
import openpyxl
import pptx
import pytest

import attribution as at
from attribution.config import ConfigError, load_config
from attribution.monthly.job import planned


@pytest.fixture
def scored(config, table, tmp_path):
    """The review of the small operation with sites, one of which is bad, and moderators."""
    site = np.where(table["moderator_id"].astype(int) % 4 == 0, "Austin", "Manila")
    site = np.where(table["moderator_id"].astype(int) % 4 == 1, "Dublin", site)
    rng = np.random.default_rng(1)
    spoilt = (site == "Austin") & (rng.random(len(table)) < 0.25)
    named = "agent-" + table["moderator_id"].str.zfill(3)
    sites = table.assign(site=site, moderator_id=named, correct=table["correct"].where(~spoilt, 0))
    sites.to_parquet(tmp_path / "reviews.parquet")
    config["kpis"] = [config["kpis"][0] | {"by": ["queue", "market"]}]
    config["scorecards"] = {
        "Sites": {
            "kpi": "Accuracy",
            "entity": "site",
            "adjust_for": ["queue"],
            "target": {"Austin": 0.9, "Manila": 0.8},
        },
        "Moderators": {"kpi": "Accuracy", "entity": "moderator_id"},
    }
    return config, sites


def test_a_scorecard_is_that_of_the_function_and_stands_in_every_file(scored, tmp_path):
    config, sites = scored
    config["output"] = {"charts": False, "tidy": False}
    done = at.review(config, period="2026-06")
    card = at.scorecard(
        sites[sites["month"] <= "2026-06"],
        "correct / reviewed",
        "site",
        adjust_for="queue",
        cluster="moderator_id",
        target={"Austin": 0.9, "Manila": 0.8},
        period="month",
    )
    said = json.loads((done.folder / "review.json").read_text())["scorecards"][0]
    rows = {row["entity"]: row for row in said["rows"]}
    for row in card.frame.to_dict(orient="records"):
        assert rows[row["entity"]]["adjusted"] == pytest.approx(row["adjusted"], rel=1e-11)
        assert rows[row["entity"]]["status"] == row["status"]
    assert rows["Austin"]["status"] == "missed"
    assert said["message"] in str(done)
    assert said["message"] in (done.folder / "index.html").read_text()
    assert "Austin" in (done.folder / "scorecards" / "sites.html").read_text()
    slides = [s.shapes.title.text for s in pptx.Presentation(done.folder / "deck.pptx").slides]
    assert any("sites" in title for title in slides)
    book = openpyxl.load_workbook(done.folder / "workbook.xlsx")
    assert any(name.startswith("Sites") for name in book.sheetnames)
    assert set(planned(config, period="2026-06")["files"]) >= {
        "scorecards/moderators.html",
        "scorecards/sites.html",
    }
    # Moderators are counted, and named nowhere.
    assert "40 moderators" in done.cards[1].message
    for path in done.folder.rglob("*.*"):
        held = [path.read_bytes()]
        if path.suffix in (".xlsx", ".pptx"):
            with zipfile.ZipFile(path) as archive:
                held = [archive.read(name) for name in archive.namelist()]
        assert not any(b"agent-0" in part for part in held), path


def test_a_scorecard_that_fails_stops_nothing_else(scored):
    config, _ = scored
    config["scorecards"]["Sites"]["entity"] = "sit"
    done = at.review(config, period="2026-06")
    assert done.kpis[0].status == "breach"
    assert "Did you mean 'site'" in done.cards[0].message
    assert done.cards[1].failure is None
    assert done.exit_code() == 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kpi": "Acuracy"}, r"scorecards\.Sites\.kpi: no KPI 'Acuracy'.* 'Accuracy'\?"),
        ({"adjust_for": ["site"]}, r"scorecards\.Sites\.adjust_for: 'site' tells the entities"),
        ({"entity": []}, r"scorecards\.Sites\.entity: an empty list"),
        ({"targt": 1}, r"scorecards\.Sites\.targt: unknown key\. Did you mean 'target'\?"),
        ({"min_n": 0}, r"scorecards\.Sites\.min_n: 0 is not allowed"),
    ],
)
def test_findings_name_the_key(scored, changed, words):
    config, _ = scored
    config["scorecards"]["Sites"] |= changed
    with pytest.raises(ConfigError, match=words):
        load_config(config)

"""Scorecards of a review: the card of `at.scorecard`, in every file, with nobody named."""

import json
import zipfile

import duckdb
import numpy as np
import openpyxl
import pandas as pd
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
    assert "1 scorecard without an answer" in str(done).splitlines()[0]


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


def feed_of(done):
    """The tables of scorecards, from the history, the feed and the period's folder."""
    root = done.folder.parent
    names = ("scorecards", "scorecard_signals")
    with duckdb.connect(str(root / "history.duckdb"), read_only=True) as history:
        kept = {name: history.sql(f"FROM {name} ORDER BY ALL").df() for name in names}
    for name in names:
        for kind in ("parquet", "csv"):
            path = f"{root}/feed/{name}.{kind}"
            assert len(duckdb.sql(f"FROM '{path}'").df()) == len(kept[name])
    return kept


def test_scorecards_are_in_the_feed_of_dashboards(scored):
    config, sites = scored
    config["output"] = {"charts": False, "html": False, "pptx": False, "xlsx": False}
    for period in ("2026-05", "2026-06", "2026-06"):  # run again, a period replaces its rows
        done = at.review(config, period=period)
    kept = feed_of(done)
    rows = kept["scorecards"]
    assert rows.groupby("period").size().to_dict() == {"2026-05": 3, "2026-06": 3}
    assert set(rows["scorecard"]) == {"Sites"}
    assert set(rows["entities"]) == {"site"}
    card = at.scorecard(
        sites[sites["month"] <= "2026-06"],
        "correct / reviewed",
        "site",
        adjust_for="queue",
        cluster="moderator_id",
        target={"Austin": 0.9, "Manila": 0.8},
        period="month",
    ).frame
    last = rows[rows["period"] == "2026-06"].reset_index(drop=True)[list(card)]
    pd.testing.assert_frame_equal(last, card, check_dtype=False, rtol=1e-11)
    # Without a target there is none, which is null and no number.
    with duckdb.connect(str(done.folder.parent / "history.duckdb"), read_only=True) as history:
        found = history.sql("SELECT entity FROM scorecards WHERE target IS NULL").fetchall()
    assert {x for (x,) in found} == {"Dublin"}
    signals = kept["scorecard_signals"]
    moderators = signals[signals["scorecard"] == "Moderators"]
    assert moderators.groupby("period")["entities"].sum().to_dict() == dict.fromkeys(
        ("2026-05", "2026-06"), 40
    )
    files = {path.name for path in (done.folder / "tidy").glob("*.*")}
    assert files == {f"{n}.{x}" for n in kept for x in ("csv", "parquet")}
    assert {f"tidy/{name}" for name in files} <= set(planned(config, period="2026-06")["files"])
    tidy = duckdb.sql(f"FROM '{done.folder}/tidy/scorecards.parquet'").df()
    assert list(tidy["entity"]) == ["Austin", "Dublin", "Manila"]


def test_the_feed_leaves_out_small_entities_and_whom_they_need(scored):
    config, sites = scored
    few = (
        sites["site"].eq("Dublin") & sites["month"].eq("2026-06") & (np.arange(len(sites)) % 9 > 0)
    )
    kept = sites[~few]
    kept.to_parquet(config["sources"]["qa"]["data"])
    least = int(kept.query("month == '2026-06' and site == 'Dublin'")["reviewed"].sum()) + 1
    config["output"] = {"charts": False, "html": False, "pptx": False, "xlsx": False}
    config["privacy"] = {"min_n": least}
    del config["scorecards"]["Moderators"]
    found = feed_of(at.review(config, period="2026-06"))
    shown = found["scorecards"]["entity"].tolist()
    assert len(shown) == 1
    assert "Dublin" not in shown
    assert found["scorecard_signals"]["entities"].sum() == 1

"""The monthly review: what it says, what it writes, and that one failure stops nothing else."""

import copy
import hashlib
import json
import os
import re
import zipfile
from pathlib import Path

import duckdb
import lxml.html
import pandas as pd
import pptx
import pytest

import attribution as at
from attribution.errors import MissingFileError, OptionError
from attribution.monthly.job import planned


def run(config, period="2026-06", **options):
    return at.review(config, period=period, **options)


def digests(folder):
    """The content of every file of a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


def changed(config, **of_kpi):
    """The configuration with other values for its first KPI."""
    new = copy.deepcopy(config)
    new["kpis"][0] |= of_kpi
    return new


# -- what it says -----------------------------------------------------------------------------


def test_every_kpi_is_compared_and_adds_up(config):
    done = run(config)
    accuracy, aht = done.kpis
    change = accuracy.compared[0].change
    assert (change.cube.periods[0], change.cube.periods[1]) == ("2026-05", "2026-06")
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-12)
    rolled = aht.compared[1].change
    assert rolled.cube.periods[0] == "2026-03 + 2026-04 + 2026-05"
    assert done.kpi("Accuracy") is accuracy
    with pytest.raises(OptionError, match="Did you mean 'Accuracy'"):
        done.kpi("Acuracy")


def test_a_change_equals_that_of_explain(config, table):
    asked = at.explain(
        table, at.Rate("correct", "reviewed", name="Accuracy"), by=["queue", "market"],
        period="month", baseline="2026-05", current="2026-06", cluster="moderator_id",
    )  # fmt: skip
    assert run(config).kpis[0].main.effects["estimate"].tolist() == pytest.approx(
        asked.effects["estimate"].tolist(), abs=1e-12
    )


@pytest.mark.parametrize(
    "options",
    [
        {"method": "threefold"},
        {"mix": "shapley"},
        {"mix": "ordered", "order": ["market", "queue"]},
        {"rates": "pairs", "pairs": [["queue", "market"]]},
        {"inference": "bootstrap"},
    ],
)
def test_a_kpi_is_divided_and_judged_as_its_keys_say(config, table, options):
    """And so are its drill-downs, whatever its dimensions are called."""
    config["dimensions"] = {"queue": {"label": "Work queue"}}
    asked = changed(config, drill=["queue=Live", "queue=Live by market"], **options)
    del asked["kpis"][1]
    done = run(asked)
    assert [f.message for f in done.kpis[0].failures] == []
    change = at.explain(
        table, "correct / reviewed", ["queue", "market"], cluster="moderator_id", rng=0,
        period="month", baseline="2026-05", current="2026-06", **options,
    )  # fmt: skip
    found = done.kpis[0].main.effects
    for column in ("estimate", "std_error"):
        assert found[column].tolist() == pytest.approx(change.effects[column].tolist(), rel=1e-9)
    plain = changed(config, drill=[])
    del plain["kpis"][1]
    assert not found.equals(run(plain).kpis[0].main.effects)
    whole, over = (d.shown.change for d in done.kpis[0].compared[0].drills)
    for part in (whole, over):
        assert part.cube.dimensions == ("market",)
        assert part.options.method == options.get("method", "midpoint")
        assert part.options.inference == options.get("inference", "analytic")
    assert whole.options.order == (("market",) if "order" in options else None)


def test_a_breach_needs_the_level_or_a_real_change_for_the_worse(config):
    config["kpis"][1]["compare"] = ["previous"]
    quiet, fallen = run(config, "2026-05"), run(config, "2026-06")
    assert quiet.kpis[0].status == "ok"
    below, worse = fallen.kpis[0].breaches
    assert "is below 90.00 %" in below
    assert "is worse by more than 2.00 pp" in worse
    assert (quiet.exit_code("breach"), fallen.exit_code("breach")) == (0, 1)
    assert fallen.exit_code() == 0


def test_lower_is_better_breaches_upwards(config):
    config["kpis"][1]["breach"] = {"above": 1.0}
    assert "is above 1.00 s" in run(config).kpis[1].breaches[0]


@pytest.mark.slow
def test_a_repeated_culprit_is_named_with_its_run(config, make_reviews, tmp_path):
    months = [f"2026-{m:02d}" for m in range(1, 8)]
    falling = make_reviews(months, fallen=months[4:])
    # Live falls month after month, so that it stands out three times.
    for i, month in enumerate(months[4:]):
        wrong = (falling["month"] == month) & (falling["queue"] == "Live")
        falling.loc[wrong & (falling["row"] % 10 < 3 * (i + 1) - 1), "correct"] = 0
    falling.to_parquet(tmp_path / "reviews.parquet")
    for month in months[4:]:
        done = run(config, month)
    repeated = done.kpis[0].repeated
    assert ("cause", "queue = Live", 3, -1) in [
        (r.kind, r.segment, r.periods, r.direction) for r in repeated
    ]
    assert "queue = Live: third period running" in str(done)


def test_drill_downs_are_attributions_of_a_part(config):
    done = run(changed(config, drill=["queue=Live by market", "top 1"]))
    drills = {d.title: d.shown for d in done.kpis[0].compared[0].drills}
    assert list(drills) == ["queue: Live, by market", "queue: Live"]
    part = drills["queue: Live, by market"].change
    assert part.cube.dimensions == ("market",)
    assert part.total.change < -0.1


def test_a_plan_is_a_comparison(config, tmp_path):
    plan = "queue,planned_share,target\nAds,0.3,0.95\nFeed,0.4,0.95\nLive,0.3,0.9\n"
    (tmp_path / "plan.csv").write_text(plan)
    asked = changed(config, compare=["plan"], plan=str(tmp_path / "plan.csv"), by=["queue"])
    asked["kpis"][1] |= {"compare": ["plan"], "target": 230.0}
    table, number = run(asked).kpis
    gap = table.compared[0].change
    assert gap.total.baseline == pytest.approx(0.3 * 0.95 + 0.4 * 0.95 + 0.3 * 0.9)
    assert gap.effects["estimate"].sum() == pytest.approx(gap.total.change, abs=1e-12)
    assert number.compared[0].change.total.baseline == 230.0


def test_a_month_before_the_history_has_no_comparison_and_says_so(config):
    done = run(config, "2026-01")
    assert done.kpis[0].value > 0.9
    assert done.kpis[0].failure is None
    assert [k.status for k in done.kpis] == ["failed", "failed"]
    first = "There are no rows of '2025-12'; the first are of '2026-01'."
    assert f"no answer. {first}" in str(done)
    assert str(done).startswith("Quality, 2026-01. 2 KPIs: 2 with nothing to compare with yet.")
    assert done.exit_code() == 0


def test_a_level_below_its_threshold_is_a_breach_without_a_comparison(config):
    config["kpis"][0]["breach"] = {"below": 0.99}
    done = run(config, "2026-01")
    assert done.kpis[0].status == "breach"
    assert "2 KPIs: 1 breached, 2 with nothing to compare with yet." in str(done)
    assert done.exit_code("breach") == 1


def test_a_month_that_is_missing_between_others_is_no_answer(config, table, tmp_path):
    table[table["month"] != "2026-05"].to_parquet(tmp_path / "reviews.parquet")
    done = run(config, "2026-06")
    assert "no rows of '2026-05'" in done.kpis[0].compared[0].failure.message
    assert "without an answer" in str(done)
    assert done.exit_code() == 3


@pytest.mark.parametrize(
    ("compare", "said", "code"),
    [
        (["previous"], "no threshold breached", 0),
        (["previous", "year"], "no threshold breached", 0),
        (["year"], "1 with nothing to compare with yet", 0),
        (["previous", "plan"], "no threshold breached, 1 comparison without an answer", 3),
        (["plan"], "1 without an answer", 3),
    ],
)
def test_what_was_asked_for_and_has_no_answer_is_counted(config, tmp_path, compare, said, code):
    asked = changed(config, compare=compare, plan=str(tmp_path / "none.csv"), breach={})
    del asked["kpis"][1]
    done = run(asked)
    headline = str(done).splitlines()[0]
    assert headline.endswith(f"{said}.")
    assert said in done.markdown().splitlines()[0]
    assert said in (done.folder / "index.html").read_text()
    assert done.exit_code() == code


def test_an_empty_plan_is_no_answer(config, tmp_path):
    (tmp_path / "plan.csv").write_text("queue,planned_share,target\n")
    asked = changed(config, compare=["plan"], plan=str(tmp_path / "plan.csv"), breach={})
    done = run(asked)
    assert done.kpis[0].status == "failed"
    assert done.exit_code() == 3


def test_later_months_do_not_change_an_earlier_review(config, table, tmp_path):
    first = run(config, "2026-04")
    table[table["month"] <= "2026-04"].to_parquet(tmp_path / "reviews.parquet")
    again = run(config, "2026-04", out=tmp_path / "other")
    left_out = {
        "manifest.json",
        "review.json",
    }  # they hold the digest and rows of all that was read
    before, after = digests(first.folder), digests(again.folder)
    assert {k: v for k, v in before.items() if k not in left_out} == {
        k: v for k, v in after.items() if k not in left_out
    }


# -- what it writes ---------------------------------------------------------------------------


def test_the_folder_holds_what_it_promises(config):
    config["output"] |= {"html": True, "xlsx": True}
    done = run(config)
    names = {p.name for p in done.folder.iterdir()}
    assert {"index.html", "summary.md", "manifest.json", "review.json", "actions.csv"} <= names
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["inputs"][0]["rows"] == 14_000
    assert max(manifest["residuals"].values()) < 1e-12
    index = (done.folder / "index.html").read_text()
    assert "Accuracy" in index
    assert "http" not in index.replace("http://www.w3.org", "")


def test_the_same_inputs_give_the_same_bytes(config, tmp_path):
    first = digests(run(config).folder)
    assert digests(run(config).folder) == first
    assert (tmp_path / "out" / "run.log").read_text().count("2026-06\n") == 2


@pytest.mark.slow
def test_every_file_has_the_same_bytes_for_any_number_of_processes(config):
    config["output"] = {}
    first = digests(run(config).folder)
    assert digests(run(config, jobs=2).folder) == first


def test_labels_cannot_become_markup(config, table, tmp_path):
    marked = table.replace({"queue": {"Live": "<img src=x onerror=alert(1)>"}})
    marked.to_parquet(tmp_path / "reviews.parquet")
    config["kpis"][0]["name"] = "<b>Accuracy</b>"
    done = run(config)
    index = (done.folder / "index.html").read_text()
    assert "<img src=x" not in index
    assert "<b>" not in index
    assert "\\<b\\>" in (done.folder / "summary.md").read_text()


def test_a_rerun_reads_no_rows(config, tmp_path):
    run(config, "2026-05")
    lines = []
    run(config, "2026-06", log=lines.append)
    assert any("(kept)" in line for line in lines)
    os.utime(tmp_path / "reviews.parquet", ns=(1, 1))
    lines.clear()
    run(config, "2026-06", log=lines.append)
    assert not any("(kept)" in line for line in lines)


def test_one_scan_serves_all_kpis_of_a_source(config):
    lines = []
    run(config, log=lines.append)
    assert len([line for line in lines if line.startswith("qa: <Cube")]) == 1


def test_a_restated_month_is_shown_with_what_changed(config, table, tmp_path):
    run(config, "2026-05")
    late = table.copy()
    late.loc[(late["month"] == "2026-05") & (late["queue"] == "Ads"), "correct"] = 1
    late.to_parquet(tmp_path / "reviews.parquet")
    done = run(config, "2026-06")
    (restated,) = done.kpis[0].restated
    assert restated.period == "2026-05"
    assert restated.now > restated.was
    assert "Restated months" in (done.folder / "index.html").read_text()
    assert run(config, "2026-06").kpis[0].restated == (restated,)


def test_the_history_has_a_documented_form(config, tmp_path):
    for month in ("2026-05", "2026-06"):
        run(config, month)
    with duckdb.connect(str(tmp_path / "out" / "history.duckdb"), read_only=True) as connection:
        kpis = connection.sql("SELECT kpi, period FROM kpis ORDER BY ALL").fetchall()
        total = connection.sql(
            "SELECT sum(estimate) FROM effects WHERE kpi = 'Accuracy' AND period = '2026-06'"
        ).fetchall()[0][0]
    assert kpis == [(k, p) for k in ("AHT", "Accuracy") for p in ("2026-05", "2026-06")]
    assert total == pytest.approx(run(config).kpis[0].main.total.change, abs=1e-9)


# -- actions ----------------------------------------------------------------------------------


def test_actions_are_proposed_carried_and_closed(config, tmp_path):
    fallen = run(config)
    assert [(a.kpi, a.cause, a.status) for a in fallen.actions][:1] == [
        ("Accuracy", "queue = Live", "proposed")
    ]
    path = tmp_path / "actions.csv"
    text = (fallen.folder / "actions.csv").read_text().splitlines()
    path.write_text("\n".join([text[0], "Accuracy,queue = Live,team A,P0,2026-08-01,open"]) + "\n")
    config["actions"] = str(path)
    same = run(config).actions[0]
    assert (same.owner, same.status) == ("team A", "open")
    closed = run(config, "2026-07").actions[0]
    assert (closed.owner, closed.status) == ("team A", "closed: no longer stands out")


def test_a_list_of_actions_with_faults_names_them(config, tmp_path):
    path = tmp_path / "actions.csv"
    config["actions"] = str(path)
    with pytest.raises(MissingFileError, match=r"actions: no file"):
        run(config)
    path.write_text("cause,owner,prio,due,status\n")
    with pytest.raises(at.errors.DataContractError, match="lacks the column 'priority'"):
        run(config)
    path.write_text("cause,owner,priority,due,status\nx,y,P9,,open\n")
    with pytest.raises(at.errors.DataContractError, match=r"line 2: priority 'P9'"):
        run(config)


# -- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kpi", "words"),
    [
        ({"metric": "corect / reviewed"}, "no column 'corect'"),
        ({"by": ["queue", "marked"]}, "no column 'marked'"),
        ({"where": "queue == 'None'"}, "leaves no rows"),
        ({"metric": "ratio(correct / (reviewed - 1))"}, "is 0 in"),
    ],
)
def test_a_kpi_that_fails_stops_no_other(config, kpi, words):
    done = run(changed(config, **kpi))
    failed, other = done.kpis
    assert words in " ".join(f.message for f in failed.failures)
    assert other.main is not None
    assert words.split("'")[0] in (done.folder / "index.html").read_text()
    assert failed.status == "failed"
    assert done.exit_code("breach") == 3
    assert "2 KPIs: 1 without an answer" in str(done)


def test_a_source_that_is_gone_is_said_in_each_place(config, tmp_path):
    (tmp_path / "reviews.parquet").unlink()
    done = run(config)
    assert [k.status for k in done.kpis] == ["failed", "failed"]
    assert all("no file matches" in k.failure.message for k in done.kpis)
    assert done.exit_code() == 3


def test_a_missing_period_is_named(config):
    done = run(config, "2026-09")
    assert "no rows of '2026-09'" in done.kpis[0].failure.message
    assert "'2026-07'" in done.kpis[0].failure.message


@pytest.mark.parametrize("strict", [False, True])
def test_a_half_loaded_month_is_a_finding_or_an_error(config, table, tmp_path, strict):
    table[(table["month"] != "2026-06") | (table["row"] % 4 == 0)].to_parquet(
        tmp_path / "reviews.parquet"
    )
    config["quality"] = {"half_loaded": "error" if strict else "finding"}
    config["kpis"][1]["compare"] = ["previous"]
    done = run(config)
    first = done.kpis[0]
    if strict:
        assert "is it complete?" in first.failure.message
        assert done.exit_code() == 3
    else:
        assert "half_loaded" in [f["code"] for f in first.findings]
        assert done.exit_code("quality") == 1


def test_rows_that_come_twice_are_found(config, table, tmp_path):
    pd.concat([table, table.head(3)]).to_parquet(tmp_path / "reviews.parquet")
    config["sources"]["qa"]["key"] = "row"
    config["output"] |= {"pptx": True}
    done = run(config)
    message = "3 rows repeat the row of another row; they count twice."
    for k in done.kpis:
        assert [f["message"] for f in k.findings if f["code"] == "repeated_rows"] == [message]
    # Two KPIs of one source: page and deck say it once, of both.
    page = lxml.html.fromstring((done.folder / "index.html").read_bytes())
    said = [x.text_content() for x in page.iter("li") if message in x.text_content()]
    assert said == [f"Accuracy, AHT (warning): {message}"]
    slides = pptx.Presentation(done.folder / "deck.pptx").slides
    grids = [shape.table for slide in slides for shape in slide.shapes if shape.has_table]
    rows = [[cell.text for cell in row.cells] for grid in grids for row in grid.rows]
    assert [row for row in rows if message in row] == [["Accuracy, AHT", message]]
    config["quality"] = {"duplicates": "error"}
    assert "3 rows repeat" in run(config).kpis[0].failure.message


def test_only_the_named_kpis_run(config):
    assert [k.kpi.name for k in run(config, only=["AHT"]).kpis] == ["AHT"]
    with pytest.raises(OptionError, match="Did you mean 'AHT'"):
        run(config, only=["AHTT"])


@pytest.mark.slow
def test_fifty_kpis_are_one_scan(config):
    first = config["kpis"][0]
    config["kpis"] = [first | {"name": f"Accuracy {i}", "by": ["queue"]} for i in range(50)]
    done = run(config)
    assert len(done.kpis) == 50
    assert len(done.inputs) == 1


def test_one_deck_and_one_workbook_hold_every_kpi(config):
    import openpyxl

    config["output"] |= {"pptx": True, "xlsx": True}
    config["kpis"][0]["compare"] = ["previous", "year", "rolling 2"]
    done = run(config)
    slides = pptx.Presentation(done.folder / "deck.pptx").slides
    titles = [slide.shapes.title.text for slide in slides]
    overview = next(s for s in slides if "2 KPIs" in s.shapes.title.text)
    (grid,) = (shape.table for shape in overview.shapes if shape.has_table)
    # A comparison without an answer leaves the row to the others; the notes say why.
    moved = grid.cell(1, 3).text
    assert re.search(r"no answer against the same period last year; .*against the mean", moved)
    assert "There are no rows of '2025-06'" in overview.notes_slide.notes_text_frame.text
    assert any("Accuracy fell" in title for title in titles)
    assert any("AHT" in title for title in titles)
    book = openpyxl.load_workbook(done.folder / "workbook.xlsx")
    rows = list(book["Effects"].iter_rows(min_row=4, values_only=True))
    total = sum(row[5] for row in rows if row[:2] == ("Accuracy", "previous period"))
    assert total == pytest.approx(done.kpis[0].main.total.change, abs=1e-12)
    scores = {row[0] for row in book["Scorecard"].iter_rows(min_row=4, values_only=True)}
    assert scores == {"Accuracy", "AHT"}


# -- what is shown ----------------------------------------------------------------------------


def test_a_total_is_a_total_and_a_quantile_beside_it_leaves_the_plan_alone(config, tmp_path):
    plan = "queue,planned_volume,target\nAds,600,0.95\nFeed,800,0.95\nLive,600,0.9\n"
    (tmp_path / "plan.csv").write_text(plan)
    asked = changed(config, compare=["plan"], plan=str(tmp_path / "plan.csv"), by=["queue"])
    base = {"by": ["queue", "market"]}
    asked["kpis"] += [
        base | {"name": "Volume", "metric": "total(1)"},
        base | {"name": "Slow", "metric": "quantile(seconds, 0.9)"},
    ]
    accuracy, _, volume, slow = run(asked).kpis
    assert volume.value == 2_000
    assert [v for v, _ in volume.values.values()] == [2_000.0] * 6
    assert volume.compared[0].context.of == 4
    assert accuracy.compared[0].change.total.baseline == pytest.approx(0.935)
    assert slow.value == slow.main.total.current


def test_a_dimension_goes_by_its_label_everywhere(config, tmp_path):
    config["output"] |= {"html": True, "xlsx": True, "tidy": True}
    config["dimensions"] = {"queue": {"label": "Work queue"}}
    asked = changed(config, drill=["queue=Live by market"])
    done = run(asked)
    pages = [p.read_text() for p in done.folder.rglob("*.html")]
    assert len(pages) == 5
    assert any("Mix: Work queue" in page for page in pages)
    assert not any("Mix: queue" in page for page in pages)
    assert "Work queue = Live" in done.markdown()
    assert done.actions[0].cause == "Work queue = Live"
    levels = pd.read_parquet(done.folder / "tidy" / "accuracy" / "dim_level.parquet")
    assert set(levels["dimension"]) == {"Work queue", "market"}
    with duckdb.connect(str(tmp_path / "out" / "history.duckdb"), read_only=True) as history:
        found = history.sql("SELECT DISTINCT dimension FROM levels ORDER BY 1").fetchall()
    assert found == [("Work queue",), ("market",)]


def test_pages_are_linked_and_every_link_leads_somewhere(config):
    config["output"] |= {"html": True}
    asked = changed(config, compare=["previous", "rolling 2"], drill=["queue=Live", "top 1"])
    done = run(asked)
    pages = sorted(done.folder.rglob("*.html"))
    seen = set()
    for page in pages:
        for link in re.findall(r'<a href="([^"#]+)"', page.read_text()):
            target = (page.parent / link).resolve()
            assert target.exists(), (page, link)
            seen.add(target)
    assert {p.resolve() for p in pages} <= seen
    assert (done.folder / "kpis" / "accuracy" / "rolling-2-drill-1.html").exists()


def test_a_drill_down_that_is_not_there_stops_nothing(config):
    done = run(changed(config, drill=["queue=Gone", "queue=Live"]))
    first = done.kpis[0].compared[0]
    assert first.change is not None
    assert [d.title for d in first.drills] == ["queue=Gone", "queue: Live"]
    assert "no level 'Gone'" in first.drills[0].failure.message
    assert "Drill-down queue=Gone: no answer" in str(done)
    assert "1 drill-down without an answer" in str(done).splitlines()[0]


def test_the_past_comes_from_the_history_where_the_source_has_forgotten(config, table, tmp_path):
    for month in ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05"):
        run(config, month)
    table[table["month"] >= "2026-05"].to_parquet(tmp_path / "reviews.parquet")
    config["output"] |= {"html": True, "pptx": True}
    done = run(config)
    past = done.kpis[0].past
    assert list(past.frame["period"]) == [f"2026-{m:02d}" for m in range(1, 7)]
    assert done.kpis[0].compared[0].context.of == 4
    page = (done.folder / "kpis" / "accuracy.html").read_text()
    assert '<section id="trend">' in page
    assert "2026-01" in (done.folder / "index.html").read_text()
    slides = pptx.Presentation(done.folder / "deck.pptx").slides
    titles = [slide.shapes.title.text for slide in slides]
    assert titles[0].startswith("Quality, 2026-06: 2 KPIs: 1 breached")
    assert any(t.startswith("Accuracy went from ") and "in 2026-01 to" in t for t in titles)


@pytest.mark.slow
def test_products_and_error_types_are_kpis(config, table, tmp_path):
    made = table.assign(over=(table["correct"] == 0) & (table["row"] % 2 == 0))
    made = made.assign(
        over=made["over"].astype(int), under=1 - table["correct"] - made["over"].astype(int)
    )
    made.to_parquet(tmp_path / "reviews.parquet")
    base = {"by": ["queue"]}
    config["kpis"] = [
        base
        | {
            "name": "Hours",
            "factors": {"volume": "total(1)", "AHT": "mean(seconds)"},
            "better": "lower",
        },
        base
        | {"name": "By type", "types": {"Over": "over / reviewed", "Under": "under / reviewed"}},
    ]
    config["output"] |= {"html": True, "xlsx": True, "pptx": True, "tidy": True, "charts": True}
    done = run(config)
    hours, types = done.kpis
    assert [f.message for k in done.kpis for f in k.failures] == []
    of_june = table[table["month"] == "2026-06"]
    assert hours.value == pytest.approx(of_june["seconds"].sum())
    assert types.value == pytest.approx(of_june["correct"].mean())
    for k in done.kpis:
        assert k.value == pytest.approx(k.main.total.current)
        assert k.main.effects["estimate"].sum() == pytest.approx(k.main.total.change)
        assert k.compared[0].context is not None
    with duckdb.connect(str(tmp_path / "out" / "history.duckdb"), read_only=True) as history:
        factors = history.sql("SELECT DISTINCT factor FROM effects WHERE kpi = 'Hours' ORDER BY 1")
        assert factors.fetchall() == [("AHT",), ("volume",)]
        ((verdict,),) = history.sql("SELECT verdict FROM changes WHERE kpi = 'By type'").fetchall()
    assert verdict == types.main.verdict


# -- every comparison is the question it stands for -------------------------------------------


def test_each_comparison_equals_the_direct_question(config, make_reviews, tmp_path):
    months = [f"{y}-{m:02d}" for y, last in ((2025, 12), (2026, 6)) for m in range(1, last + 1)]
    table = make_reviews(months)
    table.to_parquet(tmp_path / "reviews.parquet")
    plan = pd.DataFrame(
        {
            "queue": ["Ads", "Feed", "Live"],
            "planned_share": [0.3, 0.4, 0.3],
            "target": [0.95, 0.95, 0.9],
        }
    )
    plan.to_csv(tmp_path / "plan.csv", index=False)
    asked = changed(
        config,
        by=["queue"],
        compare=["previous", "year", "plan", "rolling 3"],
        plan=str(tmp_path / "plan.csv"),
    )
    answers = {c.comparison.kind: c.change for c in run(asked).kpis[0].compared}
    question = {"by": "queue", "period": "month", "cluster": "moderator_id", "rng": 0}
    metric = at.Rate("correct", "reviewed", name="Accuracy")
    direct = {
        "previous": at.explain(table, metric, baseline="2026-05", current="2026-06", **question),
        "year": at.explain(table, metric, baseline="2025-06", current="2026-06", **question),
        "rolling": at.explain(
            table, metric, baseline=["2026-03", "2026-04", "2026-05"], current="2026-06", **question
        ),
        "plan": at.compare_to_plan(table, plan, metric, current="2026-06", **question),
    }
    assert list(answers) == ["previous", "year", "plan", "rolling"]
    for kind, expected in direct.items():
        found = answers[kind]
        assert vars(found.total) == pytest.approx(vars(expected.total), rel=1e-9, abs=1e-12), kind
        pd.testing.assert_frame_equal(found.effects, expected.effects, rtol=1e-9, atol=1e-12)
        pd.testing.assert_frame_equal(
            found.levels("queue"), expected.levels("queue"), rtol=1e-9, atol=1e-12
        )


# -- what happens to sources ------------------------------------------------------------------


def test_a_column_that_is_renamed_between_months_is_named(config, table, tmp_path):
    for month in ("2026-05", "2026-06"):
        of_month = table[table["month"] == month]
        renamed = (
            of_month.rename(columns={"queue": "work_queue"}) if month == "2026-06" else of_month
        )
        renamed.to_parquet(tmp_path / f"qa-{month}.parquet")
    config["sources"]["qa"]["data"] = str(tmp_path / "qa-*.parquet")
    failure = run(config).kpis[0]
    said = " ".join(
        [*(f["message"] for f in failure.findings), *(f.message for f in failure.failures)]
    )
    assert "queue" in said
    assert "2026-06" in said


def test_an_empty_denominator_in_one_month_is_that_kpis_own_failure(config, table, tmp_path):
    empty = table.copy()
    empty.loc[empty["month"] == "2026-06", ["correct", "reviewed"]] = 0
    empty.to_parquet(tmp_path / "reviews.parquet")
    config["kpis"][1]["metric"] = "mean(seconds)"
    done = run(config)
    assert done.kpis[0].main is None
    assert "is 0 in '2026-06'" in " ".join(f.message for f in done.kpis[0].failures)
    assert done.kpis[1].main is not None
    page = (done.folder / "index.html").read_text()
    assert "is 0 in" in page
    assert re.search(r"n/a\s*[%<]", page)[0].endswith("<")  # no unit of what is not known


def test_a_folder_of_months_is_one_source_and_only_new_files_are_new(config, table, tmp_path):
    for month, of_month in table.groupby("month"):
        if month <= "2026-05":
            of_month.to_parquet(tmp_path / f"qa-{month}.parquet")
    config["sources"]["qa"]["data"] = str(tmp_path / "qa-*.parquet")
    lines = []
    assert run(config, "2026-05").kpis[0].n == 2_000
    table[table["month"] == "2026-06"].to_parquet(tmp_path / "qa-2026-06.parquet")
    done = run(config, "2026-06", log=lines.append)
    assert done.kpis[0].n == 2_000
    assert not any("(kept)" in line for line in lines)


def test_a_database_is_read_by_its_query_and_kept_for_the_day_when_told(config, table, tmp_path):
    path = tmp_path / "qa.duckdb"
    with duckdb.connect(str(path)) as database:
        database.register("rows", table)
        database.execute("CREATE TABLE qa AS SELECT * FROM rows")
    source = {"database": str(path), "query": "SELECT * FROM qa", "period": "month", "timeout": 60}
    config["sources"] = {"qa": source | {"cluster": "moderator_id", "key": "row"}}
    lines = []
    expected = run(config, log=lines.append).kpis[0].value
    run(config, log=lines.append)
    assert not any("(kept)" in line for line in lines)
    config["sources"]["qa"]["cache"] = True
    run(config, log=lines.append)
    assert run(config, log=lines.append).kpis[0].value == expected
    assert any("(kept)" in line for line in lines)


def test_a_statement_that_takes_too_long_is_stopped(config):
    slow = "SELECT '2026-06' AS month, i % 7 AS queue, 1 AS correct, 1 AS reviewed FROM range(200000000000) t(i)"
    config["sources"]["qa"] = {"data": slow, "period": "month", "timeout": 0.2}
    config["kpis"] = [{"name": "Accuracy", "metric": "correct / reviewed", "by": ["queue"]}]
    done = run(config)
    assert "took longer than 0.2 s and was stopped" in done.kpis[0].failure.message
    assert done.exit_code() == 3


# -- secrets and people -----------------------------------------------------------------------


def everything(folder):
    """All bytes of all files below a folder, office files and databases unpacked."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".xlsx", ".pptx"):
            with zipfile.ZipFile(path) as package:
                for name in package.namelist():
                    yield f"{path}:{name}", package.read(name)
        elif path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as database:
                for (name,) in database.sql("SELECT table_name FROM duckdb_tables()").fetchall():
                    yield f"{path}:{name}", database.table(name).df().to_csv().encode()
        elif path.suffix == ".parquet":
            yield str(path), pd.read_parquet(path).to_csv().encode()
        elif path.is_file() and path.suffix != ".cube":
            yield str(path), path.read_bytes()


@pytest.mark.slow
def test_what_the_environment_holds_is_shown_nowhere(config, monkeypatch, tmp_path):
    secret = "s3cr3t/hunter2"
    (tmp_path / secret).mkdir(parents=True)
    (tmp_path / "reviews.parquet").rename(tmp_path / secret / "reviews.parquet")
    plan = "queue,planned_share,target\nAds,0.3,0.95\nFeed,0.4,0.95\nLive,0.3,0.9\n"
    (tmp_path / secret / "plan.csv").write_text(plan)
    monkeypatch.setenv("REVIEW_PLACE", secret)
    config["sources"]["qa"]["data"] = str(tmp_path / "${REVIEW_PLACE}" / "reviews.parquet")
    asked = changed(
        config,
        compare=["plan", "previous"],
        plan=str(tmp_path / "${REVIEW_PLACE}" / "plan.csv"),
        by=["queue"],
    )
    asked["kpis"].append(
        asked["kpis"][0]
        | {"name": "Broken", "plan": str(tmp_path / "${REVIEW_PLACE}" / "gone.csv")}
    )
    asked["output"] = {}
    lines = []
    done = run(asked, log=lines.append)
    said = [
        ("log", "\n".join(lines).encode()),
        ("text", str(done).encode()),
        *everything(tmp_path / "out"),
    ]
    shown = [name for name, content in said if b"hunter2" in content]
    assert shown == []
    assert "no file" in done.kpi("Broken").compared[0].failure.message
    assert "${REVIEW_PLACE}" in (done.folder / "manifest.json").read_text()
    plan = planned(asked, period="2026-06")
    assert "hunter2" not in json.dumps(plan)
    (tmp_path / secret / "reviews.parquet").unlink()
    assert "hunter2" not in str(run(asked))


@pytest.mark.slow
@pytest.mark.parametrize(
    "privacy", [{}, {"people": "pseudonyms", "key": "${REVIEW_KEY}"}, {"min_n": 30}]
)
def test_no_file_names_people_unless_it_is_told_to(config, table, monkeypatch, tmp_path, privacy):
    monkeypatch.setenv("REVIEW_KEY", "correct-horse-battery")
    named = table.assign(moderator_id="Ms Nobody " + table["moderator_id"])
    named.to_parquet(tmp_path / "reviews.parquet")
    del config["sources"]["qa"]["cluster"]
    config["kpis"] = [config["kpis"][0] | {"by": ["queue", "moderator_id"], "drill": ["top 2"]}]
    config["output"] = {}
    config["privacy"] = privacy
    done = run(config)
    assert done.kpis[0].main is not None
    assert [name for name, content in everything(tmp_path / "out") if b"Ms Nobody" in content] == []
    if privacy.get("people") == "pseudonyms":
        assert "p-" in (done.folder / "review.json").read_text()
        assert "correct-horse" not in (done.folder / "manifest.json").read_text()


def test_no_file_quotes_a_condition_that_names_people(config, table, tmp_path):
    """Conditions of the source and of a KPI travel with every export, without their names."""
    named = table[table["month"] >= "2026-04"].assign(
        moderator_id="Ms Nobody " + table["moderator_id"]
    )
    named.to_parquet(tmp_path / "reviews.parquet")
    config["sources"]["qa"]["where"] = "moderator_id != 'Ms Nobody 7'"
    first = {"where": "moderator_id not in ('Ms Nobody 8', 'Ms Nobody 9')", "compare": ["previous"]}
    config["kpis"] = [config["kpis"][0] | first]
    goals = {"Ms Nobody 1": 0.9, "Ms Nobody 2": 0.9}
    config["scorecards"] = {
        "Moderators": {"kpi": "Accuracy", "entity": "moderator_id", "target": goals}
    }
    config["output"] = {"charts": False, "pptx": False}
    done = run(config)
    assert done.kpis[0].main is not None
    assert done.cards[0].failure is None
    said = list(everything(done.folder))
    assert [name for name, content in said if b"Ms Nobody" in content] == []
    # The condition itself is there: it is the name alone that is left out.
    assert any("moderator_id != '…'" in c.decode("utf-8", "ignore") for _, c in said)


def test_what_only_the_source_can_tell_is_said_with_file_line_and_key(config, tmp_path):
    path = tmp_path / "review.toml"
    source = config["sources"]["qa"]["data"]
    path.write_text(
        f'[sources.reviews]\ndata = "{source}"\nperiod = "month"\n\n'
        '[[kpis]]\nname = "Right"\nmetric = "correct / reviewed"\nby = ["queue"]\n\n'
        '[[kpis]]\nname = "Metric"\nmetric = "correct + / reviewed"\nby = ["queue"]\n\n'
        '[[kpis]]\nname = "Types"\nby = ["queue"]\ntypes = { wrong = "wrong - / reviewed" }\n\n'
        '[[kpis]]\nname = "By"\nmetric = "correct / reviewed"\nby = [\n  "queue", "marked",\n]\n'
    )
    done = at.review(path, period="2026-06", out=tmp_path / "out")
    said = {k.kpi.name: k.failure and k.failure.message for k in done.kpis}
    assert said["Right"] is None
    assert said["Metric"].startswith("review.toml, line 12: kpis[1].metric: 'correct +' is")
    assert said["Types"].startswith("review.toml, line 18: kpis[2].types: 'wrong -' is")
    assert said["By"].startswith("review.toml, line 23: kpis[3].by: no column 'marked'.")
    assert "review.toml, line 12" in (done.folder / "index.html").read_text()
    (scan,) = planned(path, period="2026-06", out=tmp_path / "out")["scans"]
    assert scan["problem"].startswith("review.toml, line 12: kpis[1].metric: ")
    path.write_text(path.read_text().replace(source, source + ".gone"))
    gone = at.review(path, period="2026-06", out=tmp_path / "out").kpis[0].failure.message
    assert gone.startswith("review.toml, line 2: sources.reviews.data: ")


PLACES = """actions = "{actions}"
[sources.reviews]
data = "{data}"
period = "month"

[[kpis]]
name = "Accuracy"
metric = "correct / reviewed"
by = ["queue"]
compare = ["previous", "plan"]
plan = "{plan}"
drill = ["queue=Gone"]

[privacy]
people = "{people}"
key = "${{REVIEW_KEY_1}}"

[scorecards.Sites]
kpi = "Accuracy"
entity = "market"
adjust_for = ["queue", {adjust}]
target = "{target}"

[scorecards.Others]
kpi = "Accuracy"
entity = ["queue", "{entity}"]
"""


@pytest.fixture
def placed(config, tmp_path, monkeypatch):
    """Review what `PLACES` is with some of it wrong; returns all that is said."""
    monkeypatch.setenv("REVIEW_KEY_1", "correct-horse-battery")
    plan = "queue,planned_share,target\nAds,0.3,0.95\nFeed,0.4,0.95\nLive,0.3,0.9\n"
    (tmp_path / "plan.csv").write_text(plan)
    (tmp_path / "targets.csv").write_text("market,target\nBR,0.9\nID,0.9\n")
    (tmp_path / "actions.csv").write_text("cause,owner,priority,due,status\n")
    right = {
        "data": config["sources"]["qa"]["data"],
        "plan": str(tmp_path / "plan.csv"),
        "target": str(tmp_path / "targets.csv"),
        "actions": str(tmp_path / "actions.csv"),
        "people": "pseudonyms",
        "adjust": "",
        "entity": "market",
    }

    def review(**wrong):
        path = tmp_path / "review.toml"
        path.write_text(PLACES.format_map(right | wrong))
        return at.review(path, period="2026-06", out=tmp_path / "out")

    return review


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "review.toml, line 12: kpis[0].drill: no level 'Gone'"),
        ({"plan": "none.csv"}, "review.toml, line 11: kpis[0].plan: no file matches 'none.csv'"),
        ({"plan": "${NOT_SET_1}"}, "review.toml, line 11: kpis[0].plan: the environment variable"),
        ({"data": "${NOT_SET_1}"}, "review.toml, line 3: sources.reviews.data: the environment"),
        ({"target": "no.csv"}, "review.toml, line 22: scorecards.Sites.target: no file matches"),
        ({"target": "${NOT_SET_1}"}, "review.toml, line 22: scorecards.Sites.target: the env"),
        (
            {"adjust": '"marked"'},
            "review.toml, line 21: scorecards.Sites.adjust_for[1]: no column 'marked'. Did you",
        ),
        (
            {"entity": "marked"},
            "review.toml, line 26: scorecards.Others.entity[1]: no column 'marked'. Did you",
        ),
    ],
)
def test_what_fails_is_said_at_the_line_of_its_own_key(placed, wrong, said):
    done = placed(**wrong)
    assert said in str(done)
    if wrong:
        # A KPI and two scorecards read the source.
        assert str(done).count(said) == (3 if "data" in wrong else 1)
    assert done.exit_code() == 3


@pytest.mark.parametrize(
    ("wrong", "secret", "said"),
    [
        ({}, None, "review.toml, line 16: privacy.key: the environment variable 'REVIEW_KEY_1'"),
        ({}, "short", "review.toml, line 16: privacy.key: pseudonyms need a secret of at least"),
        ({"actions": "gone.csv"}, "correct-horse", "review.toml, line 1: actions: no file"),
    ],
)
def test_what_fails_before_anything_is_read_has_its_line(
    placed, monkeypatch, tmp_path, wrong, secret, said
):
    if secret is None:
        monkeypatch.delenv("REVIEW_KEY_1")
    else:
        monkeypatch.setenv("REVIEW_KEY_1", secret)
    with pytest.raises(at.errors.AttributionError) as raised:
        placed(**wrong)
    assert str(raised.value).startswith(said)
    assert not list(tmp_path.glob("out/2026*"))

"""The command as a user runs it: output, files, exit codes, start-up time."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from pptx import Presentation

import attribution as at
from attribution.cli import main

ASK = ["--metric", "correct / reviewed", "--by", "queue,market", "--period", "month",
       "--baseline", "2026-08", "--current", "2026-09"]  # fmt: skip


@dataclass
class Done:
    """What a run printed and returned."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return Done(ended.value.code or 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def reviews(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    pd.DataFrame(
        {
            "month": ["2026-08"] * 4 + ["2026-09"] * 4,
            "queue": ["Live", "Live", "Video", "Video"] * 2,
            "market": ["ID", "BR"] * 4,
            "reviewed": [500, 300, 400, 800, 700, 500, 300, 500],
            "correct": [430, 260, 380, 770, 590, 420, 290, 480],
        }
    ).to_csv(path, index=False)
    return path


def test_explain_prints_the_summary(reviews):
    done = run("explain", str(reviews), *ASK, "--name", "Accuracy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Accuracy fell from 92.00 % to 89.00 %")
    assert "Mix: queue" in done.stdout
    assert done.stderr == ""


def test_a_hierarchy_and_a_product_are_asked_as_text(reviews):
    table = pd.read_csv(reviews)
    table["region"] = table["market"].map({"ID": "APAC", "BR": "LATAM"})
    table = pd.concat([table, table.assign(market=table["market"] + "2")])
    path = reviews.with_name("regions.csv")
    table.to_csv(path, index=False)
    ask = [*ASK[:3], "market within region", *ASK[4:], "--json"]
    parsed = json.loads(run("explain", str(path), *ask).stdout)
    assert [x["dimension"] for x in parsed["effects"][:2]] == ["region", "market"]
    assert parsed["provenance"]["hierarchy"] == {"market": "region"}
    ask[1] = "product(volume = total(reviewed), ok = correct / reviewed)"
    parsed = json.loads(run("explain", str(path), *ask).stdout)
    assert {x["factor"] for x in parsed["effects"]} == {"volume", "ok"}


def test_json_is_all_there_is_on_stdout_and_equals_python(reviews):
    done = run("explain", str(reviews), *ASK, "--json")
    parsed = json.loads(done.stdout)
    change = at.explain(str(reviews), "correct / reviewed", by=["queue", "market"],
                        period="month", baseline="2026-08", current="2026-09")  # fmt: skip
    assert parsed["effects"] == change.to_dict()["effects"]


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (["--mix", "shapley"], {"mix": "shapley"}),
        (["--mix", "das_gupta"], {"mix": "das_gupta"}),
        (
            ["--mix", "ordered", "--order", "market, queue"],
            {"mix": "ordered", "order": ["market", "queue"]},
        ),
        (
            ["--rates", "pairs", "--pairs", "queue : market"],
            {"rates": "pairs", "pairs": [("queue", "market")]},
        ),
        (["--mapping", "market: BR = ID"], {"mapping": {"market": {"BR": "ID"}}}),
        (["--method", "threefold"], {"method": "threefold"}),
    ],
)
def test_what_the_command_asks_is_what_python_asks(reviews, flags, asked):
    done = run("explain", str(reviews), *ASK, *flags, "--json")
    assert done.returncode == 0, done.stderr
    given = {"by": ["queue", "market"], "period": "month"}
    given |= {"baseline": "2026-08", "current": "2026-09"}
    plain = at.explain(str(reviews), "correct / reviewed", **given)
    change = at.explain(str(reviews), "correct / reviewed", **given, **asked)
    assert json.loads(done.stdout)["effects"] == change.to_dict()["effects"]
    if "rates" not in asked:  # four cells: the one pair is all that there is
        assert change.to_dict()["effects"] != plain.to_dict()["effects"]


def test_levels_are_merged_one_option_each_and_into_one(reviews):
    two = ["--mapping", "market: BR = all", "--mapping", "market: ID = all"]
    done = run("explain", str(reviews), *ASK, *two, "--json")
    assert {x["segment"] for x in json.loads(done.stdout)["levels"]["market"]} == {"all"}
    done = run("explain", str(reviews), *ASK, *two, "--mapping", "market: BR = other")
    assert done.returncode == 2
    assert "mapping: market 'BR' becomes 'all' and 'other'" in done.stderr


def test_the_orientation_is_the_metrics_own(reviews, tmp_path):
    path = tmp_path / "seconds.csv"
    pd.read_csv(reviews).rename(columns={"correct": "handle_seconds"}).to_csv(path, index=False)
    ask = ["explain", str(path), "--metric", "aht", *ASK[2:], "--json"]
    assert json.loads(run(*ask).stdout)["metric"]["better"] == "lower"
    assert json.loads(run(*ask, "--better", "higher").stdout)["metric"]["better"] == "higher"


def test_out_writes_every_file_and_replaces_the_folder_as_a_whole(reviews, tmp_path):
    out = tmp_path / "out" / "august"
    for _ in range(2):
        done = run("explain", str(reviews), *ASK, "--out", str(out))
        assert done.returncode == 0, done.stderr
    names = {p.name for p in out.glob("[!.]*")}
    assert names == {"summary.txt", "effects.csv", "effects.json", "findings.csv", "levels.csv",
                     "waterfall.png", "waterfall.svg", "report.html", "deck.pptx",
                     "workbook.xlsx"}  # fmt: skip
    effects = pd.read_csv(out / "effects.csv")
    assert effects["estimate"].sum() == pytest.approx(-0.03, abs=1e-12)
    assert (out / "waterfall.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "out").iterdir()) == [out]


def test_same_input_gives_the_same_bytes(reviews, tmp_path):
    for name in ("a", "b"):
        run("explain", str(reviews), *ASK, "--out", str(tmp_path / name))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_a_folder_with_other_files_is_not_replaced(reviews, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = run("explain", str(reviews), *ASK, "--out", str(tmp_path))
    assert done.returncode == 2
    assert "did not write" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_check_prints_findings_only(reviews):
    done = run("check", str(reviews), *ASK)
    assert done.returncode == 0
    assert done.stdout.startswith("[ok] residual")
    found = json.loads(run("check", str(reviews), *ASK, "--json").stdout)
    assert {"code", "severity", "message", "facts"} == set(found[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--by", "quue"], "by: no column 'quue'. Did you mean 'queue'"),
        (["--current", "2026-10"], "There: '2026-08', '2026-09'"),
        (["--method", "midpont"], "Did you mean 'midpoint'"),
        (["--metric", "correct"], "is not a ratio"),
        (["--where", "quue == 1"], "Did you mean 'queue'"),
        (["--better", "up"], "better: 'up' is not one of 'higher', 'lower'"),
        (["--mix", "shaply"], "Did you mean 'shapley'"),
        (["--mix", "ordered"], "order: None is not a list of all dimensions"),
        (["--order", "queue,market"], "order: it is used with mix='ordered' only"),
        (["--pairs", "queue"], "pairs: 'queue' is not a pair of dimensions, as in --pairs"),
        (["--pairs", "queue:market"], "pairs: they are used with rates='pairs' only"),
        (["--mapping", "market=BR"], "mapping: 'market=BR' does not merge levels, as in"),
    ],
)
def test_usage_errors_exit_with_2_and_say_what_is_allowed(reviews, change, words):
    flag = change[0]
    asked = list(ASK)
    if flag in asked:
        i = asked.index(flag)
        asked[i : i + 2] = change
    else:
        asked += change
    done = run("explain", str(reviews), *asked)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_a_missing_file_is_a_usage_error(reviews):
    done = run("explain", str(reviews.with_name("review.csv")), *ASK)
    assert done.returncode == 2
    assert "Did you mean 'reviews.csv'" in done.stderr


def test_a_missing_option_exits_with_2(reviews):
    done = run("explain", str(reviews), "--by", "queue")
    assert done.returncode == 2
    assert "--metric" in done.stderr


def test_broken_data_exit_with_3(reviews, tmp_path):
    rows = pd.read_csv(reviews)
    rows.loc[2, "correct"] = 401
    broken = tmp_path / "broken.csv"
    rows.to_csv(broken, index=False)
    done = run("explain", str(broken), *ASK)
    assert done.returncode == 3
    assert "successes above trials (reviewed) in 1 row (2)" in done.stderr
    dropped = run("explain", str(broken), *ASK, "--on-invalid", "drop")
    assert dropped.returncode == 0
    assert "Warning: 1 rows break the data contract" in dropped.stderr


def test_pooled_periods_are_named_by_repeating_the_option(reviews, tmp_path):
    rows = pd.read_csv(reviews)
    three = pd.concat([rows, rows[rows["month"] == "2026-08"].assign(month="2026-07")])
    path = tmp_path / "three.csv"
    three.to_csv(path, index=False)
    done = run("explain", str(path), *ASK, "--baseline", "2026-07", "--json")
    assert json.loads(done.stdout)["baseline"] == "2026-08 + 2026-07"


def test_demo_writes_its_files_and_finds_the_new_hires(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("demo")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "demo"
    effects = pd.read_csv(folder / "effects.csv")
    largest = effects.loc[effects["estimate"].abs().idxmax()]
    assert (largest["effect"], largest["dimension"]) == ("mix", "tenure")
    for name in ("summary.txt", "effects.json", "waterfall.png", "waterfall.svg"):
        assert (folder / name).stat().st_size > 500
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for slide in Presentation(str(folder / "deck.pptx")).slides:
        assert f"- {slide.shapes.title.text}\n" in readme  # it quotes the titles
    again = run("explain", str(folder / "reviews.parquet"), "--metric", "correct / reviewed",
                "--by", "queue,policy,market,tenure", "--period", "month", "--baseline", "2025-03",
                "--current", "2025-04", "--cluster", "moderator_id", "--weight", "weight",
                "--where", "design != 'targeted'", "--json")  # fmt: skip
    written = json.loads((folder / "effects.json").read_text(encoding="utf-8"))
    assert json.loads(again.stdout)["effects"] == written["effects"]


def test_the_installed_command_runs(reviews):
    command = Path(sys.executable).with_name("attribution")
    done = subprocess.run(
        [command, "check", reviews, *ASK], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == run("check", str(reviews), *ASK).stdout


def test_version_and_help():
    assert run("--version").stdout.strip() == at.__version__
    assert "explain" in run("--help").stdout
    assert run().returncode == 2


def test_importing_is_light():
    code = (
        "import sys, attribution; heavy = {'pandas', 'duckdb', 'matplotlib', 'statsmodels', "
        "'scipy', 'narwhals'} & set(sys.modules); assert not heavy, heavy"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 2

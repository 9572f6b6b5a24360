"""`attribution review` as a scheduler runs it: output, exit codes, a dry run that writes nothing."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import pytest

from attribution.cli import main


@pytest.fixture
def command(config, as_toml, tmp_path):
    """Run the command over the configuration; returns (code, stdout, stderr)."""

    def run(*arguments, change=None):
        path = tmp_path / "review.toml"
        text = as_toml(config)
        path.write_text(change(text) if change else text)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(["review", str(path), *arguments])
        return ended.value.code or 0, out.getvalue(), err.getvalue()

    return run


def test_a_review_prints_its_summary_and_says_where_it_is(command, tmp_path):
    code, out, err = command("--period", "2026-06")
    assert code == 0
    assert out.startswith("Quality, 2026-06. 2 KPIs: 1 breached.")
    assert f"Wrote {tmp_path / 'out' / '2026-06'}/" in err
    assert (tmp_path / "out" / "2026-06" / "index.html").exists()


def test_exit_codes_say_what_was_asked_for(command):
    # The rows begin in this year: a comparison with the last is too early, and no fault.
    assert command("--period", "2026-06", "--fail-on", "breach")[0] == 1
    assert command("--period", "2026-05", "--fail-on", "any")[0] == 0
    assert command("--period", "2026-09")[0] == 3
    code, _, err = command("--period", "2026-06", "--fail-on", "breech")
    assert code == 2
    assert "Did you mean 'breach'?" in err


def test_several_periods_are_filled_in_and_come_out_as_json(command):
    months = ("--period", "2026-05", "--period", "2026-06")
    code, out, _ = command(*months, "--json")
    assert code == 0
    assert [one["period"] for one in json.loads(out)] == ["2026-05", "2026-06"]


def test_a_dry_run_reads_and_writes_nothing(command, tmp_path):
    code, out, _ = command("--period", "2026-06", "--dry-run")
    assert code == 0
    assert "GROUP BY" in out
    assert "14,000 rows, n = 2,000 in 2026-06" in out
    assert "index.html" in out
    assert not (tmp_path / "out").exists()
    plan = json.loads(command("--period", "2026-06", "--dry-run", "--json")[1])[0]
    assert plan["files"] == sorted(plan["files"])


def test_a_dry_run_that_finds_a_problem_exits_as_the_review_would(command):
    def change(text):
        return text.replace('by = ["queue", "market"]', 'by = ["queue", "marked"]')

    code, out, _ = command("--period", "2026-06", "--dry-run", change=change)
    assert "no answer: review.toml, line " in out
    assert code == command("--period", "2026-06", change=change)[0] == 3


def test_what_was_planned_is_what_is_written(command, tmp_path):
    plan = json.loads(command("--period", "2026-06", "--dry-run", "--json")[1])[0]
    command("--period", "2026-06")
    folder = tmp_path / "out" / "2026-06"
    written = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    assert sorted(x for x in written if not x.startswith(".")) == plan["files"]


def test_notify_prints_markdown(command):
    out = command("--period", "2026-06", "--notify", "markdown")[1]
    assert out.startswith("**Quality, 2026-06.**")
    assert "- \N{LARGE RED CIRCLE} Accuracy fell" in out


def test_a_wrong_configuration_names_its_line(command):
    code, _, err = command("--period", "2026-06", change=lambda t: t.replace("cluster", "clster"))
    assert code == 2
    assert "Did you mean 'cluster'?" in err
    assert ", line " in err


@pytest.mark.parametrize(
    ("drill", "said"),
    [
        ("region=BR by queue", "no dimension 'region' here. Dimensions: 'queue', 'market'."),
        ("markt=BR", "no dimension 'markt' here. Did you mean 'market'?"),
        ("queue=Live by quue", "no dimension 'quue' here. Dimensions: 'market'."),
        ("queue=Live by markt", "no dimension 'markt' here. Did you mean 'market'?"),
        ("queue=Live by queue", "no dimension 'queue' here. Dimensions: 'market'."),
    ],
)
def test_a_drill_down_into_what_is_no_dimension_names_its_line(command, tmp_path, drill, said):
    def change(text):
        name = 'name = "Accuracy"\n'
        return text.replace(name, f'{name}drill = ["top 1",\n  "{drill}"]\n')

    code, out, err = command("--period", "2026-06", change=change)
    line = (tmp_path / "review.toml").read_text().splitlines().index(f'  "{drill}"]') + 1
    assert (code, out) == (2, "")
    assert f"review.toml, line {line}: kpis[0].drill[1]: {said}" in err
    assert err.count("no dimension") == 1
    assert not (tmp_path / "out").exists()


def test_init_and_schema_print_to_stdout(command):
    assert "[[kpis]]" in command("--init")[1]
    assert json.loads(command("--schema")[1])["title"] == "ReviewConfig"


def test_a_configuration_and_a_period_are_needed(command):
    code, _, err = command()
    assert code == 2
    assert "--period" in err

"""A review of a warehouse: PostgreSQL and DuckDB through Ibis, and nothing of its address shown."""

import json

import duckdb
import pytest

import attribution as at
from attribution.errors import SourceError
from attribution.source import open_warehouse

pytestmark = [
    pytest.mark.services,
    # Of Ibis itself, with pandas 3.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*future.infer_string.*"),
]

PASSWORD = "correct-horse-battery"


@pytest.fixture
def ibis():
    return pytest.importorskip("ibis")


@pytest.fixture
def address(ibis, table, tmp_path):
    """A DuckDB file with the table, as Ibis is told of it."""
    with duckdb.connect(str(tmp_path / "qa.duckdb")) as database:
        database.register("rows", table)
        database.execute("CREATE SCHEMA qa")
        database.execute("CREATE TABLE qa.reviews AS SELECT * FROM rows")
    return f"duckdb://{tmp_path / 'qa.duckdb'}"


@pytest.mark.parametrize("read", [{"table": "qa.reviews"}, {"query": "SELECT * FROM qa.reviews"}])
def test_a_warehouse_gives_what_the_file_gives(config, address, monkeypatch, read):
    expected = at.review(config, period="2026-06").kpis[0]
    monkeypatch.setenv("WAREHOUSE", address)
    config["sources"]["qa"] = {
        "warehouse": "${WAREHOUSE}", "period": "month", "cluster": "moderator_id", "timeout": 60, **read,
    }  # fmt: skip
    done = at.review(config, period="2026-06")
    assert [f.message for k in done.kpis for f in k.failures if "2025-06" not in f.message] == []
    assert done.kpis[0].value == pytest.approx(expected.value)
    assert done.kpis[0].main.effects["estimate"].tolist() == pytest.approx(
        expected.main.effects["estimate"].tolist(), abs=1e-12
    )
    files = [
        p.read_text()
        for p in done.folder.parent.rglob("*")
        if p.suffix in (".json", ".html", ".log")
    ]
    assert not any(address in text for text in files)
    assert any("${WAREHOUSE}" in text for text in files)


def test_what_a_warehouse_does_not_have_is_named(address):
    with (
        pytest.raises(SourceError, match=r"no table 'qa.review'\. Did you mean 'reviews'\?"),
        open_warehouse(address, "qa.review", None),
    ):
        pass
    with (
        pytest.raises(SourceError, match="changes data; it must only read"),
        open_warehouse(
            address, None, "WITH x AS (DELETE FROM qa.reviews RETURNING *) FROM x SELECT *"
        ),
    ):
        pass
    with (
        pytest.raises(SourceError, match="exactly one SELECT"),
        open_warehouse(address, None, "SELECT 1; DROP TABLE qa.reviews"),
    ):
        pass


def test_a_server_that_does_not_answer_shows_no_password(ibis, config, monkeypatch):
    monkeypatch.setenv("QA_PASSWORD", PASSWORD)
    config["sources"]["qa"] = {
        "warehouse": "postgresql://ops:${QA_PASSWORD}@127.0.0.1:1/quality", "table": "reviews",
        "period": "month",
    }  # fmt: skip
    done = at.review(config, period="2026-06")
    assert "warehouse: it cannot be reached" in done.kpis[0].failure.message
    shown = [str(done), json.dumps(done.to_dict()), (done.folder / "index.html").read_text()]
    assert not any(PASSWORD in text for text in shown)
    assert done.exit_code() == 3

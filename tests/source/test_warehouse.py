"""Tables of servers: the same answers, worked out there, with only grouped rows fetched."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution import errors
from attribution.source import partitions, warehouse

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*future.infer_string.*"),
]


def reviews(n: int = 4_000, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    reviewed = rng.integers(1, 9, n)
    days = rng.integers(0, 120, n)
    return pd.DataFrame(
        {
            "decided_at": [dt.datetime(2026, 6, 1) + dt.timedelta(days=int(d)) for d in days],
            "month": np.where(days < 60, "2026-08", "2026-09"),
            "queue": rng.choice(np.array(["live", "it's", "Zürich", None], dtype=object), n),
            "shift": rng.choice(["a", "b"], n),
            "risk": rng.choice([0.5, 1.5, np.nan], n),
            "correct": rng.binomial(reviewed, 0.8),
            "reviewed": reviewed,
            "appealed": rng.random(n) < 0.1,
            "seconds": np.round(rng.lognormal(3, 1, n), 3),
            "weight": rng.integers(2, 9, n) / 2,
            "moderator": rng.integers(1, 30, n),
            "account": [Decimal(2**60 + int(d) % 3) for d in days],
            "price": [Decimal(int(d)) / 4 for d in days],
            "day text": [f"2026-0{6 + d // 30}-01" for d in days],
        }
    )


ROWS = reviews()
RATE = at.Rate("correct", "reviewed", name="Accuracy")
QUESTIONS: dict[str, dict[str, Any]] = {
    "clusters and weights": {
        "metrics": RATE, "by": ["queue", "shift"], "period": "month", "cluster": "moderator",
        "weight": "weight",
    },
    "conditions": {
        "metrics": at.Rate("appealed"), "by": ["queue"], "period": "month",
        "where": "queue != 'live' and queue > 'Z' and (risk > 0.7 or risk == None) and not appealed "
        "== True or shift in ['a', None] and month >= '2026-08'",
    },
    "floats with NaN as levels": {"metrics": RATE, "by": "risk", "period": "month"},
    "expressions": {
        "metrics": [at.Ratio("seconds", "reviewed"), at.Rate("correct / reviewed"),
                    at.Rate("(shift == 'a') + appealed", "reviewed + 1")],
        "by": ["queue"], "period": "month", "weight": "1 / (0.5 / weight)",
    },
    "flags and dates": {
        "metrics": RATE, "by": "queue", "period": "month",
        "where": "appealed == 0 and decided_at >= '2026-06-03' or decided_at in ['2026-06-01']",
    },
    "means, totals and products": {
        "metrics": [
            at.Mean("seconds"), at.Total("seconds"), at.f_score("correct", "reviewed", "appealed"),
            at.Product({"volume": at.Total("reviewed"), "AHT": at.Ratio("seconds", "reviewed")}),
        ],
        "by": "queue", "period": "month", "cluster": "moderator", "weight": "weight",
    },
    "numbers of a fixed point": {
        "metrics": [at.Ratio("price", "reviewed"), at.Quantile("price", 0.5)], "by": "shift",
        "period": "month", "cluster": "account", "where": f"account != {2**60} and price > 0.25",
    },
    "quantiles of huge numbers": {
        "metrics": at.Quantile("seconds * 1e300", 0.5), "by": "shift", "period": "month",
    },
    "weeks": {"metrics": RATE, "by": "queue", "period": "week of decided_at"},
    "fiscal quarters": {
        "metrics": RATE, "by": "queue", "period": "fiscal quarter of decided_at from February",
    },
    "months of text": {"metrics": RATE, "by": "queue", "period": "month of day text"},
    "quantiles": {
        "metrics": at.Quantile("seconds", 0.9), "by": "queue", "period": "month",
        "weight": "weight", "cluster": "moderator",
    },
    "periods asked for": {
        "metrics": RATE, "by": "queue", "period": "month", "periods": ["2026-09"],
    },
    "two-way clusters": {
        "metrics": RATE, "by": [], "period": "month", "cluster": ["moderator", "queue"],
        "where": "queue != None",
    },
}  # fmt: skip


def cube_of(data: object, metrics: Any, by: Any, **options: Any) -> at.Cube:
    return at.Cube.from_data(data, metrics, by, **options)


def same(data: object, names: Sequence[str] = tuple(QUESTIONS)) -> None:
    """Every question has the answer that DuckDB gives over the frame."""
    for name in names:
        question = QUESTIONS[name]
        expected, found = cube_of(ROWS, **question), cube_of(data, **question)
        assert (found.periods, found.levels) == (expected.periods, expected.levels), name
        np.testing.assert_array_equal(found.codes, expected.codes, err_msg=name)
        assert list(found.sums) == list(expected.sums)
        for key, values in expected.sums.items():
            np.testing.assert_allclose(found.sums[key], values, rtol=1e-12, err_msg=name)
        assert found.provenance["rows"] == expected.provenance["rows"]
        assert [f["code"] for f in found.findings] == [f["code"] for f in expected.findings], name
    shown = {"by": "queue", "period": "week of decided_at", "baseline": "2026-W25",
             "current": "2026-W30", "cluster": "moderator", "weight": "weight"}  # fmt: skip
    pd.testing.assert_frame_equal(
        at.explain(data, RATE, **shown).effects, at.explain(ROWS, RATE, **shown).effects, rtol=1e-9
    )


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "invalid rows": ({"correct": (3, -1)}, {}),
    "successes above trials": ({"correct": (7, 99)}, {}),
    "a text called as nulls are": ({"queue": (5, "(missing)")}, {}),
    "NaN, infinity and null": (
        {"seconds": (3, np.nan), "risk": (4, np.inf)},
        {"metrics": [at.Ratio("seconds", "reviewed"), at.Ratio("risk", "reviewed")]},
    ),
    "no such column": ({}, {"by": "queu"}),
    "no such period": ({}, {"periods": ["2027-01"]}),
    "nothing left": ({}, {"where": "queue == 'none'"}),
    "a text as a metric": ({}, {"metrics": at.Rate("queue")}),
    "dates of numbers": ({}, {"period": "month of reviewed"}),
    "dates of text that is none": ({"day text": (4, "soon")}, {"period": "month of day text"}),
    "a date compared with a text": ({}, {"where": "decided_at > 'soon'"}),
    "a number compared with a text": ({}, {"where": "reviewed == '3'"}),
}


def same_errors(
    load: Callable[[pd.DataFrame], object], names: Sequence[str] = tuple(WRONG)
) -> None:
    """Every wrong question gets the error, word for word, that it gets over the frame."""
    for name in names:
        changes, options = WRONG[name]
        frame = ROWS.iloc[:200].copy()
        for column, (row, value) in changes.items():
            frame.loc[row, column] = value
        question = {"metrics": RATE, "by": "queue", "period": "month", **options}
        raised = []
        for data in (frame, load(frame)):
            with pytest.raises(errors.AttributionError) as caught:
                cube_of(data, **question)
            raised.append((type(caught.value), str(caught.value)))
        assert raised[0] == raised[1], name


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """The queries that were run elsewhere, and how many rows each brought."""
    log: list[tuple[str, int]] = []
    whole = warehouse.Remote.fetched.func  # type: ignore[attr-defined]

    def counted(self: warehouse.Remote) -> Any:
        found = whole(self).materialize()
        log.append((self.sql, len(found)))
        return found

    monkeypatch.setattr(warehouse.Remote, "fetched", property(counted))
    return log


def pushed_down(data: object, log: list[tuple[str, int]]) -> None:
    for name, question in QUESTIONS.items():
        log.clear()
        cube = cube_of(data, **question)
        limit = 6 * 31 * cube.codes.shape[0] if question.get("cluster") else 20 * len(cube.codes)
        grouped = [rows for sql, rows in log if "GROUP BY" in sql]
        assert grouped, name
        if not name.startswith("quantiles"):
            assert sum(rows for _, rows in log) <= limit < len(ROWS), name
        assert all(rows <= 1 for sql, rows in log if "GROUP BY" not in sql), name


# -- Ibis over DuckDB, PostgreSQL ----------------------------------------------------------------


def postgres_table(postgres: Any, frame: pd.DataFrame, name: str) -> Any:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    columns = {column: table[column] for column in table.column_names}
    return postgres.create_table(name, pa.table(columns), overwrite=True)


def test_postgres_gives_the_same_answers_and_errors(postgres: Any) -> None:
    same(postgres_table(postgres, ROWS, "reviews"))
    same_errors(lambda frame: postgres_table(postgres, frame, "wrong"))


def test_names_that_differ_in_case_only_are_different_columns(postgres: Any) -> None:
    frame = ROWS.rename(columns={"shift": "QUEUE"})
    table = postgres_table(postgres, frame, "two names")
    cube = cube_of(table, RATE, ["queue", "QUEUE"], period="month")
    assert cube.levels == cube_of(frame, RATE, ["queue", "QUEUE"], period="month").levels


def test_spark_gives_the_same_answers_and_errors(spark: Any) -> None:
    def load(frame: pd.DataFrame) -> Any:
        return spark.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))

    some = [
        "clusters and weights", "conditions", "fiscal quarters", "months of text", "quantiles",
        "flags and dates", "numbers of a fixed point", "quantiles of huge numbers",
    ]  # fmt: skip
    same(load(ROWS), some)
    same_errors(
        load,
        [
            "invalid rows",
            "a text called as nulls are",
            "NaN, infinity and null",
            "no such period",
            "dates of text that is none",
        ],
    )


def test_only_grouped_rows_leave_the_server(postgres: Any, fetched: list[tuple[str, int]]) -> None:
    pushed_down(postgres_table(postgres, ROWS, "counted"), fetched)


def test_a_query_on_the_server_is_read_only_and_shows_no_password(
    postgres: Any, postgres_address: str
) -> None:
    import ibis

    password = postgres_address.split(":")[2].split("@")[0]
    postgres_table(postgres, ROWS.iloc[:50], "kept")
    question: dict[str, Any] = {"metrics": RATE, "by": "queue", "period": "month"}
    writing = postgres.sql(
        'WITH gone AS (DELETE FROM "kept" RETURNING *) SELECT * FROM gone',
        schema=postgres.table("kept").schema(),
    )
    with pytest.raises(errors.SourceError, match="changes data; it must only read"):
        cube_of(writing, **question)
    assert postgres.table("kept").count().execute() == 50
    with pytest.raises(errors.SourceError, match=r"address, not a table.*ibis\.connect") as caught:
        cube_of(postgres_address, **question)
    assert "127.0.0.1" in str(caught.value)
    assert password not in str(caught.value)
    other = ibis.connect(postgres_address)
    table = other.table("kept")
    postgres.drop_table("kept")
    with pytest.raises(errors.SourceError, match=r"'postgres' on '127\.0\.0\.1'") as caught:
        cube_of(table, **question)
    assert password not in str(caught.value)
    other.disconnect()


def test_a_table_without_a_connection_is_refused() -> None:
    ibis = pytest.importorskip("ibis")
    table = ibis.table({"month": "string", "queue": "string", "ok": "int64"}, name="reviews")
    with pytest.raises(errors.SourceError, match="has no connection"):
        cube_of(table, at.Rate("ok"), "queue", period="month")


# -- the SQL of engines that cannot be reached here ----------------------------------------------


@pytest.fixture(scope="module")
def asked() -> list[tuple[str, dict[str, str]]]:
    """The queries of every question, as Ibis over DuckDB is asked them, and types by column."""
    ibis = pytest.importorskip("ibis", reason="ibis is not installed (group services)")
    queries: list[tuple[str, dict[str, str]]] = []
    whole = warehouse.translate

    def noted(sql: str, inner: str, dialect: str, types: dict[str, str]) -> str:
        queries.append((sql, types))
        return whole(sql, inner, dialect, types)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(warehouse, "translate", noted)
        table = ibis.duckdb.connect().create_table("reviews", ROWS)
        for question in QUESTIONS.values():
            expected, found = cube_of(ROWS, **question), cube_of(table, **question)
            for key, values in expected.sums.items():
                np.testing.assert_allclose(found.sums[key], values, rtol=1e-12)
    return queries


@pytest.mark.parametrize(
    "dialect", ["bigquery", "snowflake", "databricks", "trino", "clickhouse", "postgres"]
)
def test_the_sql_of_every_question_parses_in_each_dialect(
    dialect: str, asked: list[tuple[str, dict[str, str]]]
) -> None:
    import ibis
    import sqlglot
    from sqlglot import expressions as sx

    names = {f"c{i}": "string" for i in range(len(ROWS.columns))}
    inner = str(ibis.to_sql(ibis.table(names, name="reviews"), dialect=dialect))
    assert any("GROUP BY" in sql for sql, _ in asked)
    for sql, types in asked:
        text = warehouse.translate(sql, inner, dialect, types)
        (statement,) = sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        assert isinstance(statement, sx.Query)
        tables = {t.name for t in statement.find_all(sx.Table)}
        assert tables == {"reviews"}
        assert bool(statement.find(sx.Group)) == ("GROUP BY" in sql)
        # A function that the parser does not know is one that DuckDB alone has.
        unknown = {f.name.lower() for f in statement.find_all(sx.Anonymous)}
        assert unknown <= {"monotonically_increasing_id"}, unknown
        assert "fsum" not in text.lower()
        assert "hash(" not in text.lower()


@pytest.mark.parametrize(
    "dialect", ["bigquery", "snowflake", "databricks", "trino", "clickhouse", "postgres", "spark"]
)
def test_partitions_of_a_cluster_parse_in_each_dialect(dialect: str) -> None:
    sqlglot = pytest.importorskip("sqlglot", reason="sqlglot is not installed (group services)")
    sql = "SELECT count(*) AS n FROM source WHERE coalesce(abs(hash(c0) % 64), 0) = 3"
    text = warehouse.translate(sql, "SELECT c0 FROM reviews", dialect, {"c0": "VARCHAR"})
    sqlglot.parse_one(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    assert "c0" in text
    assert "64" in text
    # Snowflake has a function of that name.
    assert ("HASH(" in text.replace("64(", "").replace("HASHTEXT(", "")) == (dialect == "snowflake")


def test_a_large_result_comes_from_the_server_in_partitions(
    postgres: Any, monkeypatch: pytest.MonkeyPatch, fetched: list[tuple[str, int]]
) -> None:
    table = postgres_table(postgres, ROWS, "large")
    question: dict[str, Any] = {"by": "queue", "period": "month", "cluster": "moderator"}
    for name, value in (("_MOST_GROUPS", 100), ("_AT_ONCE", 60), ("_SAMPLED", 1)):
        monkeypatch.setattr(partitions, name, value)
    cube = cube_of(table, RATE, **question)
    assert cube.clusters is not None
    assert len(cube.clusters.parts) > 2
    grouped = [rows for sql, rows in fetched if "GROUP BY" in sql]
    assert max(grouped) < len(cube.clusters.period)
    monkeypatch.setattr(partitions, "_MOST_GROUPS", 10**9)
    assert cube.digest() == cube_of(ROWS, RATE, **question).digest()


def test_weeks_begin_on_monday_in_every_dialect() -> None:
    pytest.importorskip("sqlglot", reason="sqlglot is not installed (group services)")
    sql = "SELECT (date_trunc('week', c0))::DATE AS period, count(*) AS n FROM source GROUP BY 1"
    text = warehouse.translate(sql, "SELECT c0 FROM reviews", "bigquery", {"c0": "TIMESTAMP"})
    assert "ISOWEEK" in text or "WEEK(MONDAY)" in text

"""Statements that take too long, and Ctrl-C: the engine stops, and the next question is answered."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution import errors
from attribution.source import open_database, repeated_rows, stopping, warehouse

RATE = at.Rate("ok")
ASKED: dict[str, Any] = {"by": "queue", "period": "month"}
FRAME = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["a", "b"] * 2, "ok": [1, 0, 1, 1]})
# Ten thousand million rows, which no engine counts in a second.
ENDLESS = (
    "SELECT a.i % 2 AS month, 'q' || b.i % 3 AS queue, (a.i + b.i) % 2 AS ok "
    "FROM range(100_000) AS a(i), range(100_000) AS b(i)"
)


@contextmanager
def stops_within(seconds: float) -> Iterator[None]:
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < seconds


def late() -> Any:
    return pytest.raises(errors.StatementTimeoutError, match=r"longer than 0\.3 s and was stopped")


def test_a_statement_that_takes_too_long_is_stopped() -> None:
    with stops_within(8), late() as caught:
        at.Cube.from_data(ENDLESS, RATE, **ASKED, timeout=0.3)
    assert isinstance(caught.value, errors.SourceError | TimeoutError)
    with late():
        at.explain(ENDLESS, RATE, **ASKED, baseline=0, current=1, timeout=0.3)
    with late():
        at.trend(ENDLESS, RATE, **ASKED, timeout=0.3)
    with late():
        volume = ("SELECT * REPLACE (month + 1 AS month) FROM (" + ENDLESS + ")", "ok")
        at.Cube.from_data(FRAME, RATE, **ASKED, volume=volume, timeout=0.3)


def test_enough_time_changes_nothing() -> None:
    held = at.Cube.from_data(FRAME, RATE, **ASKED)
    in_time = at.Cube.from_data(FRAME, RATE, **ASKED, timeout=60)
    assert in_time.digest() == held.digest()
    assert in_time.provenance == held.provenance


def test_a_query_of_a_database_file_is_stopped(tmp_path: Any) -> None:
    path = str(tmp_path / "ops.duckdb")
    duckdb.connect(path).close()
    with open_database(path, ENDLESS) as data:
        with stops_within(8), late():
            at.Cube.from_data(data, RATE, **ASKED, timeout=0.3)
        with stops_within(8), late():
            repeated_rows(data, ["queue"], timeout=0.3)
    with open_database(path, "SELECT 1 AS month, 'a' AS queue, 1 AS ok") as data:
        assert at.Cube.from_data(data, RATE, **ASKED, timeout=60).sums["ok"].sum() == 1


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C raises: what is started in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_the_engine(heard: None) -> None:
    main = threading.main_thread().ident
    assert main is not None
    press = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    press.start()
    before = threading.active_count()
    with stops_within(8), pytest.raises(KeyboardInterrupt):
        at.Cube.from_data(ENDLESS, RATE, **ASKED)
    press.join()
    cpu = os.times()
    time.sleep(0.5)
    spent = os.times()
    # Nothing goes on in the background.
    assert spent.user - cpu.user < 0.2
    assert threading.active_count() < before


def test_an_engine_that_does_not_stop_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_PATIENCE", 0.2)
    released = threading.Event()

    def deaf() -> None:
        raise ConnectionError("gone")

    with pytest.raises(errors.StatementTimeoutError, match="and does not stop"):
        stopping.stoppable(released.wait, deaf, 0.1)
    released.set()


def test_what_a_statement_raises_comes_through() -> None:
    def broken() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        stopping.stoppable(broken, lambda: None, 5)


@pytest.mark.parametrize("timeout", [0, -1, True, "60", np.nan])
def test_a_timeout_is_a_positive_number(timeout: Any) -> None:
    with pytest.raises(
        errors.OptionError, match=r"timeout: .* is not a positive number of seconds"
    ):
        at.Cube.from_data(FRAME, RATE, **ASKED, timeout=timeout)


def test_a_relation_of_the_users_has_no_timeout() -> None:
    relation = duckdb.connect().sql("SELECT 1 AS month, 'a' AS queue, 1 AS ok")
    with pytest.raises(
        errors.OptionError, match=r"timeout: a relation runs on your own connection"
    ):
        at.Cube.from_data(relation, RATE, **ASKED, timeout=1)


# -- servers -------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*future.infer_string.*")
def test_postgres_is_told_to_stop(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"month": "int32", "queue": "string", "ok": "int32"}
    text = "SELECT 1 AS month, 'a' AS queue, 1 AS ok"
    slow = postgres.sql(f"{text} FROM generate_series(1, 9000) AS g, pg_sleep(60)", schema=schema)
    with stops_within(8), late():
        at.Cube.from_data(slow, RATE, **ASKED, timeout=0.3)
    with postgres.con.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
            "'%pg_sleep%' AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone() == (0,)
    quick = postgres.sql(text, schema=schema)
    assert at.Cube.from_data(quick, RATE, **ASKED, timeout=60).sums["ok"].sum() == 1
    monkeypatch.setattr(warehouse, "_STOPS", {})
    with pytest.raises(errors.OptionError, match="timeout: a statement of postgres cannot be"):
        at.Cube.from_data(quick, RATE, **ASKED, timeout=60)


@pytest.mark.services
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_spark_is_told_to_stop(spark: Any) -> None:
    left, right = (spark.range(200_000).withColumnRenamed("id", name) for name in "ab")
    endless = left.crossJoin(right).selectExpr(
        "cast(a % 2 AS int) AS month", "concat('q', b % 3) AS queue", "cast((a + b) % 2 AS int) ok"
    )
    with late():
        at.Cube.from_data(endless, RATE, **ASKED, timeout=0.3)
    for _ in range(100):  # tasks end when they next look
        if not spark.sparkContext.statusTracker().getActiveJobsIds():
            break
        time.sleep(0.1)
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()
    quick = spark.createDataFrame(FRAME.to_dict("records")).selectExpr(
        "cast(month AS int) AS month", "queue", "cast(ok AS int) AS ok"
    )
    assert at.Cube.from_data(quick, RATE, **ASKED, timeout=120).sums["ok"].sum() == 3

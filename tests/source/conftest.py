"""Engines that run as services: started by the test session, private to it, stopped with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# A password that would be noticed wherever it is shown.
PASSWORD = "correct-horse-battery"


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="session")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PostgreSQL server of our own."""
    pytest.importorskip("ibis", reason="ibis is not installed (group services)")
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("the PostgreSQL server is not installed")
    # The server refuses to run as root, and its user must reach the folder.
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    folder = Path("/tmp") / f"kpi-attribution-postgres-{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", "ops", "--pwfile", folder / "password",
             "--auth=scram-sha-256", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder,
                 "-F", "-c", "log_statement=all"],
                stdout=log, stderr=log, cwd=folder, **user,
            )  # fmt: skip
        try:
            _wait(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen, log: Path) -> None:
    import psycopg

    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            psycopg.connect(
                host="127.0.0.1", port=port, user="ops", password=PASSWORD, dbname="postgres"
            ).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(log.read_text())


@pytest.fixture(scope="session")
def postgres_address(postgres_port: int) -> str:
    return f"postgresql://ops:{PASSWORD}@127.0.0.1:{postgres_port}/postgres"


@pytest.fixture(scope="session")
def postgres(postgres_port: int) -> Iterator[Any]:
    """A connection of Ibis to it."""
    import ibis

    connection = ibis.postgres.connect(
        host="127.0.0.1", port=postgres_port, user="ops", password=PASSWORD, database="postgres"
    )
    yield connection
    connection.disconnect()


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session on this machine."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (group services)")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()

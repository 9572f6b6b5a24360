"""Shared paths: real data lie beside the project and are used where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real open data; tests that need it skip where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real open data is not beside the project")
    return folder


@pytest.fixture(scope="session")
def flights():
    """Flights of 2013 that arrived, with the day as cluster."""
    from attribution.datasets import load_flights

    rows = load_flights()
    return rows[rows["arr_delay"].notna() & rows["month"].isin([11, 12])]

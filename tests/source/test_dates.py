"""Periods cut from dates: in the GROUP BY, labels in time order, the same on every engine."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

import attribution as at
from attribution.calendars import Calendar, calendar_of, most_like
from attribution.errors import ColumnNotFoundError, ColumnTypeError, OptionError, PeriodError
from attribution.labels import natural_key


def decisions(n: int = 3000, days: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, days * 86_400, n)
    return pd.DataFrame(
        {
            "decided_at": pd.Timestamp("2024-11-20") + pd.to_timedelta(seconds, unit="s"),
            "queue": rng.choice(["A", "B"], n),
            "correct": rng.integers(0, 2, n),
        }
    )


def by_pandas(t: pd.Series, unit: str, start: int = 0) -> pd.Series:
    """The label of each time, worked out by pandas."""
    if unit == "week":
        iso = t.dt.isocalendar()
        return iso["year"].astype(str) + "-W" + iso["week"].map("{:02d}".format)
    if start:
        month = (t.dt.month - start) % 12 + 1
        year = "FY" + (t.dt.year + (t.dt.month >= start)).astype(str)
        if unit == "year":
            return year
        part = month.map("{:02d}".format) if unit == "month" else ((month - 1) // 3 + 1).astype(str)
        return year + ("-M" if unit == "month" else "-Q") + part
    if unit == "quarter":
        return t.dt.year.astype(str) + "-Q" + t.dt.quarter.astype(str)
    return t.dt.strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[unit])


@pytest.mark.parametrize(
    ("period", "unit", "start"),
    [
        *((f"{unit} of decided_at", unit, 0) for unit in ("day", "week", "month", "quarter")),
        ("year of decided_at", "year", 0),
        ("fiscal month of decided_at from April", "month", 4),
        ("Fiscal Quarter of `decided_at` from feb", "quarter", 2),
        ("fiscal year of decided_at from 7", "year", 7),
    ],
)
def test_sums_by_granularity_are_those_of_labels_made_beforehand(period, unit, start):
    rows = decisions()
    cube = at.Cube.from_data(rows, at.Rate("correct"), ["queue"], period=period)
    labels = by_pandas(rows["decided_at"], unit, start)
    expected = rows.groupby([labels, "queue"])["correct"].sum().unstack(fill_value=0)
    assert list(cube.periods) == list(expected.index)
    np.testing.assert_array_equal(cube.sums["correct"], expected.to_numpy())
    assert list(cube.periods) == sorted(cube.periods, key=natural_key)


def test_every_engine_cuts_alike(tmp_path):
    rows = decisions(400)
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    rows.to_csv(csv, index=False)
    rows.to_parquet(parquet)
    as_text = rows.assign(decided_at=rows["decided_at"].astype(str))
    cubes = [
        at.Cube.from_data(data, at.Rate("correct"), "queue", period="week of decided_at")
        for data in (rows, pl.from_pandas(rows), str(csv), str(parquet), as_text)
    ]
    assert len({(cube.periods, cube.digest()) for cube in cubes}) == 1


@pytest.mark.parametrize(
    "asked", ["2025-03", dt.date(2025, 3, 9), pd.Timestamp("2025-03-31 23:59")]
)
def test_a_period_is_asked_for_by_label_or_by_a_date_in_it(asked):
    rows = decisions()
    change = at.explain(
        rows, at.Rate("correct"), "queue",
        period="month of decided_at", baseline="2025-02", current=asked,
    )  # fmt: skip
    assert change.cube.periods == ("2025-02", "2025-03")


def test_zones_keep_the_clock_of_a_frame_and_are_utc_in_files(tmp_path):
    times = pd.to_datetime(["2026-01-31 20:00", "2026-02-10 12:00"]).tz_localize("UTC")
    rows = pd.DataFrame({"t": times.tz_convert("Asia/Tokyo"), "q": "A", "correct": [1, 0]})
    asked = {"metric": at.Rate("correct"), "by": "q", "period": "month of t"}
    assert at.Cube.from_data(rows, **asked).periods == ("2026-02",)
    rows.to_parquet(tmp_path / "rows.parquet")
    cube = at.Cube.from_data(str(tmp_path / "rows.parquet"), **asked)
    assert cube.periods == ("2026-01", "2026-02")
    assert [f["code"] for f in cube.findings] == ["time_zone"]


@pytest.mark.parametrize(
    ("period", "error", "words"),
    [
        ("hour of decided_at", ColumnNotFoundError, "day, week, month, quarter, year"),
        ("month of decided", ColumnNotFoundError, "Did you mean 'decided_at'"),
        ("month of queue", OptionError, "a column of its own"),
        ("month of correct", ColumnTypeError, "not a date"),
        ("month of decided_at from April", OptionError, "fiscal"),
        ("fiscal week of decided_at from April", OptionError, "months, quarters and years"),
        ("fiscal year of decided_at", OptionError, "the month that their year begins in"),
        ("fiscal year of decided_at from Apil", OptionError, "Did you mean 'April'"),
        (3, ColumnTypeError, "not text"),
    ],
)
def test_a_period_that_is_none_is_refused_by_name(period, error, words):
    with pytest.raises(error, match=words):
        at.Cube.from_data(decisions(20), at.Rate("correct"), "queue", period=period)


def test_periods_that_are_not_there_are_listed_by_label():
    with pytest.raises(PeriodError, match="Did you mean '2025-0.*There: '2024-11', '2024-12'"):
        at.explain(
            decisions(), at.Rate("correct"), "queue",
            period="month of decided_at", baseline="2025-01", current="2035-02",
        )  # fmt: skip


def test_a_column_of_mixed_types_is_refused_by_name():
    rows = decisions(40)
    rows["month"] = [202601 if i % 2 else "2026-02" for i in range(len(rows))]
    with pytest.raises(ColumnTypeError, match=r"column 'month' mixes types: str .* int \(202601\)"):
        at.Cube.from_data(rows, at.Rate("correct"), "queue", period="month")
    rows["day"] = rows["decided_at"].astype(str)
    rows.loc[7, "day"] = "yesterday"
    with pytest.raises(ColumnTypeError, match="'day' holds 'yesterday' in row 7"):
        at.Cube.from_data(rows, at.Rate("correct"), "queue", period="month of day")


def test_rows_without_a_date_are_counted_and_a_column_named_like_a_granularity_wins():
    rows = decisions(50)
    rows.loc[:4, "decided_at"] = pd.NaT
    cube = at.Cube.from_data(rows, at.Rate("correct"), "queue", period="year of decided_at")
    assert cube.findings[0]["facts"]["rows"] == 5
    renamed = rows.rename(columns={"queue": "month of decided_at"}).assign(queue="x")
    cube = at.Cube.from_data(renamed, at.Rate("correct"), "queue", period="month of decided_at")
    assert cube.periods == ("A", "B")


def test_without_a_period_all_rows_are_one():
    cube = at.Cube.from_data(decisions(50), at.Rate("correct"), "queue", period=None)
    assert cube.periods == ("all rows",)


# -- labels and their place in time -----------------------------------------------------------

CALENDARS = [
    *(Calendar(unit) for unit in ("day", "week", "month", "quarter", "year")),
    *(
        Calendar(unit, fiscal=True, start=s)
        for unit in ("month", "quarter", "year")
        for s in (1, 4)
    ),
]


@pytest.mark.parametrize("calendar", CALENDARS, ids=str)
def test_labels_and_places_are_inverse_and_in_order(calendar):
    days = [dt.date(2019, 12, 20) + dt.timedelta(days=i) for i in range(0, 1100, 3)]
    places = [calendar.position(calendar.label_of_date(day)) for day in days]
    assert all(
        calendar.label(x) == calendar.label_of_date(d) for x, d in zip(places, days, strict=True)
    )
    assert places == sorted(places)
    assert all(
        calendar.first_day(x) <= d < calendar.first_day(x + 1)
        for x, d in zip(places, days, strict=True)
    )


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (["2025-12", "2026-02"], ["2026-01"]),
        (["2026-01", "2026-03", "2026-05", "2026-07"], []),  # every second month
        (["2026-W52", "2027-W01"], ["2026-W53"]),
        (["1940", "1950", "1970"], ["1960"]),
        (["11", "12"], []),
        (["FY2026-Q4", "FY2027-Q2"], ["FY2027-Q1"]),
        (["202512", "202602"], ["202601"]),
    ],
)
def test_what_is_missing_between_periods_has_a_name(labels, missing):
    calendar = calendar_of(labels)
    assert [x for gap in calendar.missing(labels).values() for x in gap] == missing


def test_a_year_before():
    assert Calendar("month").a_year_before("2026-02") == "2025-02"
    assert Calendar("week").a_year_before("2020-W53") is None
    assert Calendar("day").a_year_before("2024-02-29") is None
    assert most_like(["2026-01", "2026-02", "spring"]).unit == "month"

"""The star schema: keys join, parts add up, Parquet and CSV say the same."""

from __future__ import annotations

import pandas as pd
import pytest

import attribution as at
from attribution.errors import OptionError


@pytest.fixture(scope="module")
def folder(change, tmp_path_factory):
    return change.to_tidy(tmp_path_factory.mktemp("tidy") / "star")


def read(folder, name):
    return pd.read_parquet(folder / f"{name}.parquet")


def test_every_table_is_there_twice(folder):
    names = {"fact_change", "fact_effect", "fact_level", "fact_cell", "dim_metric", "dim_period",
             "dim_level", "dim_segment", "finding", "provenance"}  # fmt: skip
    assert {p.stem for p in folder.glob("*.parquet")} == names
    assert {p.stem for p in folder.glob("*.csv")} == names


def test_facts_add_up_to_the_change(folder, change):
    total, effects = read(folder, "fact_change"), read(folder, "fact_effect")
    assert effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-11)
    assert total["change"][0] == pytest.approx(change.total.change, abs=1e-11)
    assert effects["shown"].sum() == pytest.approx(round(100 * change.total.change, 2))


def test_cells_give_the_kpi_of_every_period(folder, change):
    cells = read(folder, "fact_cell").merge(read(folder, "dim_period"), on="period_key")
    sums = cells.groupby("role")[["numerator", "denominator"]].sum()
    rates = sums["numerator"] / sums["denominator"]
    assert rates["baseline"] == pytest.approx(change.total.baseline)
    assert rates["current"] == pytest.approx(change.total.current)
    segments = read(folder, "dim_segment")
    assert segments["segment_key"].is_unique
    assert set(cells["segment_key"]) == set(segments["segment_key"])


def test_levels_join_their_names_and_add_up(folder, change):
    levels = read(folder, "fact_level").merge(read(folder, "dim_level"), on="level_key")
    for dimension in ("queue", "market"):
        mix = levels[levels["dimension"] == dimension]["mix"].sum()
        expected = change.levels(dimension)["mix"].sum()
        assert mix == pytest.approx(expected, abs=1e-11)
    assert set(levels[levels["dimension"] == "queue"]["level"]) == set(
        change.levels("queue")["segment"]
    )


def test_periods_are_dates(folder):
    periods = read(folder, "dim_period").set_index("role")
    assert str(periods.loc["current", "start_date"])[:10] == "2026-09-01"
    assert str(periods.loc["current", "end_date"])[:10] == "2026-09-30"
    assert periods.loc["baseline", "days"] == 31
    assert periods.loc["baseline", "quarter"] == 3


def test_csv_says_the_same_and_starts_no_formula(folder):
    parquet, csv = read(folder, "dim_level"), pd.read_csv(folder / "dim_level.csv")
    assert "'=cmd|' /C calc'!A0" in set(csv["level"])
    assert "=cmd|' /C calc'!A0" in set(parquet["level"])
    assert (csv["level_key"] == parquet["level_key"]).all()
    for name in ("fact_level", "fact_effect"):
        both = read(folder, name), pd.read_csv(folder / f"{name}.csv")
        numbers = both[0].select_dtypes("number").columns
        pd.testing.assert_frame_equal(both[0][numbers], both[1][numbers], check_dtype=False)


def test_same_input_gives_the_same_bytes(change, folder, tmp_path):
    again = change.to_tidy(tmp_path / "again")
    for file in folder.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_a_file_in_the_place_of_the_folder_stays(change, tmp_path):
    (tmp_path / "c.html").write_text("a page")
    with pytest.raises(OptionError, match=r"folder: .*c\.html' is a file, not a folder"):
        change.to_tidy(tmp_path / "c.html")
    assert (tmp_path / "c.html").read_text() == "a page"


def test_a_folder_with_other_files_is_not_replaced(change, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="holds files"):
        change.to_tidy(tmp_path)


def test_periods_that_are_no_dates_have_none(table, tmp_path):
    named = table.replace({"month": {"2026-08": "before", "2026-09": "after"}})
    change = at.explain(named, "correct / reviewed", by=[], period="month", baseline="before",
                        current="after")  # fmt: skip
    folder = change.to_tidy(tmp_path / "star")
    assert read(folder, "dim_period")["start_date"].isna().all()
    assert len(read(folder, "fact_level")) == 0

"""The same rows give the same answer, wherever they come from."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

import attribution as at
from attribution.errors import (
    DataContractError,
    DataQualityWarning,
    ExpressionError,
    MissingFileError,
    OptionError,
    SourceError,
)

RATE = at.Rate("correct", "reviewed", name="Accuracy")


def reviews(n: int = 600, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    reviewed = rng.integers(1, 9, n)
    return pd.DataFrame(
        {
            "month": rng.choice(["2026-08", "2026-09"], n),
            "queue": rng.choice(["live", "video", "comment, long", "Zürich"], n),
            "tenure": rng.choice(["0-30", "31-90", "181-365"], n),
            "correct": rng.binomial(reviewed, 0.8),
            "reviewed": reviewed,
            "weight": rng.integers(1, 5, n) / 2,
            "moderator": rng.integers(1, 30, n),
            "note": [f"line {i}\nand more" for i in range(n)],
        }
    )


ROWS = reviews()


def csv_path(folder: Path, frame: pd.DataFrame, name: str = "rows.csv") -> str:
    frame.to_csv(folder / name, index=False)
    return str(folder / name)


def parquet_path(folder: Path, frame: pd.DataFrame, name: str = "rows.parquet") -> str:
    frame.to_parquet(folder / name)
    return str(folder / name)


def parquet_glob(folder: Path, frame: pd.DataFrame) -> str:
    for i, part in enumerate(np.array_split(np.arange(len(frame)), 3)):
        parquet_path(folder, frame.iloc[part], f"part{i}.parquet")
    return str(folder / "part*.parquet")


def csv_glob_with_columns_in_another_order(folder: Path, frame: pd.DataFrame) -> str:
    half = len(frame) // 2
    csv_path(folder, frame.iloc[:half], "part0.csv")
    csv_path(folder, frame.iloc[half:, ::-1], "part1.csv")
    return str(folder / "part*.csv")


def semicolons(folder: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / "rows.csv", index=False, sep=";")
    return str(folder / "rows.csv")


def sql(text: str) -> Callable[[Path, pd.DataFrame], str]:
    return lambda folder, frame: text.format(path=parquet_path(folder, frame))


def relation(folder: Path, frame: pd.DataFrame) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_parquet(parquet_path(folder, frame))


def hive(folder: Path, frame: pd.DataFrame) -> str:
    """A folder whose sub-folders are called month=2026-08/queue=live: period and dimension."""
    columns = pa.schema([("month", pa.string()), ("queue", pa.string())])
    pa.dataset.write_dataset(
        pa.Table.from_pandas(frame, preserve_index=False), folder / "rows", format="parquet",
        partitioning=pa.dataset.partitioning(columns, flavor="hive"),
    )  # fmt: skip
    return str(folder / "rows")


def dataset(folder: Path, frame: pd.DataFrame) -> pa.dataset.Dataset:
    return pa.dataset.dataset(parquet_glob(folder, frame).replace("part*.parquet", ""))


def database_path(folder: Path, frame: pd.DataFrame) -> str:
    path = str(folder / "warehouse.duckdb")
    with duckdb.connect(path) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE SCHEMA ops; CREATE TABLE ops.reviews AS FROM frame")
        connection.execute("CREATE VIEW recent AS FROM ops.reviews WHERE false")
    return path


def workbook_path(folder: Path, frame: pd.DataFrame) -> str:
    path = str(folder / "book.xlsx")
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        pd.DataFrame({"about": ["reviews"]}).to_excel(book, sheet_name="read me", index=False)
        frame.to_excel(book, sheet_name="rows", index=False)
    return path


ENGINES: dict[str, Callable[[Path, pd.DataFrame], object]] = {
    "pandas": lambda folder, frame: frame,
    "pandas nullable": lambda folder, frame: frame.convert_dtypes(),
    "pandas arrow": lambda folder, frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas categorical": lambda folder, frame: frame.astype(
        {"queue": "category", "tenure": "category", "month": "category"}
    ),
    "pandas objects": lambda folder, frame: frame.astype({"queue": object, "tenure": object}),
    "pandas small integers": lambda folder, frame: frame.astype(
        {"correct": "int8", "reviewed": "uint8", "moderator": "int16"}
    ),
    "pandas odd index": lambda folder, frame: frame.set_index(np.arange(len(frame))[::-1] // 2),
    "polars": lambda folder, frame: pl.from_pandas(frame),
    "polars lazy": lambda folder, frame: pl.from_pandas(frame).lazy(),
    "polars categorical": lambda folder, frame: pl.from_pandas(frame).with_columns(
        pl.col("queue").cast(pl.Categorical)
    ),
    "arrow": lambda folder, frame: pa.Table.from_pandas(frame),
    "arrow dataset": dataset,
    "arrow dataset of partitions": lambda folder, frame: pa.dataset.dataset(
        hive(folder, frame), partitioning="hive"
    ),
    "relation": relation,
    "duckdb file": lambda folder, frame: database_path(folder, frame) + "::ops.reviews",
    "excel": lambda folder, frame: workbook_path(folder, frame) + "::rows",
    "parquet folder of partitions": hive,
    "parquet glob of partitions": lambda f, frame: hive(f, frame) + "/month=*/**/*.parquet",
    "parquet": parquet_path,
    "parquet path object": lambda folder, frame: Path(parquet_path(folder, frame)),
    "parquet brackets in the name": lambda f, frame: parquet_path(f, frame, "a[1] it's.parquet"),
    "parquet glob": parquet_glob,
    "csv": csv_path,
    "csv.gz": lambda folder, frame: csv_path(folder, frame, "rows.csv.gz"),
    "csv brackets in the name": lambda folder, frame: csv_path(folder, frame, "a[1] it's.csv"),
    "csv glob": csv_glob_with_columns_in_another_order,
    "csv semicolons": semicolons,
    "sql select": sql("SELECT * FROM '{path}'"),
    "sql with": sql("WITH r AS (SELECT * FROM '{path}') SELECT * FROM r"),
    "sql from": sql("FROM '{path}'"),
    "sql trailing semicolon and comment": sql("SELECT * FROM '{path}' WHERE '--' <> ';'; -- end;"),
    "sql after comments": sql("/* rows; */ -- of two months\n  select*from '{path}'"),
}


def cube_of(data: object, by: list[str] | None = None, **options) -> at.Cube:
    return at.Cube.from_data(data, RATE, by or ["queue", "tenure"], period="month", **options)


@pytest.fixture(scope="module")
def expected() -> at.Cube:
    return cube_of(ROWS, cluster="moderator", weight="weight")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_same_cube_and_effects(
    engine: str, expected: at.Cube, tmp_path: Path
) -> None:
    found = cube_of(ENGINES[engine](tmp_path, ROWS), cluster="moderator", weight="weight")
    assert found.levels == expected.levels
    assert found.periods == ("2026-08", "2026-09")
    np.testing.assert_array_equal(found.codes, expected.codes)
    assert list(found.sums) == list(expected.sums)
    for name, values in expected.sums.items():
        np.testing.assert_array_equal(found.sums[name], values)
    assert found.digest() == expected.digest()
    periods = {"baseline": "2026-08", "current": "2026-09"}
    pd.testing.assert_frame_equal(
        found.explain(**periods).effects, expected.explain(**periods).effects, rtol=1e-12
    )


def test_sums_are_those_of_a_plain_group_by() -> None:
    cube = cube_of(ROWS)
    plain = ROWS.groupby(["month", "queue", "tenure"])[["correct", "reviewed"]].sum()
    for t, month in enumerate(cube.periods):
        for c, (q, n) in enumerate(cube.codes):
            key = (month, cube.levels[0][q], cube.levels[1][n])
            expected = plain.loc[key] if key in plain.index else {"correct": 0, "reviewed": 0}
            assert cube.sums["correct"][t, c] == expected["correct"]
            assert cube.sums["reviewed"][t, c] == expected["reviewed"]


@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("cluster", [None, "moderator"])
def test_counted_rows_and_single_rows_agree(weight: str | None, cluster: str | None) -> None:
    rng = np.random.default_rng(1)
    single = ROWS.loc[ROWS.index.repeat(ROWS["reviewed"])].assign(reviewed=1)
    nth = single.groupby(level=0).cumcount()
    single["correct"] = (nth < ROWS["correct"].reindex(single.index)).astype(int)
    single = single.sample(frac=1, random_state=rng)
    options = {
        "by": ["queue", "tenure"], "period": "month", "baseline": "2026-08",
        "current": "2026-09", "weight": weight, "cluster": cluster,
    }  # fmt: skip
    counted = at.explain(ROWS, RATE, **options)
    for metric in (RATE, at.Rate("correct")):
        rows = at.explain(single, metric, **options)
        assert rows.total.std_error == pytest.approx(counted.total.std_error, rel=1e-12)
        pd.testing.assert_frame_equal(rows.effects, counted.effects, rtol=1e-9, atol=1e-14)
    assert counted.total.std_error > 0


# -- what becomes a level --------------------------------------------------------------------

SMALL = pd.DataFrame(
    {"month": [1, 1, 1, 2, 2, 2], "ok": [3, 2, 4, 3, 4, 4], "n": [4, 5, 5, 4, 5, 5]}
)
TYPED_LEVELS = {
    "flags": ([True, False, None] * 2, None, ("false", "true", "(missing)")),
    "nullable flags": ([True, False, None] * 2, "boolean", ("false", "true", "(missing)")),
    "numpy flags": ([True, False, True] * 2, bool, ("false", "true")),
    "floats with NaN": ([1.0, 2.5, np.nan] * 2, float, ("1", "2.5", "(missing)")),
    "nullable integers": ([10, 9, None] * 2, "Int8", ("9", "10", "(missing)")),
    "object integers": ([10, 9, None] * 2, object, ("9", "10", "(missing)")),
    "texts": (["b", "a", None] * 2, "str", ("a", "b", "(missing)")),
    "objects": (["b", "a", np.nan] * 2, object, ("a", "b", "(missing)")),
    "categories": (["b", "a", None] * 2, "category", ("a", "b", "(missing)")),
    "numbered categories": ([10, 9, None] * 2, pd.CategoricalDtype([9, 10]),
                            ("9", "10", "(missing)")),
    "empty text": (["", "a", None] * 2, "str", ("", "a", "(missing)")),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPED_LEVELS)
def test_pandas_types_become_levels(case: str) -> None:
    values, dtype, expected = TYPED_LEVELS[case]
    frame = SMALL.assign(d=pd.Series(values, dtype=dtype))
    cube = at.Cube.from_data(frame, "ok / n", "d", period="month")
    assert cube.levels == (expected,)
    assert cube.sums["n"].sum() == SMALL["n"].sum()


def test_intervals_and_periods_become_levels() -> None:
    frame = SMALL.assign(
        band=pd.cut(pd.Series([1, 20, None, 1, 20, None]), [0, 10, 30]),
        interval=pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3, 4, 5, 6]),
        quarter=pd.PeriodIndex(["2026Q1", "2026Q2", None] * 2, freq="Q"),
    )
    cube = at.Cube.from_data(frame, "ok / n", ["band", "interval", "quarter"], period="month")
    assert cube.levels[0] == ("(0, 10]", "(10, 30]", "(missing)")
    assert cube.levels[1][0] == "(0, 1]"
    assert cube.levels[2] == ("2026Q1", "2026Q2", "(missing)")


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow", "parquet", "relation"])
def test_nan_and_null_levels_are_one_level_in_every_engine(engine: str, tmp_path: Path) -> None:
    table = pa.table(
        {"month": [1, 1, 2, 2], "d": pa.array([np.nan, None, 1.5, np.nan]), "ok": [1, 0, 1, 1]}
    )
    path = str(tmp_path / "rows.parquet")
    duckdb.from_arrow(table).write_parquet(path)
    data = {
        "pandas": table.to_pandas(), "polars": pl.from_arrow(table), "arrow": table,
        "parquet": path, "relation": duckdb.connect().from_parquet(path),
    }[engine]  # fmt: skip
    cube = at.Cube.from_data(data, at.Rate("ok"), "d", period="month")
    assert cube.levels == (("1.5", "(missing)"),)
    np.testing.assert_array_equal(cube.sums["#rows"], [[0, 2], [1, 1]])


def test_csv_labels_are_text_as_written(tmp_path: Path) -> None:
    rows = "month,code,flag,version,ok,n\n" + "".join(
        f"{m},{code},{flag},{version},1,2\n"
        for m in (1, 2)
        for code, flag, version in [("007", "True", "1.1"), ("7", "False", "1.10"), ("", "", "")]
    )
    (tmp_path / "rows.csv").write_text(rows)
    cube = at.Cube.from_data(
        str(tmp_path / "rows.csv"), "ok / n", ["code", "flag", "version"], period="month"
    )
    assert cube.levels == (
        ("007", "7", "(missing)"),
        ("false", "true", "(missing)"),
        ("1.1", "1.10", "(missing)"),
    )
    part = at.Cube.from_data(
        str(tmp_path / "rows.csv"), "ok / n", ["code"], period="month", where="code == '007'"
    )
    assert part.levels == (("007",),)
    both = at.Cube.from_data(
        str(tmp_path / "rows.csv"), "ok / n", ["code"], period="month", where="code > 6.5"
    )
    assert both.levels == (("007", "7"),)


def test_csv_numbers_with_fractions_far_down_keep_them(tmp_path: Path) -> None:
    lines = [f"{1 + i % 2},a,1" for i in range(25_000)]
    (tmp_path / "rows.csv").write_text("\n".join(["month,q,x", *lines, "1,a,1.5", "2,a,0.25", ""]))
    cube = at.Cube.from_data(
        str(tmp_path / "rows.csv"), at.Ratio("x", "x"), "q", period="month", where="x > 0.3"
    )
    np.testing.assert_array_equal(cube.sums["x"][:, 0], [12_501.5, 12_500])


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_empty_fields_of_a_csv_are_nulls_and_leave_the_rest_numbers(
    name: str, tmp_path: Path
) -> None:
    frame = SMALL.assign(
        ok=[1, None, 2, 3, 3, 3], day=["2026-08-01", None, "2026-08-02"] * 2, none=None
    )
    path = csv_path(tmp_path, frame, name)
    with pytest.raises(DataContractError, match=r"ok: null values in 1 row \(1\)"):
        at.Cube.from_data(path, "ok / n", [], period="month")
    with pytest.raises(DataContractError, match=r"none: null values in 6 rows"):
        at.Cube.from_data(path, "ratio(none / n)", [], period="month")
    with pytest.warns(DataQualityWarning, match="1 rows break the data contract"):
        cube = at.Cube.from_data(path, "ok / n", [], period="month", on_invalid="drop")
    np.testing.assert_array_equal(cube.sums["ok"], [[3], [9]])
    for where in ("ok * 1 > 1", "day > '2026-08-01'"):
        found, expected = (
            at.Cube.from_data(data, "n / n", [], period="month", where=where)
            for data in (path, pl.from_pandas(frame))
        )
        assert found.digest() == expected.digest()
        assert found.findings == expected.findings
    periods = at.Cube.from_data(path, "n / n", [], period="ok", periods=[3])
    assert periods.periods == ("3",)


def test_long_identifiers_of_a_csv_are_not_rounded_together(tmp_path: Path) -> None:
    lines = [f"1,1,{2**53 + i % 2}" for i in range(25_000)]
    (tmp_path / "rows.csv").write_text("\n".join(["month,ok,id", *lines, "1,1,", ""]))
    path, where = str(tmp_path / "rows.csv"), f"id == {2**53 + 1}"
    cube = at.Cube.from_data(path, at.Rate("ok"), [], period="month", where=where)
    assert cube.provenance["rows"] == 12_500
    (tmp_path / "rows.csv").write_text("\n".join(["month,ok,id", *lines, "1,1,1.5", ""]))
    with pytest.raises(SourceError, match=r"'1\.5' in column 'id' of .*rows\.csv' is not a whole"):
        at.Cube.from_data(path, at.Rate("ok"), [], period="month", where=where)


def test_levels_sort_in_natural_order_whatever_the_row_order() -> None:
    shuffled = ROWS.sample(frac=1, random_state=7)
    assert cube_of(shuffled).levels[1] == ("0-30", "31-90", "181-365")
    assert cube_of(shuffled).digest() == cube_of(ROWS).digest()


# -- names -----------------------------------------------------------------------------------

ODD_NAMES = ['a"b', "x;--", "select", "is it?", "naïve ünicode", "日本", "it's", "tab\there", "a.b",
             "`tick`", "#hash", "*", "c0", "source", "row_number", "x0"]  # fmt: skip


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow", "parquet", "csv", "relation"])
def test_columns_of_any_name_work_as_dimensions(engine: str, tmp_path: Path) -> None:
    values = {name: np.roll(["a", "b", "a", "a", "b", "c"], i) for i, name in enumerate(ODD_NAMES)}
    data = ENGINES[engine](tmp_path, SMALL.assign(**values))
    cube = at.Cube.from_data(data, "ok / n", ODD_NAMES, period="month")
    assert cube.levels == (("a", "b", "c"),) * len(ODD_NAMES)
    for name in ODD_NAMES:
        plain = SMALL.groupby(values[name])["ok"].sum()
        np.testing.assert_array_equal(cube.rollup([name]).sums["ok"].sum(axis=0), plain)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_columns_of_any_name_work_in_every_other_role(name: str) -> None:
    frame = SMALL.rename(columns={"month": name}).assign(**{"n;n": SMALL["n"], "m`'\"": 2.0})
    cube = at.Cube.from_data(frame, at.Rate("`n;n` - 1", "n;n"), [], period=name, weight="m`'\"")
    assert cube.sums["#weight * n;n"].tolist() == [[28], [28]]
    assert cube.sums["#weight * `n;n` - 1"].tolist() == [[22], [22]]
    if "`" not in name:
        part = at.Cube.from_data(frame, at.Rate("ok", "n"), [], period=name, where=f"`{name}` > 1")
        assert part.periods == ("2",)
    clustered = at.Cube.from_data(
        frame.rename(columns={name: "month", "ok": name}),
        "ratio(n / n)", [], period="month", cluster=name,
    )  # fmt: skip
    assert clustered.clusters is not None
    assert clustered.clusters.names == (name,)
    assert len(np.unique(clustered.clusters.codes)) == 3


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow", "csv", "sql"])
def test_names_that_differ_in_case_only_are_different_columns(engine: str, tmp_path: Path) -> None:
    frame = SMALL.assign(queue=list("aabaab"), Queue=list("xyxxyx"), QUEUE=list("ppqppq"))
    if engine == "sql":
        parquet_path(tmp_path, SMALL)
        data: object = (
            "SELECT month, ok, n, CASE WHEN ok < 3 THEN 'a' ELSE 'b' END AS queue, 'x' AS Queue "
            f"FROM '{tmp_path}/rows.parquet'"
        )
    else:
        data = ENGINES[engine](tmp_path, frame)
    lower, title = (
        at.Cube.from_data(data, "ok / n", name, period="month").levels[0]
        for name in ("queue", "Queue")
    )
    assert lower == ("a", "b")
    assert title == (("x",) if engine == "sql" else ("x", "y"))


def test_two_columns_of_one_name_are_refused_only_if_read(tmp_path: Path) -> None:
    path = parquet_path(tmp_path, SMALL.assign(q="a"))
    with pytest.raises(SourceError, match="two columns have the name 'q'"):
        at.Cube.from_data(f"SELECT *, ok AS q FROM '{path}'", "ok / n", "q", period="month")
    cube = at.Cube.from_data(f"SELECT *, 1 AS x, 2 AS x FROM '{path}'", "ok / n", "q",
                             period="month")  # fmt: skip
    assert cube.levels == (("a",),)
    with pytest.raises(SourceError, match="q"):
        doubled = pd.concat([SMALL.assign(q="a"), SMALL[["ok"]].set_axis(["q"], axis=1)], axis=1)
        at.Cube.from_data(doubled, "ok / n", "q", period="month")


@pytest.mark.parametrize("engine", ["pandas", "polars", "polars lazy", "arrow", "parquet", "csv"])
def test_a_column_of_nothing_is_null_in_every_row(engine: str, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(SMALL, preserve_index=False).append_column("x", pa.nulls(6))
    by_engine: dict[str, Callable[[], object]] = {
        "polars": lambda: pl.from_arrow(table),
        "polars lazy": lambda: pl.from_arrow(table).lazy(),
        "arrow": lambda: table,
    }
    make = by_engine.get(engine, lambda: ENGINES[engine](tmp_path, table.to_pandas()))
    assert at.Cube.from_data(make(), "ok / n", "x", period="month").levels == (("(missing)",),)
    with pytest.raises(DataContractError, match="x: null values in 6 rows"):
        at.Cube.from_data(make(), "ratio(x / n)", [], period="month")


CONDITIONS = {
    "flag == 1": 4, "flag in [0, 0.5]": 4, "1 > flag": 4, "ok == True": 0, "flag in [True, None]": 8,
    "day >= '2026-08-02'": 8, "day in ['2026-08-01', None]": 4, "day not in ['2026-08-01']": 8,
    "'2026-08-02 12:00' > day": 8, "at == '2026-08-02'": 4, "at < '2026-08-02 03:00'": 8,
    "n in [5, None]": 8, "queue in [None]": 4, "queue not in [None]": 8,
}  # fmt: skip
CONDITIONED = pa.table(
    {
        "month": [1] * 6 + [2] * 6,
        "ok": [3, 2, 4, 3] * 3,
        "n": [4, 5, 5] * 4,
        "queue": ["a", None, "b"] * 4,
        "flag": [True, False, None] * 4,
        "day": [dt.date(2026, 8, d) for d in (1, 2, 3)] * 4,
        "at": [dt.datetime(2026, 8, d, h) for d, h in ((1, 5), (2, 0), (2, 3))] * 4,
    }
)


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow", "relation", "csv", "excel"])
def test_flags_compare_with_numbers_and_dates_with_texts_that_are_dates(
    engine: str, tmp_path: Path
) -> None:
    frame = CONDITIONED.to_pandas()
    data = {"arrow": CONDITIONED, "polars": pl.from_arrow(CONDITIONED)}.get(
        engine, ENGINES[engine](tmp_path, frame)
    )
    for where, rows in CONDITIONS.items():
        if rows:
            cube = at.Cube.from_data(data, "ok / n", [], period="month", where=where)
            assert cube.provenance["rows"] == rows, where
        else:
            with pytest.raises(OptionError, match="leaves no rows"):
                at.Cube.from_data(data, "ok / n", [], period="month", where=where)
    for where in ("day >= 'soon'", "at in ['2026-08-01', '2026-02-30']"):
        with pytest.raises(ExpressionError, match=r"where: '(day|at)' is a .* is none. Dates are"):
            at.Cube.from_data(data, "ok / n", [], period="month", where=where)


class Unreadable:
    """A value that no engine can convert."""


def test_only_named_columns_are_read(tmp_path: Path) -> None:
    frame = SMALL.assign(q="a", blob=[Unreadable() for _ in range(6)], nested=[[1], {}] * 3)
    assert at.Cube.from_data(frame, "ok / n", "q", period="month").levels == (("a",),)
    lazy = pl.LazyFrame(SMALL.assign(q="a")).with_columns(
        broken=pl.col("ok").map_batches(lambda _: 1 / 0, return_dtype=pl.Float64)
    )
    assert at.Cube.from_data(lazy, "ok / n", "q", period="month").levels == (("a",),)


@pytest.mark.parametrize("engine", ["pandas", "pandas categorical", "polars", "arrow"])
def test_inputs_are_not_changed(engine: str, tmp_path: Path) -> None:
    data = ENGINES[engine](tmp_path, ROWS.copy())
    before = data.copy() if isinstance(data, pd.DataFrame) else data.clone() if isinstance(
        data, pl.DataFrame) else data.slice(0)  # fmt: skip
    cube_of(data, where="reviewed > 2", mapping={"queue": {"live": "video"}})
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(data, before)
    else:
        assert data.equals(before)


def test_a_relation_leaves_its_connection_as_it_was() -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE source AS SELECT 1 AS month, 'a' AS q, 1 AS ok")
    cube = at.Cube.from_data(connection.table("source"), at.Rate("ok"), "q", period="month")
    assert cube.provenance["rows"] == 1
    assert connection.sql("SHOW TABLES").fetchall() == [("source",)]
    assert connection.sql("SELECT * FROM source").fetchall() == [(1, "a", 1)]


# -- sums never mix ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows", "weight", "count", "x0", "d0", "period", "broken"])
def test_a_measured_column_of_any_name_keeps_its_sum(name: str) -> None:
    frame = SMALL.rename(columns={"n": name}).assign(q="a", w=2.0)
    metrics = [at.Rate("ok", name), at.Rate("ok > 3"), at.Ratio("ok", name)]
    cube = at.Cube.from_data(frame, metrics, "q", period="month", weight="w")
    for metric in (metrics[0], metrics[2]):
        np.testing.assert_array_equal(cube.metric_sums(metric, "denominator"), [[28], [28]])
    np.testing.assert_array_equal(cube.metric_sums(metrics[0], "count"), [[14], [14]])
    np.testing.assert_array_equal(cube.metric_sums(metrics[1], "denominator"), [[6], [6]])
    np.testing.assert_array_equal(cube.metric_sums(metrics[2], "count"), [[3], [3]])


# -- periods and conditions -------------------------------------------------------------------

DAYS = ["2026-08-01", "2026-08-01", "2026-08-01", "2026-09-01", "2026-09-01", "2026-09-01"]
PERIOD_COLUMNS = {
    "integers": ([11, 11, 11, 12, 12, 12], ["11", 11, 11.0, np.int64(11), "11.0"]),
    "floats": ([11.0, 11, 11, 12, 12, 12], ["11", 11, "11.0"]),
    "texts": (["11"] * 3 + ["12"] * 3, ["11", 11, np.int8(11)]),
    "flags": ([False] * 3 + [True] * 3, [False, "false", np.False_, "False"]),
    "dates": ([dt.date.fromisoformat(d) for d in DAYS],
              ["2026-08-01", dt.date(2026, 8, 1), pd.Timestamp("2026-08-01"),
               np.datetime64("2026-08-01")]),
    "timestamps": (pd.to_datetime(DAYS), ["2026-08-01", dt.date(2026, 8, 1), "2026-08-01 00:00",
                                          dt.datetime(2026, 8, 1)]),
    "timestamps of a zone": (pd.to_datetime(DAYS).tz_localize("Asia/Tokyo"),
                             ["2026-08-01", pd.Timestamp("2026-08-01", tz="Asia/Tokyo")]),
    "periods": (pd.PeriodIndex(DAYS, freq="M"), ["2026-08", pd.Period("2026-08")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", PERIOD_COLUMNS)
def test_period_values_are_cast_to_the_type_of_the_column(kind: str) -> None:
    values, asked = PERIOD_COLUMNS[kind]
    frame = SMALL.assign(month=values, q="a")
    for value in asked:
        cube = at.Cube.from_data(frame, "ok / n", "q", period="month", periods=[value])
        assert cube.provenance["rows"] == 3, value
        assert cube.sums["ok"].sum() == 9


def test_times_with_a_zone_are_read_in_every_engine(tmp_path: Path) -> None:
    frame = SMALL.assign(month=pd.to_datetime(DAYS).tz_localize("UTC"), q="a")
    for data in (frame, parquet_path(tmp_path, frame), pl.from_pandas(frame)):
        cube = at.Cube.from_data(data, "ok / n", "q", period="month")
        assert cube.periods == ("2026-08-01", "2026-09-01")


@pytest.mark.parametrize("many", [tuple, list, np.array, pd.Index, pl.Series])
def test_a_collection_of_periods_is_pooled(many: Callable) -> None:
    frame = SMALL.assign(month=[1, 2, 3, 4, 5, 6], q="a")
    change = at.explain(
        frame, "ok / n", "q", period="month", baseline=many([1, 2, 3]), current=many([4, 5, 6])
    )
    assert change.total.baseline == 9 / 14
    assert change.cube.periods == ("1 + 2 + 3", "4 + 5 + 6")
    assert change.total.change == at.explain(
        SMALL.assign(q="a"), "ok / n", "q", period="month", baseline=1, current=2
    ).total.change  # fmt: skip


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow", "parquet", "csv"])
def test_where_leaves_out_what_it_cannot_decide_and_says_so(engine: str, tmp_path: Path) -> None:
    frame = SMALL.assign(q="a", score=[0.9, np.nan, 0.1, 0.8, np.nan, np.nan])
    data = ENGINES[engine](tmp_path, frame)
    above = at.Cube.from_data(data, "ok / n", "q", period="month", where="score > 0.5")
    np.testing.assert_array_equal(above.sums["ok"], [[3], [3]])
    below = at.Cube.from_data(data, "ok / n", "q", period="month", where="not score > 0.5")
    np.testing.assert_array_equal(below.sums["ok"], [[4]])
    for cube in (above, below):
        (finding,) = cube.findings
        assert finding["code"] == "null_condition"
        assert finding["facts"] == {"where": cube.provenance["where"], "rows": 3}
        assert "3 rows" in finding["message"]
    asked = at.Cube.from_data(data, "ok / n", "q", period="month", where="score == None")
    np.testing.assert_array_equal(asked.sums["ok"], [[2], [8]])
    assert asked.findings == ()


NAN = float("nan")
WRITERS: dict[str, Callable[[pa.Table, str], object]] = {
    "arrow": lambda table, path: pa.parquet.write_table(table, path),
    "polars": lambda table, path: pl.from_arrow(table).write_parquet(path),
    "duckdb": lambda table, path: duckdb.from_arrow(table).write_parquet(path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_nan_in_parquet_is_found_though_the_statistics_of_the_file_leave_it_out(
    writer: str, tmp_path: Path
) -> None:
    columns = {"month": [1, 1, 1, 2, 2, 2], "q": list("ababab"), "ok": [1.0, NAN, 1, 0, 1, 1],
               "team": [1.0, 2, NAN, 1, 2, 3], "n": [1] * 6}  # fmt: skip
    path = str(tmp_path / "rows.parquet")
    WRITERS[writer](pa.table(columns), path)
    for metric in ("ok / n", "ratio(ok / n)", "mean(ok)", "total(ok)", "quantile(ok, 0.5)"):
        with pytest.raises(DataContractError, match=r"ok: NaN values in 1 row \(1\)"):
            at.Cube.from_data(path, metric, "q", period="month")
    with pytest.raises(DataContractError, match=r"team: null values in 1 row \(2\)"):
        at.Cube.from_data(path, "n / n", "q", period="month", cluster="team")
    with pytest.raises(DataContractError, match=r"ok \+ 1: NaN values in 1 row \(1\)"):
        at.Cube.from_data(path, "n / n", "q", period="month", weight="ok + 1")
    cube = at.Cube.from_data(path, "n / n", "team", period="month")
    assert cube.levels == (("1", "2", "3", "(missing)"),)
    cube = at.Cube.from_data(path, "n / n", "q", period="month", where="team <= 3")
    assert cube.provenance["rows"] == 5
    assert [f["code"] for f in cube.findings] == ["null_condition"]
    assert at.Cube.from_data(path, "n / n", "q", period="team").findings[0]["facts"]["rows"] == 1


def test_rows_without_a_period_are_left_out_and_counted() -> None:
    for month in ([1.0, np.nan, 1, 2, 2, np.nan], ["1", None, "1", "2", "2", None]):
        cube = at.Cube.from_data(SMALL.assign(month=month, q="a"), "ok / n", "q", period="month")
        assert cube.periods == ("1", "2")
        assert [f["code"] for f in cube.findings] == ["null_period"]
        assert cube.findings[0]["facts"]["rows"] == 2
        assert cube.provenance["rows"] == 4


def test_dropping_invalid_rows_warns_with_the_count_and_equals_filtering() -> None:
    bad = ROWS.astype({"correct": float})
    bad.loc[[3, 40], "correct"] = [np.nan, -1.0]
    bad.loc[[5, 6], "correct"] = [np.inf, 99.0]
    with pytest.warns(DataQualityWarning, match="4 rows break the data contract") as caught:
        dropped = cube_of(bad, on_invalid="drop")
    assert len(caught) == 1
    kept = cube_of(ROWS.drop(index=[3, 40, 5, 6]))
    assert dropped.digest() == kept.digest()
    (finding,) = dropped.findings
    assert finding["code"] == "dropped_rows"
    assert finding["facts"]["rows"] == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cube_of(ROWS, on_invalid="drop").findings == ()


# -- files that hold several tables --------------------------------------------------------------


def test_partitions_are_periods_dimensions_and_conditions_as_they_are_written(
    tmp_path: Path,
) -> None:
    frame = SMALL.assign(queue=["007", None, "a/b, ü"] * 2)
    cube = at.Cube.from_data(hive(tmp_path, frame), "ok / n", "queue", period="month",
                             periods=[1], where="month < 1.5")  # fmt: skip
    assert cube.levels == (("a/b, ü", "007", "(missing)"),)
    assert cube.sums["ok"].sum() == 9


def test_a_database_file_is_read_only_and_names_its_tables(tmp_path: Path) -> None:
    path = database_path(tmp_path, ROWS)
    before = Path(path).stat()
    with pytest.raises(SourceError, match=r"holds 2 tables; name one, as in '.*duckdb::"):
        cube_of(path)
    with pytest.raises(SourceError, match=r"no table 'opps.reviews' .*mean 'ops.reviews'\?"):
        cube_of(path + "::opps.reviews")
    cube_of(path + "::ops.reviews")
    assert (Path(path).stat().st_mtime_ns, Path(path).stat().st_size) == (
        before.st_mtime_ns, before.st_size,
    )  # fmt: skip
    with (
        duckdb.connect(path),
        pytest.raises(SourceError, match="pass a relation of that connection"),
    ):
        cube_of(path + "::ops.reviews")
    (tmp_path / "false.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(SourceError, match=r"false.duckdb' cannot be opened"):
        cube_of(str(tmp_path / "false.duckdb"))
    with pytest.raises(MissingFileError, match=r"Did you mean 'warehouse.duckdb'"):
        cube_of(str(tmp_path / "warehose.duckdb::ops.reviews"))


def test_a_workbook_names_its_sheets_and_keeps_texts_as_written(tmp_path: Path) -> None:
    path = workbook_path(tmp_path, SMALL.assign(market=["NA", "007", None] * 2))
    with pytest.raises(SourceError, match=r"holds 2 sheets; name one, .*There: 'read me', 'rows'"):
        at.Cube.from_data(path, "ok / n", "market", period="month")
    with pytest.raises(SourceError, match=r"no sheet 'row' .*Did you mean 'rows'"):
        at.Cube.from_data(path + "::row", "ok / n", "market", period="month")
    cube = at.Cube.from_data(path + "::rows", "ok / n", "market", period="month")
    assert cube.levels == (("NA", "007", "(missing)"),)
    assert cube.provenance["name"] == path + "::rows"
    coded = SMALL.assign(code=["007", "008", None] * 2, flag=[True, False, None] * 2)
    path = workbook_path(tmp_path, coded)
    cube = at.Cube.from_data(path + "::rows", "ok / n", ["code", "flag"], period="month")
    assert cube.levels == (("007", "008", "(missing)"), ("false", "true", "(missing)"))
    path = workbook_path(tmp_path, SMALL.assign(x=[1, 2.5, None] * 2).iloc[:0])
    with pytest.raises(SourceError, match="the table has no rows"):
        at.Cube.from_data(path + "::rows", "ok / n", "x", period="month")
    twice = pd.concat([SMALL, SMALL[["ok"]].set_axis(["n"], axis=1)], axis=1)
    path = workbook_path(tmp_path, twice)
    with pytest.raises(SourceError, match=r"two columns of .*book.xlsx::rows' have the name 'n'"):
        at.Cube.from_data(path + "::rows", "ok / n", [], period="month")
    assert at.Cube.from_data(path + "::rows", at.Total("ok"), [], period="month").sums
    (tmp_path / "cut.xlsx").write_bytes(Path(path).read_bytes()[:2000])
    with pytest.raises(SourceError, match=r"cut.xlsx' cannot be read as a workbook"):
        cube_of(str(tmp_path / "cut.xlsx"))

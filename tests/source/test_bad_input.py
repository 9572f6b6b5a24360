"""Bad input is a clear error and no number: the parameter, what came, what is allowed."""

from __future__ import annotations

import gzip
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import attribution as at
from attribution import errors
from attribution.source import findings

ROWS = pd.DataFrame(
    {
        "month": ["2026-08"] * 4 + ["2026-09"] * 4,
        "queue": ["live", "video"] * 4,
        "market": ["ID", "ID", "BR", "BR"] * 2,
        "moderator": [1, 2, 1, 2, 3, 1, 2, 3],
        "weight": [1.0, 2.0] * 4,
        "correct": [8, 6, 7, 9, 6, 5, 9, 9],
        "reviewed": [10] * 8,
    }
)


def explain(data: object = ROWS, **changed) -> at.Attribution:
    options = {
        "metric": "correct / reviewed", "by": ["queue", "market"], "period": "month",
        "baseline": "2026-08", "current": "2026-09",
    }  # fmt: skip
    return at.explain(data, **{**options, **changed})


def says(error: type[Exception], *words: str, **changed) -> str:
    """Check that explain raises `error` with `words` in this order; return the message."""
    data = changed.pop("data", ROWS)
    with pytest.raises(error) as caught:
        explain(data, **changed)
    assert type(caught.value) is error
    message, start = str(caught.value), 0
    for word in words:
        assert word in message[start:], message
        start = message.index(word, start) + len(word)
    return message


def test_the_rows_of_these_tests_are_good() -> None:
    assert explain().total.change == pytest.approx(-0.025)
    assert explain(cluster="moderator", weight="weight", where="reviewed > 1").total.std_error > 0


# -- what is asked ----------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ["by", "period", "cluster", "weight"])
def test_an_unknown_column_is_named_with_the_nearest(parameter: str) -> None:
    message = says(
        errors.ColumnNotFoundError, f"{parameter}: no column 'quue'.", "Did you mean 'queue'?",
        "Columns: 'month', 'queue'", **{parameter: "quue"},
    )  # fmt: skip
    assert not message.startswith(("'", '"'))


def test_an_unknown_column_in_an_expression_is_named_with_the_nearest() -> None:
    says(errors.ColumnNotFoundError, "metric: no column 'corect' (in 'corect", "Did you mean "
         "'correct'?", metric="corect + 1 / reviewed")  # fmt: skip
    says(errors.ColumnNotFoundError, "where: no column 'markt'", "Did you mean 'market'?",
         where="markt == 'ID'")  # fmt: skip


@pytest.mark.parametrize("parameter", ["baseline", "current"])
def test_an_absent_period_lists_what_is_there(parameter: str) -> None:
    says(errors.PeriodError, "period: no '2026-10' in column 'month'.", "Did you mean",
         "There: '2026-08', '2026-09'.", **{parameter: "2026-10"})  # fmt: skip


@pytest.mark.parametrize("value", [11.4, "11.4", "x", True, dict, "11 or 1=1", "1e400"])
def test_a_period_is_never_rounded_to_one_that_exists(value: object) -> None:
    data = ROWS.assign(month=[11] * 4 + [12] * 4)
    says(errors.PeriodError, "period: no ", "There: '11', '12'", data=data, baseline=value,
         current=12)  # fmt: skip
    days = ROWS.assign(month=pd.to_datetime(ROWS["month"] + "-01").dt.date)
    says(errors.PeriodError, "There: '2026-08-01'", data=days, baseline="2026-08-01 13:00",
         current="2026-09-01")  # fmt: skip


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT, float("nan")])
def test_a_null_is_no_period(value: object) -> None:
    says(errors.PeriodError, "period: ", "is no period", baseline=value)


def test_baseline_and_current_must_differ() -> None:
    says(errors.PeriodError, "overlap: '2026-09'", baseline="2026-09")
    says(errors.PeriodError, "overlap: '2026-09'", baseline=["2026-08", "2026-09"])
    numbered = ROWS.assign(month=[11] * 4 + [12] * 4)
    says(errors.PeriodError, "overlap: '11'", data=numbered, baseline=11, current="11.0")
    says(errors.PeriodError, "baseline: an empty list", baseline=[])


def test_a_period_named_twice_counts_once() -> None:
    assert explain(baseline=["2026-08", "2026-08"]).total == explain().total
    assert explain(baseline=["2026-08", "2026-08"]).cube.periods == ("2026-08", "2026-09")


def test_one_period_alone_is_said_to_be_alone() -> None:
    one = ROWS[ROWS["month"] == "2026-08"]
    says(errors.PeriodError, "no '2026-09'", "There: '2026-08'.", "All rows are in that one period",
         data=one)  # fmt: skip


def test_a_dimension_needs_a_column_of_its_own() -> None:
    says(errors.OptionError, "by: 'queue' is named twice", by=["queue", "market", "queue"])
    roles = {"month": "the period column", "moderator": "a cluster column",
             "weight": "the weight column", "correct": "read by the metric",
             "reviewed": "read by the metric"}  # fmt: skip
    for column, role in roles.items():
        says(errors.OptionError, f"by: {column!r} is also {role}", by=["queue", column],
             cluster="moderator", weight="weight")  # fmt: skip
    says(errors.OptionError, "cluster: 'moderator' is named twice", cluster=["moderator"] * 2)


BAD_ARGUMENTS = {
    "by": [(5, errors.ColumnTypeError, "by: 5 is not text"),
           ([5], errors.ColumnTypeError, "by: 5 is not text"),
           ([None], errors.ColumnTypeError, "by: None is not text"),
           ({"queue"}, errors.ColumnTypeError, "by: a set has no order")],
    "period": [(None, errors.ColumnTypeError, "period: None is not text"),
               (["month"], errors.ColumnTypeError, "period: ['month'] is not text")],
    "cluster": [(5, errors.ColumnTypeError, "cluster: 5 is not text"),
                (["moderator", "weight", "month"], errors.OptionError, "3 columns; one, or two")],
    "weight": [(2, errors.ColumnTypeError, "weight: 2 is not text"),
               ("month", errors.ColumnTypeError, "weight: 'month' is text, not a number")],
    "where": [(5, errors.ColumnTypeError, "where: 5 is not text"),
              ("", errors.ExpressionError, "where: ''"),
              ("reviewed", errors.ExpressionError, "where: 'reviewed' is a number, not a condition"),
              ("'x'", errors.ExpressionError, "where: \"'x'\" is text, not a condition"),
              ("reviewed > 99", errors.OptionError, "where: 'reviewed > 99' leaves no rows"),
              ("month == '2026-09'", errors.PeriodError,
               "leaves no rows of period '2026-08'")],
    "mapping": [(5, errors.ColumnTypeError, "mapping: 5 is not of the form"),
                ({"queue": ["live"]}, errors.ColumnTypeError, "is not of the form {'queue': {"),
                ({"quue": {}}, errors.ColumnNotFoundError,
                 "mapping: no dimension 'quue'. Did you mean 'queue'?"),
                ({"queue": {"life": "x"}}, errors.OptionError,
                 "mapping: no level 'life' of 'queue'. Did you mean 'live'?")],
    "metric": [(None, errors.ColumnTypeError, "metric: None is not a metric"),
               ([], errors.OptionError, "metric: an empty list"),
               ("correct", errors.OptionError, "metric: 'correct' is not a ratio"),
               ("a / b / c", errors.OptionError, "metric: 'a / b / c' is not a ratio"),
               ("/ reviewed", errors.OptionError, "is not a ratio of two expressions")],
    "method": [("midpiont", errors.OptionError, "method: 'midpiont' is not one of 'midpoint', "
                "'threefold', 'baseline', 'current'. Did you mean 'midpoint'?")],
    "mix": [("shapely", errors.OptionError, "mix: 'shapely' is not one of")],
    "rates": [("additiv", errors.OptionError, "Did you mean 'additive'?")],
    "inference": [(None, errors.OptionError, "inference: None is not one of 'analytic'")],
    "adjust": [("bonferroni", errors.OptionError, "adjust: 'bonferroni' is not one of 'max-t', 'holm', 'bh'")],
    "on_invalid": [("ignore", errors.OptionError, "on_invalid: 'ignore' is not one of 'raise', "
                    "'drop'")],
    "conf_level": [(v, errors.OptionError, f"conf_level: {v!r} is not between 0 and 1")
                   for v in (95, 0, 1, -0.5, "0.95", None, True, float("nan"))],
    "material": [(v, errors.OptionError, f"material: {v!r} is not a positive number")
                 for v in (0, -0.1, "0.01", float("nan"))],
}  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "value", "error", "words"),
    [(p, *case) for p, cases in BAD_ARGUMENTS.items() for case in cases],
)
def test_a_bad_argument_is_named(
    parameter: str, value: object, error: type[Exception], words: str
) -> None:
    says(error, words, **{parameter: value})


@pytest.mark.parametrize("bad", [[1, 2], {"month": [1]}, None, 3, ROWS["queue"], ROWS.to_numpy()])
def test_what_is_not_a_table_is_refused(bad: object) -> None:
    message = says(errors.ColumnTypeError, "data: ", "is not a table. Allowed: a pandas", data=bad)
    assert len(message) < 250


def test_metrics_take_text_and_a_known_direction() -> None:
    with pytest.raises(errors.ColumnTypeError, match="Rate: 3 is not a column name"):
        at.Rate(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(errors.ColumnTypeError, match="Ratio: ' ' is not a column name"):
        at.Ratio("x", " ")
    with pytest.raises(errors.OptionError, match="better: 'up' is not one of 'higher', 'lower'"):
        at.Rate("x", better="up")


# -- what the data cannot answer --------------------------------------------------------------


def test_a_total_rename_names_the_dimension_and_proposes_a_mapping() -> None:
    renamed = ROWS.assign(queue=["live", "video"] * 2 + ["LIVE", "VIDEO"] * 2)
    message = says(
        errors.IdentificationError, "the levels of 'queue' changed", "'live', 'video' in 2026-08",
        "'LIVE', 'VIDEO' in 2026-09", "mapping={'queue':", data=renamed,
    )  # fmt: skip
    assert "market" not in message
    mapped = explain(renamed, mapping={"queue": {"LIVE": "live", "VIDEO": "video"}})
    assert mapped.total == explain().total


def test_identical_dimensions_are_both_named() -> None:
    twin = ROWS.assign(site=ROWS["queue"].map({"live": "Berlin", "video": "Lima"}))
    says(errors.IdentificationError, "'queue' and 'site' are identical", "Drop one", data=twin,
         by=["queue", "market", "site"])  # fmt: skip


def test_an_empty_table_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(",".join(ROWS) + "\n")
    for data in (ROWS.iloc[:0], pl.from_pandas(ROWS).clear(), str(tmp_path / "rows.csv")):
        says(errors.SourceError, "data: the table has no rows", data=data)
    says(errors.PeriodError, "period: column 'month' is null in every row",
         data=ROWS.assign(month=pd.Series([None] * 8, dtype="str")))  # fmt: skip


def test_a_denominator_of_zero_names_the_period() -> None:
    none = ROWS.assign(reviewed=[10] * 4 + [0] * 4, correct=[8] * 4 + [0] * 4)
    says(errors.PeriodError, "current: the denominator 'reviewed' of 'correct / reviewed' is 0 in "
         "'2026-09'", data=none)  # fmt: skip


def test_a_numerator_without_denominator_names_the_segment() -> None:
    stray = ROWS.assign(seconds=1.0, reviewed=[10, 10, 10, 0, 10, 10, 10, 10])
    says(errors.DataContractError, "1 segment", "video × BR in 2026-08", data=stray,
         metric="ratio(seconds / reviewed)")  # fmt: skip


def test_too_many_levels_warn_and_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pd.DataFrame({"month": [1, 2] * 5_001, "ok": 1})
    ids["id"] = np.arange(len(ids)) // 2
    monkeypatch.setattr(findings, "_MANY_LEVELS", 1_000)
    with pytest.warns(errors.DataQualityWarning, match="by: 'id' has 5,001 levels") as caught:
        cube = at.Cube.from_data(ids, at.Rate("ok"), "id", period="month")
    assert "did you mean it as cluster" in str(caught[0].message)
    monkeypatch.setattr("attribution.preparation._MOST_OF_ONE", 5_000)
    with pytest.raises(errors.OptionError, match=r"by: 'id' has 5,001 levels.*5,000.*cluster"):
        cube.explain(baseline=1, current=2)


# -- the data contract ------------------------------------------------------------------------


def test_all_findings_are_in_one_error_with_counts_and_first_rows() -> None:
    bad = ROWS.astype({"correct": float, "reviewed": float})
    bad.loc[1, "correct"] = 11
    bad.loc[[2, 5], "correct"] = -1
    bad.loc[3, "correct"] = np.inf
    bad.loc[6, "reviewed"] = np.nan
    bad.loc[7, "weight"] = -2
    bad["moderator"] = [1, None, 2, 2, 3, 1, 2, 3]
    with pytest.raises(errors.DataContractError) as caught:
        explain(bad, weight="weight", cluster="moderator")
    found = {(f["column"], f["problem"]): (f["count"], f["rows"]) for f in caught.value.findings}
    assert found == {
        ("correct", "negative values"): (2, [2, 5]),
        ("correct", "infinite values"): (1, [3]),
        ("correct", "successes above trials (reviewed)"): (1, [1]),
        ("reviewed", "null values"): (1, [6]),
        ("weight", "negative values"): (1, [7]),
        ("moderator", "null values"): (1, [1]),
    }
    for text in ("correct: negative values in 2 rows (2, 5)", "on_invalid='drop'", "where="):
        assert text in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.findings == caught.value.findings


def test_nan_and_null_are_told_apart_where_the_engine_has_both() -> None:
    both = pl.from_pandas(ROWS).with_columns(
        correct=pl.Series([1.0, None, float("nan"), 1, 1, 1, 1, float("nan")])
    )
    with pytest.raises(errors.DataContractError) as caught:
        explain(both)
    found = [(f["problem"], f["rows"]) for f in caught.value.findings]
    assert found == [("null values", [1]), ("NaN values", [2, 7])]


def test_only_the_first_rows_are_listed_and_only_rows_of_the_question_count() -> None:
    many = pd.concat([ROWS] * 1000, ignore_index=True).assign(correct=-1)
    with pytest.raises(
        errors.DataContractError, match="negative values in 8,000 rows .first: 0, 1, 2"
    ):
        explain(many)
    with pytest.raises(errors.DataContractError) as caught:
        explain(many, where="queue == 'video'")
    assert caught.value.findings[0]["count"] == 4000
    assert caught.value.findings[0]["rows"] == [1, 3, 5, 7, 9]
    elsewhere = pd.concat([ROWS, ROWS.assign(month="2026-07", correct=-1)])
    assert explain(elsewhere).total == explain().total


def test_rates_of_flags_and_negative_denominators_keep_the_contract() -> None:
    says(errors.DataContractError, "correct: successes above trials (1 per row) in 8 rows (first: 0",
         metric=at.Rate("correct"))  # fmt: skip
    says(errors.DataContractError, "reviewed: negative values in 1 row (0)",
         data=ROWS.assign(reviewed=[-10] + [10] * 7), metric="ratio(correct / reviewed)")  # fmt: skip
    signed = ROWS.assign(correct=[-8] + [6] * 7)
    assert explain(signed, metric="ratio(correct / reviewed)").total.baseline == 0.25


def test_a_table_of_invalid_rows_only_is_not_dropped_silently() -> None:
    none = ROWS.assign(correct=-1)
    with pytest.warns(errors.DataQualityWarning, match="8 rows"):
        says(errors.SourceError, "all 8 rows break the contract", data=none, on_invalid="drop")
    half = ROWS.assign(correct=[-1] * 4 + [1] * 4)
    with pytest.warns(errors.DataQualityWarning, match="4 rows"):
        says(errors.PeriodError, "no row of period '2026-08' keeps the data contract", data=half,
             on_invalid="drop")  # fmt: skip


@pytest.mark.parametrize("dtype", ["str", object, "category"])
def test_a_text_metric_is_refused_with_its_first_text(dtype: object) -> None:
    texts = ROWS.assign(correct=pd.Series(["8", "7", "n/a", "5", "5", "5", "5", "5"], dtype=dtype))
    says(errors.ColumnTypeError, "metric: 'correct' is text, not a number", "correct == 'yes'",
         data=texts)  # fmt: skip
    if dtype == "str":
        says(errors.ColumnTypeError, "First: 'n/a' in row 2", data=texts)
        says(
            errors.ColumnTypeError, "numbers written as text", data=ROWS.astype({"correct": "str"})
        )
    days = ROWS.assign(correct=pd.Timestamp("2026-08-01"))
    says(errors.ColumnTypeError, "metric: 'correct' is a time, not a number", data=days)


def test_a_text_compared_with_a_number_says_so() -> None:
    says(errors.SourceError, "Could not convert string 'live' to DOUBLE",
         "compared with a number is read as numbers", where="queue == 1")  # fmt: skip


# -- files ------------------------------------------------------------------------------------


def written(path: Path, text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    path.write_bytes(content)
    return str(path)


LINES = ROWS.to_csv(index=False).splitlines(keepends=True)
HEAD = LINES[0]


def test_a_missing_file_proposes_the_nearest(tmp_path: Path) -> None:
    written(tmp_path / "reviews.csv", "".join(LINES))
    says(errors.MissingFileError, "data: no file matches", "reveiws.csv", "Did you mean "
         "'reviews.csv'?", data=str(tmp_path / "reveiws.csv"))  # fmt: skip
    says(errors.MissingFileError, "no file matches", data=str(tmp_path / "none" / "*.parquet"))
    says(errors.MissingFileError, "no file matches", data=tmp_path / "select 1.csv")


@pytest.mark.parametrize("name", ["rows.txt", "rows.xls", "rows", "", "INSERT INTO t VALUES (1)"])
def test_an_unknown_kind_of_file_lists_the_known(name: str) -> None:
    says(errors.SourceError, f"data: {name!r} is neither a file that can be read",
         ".parquet, .csv, .csv.gz", "SQL", data=name)  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1" + bytes(100)])
def test_an_unreadable_parquet_file_is_named(content: bytes, tmp_path: Path) -> None:
    says(errors.SourceError, "bad.parquet", data=written(tmp_path / "bad.parquet", content))


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    ROWS.to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    says(errors.SourceError, "cut.parquet", data=path)
    path.write_bytes(whole[:8] + bytes(100) + whole[108:])
    says(errors.SourceError, "data: ", data=path)


def test_a_truncated_or_false_gzip_file_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = "".join(f"2026-08,q{x},1,2\n" for x in rng.integers(0, 10**9, 30_000))
    path = tmp_path / "cut.csv.gz"
    written(path, "month,queue,correct,reviewed\n" + noise)
    path.write_bytes(path.read_bytes()[:-5000])
    says(errors.SourceError, "cut.csv.gz", data=path, by="queue", baseline="2026-08")
    path.write_bytes(HEAD.encode())
    says(errors.SourceError, "cut.csv.gz", "cannot be read", data=path)


def bad_row(row: str, at_line: int) -> Callable[[], str]:
    def content() -> str:
        repeated = LINES[1:] * (at_line // 8 + 1)
        return "".join([HEAD, *repeated[: at_line - 2], row + "\n", *repeated[:100]])

    return content


BAD_CSV = {
    "a field too many, first": (bad_row("2026-08,live,ID,1,1.0,8,10,9", 2), "line 2: more "
                                "than the 7 of the header"),
    "a field too few, early": (bad_row("2026-08,live,ID", 12), "line 12: 3 fields instead of the 7"),
    "a field too many, far down": (bad_row("2026-08,live,ID,1,1.0,8,10,9", 25_000),
                                   "line 25000: more than the 7"),
    "a field too few, far down": (bad_row("2026-08", 25_000), "line 25000: 1 field instead of the 7"),
    "text in a number, far down": (bad_row("2026-08,live,ID,1,1.0,eight,10", 25_000),
                                   "line 25000: 'eight' in column 'correct' is not a number"),
    "an open quote": (bad_row('2026-08,"live,ID,1,1.0,8,10', 12), "line 12: a quote is opened"),
    "a comment": (bad_row("# corrected by hand", 12), "line 12: 1 field instead of the 7"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CSV)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_bad_csv_row_is_an_error_with_file_and_line(
    case: str, suffix: str, tmp_path: Path
) -> None:
    content, words = BAD_CSV[case]
    path = written(tmp_path / f"rows{suffix}", content())
    says(errors.SourceError, f"rows{suffix}'", words, data=path)
    says(errors.SourceError, f"rows{suffix}'", words, data=str(tmp_path / f"r*{suffix}"))


def test_text_among_the_first_numbers_names_the_row(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", bad_row("2026-08,live,ID,1,1.0,eight,10", 12)())
    says(errors.ColumnTypeError, "'correct' is text", "First: 'eight' in row 10", data=path)


def test_no_line_of_a_csv_file_is_skipped(tmp_path: Path) -> None:
    preamble = "Accuracy by queue\nAugust and September\n"
    says(errors.ColumnNotFoundError, "period: no column 'month'", "Columns: 'Accuracy by queue'",
         data=written(tmp_path / "a.csv", preamble + "".join(LINES)))  # fmt: skip
    says(errors.SourceError, "line 3: more than the 1 of the header", period="Accuracy by queue",
         by=[], metric=at.Rate("`Accuracy by queue` == 'x'"), data=str(tmp_path / "a.csv"))  # fmt: skip
    says(errors.SourceError, "is empty; its first line must name the columns",
         data=written(tmp_path / "b.csv", ""))  # fmt: skip
    says(errors.SourceError, "not UTF-8",
         data=written(tmp_path / "c.csv", (HEAD + "é" * 9).encode("latin-1")))  # fmt: skip
    says(errors.SourceError, "not UTF-8",
         data=written(tmp_path / "d.csv", "".join(LINES).encode("utf-16")))  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_inside_values_do_not_confuse_the_header(delimiter: str, tmp_path: Path) -> None:
    others = "".join(d for d in ",;\t|" if d != delimiter) * 9
    texts = ROWS.assign(queue=[f"live{others}", "vi\ndeo"] * 4)
    texts.to_csv(tmp_path / "rows.csv", index=False, sep=delimiter, lineterminator="\r\n")
    change = explain(str(tmp_path / "rows.csv"))
    assert change.total == explain().total
    assert set(change.cube.levels[0]) == {f"live{others}", "vi\ndeo"}
    marked = b"\xef\xbb\xbf" + (tmp_path / "rows.csv").read_bytes()
    assert explain(written(tmp_path / "marked.csv", marked)).total == change.total


def test_a_dimension_that_looked_numeric_for_long_simply_works(tmp_path: Path) -> None:
    lines = [f"{1 + i % 2},{i // 2 % 3},{i % 5},1,2" for i in range(30_000)]
    path = written(
        tmp_path / "rows.csv",
        "\n".join(["month,code,who,ok,n", *lines, "1,x12,w,1,2", "2,x12,w,1,2"]),
    )
    change = explain(path, metric="ok / n", by="code", baseline=1, current=2, cluster="who")
    assert set(change.cube.levels[0]) == {"0", "1", "2", "x12"}
    assert change.cube.provenance["rows"] == 30_002


# -- SQL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT 1; SELECT 2", "exactly one SELECT statement; these are 2"),
        ("SELECT 1; DROP TABLE t", "exactly one SELECT statement; these are 2"),
        ("WITH x AS (SELECT 1) INSERT INTO t FROM x", "must be a SELECT statement; this is INSERT"),
        ("SELECT FROM WHERE", "the SQL cannot be parsed"),
        ("SELECT nothing FROM nowhere", "the SQL cannot be run"),
        ("FROM ROWS", "Table with name ROWS does not exist"),
        ("FROM 'nowhere.csv'", "nowhere.csv"),
    ],
)
def test_sql_must_be_one_query_that_runs(sql: str, words: str) -> None:
    says(errors.SourceError, "data: ", words, data=sql)


def test_sql_that_fails_while_it_runs_is_an_error_of_the_source() -> None:
    bad = "SELECT CAST(x AS INTEGER) AS month, 1 AS queue, 1 AS ok FROM (VALUES ('a')) v(x)"
    says(errors.SourceError, "Could not convert string 'a' to INT32", data=bad, by="queue",
         metric=at.Rate("ok"), baseline=1, current=2)  # fmt: skip
    with duckdb.connect() as connection:
        relation = connection.sql(bad)
        says(errors.SourceError, "Could not convert", data=relation, by="queue",
             metric=at.Rate("ok"), baseline=1, current=2)  # fmt: skip


def test_every_error_is_one_of_ours_and_a_standard_one() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, Exception) and name.endswith("Error"):
            assert issubclass(kind, errors.AttributionError)
            if kind is not errors.AttributionError:
                assert issubclass(kind, ValueError | KeyError | TypeError)
                assert str(kind("a sentence")) == "a sentence"
                assert isinstance(pickle.loads(pickle.dumps(kind("a sentence"))), kind)


# -- what is never shown, what can be stopped ----------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["postgresql://ops:hunter2@db.example:5432/reviews", "mysql://ops:hun:ter2@db.example/reviews",
     "https://ops:hunter2@db.example/reviews.parquet", "snowflake://ops:hunter2@db.example/a.csv"],
)  # fmt: skip
def test_an_address_is_named_without_its_password(address: str) -> None:
    with pytest.raises(errors.SourceError) as caught:
        explain(data=address)
    assert "db.example" in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_sql_is_kept_without_its_passwords(tmp_path: Path) -> None:
    ROWS.to_parquet(tmp_path / "rows.parquet")
    text = f"SELECT * FROM '{tmp_path}/rows.parquet' WHERE 'host=h password=hunter2' <> 'x'"
    cube = at.Cube.from_data(text, "correct / reviewed", "queue", period="month")
    assert "hunter2" not in repr(cube) + repr(cube.provenance)
    assert "password=***" in cube.provenance["name"]
    wrong = text.replace("WHERE", "WHERE no_such_column AND")
    with pytest.raises(errors.SourceError) as caught:
        explain(data=wrong)
    assert "hunter2" not in str(caught.value)


ENDLESS = """
import signal
import attribution as at

rows = "SELECT a.range % 2 AS month, b.range % 97 AS q, 1 AS ok FROM range({n}) a, range({n}) b"
at.Cube.from_data(rows.format(n=10), at.Rate("ok"), "q", period="month")
print("started", flush=True)
try:
    at.Cube.from_data(rows.format(n=10**7), at.Rate("ok"), "q", period="month")
except KeyboardInterrupt:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    at.Cube.from_data(rows.format(n=10), at.Rate("ok"), "q", period="month")
    print("stopped", flush=True)
"""


def test_ctrl_c_stops_the_engine_and_leaves_it_usable() -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "started\n"
        for _ in range(30):
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            if process.poll() is not None:
                break
        assert process.stdout.read() == "stopped\n"
    finally:
        process.kill()
        process.communicate()


# -- a table as a spreadsheet exports it --------------------------------------------------------

EXPORTED = pd.DataFrame(
    {
        "Review Date": ["31/08/2026", "01/09/2026"] * 4,
        "Queue / Policy": ["live", "live", "ads", "ads"] * 2,
        "# Audited": [10] * 8,
        "# Correct": [9, 8, 9, 9, 8, 9, 9, 7],
        "Accuracy %": ["90.0%", "80.0%"] * 4,
    }
)


def test_columns_may_begin_with_a_number_sign() -> None:
    for metric in ("# Correct / # Audited", at.Rate("# Correct", "# Audited")):
        total = explain(
            EXPORTED, metric=metric, by="Queue / Policy", period="Review Date",
            baseline="31/08/2026", current="01/09/2026",
        ).total  # fmt: skip
        assert (total.baseline, total.current) == (35 / 40, 33 / 40)


def test_a_column_called_as_a_sum_of_ours_is_written_in_backticks() -> None:
    with pytest.raises(errors.ColumnTypeError, match=r"successes '#rows'.*'`#rows`'"):
        at.Rate("#rows", "reviewed")
    rows = ROWS.rename(columns={"correct": "#rows"})
    change = explain(rows, metric=at.Rate("`#rows`", "reviewed"))
    assert change.total.change == explain().total.change


def test_percentages_as_text_are_told_from_other_texts() -> None:
    says(errors.ColumnTypeError, "'Accuracy %' is text", "Its values are percentages.",
         "name the counts behind them", data=EXPORTED, metric="mean(Accuracy %)",
         by="Queue / Policy", period="Review Date", baseline="31/08/2026",
         current="01/09/2026")  # fmt: skip


def test_dates_in_another_order_say_how_they_are_read() -> None:
    message = says(errors.ColumnTypeError, "'31/08/2026' in row 0", "read_csv('file.csv', dateformat=",
                   data=EXPORTED, metric="# Correct / # Audited", by="Queue / Policy",
                   period="month of Review Date")  # fmt: skip
    assert "2026-03-09" in message


def test_an_odd_name_in_a_condition_is_told_of_backticks() -> None:
    says(errors.ExpressionError, "in `backticks`", data=EXPORTED, metric="# Correct / # Audited",
         by="Queue / Policy", where="Accuracy % == 'x'", period="Review Date",
         baseline="31/08/2026", current="01/09/2026")  # fmt: skip


# -- a text that is called as nulls are ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["str", "category", object])
def test_the_text_missing_beside_nulls_is_refused(kind: Any) -> None:
    queue = ["(missing)", "video", None, "video", "live", "(missing)", "live", None]
    data = ROWS.assign(queue=pd.Series(queue, dtype=kind))
    message = says(
        errors.DataContractError,
        "queue: the text '(missing)'",
        "of nulls",
        "2 rows (0, 5)",
        data=data,
    )
    assert "market" not in message
    with pytest.warns(errors.DataQualityWarning, match="2 rows break"):
        kept = explain(data, on_invalid="drop").cube
    assert kept.provenance["rows"] == 6
    assert kept.levels[0] == ("live", "video", "(missing)")


def test_it_is_listed_with_all_else_that_is_wrong() -> None:
    data = ROWS.assign(queue=["(missing)", None, *["live", "video"] * 3], correct=[8] * 7 + [99])
    message = says(errors.DataContractError, data=data)
    assert "successes above trials" in message
    assert "queue: the text '(missing)'" in message


def test_the_text_missing_alone_is_a_level_and_so_are_nulls_alone() -> None:
    queue = pd.Series(["(missing)", "video"] * 4)
    texts = explain(ROWS.assign(queue=queue))
    nulls = explain(ROWS.assign(queue=queue.where(queue == "video", None)))
    pd.testing.assert_frame_equal(texts.levels("queue"), nulls.levels("queue"))
    # Rows that the question leaves out cannot be confused.
    data = ROWS.assign(queue=["(missing)", None, "live", "live"] * 2)
    kept = explain(data, where="queue == 'live' or queue == None", by="queue")
    assert kept.cube.levels == (("live", "(missing)"),)
    says(errors.DataContractError, "queue: the text '(missing)'", data=data)


def test_a_regression_refuses_the_text_missing_beside_nulls() -> None:
    queue = ["(missing)", "video", None, "live"] * 4
    data = pd.concat([ROWS, ROWS], ignore_index=True).assign(queue=queue)
    options = {"outcome": "correct", "predictors": ["queue"], "group": "month"}
    options |= {"baseline": "2026-08", "current": "2026-09"}
    with pytest.raises(errors.DataContractError, match=r"queue: the text '\(missing\)'.* 4 rows"):
        at.oaxaca(data, **options)

"""What errors say: the parameter, what came, what is allowed, and what may have been meant."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution import errors
from attribution.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    DataQualityWarning,
    ExpressionError,
    OptionError,
    PeriodError,
)

KPI, ASK = "correct / reviewed", {"period": "month", "baseline": 1, "current": 2}
LONG = "x" * 500


def reviews() -> pd.DataFrame:
    rows = [
        (month, f"m{g}", queue, market, tenure, 40, 36 - (month == 2) * (g % 3))
        for month in (1, 2)
        for g in range(6)
        for queue in ("live", "spam")
        for market in ("BR", "ID", LONG)
        for tenure in (0, 1)
    ]
    names = ["month", "moderator", "queue", "market", "tenure", "reviewed", "correct"]
    return pd.DataFrame(rows, columns=names)


def explained(metric=KPI, by="queue", table=None, **asked) -> at.Attribution:
    return at.explain(reviews() if table is None else table, metric, by, **ASK, **asked)


def against_plan(**asked) -> at.Attribution:
    plan = pd.DataFrame({"queue": ["live", "spam"], "share": 0.5, "target": 0.9})
    asked = {"period": "month", "current": 2, **asked}
    return at.compare_to_plan(reviews(), plan, KPI, ["queue"], **asked)


# -- names that were meant -----------------------------------------------------------------------


def test_a_name_in_the_place_of_another_is_called_the_one_that_was_given():
    with pytest.raises(OptionError, match=re.escape(" 'bb' was given: did you mean 'b'?")):
        at.factors("a * b", {"a": 1, "b": 2}, {"a": 1, "bb": 2})
    leaves = {"volume": 10, "aht": 1, "productive_hours": 100, "utilisation": 0.5}
    said = "no value for 'utilization'. 'utilisation' was given: did you mean 'utilization'?"
    with pytest.raises(OptionError, match=re.escape(said)):
        at.capacity_tree().explain(leaves, leaves)


def test_a_name_that_is_right_is_not_proposed_for_another():
    sides = {"aa": 1.0, "ab": 2.0}, {"aa": 1.0}
    with pytest.raises(OptionError, match="no value for 'ab'") as caught:
        at.factors("aa * ab", *sides)
    assert "did you mean" not in str(caught.value).lower()


@pytest.mark.parametrize("where", ["market = 'BR'", "reviewed = 3", "`market` = '=='"])
def test_one_sign_of_equality_is_told_to_be_two(where):
    with pytest.raises(ExpressionError, match=re.escape("Write == to compare")):
        explained(where=where)


def test_signs_within_texts_are_none_of_the_condition():
    with pytest.raises(ExpressionError) as caught:
        explained(where="market == '=' +")
    assert "Write ==" not in str(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        "market == 'BRR'",
        "'BRR' == market",
        "market in ['BRR']",
        "market == 'BRR' and tenure > 0",
        "month == 2 and market == 'BRR'",
    ],
)
def test_a_condition_that_no_row_meets_names_the_level_that_is_near(where):
    with pytest.raises((OptionError, PeriodError), match="leaves no rows") as caught:
        explained(where=where)
    assert str(caught.value).endswith(" 'market' is never 'BRR'. Did you mean 'BR'?")


def test_a_condition_on_what_is_there_or_far_away_names_no_level():
    for where in ("market == 'BR' and tenure > 7", "market == 'zzzzzz'", "tenure == 9"):
        with pytest.raises(OptionError, match=r"leaves no rows\.$"):
            explained(where=where)


def test_long_names_are_cut_in_messages():
    with pytest.raises(OptionError, match="Did you mean 'BR'") as caught:
        explained(by="market").within(market="BRR")
    assert "xxx…xxx" in str(caught.value)
    assert len(str(caught.value)) < 250
    assert errors.listing(["a" * 80 + "1", "a" * 80 + "2"]).count("…") == 2
    assert errors.nearest(LONG + "y", [LONG]).count("x") < 80


def test_no_names_are_called_none():
    with pytest.raises(ColumnNotFoundError, match=r"no dimension 'x'\. Dimensions: none\."):
        explained(by=[]).levels("x")


# -- tables and columns that were meant ----------------------------------------------------------


def test_populations_with_different_numbers_of_rows_ask_for_their_elements():
    table = pd.DataFrame({"g": ["A", "A", "B"], "a": [1, 2, 3], "b": [2, 3, 3]})
    said = "by: 'B' has 1 row, 'A' 2 rows; name the columns that tell the elements"
    with pytest.raises(OptionError, match=said):
        at.standardize_factors("a * b", table, group="g")


def test_a_second_table_is_called_by_its_parameter():
    with pytest.raises(ColumnTypeError, match="^history: a list is not a table"):
        at.scorecard(reviews(), KPI, "moderator", period="month", current=2, history=[1])
    with pytest.raises(ColumnTypeError, match="^history: a list is not a table"):
        at.targets.plan([1], KPI, "queue", overall=0.9)
    with pytest.raises(ColumnTypeError, match="^data: a list is not a table"):
        at.scorecard([1], KPI, "moderator", period="month", current=2)


def test_a_period_in_the_place_of_a_table_is_told_what_belongs_there():
    said = "^baseline: 'x.x' .* It takes a mapping of segment to number or a table here: .*'queue'"
    with pytest.raises(OptionError, match=said):
        at.targets.completion(
            reviews(), {"live": 0.9}, KPI, "queue", period="month", current=2, baseline="x.x"
        )


def test_labels_of_two_reviewers_ask_for_their_categories():
    kappa = at.cohen_kappa("queue", "market")
    with pytest.raises(ColumnTypeError, match=r"'queue' is text.*categories=\[\.\.\.\]"):
        explained(kappa, by="tenure")
    with pytest.raises(ColumnTypeError, match="'queue' is text.*A text can be counted"):
        explained("mean(queue)", by="tenure")


def test_a_duration_is_told_to_be_seconds():
    table = reviews().assign(took=pd.to_timedelta(3, unit="s"))
    with pytest.raises(
        ColumnTypeError, match=r"'took' is a duration.*took\.dt\.total_seconds"
    ) as e:
        explained("mean(took)", table=table)
    assert "counted" not in str(e.value)


def test_a_table_of_rows_is_no_history():
    with pytest.raises(ColumnTypeError, match=r"^history: .* DataFrame is not a Cube.*from_data"):
        explained().context(reviews())
    with pytest.raises(ColumnTypeError) as caught:
        explained().context({"1": reviews()["queue"]})
    assert len(str(caught.value)) < 200


# -- plans ---------------------------------------------------------------------------------------


def test_a_plan_has_no_rows_to_permute():
    target = at.compare_to_plan(reviews(), 0.9, KPI, "queue", cluster="moderator", **ASK)
    for change in (against_plan(cluster="moderator"), target):
        with pytest.raises(OptionError, match="plan, which has no rows to permute"):
            change.permutation_test()


def test_causes_of_a_plan_speak_of_plan_and_actual():
    from attribution.causes.answer import _none

    assert "plan and actual have too little in common" in _none(against_plan(), None, "odds")
    assert "the two periods have too little" in _none(explained(), None, "odds")


# -- the dictionary ------------------------------------------------------------------------------


def test_a_kpi_of_the_dictionary_is_not_replaced_without_a_word():
    try:
        with pytest.warns(DataQualityWarning, match="'Accuracy' replaces a KPI .*replace=True"):
            at.kpis.add("Accuracy", at.Mean("seconds"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            at.kpis.add("accuracy", at.Mean("hours"), replace=True)
            at.kpis.add("own", at.Mean("seconds"))
            at.kpis.add("own", at.Mean("hours"))
        assert at.kpis.named("accuracy").value == "hours"
    finally:
        at.kpis.reset()


# -- numbers and words ---------------------------------------------------------------------------


def test_numbers_beyond_what_digits_tell_are_written_with_their_power():
    text = at.factors("a * b", {"a": 1e300, "b": 2}, {"a": 1e300, "b": 3}).summary()
    assert "rose from 2e+300 to 3e+300 (+1e+300)" in text
    assert len(text) < 500
    small = at.factors("a * b", {"a": 1e12, "b": 2}, {"a": 1e12, "b": 3}).summary()
    assert "3,000,000,000,000" in small


def test_a_column_of_one_letter_stands_in_words_with_what_it_holds():
    table = reviews()
    table = table.assign(c=np.where(table["moderator"] < "m3", "u", "v"))
    summary = explained(table=table, cluster="c").summary()
    assert "too few c values" in summary
    assert " cs" not in summary


def test_where_there_is_no_noise_no_change_is_too_small_to_be_seen():
    change = explained("reviewed / reviewed")
    for text in (change.summary(), str(change.narrative("page"))):
        assert "not distinguishable from noise" in text
        assert "could not be seen" not in text
    noisy = explained(table=reviews().assign(correct=lambda t: 30 + t.index % 5))
    assert "could not be seen" in noisy.summary()

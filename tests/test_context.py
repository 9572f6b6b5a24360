"""The context of a change: limits from the past alone, counts of larger changes, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.context import Context, usual_change
from attribution.errors import ColumnTypeError, OptionError, PeriodError
from attribution.infer.individuals import individual_limits

# Of 1,000 reviews a month. Changes: 2 3 1 4 2 3 2 (mean 17/7), then -12 to the current month.
CORRECT = [920, 922, 919, 920, 916, 918, 921, 919, 907]
MONTHS = [f"2025-{m:02d}" for m in range(1, 10)]


def cube_of(correct: list[int] = CORRECT, months: list = MONTHS, **options: object) -> at.Cube:
    frame = pd.DataFrame({"month": months, "queue": "A", "correct": correct, "reviewed": 1000})
    metric = at.Rate("correct", "reviewed", name="Accuracy", **options)
    return at.Cube.from_data(frame, metric, by=["queue"], period="month")


def asked(cube: at.Cube, baseline: object = "2025-08", current: object = "2025-09"):
    return cube.explain(baseline=baseline, current=current)


@pytest.fixture(scope="module")
def cube() -> at.Cube:
    return cube_of()


@pytest.fixture(scope="module")
def context(cube) -> Context:
    return usual_change(asked(cube), cube)


def test_limits_are_those_of_the_moving_ranges_before_the_current_period(context):
    last = context.frame.iloc[-1]
    moving = np.abs(np.diff(CORRECT[:-1])).mean() / 1000
    assert moving == pytest.approx(17 / 7 / 1000)
    center = np.mean(CORRECT[:-1]) / 1000
    assert last["center"] == pytest.approx(center)
    assert last["limit_low"] == pytest.approx(center - 2.66 * moving)
    assert last["limit_high"] == pytest.approx(center + 2.66 * moving)
    assert last["change_limit"] == pytest.approx(3.267 * moving)


def test_the_current_and_later_periods_move_no_limit(cube, context):
    wild = cube_of([*CORRECT[:-1], 500])
    assert usual_change(asked(wild), wild).frame["center"].iloc[0] == pytest.approx(
        context.frame["center"].iloc[0]
    )
    longer = cube_of([*CORRECT, 100, 999], [*MONTHS, "2025-10", "2025-11"])
    same = usual_change(asked(longer), longer)
    pd.testing.assert_frame_equal(same.frame, context.frame)
    assert same.notes == ("2 periods after 2025-09 left out.",)


def test_a_change_beyond_the_limit_is_unusual(context):
    assert context.unusual is True
    assert (context.larger, context.of) == (0, 7)
    assert str(context) == (
        "The change of −1.20 pp is larger than any of the 7 past month-to-month changes "
        "(limit ±0.79 pp): unusual. The level of 90.70 % lies below the natural limits of the "
        "past (91.29 to 92.58 %)."
    )
    assert repr(context) == ("<Context −1.20 pp: unusual, 0 of 7 past changes at least as large>")


def test_a_change_like_the_past_ones_is_ordinary(cube):
    found = usual_change(asked(cube, "2025-07", "2025-08"), cube)
    assert found.unusual is False
    # Of 2 3 1 4 2 3: all but the 1 are at least as large as 2.
    assert (found.larger, found.of) == (5, 6)
    assert str(found) == (
        "The change of −0.20 pp: 5 of the 6 past month-to-month changes were at least as large "
        "(limit ±0.82 pp): ordinary. 1 period after 2025-08 left out."
    )


def test_the_largest_change_within_the_limit_is_ordinary():
    cube = cube_of([*CORRECT[:-1], 914])
    found = usual_change(asked(cube), cube)
    assert (found.unusual, found.larger) == (False, 0)
    assert "larger than any of the 7 past" in str(found)
    assert "within their limit" in str(found)


def test_a_change_beyond_the_limit_can_have_a_precedent():
    cube = cube_of([920, 919, 920, 919, 920, 890, 891, 890, 860])
    found = usual_change(asked(cube), cube)
    assert (found.unusual, found.larger) == (True, 1)
    assert "1 of the 7 past month-to-month changes was at least as large" in str(found)
    assert "beyond their limit" in str(found)


def test_the_frame_has_a_row_per_period_with_role_and_signal(context):
    frame = context.frame
    assert list(frame.columns) == [
        "period", "value", "change", "center", "limit_low", "limit_high", "change_limit",
        "outside", "role",
    ]  # fmt: skip
    assert frame["period"].tolist() == MONTHS
    assert frame["value"].tolist() == pytest.approx([c / 1000 for c in CORRECT])
    assert frame["role"].tolist() == ["history"] * 7 + ["baseline", "current"]
    assert frame["outside"].isna().tolist() == [True] + [False] * 8
    assert frame.loc[frame["outside"].fillna(False), "period"].tolist() == ["2025-09"]


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_a_history_of_values_says_the_same_as_a_cube(cube, context, kind):
    values = kind(dict(zip(MONTHS, [c / 1000 for c in CORRECT], strict=True)))
    found = usual_change(asked(cube), values)
    pd.testing.assert_frame_equal(found.frame, context.frame)
    assert str(found) == str(context)


def test_dates_and_periods_name_months_too(cube):
    dated = cube_of(months=pd.date_range("2025-01-01", periods=9, freq="MS").tolist())
    found = usual_change(asked(dated, "2025-08-01", "2025-09-01"), dated)
    assert "month-to-month" in str(found)
    by_month = pd.Series(np.array(CORRECT) / 1000, pd.period_range("2025-01", periods=9, freq="M"))
    assert usual_change(asked(cube), by_month).of == 7


def test_rounded_figures_pass_and_the_change_stays_as_it_is(cube):
    rounded = {m: round(c / 1000, 2) for m, c in zip(MONTHS, CORRECT, strict=True)}
    rounded |= {"2025-08": 0.9192, "2025-09": 0.9068}
    found = usual_change(asked(cube), rounded)
    assert found.change == pytest.approx(-0.012)
    assert found.frame["change"].iloc[-1] == pytest.approx(-0.012)


def test_a_short_history_sets_no_limits(cube):
    short = cube_of(CORRECT[-5:], MONTHS[-5:])
    found = usual_change(asked(short), short)
    assert found.unusual is None
    assert (found.larger, found.of) == (0, 3)
    limits = found.frame[["center", "limit_low", "limit_high", "change_limit"]]
    assert limits.isna().all(axis=None)
    assert found.frame["outside"].isna().all()
    assert "3 past month-to-month changes, limits need 4" in str(found)
    assert "too short" in repr(found)
    assert usual_change(asked(cube), cube_of(CORRECT[-6:], MONTHS[-6:])).unusual is not None


def test_two_periods_alone_have_no_past(cube):
    pair = cube_of(CORRECT[-2:], MONTHS[-2:])
    found = usual_change(asked(pair), pair)
    assert (found.unusual, found.larger, found.of) == (None, 0, 0)


def test_missing_months_are_named_and_no_change_bridges_them():
    kept = [i for i, m in enumerate(MONTHS) if m != "2025-03"]
    gap = cube_of([CORRECT[i] for i in kept], [MONTHS[i] for i in kept])
    found = usual_change(asked(gap), gap)
    assert found.frame["period"].tolist() == MONTHS
    assert found.frame["value"].isna().tolist() == [m == "2025-03" for m in MONTHS]
    assert found.of == 5
    assert found.notes == (
        "The history has no value for 2025-03; changes from or to it do not count.",
    )
    assert found.notes[0] in str(found)
    null = dict(zip(MONTHS, [c / 1000 for c in CORRECT], strict=True)) | {"2025-03": None}
    pd.testing.assert_frame_equal(usual_change(asked(gap), null).frame, found.frame)


def test_periods_without_a_denominator_are_missing():
    frame = pd.DataFrame(
        {"month": MONTHS, "queue": "A", "correct": CORRECT, "reviewed": [1000] * 9}
    )
    frame.loc[2, ["correct", "reviewed"]] = 0
    cube = at.Cube.from_data(frame, "correct / reviewed", by=["queue"], period="month")
    assert "2025-03" in usual_change(asked(cube), cube).notes[0]


def test_a_seasonal_lag_compares_with_changes_of_the_same_span():
    months = [f"{y}-{m:02d}" for y in (2023, 2024, 2025) for m in range(1, 13)]
    season = 20 * np.cos(np.arange(36) * 2 * np.pi / 12)
    wobble = np.where(np.arange(36) // 12 == 1, 1, 0) * np.where(np.arange(36) % 2, 2, 3)
    cube = cube_of((900 + np.rint(season) + wobble).astype(int).tolist(), months)
    fell = usual_change(asked(cube, "2024-06", "2025-06"), cube, lag=12)
    assert (fell.of, fell.lag) == (17, 12)
    sizes = np.abs(individual_changes(fell.frame["value"].to_numpy()[:-1], 12))
    assert fell.frame["change_limit"].iloc[-1] == pytest.approx(3.267 * sizes.mean())
    assert "changes over 12 months" in str(fell)
    assert fell.frame["role"].iloc[-13] == "baseline"


def individual_changes(values: np.ndarray, lag: int) -> np.ndarray:
    return np.array([values[t] - values[t - lag] for t in range(lag, len(values))])


def test_a_change_of_another_span_names_the_lag_to_pass(cube):
    with pytest.raises(OptionError, match="^lag: 1, .*2025-06 to 2025-09 spans 3 .*lag=3"):
        usual_change(asked(cube, "2025-06"), cube)
    assert usual_change(asked(cube, "2025-06"), cube, lag=3).of == 5
    with pytest.raises(OptionError, match="does not come before"):
        usual_change(asked(cube, "2025-09", "2025-08"), cube)


@pytest.mark.parametrize("lag", [0, -1, 1.5, True, "12", None])
def test_lags_that_are_no_whole_number_are_refused(cube, lag):
    with pytest.raises(OptionError, match="^lag: "):
        usual_change(asked(cube), cube, lag=lag)


def test_pooled_periods_are_refused_with_what_to_do(cube):
    pooled = asked(cube, ["2025-06", "2025-07"])
    with pytest.raises(OptionError, match="^baseline: '2025-06 \\+ 2025-07'.*single periods"):
        usual_change(pooled, cube)


def test_a_history_without_a_period_of_the_change_is_refused(cube):
    with pytest.raises(PeriodError, match="no period '2025-09', the current of the change"):
        usual_change(asked(cube), cube_of(CORRECT[:-1], MONTHS[:-1]))


def test_a_history_of_another_kpi_part_or_unit_is_refused(cube):
    percent = dict(zip(MONTHS, [c / 10 for c in CORRECT], strict=True))
    with pytest.raises(OptionError, match="^history: 91.9 in 2025-08, but 0.919"):
        usual_change(asked(cube), percent)
    other = cube_of([c - 20 for c in CORRECT])
    with pytest.raises(OptionError, match="same KPI, part"):
        usual_change(asked(cube), other)


def test_a_part_is_judged_by_the_history_of_that_part():
    frames = [
        pd.DataFrame({"month": MONTHS, "queue": q, "correct": c, "reviewed": 1000})
        for q, c in (("A", CORRECT), ("B", [c - 100 for c in CORRECT]))
    ]
    cube = at.Cube.from_data(pd.concat(frames), "correct / reviewed", by=["queue"], period="month")
    part = asked(cube).within(queue="B")
    with pytest.raises(OptionError, match=r"Cube\.select"):
        usual_change(part, cube)
    assert usual_change(part, cube.select(queue="B")).unusual is True


@pytest.mark.parametrize(
    ("history", "error", "words"),
    [
        (None, ColumnTypeError, "NoneType is not a Cube"),
        ([0.9, 0.91], ColumnTypeError, "list is not a Cube"),
        ({"2025-08": "0.919", "2025-09": 0.907}, ColumnTypeError, "'0.919' in 2025-08"),
        ({"2025-08": np.inf, "2025-09": 0.907}, ColumnTypeError, "inf in 2025-08"),
        ({"2025-09": 0.907, "2025-08": 0.919}, OptionError, "not in time order"),
        ({"2025-08": np.nan, "2025-09": 0.907}, OptionError, "nan in 2025-08"),
        ({}, PeriodError, "no period '2025-08'"),
        (pd.Series([0.919, 0.9, 0.907], ["2025-08", "2025-08", "2025-09"]), OptionError, "once"),
    ],
)
def test_histories_that_are_none_are_refused(cube, history, error, words):
    with pytest.raises(error, match=words):
        usual_change(asked(cube), history)


def test_labels_that_are_no_months_keep_the_given_order():
    labels = ["w9", "w10", "w11", "w12", "w13", "w14", "w15", "w16", "w17"]
    cube = cube_of(months=labels)
    found = usual_change(asked(cube, "w16", "w17"), cube)
    assert found.frame["period"].tolist() == labels
    assert "period-to-period" in str(found)


def test_a_constant_past_makes_any_movement_unusual_and_none_ordinary():
    for last, unusual in ((921, True), (920, False)):
        cube = cube_of([920] * 8 + [last])
        found = usual_change(asked(cube), cube)
        assert found.unusual is unusual
        assert found.larger == (0 if unusual else 7)


def test_rounding_of_a_constant_kpi_is_no_movement():
    cube = cube_of([920] * 9)
    shaken = {m: 0.92 * (1 + 4e-16 * (i == 6)) for i, m in enumerate(MONTHS)}
    assert shaken["2025-07"] > 0.92
    found = usual_change(asked(cube), shaken)
    assert (found.unusual, found.larger, found.of) == (False, 7, 7)
    assert not found.frame["outside"].fillna(False).any()


def test_limits_hold_for_a_stable_process_and_catch_a_shift_of_five_sigma():
    rng = np.random.default_rng(4)
    beyond = shifted = 0
    for _ in range(500):
        values = rng.normal(size=25)
        limits = individual_limits(values[:-1])
        beyond += abs(values[-1] - values[-2]) > limits.change_limit
        shifted += abs(values[-1] + 5 * np.sign(values[-1] - values[-2]) - values[-2]) > (
            limits.change_limit
        )
    assert beyond / 500 < 0.03
    assert shifted / 500 > 0.8


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (at.Ratio("correct", "reviewed", volume="handled"), lambda x: x.correct / x.reviewed),
        ("total(correct)", lambda x: x.correct),
        (
            at.Product({"volume": "total(handled)", "reviews": "ratio(reviewed / handled)",
                        "accuracy": "correct / reviewed"}),
            lambda x: x.correct,
        ),
        (
            at.FunctionOfSums("2 * a / (2 * a + b + c)", {x: x for x in "abc"}),
            lambda x: 2 * x.a / (2 * x.a + x.b + x.c),
        ),
    ],
    ids=["volume", "total", "product", "function"],
)  # fmt: skip
def test_every_kpi_of_sums_has_a_past(metric, value):
    rng = np.random.default_rng(2)
    months = np.repeat([f"2026-{m:02}" for m in range(1, 11)], 2)
    data = pd.DataFrame({"month": months, "queue": ["A", "B"] * 10})
    data["handled"] = rng.integers(200, 400, 20)
    data["reviewed"] = data["handled"] // 2
    data["correct"] = (data["reviewed"] * rng.uniform(0.7, 0.9, 20)).astype(int)
    data[list("abc")] = rng.integers(20, 60, (20, 3))
    cube = at.Cube.from_data(data, metric, "queue", period="month")
    change = cube.explain(baseline="2026-09", current="2026-10")
    found = change.context(cube).frame.set_index("period")["value"]
    sums = data.groupby("month").sum(numeric_only=True)
    np.testing.assert_allclose(found, value(sums), rtol=1e-12)

"""The dictionary of KPIs: by name wherever a metric is taken, in a team's own columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution import errors


@pytest.fixture(autouse=True)
def forgotten():
    yield
    at.kpis.reset()


def reviews() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = 200
    return pd.DataFrame(
        {
            "month": np.repeat(["2026-07", "2026-08"], rows // 2),
            "queue": rng.choice(["chat", "live"], rows),
            "correct": rng.integers(0, 2, rows),
            "reviewed": 1,
            "handle_seconds": rng.uniform(20, 60, rows),
        }
    )


ASKED = {"by": ["queue"], "period": "month", "baseline": "2026-07", "current": "2026-08"}


def test_a_name_is_the_metric_it_stands_for():
    by_name = at.explain(reviews(), "accuracy", **ASKED)
    own = at.explain(reviews(), at.Rate("correct", "reviewed", name="Accuracy"), **ASKED)
    assert by_name == own
    assert at.explain(reviews(), "AHT", **ASKED).metric.better == "lower"
    spelled = [at.kpis.named(n) for n in ("utilization", "Utilisation", "tat-P90", "TAT p90")]
    assert spelled[0] == spelled[1] != spelled[2] == spelled[3]


def test_columns_are_bound_in_one_place():
    data = reviews().rename(columns={"correct": "is ok", "reviewed": "n"})
    at.kpis.bind({"correct": "`is ok`", "reviewed": "n"})
    expected = at.explain(reviews(), "correct / reviewed", **ASKED)
    pd.testing.assert_frame_equal(at.explain(data, "accuracy", **ASKED).effects, expected.effects)


def test_a_bound_expression_stands_in_parentheses_and_quoted_text_stays():
    at.kpis.bind({"violating": "a + b", "error_type": "kind"})
    assert at.kpis.named("precision").numerator == "actioned * (a + b)"
    assert at.kpis.named("over_enforcement").numerator == "kind == 'over_enforcement'"


def test_the_table_lists_every_kpi_with_its_trap():
    table = at.kpis.table()
    assert table["name"].is_unique
    assert (table[["definition", "date_axis", "weighting", "trap", "columns"]] != "").all(axis=None)
    assert set(table["better"]) == {"higher", "lower"}


def test_a_team_adds_its_own():
    at.kpis.add("Slow decisions", at.Rate("handle_seconds > 50", better="lower"))
    change = at.explain(reviews(), "slow-decisions", **ASKED)
    assert change.metric.better == "lower"
    assert "slow_decisions" in set(at.kpis.table()["name"])


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: at.explain(reviews(), "acuracy", **ASKED), errors.OptionError, "'accuracy'"),
        (lambda: at.kpis.named("ath"), errors.OptionError, "Did you mean 'aht'"),
        (lambda: at.kpis.bind({"corect": "ok"}), errors.OptionError, "Did you mean 'correct'"),
        (lambda: at.kpis.bind({"correct": ""}), errors.ColumnTypeError, "no text"),
        (lambda: at.kpis.bind("correct"), errors.ColumnTypeError, "mapping"),
        (lambda: at.kpis.add("a / b", at.Mean("x")), errors.OptionError, "no name"),
        (lambda: at.kpis.add("x", "mean(x)"), errors.ColumnTypeError, "neither"),
    ],
)
def test_what_no_kpi_has_is_refused_with_the_nearest(build, error, said):
    with pytest.raises(error, match=said):
        build()

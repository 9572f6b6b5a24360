"""at.composite_scorecard: gates first; a failed gate is never hidden, a missing KPI never zero."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import OptionError

ACCURACY = at.Rate("ok", "n", name="Accuracy")
SLA = at.Rate("in_time", "due", name="SLA")
ERRORS = at.Rate("wrong", "n", name="Errors", better="lower")
TARGETS = {"Accuracy": 0.93, "SLA": 0.95, "Errors": 0.05}


def month():
    """A is good; B fails quality and is fast; C has no SLA; D is tiny; E is on the edge."""
    return pd.DataFrame(
        {
            "site": ["A", "B", "C", "D", "E"],
            "n": [3000, 3000, 3000, 12, 400],
            "ok": [2880, 2600, 2820, 12, 360],
            "due": [2000, 2000, 0, 12, 400],
            "in_time": [1900, 1999, 0, 12, 380],
        }
    ).assign(wrong=lambda x: x.n - x.ok)


def composite(**options):
    given = {"targets": TARGETS, "gates": {"Accuracy": 0.90}} | options
    return at.composite_scorecard(month(), [ACCURACY, SLA, ERRORS], "site", **given)


def test_a_failed_gate_leaves_no_score_whatever_else_is_good():
    card = composite(weights={"SLA": 100, "Accuracy": 0.001}, cap=5)
    frame = card.frame.set_index("entity")
    assert frame.loc["B", "gate"] == "failed: Accuracy"
    assert np.isnan(frame.loc["B", "score"])
    assert frame.loc["B", "SLA status"] == "met"
    assert "B" in card.message
    shown = card.display_rows()
    assert shown[1][:3] == ("B", "failed: Accuracy", "no score")
    assert "failed: Accuracy" in card._repr_html_()


def test_open_and_unknown_gates_are_told_apart():
    frame = composite().frame.set_index("entity")
    assert frame["gate"].to_dict() == {
        "A": "passed",
        "B": "failed: Accuracy",
        "C": "passed",
        "D": "unknown: Accuracy",
        "E": "open: Accuracy",
    }
    assert np.isnan(frame.loc["D", "score"])
    assert np.isfinite(frame.loc["E", "score"])


def test_a_missing_kpi_is_missing_not_zero():
    card = composite()
    frame, kpis = card.frame.set_index("entity"), card.kpis.set_index(["entity", "kpi"])
    assert kpis.loc[("C", "SLA"), "status"] == "missing"
    assert pd.isna(kpis.loc[("C", "SLA"), "adjusted"])
    assert frame.loc["C", "missing"] == 1
    assert frame.loc["C", "weight_scored"] == pytest.approx(2 / 3)
    done = kpis.loc[[("C", "Accuracy"), ("C", "Errors")], "completion"].clip(upper=1)
    assert frame.loc["C", "score"] == pytest.approx(done.mean())
    gated = composite(gates={"SLA": 0.5}).frame.set_index("entity")
    assert gated.loc["C", "gate"] == "unknown: SLA"
    assert np.isnan(gated.loc["C", "score"])
    text = str(card)
    assert "missing" in text
    assert "nan" not in text.lower()


def test_no_kpi_pays_for_another_at_a_cap_of_one():
    card = composite()
    kpis = card.kpis[card.kpis.entity == "A"]
    score = card.frame.set_index("entity").loc["A", "score"]
    assert score == pytest.approx(np.minimum(kpis["completion"], 1).mean())
    assert score <= 1
    lower = kpis.set_index("kpi").loc["Errors"]
    assert lower["completion"] == pytest.approx(0.05 / lower["adjusted"])


def test_each_kpi_is_its_own_scorecard():
    card = composite()
    alone = at.scorecard(month(), ACCURACY, "site", target=0.93)
    pd.testing.assert_frame_equal(card.cards["Accuracy"].frame, alone.frame)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gates": {"Acuracy": 0.9}}, "gates: no KPI 'Acuracy'. Did you mean 'Accuracy'"),
        ({"weights": {"SLA": 0}}, "weights: 'SLA': 0 is not a positive number"),
        ({"cap": float("nan")}, "cap"),
        ({"targets": {"SLA": 0.9}, "weights": {"Accuracy": 1}}, "targets: none for 'Accuracy'"),
        ({"targets": {}}, "nothing to score"),
        ({"targets": {"Accuracy": 93}}, "above 100 %"),
    ],
)
def test_composites_that_cannot_be(options, words):
    with pytest.raises(OptionError, match=words):
        composite(**options)
    with pytest.raises(OptionError, match="fewer than two"):
        at.composite_scorecard(month(), [ACCURACY], "site", targets={"Accuracy": 0.9})
    with pytest.raises(OptionError, match="there twice"):
        at.composite_scorecard(month(), [ACCURACY, ACCURACY], "site", targets={"Accuracy": 0.9})


def test_kpis_of_the_dictionary_go_by_name_and_without_gates_none_is_passed():
    data = month().assign(reviewed=lambda x: x.n, correct=lambda x: x.ok)
    card = at.composite_scorecard(
        data,
        ["accuracy", SLA],
        "site",
        targets={"Accuracy": 0.93, "SLA": 0.95},
    )
    frame = card.frame.set_index("entity")
    assert set(frame["gate"]) == {"none"}
    assert np.isfinite(frame.loc["B", "score"])
    assert "gate is failed" not in str(card)


def test_it_pickles_and_compares():
    card = composite()
    assert pickle.loads(pickle.dumps(card)) == card
    assert len(repr(card)) < 200


def test_a_gate_out_of_range_is_called_a_gate():
    month = pd.DataFrame({"site": ["A", "B"], "n": [900] * 2, "ok": [800] * 2, "fast": [700] * 2})
    kpis = [at.Rate("ok", "n", name="Accuracy"), at.Rate("fast", "n", name="SLA")]
    wanted = {"Accuracy": 0.9, "SLA": 0.9}
    with pytest.raises(OptionError, match=r"^gates: 'Accuracy': 90 for all is above 100 %"):
        at.composite_scorecard(month, kpis, "site", targets=wanted, gates={"Accuracy": 90})
    with pytest.raises(OptionError, match=r"^targets: 'SLA': 95 for all is above 100 %"):
        at.composite_scorecard(month, kpis, "site", targets=wanted | {"SLA": 95})

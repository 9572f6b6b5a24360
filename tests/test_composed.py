"""Products of KPIs and error types: exact, with the intervals that one KPI of the same sums has."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decompose import compose, decompose, product_worth

ASKED = {"period": "month", "baseline": 1, "current": 2}
PRODUCT: Any = at.Product({"a": "mean(n)", "b": "total(n)"})
TYPES = {"Over": "over / n", "Under": "under / n", "Policy": "policy / n"}


@pytest.fixture(scope="module")
def reviews():
    """Counted reviews with three error types, and decisions with their time and pay."""
    rng = np.random.default_rng(3)
    rows = 400
    frame = pd.DataFrame(
        {
            "month": np.repeat([1, 2], rows // 2),
            "queue": rng.choice(list("ABC"), rows),
            "market": rng.choice(["BR", "ID"], rows),
            "moderator": rng.integers(0, 30, rows),
            "n": rng.integers(20, 40, rows),
        }
    )
    errors = rng.multinomial(frame["n"], [0.05, 0.04, 0.03, 0.88])
    frame[["over", "under", "policy", "correct"]] = errors
    frame["hours"] = frame["n"] * rng.gamma(20, 0.01, rows) * np.where(frame["month"] == 2, 1.1, 1)
    frame["cost"] = frame["hours"] * np.where(frame["market"] == "BR", 9, 12.5)
    frame["decided"] = np.where(frame["queue"] == "C", 0, rng.binomial(frame["n"], 0.4))
    frame["overturned"] = rng.binomial(frame["decided"], 0.3)
    return frame


@pytest.mark.parametrize("cluster", ["moderator", None])
def test_error_types_are_accuracy_line_by_line(reviews, cluster):
    asked = {**ASKED, "cluster": cluster, "rates": "saturated"}
    found = at.error_types(reviews, ["queue", "market"], TYPES, **asked)
    whole = at.explain(reviews, "correct / n", ["queue", "market"], **asked)
    for name in ("baseline", "current", "change", "std_error", "conf_low", "p_value"):
        assert getattr(found.total, name) == pytest.approx(getattr(whole.total, name), rel=1e-9)
    # Every line of accuracy is the sum of that line over the types, its noise included.
    lines, effects = whole.effects, found.effects
    stacked = np.tile(np.eye(len(lines)), 3)
    assert stacked @ effects["estimate"] == pytest.approx(lines["estimate"], abs=1e-12)
    errors = np.sqrt(np.diag(stacked @ found.covariance @ stacked.T))
    assert errors == pytest.approx(lines["std_error"], rel=1e-6)
    assert found.factors["estimate"].sum() == pytest.approx(found.total.change, abs=1e-12)
    one = found.changes["Over"].total
    assert found.factors["estimate"][0] == pytest.approx(-one.change, abs=1e-12)
    assert found.factors["std_error"][0] == pytest.approx(one.std_error, rel=0.05)


def test_the_dictionary_has_the_error_types():
    rng = np.random.default_rng(0)
    kinds = ["none", "over_enforcement", "under_enforcement", "wrong_policy", "technical"]
    rows = pd.DataFrame({"month": [1] * 300 + [2] * 300, "queue": list("AB") * 300, "reviewed": 1})
    rows["error_type"] = rng.choice(kinds, 600, p=[0.8, 0.05, 0.05, 0.05, 0.05])
    rows["correct"] = (rows["error_type"] == "none").astype(int)
    found = at.error_types(rows, "queue", **ASKED)
    whole = at.explain(rows, "correct / reviewed", "queue", **ASKED)
    assert found.total.change == pytest.approx(whole.total.change, abs=1e-12)
    assert list(found.factors["factor"])[:2] == ["Over-enforcement", "Under-enforcement"]


@pytest.mark.parametrize("cluster", ["moderator", None])
def test_a_product_that_is_one_ratio_has_its_change_and_noise(reviews, cluster):
    product = at.Product({"AHT": "ratio(hours / n)", "wage": "ratio(cost / hours)"}, name="Cost")
    asked = {**ASKED, "cluster": cluster}
    found = product.explain(reviews, ["queue", "market"], **asked)
    whole = at.explain(reviews, "ratio(cost / n)", ["queue", "market"], **asked)
    assert found.total.change == pytest.approx(whole.total.change, rel=1e-12)
    assert found.total.std_error == pytest.approx(whole.total.std_error, rel=0.01)
    assert found.effects["estimate"].sum() == pytest.approx(found.total.change, rel=1e-12)


def test_factors_are_das_guptas(reviews):
    product = at.Product(
        {"volume": "total(n)", "AHT": "ratio(hours / n)", "wage": "ratio(cost / hours)"}
    )
    found = product.explain(reviews, "queue", **ASKED).factors
    sides = [
        dict(zip(found["factor"], found[side], strict=True)) for side in ("baseline", "current")
    ]
    expected = at.factors("product", *sides).effects["estimate"]
    assert found["estimate"].tolist() == pytest.approx(expected.tolist(), rel=1e-9)


def test_factors_may_lack_segments_of_each_other(reviews):
    product = at.Product({"appeals": "decided / n", "overturns": "overturned / decided"}, unit="%")
    found = product.explain(reviews, "queue", **ASKED, cluster="moderator")
    sums = reviews.groupby("month")[["n", "overturned"]].sum()
    rate = sums["overturned"] / sums["n"]
    assert found.total.change == pytest.approx(rate[2] - rate[1], abs=1e-12)
    assert found.effects["estimate"].sum() == pytest.approx(found.total.change, abs=1e-12)


@pytest.mark.slow
def test_the_gradient_is_that_of_the_estimates():
    rng = np.random.default_rng(1)
    codes = np.array([[a, b] for a in range(3) for b in range(2)])
    there = [np.ones(6, dtype=bool), np.arange(6) != 4]
    sums = rng.uniform(5, 10, (4, 2, 6))
    sums[0, 0, 5] = sums[1, 0, 5] = 0  # a cell of one period only

    def composed(flat):
        D0, N0, D1, N1 = flat.reshape(4, 2, 6)
        parts = [
            decompose(D[:, c], N[:, c], D[:, c], codes[c], (3, 2), rates="saturated")
            for D, N, c in zip((D0, D1), (N0, N1), there, strict=True)
        ]
        R = np.prod([part.R for part in parts], axis=0)
        return compose(parts, there, R, product_worth)

    flat = sums.ravel()
    found = composed(flat)
    assert found.estimate.sum() == pytest.approx(np.diff(found.R)[0], abs=1e-12)
    exact, step = found.scores.toarray(), 1e-5
    for i in np.flatnonzero(flat):
        up, down = flat.copy(), flat.copy()
        up[i], down[i] = flat[i] + step, flat[i] - step
        numeric = (composed(up).estimate - composed(down).estimate) / (2 * step)
        assert exact[:, i] == pytest.approx(numeric, abs=1e-7)


def test_a_result_is_drawn_told_and_written(reviews, tmp_path):
    found = at.error_types(reviews, ["queue", "market"], TYPES, **ASKED, cluster="moderator")
    bridge = found.bridge()
    assert sum(bar.value for bar in bridge.bars) == pytest.approx(found.total.change, abs=1e-12)
    assert len(found.bridge(5).bars) == 5
    assert "Over: mix queue" in found.summary()
    assert found.plot.waterfall().get_figure() is not None
    found.to_json(tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text())["effects"][0]["factor"] == "Over"


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda d: at.Product({"AHT": "mean(hours)"}), "2 to 10 names"),
        (lambda d: at.Product({"a": "mean(n)", "b": "quantile(n, 0.5)"}), "'b' is a quantile"),
        (lambda d: at.error_types(d, "queue", {"a": "over / n", "b": "under / hours"}, **ASKED),
         "shares of the same trials"),
        (lambda d: at.error_types(d, "queue", TYPES, **ASKED, inference="bootstrap"),
         "inference='analytic'"),
        (lambda d: at.error_types(d, "queue", {"a": "correct / n", "b": "n / n"}, **ASKED),
         "more errors than trials in 6 segments: .*A in 1"),
        (lambda d: at.explain(d, PRODUCT, "queue", **ASKED),
         r"at\.Product\(\.\.\.\)\.explain"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(reviews, build, words):
    with pytest.raises(at.errors.AttributionError, match=words):
        build(reviews)

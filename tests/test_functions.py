"""KPIs of several sums: a volume of their own, totals, smooth functions; exact, with gradients."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import attribution as at
from attribution import errors
from attribution.decompose import (
    RatioForm,
    SmoothForm,
    TotalForm,
    decompose,
    decompose_function,
)
from attribution.gradient import Gradient
from attribution.infer import covariance
from attribution.testing import PROPERTIES, Case, check_decomposition, random_case

RATES = ("saturated", "additive")
CASES = [random_case(2, sizes=(3, 2), empty=0.2)]


class Folded:
    """A decomposition over several sums that are linear in (D, N), as one over (D, N)."""

    def __init__(self, parts, weights):
        self.lines, self.estimate, self.design = parts.lines, parts.estimate, parts.design
        dense = parts.gradient.toarray().reshape(len(parts.lines), len(weights), -1)
        folded = np.einsum("ljx,ji->lix", dense, np.array(weights, dtype=float))
        rows = sparse.csr_array(folded.reshape(len(dense), -1))
        self.gradient = Gradient.of(sparse.eye_array(len(dense), format="csr"), rows)


def folded(form, weights, rates):
    """Sums as rows of (weight of D, weight of N)."""

    def run(D, N, codes, sizes):
        sums = np.stack([a * D + b * N for a, b in weights])
        return Folded(decompose_function(sums, D, codes, sizes, form, rates=rates), weights)

    return run


def squared(m):
    """A function that is no ratio: the square of a rate."""
    return m[0] ** 2, np.stack([2 * m[0]])


@pytest.mark.parametrize("rates", RATES)
def test_a_ratio_whose_volume_is_its_denominator_is_the_plain_one(rates):
    case = random_case(2, empty=0.3)
    sums = np.stack([case.D, case.N, case.D])
    own = decompose_function(sums, case.D, case.codes, case.sizes, RatioForm(), rates=rates)
    plain = decompose(case.D, case.N, case.D, case.codes, case.sizes, rates=rates)
    np.testing.assert_allclose(own.estimate, plain.estimate, atol=1e-15)
    for part in ("mix", "rate"):
        np.testing.assert_allclose(own.level_parts[part], plain.level_parts[part], atol=1e-15)
        np.testing.assert_allclose(own.segment_parts[part], plain.segment_parts[part], atol=1e-15)


@pytest.mark.slow
def test_a_ratio_with_that_volume_has_every_property():
    check_decomposition(folded(RatioForm(), [(1, 0), (0, 1), (1, 0)], "additive"), cases=CASES)


@pytest.mark.slow
def test_a_ratio_with_a_volume_of_its_own_keeps_all_but_what_moves_n_against_d():
    # V = D, N = N, denominator = D + 2 N: neither 1 - R nor R + constant stay in this family.
    check_decomposition(
        folded(RatioForm(), [(1, 0), (0, 1), (1, 2)], "saturated"),
        without=["complement", "constant_shift"],
        cases=CASES,
        kpi=lambda D, N: N / (D + 2 * N),
    )


def test_adding_a_constant_to_a_ratio_with_a_volume_changes_nothing():
    case = random_case(3)
    rng = np.random.default_rng(0)
    den = case.D * rng.uniform(0.5, 2, case.D.shape)
    one, other = (
        decompose_function(np.stack([case.D, N, den]), case.D, case.codes, case.sizes, RatioForm())
        for N in (case.N, case.N + 7 * den)
    )
    np.testing.assert_allclose(one.estimate, other.estimate, atol=1e-12)
    flipped = decompose_function(
        np.stack([case.D, den - case.N, den]), case.D, case.codes, case.sizes, RatioForm()
    )
    np.testing.assert_allclose(one.estimate, -flipped.estimate, atol=1e-12)


@pytest.mark.slow
def test_a_total_keeps_all_but_what_its_volume_moves():
    # A sum grows with its volume, and a constant added to all rates grows with it too.
    check_decomposition(
        folded(TotalForm(), [(1, 0), (0, 1)], "additive"),
        without=["complement", "constant_shift", "volume_scale"],
        cases=CASES,
        kpi=lambda D, N: N,
    )


@pytest.mark.slow
def test_a_smooth_function_keeps_all_but_what_is_not_linear_in_it():
    check_decomposition(
        folded(SmoothForm(squared), [(1, 0), (0, 1)], "saturated"),
        without=["complement", "constant_shift"],
        cases=CASES,
        kpi=lambda D, N: (N / D) ** 2,
    )


def test_a_total_is_the_shapley_value_of_volume_mix_and_rate():
    case = random_case(4, sizes=(3,))
    parts = decompose_function(
        np.stack([case.D, case.N]), case.D, case.codes, case.sizes, TotalForm()
    )
    V, p, r = case.D.sum(axis=1), case.D / case.D.sum(axis=1)[:, None], case.N / case.D
    found = at.factors(
        lambda volume, share, rate: volume * (share * rate).sum(),
        {"volume": V[0], "share": p[0], "rate": r[0]},
        {"volume": V[1], "share": p[1], "rate": r[1]},
    )
    np.testing.assert_allclose(parts.estimate, found.effects["estimate"], rtol=1e-12)


def test_a_smooth_function_is_the_shapley_value_of_mix_and_rates():
    case = random_case(4, sizes=(3,))
    parts = decompose_function(
        np.stack([case.D, case.N]), case.D, case.codes, case.sizes, SmoothForm(squared)
    )
    p, r = case.D / case.D.sum(axis=1)[:, None], case.N / case.D
    found = at.factors(
        lambda share, rate: (share * rate).sum() ** 2,
        {"share": p[0], "rate": r[0]},
        {"share": p[1], "rate": r[1]},
    )
    np.testing.assert_allclose(parts.estimate, found.effects["estimate"], rtol=1e-12)


# -- entries and exits -----------------------------------------------------------------------


def turned(seed: int = 5) -> Case:
    case = random_case(seed, sizes=(4, 3))
    D = case.D.copy()
    D[1, case.codes[:, 0] == 3] = 0
    D[0, case.codes[:, 1] == 0] = 0
    seen = D.sum(axis=0) > 0
    return Case(D[:, seen], np.minimum(case.N, D)[:, seen], case.codes[seen], case.sizes)


@pytest.mark.parametrize(
    ("form", "weights", "kpi"),
    [
        (TotalForm(), [(1, 0), (0, 1)], lambda D, N: N),
        (RatioForm(), [(1, 0), (0, 1), (1, 2)], lambda D, N: N / (D + 2 * N)),
        (SmoothForm(squared), [(1, 0), (0, 1)], lambda D, N: (N / D) ** 2),
    ],
)
def test_entries_and_exits_are_exact_reversible_and_have_their_gradient(form, weights, kpi):
    run = folded(form, weights, "saturated")
    case = Case(*(getattr(turned(), x) for x in ("D", "N", "codes", "sizes")), kpi=kpi)
    effects = [line.effect for line in case.run(run).lines]
    assert "entry" in effects
    assert "exit" in effects
    for name in ("adds_up", "time_reversal", "gradient", "relabelling"):
        PROPERTIES[name](run, case)


def test_a_segment_that_enters_a_total_brings_its_whole_sum():
    case = turned()
    parts = decompose_function(
        np.stack([case.D, case.N]), case.D, case.codes, case.sizes, TotalForm()
    )
    entered = sum(
        x for line, x in zip(parts.lines, parts.estimate, strict=True) if line.effect == "entry"
    )
    assert entered == pytest.approx(case.N[1, case.codes[:, 1] == 0].sum(), rel=1e-12)


# -- on data ---------------------------------------------------------------------------------


def reviewed(seed: int = 1, rows: int = 600) -> pd.DataFrame:
    """Double reviews with a handle time, in two months, two queues and three markets."""
    rng = np.random.default_rng(seed)
    month, moderator = rng.integers(0, 2, rows), rng.integers(0, 40, rows)
    queue = (rng.random(rows) < 0.4 + 0.3 * month).astype(int)
    market = np.minimum(rng.integers(0, 3, rows) + ((month == 1) & (rng.random(rows) < 0.4)), 2)
    first = rng.random(rows) < 0.3 + 0.2 * queue
    agree = rng.random(rows) < 0.85 - 0.1 * month * queue + 0.004 * (moderator - 20)
    seconds = 40 + 10 * queue + 5 * market + 6 * month * queue + rng.normal(0, 4, rows)
    return pd.DataFrame(
        {
            "month": np.array(["2026-07", "2026-08"])[month],
            "queue": np.array(["chat", "live"])[queue],
            "market": np.array(["DE", "ID", "JP"])[market],
            "moderator": moderator,
            "first": first.astype(int),
            "second": np.where(agree, first, ~first).astype(int),
            "seconds": seconds,
            "hours": seconds / 3600 * rng.uniform(1, 1.5, rows),
            "one": 1,
        }
    )


ASKED = {
    "by": ["queue", "market"],
    "period": "month",
    "baseline": "2026-07",
    "current": "2026-08",
    "cluster": "moderator",
}
KPIS = {
    "total": at.Total("seconds", unit="s", better="lower"),
    "volume": at.Ratio("seconds", "hours", volume="one"),
    "kappa": at.cohen_kappa("first", "second"),
    "f2": at.f_score("first * second", "second * (1 - first)", "first * (1 - second)", 2),
}
VALUES = {
    "total": lambda x: x["seconds"].sum(),
    "volume": lambda x: x["seconds"].sum() / x["hours"].sum(),
    "kappa": lambda x: kappa_of(x["first"], x["second"]),
    "f2": lambda x: f2_of(x["first"], x["second"]),
}


def kappa_of(a, b) -> float:
    po = (a == b).mean()
    pe = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return (po - pe) / (1 - pe)


def f2_of(truth, found) -> float:
    tp, fp, fn = (truth * found).sum(), (found * (1 - truth)).sum(), (truth * (1 - found)).sum()
    return 5 * tp / (5 * tp + 4 * fn + fp)


@pytest.mark.parametrize("kpi", KPIS)
def test_the_bridge_leads_from_the_kpi_of_one_period_to_that_of_the_other(kpi):
    data = reviewed()
    change = at.explain(data, KPIS[kpi], **ASKED)
    by_month = {month: VALUES[kpi](x) for month, x in data.groupby("month")}
    assert change.total.baseline == pytest.approx(by_month["2026-07"], rel=1e-12)
    assert change.total.current == pytest.approx(by_month["2026-08"], rel=1e-12)
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, rel=1e-10)
    for dimension in ASKED["by"]:
        levels = change.levels(dimension)
        for part, effect in (("mix", "mix"), ("rate", "rate")):
            rows = change.effects[change.effects["effect"] == effect]
            rows = rows if part == "rate" else rows[rows["dimension"] == dimension]
            assert levels[part].sum() == pytest.approx(rows["estimate"].sum(), abs=1e-9)


@pytest.mark.parametrize("kpi", KPIS)
def test_errors_agree_with_the_jackknife_over_clusters(kpi):
    data = reviewed()
    change = at.explain(data, KPIS[kpi], rates="additive", **ASKED)
    parts, way = change._parts, change._units.ways[0]
    left_out = np.array(
        [
            parts.at((way.totals - own).reshape(parts.sums.shape)).estimate
            for own in way.sums.toarray()
        ]
    )
    G = way.count
    jackknife = np.sqrt((G - 1) / G * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    found = np.sqrt(np.maximum(np.diag(covariance(parts.gradient, change._units)), 0))
    named = change.effects["effect"] != "joint"
    np.testing.assert_allclose(found[named] / jackknife[named], 1, atol=0.06)


@pytest.mark.parametrize("kpi", KPIS)
def test_rows_without_clusters_give_what_clusters_of_one_row_give(kpi):
    data = reviewed().assign(row=lambda x: range(len(x)))
    asked = {**ASKED, "cluster": None, "rates": "additive"}
    of_rows = at.explain(data, KPIS[kpi], **asked)
    of_clusters = at.explain(data, KPIS[kpi], **{**asked, "cluster": "row"})
    np.testing.assert_allclose(
        of_rows.effects["std_error"], of_clusters.effects["std_error"], rtol=1e-7, atol=1e-12
    )
    np.testing.assert_allclose(of_rows.cov, of_clusters.cov, rtol=1e-6, atol=1e-12)
    assert of_rows.total.std_error == pytest.approx(of_clusters.total.std_error, rel=1e-8)


@pytest.mark.parametrize("kpi", KPIS)
def test_every_view_of_the_result_works(kpi, tmp_path):
    data = reviewed()
    change = at.explain(data, KPIS[kpi], **ASKED)
    assert change.check().iloc[0]["facts"]["residual"] == pytest.approx(0, abs=1e-9)
    assert pickle.loads(pickle.dumps(change)) == change
    assert '"verdict"' in change.to_json()
    assert change.within(queue="live").total.change != change.total.change
    assert set(change.segments()["queue"]) == {"chat", "live"}
    assert change.cov.shape == (len(change.effects),) * 2
    narrow, wide = change.conf_int(), change.conf_int(simultaneous=True)
    assert (wide["conf_high"] >= narrow["conf_high"] - 1e-12).all()
    assert change.test("rate = 0").p_value >= 0
    compared = change.compare_methods()
    sums = compared[["adjusted", "shapley", "das_gupta"]].sum()
    np.testing.assert_allclose(sums, change.total.change, rtol=1e-9)
    pathways = change.pathways().frame.to_numpy()
    mixed = change.effects[change.effects["effect"].isin(["mix", "joint"])]
    assert pathways.sum() == pytest.approx(mixed["estimate"].sum(), abs=1e-9)
    cube = at.Cube.from_data(data, KPIS[kpi], **{k: ASKED[k] for k in ("by", "period", "cluster")})
    cube.save(tmp_path / "cube.zip")
    again = at.Cube.load(tmp_path / "cube.zip").explain(baseline="2026-07", current="2026-08")
    pd.testing.assert_frame_equal(again.effects, change.effects)


@pytest.mark.parametrize(
    "kpi",
    [k if k == "total" else pytest.param(k, marks=pytest.mark.slow) for k in KPIS],
)
def test_the_bootstrap_agrees_with_the_linear_errors(kpi):
    asked = {**ASKED, "inference": at.Bootstrap(replicates=100), "rates": "additive"}
    change = at.explain(reviewed(), KPIS[kpi], **asked)
    linear = at.explain(reviewed(), KPIS[kpi], **{**asked, "inference": "analytic"})
    assert change.total.std_error == pytest.approx(linear.total.std_error, rel=0.25)
    rate = change.effects["effect"] == "rate"
    np.testing.assert_allclose(
        change.effects["std_error"][rate], linear.effects["std_error"][rate], rtol=0.25
    )


def test_the_bootstrap_of_rows_says_that_it_needs_clusters():
    asked = {**ASKED, "cluster": None, "inference": "bootstrap"}
    with pytest.raises(errors.OptionError, match="draws clusters"):
        _ = at.explain(reviewed(), KPIS["total"], **asked).effects


def test_kappa_of_labels_is_that_of_flags():
    data = reviewed()
    for column in ("first", "second"):
        data[f"{column}_label"] = np.where(data[column] == 1, "it's bad", "fine")
    labels = at.cohen_kappa("first_label", "second_label", ["it's bad", "fine"])
    a, b = (at.explain(data, kpi, **ASKED) for kpi in (labels, KPIS["kappa"]))
    np.testing.assert_allclose(a.effects["estimate"], b.effects["estimate"], atol=1e-12)
    np.testing.assert_allclose(a.effects["std_error"], b.effects["std_error"], atol=1e-12)


def test_pabak_moves_as_twice_the_agreement():
    data = reviewed()
    pabak = at.FunctionOfSums("2 * agree / n - 1", {"agree": "first == second", "n": "1"})
    agreement = at.explain(data, at.Rate("first == second"), **ASKED)
    found = at.explain(data, pabak, **ASKED)
    np.testing.assert_allclose(
        found.effects["estimate"], 2 * agreement.effects["estimate"], atol=1e-12
    )
    np.testing.assert_allclose(
        found.effects["std_error"], 2 * agreement.effects["std_error"], rtol=1e-9
    )


def test_a_segment_may_have_volume_and_no_denominator():
    data = reviewed()
    chat = (data["queue"] == "chat") & (data["month"] == "2026-07") & (data["market"] == "DE")
    data.loc[chat, "hours"] = 0.0
    with pytest.raises(errors.DataContractError, match="no denominator"):
        at.explain(data, at.Ratio("seconds", "hours"), **ASKED)
    change = at.explain(data, KPIS["volume"], **ASKED)
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, rel=1e-12)
    segment = change.segments().query("queue == 'chat' and market == 'DE'").iloc[0]
    assert np.isnan(segment["rate_baseline"])


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: at.Total(""), errors.ColumnTypeError, "value"),
        (lambda: at.Total("x", volume=1), errors.ColumnTypeError, "volume"),
        (lambda: at.Total("x", better="low"), errors.OptionError, "better"),
        (lambda: at.FunctionOfSums("a / b", ["a"]), errors.ColumnTypeError, "maps names"),
        (lambda: at.FunctionOfSums("a / b", {"a": "x"}), errors.ExpressionError, "Names: 'a'"),
        (lambda: at.FunctionOfSums("a + b", {"a": "x", "b": "y"}), errors.OptionError, "doubling"),
        (lambda: at.FunctionOfSums("a / a", {"a": "x", "b": "y"}), errors.OptionError, "not use"),
        (lambda: at.FunctionOfSums("a > b", {"a": "x", "b": "y"}), errors.ExpressionError, "no formula"),
        (lambda: at.FunctionOfSums("a/b", {"a": "", "b": "y"}), errors.ColumnTypeError, "column name"),
        (lambda: at.f_score("tp", "fp", "fn", beta=0), errors.OptionError, "beta"),
        (lambda: at.cohen_kappa("a", "b", ["x"]), errors.OptionError, "two or more"),
        (lambda: at.cohen_kappa("a", None), errors.ColumnTypeError, "second"),
        (
            lambda: at.explain(reviewed().assign(v=-1.0), at.Total("seconds", volume="v"), **ASKED),
            errors.DataContractError,
            "v: negative values",
        ),
        (
            lambda: at.explain(reviewed().assign(v=0.0), at.Total("seconds", volume="v"), **ASKED),
            errors.PeriodError,
            "the volume 'v' .* is 0",
        ),
        (
            lambda: at.explain(reviewed(), KPIS["total"], method="threefold", **ASKED),
            errors.OptionError,
            "method: .* is a Total",
        ),
        (
            lambda: at.explain(reviewed().assign(first=1, second=1), KPIS["kappa"], **ASKED),
            errors.OptionError,
            "not smooth",
        ),
        (
            lambda: at.explain(reviewed(), KPIS["total"], **ASKED).causes(),
            errors.OptionError,
            "one ratio of sums",
        ),
        (
            lambda: at.explain(reviewed(), KPIS["kappa"], **ASKED).lack_of_fit(),
            errors.OptionError,
            "one ratio",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_refused_in_words(build, error, said):
    with pytest.raises(error, match=said):
        build()

"""Regression decompositions against Stata's and statsmodels' own, and Kitagawa as a special case."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution.regression import Oaxaca, oaxaca

CASES = Path(__file__).parent / "cases"
CCARD = ["AGE", "INCOME", "INCOMESQ"]


@pytest.fixture(scope="module")
def ccard() -> pd.DataFrame:
    """Greene's credit card data, as statsmodels ships them."""
    from statsmodels.datasets.ccard.data import load_pandas

    loaded = load_pandas()
    return loaded.exog.assign(AVGEXP=loaded.endog)


@pytest.fixture(scope="module")
def expected() -> dict:
    path = CASES / "statsmodels_ccard_oaxaca" / "expected.json"
    return json.loads(path.read_text(encoding="utf-8"))


def parts(found: Oaxaca) -> dict[str, float]:
    by_part = found.effects.groupby("effect")["estimate"].sum().to_dict()
    np.testing.assert_allclose(
        [by_part[e] for e in found.parts["effect"]], found.parts["estimate"], rtol=1e-12
    )
    return by_part


def of_owners(table: pd.DataFrame, **options) -> Oaxaca:
    return oaxaca(table, "AVGEXP", CCARD, "OWNRENT", 0, 1, **options)


def test_threefold_is_stata_oaxaca(ccard, expected):
    stata = {k: v for k, v in expected["threefold"].items() if k != "gap"}
    exact = {k: v for k, v in expected["recomputed"].items() if k != "gap"}
    found = of_owners(ccard, kind="threefold")
    assert parts(found) == pytest.approx(stata, abs=1e-3)
    assert parts(found) == pytest.approx(exact, rel=1e-10)
    assert found.total.change == pytest.approx(expected["recomputed"]["gap"], rel=1e-12)


def test_threefold_the_other_way_round_is_stata_oaxaca(ccard, expected):
    found = oaxaca(ccard, "AVGEXP", CCARD, "OWNRENT", 1, 0, kind="threefold")
    stata = {k: v for k, v in expected["threefold_no_swap"].items() if k != "gap"}
    assert parts(found) == pytest.approx(stata, abs=1e-3)


@pytest.mark.parametrize(
    ("reference", "name"),
    [(0, "weight0"), (1, "weight1"), ("neumark", "neumark"), ("pooled", "pooled")],
)
def test_twofold_is_stata_oaxaca(ccard, expected, reference, name):
    found = of_owners(ccard, reference=reference)
    assert parts(found) == pytest.approx(expected[f"twofold_{name}"], abs=1e-3)


@pytest.mark.parametrize(
    ("reference", "statsmodels"),
    [
        (0, ("self_submitted", 0)),
        (1, ("self_submitted", 1)),
        (0.3, ("self_submitted", 0.3)),
        (0.5, ("reimers", None)),
        ("weighted", ("cotton", None)),
        ("neumark", ("nuemark", None)),
        ("pooled", ("pooled", None)),
    ],
)
def test_twofold_agrees_with_statsmodels_for_every_reference(ccard, reference, statsmodels):
    from statsmodels.stats.oaxaca import OaxacaBlinder

    # Its first group is the one with the lower value, 0. With swap=True its Cotton weights would
    # be those of the other group: it counts the rows before it exchanges the groups.
    exog = ccard[[*CCARD, "OWNRENT"]]
    theirs = OaxacaBlinder(ccard["AVGEXP"], exog, "OWNRENT", hasconst=False, swap=False)
    kind, weight = statsmodels
    unexplained, explained, gap = theirs.two_fold(
        two_fold_type=kind, submitted_weight=weight
    ).params
    found = oaxaca(ccard, "AVGEXP", CCARD, "OWNRENT", 1, 0, reference=reference)
    assert parts(found) == pytest.approx(
        {"explained": explained, "unexplained": unexplained}, rel=1e-9
    )
    assert found.total.change == pytest.approx(gap, rel=1e-12)


def test_threefold_agrees_with_statsmodels(ccard):
    from statsmodels.stats.oaxaca import OaxacaBlinder

    exog = ccard[[*CCARD, "OWNRENT"]]
    theirs = OaxacaBlinder(ccard["AVGEXP"], exog, "OWNRENT", hasconst=False)
    endowments, coefficients, interaction, _ = theirs.three_fold().params
    assert parts(of_owners(ccard, kind="threefold")) == pytest.approx(
        {"endowments": endowments, "coefficients": coefficients, "interaction": interaction},
        rel=1e-9,
    )


@pytest.mark.parametrize("model", ["linear", "logit"])
def test_one_category_with_the_mean_reference_is_kitagawas_mix_and_rate(model):
    folder = CASES / "ucb_admissions"
    counts = pd.read_csv(folder / "input.csv")
    published = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    rows = counts.melt(["Gender", "Dept"], var_name="decision", value_name="n")
    rows["admitted"] = (rows["decision"] == "Admitted").astype(int)
    options = {"weight": "n", "model": model}
    found = oaxaca(rows, "admitted", "Dept", "Gender", "Male", "Female", reference=0.5, **options)
    assert found.total.change == pytest.approx(published["total"], rel=1e-12)
    if model == "linear":
        wanted = {"explained": published["mix"], "unexplained": published["rate"]}
        assert parts(found) == pytest.approx(wanted, rel=1e-12)
    # A saturated logit has the rates of the departments themselves.
    threefold = oaxaca(
        rows, "admitted", "Dept", "Gender", "Male", "Female", kind="threefold", **options
    )
    by_dept = counts.set_index(["Dept", "Gender"])
    n = by_dept.sum(axis=1).unstack()
    p, r = n / n.sum(), by_dept["Admitted"].unstack() / n
    step, change = p["Female"] - p["Male"], r["Female"] - r["Male"]
    wanted = {
        "endowments": step @ r["Male"],
        "coefficients": p["Male"] @ change,
        "interaction": step @ change,
    }
    assert parts(threefold) == pytest.approx(wanted, rel=1e-9)


def test_normalized_dummies_of_one_factor_are_the_means_of_its_levels_written_out():
    """Gardeazabal and Ugidos (2004), Yun (2005): the constant is the mean of the levels' means."""
    rng = np.random.default_rng(8)
    n = 400
    table = pd.DataFrame({"year": rng.choice([1983, 2003], n), "union": rng.choice(list("nyz"), n)})
    level = table["union"].map({"n": 10.0, "y": 13.0, "z": 8.0})
    table["wage"] = level * (1 + 0.1 * (table["year"] == 2003)) + rng.normal(0, 2, n)
    mean = table.pivot_table(index="year", columns="union", values="wage", aggfunc="mean")
    share = pd.crosstab(table["year"], table["union"], normalize="index")
    constant = mean.mean(axis=1)
    coefficient = mean.sub(constant, axis=0)
    first, second = coefficient.loc[1983], coefficient.loc[2003]
    composition = second * (share.loc[2003] - share.loc[1983])
    structure = (second - first) * share.loc[1983]
    found = oaxaca(table, "wage", "union", "year", 1983, 2003, reference=1).effects
    by = found.set_index(["effect", "segment"])["estimate"]
    for name in "nyz":
        assert by["explained", name] == pytest.approx(composition[name], abs=1e-12)
        assert by["unexplained", name] == pytest.approx(structure[name], abs=1e-12)
    of_constant = found.query("effect == 'unexplained' and segment.isna()")["estimate"]
    assert float(of_constant.iloc[0]) == pytest.approx(constant[2003] - constant[1983], abs=1e-12)

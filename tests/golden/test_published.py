"""Published decompositions, recomputed to the tolerance of their tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at

CASES = Path(__file__).parent / "cases"


def load(name: str) -> tuple[pd.DataFrame, dict]:
    folder = CASES / name
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return pd.read_csv(folder / "input.csv"), expected


def total(change: at.Attribution, *effects: str) -> float:
    rows = change.effects
    return float(rows.loc[rows["effect"].isin(effects), "estimate"].sum())


def by_level(change: at.Attribution, dimension: str) -> pd.DataFrame:
    return change.levels(dimension).set_index("segment")


def test_berkeley_admissions_are_mix_against_a_rate_effect_of_the_other_sign():
    table, expected = load("ucb_admissions")
    change = at.explain(
        table,
        "Admitted / (Admitted + Rejected)",
        by="Dept",
        period="Gender",
        baseline="Male",
        current="Female",
    )
    assert change.total.baseline == pytest.approx(expected["crude"]["Male"], rel=1e-12)
    assert change.total.change == pytest.approx(expected["total"], rel=1e-12)
    assert total(change, "mix") == pytest.approx(expected["mix"], rel=1e-12)
    assert total(change, "rate") == pytest.approx(expected["rate"], rel=1e-12)
    levels = by_level(change, "Dept")
    for part in ("mix", "rate"):
        published = pd.Series(expected[f"{part}_by_dept"])
        np.testing.assert_allclose(levels[part][published.index], published, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "by"),
    [("dg1993_5_1_headship", ["age_group"]), ("dg1993_5_3_deathrate_race_age", ["race", "age"])],
)
def test_das_gupta_tables_give_the_published_mix_and_rate(name, by):
    table, expected = load(name)
    change = at.explain(
        table,
        at.Ratio("size * rate", "size"),
        by=by,
        period="pop",
        baseline=1970,
        current=1985,
        rates="saturated",
    )
    tolerance = expected["tolerance_rel"]
    assert change.total.baseline == pytest.approx(expected["crude"]["1970"], rel=tolerance)
    assert change.total.current == pytest.approx(expected["crude"]["1985"], rel=tolerance)
    assert change.total.change == pytest.approx(expected["total"], rel=tolerance)
    assert total(change, "mix", "joint") == pytest.approx(
        expected["kitagawa"]["mix"], rel=tolerance
    )
    assert total(change, "rate") == pytest.approx(expected["kitagawa"]["rate"], rel=tolerance)


def test_adjusted_mix_per_dimension_agrees_with_an_independent_projection():
    table, expected = load("dg1993_5_3_deathrate_race_age")
    change = at.explain(
        table,
        at.Ratio("size * rate", "size"),
        by=["race", "age"],
        period="pop",
        baseline=1970,
        current=1985,
        rates="saturated",
    )
    independent = expected["our_methods_not_published"]["additive_projection"]
    mix = change.effects[change.effects["effect"] == "mix"].set_index("dimension")["estimate"]
    assert mix["race"] == pytest.approx(independent["race"], rel=1e-9)
    assert mix["age"] == pytest.approx(independent["age"], rel=1e-9)
    assert total(change, "joint") == pytest.approx(independent["co_mix"], rel=1e-9)


def test_brinson_fachler_is_the_threefold_method_against_a_benchmark():
    table, expected = load("bacon_5_2_5_3_brinson")
    long = pd.concat(
        [
            pd.DataFrame(
                {
                    "side": side,
                    "segment": table["segment"],
                    "weight": table[f"w_{side}"],
                    "value": table[f"w_{side}"] * table[f"r_{side}"],
                }
            )
            for side in ("benchmark", "portfolio")
        ]
    )
    change = at.explain(
        long,
        at.Ratio("value", "weight"),
        by="segment",
        period="side",
        baseline="benchmark",
        current="portfolio",
        method="threefold",
    )
    levels = by_level(change, "segment").loc[table["segment"]]
    assert change.total.change == pytest.approx(expected["excess"], rel=1e-12)
    np.testing.assert_allclose(levels["mix"], expected["brinson_fachler_allocation"], atol=1e-15)
    np.testing.assert_allclose(
        levels["rate"],
        expected["bhb"]["selection"][:1]
        + [
            w * d
            for w, d in zip(
                table["w_benchmark"][1:],
                (table["r_portfolio"] - table["r_benchmark"])[1:],
                strict=True,
            )
        ],
        atol=1e-15,
    )
    np.testing.assert_allclose(levels["interaction"], expected["bhb"]["interaction"], atol=1e-15)
    np.testing.assert_allclose(
        levels["rate"] + levels["interaction"], expected["selection_incl_interaction"], atol=1e-15
    )


def test_death_rates_of_sweden_and_kazakhstan_are_divided_and_standardized_as_printed():
    table, expected = load("preston_2_1_sweden_kazakhstan")
    deaths, per, close = at.Rate("deaths", "pop"), expected["per"], expected["tolerance_abs"]
    change = at.explain(
        table, deaths, by="age", period="country", baseline="Kazakhstan", current="Sweden"
    )
    assert per * change.total.baseline == pytest.approx(expected["crude"]["Kazakhstan"], abs=close)
    assert per * change.total.current == pytest.approx(expected["crude"]["Sweden"], abs=close)
    assert per * change.total.change == pytest.approx(expected["total"], abs=close)
    assert per * total(change, "mix") == pytest.approx(expected["mix"], abs=close)
    assert per * total(change, "rate") == pytest.approx(expected["rate"], abs=close)
    groups = at.standardize(table, deaths, by="age", group="country").frame.set_index("group")
    for country, rate in expected["standardized_to_mean_composition"].items():
        assert per * groups.loc[country, "standardized"] == pytest.approx(rate, abs=5e-5)
    # The same by a formula of vectors, whose standardized values are those at mean rates too.
    sides = [x.set_index("age") for _, x in table.groupby("country")]
    sides = [
        {"pop": x["pop"] / x["pop"].sum(), "rate": per * x["deaths"] / x["pop"]} for x in sides
    ]
    found = at.factors("sum(pop * rate)", *sides).standardized.set_index("dimension")
    ends = [
        list(expected[x].values()) for x in ("at_mean_rates", "standardized_to_mean_composition")
    ]
    for factor, values in zip(("pop", "rate"), ends, strict=True):
        assert list(found.loc[factor, ["baseline", "current"]]) == pytest.approx(values, abs=5e-5)
    # Baseline weights: the composition of Kazakhstan, valued at the rates of Sweden.
    direct = at.explain(
        table, deaths, by="age", period="country", baseline="Kazakhstan", current="Sweden",
        method="baseline",
    )  # fmt: skip
    kept = direct.total.baseline + total(direct, "rate")
    assert per * kept == pytest.approx(expected["swedish_rates_in_kazakhstan"], abs=close)

"""Das Gupta's tables of functions of factors, two and five populations, through the public calls.

Prithwis Das Gupta (1993), Standardization and Decomposition of Rates: A User's Manual, US Bureau of
the Census, P23-186; each case says where its figures come from.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

import attribution as at

CASES = Path(__file__).parent / "cases"


def load(name: str) -> tuple[pd.DataFrame, dict]:
    folder = CASES / name
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return pd.read_csv(folder / "input.csv"), expected


def intrinsic_growth(Lx, mx):
    age = 7.5 + 5 * np.arange(1, len(Lx) + 1)
    return brentq(lambda r: np.exp(-r * age) @ (Lx * mx) / 1e5 - 1, -0.5, 0.5, xtol=1e-14)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("dg1993_2_3_nonmarital_abcd", None),
        ("dg1993_4_4_illegitimacy_vectors", None),
        ("dg1993_4_1_intrinsic_growth", intrinsic_growth),
    ],
)
def test_functions_of_numbers_and_vectors_and_a_root_of_an_equation(name, function):
    table, expected = load(name)
    first, second = (table[table["pop"] == int(x)] for x in expected["populations"])
    change = at.factors(function or expected["rate_function"], first, second)
    tolerance = expected["tolerance_rel"]
    ends = (change.total.baseline, change.total.current)
    assert ends == pytest.approx(tuple(expected["crude"].values()), rel=tolerance)
    assert change.total.change == pytest.approx(expected["total"], rel=tolerance)
    effects = change.effects.set_index("dimension")["estimate"].to_dict()
    assert effects == pytest.approx(expected["effects"], rel=2e-6)
    alone = change.standardized.set_index("dimension")[["baseline", "current"]]
    for factor, values in expected["standardized"].items():
        assert list(alone.loc[factor]) == pytest.approx(values, rel=tolerance)


def test_five_populations_standardized_for_four_vector_factors():
    table, expected = load("dg1993_6_5_illegitimacy_five_populations")
    asked = {"group": "pop", "by": "agegroup"}
    found = at.standardize_factors(expected["rate_function"], table, **asked)
    tolerance = expected["tolerance_rel"]
    assert list(found.populations) == expected["populations"]
    assert list(found.crude) == pytest.approx(expected["crude"], rel=tolerance)
    for factor, values in expected["standardized"].items():
        assert list(found.table.loc[factor]) == pytest.approx(values, rel=tolerance)
    pairs = found.pairs.set_index(["dimension", "baseline", "current"])["estimate"]
    for factor, effects in expected["pairs"].items():
        for pair, effect in effects.items():
            assert pairs[(factor, *pair.split("-"))] == pytest.approx(effect, rel=tolerance)
    # They lead from any population to any other along any way, and add up to the difference.
    change = dict(zip(found.populations, found.crude, strict=True))
    for a, b in itertools.combinations(found.populations, 2):
        total = sum(pairs[(factor, a, b)] for factor in found.factors)
        assert total == pytest.approx(change[b] - change[a], rel=1e-12)
    assert pairs["A", "1963", "1968"] + pairs["A", "1968", "1983"] == pytest.approx(
        pairs["A", "1963", "1983"], rel=1e-12
    )
    frame = found.frame
    assert frame.groupby("group")["effect"].sum().to_dict() == pytest.approx(
        {k: x - np.mean(found.crude) for k, x in change.items()}, rel=1e-9
    )


def test_pairs_of_populations_alone_are_those_of_the_table_and_contradict_each_other():
    table, expected = load("dg1993_6_5_illegitimacy_five_populations")
    for pair, effects in expected["alone"].items():
        first, second = (table[table["pop"] == int(x)] for x in pair.split("-"))
        two = at.factors(expected["rate_function"], first, second)
        found = two.effects.set_index("dimension")["estimate"].to_dict()
        assert found == pytest.approx(effects, rel=expected["tolerance_rel"])
        # Two populations standardized together are the plain decomposition.
        both = at.standardize_factors(expected["rate_function"], {"first": first, "second": second})
        assert dict(zip(both.factors, both.pairs["estimate"], strict=True)) == pytest.approx(found)
        alone = two.standardized.set_index("dimension")[["baseline", "current"]]
        np.testing.assert_allclose(both.table.iloc[:-1], alone, rtol=1e-12)

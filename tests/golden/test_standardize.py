"""Standardization of many populations against published tables and Das Gupta's own formula."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.groups import standardize

CASES = Path(__file__).parent / "cases"


def load(name: str) -> tuple[pd.DataFrame, dict]:
    folder = CASES / name
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return pd.read_csv(folder / "input.csv"), expected


def effect(pairs: pd.DataFrame, name: str) -> float:
    return float(pairs.loc[pairs["effect"] == name, "estimate"].sum())


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("dg1993_5_1_headship", ["age_group"]),
        ("dg1993_5_3_deathrate_race_age", ["race", "age"]),
        ("dasguptr_oracle_synthetic_3way", ["q", "p", "m"]),
    ],
)
def test_two_populations_give_the_published_decomposition(name, by):
    table, expected = load(name)
    found = standardize(table, at.Ratio("size * rate", "size"), by, group="pop", rates="saturated")
    tolerance = expected["tolerance_rel"]
    crude = found.frame.set_index("group")["crude"]
    for population, value in expected["crude"].items():
        assert crude[population] == pytest.approx(value, rel=tolerance)
    rate, mix = (expected["kitagawa"][part] for part in ("rate", "mix"))
    assert effect(found.pairs, "rate") == pytest.approx(rate, rel=tolerance)
    assert effect(found.pairs, "mix") + effect(found.pairs, "joint") == pytest.approx(
        mix, rel=tolerance
    )
    projected = expected["our_methods_not_published"]["additive_projection"]
    of_dimension = found.pairs[found.pairs["effect"] == "mix"].set_index("dimension")["estimate"]
    for dimension in by:
        assert of_dimension[dimension] == pytest.approx(projected[dimension], rel=1e-9)


def test_headship_rates_standardized_for_age_are_those_at_the_mean_age_distribution():
    table, _ = load("dg1993_5_1_headship")
    found = standardize(table, at.Ratio("size * rate", "size"), "age_group", group="pop")
    by_year = table.pivot(index="age_group", columns="pop", values=["size", "rate"])
    share = by_year["size"] / by_year["size"].sum()
    wanted = share.mean(axis=1) @ by_year["rate"]
    np.testing.assert_allclose(found.frame["standardized"], wanted, rtol=1e-12)


def das_gupta(A: np.ndarray) -> np.ndarray:
    """His equation for N populations, from the pairwise standardized rates A[i, j] = A_{i.j}."""
    N, found = len(A), []
    for k in range(N):
        others = [i for i in range(N) if i != k]
        first = sum(A[k, j] for j in others) / (N - 1)
        second = sum(sum(A[i, j] for j in others if j != i) - (N - 2) * A[i, k] for i in others)
        found.append(first + second / (N * (N - 1)))
    return np.array(found)


@pytest.mark.parametrize("populations", [3, 5])
def test_standardized_rates_are_das_guptas_published_formula(populations):
    rng = np.random.default_rng(populations)
    size = rng.integers(20, 400, (populations, 6)).astype(float)
    rate = rng.uniform(0.1, 0.9, (populations, 6))
    share = size / size.sum(axis=1, keepdims=True)
    pair = itertools.product(range(populations), repeat=2)
    of_rate, of_mix = (np.zeros((populations, populations)) for _ in range(2))
    for i, j in pair:
        of_rate[i, j] = (share[i] + share[j]) / 2 @ rate[i]
        of_mix[i, j] = share[i] @ (rate[i] + rate[j]) / 2
    codes = [(k, c) for k in range(populations) for c in range(6)]
    table = pd.DataFrame(codes, columns=["pop", "age"])
    table["size"], table["events"] = size.ravel(), (size * rate).ravel()
    found = standardize(table, at.Ratio("events", "size"), "age", group="pop")
    np.testing.assert_allclose(found.frame["standardized"], das_gupta(of_rate), rtol=1e-12)
    at_mix = das_gupta(of_mix)
    mix = found.pairs[found.pairs["effect"] == "mix"]
    wanted = [at_mix[j] - at_mix[i] for i, j in itertools.combinations(range(populations), 2)]
    np.testing.assert_allclose(mix["estimate"], wanted, atol=1e-14)


def test_berkeley_departments_admit_women_more_at_the_same_mix_of_departments():
    table, expected = load("ucb_admissions")
    found = standardize(table, "Admitted / (Admitted + Rejected)", "Dept", group="Gender")
    frame = found.frame.set_index("group")
    gap = frame.loc["Female"] - frame.loc["Male"]
    assert gap["crude"] == pytest.approx(expected["total"], rel=1e-12)
    assert gap["standardized"] == pytest.approx(expected["rate"], rel=1e-12)

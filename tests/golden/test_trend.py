"""Half a century of births: chained and direct effects, and a standard for many years.

Prithwis Das Gupta (1993), Standardization and Decomposition of Rates, Census P23-186, table 6.6.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at

CASE = Path(__file__).parent / "cases" / "dg1993_6_6_birthrate_1940_1990"
BIRTHS = at.Ratio("thous * birthrate", "thous", name="Birth rate")


@pytest.fixture(scope="module")
def births() -> pd.DataFrame:
    return pd.read_csv(CASE / "input.csv")


def shares_and_rates(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    wide = table.pivot(index="year", columns="agebin", values=["thous", "birthrate"])
    size = wide["thous"].to_numpy(float)
    return size / size.sum(axis=1, keepdims=True), wide["birthrate"].to_numpy(float)


def kitagawa(p: np.ndarray, r: np.ndarray) -> tuple[float, float]:
    mix = (p[1] - p[0]) @ (r[0] + r[1]) / 2
    return mix, (p[0] + p[1]) @ (r[1] - r[0]) / 2


def test_effects_of_fifty_years_chained_and_end_to_end(births):
    expected = json.loads((CASE / "expected.json").read_text(encoding="utf-8"))
    found = at.trend(births, BIRTHS, "agebin", period="year")
    p, r = shares_and_rates(births)
    steps = [kitagawa(p[t : t + 2], r[t : t + 2]) for t in range(50)]
    paths = found.compare_paths().set_index("effect")
    for path, own in (
        ("chained", np.sum(steps, axis=0)),
        ("end_to_end", kitagawa(p[[0, 50]], r[[0, 50]])),
    ):
        assert list(paths[path][["mix", "rate"]]) == pytest.approx(list(own), rel=1e-10)
        for effect, value in expected[path].items():
            assert round(paths[path][effect], 2) == value
    assert found.total.change == pytest.approx(p[50] @ r[50] - p[0] @ r[0], rel=1e-12)


def test_eleven_years_at_the_same_ages(births):
    some = births[births["year"] % 5 == 0]
    found = at.standardize(some, BIRTHS, "agebin", group="year")
    p, r = shares_and_rates(some)
    N = len(p)
    A = np.array([[(p[i] + p[j]) @ r[i] / 2 for j in range(N)] for i in range(N)])
    wanted = []
    for k in range(N):  # equation 6.11
        others = [i for i in range(N) if i != k]
        first = A[k, others].sum() / (N - 1)
        second = sum(sum(A[i, j] for j in others if j != i) - (N - 2) * A[i, k] for i in others)
        wanted.append(first + second / (N * (N - 1)))
    np.testing.assert_allclose(found.frame["standardized"], wanted, rtol=1e-12)
    np.testing.assert_allclose(found.frame["crude"], (p * r).sum(axis=1), rtol=1e-12)
    rate = found.pairs[found.pairs["effect"] == "rate"].set_index(["baseline", "current"])
    rate = rate["estimate"]
    for a, b, c in itertools.combinations(map(str, range(1940, 1991, 10)), 3):
        assert rate[a, b] + rate[b, c] == pytest.approx(rate[a, c], abs=1e-12)
